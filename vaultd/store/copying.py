"""A copy of the store while it serves: page after page over its one connection, and what waits is done in between.

SQLite's own backup: it writes every change of the same connection into the copy too (sqlite3_backup_step), so the copy
is the store as it was when its last page was taken, never a mixture. It stands in the store's directory, where nobody
else can write or read, and never under a name that a caller chose.
"""

import contextlib
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vaultd import limits
from vaultd.errors import StoreFullError
from vaultd.model import IntegrityRow, SlotRow
from vaultd.store import database, queries
from vaultd.store.changes import put_integrity
from vaultd.store.store import Store

_PREFIX = ".copy-"


@dataclass(frozen=True, slots=True)
class Raw:
    """A copy that still has every slot."""

    path: Path
    generation: int
    slots: tuple[SlotRow, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A copy that can be read: an open file without a name, its size in bytes, its SHA-256."""

    descriptor: int
    size: int
    sha256: bytes


def remove_old(directory: Path) -> None:
    """Removes what a killed server left of its copies. For the store's owner, before it makes one."""
    for path in directory.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


async def copy(store: Store) -> Raw:
    """Copies the store.

    Raises:
        StoreFullError: There is no room for a second one; nothing is left of it.
        StoreUnavailableError: The disk fails, or the store was closed.
    """
    path = store.path.with_name(f"{_PREFIX}{secrets.token_hex(8)}")
    try:
        return await store.read(partial(_copy, store=store, path=path))
    except BaseException:
        _remove(path)
        raise


def _copy(connection: sqlite3.Connection, store: Store, path: Path) -> Raw:
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    room = os.statvfs(path.parent)
    if room.f_bavail * room.f_frsize < pages * size + limits.COPY_ROOM_BYTES:
        # Said before it is begun: the store itself needs what is left.
        raise StoreFullError("the disk of the store has no room for a copy of it")
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(path)) as target:
        target.execute("PRAGMA synchronous=OFF")  # after a power cut nobody asks for it

        def between(_status: int, remaining: int, _total: int) -> None:
            if remaining:
                store.serve_waiting(connection)

        connection.backup(target, pages=limits.COPY_PAGES, progress=between, sleep=0)
        slots = tuple(each.row for each in queries.slots(target))
        return Raw(path, queries.integrity(target)[0].generation, slots)


def finish(raw: Raw, integrity: IntegrityRow, without: Sequence[int]) -> Finished:
    """Takes slots out of a copy, and the count of wrong passphrases, which is this host's. Not for the store's thread.

    Args:
        raw: The copy; its file has no name afterwards.
        integrity: What covers the rest.
        without: Numbers of the slots.
    """
    try:
        with database.foreign_errors():
            with contextlib.closing(sqlite3.connect(raw.path)) as connection:
                for pragma in ("journal_mode=DELETE", "synchronous=OFF", "secure_delete=ON"):
                    connection.execute(f"PRAGMA {pragma}")
                with connection:
                    connection.executemany('DELETE FROM "slots" WHERE slot = ?', [(number,) for number in without])
                    put_integrity(connection, integrity)
                    connection.execute('UPDATE "throttle" SET failures = 0')
            descriptor = os.open(raw.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    finally:
        _remove(raw.path)
    with open(descriptor, "rb", closefd=False) as file:
        sha256 = hashlib.file_digest(file, "sha256").digest()
    return Finished(descriptor, os.fstat(descriptor).st_size, sha256)


def drop(raw: Raw) -> None:
    """Removes a copy that nobody finishes."""
    _remove(raw.path)


def read(finished: Finished, offset: int) -> bytes:
    """Returns the bytes of a copy from an offset on, at most `limits.BACKUP_CHUNK_BYTES`."""
    return os.pread(finished.descriptor, limits.BACKUP_CHUNK_BYTES, offset) if offset < finished.size else b""


def _remove(path: Path) -> None:
    for each in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-journal", "-wal", "-shm"))):
        each.unlink(missing_ok=True)
