"""Every released schema has a dump in tests/schemas; the code makes exactly the newest and opens a store made from each."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.schemas import SCHEMAS, make
from vaultd.errors import StoreDamagedError, StoreTooNewError
from vaultd.model import TAGGED, AuditRow, IntegrityRow, Row
from vaultd.store.database import APPLICATION_ID, check_pages, close_database, open_database
from vaultd.store.migrations import SCHEMA_VERSION

VERSIONS = range(1, SCHEMA_VERSION + 1)
ROWS: tuple[type[Row], ...] = (*TAGGED, AuditRow, IntegrityRow)


def whole(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Everything in an empty store, but the time of its migration."""
    queries = {
        "schema": "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name",
        "application_id": "PRAGMA application_id",
        "user_version": "PRAGMA user_version",
        "migrations": "SELECT id, migration_set, name FROM _sqlite_migrations ORDER BY id",
        "throttle": "SELECT * FROM throttle",
    }
    found = {name: connection.execute(query).fetchall() for name, query in queries.items()}
    for kind in ROWS:
        found[kind.table] = connection.execute(f'SELECT * FROM "{kind.table}"').fetchall()
    return found


def opened(path: Path) -> dict[str, list[Any]]:
    """What the code finds in a store, or makes of none."""
    database = open_database(path)
    try:
        check_pages(database.conn)
        return whole(database.conn)
    finally:
        close_database(database)


def test_every_schema_up_to_the_newest_has_its_dump() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {f"v{version}.sql" for version in VERSIONS}


def test_the_code_makes_exactly_the_newest_dump(tmp_path: Path) -> None:
    make(tmp_path / "dumped.db", SCHEMA_VERSION)
    connection = sqlite3.connect(tmp_path / "dumped.db")
    dumped = whole(connection)
    connection.close()
    assert opened(tmp_path / "fresh.db") == dumped
    assert dumped["application_id"] == [(APPLICATION_ID,)]
    assert dumped["user_version"] == [(SCHEMA_VERSION,)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_a_released_schema_opens_and_is_the_newest_then(version: int, tmp_path: Path) -> None:
    make(tmp_path / "old.db", version)
    assert opened(tmp_path / "old.db") == opened(tmp_path / "fresh.db")


def test_the_columns_of_the_newest_schema_are_those_of_the_model(tmp_path: Path) -> None:
    make(tmp_path / "dumped.db", SCHEMA_VERSION)
    connection = sqlite3.connect(tmp_path / "dumped.db")
    for kind in ROWS:
        found = connection.execute(f'PRAGMA table_info("{kind.table}")').fetchall()
        assert [row[1] for row in found] == [*kind.columns(), *(["tag"] if kind in TAGGED else [])]
        assert [row[1] for row in found if row[5]] == list(kind.columns()[: kind.keys])
    connection.close()


CHANGES = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
    "a view": "CREATE VIEW v AS SELECT * FROM credentials",
    "an index": "CREATE INDEX i ON clients (uid)",
    "a table": "CREATE TABLE more (x)",
    "a column": "ALTER TABLE clients ADD COLUMN x TEXT",
    "a missing index": "DROP INDEX credentials_fingerprint",
    "another program's id": "PRAGMA application_id=1",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_store_with_another_schema_is_refused(change: str, tmp_path: Path) -> None:
    make(tmp_path / "store.db", SCHEMA_VERSION)
    opened(tmp_path / "store.db")
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute(change)
    connection.commit()
    connection.close()
    with pytest.raises(StoreDamagedError):
        open_database(tmp_path / "store.db")


def test_a_store_of_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    make(tmp_path / "store.db", SCHEMA_VERSION)
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    before = (tmp_path / "store.db").read_bytes()
    with pytest.raises(StoreTooNewError) as refused:
        open_database(tmp_path / "store.db")
    assert refused.value.metadata == {"found": str(SCHEMA_VERSION + 1), "supported": str(SCHEMA_VERSION)}
    assert (tmp_path / "store.db").read_bytes() == before
