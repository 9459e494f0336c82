"""Processes that attack another, and one that lets them in."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import attack
from tests.support.processes import NOBODY, becoming

UNDEFENDED = """
import ctypes
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER: where Yama is, let anyone
print("ready", flush=True)
input()
"""
REFUSED = {1, 13}
"""EPERM, EACCES."""


def attacked(pid: int, uid: int = NOBODY) -> dict[str, int]:
    """Returns what a process of `uid` got, trying everything on `pid`: errno, or 0 where it was let in."""
    command = [*becoming(uid), sys.executable, "-I", attack.__file__, str(pid)]
    found: dict[str, int] = json.loads(subprocess.run(command, capture_output=True, check=True, cwd="/").stdout)
    return found


@contextmanager
def undefended() -> Iterator[int]:
    """Yields the pid of a process of NOBODY that does nothing to defend itself."""
    command = [*becoming(NOBODY), sys.executable, "-I", "-c", UNDEFENDED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        yield victim.pid
        victim.communicate(b"\n")
