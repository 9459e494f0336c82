"""Promise: a server that was taken over gets no key pair by handing connections of its own making to the keyholder.

This process is the server: it speaks the link with vaultd's own code, and hands over what it likes.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR
from tests.support.gate_house import as_root
from tests.support.services import asking
from tests.support.split import Split, split
from vaultd.errors import VaultError
from vaultd.keyholder.process import connect
from vaultd.model import VaultState
from vaultd.server.backups import Backups
from vaultd.server.custody import Custody
from vaultd.server.peer import Peer
from vaultd.server.rows import Rows
from vaultd.store.store import Store

pytestmark = as_root
UNIT = "bot.service"
STRANGER = 23_456
HandOver = Callable[[socket.socket, str], Awaitable[str]]


@pytest.fixture(scope="module")
def orphan() -> Iterator[Split]:
    """An unlocked keyholder whose server has ended; bot.service is granted the read half of binance-main."""
    with split() as daemon:
        with daemon.admin() as admin:
            admin.create_grant(f"unit:{UNIT}", "binance-main", "read")
        daemon.stop()
        yield daemon


def as_server(daemon: Split, act: Callable[[HandOver], Awaitable[None]]) -> None:
    """Takes the server's place; `act` gets a function that hands a connection over as that of a unit."""

    async def run() -> None:
        store = Store(daemon.database, daemon.anchor)
        begin = partial(connect, daemon.runtime / "link.sock", os.getuid())
        custody = Custody(store, Rows(store, Backups(store), lambda _change: None), begin, None)
        await custody.start(None)
        assert custody.view.state == VaultState.UNLOCKED

        async def hand_over(connection: socket.socket, unit: str) -> str:
            try:
                await custody.pass_on(connection, Peer(0, 0, 1, unit), "7 /system.slice/any")
            except VaultError as error:
                return error.reason
            return "served"

        try:
            await act(hand_over)
            assert custody.view.state == VaultState.UNLOCKED
        finally:
            await custody.stop()
            await store.close()

    asyncio.run(run())


def accepted(home: Path, unit: str, *, uid: int = 0, name: str | None = None) -> tuple[socket.socket, Callable[[], bytes]]:
    """Returns a connection to a socket of the server's own, and what tells what its other end has read."""
    path = home / f"trap-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        process = asking(path, "binance-main.secret", unit, group=None, uid=uid, name=name)
        connection, _ = listener.accept()

    def read() -> bytes:
        connection.close()
        return process.communicate(timeout=30)[0]

    return connection, read


def test_what_is_handed_over_goes_to_its_other_end_and_the_server_reads_nothing(orphan: Split) -> None:
    async def act(hand_over: HandOver) -> None:
        connection, read = accepted(orphan.home, UNIT)
        assert await hand_over(connection, UNIT) == "served"
        assert connection.recv(1024) == b""
        assert read() == READ_PAIR["secret"].encode()

    as_server(orphan, act)


def test_a_connection_that_is_not_roots_with_a_units_name_is_refused(orphan: Split) -> None:
    async def act(hand_over: HandOver) -> None:
        for options in ({"uid": STRANGER}, {"name": ""}, {"name": f"unit/{UNIT}/binance-main.secret"}):
            connection, read = accepted(orphan.home, UNIT, **options)
            assert await hand_over(connection, UNIT) == "PERMISSION_DENIED"
            assert read() == b""

    as_server(orphan, act)


def test_a_lie_about_the_unit_gains_nothing(orphan: Split) -> None:
    async def act(hand_over: HandOver) -> None:
        for claimed in (UNIT, "other.service"):
            connection, read = accepted(orphan.home, "other.service")
            assert await hand_over(connection, claimed) == "PERMISSION_DENIED"
            assert read() == b""

    as_server(orphan, act)


def test_what_the_server_has_both_ends_of_is_refused(orphan: Split) -> None:
    async def act(hand_over: HandOver) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert await hand_over(theirs, UNIT) == "PERMISSION_DENIED"
            theirs.close()
            assert ours.recv(1024) == b""

    as_server(orphan, act)


def test_what_is_no_connection_is_refused_and_the_keyholder_lives(orphan: Split) -> None:
    async def act(hand_over: HandOver) -> None:
        reading, writing = os.pipe()
        for descriptor in (reading, writing, os.memfd_create("x")):
            assert await hand_over(_Descriptor(descriptor), UNIT) == "PROTOCOL_VIOLATION"  # type: ignore[arg-type]
            os.close(descriptor)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_UNIX, kind) as unconnected:
                assert await hand_over(unconnected, UNIT) == "PERMISSION_DENIED"
        connection, read = accepted(orphan.home, UNIT)
        assert await hand_over(connection, UNIT) == "served"
        assert read() == READ_PAIR["secret"].encode()

    as_server(orphan, act)


class _Descriptor:
    """A descriptor in the place of a socket."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number
