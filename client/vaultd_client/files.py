"""Files that are written whole or not at all, and are there after a power cut."""

import os
from contextlib import suppress
from pathlib import Path


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
