"""Daemons whose clocks are not ours: a wall clock that the test sets, and a CLOCK_BOOTTIME of their own.

The keyholder starts with an environment made from nothing, so LD_PRELOAD does not reach it. /etc/ld.so.preload does; the
daemon runs in a mount namespace with an /etc of its own, and neither the host's clock nor its /etc is touched.
"""

import os
import shlex
import shutil
import struct
import subprocess
from pathlib import Path

from tests.support.daemon import Daemon

SOURCE = Path(__file__).with_name("wall.c")
SECOND = 1_000_000_000
YEAR = 365 * 86_400 * SECOND
_STORED = struct.Struct("=q")


class Wall:
    """The wall clock of the daemons that are started with `prefix`; `base` is a directory for its files. Takes root."""

    def __init__(self, base: Path) -> None:
        self._file = base / "shift"
        self._file.write_bytes(_STORED.pack(0))
        library, etc = base / "wall.so", base / "etc"
        command = ["cc", "-shared", "-fPIC", "-O1", f'-DSHIFT="{self._file}"', "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
        (etc / "ld.so.preload").write_text(f"{library}\n")
        script = f'mount --bind {shlex.quote(str(etc))} /etc && exec "$@"'
        self.prefix = ("unshare", "--mount", "sh", "-c", script, "sh")

    def set(self, nanoseconds: int) -> None:
        """Moves it so far from the true time, at once and for every process that reads it."""
        with self._file.open("r+b", buffering=0) as file:
            file.write(_STORED.pack(nanoseconds))


def boot_shift(seconds: int) -> tuple[str, ...]:
    """Returns the start of a command that runs the rest with CLOCK_BOOTTIME moved so far: as after that long a suspend."""
    return ("unshare", "--time", "--boottime", str(seconds))


def can_shift(command: tuple[str, ...]) -> bool:
    """Says whether this host lets us."""
    return os.geteuid() == 0 and subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0


def started_at(daemon: Daemon) -> float:
    """Returns the wall clock of the server when it started, as it says, in seconds since the epoch."""
    with daemon.client() as anyone:
        started = anyone.vault().started_at
    assert started is not None
    return started.timestamp()
