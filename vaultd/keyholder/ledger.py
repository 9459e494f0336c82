"""What the keyholder knows of the whole store: which rows are current, the sum over them, the head of the audit.

The server keeps the rows; the ledger tells a current row from an old or foreign one, and makes for every change the
audit entry, the integrity row and the anchor. A change counts from the moment it is made, so that the next one can
build on it; when its commit fails, it and all made after it are undone.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaultd.crypto import integrity
from vaultd.errors import StoreDamagedError
from vaultd.model import BY_TABLE, AuditRow, IntegrityRow, PeerFacts, Row
from vaultd.packing import pack_row, unpack_row

Place = tuple[int, bytes]
"""Generation and audit head: they name one state of one store, for nobody else can make the head."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What an audit entry says, before it has a place in the chain."""

    method: str
    peer: PeerFacts
    decision: str = "allow"
    rule: str = ""
    client: str = ""
    exchange: str = ""
    configuration: str = ""
    version: int = 0
    detail: str = ""
    count: int = 1


class Ledger:
    """Sum, counts, generation and audit head of one unlocked vault."""

    def __init__(
        self, vault_id: bytes, schema_version: int, row_key: memoryview, integrity_key: memoryview, audit_key: memoryview
    ) -> None:
        self.vault_id = vault_id
        self.generation = 0
        self.head = integrity.first_audit_head(vault_id)
        self.counts = dict.fromkeys(BY_TABLE, 0)
        self._schema_version = schema_version
        self._row_key = row_key
        self._integrity_key = integrity_key
        self._audit_key = audit_key
        self._total = 0
        self._current: set[bytes] = set()
        self.changes = 0
        self._trail: dict[int, tuple[int, dict[str, int], bytes, int]] | None = None
        self._made: deque[tuple[int, Place, Callable[[], None]]] = deque()

    # --- at unlock --------------------------------------------------------------------------------------------

    def load_page(self, table: str, rows: Sequence[bytes], tags: Sequence[bytes]) -> None:
        """Takes a page of the store in: packed rows and their tags.

        Raises:
            StoreDamagedError: A tag is not its row's, a row is of another table, or was there already.
        """
        head = pack_row(table, ())[1:]
        current, key, tag_of = self._current, self._row_key, integrity.packed_tag
        before = len(current)
        total = 0
        for packed, tag in zip(rows, tags, strict=True):
            good, element = tag_of(key, packed)
            if good != tag or not packed.startswith(head, 1):
                raise StoreDamagedError(
                    f"a row of {table} was changed outside vaultd", metadata={"row": str(unpack_row(packed)[1][0])}
                )
            current.add(element)
            total += int.from_bytes(element, "big")
        if len(current) - before != len(rows):
            raise StoreDamagedError(f"a row of {table} is there twice")
        self._total = integrity.add_sum(self._total, total)
        self.counts[table] += len(rows)

    def open_at(self, row: IntegrityRow, tail: AuditRow | None, entries: int) -> None:
        """Checks what was loaded against the integrity row and the end of the audit, and goes on from there.

        Raises:
            StoreDamagedError: Rows are missing, added or old, or the audit is cut.
        """
        head = tail.mac if tail else integrity.first_audit_head(self.vault_id)
        if min(row.generation, row.time_ms) < 0:
            raise StoreDamagedError("the integrity row was changed outside vaultd")
        mac = self._mac(row.generation, row.time_ms, head)
        if row.vault_id != self.vault_id or not integrity.same(mac, row.mac):
            raise StoreDamagedError("rows of the store are missing, added or out of date")
        if (tail.sequence if tail else 0) != row.generation or entries != row.generation:
            raise StoreDamagedError("entries of the audit are missing")
        self.generation, self.head = row.generation, head

    def check_entry(self, previous: bytes, entry: AuditRow) -> bool:
        """Says whether an audit entry follows the one whose MAC is `previous`."""
        return integrity.same(integrity.audit_mac(self._audit_key, previous, entry.values()[:-1]), entry.mac)

    # --- while unlocked ---------------------------------------------------------------------------------------

    def is_current(self, row: Row, tag: bytes) -> bool:
        """Says whether a row that the server handed in is the one last written."""
        return self._element(row, tag) is not None

    def recount(self, total: int, row: Row, tag: bytes) -> int:
        """Adds a row that the server handed in to a sum over all rows, for `is_whole`.

        Raises:
            StoreDamagedError: It is not the one last written.
        """
        element = self._element(row, tag)
        if element is None:
            raise StoreDamagedError(f"a row of {row.table} is not the one last written")
        return integrity.add(total, element)

    def is_whole(self, total: int) -> bool:
        """Says whether a sum of `recount` is that of every row once, and of no other."""
        return total == self._total

    def holds(self, row: Row) -> bool:
        """Says whether a row is the one last written."""
        return self.element(row) in self._current

    def element(self, row: Row) -> bytes:
        """Returns what stands for a row in the sum."""
        return integrity.row_tag(self._row_key, row.table, row.values())[1]

    def has(self, element: bytes) -> bool:
        """Says whether the row of an element is the one last written."""
        return element in self._current

    def change(
        self,
        entry: Entry,
        now_ms: int,
        puts: Sequence[tuple[Row | None, Row]] = (),
        deletes: Sequence[Row] = (),
    ) -> dict[str, Any]:
        """Makes a change: audit entry, rows as (old or None, new), rows to erase.

        Returns:
            The payload of `commit`.

        Raises:
            StoreDamagedError: An old row is not the one last written, or a new one is there already. Nothing is changed.
        """
        before = (self.generation, self.head, self._total, dict(self.counts))
        left: list[bytes] = []
        entered: list[bytes] = []
        wire_puts, wire_deletes = [], []

        def undo() -> None:
            self.generation, self.head, self._total, self.counts = before
            self._current.difference_update(entered)
            self._current.update(left)

        try:
            for old, new in puts:
                if old is not None:
                    left.append(self._leave(old))
                tag, element = integrity.row_tag(self._row_key, new.table, new.values())
                self._enter(new.table, element)
                entered.append(element)
                wire_puts.append([new.table, new.values(), tag])
            for old in deletes:
                left.append(self._leave(old))
                wire_deletes.append([old.table, old.values()[: old.keys]])
        except StoreDamagedError:
            # Half a change left in the sum would make every later integrity row one that no store fits.
            undo()
            raise
        self.generation += 1
        audit = self._audit_row(entry, now_ms)
        self.head = audit.mac
        row = IntegrityRow(self.vault_id, self.generation, now_ms, self._mac(self.generation, now_ms, self.head))
        if self._trail is not None:
            self._trail[self.generation] = (self._total, dict(self.counts), self.head, now_ms)
        self.changes += 1
        self._made.append((self.changes, before[:2], undo))
        return {
            "puts": wire_puts,
            "deletes": wire_deletes,
            "audit": audit.values(),
            "integrity": row.values(),
            "anchor": integrity.make_anchor(self._audit_key, self.vault_id, self.generation, self.head),
        }

    def adopt(self, row: Row) -> list[Any]:
        """Takes a row in that another ledger vouches for, when the master key changes; returns its `put`."""
        tag, element = integrity.row_tag(self._row_key, row.table, row.values())
        self._enter(row.table, element)
        return [row.table, row.values(), tag]

    def follow(self, other: "Ledger") -> None:
        """Goes on from where another ledger of the same audit stands."""
        self.generation, self.head = other.generation, other.head

    # --- for a backup -----------------------------------------------------------------------------------------

    def begin_trail(self) -> bool:
        """Remembers every generation from the next change on; False where somebody else has it remembered already."""
        if self._trail is not None:
            return False
        self._trail = {}
        return True

    def end_trail(self) -> None:
        """Forgets them."""
        self._trail = None

    def without(self, generation: int, rows: Sequence[Row]) -> tuple[IntegrityRow, bytes, dict[str, int]]:
        """Returns integrity row, anchor and counts of the store of a remembered generation without some of its rows.

        Raises:
            StoreDamagedError: The generation is none that was made meanwhile.
        """
        if self._trail is None or generation not in self._trail:
            raise StoreDamagedError("the server has copied a store that the keyholder does not know")
        total, counts, head, time_ms = self._trail[generation]
        counts = dict(counts)
        for row in rows:
            total = integrity.remove(total, integrity.row_tag(self._row_key, row.table, row.values())[1])
            counts[row.table] -= 1
        mac = self._mac_of(generation, time_ms, head, counts, total)
        anchor = integrity.make_anchor(self._audit_key, self.vault_id, generation, head)
        return IntegrityRow(self.vault_id, generation, time_ms, mac), anchor, counts

    def committed(self, number: int) -> None:
        """The change of that number, `changes` when it was made, is durable. Changes become so in their order."""
        while self._made and self._made[0][0] <= number:
            self._made.popleft()

    def failed(self, number: int) -> bool:
        """The change of that number did not happen: it and every later one is undone.

        The answers to those come later still and find nothing, for a number is never used again; a generation is.

        Returns:
            Whether nothing made before it waits for its answer: then nothing but itself is to blame.
        """
        if all(made != number for made, _, _ in self._made):
            return False
        oldest = self._made[0][0] == number
        while self._made and self._made[-1][0] >= number:
            self._made.pop()[2]()
        return oldest

    def places(self) -> frozenset[Place]:
        """Returns where the store can be: as acknowledged, or after any of the changes that wait for their answer."""
        return frozenset({place for _, place, _ in self._made} | {(self.generation, self.head)})

    # --- inside -----------------------------------------------------------------------------------------------

    def _audit_row(self, entry: Entry, now_ms: int) -> AuditRow:
        values = (
            self.generation,
            now_ms,
            entry.method,
            entry.decision,
            entry.rule,
            entry.client,
            entry.peer.uid,
            entry.peer.pid,
            entry.peer.unit,
            entry.peer.started_ms,
            entry.exchange,
            entry.configuration,
            entry.version,
            entry.detail,
            entry.count,
        )
        return AuditRow(*values, mac=integrity.audit_mac(self._audit_key, self.head, values))

    def _element(self, row: Row, tag: bytes) -> bytes | None:
        good, element = integrity.row_tag(self._row_key, row.table, row.values())
        return element if integrity.same(good, tag) and element in self._current else None

    def _enter(self, table: str, element: bytes) -> None:
        if element in self._current:
            raise StoreDamagedError(f"a row of {table} is there already")
        self._current.add(element)
        self._total = integrity.add(self._total, element)
        self.counts[table] += 1

    def _leave(self, row: Row) -> bytes:
        _, element = integrity.row_tag(self._row_key, row.table, row.values())
        if element not in self._current:
            raise StoreDamagedError(f"a row of {row.table} is out of date")
        self._current.remove(element)
        self._total = integrity.remove(self._total, element)
        self.counts[row.table] -= 1
        return element

    def _mac(self, generation: int, time_ms: int, head: bytes) -> bytes:
        return self._mac_of(generation, time_ms, head, self.counts, self._total)

    def _mac_of(self, generation: int, time_ms: int, head: bytes, counts: Mapping[str, int], total: int) -> bytes:
        return integrity.store_mac(
            self._integrity_key,
            self.vault_id,
            self._schema_version,
            generation,
            time_ms,
            [counts[table] for table in BY_TABLE],
            total,
            head,
        )
