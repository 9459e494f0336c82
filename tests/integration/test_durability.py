"""What was acknowledged is there after a kill; one daemon owns a store; nothing at a path that is not ours is touched."""

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.processes import until
from tests.support.stores import MACHINE_KEY, everything, history
from vaultd_client import VaultClient, VaultClientError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
STRANGER_UID = 65_534


def pair(name: str) -> dict[str, str]:
    return {"api_key": f"{name}-key-0123456789abcdef", "secret": f"{name}-secret-value"}


def refused(call: Callable[[], object]) -> VaultClientError:
    with pytest.raises(VaultClientError) as caught:
        call()
    return caught.value


def unlock(daemon: Daemon) -> None:
    daemon.unlock(MACHINE_KEY, kind="machine")


@pytest.fixture
def kept(daemon: Daemon) -> Daemon:
    """The vault of `history`, unlocked."""
    history().new.put(daemon).start()
    unlock(daemon)
    return daemon


# --- kill -9 --------------------------------------------------------------------------------------------------------


def seen(client: VaultClient) -> dict[str, Any]:
    return {exchange.name: exchange for exchange in client.list(everything=True)}


STEPS: dict[str, tuple[Callable[[VaultClient], object], Callable[[VaultClient], bool]]] = {
    "create": (
        lambda admin: admin.create_exchange("made", "binance", {"read": pair("made")}),
        lambda admin: admin.reveal("made").secret == pair("made")["secret"],
    ),
    "update": (
        lambda admin: admin.update_exchange("made", labels={"after": "kill"}),
        lambda admin: seen(admin)["made"].labels == {"after": "kill"},
    ),
    "rotate": (
        lambda admin: admin.rotate_credential("made", "read", pair("again")),
        lambda admin: admin.reveal("made").version == 2 and admin.reveal("made", "read", 1).version == 1,
    ),
    "grant": (
        lambda admin: admin.create_grant("bot", "made", "read"),
        lambda admin: any(grant.configuration == "read" for each in admin.clients() for grant in each.grants),
    ),
    "revoke": (lambda admin: admin.revoke_exchange("made"), lambda admin: seen(admin)["made"].state == "REVOKED"),
    "delete": (lambda admin: admin.delete_exchange("made"), lambda admin: "made" not in seen(admin)),
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
        there = set(seen(admin))
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
    assert "Traceback" not in daemon.log() and "Exception" not in daemon.log()
    if state == "unlocked":
        assert "last" in [row[2] for row in everything(daemon.database)["exchanges"]]


# --- one owner ------------------------------------------------------------------------------------------------------


def ends(daemon: Daemon, words: str, seconds: float = 10.0) -> float:
    """Starts a daemon that must end by itself with exit code 1 and these words; returns how long it took."""
    before = len(daemon.log())
    began = time.monotonic()
    assert daemon.spawn().wait(seconds) == 1
    took = time.monotonic() - began
    said = daemon.log()[before:]
    assert words in said, said
    assert "Traceback" not in said
    return took


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
        run = subprocess.run([sys.executable, "-c", script, kept.database, statement], capture_output=True, text=True, check=False)
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


def facts(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else os.readlink(path) if path.is_symlink() else None
    return found.st_ino, found.st_mode, found.st_uid, found.st_mtime_ns, content


def bound_by(uid: int) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
        os.chown(path, uid, uid)

    return plant


PLANTED: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_text("precious"),
    "symlink": lambda path: path.symlink_to(path.with_name("elsewhere")),
    "symlink to a file": lambda path: (path.with_name("precious").write_text("precious"), path.symlink_to("precious")),
    "directory": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
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


# --- disks that say no ----------------------------------------------------------------------------------------------


@contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """A small file system of its own at `path`."""
    path.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "vaultd-test", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def read_only(path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)


def fill(path: Path) -> Path:
    """Leaves not a byte free; returns the file to delete."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(1024))
    return ballast


def until_full(call: Callable[[int], object]) -> VaultClientError:
    """Repeats a change until the disk has no room for it: the log has some pages left over from before."""
    for number in range(200):
        try:
            call(number)
        except VaultClientError as error:
            return error
    raise AssertionError("the disk never became full")


@AS_ROOT
def test_a_full_disk_refuses_and_loses_nothing(daemon: Daemon) -> None:
    with mounted(daemon.data, "size=640k,mode=0700"):
        history().new.put(daemon).start()
        unlock(daemon)
        ballast = fill(daemon.data)
        with daemon.admin() as admin, daemon.unlocker() as unlocker:
            made: list[str] = []

            def make(number: int) -> None:
                admin.create_exchange(f"made {number}", "binance", {"read": pair(f"made {number}")})
                made.append(f"made {number}")

            error = until_full(make)
            assert (error.reason, "space" in error.hint) == ("STORE_FULL", True)
            assert until_full(lambda _: admin.reveal("binance-main")).reason == "STORE_FULL", "no audit entry, no secret"
            assert refused(lambda: admin.reveal("binance-main")).reason == "STORE_FULL"
            assert admin.vault().state == unlocker.status().state == "UNLOCKED"
            assert sorted(seen(admin)) == sorted(["binance-main", "kraken-main", *made])
            ballast.unlink()
            make(1000)
            assert admin.reveal("made 1000").secret == pair("made 1000")["secret"]
            assert admin.verify_audit().ok
            ballast = fill(daemon.data)
            assert until_full(make).reason == "STORE_FULL"
        daemon.lock()
        with daemon.client() as client, daemon.unlocker() as unlocker:
            until(lambda: client.vault().state == "LOCKED")
            assert len(client.list()) == 2 + len(made)
            assert refused(lambda: unlocker.unlock(bytearray(MACHINE_KEY), kind="machine")).reason == "STORE_FULL"
        assert daemon.stop() == 0
        daemon.start()
        with daemon.client() as client:
            assert len(client.list()) == 2 + len(made), "a full disk can still be started on"
        ballast.unlink()
        unlock(daemon)
        with daemon.admin() as admin:
            assert sorted(seen(admin)) == sorted(["binance-main", "kraken-main", *made])
            assert admin.verify_audit().ok
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log()


@AS_ROOT
def test_a_disk_too_small_for_a_store_is_said_at_start(daemon: Daemon) -> None:
    with mounted(daemon.data, "size=32k,mode=0700"):
        ends(daemon, "the disk is full\n  make room on the disk")


@AS_ROOT
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data", "the store cannot be read or written: Read-only file system\n  look at the store's directory"),
        ("run", "run/vaultd.sock cannot be bound: Read-only file system"),
    ],
)
def test_a_read_only_directory_is_said_at_start(daemon: Daemon, name: str, words: str) -> None:
    with mounted(daemon.home / name, "size=4m,mode=0755"):
        if name == "data":
            history().new.put(daemon)
        read_only(daemon.home / name)
        before = {path: facts(path) for path in (daemon.home / name).iterdir()}
        ends(daemon, words)
        assert {path: facts(path) for path in (daemon.home / name).iterdir()} == before


@AS_ROOT
def test_an_anchor_that_cannot_be_written_is_shown_and_stops_nothing(daemon: Daemon) -> None:
    with mounted(daemon.anchor_dir, "size=1m,mode=0700"):
        history().new.put(daemon)
        read_only(daemon.anchor_dir)
        daemon.start()
        unlock(daemon)
        with daemon.admin() as admin:
            admin.update_exchange("kraken-main", labels={"a": "b"})
            (check,) = [check for check in admin.vault().checks if check.name == "anchor"]
            assert (check.ok, check.detail) == (False, f"{daemon.anchor} cannot be written")
        subprocess.run(["mount", "-o", "remount,rw", daemon.anchor_dir], check=True)
        with daemon.admin() as admin:
            admin.update_exchange("kraken-main", labels={"c": "d"})
            assert all(check.ok for check in admin.vault().checks if check.name == "anchor")
        daemon.kill()
        daemon.start()
        unlock(daemon)
        shutil.copy(daemon.anchor, daemon.home / "copy")
        assert PASSPHRASE not in (daemon.home / "copy").read_bytes()
