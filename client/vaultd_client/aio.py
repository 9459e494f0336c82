"""The client for programs with an asyncio event loop: the methods of `VaultClient` as coroutines."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

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


class AsyncVaultClient:
    """A vault at its public socket. Belongs to the event loop in which it is first used.

    The methods, their parameters and errors are those of `VaultClient`.

    Args:
        socket: Path of the socket; where None, `paths.public_socket()`.
        key: Key, or path of a key file; where None, `paths.key_file()`. Read with the first signed call.
        timeout: Seconds to wait for each answer.

    Raises:
        InvalidError: The socket's path is too long.
    """

    def __init__(self, socket: SocketPath = None, key: KeySource = None, *, timeout: float = 5.0) -> None:
        self.socket = channel.socket_path(socket)
        self.timeout = timeout
        self._session = channel.session(key, timeout)
        self._channel: grpc.aio.Channel | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def vault(self) -> Vault:
        """Returns state, identity and health of the vault, not authenticated."""
        return await self._run(calls.vault())

    async def kinds(self) -> tuple[Kind, ...]:
        """Lists the kinds of exchange with their fields."""
        return await self._run(calls.kinds())

    async def kind(self, name: str) -> Kind:
        """Returns one kind by its identifier, alias or resource name."""
        return await self._run(calls.kind(name))

    async def list(self, *, everything: bool = False) -> tuple[Exchange, ...]:
        """Lists the exchanges, masked, in the order of their names."""
        return await self._run(calls.list_exchanges(self._session, everything=everything))

    async def get(self, exchange: str) -> Exchange:
        """Returns one exchange, masked, by its name, id or resource name; a hidden one is not found."""
        return await self._run(calls.get(exchange))

    async def reveal(self, exchange: str, configuration: str = "read", version: int = 0) -> RevealedCredential:
        """Returns one half of an exchange in plaintext."""
        return await self._run(calls.reveal(self._session, exchange, configuration, version))

    async def ccxt(
        self, exchange: str, configuration: str = "read", *, flavour: Flavour = "async", **options: Any
    ) -> Any:
        """Returns an exchange of `ccxt.async_support` (or `ccxt.pro`) that is ready for use. Close it in the end."""
        # Importing ccxt takes about a second, in which the bot's other tasks go on.
        await asyncio.to_thread(integration.load, flavour)
        return integration.build(await self.reveal(exchange, configuration), flavour, **options)

    async def ccxt_config(self, exchange: str, configuration: str = "read") -> dict[str, str]:
        """Returns the credentials as ccxt's constructors take them, in plaintext."""
        return (await self.reveal(exchange, configuration)).ccxt_config()

    async def create_exchange(
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
        """Stores an exchange. The key pairs are sealed to the keyholder before they leave this process."""
        return await self._run(
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

    async def update_exchange(self, exchange: str, *, etag: str = "", **changes: Any) -> Exchange:
        """Changes an exchange and returns it as stored."""
        return await self._run(calls.update_exchange(self._session, exchange, etag, changes))

    async def rotate_credential(
        self,
        exchange: str,
        configuration: str,
        fields: FieldValues,
        *,
        check: KeyCheck | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[Exchange, int, tuple[str, ...]]:
        """Stores a new version of one half and makes it the active one."""
        return await self._run(
            calls.rotate_credential(self._session, exchange, configuration, fields, check, expires_at)
        )

    async def record_key_check(
        self,
        exchange: str,
        configuration: str,
        version: int,
        check: KeyCheck | None = None,
        *,
        expires_at: datetime | None = None,
    ) -> Exchange:
        """Records what the exchange said of one version, and when it ends; None leaves what was known."""
        return await self._run(
            calls.record_key_check(self._session, exchange, configuration, version, check, expires_at)
        )

    async def revoke_exchange(self, exchange: str, reason: str = "") -> Exchange:
        """Revokes an exchange and all its credentials for good."""
        return await self._run(calls.revoke_exchange(self._session, exchange, reason))

    async def revoke_credential(self, exchange: str, configuration: str, version: int = 0) -> Exchange:
        """Revokes one version of one half for good; 0 means the active one."""
        return await self._run(calls.revoke_credential(self._session, exchange, configuration, version))

    async def delete_exchange(self, exchange: str, etag: str = "") -> None:
        """Erases an exchange, its credentials and the grants that name it."""
        await self._run(calls.delete_exchange(self._session, exchange, etag))

    async def allow_client(
        self, name: str, public_key: bytes | str, uid: int, *, unit: str = "", permissions: Sequence[str] = ()
    ) -> Client:
        """Puts a client on the allowlist. It has no grants yet."""
        return await self._run(
            calls.allow_client(self._session, name, public_key, uid, unit=unit, permissions=permissions)
        )

    async def clients(self) -> tuple[Client, ...]:
        """Lists the clients with their grants, in the order of their names."""
        return await self._run(calls.clients(self._session))

    async def update_client(self, client: str, **changes: Any) -> Client:
        """Changes a client and returns it as stored: any of state (`ACTIVE`, `DISABLED`), uid, unit, permissions."""
        return await self._run(calls.update_client(self._session, client, changes))

    async def revoke_client(self, client: str) -> Client:
        """Revokes a client and its grants for good. Its key can never be allowed again."""
        return await self._run(calls.revoke_client(self._session, client))

    async def confirm_client(self, client: str) -> Client:
        """Ends what the restore of a backup suspended of a client."""
        return await self._run(calls.confirm_client(self._session, client))

    async def create_grant(
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
        """Grants a client an operation on one half of an exchange."""
        return await self._run(
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

    async def delete_grant(self, client: str, grant: str) -> None:
        """Takes a grant back, by its id."""
        await self._run(calls.delete_grant(self._session, client, grant))

    async def why(self, client: str, exchange: str, configuration: str) -> Access:
        """Says which rule allows or denies a client one half of an exchange."""
        return await self._run(calls.why(self._session, client, exchange, configuration))

    async def audit(
        self, *, limit: int = 100, client: str = "", exchange: str = "", decision: str = ""
    ) -> tuple[AuditEntry, ...]:
        """Lists audit entries, newest first."""
        return await self._run(
            calls.audit(self._session, limit=limit, client=client, exchange=exchange, decision=decision)
        )

    async def verify_audit(self) -> AuditReport:
        """Walks the chain of audit entries and names the first bad one."""
        return await self._run(calls.verify_audit(self._session))

    async def begin_backup(self) -> Begun:
        """Has the vault copy its store, and returns what the copy holds and the token that reads it."""
        return await self._run(calls.begin_backup(self._session))

    async def read_backup(self, token: bytes, offset: int = 0) -> bytes:
        """Returns a piece of a copy, from an offset on; nothing at its end, and the copy is gone then."""
        return await self._run(calls.read_backup(token, offset))

    async def lock(self) -> None:
        """Locks the vault: the keyholder dies, a fresh one takes its place."""
        await self._run(calls.lock(self._session))

    async def _run(self, call: Call[Value]) -> Value:
        channel.check_present(self.socket)
        try:
            step = next(call)
            while True:
                if isinstance(step, Send):
                    try:
                        answer = await self._send(step)
                    except VaultClientError as error:
                        step = call.throw(error)
                    else:
                        step = call.send(answer)
                else:
                    await asyncio.sleep(step.seconds)
                    step = call.send(b"")
        except StopIteration as done:
            value: Value = done.value
            return value
        finally:
            call.close()

    async def _send(self, step: Send) -> bytes:
        if self._closed:
            raise ValueError("this client is closed")
        if self._channel is None:  # made here, because a channel belongs to the loop that runs when it is made
            self._channel = grpc.aio.insecure_channel(channel.target(self.socket), options=channel.OPTIONS)
        rpc: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(step.method)
        try:
            return await rpc(step.request, timeout=self.timeout)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error.code(), error.trailing_metadata()) from None
