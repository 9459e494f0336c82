"""What stands at a path, and a daemon that ends because of it."""

import os
import stat
import time
from pathlib import Path

from tests.support.daemon import Daemon


def facts(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else os.readlink(path) if path.is_symlink() else None
    return found.st_ino, found.st_mode, found.st_uid, found.st_mtime_ns, content


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
