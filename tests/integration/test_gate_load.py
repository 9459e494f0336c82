"""Promises of `vaultd.server.gate` about load: no caller keeps others out, and nothing is left behind."""

import asyncio
import errno
import os
import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate_house import (
    OTHER,
    STRANGER,
    as_root,
    asynchronous,
    child,
    descriptors,
    echoed,
    is_closed,
    run_as,
    stream_house,
    until,
)
from vaultd import limits
from vaultd.model import Check
from vaultd.server import gate as gates
from vaultd.server.peer import Peer, peer_of

# --- caps and silence ----------------------------------------------------------------------------------------------


@asynchronous
async def test_one_uid_has_so_many_connections_and_no_more(base: Path) -> None:
    async with stream_house(base, per_uid=3) as found:
        with ExitStack() as stack:
            first = [stack.enter_context(found.connect()) for _ in range(3)]
            assert await is_closed(stack.enter_context(found.connect()))
            assert all([await echoed(sock) for sock in first])
            assert found.gate.refused == 1
        await until(lambda: found.gate.open_connections == 0)
        assert await found.is_served()


@as_root
@asynchronous
async def test_all_together_have_so_many_connections_and_no_more(base: Path) -> None:
    try_three = """
socks = [socket.socket(socket.AF_UNIX) for _ in range(3)]
served = 0
for sock in socks:
    sock.connect(sys.argv[1])
    try:
        sock.send(b"x")
        served += sock.recv(1) == b"x"
    except OSError:
        pass
print(served)
"""
    async with stream_house(base, per_uid=2, total=3) as found:
        with found.connect() as one, found.connect() as two:
            assert await echoed(one)
            assert await echoed(two)
            assert await run_as(STRANGER, try_three, found.public) == "1"
            assert found.gate.refused == 2
        await until(lambda: found.gate.open_connections == 0)
        assert await run_as(STRANGER, try_three, found.public) == "2"


@asynchronous
async def test_the_total_stays_within_the_descriptors_of_the_process(base: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.DESCRIPTORS_KEPT + 4 * limits.DESCRIPTORS_PER_CONNECTION, hard))
    try:
        async with stream_house(base) as found:
            assert found.gate.total == 4
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with stream_house(base, total=5) as found:
        assert found.gate.total == 5


