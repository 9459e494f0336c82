"""Throughput: several client processes at once, for a while.

    python -m tests.benchmarks.load SECONDS echo|get|reveal SOCKET [KEY]      (one client; prints its number of calls)
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import echo

GET = "/vaultd.v1.ExchangeService/GetExchange"


def operation(what: str, socket: str, key: str = "") -> Callable[[], object]:
    """Returns one call of the named kind."""
    if what == "echo":
        call = echo.caller(Path(socket))
        return lambda: call(echo.PAYLOAD)
    if what == "get":
        from vaultd_api.v1.exchange_service_pb2 import GetExchangeRequest

        call = echo.caller(Path(socket), GET)
        request = GetExchangeRequest(exchange="binance-main").SerializeToString()
        return lambda: call(request)
    from vaultd_client import VaultClient

    client = VaultClient(socket, key)
    return lambda: client.reveal("binance-main", "read")


def throughput(what: str, clients: int, seconds: float, socket: Path, key: Path | None = None) -> float:
    """Returns calls per second of that many client processes together."""
    command = [sys.executable, "-m", "tests.benchmarks.load", str(seconds), what, str(socket), str(key or "")]
    made = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(clients)
    ]
    for process in made:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in made:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    counts = []
    for process in made:
        out, _ = process.communicate(timeout=seconds + 60)
        counts.append(int(out))
    return sum(counts) / seconds


def _client(seconds: float, what: str, socket: str, key: str) -> None:
    call = operation(what, socket, key)
    call()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
        call()
        count += 1
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    _client(float(sys.argv[1]), *sys.argv[2:5])
