"""Answers what the keyholder asks of the store. One function per request of the link."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

from vaultd.errors import ExchangeNotFoundError
from vaultd.model import BY_TABLE, AuditRow, IntegrityRow, Row
from vaultd.packing import pack_row, unpack_row
from vaultd.server.backups import Backups
from vaultd.store import anchor, database, queries
from vaultd.store.changes import Change, Delete, Put
from vaultd.store.store import Store

_NEWEST = (1 << 63) - 1


class Rows:
    """The store as the keyholder sees it. `changed` is told of every change after its commit."""

    def __init__(self, store: Store, backups: Backups, changed: Callable[[Change], None]) -> None:
        self._store = store
        self._changed = changed
        self._staged = _Staged()
        self._sound: asyncio.Future[None] | None = None
        self._ahead: tuple[tuple[str, int], asyncio.Future[tuple[list[bytes], list[bytes], int]]] | None = None
        self._answers: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "open": self._open,
            "failures": store.set_failures,
            "page": self._page,
            "pages-sound": self._pages_sound,
            "audit-facts": self._audit_facts,
            "stage": self._stage,
            "exchange": self._exchange,
            "exchange-by-name": self._exchange_by_name,
            "exchanges": self._exchanges,
            "credential": self._credential,
            "fingerprint": self._fingerprint,
            "audit-after": self._audit_after,
            "audit-before": self._audit_before,
            "copy": backups.copy,
            "copy-finish": backups.finish,
        }

    async def __call__(self, name: str, payload: Any) -> Any:
        """Answers one request; errors of the store go to the keyholder as they are."""
        return await self._answers[name](payload)

    async def _open(self, payload: Any) -> dict[str, Any]:
        self._ahead = None  # What a walk that was broken off has read may be old by now.
        def query(connection: sqlite3.Connection) -> dict[str, Any]:
            return {
                "vault": _wire(queries.vault(connection)),
                "slots": _wire(queries.slots(connection)),
                "integrity": [row.values() for row in queries.integrity(connection)],
                "anchor": anchor.read(self._store.anchor_path),
            }

        found = await self._store.read(query)
        if payload["check"]:
            # Done while the keyholder derives the slot key: a second of Argon2id hides it.
            self._sound = asyncio.ensure_future(self._store.read(database.check_pages))
            self._sound.add_done_callback(_looked_at)
        return found

    async def _pages_sound(self, _payload: Any) -> None:
        sound, self._sound = self._sound, None
        await (sound or self._store.read(database.check_pages))

    async def _page(self, payload: Any) -> Any:
        wanted = (payload["table"], payload["after"])
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == wanted:
            page = await ahead[1]
        else:
            page = await self._read_page(wanted)
        if page[0]:
            # Read on while the keyholder works on this one.
            following = (wanted[0], page[2])
            self._ahead = (following, asyncio.ensure_future(self._read_page(following)))
            self._ahead[1].add_done_callback(_looked_at)
        return page

    async def _read_page(self, wanted: tuple[str, int]) -> tuple[list[bytes], list[bytes], int]:
        return await self._store.read(partial(queries.page, kind=BY_TABLE[wanted[0]], after=wanted[1]))

    async def _audit_facts(self, sequence: int) -> dict[str, Any]:
        def query(connection: sqlite3.Connection) -> dict[str, Any]:
            tail = queries.audit_tail(connection)
            entry = queries.audit_entry(connection, sequence)
            return {
                "tail": tail.values() if tail else None,
                "count": queries.audit_count(connection),
                "entry": entry.values() if entry else None,
            }

        return await self._store.read(query)

    async def _stage(self, payload: Any) -> None:
        if payload["begin"]:
            self._ahead = None
            self._staged = _Staged()
        self._staged.add(payload["puts"])

    def commit(self, payload: Any, done: Callable[[Exception | None], None]) -> None:
        """Begins a change. `done` gets None when it is on the disk and `changed` was told, or what went wrong."""
        puts: Collection[Put] = [Put(*put) for put in payload["puts"]]
        if payload.get("staged"):
            puts, self._staged = self._staged, _Staged()
        change = Change(
            AuditRow.of(payload["audit"]),
            IntegrityRow.of(payload["integrity"]),
            payload["anchor"],
            puts,
            [Delete(*delete) for delete in payload["deletes"]],
        )

        def committed(error: Exception | None) -> None:
            if error is None:
                self._changed(change)
            done(error)

        self._store.commit(change, committed)

    async def _exchange(self, reference: str) -> list[Any]:
        try:
            return _wire([await self._store.read(partial(queries.exchange, reference=reference), quick=True)])
        except ExchangeNotFoundError:
            return []

    async def _exchange_by_name(self, name: str) -> list[Any]:
        return _wire(await self._store.read(partial(queries.exchange_by_name, name=name), quick=True))

    async def _exchanges(self, payload: Any) -> list[Any]:
        return _wire(
            await self._store.read(
                partial(queries.exchanges, after=payload["after"], limit=payload["limit"], hidden=True)
            )
        )

    async def _credential(self, payload: Any) -> list[Any]:
        if not payload["configuration"]:
            query = partial(queries.credentials, exchange_id=payload["exchange"])
        else:
            query = partial(
                queries.credential,
                exchange_id=payload["exchange"],
                configuration=payload["configuration"],
                version=payload["version"],
            )
        return _wire(await self._store.read(query, quick=True))

    async def _fingerprint(self, fingerprint: bytes) -> list[Any]:
        return _wire(await self._store.read(partial(queries.by_fingerprint, fingerprint=fingerprint), quick=True))

    async def _audit_after(self, after: int) -> list[Any]:
        rows = await self._store.read(partial(queries.audit_after, after=after))
        return [row.values() for row in rows]

    async def _audit_before(self, payload: Any) -> list[Any]:
        query = partial(
            queries.audit_before,
            before=payload["before"] or _NEWEST,
            limit=payload["limit"],
            client=payload["client"],
            exchange_id=payload["exchange"],
            decision=payload["decision"],
        )
        return [[row.values(), previous] for row, previous in await self._store.read(query)]


class _Staged(Collection[Put]):
    """Every row of the store, waiting for one commit: packed, for as objects they would take four times the memory."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []

    def add(self, puts: Sequence[Any]) -> None:
        """Takes more rows in: table, columns and tag of each."""
        self._packed += [pack_row(table, (*values, tag)) for table, values, tag in puts]

    def __iter__(self) -> Iterator[Put]:
        for packed in self._packed:
            table, (*values, tag) = unpack_row(packed)
            yield Put(table, values, tag)

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, put: object) -> bool:
        return any(put == each for each in self)


def _looked_at(done: "asyncio.Future[Any]") -> None:
    """What was read ahead may fail, and never be asked for where the passphrase is wrong: asyncio would log a traceback."""
    if not done.cancelled():
        done.exception()


def _wire(found: Sequence[queries.Tagged[Row]] | Sequence[queries.Tagged[Any]]) -> list[list[Any]]:
    return [[*each.row.values(), each.tag] for each in found]