@asynchronous
async def test_a_silent_caller_is_dropped_and_one_that_spoke_stays(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_BYTE_SECONDS", 0.3)
    async with stream_house(base) as found:
        with found.connect() as silent, found.connect() as speaker:
            assert await echoed(speaker)
            assert await is_closed(silent)
            assert (found.gate.silent, found.gate.open_connections) == (1, 1)
            assert await echoed(speaker)


HOLD = """
socks = []
for _ in range(int(sys.argv[2])):
    socks.append(socket.socket(socket.AF_UNIX))
    socks[-1].connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
SERVED = """
start = time.monotonic()
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.send(b"hello")
assert sock.recv(5) == b"hello"
print(time.monotonic() - start)
"""


@as_root
@asynchronous
async def test_three_hundred_silent_connections_keep_nobody_else_out(base: Path) -> None:
    async with stream_house(base) as found:
        before = descriptors()
        flood = await child(STRANGER, HOLD, found.public, 300)
        assert flood.stdout is not None
        assert await flood.stdout.readline() == b"held\n"
        await until(lambda: found.gate.open_connections + found.gate.refused == 300)
        assert found.gate.open_connections == limits.CONNECTIONS_PER_UID
        assert float(await run_as(OTHER, SERVED, found.public)) < 3
        await until(lambda: found.gate.open_connections == 0)
        assert found.gate.silent == limits.CONNECTIONS_PER_UID
        await flood.communicate(b"")
        await until(lambda: descriptors() <= before)


@as_root
@asynchronous
async def test_a_storm_of_five_thousand_connections_keeps_nobody_else_out(base: Path) -> None:
    storm = """
for _ in range(50):
    socks = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    for number, sock in enumerate(socks):
        sock.connect(sys.argv[1])
        if number % 2:
            try:
                sock.send(b"x")
            except OSError:
                pass
    for sock in socks:
        sock.close()
print("over")
"""
    async with stream_house(base) as found:
        before = descriptors()
        flood = asyncio.create_task(run_as(STRANGER, storm, found.public))
        waits = []
        while not flood.done():
            waits.append(float(await run_as(OTHER, SERVED, found.public)))
        assert await flood == "over"
        assert max(waits) < 3
        await until(lambda: found.gate.open_connections == 0 and descriptors() <= before)


# --- descriptors, and a server that is not there -------------------------------------------------------------------


@asynchronous
async def test_five_hundred_connections_leave_no_descriptor_behind(base: Path) -> None:
    async with stream_house(base, per_uid=1_000) as found:
        assert await found.is_served()
        await until(lambda: found.gate.open_connections == 0)
        before = descriptors()
        with ExitStack() as stack:
            socks = [stack.enter_context(found.connect()) for _ in range(500)]
            assert all([await echoed(sock) for sock in socks])
            assert (found.gate.open_connections, descriptors()) == (500, before + 4 * 500)
        await until(lambda: found.gate.open_connections == 0 and descriptors() <= before)


@asynchronous
async def test_stopping_closes_every_connection_and_descriptor(base: Path) -> None:
    before = descriptors()
    async with stream_house(base) as found:
        speaker, silent = found.connect(), found.connect()
        assert await echoed(speaker)
    with speaker, silent:
        assert await is_closed(speaker)
        assert await is_closed(silent)
    await until(lambda: descriptors() <= before)


@as_root
@asynchronous
async def test_without_descriptors_callers_are_turned_away_at_once_and_the_gate_lives(base: Path) -> None:
    knock = """
sys.stdin.readline()
closed = 0
for _ in range(50):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    sock.connect(sys.argv[1])
    try:
        closed += sock.recv(1) == b""
    except ConnectionResetError:
        closed += 1
print(closed, flush=True)
"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with stream_house(base) as found:
        process = await child(STRANGER, knock, found.public)
        assert process.stdin is not None
        assert process.stdout is not None
        taken: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 50, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            worked = time.process_time()
            process.stdin.write(b"\n")  # and not communicate(): it would close a descriptor
            assert await asyncio.wait_for(process.stdout.readline(), 20) == b"50\n"
            assert found.gate.refused == 50
            await asyncio.sleep(0.5)
            assert time.process_time() - worked < 0.4
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await process.communicate(b"")
        assert await found.is_served()


class FailingListener(socket.socket):
    """A listener whose accept() fails for want of memory as long as `failing`."""

    failing = False
    tries = 0

    def accept(self) -> Any:
        if self.failing:
            self.tries += 1
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return super().accept()


@asynchronous
async def test_an_accept_that_fails_is_tried_again_and_does_not_spin(base: Path) -> None:
    listener = FailingListener(socket.AF_UNIX)
    listener.bind(str(base / "vaultd.sock"))
    async with stream_house(base, listener=listener) as found:
        listener.failing = True
        with found.connect() as sock:
            await until(lambda: listener.tries >= 3)
            start = time.monotonic()
            await until(lambda: listener.tries >= 6)
            assert time.monotonic() - start > 2 * limits.ACCEPT_PAUSE_SECONDS
            listener.failing = False
            assert await echoed(sock)


@pytest.mark.parametrize("old", [True, False])
@asynchronous
async def test_on_an_old_kernel_the_gate_knows_a_recent_moment_at_which_nobody_waited(
    base: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    moments: list[float] = []

    def watch(sock: socket.socket, *, connected_after: float) -> Peer:
        moments.append(connected_after)
        return peer_of(sock, connected_after=connected_after)

    monkeypatch.setattr(gates, "peer_of", watch)
    monkeypatch.setattr(gates, "pidfd_check", lambda: Check("peer_pidfd", ok=not old, detail=""))
    async with stream_house(base) as found:
        await asyncio.sleep(0.3)
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert await found.is_served()
    assert moments[0] <= before
    assert (before - moments[0] < 0.15) == old
