"""Disks that are full, too small or read-only: said in words, nothing half-written, nothing lost."""

import os
import shutil
import subprocess

import pytest

from tests.support.daemon import PASSPHRASE, Daemon
from tests.support.disks import fill, mounted, read_only, until_full
from tests.support.exchanges import by_name, pair
from tests.support.paths import ends, facts
from tests.support.processes import until
from tests.support.refusals import refused
from tests.support.stores import MACHINE_KEY, history, unlock

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")


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
            assert until_full(lambda _: admin.reveal("binance-main")).reason == "STORE_FULL", (
                "no audit entry, no secret"
            )
            assert refused(lambda: admin.reveal("binance-main")).reason == "STORE_FULL"
            assert admin.vault().state == unlocker.status().state == "UNLOCKED"
            assert sorted(by_name(admin)) == sorted(["binance-main", "kraken-main", *made])
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
            assert sorted(by_name(admin)) == sorted(["binance-main", "kraken-main", *made])
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
