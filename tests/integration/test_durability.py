"""What was acknowledged is there after a kill; one daemon owns a store; nothing at a path that is not ours is touched."""

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, new_daemon
from tests.support.exchanges import by_name, pair
from tests.support.paths import ends, facts
from tests.support.stores import everything, history, unlock
from vaultd_client import VaultClient, VaultClientError

STRANGER_UID = 65_534


# --- kill -9 --------------------------------------------------------------------------------------------------------


STEPS: dict[str, tuple[Callable[[VaultClient], object], Callable[[VaultClient], bool]]] = {
    "create": (
        lambda admin: admin.create_exchange("made", "binance", {"read": pair("made")}),
        lambda admin: admin.reveal("made").secret == pair("made")["secret"],
    ),
    "update": (
        lambda admin: admin.update_exchange("made", labels={"after": "kill"}),
        lambda admin: by_name(admin)["made"].labels == {"after": "kill"},
    ),
    "rotate": (
        lambda admin: admin.rotate_credential("made", "read", pair("again")),
        lambda admin: admin.reveal("made").version == 2 and admin.reveal("made", "read", 1).version == 1,
    ),
    "grant": (
        lambda admin: admin.create_grant("bot", "made", "read"),
        lambda admin: any(grant.configuration == "read" for each in admin.clients() for grant in each.grants),
    ),
    "revoke": (lambda admin: admin.revoke_exchange("made"), lambda admin: by_name(admin)["made"].state == "REVOKED"),
    "delete": (lambda admin: admin.delete_exchange("made"), lambda admin: "made" not in by_name(admin)),
}


def test_what_was_acknowledged_survives_a_kill_and_the_audit_verifies(kept: Daemon) -> None:
    for change, holds in STEPS.values():
        with kept.admin() as admin:
            before = admin.audit(limit=1)[0].sequence
            change(admin)
        kept.kill()
        kept.start()
        unlock(kept)
        with kept.admin() as admin:
            assert holds(admin)
            assert admin.audit(limit=1)[0].sequence >= before + 2
            assert admin.verify_audit().ok


