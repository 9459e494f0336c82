"""The client for programs without an event loop."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from vaultd_client import calls, channel
from vaultd_client.backups import Begun
from vaultd_client.channel import KeySource, SocketPath
from vaultd_client.errors import VaultClientError
from vaultd_client.fields import FieldValues
from vaultd_client.integrations import ccxt as integration
from vaultd_client.integrations.ccxt import Flavour
from vaultd_client.key_checks import KeyCheck
from vaultd_client.kinds import Kind
from vaultd_client.models import Access, AuditEntry, AuditReport, Client, Exchange, Grant, Vault
from vaultd_client.revealed import RevealedCredential
from vaultd_client.session import Call, Send
from vaultd_client.status import from_rpc

Value = TypeVar("Value")


class VaultClient:
    """A vault at its public socket. Finds socket, key file and pinned identity by itself; safe for threads.

    Use it as a context manager, or call `close`. Make it after a fork, not before: gRPC's threads do not survive one.

    Args:
        socket: Path of the socket; where None, `paths.public_socket()`.
        key: Key, or path of a key file; where None, `paths.key_file()`. Read with the first signed call.
        timeout: Seconds to wait for each answer. A list has an answer for each page, and a call that may be repeated at
            most three.

    Raises:
        InvalidError: The socket's path is too long. Every method raises the errors of `vaultd_client.errors`.
    """

    def __init__(self, socket: SocketPath = None, key: KeySource = None, *, timeout: float = 5.0) -> None:
        self.socket = channel.socket_path(socket)
        self.timeout = timeout
        self._session = channel.session(key, timeout)
        self._channel = grpc.insecure_channel(channel.target(self.socket), options=channel.OPTIONS)
        self._rpcs: dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]] = {}
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls that wait in other threads end with an error."""
        self._closed.set()
        self._channel.close()

    def vault(self) -> Vault:
        """Returns state, identity and health of the vault, not authenticated."""
        return self._run(calls.vault())

    def kinds(self) -> tuple[Kind, ...]:
        """Lists the kinds of exchange with their fields."""
        return self._run(calls.kinds())

    def kind(self, name: str) -> Kind:
        """Returns one kind by its identifier, alias or resource name."""
        return self._run(calls.kind(name))

    def list(self, *, everything: bool = False) -> tuple[Exchange, ...]:
        """Lists the exchanges, masked, in the order of their names.

        Args:
            everything: True lists hidden ones too; a signed call with permission Exchanges:Read.
        """
        return self._run(calls.list_exchanges(self._session, everything=everything))

    def get(self, exchange: str) -> Exchange:
        """Returns one exchange, masked, by its name, id or resource name; a hidden one is not found."""
        return self._run(calls.get(exchange))

    def reveal(self, exchange: str, configuration: str = "read", version: int = 0) -> RevealedCredential:
        """Returns one half of an exchange in plaintext.

        Args:
            exchange: Name, id or resource name.
            configuration: `read` or `write`.
            version: 0 means the active one.
        """
        return self._run(calls.reveal(self._session, exchange, configuration, version))

    def ccxt(
        self, exchange: str, configuration: str = "read", *, flavour: Flavour = "sync", **options: Any
    ) -> Any:
        """Returns a ccxt exchange that is ready for use: `vault.ccxt("main").fetch_balance()`.

        Args:
            exchange: Name, id or resource name.
            configuration: `read` or `write`.
            flavour: `sync`, `async` or `pro`.
            options: What else ccxt's constructor takes, such as `timeout` or `options`; see `integrations.ccxt.build`.
        """
        integration.load(flavour)
        return integration.build(self.reveal(exchange, configuration), flavour, **options)

    def ccxt_config(self, exchange: str, configuration: str = "read") -> dict[str, str]:
        """Returns the credentials as ccxt's constructors take them, in plaintext: `{"apiKey": ..., "secret": ...}`.

        For programs that make the object themselves; market type and environment are then theirs to see to.
        """
        return self.reveal(exchange, configuration).ccxt_config()

    def create_exchange(
        self,
        name: str,
        kind: str,
        configurations: Mapping[str, FieldValues],
        *,
        environment: str = "",
        labels: Mapping[str, str] | None = None,
        market_types: Sequence[str] = (),
        hidden: bool = False,
        validate_only: bool = False,
        checks: Mapping[str, KeyCheck] | None = None,
        expires_at: Mapping[str, datetime] | None = None,
    ) -> tuple[Exchange, tuple[str, ...]]:
        """Stores an exchange. The key pairs are sealed to the keyholder before they leave this process.

        Args:
            name: 1 to 64 printable characters.
            kind: Identifier or alias from the catalogue.
            configurations: `read` or `write` (or both) to field name or alias to value; `extra` to free entries.
            environment: `live` (default), `testnet` or `demo`.
            labels: At most 16 pairs.
            market_types: At most 16, such as `spot`.
            hidden: True leaves it out of the open list.
            validate_only: True checks everything and stores nothing.
            checks: `read` or `write` to what the exchange said of that pair before; stored with it in one step.
            expires_at: `read` or `write` to when that key ends, to the knowledge of the caller.

        Returns:
            The exchange as stored, masked, and notices that a person should see.
        """
        return self._run(
            calls.create_exchange(
                self._session,
                name,
                kind,
                configurations,
                environment=environment,
                labels=labels or {},
                market_types=market_types,
                hidden=hidden,
                validate_only=validate_only,
                checks=checks or {},
                expires_at=expires_at or {},
            )
        )

    def update_exchange(self, exchange: str, *, etag: str = "", **changes: Any) -> Exchange:
        """Changes an exchange and returns it as stored.

        Args:
            exchange: Name, id or resource name.
            etag: Refused when it is not the stored one; empty checks nothing.
            changes: Any of name, labels, market_types, hidden, state (`ACTIVE`, `DISABLED`), lock_reason.
        """
        return self._run(calls.update_exchange(self._session, exchange, etag, changes))

    def rotate_credential(
        self,
        exchange: str,
        configuration: str,
        fields: FieldValues,
        *,
        check: KeyCheck | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[Exchange, int, tuple[str, ...]]:
        """Stores a new version of one half and makes it the active one.

        Returns:
            The exchange as stored, the version, and notices that a person should see.
        """
        return self._run(
            calls.rotate_credential(self._session, exchange, configuration, fields, check, expires_at)
        )

    def record_key_check(
        self,
        exchange: str,
        configuration: str,
        version: int,
        check: KeyCheck | None = None,
        *,
        expires_at: datetime | None = None,
    ) -> Exchange:
        """Records what the exchange said of one version, and when it ends; None leaves what was known.

        Args:
            exchange: Name, id or resource name. The id, where the check must not go to a namesake.
            configuration: `read` or `write`.
            version: The one that was checked.
            check: What the exchange said.
            expires_at: When the key ends, to the knowledge of the caller; the epoch takes back what was said.
        """
        return self._run(
            calls.record_key_check(self._session, exchange, configuration, version, check, expires_at)
        )

    def revoke_exchange(self, exchange: str, reason: str = "") -> Exchange:
        """Revokes an exchange and all its credentials for good."""
        return self._run(calls.revoke_exchange(self._session, exchange, reason))

    def revoke_credential(self, exchange: str, configuration: str, version: int = 0) -> Exchange:
        """Revokes one version of one half for good; 0 means the active one."""
        return self._run(calls.revoke_credential(self._session, exchange, configuration, version))

    def delete_exchange(self, exchange: str, etag: str = "") -> None:
        """Erases an exchange, its credentials and the grants that name it."""
        self._run(calls.delete_exchange(self._session, exchange, etag))

    def allow_client(
        self, name: str, public_key: bytes | str, uid: int, *, unit: str = "", permissions: Sequence[str] = ()
    ) -> Client:
        """Puts a client on the allowlist. It has no grants yet.

        Args:
            name: 1 to 64 printable characters.
            public_key: 32 bytes, or the text that `vaultctl client keygen` prints.
            uid: The uid that the kernel must report for it.
            unit: The systemd unit that the kernel must report for it; empty means any.
            permissions: Administrative ones, such as `Exchanges:Create`; `*` is all.
        """
        return self._run(calls.allow_client(self._session, name, public_key, uid, unit=unit, permissions=permissions))

    def clients(self) -> tuple[Client, ...]:
        """Lists the clients with their grants, in the order of their names."""
        return self._run(calls.clients(self._session))

    def update_client(self, client: str, **changes: Any) -> Client:
        """Changes a client and returns it as stored: any of state (`ACTIVE`, `DISABLED`), uid, unit, permissions."""
        return self._run(calls.update_client(self._session, client, changes))

    def revoke_client(self, client: str) -> Client:
        """Revokes a client and its grants for good. Its key can never be allowed again."""
        return self._run(calls.revoke_client(self._session, client))

    def confirm_client(self, client: str) -> Client:
        """Ends what the restore of a backup suspended of a client."""
        return self._run(calls.confirm_client(self._session, client))

    def create_grant(
        self,
        client: str,
        exchange: str,
        configuration: str,
        *,
        operation: str = "reveal",
        not_after: datetime | None = None,
        rate: tuple[int, int] | None = None,
        unit: str = "",
    ) -> Grant:
        """Grants a client an operation on one half of an exchange.

        Args:
            client: Name or resource name.
            exchange: Name, id or `*`.
            configuration: `read`, `write` or `*`.
            operation: `reveal`.
            not_after: No use after this time, which has a time zone.
            rate: At most so many uses in so many seconds.
            unit: systemd unit that the kernel must report for the caller, such as `bot.service`; empty for any.
        """
        return self._run(
            calls.create_grant(
                self._session,
                client,
                exchange,
                configuration,
                operation=operation,
                not_after=not_after,
                rate=rate,
                unit=unit,
            )
        )

    def delete_grant(self, client: str, grant: str) -> None:
        """Takes a grant back, by its id."""
        self._run(calls.delete_grant(self._session, client, grant))

    def why(self, client: str, exchange: str, configuration: str) -> Access:
        """Says which rule allows or denies a client one half of an exchange."""
        return self._run(calls.why(self._session, client, exchange, configuration))

    def audit(
        self, *, limit: int = 100, client: str = "", exchange: str = "", decision: str = ""
    ) -> tuple[AuditEntry, ...]:
        """Lists audit entries, newest first.

        Args:
            limit: At most this many.
            client: Only those of this client.
            exchange: Only those of this exchange.
            decision: Only `allow` or only `deny`.
        """
        return self._run(calls.audit(self._session, limit=limit, client=client, exchange=exchange, decision=decision))

    def verify_audit(self) -> AuditReport:
        """Walks the chain of audit entries and names the first bad one."""
        return self._run(calls.verify_audit(self._session))

    def begin_backup(self) -> Begun:
        """Has the vault copy its store, and returns what the copy holds and the token that reads it."""
        return self._run(calls.begin_backup(self._session))

    def read_backup(self, token: bytes, offset: int = 0) -> bytes:
        """Returns a piece of a copy, from an offset on; nothing at its end, and the copy is gone then."""
        return self._run(calls.read_backup(token, offset))

    def lock(self) -> None:
        """Locks the vault: the keyholder dies, a fresh one takes its place."""
        self._run(calls.lock(self._session))

    def _run(self, call: Call[Value]) -> Value:
        channel.check_present(self.socket)
        try:
            step = next(call)
            while True:
                if isinstance(step, Send):
                    try:
                        answer = self._send(step)
                    except VaultClientError as error:
                        step = call.throw(error)
                    else:
                        step = call.send(answer)
                else:
                    self._closed.wait(step.seconds)
                    step = call.send(b"")
        except StopIteration as done:
            value: Value = done.value
            return value
        finally:
            call.close()

    def _send(self, step: Send) -> bytes:
        if self._closed.is_set():
            raise ValueError("this client is closed")
        rpc = self._rpcs.get(step.method)
        if rpc is None:
            rpc = self._rpcs[step.method] = self._channel.unary_unary(step.method)
        try:
            return rpc(step.request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise from_rpc(error.code(), error.trailing_metadata() or ()) from None
