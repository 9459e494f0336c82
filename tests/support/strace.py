"""Faults that the kernel hands to a real daemon: strace ends it, or makes its calls fail, at the n-th call on the store's files."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import Daemon

NEEDED = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("strace") is None, reason="tracing a process that is not dumpable takes root and strace"
)


CALLS = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "openat", "?rename,?renameat,?renameat2", "?unlink,?unlinkat")
"""Every call that changes what is on a disk. strace counts each by itself; of the last two, machines have one each."""
RENAME = CALLS[6]


def files(daemon: Daemon) -> list[Path]:
    """Returns every file and directory that the store of a daemon writes; its lock and the sockets are not among them."""
    data = [daemon.database.with_name(daemon.database.name + end) for end in ("", "-wal", "-journal")]
    return [*data, daemon.data, daemon.anchor, daemon.anchor.with_name(".anchor.new"), daemon.anchor_dir]


def options(daemon: Daemon, calls: Sequence[str], *more: str) -> list[str]:
    """Returns strace and its options for `calls` on the store's files; `more` goes before the paths."""
    paths = [part for path in files(daemon) for part in ("-P", str(path))]
    return ["strace", "-f", "-e", f"trace={','.join(calls)}", *more, *paths]


@contextmanager
def attached(daemon: Daemon, calls: Sequence[str], *more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Traces the server from when this is entered until it is left, or until the server ends."""
    tracer = subprocess.Popen(
        [*options(daemon, calls, *more), "-o", "/dev/null", "-p", str(daemon.pid)],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    with tracer:
        assert tracer.stderr is not None
        # Its first line says that every thread is traced.
        first = tracer.stderr.readline()
        assert b"attached" in first, first
        try:
            yield tracer
        finally:
            tracer.send_signal(signal.SIGTERM)  # It lets go of the server, which goes on.
            try:
                tracer.wait(10)
            except subprocess.TimeoutExpired:
                # In the middle of a vfork it waits for the parent, and that for the child, which strace has stopped.
                tracer.kill()
