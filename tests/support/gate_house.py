"""A running gate for the tests of it, and callers of other uids."""

import asyncio
import functools
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from vaultd.server.gate import Gate
from vaultd.server.peer import PeerTable
from vaultd.server.sockets import bind_public, private_directory

STRANGER, OTHER = 12_345, 23_456
WHO = "/test.Who/Call"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acting as another uid takes root")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **options: Any) -> None:
        asyncio.run(test(*arguments, **options))

    return run


@dataclass
class House:
    """A gate, the paths before and behind it, and its table."""

    gate: Gate
    table: PeerTable
    public: Path
    inner: Path

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.public))
        sock.setblocking(False)
        return sock

    async def is_served(self) -> bool:
        """Says whether a new caller is answered by `echo`."""
        with self.connect() as sock:
            return await echoed(sock)


@asynccontextmanager
async def empty_house(base: Path, listener: socket.socket | None = None, **caps: int) -> AsyncIterator[House]:
    """A gate with nothing behind it."""
    private_directory(base / "inner")
    public, inner, table = base / "vaultd.sock", base / "inner" / "g.sock", PeerTable()
    gate = Gate(listener or bind_public(public, 0o666), inner, table, **caps)
    await gate.start()
    try:
        yield House(gate, table, public, inner)
    finally:
        await gate.stop()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def serving(handler: Handler, **where: Any) -> AsyncIterator[None]:
    """A server that runs `handler` per connection and then closes the connection."""
    running: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass  # the caller left in the middle
        finally:
            writer.close()
            running.discard(task)

    server = await asyncio.start_unix_server(handle, backlog=1_000, **where)
    try:
        yield
    finally:
        server.close()
        if running:
            await asyncio.wait(running, timeout=10)


@asynccontextmanager
async def stream_house(base: Path, handler: Handler = echo, **options: Any) -> AsyncIterator[House]:
    """A gate, and behind it a server that runs `handler` per connection."""
    private_directory(base / "inner")
    async with serving(handler, path=base / "inner" / "g.sock"), empty_house(base, **options) as found:
        yield found


@asynccontextmanager
async def grpc_house(base: Path) -> AsyncIterator[House]:
    """A gate, and behind it a gRPC server whose method WHO says `context.peer()` and whom the table has for it."""
    async with empty_house(base) as found:

        async def who(_request: bytes, context: Any) -> bytes:
            return f"{context.peer()} {found.table.lookup(context.peer())}".encode()

        server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Call": grpc.unary_unary_rpc_method_handler(who)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Who", handlers),))
        server.add_insecure_port(f"unix:{found.inner}")
        await server.start()
        try:
            yield found
        finally:
            await server.stop(None)


@asynccontextmanager
async def asked(path: Path) -> AsyncIterator[str]:
    """Calls WHO at `path` and gives the answer while the connection is open."""
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(WHO)
        yield (await call(b"", timeout=10)).decode()


async def ask(path: Path) -> str:
    """Calls WHO at `path`."""
    async with asked(path) as answer:
        return answer


async def child(uid: int, code: str, *arguments: object, grpc_too: bool = False) -> asyncio.subprocess.Process:
    """Starts `code` as `uid`, with pipes. It starts as us, because others may not be allowed to read the interpreter."""
    become = f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})" if uid != os.geteuid() else ""
    # grpc imports the rest of itself at the first channel
    load = "import grpc; grpc.insecure_channel('unix:/nowhere').close()" if grpc_too else ""
    script = f"import os, select, socket, sys, threading, time\n{load}\n{become}\n{code}"
    command = [sys.executable, "-P", "-c", script, *map(str, arguments)]
    return await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def run_as(uid: int, code: str, *arguments: object, grpc_too: bool = False) -> str:
    """Runs `code` as `uid` and returns what it says."""
    process = await child(uid, code, *arguments, grpc_too=grpc_too)
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return said.decode().strip()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for something that has no event."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def send(sock: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(20):
        await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: socket.socket, size: int = 65_536) -> bytes:
    async with asyncio.timeout(20):
        return await asyncio.get_running_loop().sock_recv(sock, size)


async def receive_all(sock: socket.socket, size: int = -1) -> bytes:
    """Returns `size` bytes, or all there are where the other side ends before."""
    data = bytearray()
    while len(data) != size and (piece := await receive(sock, min(65_536, (size - len(data)) % 65_536 or 65_536))):
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


def descriptors() -> int:
    """Returns how many this process has open."""
    return len(os.listdir("/proc/self/fd"))
