"""When the keys in use end, for the metrics: worked out anew only after a change of the store."""

import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vaultd.errors import StoreDamagedError
from vaultd.kinds import Catalogue
from vaultd.kinds.expiry import DAY_MS, ends
from vaultd.store import queries
from vaultd.store.changes import Change
from vaultd.store.store import Store


@dataclass(frozen=True, slots=True)
class KeyEnd:
    """The end of one half's active key, in milliseconds since the epoch."""

    exchange: str
    configuration: str
    hidden: bool
    at_ms: int

    def days(self) -> float:
        """Returns the days that are left; negative for a key that has ended."""
        return (self.at_ms - time.time_ns() // 1_000_000) / DAY_MS


class Expiries:
    """Knows the end of every active key of which anybody knows one."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue
        self._known: tuple[KeyEnd, ...] | None = None
        self._changes = 0

    def forget(self, change: Change) -> None:
        """Drops what a change made stale."""
        if change.puts or change.deletes:
            self._known = None
            self._changes += 1

    async def all(self) -> tuple[KeyEnd, ...]:
        """Returns them, in no order."""
        if self._known is not None:
            return self._known
        changes = self._changes
        known = await self._store.read(lambda connection: tuple(self._read(connection)))
        if changes == self._changes:  # or another change came while we read
            self._known = known
        return known

    def _read(self, connection: sqlite3.Connection) -> Iterator[KeyEnd]:
        for name, kind, hidden, configuration, check, said_ms, created_ms in queries.active_ends(connection):
            try:
                end = ends(json.loads(check), said_ms, created_ms, self._catalogue.expiry_rules(kind))
            except (AttributeError, KeyError, TypeError, ValueError):
                raise StoreDamagedError from None  # a locked vault checks no tags
            if end.at_ms:
                yield KeyEnd(name, configuration, bool(hidden), end.at_ms)
