"""The unlock socket: where passphrases come in, straight into secret memory. proto/README.md draws the bytes.

Who may connect is decided by the socket's mode and group. A message that breaks the protocol costs its connection, not
the keyholder: unlike the server, whoever connects here is not trusted to know the protocol.
"""

import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from vaultd import limits
from vaultd.errors import (
    KeyholderUnavailableError,
    OutOfMemoryError,
    ProtocolViolationError,
    UnlockBusyError,
    VaultError,
)
from vaultd.keyholder import drill, lifecycle, slot_requests
from vaultd.keyholder.loop import Task
from vaultd.keyholder.peercred import peer_facts
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.vault import Keyholder
from vaultd.model import PeerFacts, VaultState

Handler = Callable[[Keyholder, dict[str, Any], Sequence[SecretBuffer], PeerFacts], Task]
_HEADER_MAX = 8192
_HEAD = 8


def _status(holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts) -> Task:  # noqa: ARG001  one shape for the table
    yield from ()
    return lifecycle.status(holder)


def _lock(holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts) -> Task:  # noqa: ARG001  one shape for the table
    return (yield from lifecycle.lock(holder, peer, "unlock-socket"))


_EVERY = frozenset(VaultState)
_FRESH = frozenset({VaultState.UNINITIALIZED})
_LOCKED = frozenset({VaultState.LOCKED})
_OPEN = frozenset({VaultState.UNLOCKED})
_STORED = _LOCKED | _OPEN

REQUESTS: dict[str, tuple[frozenset[VaultState], Handler]] = {
    "status": (_EVERY, _status),
    "initialize": (_FRESH, lifecycle.initialize),
    "unlock": (_LOCKED, lifecycle.unlock),
    "lock": (_OPEN, _lock),
    "records-check": (_OPEN, drill.check_records),
    "slot-list": (_STORED, slot_requests.list_slots),
    "slot-add": (_OPEN, slot_requests.add),
    "slot-remove": (_OPEN, slot_requests.remove),
    "passphrase-change": (_OPEN, slot_requests.change_passphrase),
    "master-key-rotate": (_OPEN, slot_requests.rotate_master_key),
}


