"""Promises of `vaultd.server.gate` about bytes and load: all of them arrive, and no caller can keep others out."""

import asyncio
import errno
import hashlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vaultd import limits
from vaultd.model import Check
from vaultd.server import gate as gates
from vaultd.server.gate import Gate
from vaultd.server.peer import Peer, PeerTable, peer_of
from vaultd.server.sockets import bind_public, private_directory

STRANGER, OTHER = 12_345, 23_456
KERNEL_BUFFERS = 2 * limits.MIB
"""More than two unix sockets and one read of the gate hold by default."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acting as another uid takes root")
pytestmark = pytest.mark.asyncio
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class House:
    """A running gate and the paths before and behind it."""

    gate: Gate
    public: Path
    inner: Path

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.public))
        sock.setblocking(False)
        return sock

    async def stays_open(self) -> bool:
        """Says whether a new caller is served."""
        with self.connect() as sock:
            return await echoed(sock)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory that everybody may enter."""
    path = Path(tempfile.mkdtemp(prefix="vaultd-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def house(
    base: Path, handler: Handler | None = echo, listener: socket.socket | None = None, **caps: int
) -> AsyncIterator[House]:
    """A gate, and behind it a server that runs `handler` per connection (None: nothing is there)."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert handler is not None
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    private_directory(base / "inner")
    public, inner = base / "vaultd.sock", base / "inner" / "g.sock"
    gate = Gate(listener or bind_public(public, 0o666), inner, PeerTable(), **caps)
    server = await asyncio.start_unix_server(handle, inner, backlog=1_000) if handler else None
    await gate.start()
    try:
        yield House(gate, public, inner)
    finally:
        await gate.stop()
        if server:
            server.close()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def send(sock: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(20):
        await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: socket.socket, size: int = 65_536) -> bytes:
    async with asyncio.timeout(20):
        return await asyncio.get_running_loop().sock_recv(sock, size)


async def receive_all(sock: socket.socket, size: int = -1) -> bytes:
    data = bytearray()
    while len(data) != size and (piece := await receive(sock)):
        data += piece
    return bytes(data)


async def echoed(sock: socket.socket) -> bool:
    try:
        await send(sock, b"hello")
        return await receive(sock) == b"hello"
    except ConnectionError:
        return False


async def is_closed(sock: socket.socket) -> bool:
    try:
        return await receive(sock) == b""
    except ConnectionResetError:
        return True


async def child(uid: int, code: str, *arguments: object) -> asyncio.subprocess.Process:
    """Starts `code` as `uid`, with pipes."""
    script = f"import os, select, socket, sys, time\nos.setgroups([]); os.setgid({uid}); os.setuid({uid})\n{code}"
    command = [sys.executable, "-I", "-c", script, *map(str, arguments)]
    return await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def run_as(uid: int, code: str, *arguments: object) -> str:
    process = await child(uid, code, *arguments)
    said, _ = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 0
    return said.decode().strip()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- bytes ---------------------------------------------------------------------------------------------------------


async def test_four_mebibytes_arrive_intact_both_ways_at_once(base: Path) -> None:
    data = os.urandom(4 * limits.MIB)
    async with house(base) as found:
        with found.connect() as sock:
            _, back = await asyncio.gather(send(sock, data), receive_all(sock, len(data)))
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


async def test_twenty_streams_at_once_do_not_mix(base: Path) -> None:
    async with house(base) as found:

        async def stream(mark: int) -> bool:
            data = bytes([mark]) * limits.MIB
            with found.connect() as sock:
                _, back = await asyncio.gather(send(sock, data), receive_all(sock, len(data)))
            return back == data

        assert all(await asyncio.gather(*(stream(mark) for mark in range(20))))


async def test_a_caller_that_has_said_all_still_hears_the_answer(base: Path) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hashlib.sha256(await reader.read()).digest())
        await writer.drain()

    data = os.urandom(limits.MIB)
    async with house(base, answer_at_the_end) as found:
        with found.connect() as sock:
            await send(sock, data)
            sock.shutdown(socket.SHUT_WR)
            assert await receive_all(sock) == hashlib.sha256(data).digest()
        await until(lambda: found.gate.open_connections == 0)


async def test_when_the_server_closes_the_caller_gets_all_it_said_and_then_the_end(base: Path) -> None:
    data = os.urandom(limits.MIB)

    async def say_and_leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    async with house(base, say_and_leave) as found:
        with found.connect() as sock:
            await send(sock, b"x")
            assert await receive_all(sock, len(data)) == data
            assert await is_closed(sock)
            await until(lambda: found.gate.open_connections == 0)


async def test_a_caller_that_leaves_is_gone_for_the_server_too(base: Path) -> None:
    ended = asyncio.Event()

    async def wait_for_the_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    async with house(base, wait_for_the_end) as found:
        with found.connect() as sock:
            await send(sock, b"x")
        await asyncio.wait_for(ended.wait(), 5)
        await until(lambda: found.gate.open_connections == 0)


async def test_a_caller_that_does_not_read_stops_the_server_and_loses_nothing(base: Path) -> None:
    said = 0
    block = bytes(range(256)) * 256

    async def say_for_ever(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        while True:
            writer.write(block)
            said += len(block)
            await writer.drain()

    async with house(base, say_for_ever) as found:
        with found.connect() as sock:
            await send(sock, b"x")
            before = -1
            while said != before:
                before = said
                await asyncio.sleep(0.1)
            assert 0 < said < KERNEL_BUFFERS
            assert await receive_all(sock, 8 * limits.MIB) == block * (8 * limits.MIB // len(block))


async def test_a_server_that_does_not_read_stops_the_caller_and_loses_nothing(base: Path) -> None:
    go = asyncio.Event()

    async def read_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        writer.write(hashlib.sha256(await reader.read()).digest())

    data = os.urandom(4 * limits.MIB)
    async with house(base, read_later) as found:
        with found.connect() as sock:
            sent, idle = 0, 0
            while idle < 20:
                try:
                    sent += sock.send(data[sent:])
                    idle = 0
                except BlockingIOError:
                    idle += 1
                    await asyncio.sleep(0.01)
            assert 0 < sent < KERNEL_BUFFERS
            go.set()
            await send(sock, data[sent:])
            sock.shutdown(socket.SHUT_WR)
            assert await receive_all(sock) == hashlib.sha256(data).digest()


async def test_a_caller_that_takes_nothing_is_dropped_and_a_slow_one_is_not(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def say_for_ever(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    monkeypatch.setattr(limits, "STALL_SECONDS", 0.5)
    async with house(base, say_for_ever) as found:
        with found.connect() as stopped, found.connect() as slow:
            for sock in (stopped, slow):
                await send(sock, b"x")
            for _ in range(15):
                await asyncio.sleep(0.1)
                assert await receive(slow, 256 * limits.KIB)
            assert found.gate.open_connections == 1
            await until(lambda: found.gate.open_connections == 0)


# --- caps and silence ----------------------------------------------------------------------------------------------


async def test_one_uid_has_so_many_connections_and_no_more(base: Path) -> None:
    async with house(base, per_uid=3) as found:
        with ExitStack() as stack:
            first = [stack.enter_context(found.connect()) for _ in range(3)]
            assert await is_closed(stack.enter_context(found.connect()))
            assert all([await echoed(sock) for sock in first])
            assert found.gate.refused == 1
        await until(lambda: found.gate.open_connections == 0)
        assert await found.stays_open()


@as_root
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
    async with house(base, per_uid=2, total=3) as found:
        with found.connect() as one, found.connect() as two:
            assert await echoed(one)
            assert await echoed(two)
            assert await run_as(STRANGER, try_three, found.public) == "1"
            assert found.gate.refused == 2
        await until(lambda: found.gate.open_connections == 0)
        assert await run_as(STRANGER, try_three, found.public) == "2"


async def test_the_total_stays_within_the_descriptors_of_the_process(base: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.DESCRIPTORS_KEPT + 4 * limits.DESCRIPTORS_PER_CONNECTION, hard))
    try:
        async with house(base) as found:
            assert found.gate.total == 4
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with house(base, total=5) as found:
        assert found.gate.total == 5


async def test_a_silent_caller_is_dropped_and_one_that_spoke_stays(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_BYTE_SECONDS", 0.3)
    async with house(base) as found:
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
async def test_three_hundred_silent_connections_keep_nobody_else_out(base: Path) -> None:
    async with house(base) as found:
        before = descriptors()
        flood = await child(STRANGER, HOLD, found.public, 300)
        assert flood.stdout is not None
        assert await flood.stdout.readline() == b"held\n"
        await until(lambda: found.gate.open_connections + found.gate.refused == 300)
        assert found.gate.open_connections == limits.CONNECTIONS_PER_UID
        assert float(await run_as(OTHER, SERVED, found.public)) < 3
        await until(lambda: found.gate.open_connections == 0)
        assert found.gate.silent == limits.CONNECTIONS_PER_UID
        await flood.communicate()
        await until(lambda: descriptors() <= before)


@as_root
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
    async with house(base) as found:
        before = descriptors()
        flood = asyncio.create_task(run_as(STRANGER, storm, found.public))
        waits = []
        while not flood.done():
            waits.append(float(await run_as(OTHER, SERVED, found.public)))
        assert await flood == "over"
        assert max(waits) < 3
        await until(lambda: found.gate.open_connections == 0 and descriptors() <= before)


# --- descriptors, and a server that is not there -------------------------------------------------------------------


async def test_five_hundred_connections_leave_no_descriptor_behind(base: Path) -> None:
    async with house(base, per_uid=1_000) as found:
        assert await found.stays_open()
        await until(lambda: found.gate.open_connections == 0)
        before = descriptors()
        with ExitStack() as stack:
            socks = [stack.enter_context(found.connect()) for _ in range(500)]
            assert all([await echoed(sock) for sock in socks])
            assert (found.gate.open_connections, descriptors()) == (500, before + 4 * 500)
        await until(lambda: found.gate.open_connections == 0 and descriptors() <= before)


async def test_stopping_closes_every_connection_and_descriptor(base: Path) -> None:
    before = descriptors()
    async with house(base) as found:
        speaker, silent = found.connect(), found.connect()
        assert await echoed(speaker)
    with speaker, silent:
        assert await is_closed(speaker)
        assert await is_closed(silent)
    await until(lambda: descriptors() <= before)


@as_root
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
    async with house(base) as found:
        process = await child(STRANGER, knock, found.public)
        taken: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 50, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            worked = time.process_time()
            said, _ = await asyncio.wait_for(process.communicate(b"\n"), 20)
            assert said == b"50\n"
            assert found.gate.refused == 50
            await asyncio.sleep(0.5)
            assert time.process_time() - worked < 0.4
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await found.stays_open()


class FailingListener(socket.socket):
    """A listener whose accept() fails for want of memory as long as `failing`."""

    failing = False
    tries = 0

    def accept(self) -> Any:
        if self.failing:
            self.tries += 1
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return super().accept()


async def test_an_accept_that_fails_is_tried_again_and_does_not_spin(base: Path) -> None:
    listener = FailingListener(socket.AF_UNIX)
    listener.bind(str(base / "vaultd.sock"))
    async with house(base, listener=listener) as found:
        listener.failing = True
        with found.connect() as sock:
            await until(lambda: listener.tries >= 3)
            start = time.monotonic()
            await until(lambda: listener.tries >= 6)
            assert time.monotonic() - start > 2 * limits.ACCEPT_PAUSE_SECONDS
            listener.failing = False
            assert await echoed(sock)


async def test_a_full_accept_queue_behind_the_gate_is_waited_for(base: Path) -> None:
    async with house(base, handler=None) as found:
        with socket.socket(socket.AF_UNIX) as full, ExitStack() as stack:
            full.bind(str(found.inner))
            full.listen(0)
            socks = [stack.enter_context(found.connect()) for _ in range(10)]
            for sock in socks:
                await send(sock, b"hello")
            await until(lambda: found.gate.open_connections == 10)
            await asyncio.sleep(0.1)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as eleventh:
                assert eleventh.connect_ex(str(found.inner)) == errno.EAGAIN  # the control: it is full
            server = await asyncio.start_unix_server(echo, sock=full.dup())
            assert [await receive(sock) for sock in socks] == [b"hello"] * 10
            server.close()
        await until(lambda: found.gate.open_connections == 0)


async def test_a_server_that_never_accepts_does_not_hold_callers_for_ever(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INNER_CONNECT_SECONDS", 0.3)
    async with house(base, handler=None) as found:
        with socket.socket(socket.AF_UNIX) as full, ExitStack() as stack:
            full.bind(str(found.inner))
            full.listen(0)
            socks = [stack.enter_context(found.connect()) for _ in range(10)]
            for sock in socks:
                await send(sock, b"hello")
            await until(lambda: found.gate.unreached == 9)
            assert found.gate.open_connections == 1


async def test_a_caller_is_closed_when_nothing_is_behind_the_gate(base: Path) -> None:
    async with house(base, handler=None) as found:
        with found.connect() as sock:
            await send(sock, b"hello")
            assert await is_closed(sock)
        assert (found.gate.unreached, found.gate.open_connections) == (1, 0)


@pytest.mark.parametrize("old", [True, False])
async def test_on_an_old_kernel_the_gate_knows_a_recent_moment_at_which_nobody_waited(
    base: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    moments: list[float] = []

    def watch(sock: socket.socket, *, connected_after: float) -> Peer:
        moments.append(connected_after)
        return peer_of(sock, connected_after=connected_after)

    monkeypatch.setattr(gates, "peer_of", watch)
    monkeypatch.setattr(gates, "pidfd_check", lambda: Check("peer_pidfd", ok=not old, detail=""))
    async with house(base) as found:
        await asyncio.sleep(0.3)
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert await found.stays_open()
    assert moments[0] <= before
    assert (before - moments[0] < 0.15) == old
