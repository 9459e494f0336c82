"""Figures of vaultd itself: memory, start, unlock, lock."""

import os
import re
import select
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from tests.benchmarks.timing import Latency, latency
from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from vaultd_client.slots import KdfParameters


def resident_mb(pid: int) -> float:
    """Returns the resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def cost(daemon: Daemon) -> KdfParameters:
    """Returns the cost of the passphrase of an unlocked vault."""
    with daemon.unlocker() as unlocker:
        slot = next(each for each in unlocker.slots() if each.kind == "passphrase")
    return KdfParameters(slot.memory_kib, slot.passes, slot.lanes)


def argon2_ms(kdf: KdfParameters) -> float:
    """Returns the time of bare Argon2id of a cost."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        hash_secret_raw(PASSPHRASE, bytes(16), kdf.passes, kdf.memory_kib, kdf.lanes, 32, Type.ID)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def timed_ms(work: Callable[[], object]) -> float:
    """Returns how long something takes, in milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def unlock_beyond_ms(daemon: Daemon, times: int) -> list[float]:
    """Returns the times of unlock less bare Argon2id, taken in turns, in milliseconds. The vault is unlocked and stays so."""
    beyond = []
    kdf = cost(daemon)
    for _ in range(times):
        unlocked_lock_ms(daemon)
        bare = argon2_ms(kdf)
        beyond.append(timed_ms(daemon.unlock) - bare)
    return beyond


def unlocked_lock_ms(daemon: Daemon) -> float:
    """Returns `lock_ms` of a vault that may be locked already."""
    with daemon.unlocker() as unlocker:
        state = unlocker.status().state
    if state != "UNLOCKED":
        daemon.unlock()
    return lock_ms(daemon)


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


def latency_ms(times: Iterable[float]) -> Latency:
    """Returns the percentiles of a few times in milliseconds."""
    return latency(list(times))