class UnlockSocket:
    """Accepts connections; each is one peer, one request at a time."""

    def __init__(self, holder: Keyholder, listener: socket.socket) -> None:
        self.holder = holder
        self._listener = listener
        self._connections: set[_Connection] = set()
        listener.setblocking(False)

    def open(self) -> None:
        """Begins to accept. A child does so once its server has said in which state the vault is."""
        self.holder.loop.watch(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        new = _Connection(self, connection)
        same = sum(each.uid == new.uid for each in self._connections)
        if len(self._connections) >= limits.UNLOCK_CONNECTIONS or same >= limits.UNLOCK_CONNECTIONS_PER_UID:
            connection.close()
            return
        self._connections.add(new)
        new.open()

    def room_for(self, length: int) -> SecretBuffer:
        """Returns secret memory for a message that has begun.

        Raises:
            UnlockBusyError: What has begun and does not end has taken all that such messages may have.
        """
        if sum(each.held for each in self._connections) + length > limits.UNLOCK_PENDING_BYTES:
            raise UnlockBusyError("too many secrets are on their way to the keyholder")
        return self.holder.memory.allocate(length)

    def forget(self, connection: "_Connection") -> None:
        """Drops a closed connection."""
        self._connections.discard(connection)

    def tick(self) -> None:
        """Closes connections that have said nothing for too long."""
        for connection in list(self._connections):
            connection.close_if_idle()


class _Connection:
    def __init__(self, server: UnlockSocket, sock: socket.socket) -> None:
        self._server = server
        self._holder = server.holder
        self._sock = sock
        self._peer = peer_facts(sock)
        self._head = bytearray()
        self._secrets: SecretBuffer | None = None
        self._filled = 0
        self._working = False
        self._closed = False
        self._last = time.monotonic()
        sock.setblocking(False)

    @property
    def uid(self) -> int:
        """Who it is."""
        return self._peer.uid

    @property
    def held(self) -> int:
        """Bytes of secret memory that a message that is not whole yet has."""
        return len(self._secrets) if self._secrets is not None else 0

    def open(self) -> None:
        """Begins to read."""
        self._holder.loop.watch(self._sock, selectors.EVENT_READ, self._readable)

    def close_if_idle(self) -> None:
        if not self._working and time.monotonic() - self._last > limits.UNLOCK_IDLE_MS / 1000:
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._secrets is not None:
            self._secrets.close()
        if not self._working:
            self._holder.loop.unwatch(self._sock)
        self._sock.close()
        self._server.forget(self)

    def _readable(self, _events: int) -> None:
        self._last = time.monotonic()
        try:
            if not self._read():
                self._close()
        except BlockingIOError:
            return
        except OSError:
            self._close()
        except VaultError as error:
            self._reply({"error": error.to_wire()})
            self._close()

    def _read(self) -> bool:
        """Takes what has come; False at the end of the stream."""
        if len(self._head) < _HEAD:
            return self._more(_HEAD)
        header_length, secret_length = struct.unpack(">II", self._head[:_HEAD])
        if header_length > _HEADER_MAX or secret_length > limits.MAX_UNLOCK_FRAME:
            raise ProtocolViolationError("the message is too long")
        if len(self._head) < _HEAD + header_length:
            return self._more(_HEAD + header_length)
        if self._filled < secret_length and not self._more_secrets(secret_length):
            return False
        if self._filled == secret_length:
            self._dispatch()
        return True

    def _more(self, wanted: int) -> bool:
        """Reads towards `wanted` bytes of head and header, and goes on where they are there; False at the end."""
        data = self._sock.recv(wanted - len(self._head))
        self._head += data
        return bool(data) and (len(self._head) < wanted or self._read())

    def _more_secrets(self, length: int) -> bool:
        """Reads straight into secret memory: a passphrase is never a Python object. False at the end of the stream."""
        if self._secrets is None:
            self._secrets = self._server.room_for(length)
        with self._secrets.view[self._filled :] as rest:
            count = self._sock.recv_into(rest)
        self._filled += count
        return bool(count)

    def _dispatch(self) -> None:
        header = _parse(bytes(self._head[_HEAD:]))
        given = self._split(header.get("secrets", []))
        try:
            entry = REQUESTS.get(str(header.get("op")))
            if entry is None:
                raise ProtocolViolationError("no such operation")
            states, handler = entry
            self._require_server(str(header["op"]))
            self._holder.require_state(states)
        except VaultError as error:
            self._finish(given, None, error)
            return
        self._working = True
        self._holder.loop.unwatch(self._sock)
        self._holder.loop.start(
            handler(self._holder, header, given, self._peer),
            lambda result, error: self._finish(given, result, error),
        )

    def _require_server(self, op: str) -> None:
        """Without a server there is no store; what needs none is the lock, and the state once it is known."""
        if not self._holder.loop.serving and op != "lock" and not (op == "status" and self._holder.greeted):
            raise KeyholderUnavailableError("the server is not there: systemctl status vaultd")

    def _split(self, lengths: Any) -> list[SecretBuffer]:
        total = len(self._secrets) if self._secrets is not None else 0
        if not isinstance(lengths, list) or not all(type(each) is int and each > 0 for each in lengths):
            raise ProtocolViolationError("the lengths of the secrets are wrong")
        if sum(lengths) != total:
            raise ProtocolViolationError("the lengths of the secrets are wrong")
        parts: list[SecretBuffer] = []
        at = 0
        try:
            for length in lengths:
                part = self._holder.memory.allocate(length)
                parts.append(part)
                assert self._secrets is not None
                with self._secrets.view[at : at + length] as source:
                    part.view[:] = source
                at += length
        except OutOfMemoryError:
            for part in parts:
                part.close()
            raise
        if self._secrets is not None:
            self._secrets.close()
            self._secrets = None
        return parts

    def _finish(self, given: Sequence[SecretBuffer], result: Any, error: BaseException | None) -> None:
        for secret in given:
            secret.close()
        was_working, self._working = self._working, False
        self._head.clear()
        self._filled = 0
        self._last = time.monotonic()
        if was_working:
            self._holder.loop.watch(self._sock, selectors.EVENT_READ, self._readable)
        if isinstance(error, VaultError):
            self._reply({"error": error.to_wire()})
        else:
            self._reply(result)

    def _reply(self, result: Any) -> None:
        body = json.dumps(result).encode()
        try:
            # A reply is below 8 KiB and the socket's buffer above 100: one that does not fit is from a peer that
            # never reads, which gets nothing more.
            self._sock.send(struct.pack(">II", len(body), 0) + body)
        except OSError:
            self._close()


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise ProtocolViolationError("the header is not JSON") from None
    if not isinstance(header, dict):
        raise ProtocolViolationError("the header is not a JSON object")
    return header
