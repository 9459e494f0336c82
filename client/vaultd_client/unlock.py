"""The client of `unlock.sock` (proto/README.md), over which passphrases, recovery codes and machine keys travel.

Secrets are bytearrays that the caller wipes. They are handed to the kernel where they are, without a copy, and only
after the kernel has said who listens (`listener.py`).
"""

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vaultd_client import paths
from vaultd_client.channel import check_length
from vaultd_client.errors import (
    InternalError,
    InvalidError,
    NotRunningError,
    RefusedError,
    TimedOutError,
    invalid,
)
from vaultd_client.keys import PUBLIC_KEY_BYTES, Pin, parse_public
from vaultd_client.listener import check_listener
from vaultd_client.slots import Checked, KdfParameters, Reply, Slot, Unlocked, UnlockStatus

MAX_HEADER_BYTES = 8192
MAX_SECRET_BYTES = 65536
LENGTHS = struct.Struct(">II")
DEFAULT_TIMEOUT = 180.0
"""Seconds for one answer: an unlock may try eight slots at up to twelve seconds each, a rewrap writes every row."""


class UnlockClient:
    """A keyholder at its unlock socket. Not for threads.

    Use it as a context manager, or call `close`. It connects with the first request, and again where the keyholder was
    replaced since the last one.

    Args:
        path: Path of the socket; where None, `paths.unlock_socket()`.
        timeout: Seconds to wait for each answer.

    Raises:
        InvalidError: The path is too long. Every method also raises NotRunningError, RefusedError (the socket may not
            be opened), UntrustedVaultError (somebody else listens; nothing was sent), TimedOutError, and what the
            keyholder answers.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.path = paths.unlock_socket() if path is None else Path(path)
        self.timeout = timeout
        check_length(self.path)
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self) -> socket.socket:
        """Connects and checks who listens. Call it before asking a person for a secret; every method calls it too."""
        if self._connection is None:
            self._connection = self._connected()
        return self._connection

    def status(self) -> UnlockStatus:
        """Returns the state of the vault and how long the next attempt has to wait."""
        return UnlockStatus.of(self._ask({"op": "status"}))

    def initialize(
        self,
        passphrase: bytearray,
        recovery: bytearray | None = None,
        *,
        name: str,
        public_key: bytes | str,
        uid: int,
        kdf: KdfParameters | None = None,
        label: str = "",
    ) -> Pin:
        """Makes the vault and leaves it unlocked.

        Args:
            passphrase: The first passphrase, UTF-8.
            recovery: Recovery code, 20 bytes; None makes no recovery slot.
            name: Name of the first administrator.
            public_key: His key: 32 bytes, or `ClientKey.public_text`.
            uid: The uid that the kernel must report for him.
            kdf: Cost of the passphrase slot; None means measured.
            label: What the passphrase slot is called.

        Returns:
            What the administrator's key file must pin.
        """
        raw = parse_public(public_key) if isinstance(public_key, str) else public_key
        if len(raw) != PUBLIC_KEY_BYTES:
            raise invalid({"public_key": f"must have {PUBLIC_KEY_BYTES} bytes"})
        header = {
            "op": "initialize",
            "administrator": {"name": name, "public_key": raw.hex(), "uid": uid},
            "kdf": kdf.to_header() if kdf else None,
            "label": label,
        }
        return self._ask(header, [passphrase] if recovery is None else [passphrase, recovery]).pin()

    def unlock(
        self,
        secret: bytearray,
        *,
        kind: str = "passphrase",
        slot: int | None = None,
        accept_rollback: bool = False,
        accept_clock: bool = False,
    ) -> Unlocked:
        """Unlocks the vault.

        Args:
            secret: Passphrase (UTF-8), recovery code (20 bytes) or machine key.
            kind: `passphrase`, `recovery` or `machine`.
            slot: The slot to try; None tries every one of the kind.
            accept_rollback: True takes a store that is older than its anchor, after a backup was restored on purpose.
            accept_clock: True takes the host's clock although it is behind the vault's, which never goes back by itself.

        Raises:
            UnlockDelayedError: Too early after too many wrong ones; `retry_after_ms` says how long.
            UnlockError: It opens no slot.
            StoreError: The store is damaged, rolled back or written by something else.
        """
        accepted = {"accept_rollback": accept_rollback, "accept_clock": accept_clock}
        header = {"op": "unlock", "kind": kind, "slot": slot, **accepted}
        return Unlocked.of(self._ask(header, [secret]))

    def lock(self) -> None:
        """Locks the vault; the keyholder dies and a fresh one takes its place."""
        try:
            self._ask({"op": "lock"})
        finally:
            self.close()

    def slots(self) -> tuple[Slot, ...]:
        """Lists the key slots."""
        return self._ask({"op": "slot-list"}).slots()

    def check_records(self) -> Checked:
        """Has every credential decrypted and the whole audit checked, and returns counts."""
        return Checked.of(self._ask({"op": "records-check"}))

    def slot_add(
        self,
        secret: bytearray,
        new: bytearray,
        *,
        kind: str = "passphrase",
        label: str = "",
        secret_kind: str = "passphrase",  # noqa: S107 - a kind of secret, not a secret
    ) -> int:
        """Adds a key slot and returns its number.

        Args:
            secret: One that opens the vault now.
            new: What shall open it too.
            kind: Kind of `new`: `passphrase`, `recovery` or `machine`.
            label: What the slot is called.
            secret_kind: Kind of `secret`.
        """
        header = {"op": "slot-add", "kind": kind, "label": label, "with": secret_kind}
        return self._ask(header, [secret, new]).number("slot")

    def slot_remove(self, slot: int, secret: bytearray, *, secret_kind: str = "passphrase") -> None:  # noqa: S107
        """Removes a key slot; `secret` is one that opens the vault."""
        self._ask({"op": "slot-remove", "slot": slot, "with": secret_kind}, [secret])

    def passphrase_change(self, old: bytearray, new: bytearray, *, slot: int | None = None) -> int:
        """Changes a passphrase and returns its slot; `slot` None means the one that `old` opens."""
        return self._ask({"op": "passphrase-change", "slot": slot}, [old, new]).number("slot")

    def master_key_rotate(self, secrets: Mapping[int, bytearray]) -> int:
        """Makes a new master key and returns how many data keys were wrapped again.

        Args:
            secrets: Slot to its secret, for every slot.
        """
        header = {"op": "master-key-rotate", "slots": list(secrets)}
        return self._ask(header, list(secrets.values())).number("rewrapped")

    def _ask(self, header: dict[str, Any], secrets: Sequence[bytearray] = ()) -> Reply:
        connection = self.connect()
        try:
            _send(connection, header, secrets)
            reply = _receive(connection)
        except BaseException as error:
            self.close()  # what is left of the answer would be taken for that of the next request
            if isinstance(error, TimeoutError):
                raise TimedOutError("the keyholder did not answer in time") from None
            if isinstance(error, OSError):
                raise _gone() from None
            raise
        refused = reply.error()
        if refused is not None:
            raise refused
        return reply

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            try:
                connection.connect(os.fspath(self.path))
            except FileNotFoundError:
                raise NotRunningError(f"no socket at {self.path}") from None
            except PermissionError:
                raise RefusedError(
                    f"uid {os.geteuid()} may not open {self.path}",
                    hint="run it as the owner of the vault, or as a member of the socket's group, who has logged in since he was added",
                ) from None
            except TimeoutError:
                raise TimedOutError(f"nobody accepts at {self.path}") from None
            except OSError:
                raise NotRunningError(f"nobody listens at {self.path}") from None
            check_listener(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection


def _send(connection: socket.socket, header: dict[str, Any], secrets: Sequence[bytearray]) -> None:
    try:
        text = json.dumps({**header, "secrets": [len(secret) for secret in secrets]}).encode("ascii")
    except (TypeError, ValueError):
        raise invalid({"header": "is not plain values"}) from None
    total = sum(len(secret) for secret in secrets)
    if len(text) > MAX_HEADER_BYTES or total > MAX_SECRET_BYTES:
        raise InvalidError("the request is too large", reason="REQUEST_TOO_LARGE")
    head = LENGTHS.pack(len(text), total) + text
    parts = [memoryview(head), *(memoryview(each) for each in secrets if each)]
    try:
        while parts:
            sent = connection.sendmsg(parts)
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if sent:
                parts[0] = parts[0][sent:]
    finally:
        for part in parts:
            part.release()


def _receive(connection: socket.socket) -> Reply:
    header_length, secret_length = LENGTHS.unpack(_exactly(connection, LENGTHS.size))
    if header_length > MAX_HEADER_BYTES or secret_length:
        raise InternalError("the keyholder's answer does not follow the protocol", reason="PROTOCOL_VIOLATION")
    try:
        header = json.loads(_exactly(connection, header_length))
    except (ValueError, RecursionError):
        header = None
    return Reply.of(header)


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise _gone()
        received += piece
    return bytes(received)


def _gone() -> NotRunningError:
    return NotRunningError("the keyholder ended before it answered", reason="KEYHOLDER_UNAVAILABLE")