def test_a_kill_among_many_writers_loses_nothing_that_was_acknowledged(kept: Daemon) -> None:
    acknowledged: list[str] = []
    under_way = threading.Event()

    def write(number: int) -> None:
        with kept.admin() as admin:
            for count in range(1000):
                name = f"writer {number} {count}"
                try:
                    admin.create_exchange(name, "binance", {"read": pair(name)})
                except VaultClientError:
                    return
                acknowledged.append(name)
                if len(acknowledged) >= 20:
                    under_way.set()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    assert under_way.wait(30)
    kept.kill()
    for writer in writers:
        writer.join()
    kept.start()
    unlock(kept)
    with kept.admin() as admin:
        there = set(by_name(admin))
        assert set(acknowledged) <= there
        assert len(there) <= 2 + len(acknowledged) + len(writers), "at most one unacknowledged change for each writer"
        assert admin.verify_audit().ok
        for name in acknowledged[-3:]:
            assert admin.reveal(name).secret == pair(name)["secret"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("state", ["uninitialized", "locked", "unlocked"])
def test_a_signal_ends_it_cleanly_in_every_state(daemon: Daemon, state: str, number: signal.Signals) -> None:
    if state != "uninitialized":
        history().new.put(daemon)
    daemon.start()
    if state == "unlocked":
        unlock(daemon)
        with daemon.admin() as admin:
            admin.create_exchange("last", "binance", {"read": pair("last")})
    process = daemon.process
    assert process is not None
    process.send_signal(number)
    assert process.wait(10) == 0
    log = daemon.database.with_name("vault.db-wal")
    assert not log.exists() or log.stat().st_size == 0
    assert not [word for word in ("Traceback", "Exception") if word in daemon.log()]
    if state == "unlocked":
        assert "last" in [row[2] for row in everything(daemon.database)["exchanges"]]


# --- one owner ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", ["everything", "the store alone"])
def test_a_second_daemon_ends_within_a_second_and_the_first_goes_on(daemon: Daemon, shared: str) -> None:
    history().new.put(daemon)
    began = time.monotonic()
    daemon.start()
    patience = max(1.0, 2 * (time.monotonic() - began))  # on a busy host a start takes that long by itself
    unlock(daemon)
    with new_daemon() as second:
        second.environment.update({name: daemon.environment[name] for name in ("VAULTD_DATA_DIR", "VAULTD_ANCHOR_DIR")})
        words = f"another vaultd has the store {daemon.database} open"
        if shared == "everything":
            second.environment["VAULTD_RUNTIME_DIR"] = daemon.environment["VAULTD_RUNTIME_DIR"]
            words = "vaultd.sock belongs to another running vaultd"
        assert ends(second, words) < patience
        assert "is vaultd running already?" in second.log()
    with daemon.admin() as admin:
        admin.update_exchange("kraken-main", labels={"still": "here"})
        assert admin.verify_audit().ok


def test_no_other_program_reads_or_writes_the_store_meanwhile(kept: Daemon) -> None:
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute(sys.argv[2])"
    for statement in ("SELECT * FROM clients", "DELETE FROM audit", "PRAGMA wal_checkpoint"):
        run = subprocess.run(
            [sys.executable, "-c", script, kept.database, statement], capture_output=True, text=True, check=False
        )
        assert run.returncode == 1
        assert "database is locked" in run.stderr
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(f"file:{kept.database}?mode=ro", uri=True, timeout=0).execute("SELECT * FROM clients")
    kept.stop()
    assert len(everything(kept.database)["clients"]) == 2, "the control: it can be read now"


def test_a_store_that_another_program_holds_is_refused_at_start(daemon: Daemon) -> None:
    history().new.put(daemon)
    other = sqlite3.connect(daemon.database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    ends(daemon, "another process has the store open")
    other.rollback()
    other.close()
    daemon.start()
    unlock(daemon)


# --- paths that are occupied ----------------------------------------------------------------------------------------


def bound_by(uid: int) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        os.chown(path, uid, uid)

    return plant


def linked_to_a_file(path: Path) -> None:
    path.with_name("precious").write_text("precious")
    path.symlink_to("precious")


PLANTED: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_text("precious"),
    "symlink": lambda path: path.symlink_to(path.with_name("elsewhere")),
    "symlink to a file": linked_to_a_file,
    "directory": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "socket of another": bound_by(STRANGER_UID),
}


@pytest.mark.parametrize("name", ["vaultd.sock", "unlock.sock"])
@pytest.mark.parametrize("what", PLANTED)
def test_what_stands_at_the_path_of_a_socket_is_left_alone(daemon: Daemon, name: str, what: str) -> None:
    if what == "socket of another" and os.geteuid() != 0:
        pytest.skip("giving a socket to another takes root")
    daemon.runtime.mkdir(mode=0o755)
    path = daemon.runtime / name
    PLANTED[what](path)
    before = facts(path)
    ends(daemon, f"{path} is not a socket of ours")
    assert facts(path) == before
    assert not daemon.database.exists()
    if what == "symlink":
        assert not path.with_name("elsewhere").exists()


def test_sockets_that_a_killed_daemon_left_are_replaced(daemon: Daemon) -> None:
    for _ in range(2):
        daemon.start()
        with daemon.client() as client:
            assert client.vault().state == "UNINITIALIZED"
        daemon.kill()
        assert stat.S_ISSOCK((daemon.runtime / "vaultd.sock").lstat().st_mode)


@pytest.mark.parametrize("what", ["directory", "symlink", "symlink to a file", "pipe"])
def test_a_database_that_is_no_file_is_left_alone(daemon: Daemon, what: str) -> None:
    daemon.data.mkdir(mode=0o700)
    PLANTED[what](daemon.database)
    before = facts(daemon.database)
    ends(daemon, f"{daemon.database} is not a regular file")
    assert facts(daemon.database) == before


def test_a_lock_file_that_is_a_symlink_is_not_followed(daemon: Daemon) -> None:
    daemon.data.mkdir(mode=0o700)
    daemon.data.joinpath("vault.db.lock").symlink_to(daemon.data / "elsewhere")
    ends(daemon, "the store cannot be read or written")
    assert not (daemon.data / "elsewhere").exists()
