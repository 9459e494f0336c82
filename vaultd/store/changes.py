"""One change of the store: what it holds, and the statements that make it."""

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from vaultd.errors import StoreDamagedError
from vaultd.model import BY_TABLE, AuditRow, IntegrityRow, Row
from vaultd.store import queries


@dataclass(frozen=True, slots=True)
class Put:
    """A row to insert or replace by its primary key."""

    table: str
    values: Sequence[Any]
    tag: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """A row to erase."""

    table: str
    keys: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the store: rows, exactly one audit entry, the new integrity row, the new anchor."""

    audit: AuditRow
    integrity: IntegrityRow
    anchor: bytes
    puts: Collection[Put] = field(default=())
    deletes: Sequence[Delete] = field(default=())

    @property
    def anchored(self) -> bool:
        """Says whether the anchor follows at once: where rows change, and at an unlock, which may accept a rollback."""
        return bool(self.puts or self.deletes or self.audit.method == "unlock")

    @property
    def erases(self) -> bool:
        """Says whether something that was wrapped or encrypted ends here: a slot, the vault's keys, a credential."""
        gone = any(delete.table in ("slots", "credentials") for delete in self.deletes)
        # A credential that will never be revealed again is stored without its ciphertext.
        return gone or any(put.table in ("slots", "vault") or b"" in put.values for put in self.puts)


def apply(connection: sqlite3.Connection, change: Change) -> None:
    """Writes a change; the transaction around it is the caller's."""
    for put in change.puts:
        connection.execute(_PUT[put.table], (*put.values, put.tag))
    for delete in change.deletes:
        if connection.execute(_DELETE[delete.table], tuple(delete.keys)).rowcount != 1:
            raise StoreDamagedError
    connection.execute(_INSERT_AUDIT, change.audit.values())
    put_integrity(connection, change.integrity)


def put_integrity(connection: sqlite3.Connection, row: IntegrityRow) -> None:
    """Writes the integrity row; the transaction around it is the caller's."""
    connection.execute(_PUT_INTEGRITY, row.values())


def _put_sql(kind: type[Row], *more: str) -> str:
    names = (*kind.columns(), *more)
    keys = ", ".join(f'"{name}"' for name in names[: kind.keys])
    updates = ", ".join(f'"{name}" = excluded."{name}"' for name in names[kind.keys :])
    marks = ", ".join("?" * len(names))
    listed = ", ".join(f'"{name}"' for name in names)
    # Not INSERT OR REPLACE: on a name taken by another row that would erase the other row.
    return (
        f'INSERT INTO "{kind.table}" ({listed}) VALUES ({marks}) '  # noqa: S608  fixed names
        f"ON CONFLICT ({keys}) DO UPDATE SET {updates}"
    )


def _delete_sql(kind: type[Row]) -> str:
    where = " AND ".join(f'"{name}" = ?' for name in kind.columns()[: kind.keys])
    return f'DELETE FROM "{kind.table}" WHERE {where}'  # noqa: S608  fixed names


def _insert_sql(kind: type[Row]) -> str:
    marks = ", ".join("?" * len(kind.columns()))
    return f'INSERT INTO "{kind.table}" ({queries.columns(kind)}) VALUES ({marks})'  # noqa: S608  fixed names


_PUT = {table: _put_sql(kind, "tag") for table, kind in BY_TABLE.items()}
_DELETE = {table: _delete_sql(kind) for table, kind in BY_TABLE.items()}
_INSERT_AUDIT = _insert_sql(AuditRow)
_PUT_INTEGRITY = _put_sql(IntegrityRow)
