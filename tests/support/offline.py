"""Unlock without a daemon: the keyholder's own steps on the store's own reads, a thousand times a second.

For sweeps that need as many unlocks as there are bytes. Argon2id is left out: the slot key is derived once, and a slot whose cost or
salt was changed counts as refused, for its key would be another. All else is the product's code.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.support.daemon import PASSPHRASE
from vaultd.crypto import envelope, kdf
from vaultd.errors import VaultError, WrongPassphraseError
from vaultd.keyholder import loading, slots
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.loop import Ask
from vaultd.keyholder.secretmem import SecretMemory
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import BY_TABLE, TAGGED, AuditRow, KdfParameters, SlotRow, VaultRow
from vaultd.store import anchor, database, queries
from vaultd.store.migrations import SCHEMA_VERSION

Content = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an unlock let in: every row that it vouches for, and the audit as far as its chain holds."""

    rows: Content
    audit: Content
    audit_whole: bool
    generation: int


class Offline:
    """One vault whose passphrase is known; opens any copy of its files."""

    def __init__(self, database_path: Path) -> None:
        self._memory = SecretMemory(1 << 16)
        with _connection(database_path) as connection:
            slot = next(each.row for each in queries.slots(connection) if each.row.kind == "passphrase")
        self._slot = slot
        self._slot_key = bytearray(32)
        kdf.slot_key(memoryview(bytearray(PASSPHRASE)), slot.salt, _cost(slot), memoryview(self._slot_key))

    def open(self, database_path: Path, anchor_path: Path) -> Opened:
        """Unlocks a copy; VaultError where that is refused. The files may change: WAL recovery writes."""
        keys = Keys(self._memory)
        try:
            with _connection(database_path) as connection:
                with database.foreign_errors():
                    found = _found(connection, anchor_path)
                unlocked = self._unlock(keys, connection, found)
                with database.foreign_errors():
                    return _content(connection, unlocked)
        finally:
            keys.close()

    def _unlock(self, keys: Keys, connection: sqlite3.Connection, found: dict[str, Any]) -> Unlocked:
        vaults = [VaultRow.of(values[:-1]) for values in found["vault"]]
        rows = [SlotRow.of(values[:-1]) for values in found["slots"]]
        if len(vaults) != 1:
            raise WrongPassphraseError
        row = next((each for each in rows if each.slot == self._slot.slot), None)
        if row is None or (row.salt, _cost(row)) != (self._slot.salt, _cost(self._slot)):
            raise WrongPassphraseError
        slots.check_row(row)
        envelope.unwrap_master_key(self._slot_key, vaults[0].vault_id, row, keys.master)
        holder = cast("Keyholder", SimpleNamespace(schema_version=SCHEMA_VERSION, memory=self._memory))
        task = loading.load(holder, keys, vaults[0], found, accept_rollback=False)
        answer: Any = None
        while True:
            try:
                step = task.send(answer)
            except StopIteration as stop:
                return cast("Unlocked", stop.value[0])
            assert isinstance(step, Ask)
            with database.foreign_errors():
                answer = _ANSWERS[step.name](connection, step.payload)


def refused(open_copy: Callable[[], Opened]) -> str:
    """Returns the reason of a refusal, or the empty string where the copy was opened."""
    try:
        open_copy()
    except VaultError as error:
        return error.reason
    return ""


@contextlib.contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    opened = database.open_database(path)
    try:
        yield opened.conn
    finally:
        opened.conn.close()


def _cost(row: SlotRow) -> KdfParameters:
    return KdfParameters(row.memory_kib, row.passes, row.lanes)


def _wire(found: Any) -> list[list[Any]]:
    return [[*each.row.values(), each.tag] for each in found]


def _found(connection: sqlite3.Connection, anchor_path: Path) -> dict[str, Any]:
    return {
        "vault": _wire(queries.vault(connection)),
        "slots": _wire(queries.slots(connection)),
        "integrity": [row.values() for row in queries.integrity(connection)],
        "anchor": anchor.read(anchor_path),
    }


def _facts(connection: sqlite3.Connection, sequence: int) -> dict[str, Any]:
    tail, entry = queries.audit_tail(connection), queries.audit_entry(connection, sequence)
    return {
        "tail": tail.values() if tail else None,
        "count": queries.audit_count(connection),
        "entry": entry.values() if entry else None,
    }


_ANSWERS: dict[str, Callable[[sqlite3.Connection, Any], Any]] = {
    "pages-sound": lambda connection, _payload: database.check_pages(connection),
    "page": lambda connection, payload: queries.page(connection, BY_TABLE[payload["table"]], payload["after"]),
    "audit-facts": _facts,
}


def _content(connection: sqlite3.Connection, unlocked: Unlocked) -> Opened:
    rows = [
        (kind.table, *row[1:])
        for kind in TAGGED
        for row in connection.execute(f'SELECT rowid, {queries.columns(kind)} FROM "{kind.table}" ORDER BY rowid')
    ]
    entries: list[AuditRow] = []
    previous = b""
    whole = True
    while found := queries.audit_after(connection, entries[-1].sequence if entries else 0):
        for entry in found:
            if entries and not unlocked.ledger.check_entry(previous, entry):
                whole = False
            entries.append(entry)
            previous = entry.mac
    first = entries[0] if entries else None
    from vaultd.crypto import integrity

    if first is not None and not unlocked.ledger.check_entry(
        integrity.first_audit_head(unlocked.vault.vault_id), first
    ):
        whole = False
    return Opened(
        tuple(sorted(rows, key=repr)),
        tuple(entry.values() for entry in entries),
        whole,
        unlocked.ledger.generation,
    )
