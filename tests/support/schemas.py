"""Dumps of the database's schema: one file per released schema, in tests/schemas.

usage, where a release changes the schema: python -m tests.support.schemas > tests/schemas/v2.sql
"""

import re
import sqlite3
import sys
import tempfile
from pathlib import Path

from vaultd.store.database import close_database, open_database
from vaultd.store.migrations import SCHEMA_VERSION

SCHEMAS = Path(__file__).parents[1] / "schemas"
_APPLIED = re.compile(r"'\d{4}-\d\d-\d\dT[^']*'|'\d{4}-\d\d-\d\d [^']*'")


def dump(connection: sqlite3.Connection) -> str:
    """Returns the statements that make an empty store: pragmas, schema, the rows that every store begins with."""
    lines = [f"PRAGMA {name}={_one(connection, f'PRAGMA {name}')};" for name in ("application_id", "user_version")]
    lines += [line for line in connection.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]
    return _APPLIED.sub("'2025-01-01 00:00:00'", "\n".join(lines)) + "\n"


def _one(connection: sqlite3.Connection, query: str) -> object:
    return connection.execute(query).fetchone()[0]


def of_the_code() -> str:
    """Returns the dump of a store that the code has just made."""
    with tempfile.TemporaryDirectory() as scratch:
        database = open_database(Path(scratch, "vault.db"))
        try:
            return dump(database.conn)
        finally:
            close_database(database)


def make(path: Path, version: int) -> None:
    """Makes the store of a released schema at `path`."""
    connection = sqlite3.connect(path)
    connection.executescript((SCHEMAS / f"v{version}.sql").read_text())
    connection.close()
    path.chmod(0o600)


if __name__ == "__main__":
    sys.stdout.write(
        f"-- Schema {SCHEMA_VERSION}, empty. Made by tests/support/schemas.py; never edited once released.\n"
    )
    sys.stdout.write(of_the_code())
