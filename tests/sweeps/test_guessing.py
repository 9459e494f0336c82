"""Fifty wrong passphrases, twenty at a time: one is tried at a time, each failure past the fifth is waited for."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.daemon import Daemon
from tests.support.memory import canary
from tests.support.processes import status_of, until
from tests.support.sweep import Report
from vaultd import limits
from vaultd_client.errors import UnlockDelayedError, VaultClientError

AT_ONCE = 20


def guess(daemon: Daemon) -> str:
    """Tries a wrong passphrase; returns the reason of the refusal."""
    try:
        daemon.unlock(canary().encode())
    except VaultClientError as error:
        return error.reason
    return "OPENED"


def peak_kib(pid: int) -> int:
    """Returns the most memory that a process ever had."""
    return int(status_of(pid)["VmHWM"].removesuffix(" kB"))


def burst(daemon: Daemon, report: Report, guesses: int) -> int:
    """Makes guesses, 20 at a time; returns how many of them were tried."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(guess, [daemon] * guesses))
    for outcome in outcomes:
        report.add(outcome)
    return outcomes.count("WRONG_PASSPHRASE")


def await_turn(daemon: Daemon) -> float:
    """Waits until a guess is welcome; returns the seconds that it took."""
    started = time.monotonic()
    with daemon.unlocker() as unlocker:
        until(lambda: unlocker.status().retry_after_ms == 0, limits.UNLOCK_DELAY_MAX_MS / 1000 + 1)
    return time.monotonic() - started


def sweep(daemon: Daemon, name: str, waits: int) -> None:
    daemon.start()
    daemon.initialize()
    daemon.lock()
    keyholder = daemon.keyholder_pid
    idle = peak_kib(keyholder)
    report = Report(name)
    tried = burst(daemon, report, 50)
    assert 1 <= tried <= limits.FREE_UNLOCK_FAILURES
    while tried < limits.FREE_UNLOCK_FAILURES:
        assert guess(daemon) == "WRONG_PASSPHRASE"
        report.add("WRONG_PASSPHRASE")
        tried += 1
    waited = []
    for number in range(waits):
        # The delay holds for the right passphrase too, and over the death of the daemon, counted anew.
        with pytest.raises(UnlockDelayedError):
            daemon.unlock()
        assert guess(daemon) == "UNLOCK_DELAYED"
        if number == 0:
            assert peak_kib(keyholder) < idle + 1.5 * limits.ARGON2_MIN_MEMORY_KIB
            daemon.kill()
            daemon.start()
            keyholder = daemon.keyholder_pid
        waited.append(await_turn(daemon))
        assert burst(daemon, report, AT_ONCE) == 1  # of twenty at once one is tried; it costs the next delay
        tried += 1
    with daemon.unlocker() as unlocker:
        assert unlocker.status().failures == tried
    peak = peak_kib(keyholder)
    report.show()
    print(f"  waited {', '.join(f'{each:.1f} s' for each in waited)}; keyholder {idle // 1024} MiB idle, {peak // 1024} MiB at most")
    assert report.found.keys() <= {"WRONG_PASSPHRASE", "UNLOCK_BUSY", "UNLOCK_DELAYED"}
    base_ms = limits.UNLOCK_DELAY_BASE_MS
    for number, seconds in enumerate(waited):
        assert seconds > (base_ms << number) / 1000 - 1.5  # what the assertions before it took, and rounding
    # Positive control: one Argon2id shows in this figure, and so would a second.
    assert idle + 0.9 * limits.ARGON2_MIN_MEMORY_KIB < peak < idle + 1.5 * limits.ARGON2_MIN_MEMORY_KIB
    if waits > 1:  # after that many, the right one takes a while
        await_turn(daemon)
        daemon.unlock()


def test_fifty_guesses_twenty_at_a_time_are_tried_one_by_one(daemon: Daemon) -> None:
    sweep(daemon, "guessing, quick", 1)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_fifty_guesses_twenty_at_a_time_are_tried_one_by_one_full(daemon: Daemon) -> None:
    sweep(daemon, "guessing, full", 4)
