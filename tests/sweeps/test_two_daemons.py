"""Two owners of one store: the second is refused within a second, and the first loses nothing."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.sweep import Report

REFUSED_WITHIN = 1.0
SHELL = """
import sqlite3, sys, time
started = time.monotonic()
try:
    store = sqlite3.connect(sys.argv[1], timeout=0.5, isolation_level=None)
    print(store.execute(sys.argv[2]).fetchone(), time.monotonic() - started, sep="|")
except sqlite3.Error as error:
    print(error.sqlite_errorname, time.monotonic() - started, sep="|")
"""
"""What the sqlite3 shell does, whether it is installed or not: opens the file and runs one statement."""
STATEMENTS = (
    "SELECT count(*) FROM clients",
    "UPDATE clients SET uid = 0",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA journal_mode=DELETE",
    "VACUUM",
    "BEGIN EXCLUSIVE",
)


# Before others where that is allowed: the refusal is timed, not the other load of the machine.
SWIFT = ("chrt", "--rr", "1") if os.geteuid() == 0 else ()


def second_daemon(daemon: Daemon, home: Path, *, same_sockets: bool) -> tuple[str, float]:
    """Starts another daemon on the store; returns how that ended, and after how many seconds."""
    other = Daemon(home, {"VAULTD_DATA_DIR": str(daemon.data), "VAULTD_ANCHOR_DIR": str(daemon.anchor_dir)})
    if same_sockets:
        other.environment["VAULTD_RUNTIME_DIR"] = str(daemon.runtime)
    started = time.monotonic()
    process = other.spawn(*SWIFT)
    try:
        code = process.wait(30)
        seconds = time.monotonic() - started
    finally:
        other.close()
    said = other.log()
    other.log_path.unlink()
    whose = "socket" if same_sockets else "store"
    expected = "belongs to another running vaultd" if same_sockets else "another vaultd has the store"
    return (f"daemon refused for the {whose}" if code == 1 and expected in said else f"daemon ended {code}: {said}"), seconds


def shell(daemon: Daemon, statement: str) -> tuple[str, float]:
    """Runs a statement in another process; returns how that ended, and after how many seconds of its own."""
    command = [*SWIFT, sys.executable, "-I", "-c", SHELL, str(daemon.database), statement]
    said, seconds = subprocess.run(command, capture_output=True, check=True).stdout.decode().strip().rsplit("|", 1)
    return ("shell refused" if said == "SQLITE_BUSY" else f"shell let in: {statement}: {said}"), float(seconds)


class Writer(threading.Thread):
    """Changes the vault all the while; what was acknowledged is in `written`."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self.vault = daemon
        self.stopping = threading.Event()
        self.written = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with self.vault.admin() as admin:
                while not self.stopping.wait(0.01):
                    admin.update_exchange("binance-main", labels={"round": str(self.written + 1)})
                    self.written += 1
        except Exception as error:  # noqa: BLE001  shown by the thread that waits for this one
            self.error = error


def sweep(daemon: Daemon, name: str, rounds: int, home: Path) -> None:
    """In each round a second daemon or a shell goes for the store of the first, which is writing."""
    report = Report(name)
    seconds: dict[str, list[float]] = {}
    writer = Writer(daemon)
    writer.start()
    try:
        for number in range(rounds):
            match number % 4:
                case 0:
                    found, took = second_daemon(daemon, home, same_sockets=True)
                case 2:
                    found, took = second_daemon(daemon, home, same_sockets=False)
                case _:
                    found, took = shell(daemon, STATEMENTS[number // 2 % len(STATEMENTS)])
            report.add(found)
            seconds.setdefault(found, []).append(took)
    finally:
        writer.stopping.set()
        writer.join(30)
    report.show()
    for found, each in sorted(seconds.items()):
        print(f"  {found}: after p50 {sorted(each)[len(each) // 2]:.2f} s, max {max(each):.2f} s")
    print(f"  {writer.written} writes of the first meanwhile")
    assert all(" refused" in found for found in report.found)
    assert max(max(each) for each in seconds.values()) < REFUSED_WITHIN
    assert writer.error is None
    assert writer.written > rounds
    whole(daemon, writer.written)


def whole(daemon: Daemon, written: int) -> None:
    """The first daemon serves, its store is sound, and all that it acknowledged is there."""
    with daemon.admin() as admin:
        assert admin.get("binance-main").labels == {"round": str(written)}
        assert admin.reveal("binance-main").secret == READ_PAIR["secret"]
        assert admin.verify_audit().ok
    daemon.stop()
    with closing(sqlite3.connect(daemon.database)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    daemon.start()
    daemon.unlock()


def test_a_second_owner_is_refused_and_nothing_is_lost(vault: Daemon, tmp_path: Path) -> None:
    sweep(vault, "two owners, quick", 6, tmp_path)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_a_second_owner_is_refused_and_nothing_is_lost_full(vault: Daemon, tmp_path: Path) -> None:
    sweep(vault, "two owners, full", 200, tmp_path)


def test_the_daemon_is_refused_while_a_shell_has_the_store_open(vault: Daemon) -> None:
    """The other way round: who came first is the shell; and it is served again when the shell is gone."""
    assert vault.stop() == 0
    with closing(sqlite3.connect(vault.database, isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        assert vault.spawn(*SWIFT).wait(30) == 1
        assert "vaultd: another process has the store open" in vault.log()
        store.execute("ROLLBACK")
    vault.start()
    vault.unlock()
    with vault.admin() as admin:
        assert admin.reveal("binance-main").secret == READ_PAIR["secret"]


def test_the_sweep_calls_a_shell_that_is_let_in_by_its_name(vault: Daemon) -> None:
    """Positive control: the same statement on a store that nobody has."""
    refused, _ = shell(vault, STATEMENTS[0])
    vault.stop()
    let_in, _ = shell(vault, STATEMENTS[0])
    assert (refused, let_in) == ("shell refused", f"shell let in: {STATEMENTS[0]}: (1,)")
