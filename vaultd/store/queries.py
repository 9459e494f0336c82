"""Every read of the store, as plain functions on a connection. Rows come back as model rows with their tags."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from vaultd import limits
from vaultd.errors import ExchangeNotFoundError, StoreDamagedError
from vaultd.model import (
    TAGGED,
    AuditRow,
    CredentialRow,
    CredentialState,
    ExchangeRow,
    IntegrityRow,
    Row,
    SlotRow,
    VaultRow,
)
from vaultd.packing import row_packer

R = TypeVar("R", bound=Row)


_TYPES = {kind.table: (*(field.type for field in fields(kind)), bytes) for kind in TAGGED}
"""The types of the columns and of the tag after them."""


@dataclass(frozen=True, slots=True)
class Tagged(Generic[R]):
    """A row and the tag stored beside it."""

    row: R
    tag: bytes


def columns(kind: type[Row]) -> str:
    """Returns the quoted column list of a table."""
    return ", ".join(f'"{name}"' for name in kind.columns())


def _select(connection: sqlite3.Connection, kind: type[R], where: str, values: Sequence[Any]) -> list[Tagged[R]]:
    found = connection.execute(f'SELECT {columns(kind)}, tag FROM "{kind.table}" {where}', values)  # noqa: S608  fixed names
    wanted = _TYPES[kind.table]
    rows = []
    for row in found:
        if tuple(map(type, row)) != wanted:
            # STRICT and NOT NULL hold for what SQLite writes; in damaged pages anything may stand.
            raise StoreDamagedError("a column holds a value of another type")
        rows.append(Tagged(kind.of(row[:-1]), row[-1]))
    return rows


def vault(connection: sqlite3.Connection) -> list[Tagged[VaultRow]]:
    """Returns the vault row: a list of none or one; more is damage, and for the keyholder to judge."""
    return _select(connection, VaultRow, "", ())


def integrity(connection: sqlite3.Connection) -> list[IntegrityRow]:
    """Returns the integrity row: a list of none or one."""
    found = connection.execute(f'SELECT {columns(IntegrityRow)} FROM "integrity"')  # noqa: S608  fixed names
    return [IntegrityRow.of(row) for row in found]


def slots(connection: sqlite3.Connection) -> list[Tagged[SlotRow]]:
    """Returns the key slots in the order of their numbers."""
    return _select(connection, SlotRow, "ORDER BY slot", ())


def page(connection: sqlite3.Connection, kind: type[Row], after: int) -> tuple[list[bytes], list[bytes], int]:
    """Returns packed rows in the order of their rowids, their tags, and the last rowid; empty lists past the end.

    At most `limits.ROWS_PER_PAGE` rows, fewer where they are large: a page fits a link frame.
    """
    sql = (
        f"SELECT '{kind.table}', {columns(kind)}, tag, rowid"  # noqa: S608  fixed names
        f' FROM "{kind.table}" WHERE rowid > ? ORDER BY rowid LIMIT ?'
    )
    pack = row_packer()
    rows: list[bytes] = []
    tags: list[bytes] = []
    size = 0
    cursor = connection.execute(sql, (after, limits.ROWS_PER_PAGE))
    while size < limits.PAGE_BYTES and (found := cursor.fetchmany(limits.ROWS_PER_FETCH)):
        packed = [pack(values[:-2]) for values in found]
        rows += packed
        tags += [values[-2] for values in found]
        after = found[-1][-1]
        size += sum(map(len, packed))
    return rows, tags, after


def exchange(connection: sqlite3.Connection, reference: str) -> Tagged[ExchangeRow]:
    """Returns an exchange by id, else by name without regard to case; ExchangeNotFoundError otherwise."""
    for where in ("WHERE exchange = ?", "WHERE name = ?"):
        found = _select(connection, ExchangeRow, where, (reference,))
        if found:
            return found[0]
    found = [] if reference.isascii() else exchange_by_name(connection, reference)
    if not found:
        raise ExchangeNotFoundError
    return found[0]


def exchange_by_name(connection: sqlite3.Connection, name: str) -> list[Tagged[ExchangeRow]]:
    """Returns the exchange of a name, without regard to case: a list of none or one."""
    found = _select(connection, ExchangeRow, "WHERE name = ?", (name,))
    if found:
        return found
    # The column's NOCASE knows the case of ASCII only; the few names with other letters are compared here.
    wanted = name.casefold()
    for (other,) in connection.execute("SELECT name FROM \"exchanges\" WHERE name GLOB '*[^ -~]*'").fetchall():
        if other.casefold() == wanted:
            return _select(connection, ExchangeRow, "WHERE name = ?", (other,))
    return []


def exchanges(
    connection: sqlite3.Connection, after: str, limit: int, *, hidden: bool
) -> list[Tagged[ExchangeRow]]:
    """Returns exchanges in the order of their names, those after a name; hidden ones only where asked for."""
    where = "WHERE name > ? AND hidden <= ? ORDER BY name LIMIT ?"
    return _select(connection, ExchangeRow, where, (after, int(hidden), limit))


def credentials(connection: sqlite3.Connection, exchange_id: str) -> list[Tagged[CredentialRow]]:
    """Returns every version of both halves, newest first."""
    return _select(connection, CredentialRow, "WHERE exchange = ? ORDER BY configuration, version DESC", (exchange_id,))


def credential(
    connection: sqlite3.Connection, exchange_id: str, configuration: str, version: int
) -> list[Tagged[CredentialRow]]:
    """Returns one version, or the ACTIVE one for version 0: a list of none or one."""
    if version:
        return _select(
            connection,
            CredentialRow,
            "WHERE exchange = ? AND configuration = ? AND version = ?",
            (exchange_id, configuration, version),
        )
    return _select(
        connection,
        CredentialRow,
        "WHERE exchange = ? AND configuration = ? AND state = ?",
        (exchange_id, configuration, CredentialState.ACTIVE.value),
    )


def by_fingerprint(connection: sqlite3.Connection, fingerprint: bytes) -> list[Tagged[CredentialRow]]:
    """Returns the credentials that still hold a key of that fingerprint."""
    where = "WHERE fingerprint = ? AND state IN ('STAGED', 'ACTIVE', 'PREVIOUS') ORDER BY exchange, configuration, version"
    return _select(connection, CredentialRow, where, (fingerprint,))


def audit_tail(connection: sqlite3.Connection) -> AuditRow | None:
    """Returns the last audit entry."""
    found = connection.execute(f'SELECT {columns(AuditRow)} FROM "audit" ORDER BY sequence DESC LIMIT 1').fetchone()  # noqa: S608
    return AuditRow.of(found) if found else None


def audit_entry(connection: sqlite3.Connection, sequence: int) -> AuditRow | None:
    """Returns one audit entry."""
    found = connection.execute(f'SELECT {columns(AuditRow)} FROM "audit" WHERE sequence = ?', (sequence,)).fetchone()  # noqa: S608
    return AuditRow.of(found) if found else None


def counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """Returns how many exchanges are listed openly, and how many clients are not revoked."""
    query = (
        'SELECT (SELECT count(*) FROM "exchanges" WHERE hidden = 0), '
        """(SELECT count(*) FROM "clients" WHERE state != 'REVOKED')"""
    )
    exchanges, clients = connection.execute(query).fetchone()
    return int(exchanges), int(clients)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the store is."""

    bytes: int
    audit_entries: int
    exchanges: int
    clients: int


