"""A store that something other than vaultd has changed is not unlocked: no column, row, page, schema or file of it."""

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.daemon import new_daemon
from tests.support.stores import (
    UNLOCKED,
    Files,
    Verdict,
    another_vault,
    editing,
    history,
    verdicts,
)
from vaultd.model import TAGGED, AuditRow, IntegrityRow

Change = Callable[[Path], object]
DAMAGED = "STORE_DAMAGED"
ROLLED_BACK = "STORE_ROLLED_BACK"
PAGE = 4096


@pytest.fixture(scope="module")
def files() -> Files:
    return history().new


def sql(*statements: str) -> Change:
    """A change that runs SQL; old rows are in the schema `old`."""

    def change(database: Path) -> None:
        past = database.with_name("past.db")
        past.write_bytes(history().old.database)
        with editing(database) as connection:
            connection.execute("ATTACH ? AS old", (str(past),))
            for statement in statements:
                assert connection.execute(statement).rowcount != 0, f"changed nothing: {statement}"

    return change


def content(edit: Callable[[bytes], bytes]) -> Change:
    return lambda database: database.write_bytes(edit(database.read_bytes()))


def anchor(edit: Callable[[bytes], bytes]) -> Change:
    def change(database: Path) -> None:
        path = database.parent.parent / "anchor" / "anchor"
        path.write_bytes(edit(path.read_bytes()))

    return change


def flipped(value: bytes, bit: int = 0) -> bytes:
    return value[: bit // 8] + bytes((value[bit // 8] ^ 1 << bit % 8,)) + value[bit // 8 + 1 :]


# --- every column ---------------------------------------------------------------------------------------------------

COLUMNS = [(kind.table, column) for kind in TAGGED for column in (*kind.columns(), "tag")]
COLUMNS += [(kind.table, column) for kind in (IntegrityRow, AuditRow) for column in kind.columns()]

OTHER_REASONS = {
    # A slot is bound to the vault's id: with another one its secret opens nothing, which looks like a wrong secret.
    "vault.vault_id": "WRONG_PASSPHRASE",
    "vault.format_version": "STORE_TOO_NEW",
}


def changed_column(table: str, column: str) -> Change:
    """Changes one value: a number by ten, a text by one letter, a blob by one bit; in the audit, of the last entry."""
    last = "ORDER BY rowid DESC" if table == "audit" else ""

    def change(database: Path) -> None:
        with editing(database) as connection:
            rowid, old = connection.execute(f'SELECT rowid, "{column}" FROM "{table}" {last} LIMIT 1').fetchone()
            new = old + 10 if isinstance(old, int) else old + "x" if isinstance(old, str) else flipped(old or b"\0")
            connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (new, rowid))

    return change


@pytest.fixture(scope="module")
def columns(files: Files) -> Mapping[str, Verdict]:
    return verdicts(files, {f"{table}.{column}": changed_column(table, column) for table, column in COLUMNS})


def test_an_untouched_copy_unlocks(files: Files) -> None:
    assert verdicts(files, {"untouched": lambda _database: None})["untouched"] == UNLOCKED


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_changed_column_is_refused(columns: Mapping[str, Verdict], table: str, column: str) -> None:
    verdict = columns[f"{table}.{column}"]
    assert (verdict.where, verdict.reason) == ("unlock", OTHER_REASONS.get(f"{table}.{column}", DAMAGED))
    assert verdict.hint
    if table not in ("vault", "audit", "integrity"):
        assert verdict.message == f"a row of {table} was changed outside vaultd"


# --- rows -----------------------------------------------------------------------------------------------------------

EXCHANGE = "(SELECT exchange FROM exchanges WHERE name = 'binance-main')"
READ, WRITE = (
    f"credentials WHERE exchange = {EXCHANGE} AND state = 'ACTIVE' AND configuration = '{half}'"
    for half in ("read", "write")
)


def swapped(first: str, second: str, *names: str) -> Change:
    """Exchanges columns of two rows, each given as `TABLE WHERE CONDITION`."""

    def change(database: Path) -> None:
        with editing(database) as connection:
            table = first.partition(" ")[0]
            known = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            found = [connection.execute(f"SELECT rowid, * FROM {row}").fetchone() for row in (first, second)]
            one, two = (dict(zip(["rowid", *known], row, strict=True)) for row in found)
            assert all(one[name] != two[name] for name in names)
            connection.execute(f"DELETE FROM {table} WHERE rowid IN (?, ?)", (one["rowid"], two["rowid"]))
            for row, other in ((one, two), (two, one)):
                values = {**row, **{name: other[name] for name in names}}
                marks = ", ".join("?" * len(values))
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
                )

    return change


def put_back(table: str, where: str) -> Change:
    """Replaces a row by what it was, tag and all: a rollback of that row alone."""
    return sql(
        f"CREATE TEMP TABLE was AS SELECT * FROM old.{table} WHERE {where}",
        f"INSERT OR REPLACE INTO main.{table} SELECT * FROM was",
    )


