"""A bare grpcio unary echo over a unix socket: the floor of every gRPC service in Python.

    python -m tests.benchmarks.echo SOCKET [aio|sync]
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc

METHOD = "/benchmark.Echo/Call"
PAYLOAD = b"x" * 64


def _handlers(handler: Callable[..., object]) -> grpc.GenericRpcHandler:
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Call": grpc.unary_unary_rpc_method_handler(handler)}
    return grpc.method_handlers_generic_handler("benchmark.Echo", methods)


async def _serve_aio(path: str) -> None:
    async def echo(request: bytes, _context: object) -> bytes:
        return request

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_handlers(echo),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


def _serve_sync(path: str) -> None:
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((_handlers(lambda request, _context: request),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(None)


@contextmanager
def echo_server(directory: Path, flavour: str) -> Iterator[Path]:
    """Yields the socket of an echo server in a process of its own."""
    path = directory / f"echo-{flavour}.sock"
    command = [sys.executable, "-m", "tests.benchmarks.echo", str(path), flavour]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield path
        finally:
            server.stdin.close()
            server.wait(10)


def caller(path: Path, method: str = METHOD) -> Callable[[bytes], bytes]:
    """Returns a function that makes one call and returns the raw answer."""
    channel = grpc.insecure_channel(f"unix:{path}", options=(("grpc.enable_http_proxy", 0),))
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return call


if __name__ == "__main__":
    if sys.argv[2] == "aio":
        asyncio.run(_serve_aio(sys.argv[1]))
    else:
        _serve_sync(sys.argv[1])
