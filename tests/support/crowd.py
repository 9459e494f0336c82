"""Many clients of one user in one process. Run by path, as that user:

    crowd.py serve SOCKET KEY CLIENTS REQUESTS   each client makes so many requests, half of them reveals
    crowd.py watch SOCKET KEY                    one request after another, on new and kept connections, until stdin ends
    crowd.py flood SOCKET CONNECTIONS            opens so many and keeps what it gets, until stdin ends

Prints `ready`, waits for a line, works, and prints a JSON object: outcome to count, and seconds that answers took.
"""

import asyncio
import contextlib
import json
import resource
import socket
import sys
import threading
import time
from collections import Counter

from vaultd_client import ClientKey
from vaultd_client.aio import AsyncVaultClient
from vaultd_client.errors import VaultClientError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a gRPC client sends first: RFC 9113, section 3.4, and empty settings."""
PATIENCE = 60.0


class Tally:
    """Outcomes and times."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []

    async def ask(self, client: AsyncVaultClient, number: int) -> None:
        started = time.monotonic()
        try:
            if number % 2:
                found = (await client.reveal("binance-main", "read")).secret
            else:
                found = (await client.get("binance-main")).name
            self.outcomes["answered" if found else "empty"] += 1
        except VaultClientError as error:
            self.outcomes[error.reason] += 1
        self.seconds.append(time.monotonic() - started)

    def show(self) -> None:
        print(json.dumps({"outcomes": self.outcomes, "seconds": sorted(self.seconds)}), flush=True)


async def serve(path: str, key: ClientKey, clients: int, requests: int) -> None:
    tally = Tally()

    async def one() -> None:
        async with AsyncVaultClient(path, key, timeout=PATIENCE) as client:
            for number in range(requests):
                await tally.ask(client, number)

    await asyncio.gather(*(one() for _ in range(clients)))
    tally.show()


async def watch(path: str, key: ClientKey) -> None:
    tally, ended = Tally(), threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    async with AsyncVaultClient(path, key, timeout=PATIENCE) as kept:
        number = 0
        while not ended.is_set():
            number += 1
            await tally.ask(kept, number)
            async with AsyncVaultClient(path, key, timeout=PATIENCE) as fresh:
                await tally.ask(fresh, number)
    tally.show()


def flood(path: str, connections: int) -> None:
    """A third says nothing, a third nonsense, a third opens HTTP/2 and falls silent."""
    outcomes: Counter[str] = Counter()
    kept = []
    for number in range(connections):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            if number % 3:
                connection.send(PREFACE if number % 3 == 1 else b"GET / HTTP/1.1\r\n\r\n")
        except OSError as error:
            outcomes[type(error).__name__] += 1
            connection.close()
        else:
            outcomes["opened"] += 1
            kept.append(connection)
    print(json.dumps({"outcomes": outcomes, "seconds": []}), flush=True)
    sys.stdin.read()
    for connection in kept:
        with contextlib.suppress(OSError):
            connection.close()


def main() -> None:
    what, path, *rest = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    key = ClientKey.load(rest[0]) if what != "flood" else None
    print("ready", flush=True)
    sys.stdin.readline()
    if key is None:
        flood(path, int(rest[0]))
    elif what == "serve":
        asyncio.run(serve(path, key, int(rest[1]), int(rest[2])))
    else:
        asyncio.run(watch(path, key))


if __name__ == "__main__":
    main()
