"""Figures of vaultd itself: memory, start, unlock, lock, and how they grow with the number of exchanges."""

import os
import re
import select
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from tests.benchmarks.load import operation
from tests.benchmarks.timing import in_turns
from tests.support.bulk import fill
from tests.support.daemon import CHEAP, PASSPHRASE, Daemon, new_daemon


@dataclass(frozen=True, slots=True)
class Size:
    """Figures at one number of exchanges: microseconds, and milliseconds for unlock beyond Argon2id."""

    exchanges: int
    get_us: float
    list_us: float
    write_us: float
    reveal_us: float
    unlock_beyond_ms: float
    server_mb: float
    keyholder_mb: float


def resident_mb(pid: int) -> float:
    """Returns the resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def argon2_ms() -> float:
    """Returns the time of bare Argon2id with the cost of the test vault."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        hash_secret_raw(PASSPHRASE, bytes(16), CHEAP.passes, CHEAP.memory_kib, CHEAP.lanes, 32, Type.ID)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def timed_ms(work: Callable[[], object]) -> float:
    """Returns how long something takes, in milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def unlock_beyond_ms(daemon: Daemon, times: int = 5) -> float:
    """Returns the median of unlock less bare Argon2id, taken in turns. Leaves the vault unlocked."""
    beyond = []
    with daemon.unlocker() as unlocker:
        unlocked = unlocker.status().state == "UNLOCKED"
    if unlocked:
        lock_ms(daemon)
    for _ in range(times):
        bare = argon2_ms()
        beyond.append(timed_ms(daemon.unlock) - bare)
        lock_ms(daemon)
    daemon.unlock()
    return statistics.median(beyond)


def lock_ms(daemon: Daemon) -> float:
    """Returns the time from the request to lock to the end of the keyholder; returns when a new one is there."""
    old = daemon.keyholder_pid
    pidfd = os.pidfd_open(old)
    try:
        began = time.perf_counter()
        daemon.lock()
        assert select.select([pidfd], [], [], 10)[0]
        taken = (time.perf_counter() - began) * 1e3
    finally:
        os.close(pidfd)
    assert daemon.keyholder_pid != old
    return taken


def start_ms() -> float:
    """Returns the time from exec to the first answered call of a daemon with a store."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.stop()
        began = time.perf_counter()
        daemon.start()
        with daemon.client() as client:
            client.vault()
        return (time.perf_counter() - began) * 1e3


def at_size(count: int, rounds: int) -> Size:
    """Returns the figures of a vault of that many exchanges."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.add_exchange()
        daemon.stop()
        fill(daemon, count - 1)
        daemon.start(timeout=120)
        beyond = unlock_beyond_ms(daemon)
        socket = str(daemon.runtime / "vaultd.sock")
        with daemon.admin() as admin:
            number = iter(range(1_000_000))
            taken = in_turns(
                {
                    "get": operation("get", socket),
                    "list": lambda: admin_page(daemon),
                    "write": lambda: admin.update_exchange("binance-main", labels={"n": str(next(number))}),
                    "reveal": lambda: admin.reveal("binance-main", "read"),
                },
                rounds,
                20,
            )
        return Size(
            count,
            taken["get"].p50,
            taken["list"].p50,
            taken["write"].p50,
            taken["reveal"].p50,
            beyond,
            resident_mb(daemon.pid),
            resident_mb(daemon.keyholder_pid),
        )


def admin_page(daemon: Daemon) -> bytes:
    """Lists the first hundred exchanges."""
    return _lister(str(daemon.runtime / "vaultd.sock"))(b"")


def _lister(socket: str) -> Callable[[bytes], bytes]:
    from tests.benchmarks import echo

    if socket not in _LISTERS:
        _LISTERS[socket] = echo.caller(Path(socket), "/vaultd.v1.ExchangeService/ListExchanges")
    return _LISTERS[socket]


_LISTERS: dict[str, Callable[[bytes], bytes]] = {}


def as_dict(size: Size) -> dict[str, float]:
    """Returns the figures for a JSON file."""
    return asdict(size)
