"""Opening the SQLite file: one owner, one connection, the schema of the code and nothing else.

WAL with synchronous=FULL loses no acknowledged commit at a power cut; locking_mode=EXCLUSIVE keeps every other process
out and makes SQLite's WAL-reset defect (before 3.51.3) unreachable, for that needs two connections.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from sqlite_utils import Database

from vaultd.errors import (
    InternalError,
    StoreDamagedError,
    StoreFullError,
    StoreInUseError,
    StoreTooNewError,
    StoreUnavailableError,
    VaultError,
)
from vaultd.limits import PAGE_CACHE_KIB
from vaultd.model import TAGGED
from vaultd.store.migrations import MIGRATION_SET, SCHEMA_VERSION, migrations

APPLICATION_ID = 0x7661756C
"""ASCII "vaul"; file(1) shows it."""

_FULL = frozenset({sqlite3.SQLITE_FULL})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def from_sqlite(error: sqlite3.Error) -> VaultError:
    """Turns an error of SQLite into one of ours. Its text stays behind: it may quote a value."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return StoreDamagedError() if isinstance(error, sqlite3.DatabaseError) else InternalError()
    primary = code & 0xFF
    name = str(getattr(error, "sqlite_errorname", "") or "")
    if primary in _FULL:
        return StoreFullError(metadata={"sqlite": name})
    if primary in _DAMAGED:
        return StoreDamagedError(metadata={"sqlite": name})
    if primary in _BUSY:
        return StoreInUseError(metadata={"sqlite": name})
    return StoreUnavailableError(metadata={"sqlite": name})


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Converts what sqlite3 and the operating system raise inside it."""
    try:
        yield
    except sqlite3.Error as error:
        raise from_sqlite(error) from None
    except UnicodeDecodeError:
        # What sqlite3 raises instead of its own error where that quotes damaged bytes of the schema.
        raise StoreDamagedError from None
    except OSError as error:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise StoreFullError from None
        text = os.strerror(error.errno or 0)
        raise StoreUnavailableError(f"{StoreUnavailableError.default}: {text}", metadata={"errno": text}) from None


def lock_file(path: Path) -> int:
    """Takes the lock that makes this process the store's only owner, and returns its descriptor.

    Raises:
        StoreInUseError: Another process holds it.
    """
    with foreign_errors():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(
            path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreInUseError(f"another vaultd has the store {path} open") from None
    return descriptor


def open_database(path: Path) -> Database:
    """Opens, creates or migrates the store.

    Raises:
        StoreDamagedError: Not SQLite, not ours, or with another schema than the code's.
        StoreTooNewError: Written by a newer vaultd.
        StoreInUseError: Another program, such as the sqlite3 shell, has it open.
        StoreFullError, StoreUnavailableError: The disk says no.
    """
    with foreign_errors():
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise StoreUnavailableError(f"{path} is not a regular file")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=0.0, check_same_thread=False)
    try:
        with foreign_errors():
            return _prepare(connection)
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection) -> Database:
    for pragma in (
        "locking_mode=EXCLUSIVE",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
        f"cache_size=-{PAGE_CACHE_KIB}",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if version > SCHEMA_VERSION:
        raise StoreTooNewError(metadata={"found": str(version), "supported": str(SCHEMA_VERSION)})
    if not empty and application != APPLICATION_ID:
        raise StoreDamagedError("the file is not a store of vaultd")
    if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
        raise StoreUnavailableError("the file system does not support SQLite's write-ahead log")
    connection.execute("PRAGMA synchronous=FULL")
    database = Database(connection, execute_plugins=False)
    if empty or version < SCHEMA_VERSION:
        # One transaction: whoever is killed in the middle leaves an empty file or a whole store, never half of one.
        with database.atomic():
            migrations.apply(database)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    check_schema(connection)
    # The first write takes the exclusive lock for good; without it a reader could slip in until then.
    connection.execute("BEGIN EXCLUSIVE")
    connection.commit()
    return database


def check_schema(connection: sqlite3.Connection) -> None:
    """Raises StoreDamagedError unless the schema is exactly the code's: no trigger, view, index or table more."""
    if _schema(connection) != _expected_schema():
        raise StoreDamagedError("the schema of the store is not vaultd's")


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str, str, str]]:
    # The table in which sqlite-utils notes its steps is that library's own; its text may change with a release of it.
    rows = connection.execute(
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"
        " WHERE NOT (tbl_name = '_sqlite_migrations' AND type IN ('table', 'index')) ORDER BY 1, 2"
    )
    return [tuple(row) for row in rows]


@cache
def _expected_schema() -> list[tuple[str, str, str, str]]:
    reference = Database(memory=True, execute_plugins=False)
    try:
        migrations.apply(reference)
        return _schema(reference.conn)
    finally:
        reference.close()


def check_pages(connection: sqlite3.Connection) -> None:
    """Raises StoreDamagedError unless SQLite finds its pages and indexes sound, and ours the only migrations."""
    with foreign_errors():
        check_schema(connection)
        if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise StoreDamagedError("the pages of the store are damaged")
        for kind in TAGGED:
            # Pages of rows are read upwards from rowid 1, which is where SQLite begins: a row below it would not be seen.
            if connection.execute(f'SELECT 1 FROM "{kind.table}" WHERE rowid < 1 LIMIT 1').fetchone():  # noqa: S608
                raise StoreDamagedError(f"a row of {kind.table} was added outside vaultd")
        sets = [row[0] for row in connection.execute("SELECT DISTINCT migration_set FROM _sqlite_migrations")]
        if sets != [MIGRATION_SET]:
            raise StoreDamagedError("the schema of the store is not vaultd's")


def close_database(database: Database) -> None:
    """Closes the connection, moving the WAL into the file where that is possible."""
    with suppress(sqlite3.Error):
        database.conn.rollback()
        database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.conn.close()
