"""Disks that are full, too small or read-only: said in words, nothing half-written, nothing lost."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import PASSPHRASE, Daemon
from tests.support.paths import ends, facts
from tests.support.processes import until
from tests.support.refusals import refused
from tests.support.stores import MACHINE_KEY, history
from vaultd_client import VaultClient, VaultClientError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")


def pair(name: str) -> dict[str, str]:
    name = name.replace(" ", "-")
    return {"api_key": f"{name}-key-0123456789abcdef", "secret": f"{name}-secret-value"}


def unlock(daemon: Daemon) -> None:
    daemon.unlock(MACHINE_KEY, kind="machine")


def seen(client: VaultClient) -> dict[str, Any]:
    return {exchange.name: exchange for exchange in client.list(everything=True)}


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
            assert until_full(lambda _: admin.reveal("binance-main")).reason == "STORE_FULL", (
                "no audit entry, no secret"
            )
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