def sizes(connection: sqlite3.Connection) -> Sizes:
    """Returns how large the store is. The audit is numbered without a gap: its last number is its size."""
    (size,) = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    (last,) = connection.execute('SELECT max(sequence) FROM "audit"').fetchone()
    return Sizes(int(size), int(last or 0), *counts(connection))


def backed_up(connection: sqlite3.Connection, after: int) -> tuple[int, int]:
    """Returns when the last backup among the audit entries after a sequence was made, ms or 0, and the last sequence."""
    found = connection.execute(
        'SELECT coalesce(max(CASE WHEN method = ? AND decision = ? THEN time_ms END), 0), coalesce(max(sequence), ?)'
        ' FROM "audit" WHERE sequence > ?',
        ("BackupVault", "allow", after, after),
    )
    time_ms, last = found.fetchone()
    return int(time_ms), int(last)


def active_ends(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """Returns what the ends of all active keys follow from: name, kind, hidden, configuration, check, said, created."""
    return connection.execute(
        "SELECT name, kind, hidden, configuration, key_check, expires_ms, c.created_ms"
        ' FROM "credentials" AS c JOIN "exchanges" USING (exchange)'
        " WHERE c.state = 'ACTIVE' AND \"exchanges\".state != 'REVOKED'"
    )


def audit_count(connection: sqlite3.Connection) -> int:
    """Returns the number of audit entries."""
    return int(connection.execute('SELECT count(*) FROM "audit"').fetchone()[0])


def audit_after(connection: sqlite3.Connection, after: int) -> list[AuditRow]:
    """Returns a page of audit entries in the order of their sequence, those after a sequence."""
    sql = f'SELECT {columns(AuditRow)} FROM "audit" WHERE sequence > ? ORDER BY sequence LIMIT ?'  # noqa: S608
    return [AuditRow.of(row) for row in connection.execute(sql, (after, limits.ROWS_PER_PAGE))]


def audit_before(
    connection: sqlite3.Connection, before: int, limit: int, client: str, exchange_id: str, decision: str
) -> list[tuple[AuditRow, bytes]]:
    """Returns audit entries newest first, those before a sequence; empty filters match all.

    Each with the MAC of the entry before it, empty where there is none: with that, it proves itself.
    """
    sql = (
        f"SELECT (SELECT mac FROM audit AS last WHERE last.sequence = audit.sequence - 1), {columns(AuditRow)}"  # noqa: S608
        " FROM audit WHERE sequence < ? AND (? = '' OR client = ?)"
        " AND (? = '' OR exchange = ?) AND (? = '' OR decision = ?) ORDER BY sequence DESC LIMIT ?"
    )
    values = (before, client, client, exchange_id, exchange_id, decision, decision, limit)
    return [(AuditRow.of(row[1:]), row[0] or b"") for row in connection.execute(sql, values)]


def failures(connection: sqlite3.Connection) -> int:
    """Returns how many unlocks have failed since the last good one; StoreDamagedError where nothing says so."""
    found = connection.execute('SELECT failures FROM "throttle" WHERE id = 1').fetchone()
    if found is None:
        raise StoreDamagedError("the count of failed unlocks is missing")
    return int(found[0])
