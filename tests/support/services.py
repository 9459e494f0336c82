"""Control groups of systemd services, made by hand, and processes in them that ask for credentials as systemd does."""

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOST = 1 << 20
"""What systemd takes of a credential."""
_ASK = """
import os, socket, sys
path, name, uid, *groups = sys.argv[1:]
for group in groups:
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write("0")
if uid != "0":
    os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
with socket.socket(socket.AF_UNIX) as asking:
    if name:
        asking.bind(b"\\0" + name.encode())
    asking.connect(path)
    asking.shutdown(socket.SHUT_WR)
    while data := asking.recv(65536):
        sys.stdout.buffer.write(data)
"""
"""What systemd 252 does in src/basic/fileio.c, read_full_file_full: bind, connect, shut the writing side, read."""


@contextmanager
def service_cgroup(name: str = "") -> Iterator[Path]:
    """Yields the cgroup of a systemd service that is none of ours; skips where that is impossible."""
    roots = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]
    if not roots or os.geteuid() != 0 or not os.access(roots[0], os.W_OK):
        pytest.skip("making a cgroup takes root and a writable cgroup2 mount")
    parent = Path(roots[0]) / "system.slice"
    made = not parent.exists()
    path = parent / (name or f"vaultd-test-{secrets.token_hex(4)}.service")
    path.mkdir(parents=True)
    yield path
    deadline = time.monotonic() + 10
    while path.exists() and (path / "cgroup.events").read_text().startswith("populated 1") and time.monotonic() < deadline:
        os.sched_yield()
    for sub in [*path.glob("*/"), path, *([parent] if made else [])]:
        with contextlib.suppress(FileNotFoundError, OSError):
            sub.rmdir()


def asking(
    listener: Path, credential: str, unit: str, *, group: Path | None, uid: int = 0, name: str | None = None
) -> "subprocess.Popen[bytes]":
    """Starts a process that asks for a credential as systemd does for `unit`.

    Args:
        listener: credentials.sock.
        credential: The id.
        unit: The unit in the name.
        group: The control group that it is in.
        uid: Who it is.
        name: What it binds itself to instead, without the leading NUL; empty for nothing.
    """
    bound = f"{secrets.token_hex(8)}/unit/{unit}/{credential}" if name is None else name
    groups = [] if group is None else [str(group)]
    return subprocess.Popen(
        [sys.executable, "-S", "-c", _ASK, str(listener), bound, str(uid), *groups],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def ask(listener: Path, credential: str, unit: str, **options: object) -> bytes:
    """Asks for a credential as systemd does; returns the file, empty where there is none: it has more than 1 MiB then."""
    with asking(listener, credential, unit, **options) as process:  # type: ignore[arg-type]
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, "the asking process failed"
        return said if len(said) <= MOST else b""
