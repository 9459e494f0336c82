"""Everything that a process of the daemon's own user, another's, and code inside the keyholder may try, again and again.

At the server and at every new keyholder, locked and unlocked, idle and at work; and signals that leave a core file.
"""

import errno
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import attack
from tests.support.attackers import REFUSED, attacked, undefended
from tests.support.daemon import Daemon
from tests.support.gate_house import as_root
from tests.support.harden import Child
from tests.support.processes import NOBODY, daemon_of, until
from tests.support.sweep import Report
from vaultd_client import ClientKey

pytestmark = as_root
OTHER = NOBODY - 1
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)


@contextmanager
def at_work(daemon: Daemon, key: ClientKey) -> Iterator[None]:
    """Has the keyholder reveal all the while."""
    over, busy = threading.Event(), threading.Event()

    def reveal() -> None:
        with daemon.client(key) as bot:
            while not over.is_set():
                assert bot.reveal("binance-main").secret
                busy.set()

    with ThreadPoolExecutor(1) as other:
        working = other.submit(reveal)
        try:
            assert busy.wait(10)
            yield
        finally:
            over.set()
        working.result()


def assault(daemon: Daemon, report: Report, when: str) -> None:
    for who, pid in (("server", daemon.pid), ("keyholder", daemon.keyholder_pid)):
        for uid in (NOBODY, OTHER):
            for name, error in attacked(pid, uid).items():
                report.add("refused" if error in REFUSED else f"{who} {when} LET IN uid {uid}: {name}: {error}")


def crash(daemon: Daemon, report: Report, number: signal.Signals) -> None:
    """Ends the keyholder in a way that leaves a core file of a careless process."""
    before = daemon.keyholder_pid
    os.kill(before, number)
    until(lambda: daemon.keyholder_pid != before, 20)
    cores = [*daemon.home.rglob("core*"), *Path().glob("core*")]
    report.add("crash without a core" if not cores else f"CORE after {number.name}: {cores}")


def escapes(report: Report) -> None:
    """What code inside a sealed keyholder tries."""
    with Child("sealed_and_not", env={}) as child:
        told = child.says()
    for name, found in told["after"].items():
        if told["before"][name] == "done":  # or this host refuses it to everybody
            report.add("escape refused" if found == errno.errorcode[errno.EPERM] else f"ESCAPED by {name}: {found}")


def sweep(name: str, rounds: int) -> None:
    report = Report(name)
    with daemon_of(NOBODY) as daemon:
        key = daemon.add_bot()
        for number in range(rounds):
            assault(daemon, report, "unlocked")
            with at_work(daemon, key):
                assault(daemon, report, "at work")
            crash(daemon, report, CRASHES[number % len(CRASHES)])
            assault(daemon, report, "locked")
            escapes(report)
            daemon.unlock()
        with daemon.admin() as admin:
            assert admin.reveal("binance-main").secret  # none the worse
    report.show()
    assert set(report.found) == {"refused", "crash without a core", "escape refused"}
    # Positive control: the same attempts at a process that does not defend itself.
    with undefended() as victim:
        assert attacked(victim) == dict.fromkeys(attack.ATTEMPTS, 0)


def test_nobody_gets_in_and_nothing_gets_out() -> None:
    sweep("attacks, quick", 1)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_nobody_gets_in_and_nothing_gets_out_full() -> None:
    sweep("attacks, full", 28)
