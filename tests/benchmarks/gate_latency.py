"""What the gate costs: median of a 64-byte unary echo straight to gRPC and through the gate, in turns.

    python tests/benchmarks/gate_latency.py [rounds]

Server (grpc.aio and gate, one event loop) and client (synchronous) are two processes. The two ways alternate in batches,
because only pairs measured together can be compared on a shared machine.
"""

import asyncio
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from vaultd.server.gate import Gate
from vaultd.server.peer import PeerTable
from vaultd.server.sockets import bind_public, private_directory

METHOD = "/benchmark.Echo/Call"
BATCH = 200
say = functools.partial(print, flush=True)


async def _echo(request: bytes, _context: object) -> bytes:
    return request


async def serve(base: Path) -> None:
    """Serves until standard input ends; says "ready" on standard output."""
    private_directory(base / "inner")
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Call": grpc.unary_unary_rpc_method_handler(_echo)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmark.Echo", handlers),))
    server.add_insecure_port(f"unix:{base / 'inner' / 'grpc.sock'}")
    await server.start()
    gate = Gate(bind_public(base / "public.sock", 0o600), base / "inner" / "grpc.sock", PeerTable())
    await gate.start()
    say("ready")
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)
    await gate.stop()


def measure(rounds: int) -> None:
    """Prints both medians, their difference and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        command = [sys.executable, __file__, "serve", name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            paths = {"direct": base / "inner" / "grpc.sock", "gate": base / "public.sock"}
            channels = {way: grpc.insecure_channel(f"unix:{path}") for way, path in paths.items()}
            calls: dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]] = {}
            for way, channel in channels.items():
                calls[way] = channel.unary_unary(METHOD)
            took: dict[str, list[float]] = {way: [] for way in calls}
            for turn in range(rounds):
                for way, call in calls.items():
                    samples = [_timed(call) for _ in range(BATCH)]
                    took[way] += samples if turn else []  # the first turn warms up
            for channel in channels.values():
                channel.close()
            server.communicate()
    direct, gate = (statistics.median(took[way]) for way in ("direct", "gate"))
    for way, samples in took.items():
        cuts = statistics.quantiles(samples, n=100)
        say(f"{way:7} p50 {cuts[49] * 1e6:6.0f} us   p99 {cuts[98] * 1e6:6.0f} us   calls {len(samples)}")
    say(f"gate costs {1e6 * (gate - direct):.0f} us, ratio {gate / direct:.2f}")


def _timed(call: "grpc.UnaryUnaryMultiCallable[bytes, bytes]") -> float:
    start = time.perf_counter()
    call(b"x" * 64)
    return time.perf_counter() - start


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(Path(sys.argv[2])))
    else:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
