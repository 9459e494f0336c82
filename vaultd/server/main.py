"""The daemon, put together: keyholder first, gRPC after it."""

import asyncio
import dataclasses
import logging
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc

from vaultd import config as settings
from vaultd import limits
from vaultd.config import Config
from vaultd.keyholder.process import Held
from vaultd.kinds import Catalogue
from vaultd.notify import Notifier
from vaultd.server.backups import Backups
from vaultd.server.credentials import Credentials
from vaultd.server.custody import Custody
from vaultd.server.expiries import Expiries
from vaultd.server.gate import Gate
from vaultd.server.grpc_server import GrpcServer
from vaultd.server.metrics import Metrics
from vaultd.server.metrics_socket import MetricsSocket
from vaultd.server.open_methods import OpenMethods
from vaultd.server.peer import PeerTable, pidfd_check
from vaultd.server.rows import Rows
from vaultd.server.sockets import private_directory
from vaultd.server.supervision import Supervision
from vaultd.store.changes import Change
from vaultd.store.store import Store
from vaultd_api.v1.vault_service_pb2 import GetVaultRequest, GetVaultResponse

log = logging.getLogger(__name__)
_RELOADED = ("kdf_floor", "credentials_wait_seconds")


async def serve(
    config: Config,
    public: socket.socket,
    metrics: socket.socket | None,
    credentials: socket.socket | None,
    begin: Callable[[], Held],
    process: Held | None,
) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        public: The public socket.
        metrics: The one for metrics; None where systemd holds none.
        credentials: The one at which systemd asks; None where there is none.
        begin: Starts or reaches a keyholder.
        process: One that was started already; None where it is a unit of its own.
    """
    stopping = _asked_to_stop()
    listeners = _Listeners()
    store = Store(config.database, config.anchor)
    backups = Backups(store)
    rows = Rows(store, backups, listeners.changed)
    custody = Custody(store, rows, begin, config.kdf_floor)
    table = PeerTable()
    catalogue = Catalogue.load()
    listeners.open_methods = open_methods = OpenMethods(store, custody, catalogue, backups)
    listeners.expiries = Expiries(store, catalogue)
    _make_room(config.inner_socket)
    server = GrpcServer(custody, table, open_methods)
    server.server.add_insecure_port(f"unix:{config.inner_socket}")
    gate = Gate(public, config.inner_socket, table)
    collected = MetricsSocket(
        metrics,
        Metrics(server.requests, gate, custody, open_methods, store, listeners.expiries, names=config.metrics_names).text,
    )
    units = Credentials(credentials, custody, config.credentials_wait_seconds)
    notifier = Notifier()
    supervision = Supervision(notifier, custody, store, lambda: _reload(config, custody, units))
    try:
        await custody.start(process)
        await server.server.start()
        await gate.start()
        check = await gate.self_test(_probe(server, config.socket))
        server.signed_allowed = check.ok
        open_methods.checks = [check, pidfd_check()]
        await server.report_health()
        await collected.start()

        async def changed() -> None:
            units.changed()
            await server.report_health()
            await supervision.changed()

        custody.changed = changed
        units.start()
        if notifier.heard:
            # In a terminal it means that the terminal is gone, and ends the daemon.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, supervision.reload)
        await supervision.ready()
        log.info("ready on %s", config.socket)
        await stopping.wait()
        log.info("stopping")
    finally:
        supervision.stopping()
        await collected.stop()
        units.stop()
        await server.server.stop(limits.STOP_GRACE_SECONDS)
        await gate.stop()
        await custody.stop()
        backups.close()
        await store.close()


def _asked_to_stop() -> asyncio.Event:
    """Returns what is set at SIGTERM and SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _make_room(inner: Path) -> None:
    """Makes the directory of gRPC's own socket, without one of a run before."""
    private_directory(inner.parent)
    with suppress(FileNotFoundError):
        inner.unlink()  # In a directory that is ours alone: nobody else can have put it there.


async def _reload(config: Config, custody: Custody, units: Credentials) -> str:
    """Applies what can change while we run; returns what else was changed and waits for a restart."""
    fresh = settings.load(system=config.system)
    await custody.set_kdf_floor(fresh.kdf_floor)
    units.wait_seconds = fresh.credentials_wait_seconds
    names = [field.name for field in dataclasses.fields(Config) if field.name not in _RELOADED]
    changed = [name for name in names if getattr(fresh, name) != getattr(config, name)]
    return f"restart for: {', '.join(changed)}" if changed else ""


class _Listeners:
    """Passes changes of the store on; the parties are made after one another."""

    open_methods: OpenMethods
    expiries: Expiries

    def changed(self, change: Change) -> None:
        self.open_methods.forget(change)
        self.expiries.forget(change)


@asynccontextmanager
async def _probe(server: GrpcServer, public: Path) -> AsyncIterator[str]:
    """Calls ourselves through the public socket and yields what gRPC calls that connection."""
    server.probe_token = secrets.token_hex(16)
    try:
        async with grpc.aio.insecure_channel(f"unix:{public}", options=(("grpc.enable_http_proxy", 0),)) as channel:
            call = channel.unary_unary(
                "/vaultd.v1.VaultService/GetVault",
                request_serializer=GetVaultRequest.SerializeToString,
                response_deserializer=GetVaultResponse.FromString,
            )
            await call(GetVaultRequest(), metadata=(("vaultd-self-test", server.probe_token),))
            yield server.probe_peer
    finally:
        server.probe_token = ""
