"""Processes seen from outside, and daemons of other users."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.support.daemon import Daemon

NOBODY = 65_534


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for something that has no event; AssertionError where it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.005)


def ends_within(pidfd: int, seconds: float) -> bool:
    """Waits for the end of a process; says whether it came in time."""
    return bool(select.select([pidfd], [], [], seconds)[0])


def children(pid: int) -> list[int]:
    """Returns the pids of the children that the main thread of `pid` started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def status_of(pid: int) -> dict[str, str]:
    """Returns /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def mapped_files(pid: int) -> str:
    """Returns the paths of the files that `pid` has mapped, one to a line."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return "\n".join(sorted({line.split(maxsplit=5)[5] for line in lines if "/" in line}))


def open_files(pid: int) -> dict[int, str]:
    """Returns what each descriptor of `pid` is: a path, or `socket`, `pipe`, `anon_inode`."""
    found: dict[int, str] = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            name = os.readlink(entry)
            found[int(entry.name)] = name if name.startswith("/") else name.partition(":")[0]
    return found


@cache
def becoming(uid: int) -> tuple[str, ...]:
    """Returns the start of a command that runs the rest of it as `uid`.

    Where our interpreter is out of reach for others (below /root), the process may read every file: that makes an
    attacker stronger, not weaker, and says nothing of memory.
    """
    command = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    try:
        subprocess.run(
            [sys.executable, "-c", "import vaultd, vaultd_api, grpc"],
            user=uid,
            group=uid,
            extra_groups=[],
            cwd="/",
            check=True,
            capture_output=True,
        )
    except (PermissionError, subprocess.CalledProcessError):
        return (*command, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return command


@contextmanager
def daemon_of(uid: int) -> Iterator[Daemon]:
    """Yields a daemon that runs as `uid`, unlocked, with binance-main; root alone can make one.

    Below /run, not /tmp: root tells a passphrase to another user's keyholder only where root made the directory.
    """
    home = Path(tempfile.mkdtemp(prefix="vaultd-test-", dir="/run"))
    home.chmod(0o755)
    daemon = Daemon(home)
    try:
        for path in (daemon.runtime, daemon.data, daemon.anchor_dir):
            path.mkdir(mode=0o700)
            os.chown(path, uid, uid)
        daemon.runtime.chmod(0o755)
        daemon.start(*becoming(uid))
        daemon.initialize()
        daemon.add_exchange()
        yield daemon
    finally:
        daemon.close()
        shutil.rmtree(home)
