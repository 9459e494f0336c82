"""A vault, a backup of it, and hosts that it is restored on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.vaultctl import document, vaultctl

MACHINE_KEY = bytes(range(100, 132))


def settled(daemon: Daemon) -> Daemon:
    """Starts a daemon and makes a vault: an exchange, a bot with both halves, another with all halves, a machine slot."""
    daemon.start()
    daemon.initialize()
    daemon.add_exchange()
    daemon.add_bot().save(daemon.home / "bot.key")
    with daemon.admin() as admin:
        admin.create_grant("bot", "binance-main", "write")
    daemon.add_bot("star", grants=False).save(daemon.home / "star.key")
    daemon.add_bot("revealer", grants=False, permissions=["Exchanges:Reveal"]).save(daemon.home / "revealer.key")
    with daemon.admin() as admin:
        admin.create_grant("star", "*", "*")
    with daemon.unlocker() as unlocker:
        unlocker.slot_add(bytearray(PASSPHRASE), bytearray(MACHINE_KEY), kind="machine")
    return daemon


def make(daemon: Daemon, name: str = "backup", *options: str) -> Path:
    """Makes a backup and returns its path."""
    path = daemon.home / name
    made = document(daemon, "backup", str(path), *options)
    assert made["file"] == str(path)
    return path


def refusal(daemon: Daemon, *arguments: str, **options: Any) -> dict[str, Any]:
    """Runs a command with --json that must fail, and returns its error."""
    done = vaultctl(daemon, *arguments, "--json", **options)
    assert done.returncode != 0, done.stdout
    error: dict[str, Any] = json.loads(done.stdout)
    return error


def restore(daemon: Daemon, path: Path, *options: str) -> Any:
    """Restores a backup and returns the document."""
    return document(daemon, "backup", "restore", str(path), *options)


@contextmanager
def another_host() -> Iterator[Daemon]:
    """Yields a daemon that has never run, with a key file directory of its own."""
    with new_daemon() as daemon:
        yield daemon


def take_keys(there: Daemon, here: Daemon) -> None:
    """Copies the key files of one host to another."""
    for path in there.home.glob("*.key"):
        shutil.copy2(path, here.home / path.name)


def tree(*directories: Path) -> dict[str, bytes]:
    """Returns every file below directories and what it holds."""
    return {
        str(path): path.read_bytes()
        for directory in directories
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def restore_program(daemon: Daemon, content: bytes, *options: str) -> "subprocess.CompletedProcess[bytes]":
    """Runs the daemon's own part of a restore."""
    return subprocess.run(
        [sys.executable, "-m", "vaultd", "restore", *options],
        env={**os.environ, **daemon.environment},
        cwd=daemon.home,
        input=content,
        capture_output=True,
        timeout=60,
        check=False,
    )
