"""Files: written whole or not at all, there after a power cut; and what they are on."""

import os
import re
from contextlib import suppress
from pathlib import Path

MEMORY = frozenset({"tmpfs", "ramfs"})
"""File systems that are gone after a reboot."""
_OCTAL = re.compile(rb"\\([0-7]{3})")


def write_whole(target: Path, content: bytearray | bytes, *, overwrite: bool = False, mode: int = 0o600) -> None:
    """Writes a file, synced: whole or not at all.

    Args:
        target: Path of the file, in a directory that is there.
        content: What it holds; no copy of it is made.
        overwrite: True replaces a file that is there, in one step.
        mode: Its permissions, whatever the umask; this user's alone where none are given.

    Raises:
        FileExistsError: It is there, and `overwrite` is false.
        OSError: It cannot be written.
    """
    if overwrite:
        scratch = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
        _write_new(scratch, content, mode, move_to=target)
    else:
        _write_new(target, content, mode)
    sync_directory(target.parent)


def _write_new(path: Path, content: bytearray | bytes, mode: int, move_to: Path | None = None) -> None:
    """Writes a file that is not there yet; nothing of it stays where a step fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.fchmod(descriptor, mode)
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if move_to is not None:
            path.replace(move_to)
    except BaseException:
        with suppress(FileNotFoundError):
            path.unlink()
        raise


def sync_directory(path: Path) -> None:
    """Makes the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_system(path: Path, mounts: bytes) -> str:
    """Returns the type of the file system that `path` is on, by the content of /proc/self/mountinfo (proc(5)).

    By mount points: on btrfs the device of a file is none of those that are listed.
    """
    real = Path(os.path.realpath(path))
    best, found = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(b" - ")
        parts = left.split()
        if len(parts) < 5 or not right:
            continue
        point = Path(os.fsdecode(_OCTAL.sub(lambda each: bytes([int(each[1], 8)]), parts[4])))
        if (real == point or point in real.parents) and len(point.parts) >= best:
            best, found = len(point.parts), right.split()[0].decode()
    return found