def copied(table: str, **different: str) -> Change:
    """Inserts a copy of a row, tag and all, with some columns set to SQL expressions."""

    def change(database: Path) -> None:
        with editing(database) as connection:
            names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(different.get(name, f'"{name}"') for name in names)
            into = ", ".join(f'"{name}"' for name in names)
            rowid = ("rowid, ", different["rowid"] + ", ") if "rowid" in different else ("", "")
            connection.execute(
                f"INSERT INTO {table} ({rowid[0]}{into}) SELECT {rowid[1]}{values} FROM {table} ORDER BY rowid DESC LIMIT 1"
            )

    return change


GRANT_BELOW = {"rowid": "-5", "grant": "'gr-aaaaaaaaaa'"}
ROWS: dict[str, tuple[Change, str, str]] = {
    "ciphertexts of read and write swapped": (swapped(READ, WRITE, "ciphertext"), "unlock", DAMAGED),
    "data keys and ciphertexts swapped": (swapped(READ, WRITE, "ciphertext", "wrapped_data_key"), "unlock", DAMAGED),
    "credentials swapped but for their place": (
        swapped(READ, WRITE, "fingerprint", "masks", "wrapped_data_key", "ciphertext", "tag"),
        "unlock",
        DAMAGED,
    ),
    "two exchanges swapped but for their ids": (
        swapped("exchanges WHERE kind = 'binance'", "exchanges WHERE kind = 'kraken'", "name", "kind", "labels", "tag"),
        "unlock",
        DAMAGED,
    ),
    "slot deleted": (sql("DELETE FROM slots WHERE slot = 1"), "unlock", DAMAGED),
    "exchange deleted": (sql("DELETE FROM exchanges WHERE kind = 'kraken'"), "unlock", DAMAGED),
    "credential deleted": (sql(f"DELETE FROM {WRITE}"), "unlock", DAMAGED),
    "client deleted": (sql("DELETE FROM clients WHERE name = 'bot'"), "unlock", DAMAGED),
    "grant deleted": (sql("DELETE FROM grants"), "unlock", DAMAGED),
    "vault deleted": (sql("DELETE FROM vault"), "start", DAMAGED),
    "integrity row deleted": (sql("DELETE FROM integrity"), "start", DAMAGED),
    "failure count deleted": (sql("DELETE FROM throttle"), "start", DAMAGED),
    "slot copied": (copied("slots", slot="7"), "unlock", DAMAGED),
    "exchange copied": (copied("exchanges", exchange="'ex-copy'", name="'copy'"), "unlock", DAMAGED),
    "credential copied": (copied("credentials", version="9"), "unlock", DAMAGED),
    "client copied": (copied("clients", client="'00'", name="'copy'"), "unlock", DAMAGED),
    "grant copied": (copied("grants", grant="'gr-aaaaaaaaaa'"), "unlock", DAMAGED),
    "vault copied": (copied("vault", vault_id="x'00'"), "unlock", DAMAGED),
    "integrity row copied": (copied("integrity", vault_id="x'00'"), "unlock", DAMAGED),
    "grant copied where no page begins": (copied("grants", **GRANT_BELOW), "unlock", DAMAGED),
    "exchange put back": (put_back("exchanges", "name = 'kraken-main'"), "unlock", DAMAGED),
    "credential put back": (
        put_back("credentials", f"configuration = 'read' AND exchange = {EXCHANGE}"),
        "unlock",
        DAMAGED,
    ),
    "grant put back": (put_back("grants", '"grant" NOT IN (SELECT "grant" FROM main.grants)'), "unlock", DAMAGED),
    "slot put back": (put_back("slots", "slot NOT IN (SELECT slot FROM main.slots)"), "unlock", DAMAGED),
    "vault put back": (put_back("integrity", "true"), "unlock", DAMAGED),
    "slot below one": (sql("UPDATE slots SET slot = -1 WHERE kind = 'machine'"), "unlock", DAMAGED),
    "generation below zero": (sql("UPDATE integrity SET generation = -1"), "unlock", DAMAGED),
    "time below zero": (sql("UPDATE integrity SET time_ms = -1"), "unlock", DAMAGED),
    "last audit entry dropped": (
        sql("DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)"),
        "unlock",
        DAMAGED,
    ),
    "audit entry dropped": (sql("DELETE FROM audit WHERE sequence = 3"), "unlock", DAMAGED),
    "audit emptied": (sql("DELETE FROM audit"), "unlock", DAMAGED),
    "audit entry added": (copied("audit", sequence="sequence + 1"), "unlock", DAMAGED),
    "last audit entries reordered": (
        swapped("audit WHERE rowid = (SELECT max(rowid) FROM audit)", "audit WHERE rowid = 3", "method", "mac"),
        "unlock",
        DAMAGED,
    ),
}


@pytest.fixture(scope="module")
def rows(files: Files) -> Mapping[str, Verdict]:
    return verdicts(files, {name: change for name, (change, _, _) in ROWS.items()})


@pytest.mark.parametrize("name", ROWS)
def test_a_row_moved_added_taken_or_put_back_is_refused(rows: Mapping[str, Verdict], name: str) -> None:
    assert (rows[name].where, rows[name].reason) == ROWS[name][1:]


