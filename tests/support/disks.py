"""Small file systems, full ones and read-only ones, for tests that run as root."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vaultd_client import VaultClientError


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