# --- schema, pages, files -------------------------------------------------------------------------------------------


def with_wal(content: Callable[[], bytes]) -> Change:
    return lambda database: database.with_name("vault.db-wal").write_bytes(content())


def foreign_wal() -> bytes:
    """The write-ahead log of another vault that was killed: the pages of its last changes."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.add_exchange("another")
        daemon.kill()
        log = daemon.database.with_name("vault.db-wal").read_bytes()
        assert len(log) > PAGE
        return log


TRIGGER = "CREATE TRIGGER planted AFTER UPDATE ON clients BEGIN UPDATE clients SET state = 'ACTIVE'; END"
REWRITTEN = "UPDATE sqlite_schema SET sql = replace(sql, 'state TEXT NOT NULL', 'state TEXT') WHERE name = 'clients'"
WHOLE: dict[str, tuple[Change, str, str]] = {
    "trigger planted": (sql(TRIGGER), "start", DAMAGED),
    "view planted": (sql("CREATE VIEW planted AS SELECT * FROM clients"), "start", DAMAGED),
    "index planted": (sql("CREATE INDEX planted ON clients (uid)"), "start", DAMAGED),
    "table planted": (sql("CREATE TABLE planted (a)"), "start", DAMAGED),
    "index dropped": (sql("DROP INDEX credentials_fingerprint"), "start", DAMAGED),
    "table dropped": (sql("DROP TABLE grants"), "start", DAMAGED),
    "schema rewritten": (sql("PRAGMA writable_schema = ON", REWRITTEN), "start", DAMAGED),
    "migration added": (sql("UPDATE _sqlite_migrations SET migration_set = 'planted'"), "unlock", DAMAGED),
    "schema of tomorrow": (sql("PRAGMA user_version = 2"), "start", "STORE_TOO_NEW"),
    "other application": (sql("PRAGMA application_id = 1"), "start", DAMAGED),
    "not a database": (content(lambda _old: os.urandom(3 * PAGE)), "start", DAMAGED),
    "a text": (content(lambda _old: b"hello"), "start", DAMAGED),
    "emptied": (content(lambda _old: b""), "unlock", "VAULT_UNINITIALIZED"),
    "cut in the header": (content(lambda old: old[:50]), "start", DAMAGED),
    "cut by half": (content(lambda old: old[: len(old) // 2 // PAGE * PAGE]), "start", DAMAGED),
    "cut by a page": (content(lambda old: old[:-PAGE]), "start", DAMAGED),
    "write-ahead log of another vault": (with_wal(foreign_wal), "unlock", DAMAGED),
    "store of another vault": (content(lambda _old: another_vault().database), "unlock", "WRONG_PASSPHRASE"),
    "old file put back": (content(lambda _old: history().old.database), "unlock", ROLLED_BACK),
    "anchor deleted": (lambda database: (database.parent.parent / "anchor/anchor").unlink(), "unlock", ROLLED_BACK),
    "anchor empty": (anchor(lambda _old: b""), "unlock", ROLLED_BACK),
    "anchor cut": (anchor(lambda old: old[:-1]), "unlock", ROLLED_BACK),
    "anchor damaged": (anchor(lambda old: flipped(old, 300)), "unlock", ROLLED_BACK),
    "anchor longer": (anchor(lambda old: old + b"\0"), "unlock", ROLLED_BACK),
    "anchor of another vault": (anchor(lambda _old: another_vault().anchor), "unlock", ROLLED_BACK),
    "anchor a directory": (lambda database: _replaced_by_directory(database.parent.parent / "anchor/anchor"), "unlock", "STORE_UNAVAILABLE"),
}  # fmt: skip


def _replaced_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.fixture(scope="module")
def whole(files: Files) -> Mapping[str, Verdict]:
    return verdicts(files, {name: change for name, (change, _, _) in WHOLE.items()})


@pytest.mark.parametrize("name", WHOLE)
def test_a_changed_schema_file_or_anchor_is_refused(whole: Mapping[str, Verdict], name: str) -> None:
    assert (whole[name].where, whole[name].reason) == WHOLE[name][1:]


def test_no_page_can_be_overwritten(files: Files) -> None:
    source = random.Random(20_251_120)
    pages = range(len(files.database) // PAGE)

    def garbage(page: int) -> Change:
        noise = source.randbytes(PAGE)
        return content(lambda old: old[: page * PAGE] + noise + old[(page + 1) * PAGE :])

    found = verdicts(files, {str(page): garbage(page) for page in pages})
    assert len(found) >= 15
    assert {verdict.reason for verdict in found.values()} == {DAMAGED}, found


def test_a_log_that_is_none_is_ignored(files: Files) -> None:
    changes = {"garbage": with_wal(lambda: os.urandom(PAGE)), "empty": with_wal(lambda: b"")}
    assert set(verdicts(files, changes).values()) == {UNLOCKED}


def test_an_older_anchor_of_the_same_history_is_no_alarm(files: Files) -> None:
    # The anchor is written after the commit: a daemon killed in between leaves one that lags behind.
    assert verdicts(files, {"older": anchor(lambda _new: history().old.anchor)})["older"] == UNLOCKED
