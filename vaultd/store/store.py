"""The store: one thread owns the connection; reads and changes are done in the order they were asked for.

Changes that wait together share one transaction, and so one sync. A change is acknowledged after its commit; when the
commit fails, none of its batch happened. After an error of the disk the connection counts as dead: it is opened again
and asked which generation it holds, for a failed sync does not say whether the commit is on the disk.
"""

import asyncio
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from vaultd import limits
from vaultd.errors import OUT_OF_ORDER, StoreDamagedError, StoreFullError, StoreUnavailableError, VaultError
from vaultd.model import TAGGED, AuditRow, IntegrityRow, Row
from vaultd.store import anchor, database, queries

log = logging.getLogger(__name__)
T = TypeVar("T")

_TABLES: dict[str, type[Row]] = {kind.table: kind for kind in TAGGED}
_ANCHOR_IDLE_SECONDS = 1.0


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
    puts: Sequence[Put] = field(default=())
    deletes: Sequence[Delete] = field(default=())


@dataclass(slots=True)
class _Job:
    future: "asyncio.Future[Any]"
    read: Callable[[sqlite3.Connection], Any] | None = None
    change: Change | None = None


class Store:
    """The only user of the database file. All methods are for one event loop."""

    def __init__(self, path: Path, anchor_path: Path) -> None:
        """Opens the store; errors as `database.open_database` and `database.lock_file`."""
        self.path = path
        self.anchor_path = anchor_path
        self.anchor_trouble = ""
        self._lock = database.lock_file(path)
        try:
            self._database = database.open_database(path)
            try:
                self._generation = self._checked_generation()
            except BaseException:
                database.close_database(self._database)
                raise
        except BaseException:
            os.close(self._lock)
            raise
        self._waiting = 0
        self._pending_anchor = b""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    async def read(self, query: Callable[[sqlite3.Connection], T], *, quick: bool = False) -> T:
        """Runs a query after all that was asked for before it.

        Args:
            query: Runs on the store's thread.
            quick: A look-up by key. Where nothing waits, it is done at once on the caller's thread: the way to the
                thread and back takes ten times as long as the look-up.
        """
        if quick and not self._waiting:
            return cast("T", self._run_read(query))
        future: asyncio.Future[T] = self._loop.create_future()
        self._ask(_Job(future, read=query))
        return await future

    async def commit(self, change: Change) -> None:
        """Makes a change durable; when this returns, it is on the disk.

        Raises:
            StoreFullError, StoreUnavailableError, StoreDamagedError: The change did not happen.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._ask(_Job(future, change=change))
        await future

    def _ask(self, job: _Job) -> None:
        self._waiting += 1
        self._jobs.put(job)

    async def set_failures(self, count: int) -> None:
        """Makes the number of failed unlocks durable."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute('UPDATE "throttle" SET failures = ? WHERE id = 1', (count,))
            connection.commit()

        await self.read(write)

    async def close(self) -> None:
        """Ends the thread and closes the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        os.close(self._lock)

    # --- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        waiting: _Job | None = None
        while True:
            job = waiting or self._next_job()
            waiting = None
            if job is None:
                break
            if job.read is not None:
                self._settle([job], self._run_read, job.read)
                continue
            batch, waiting, end = self._collect(job)
            self._settle(batch, self._run_commit, [each.change for each in batch if each.change])
            if end:
                break
        self._flush_anchor()
        database.close_database(self._database)

    def _next_job(self) -> "_Job | None":
        while True:
            try:
                return self._jobs.get(timeout=_ANCHOR_IDLE_SECONDS if self._pending_anchor else None)
            except queue.Empty:
                self._flush_anchor()

    def _collect(self, first: _Job) -> tuple[list[_Job], "_Job | None", bool]:
        """Takes the changes that already wait; returns them, a read that came after, and whether the end came."""
        batch = [first]
        while len(batch) < limits.GROUP_COMMIT:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, None, True
            if job.change is None:
                return batch, job, False
            batch.append(job)
        return batch, None, False

    def _settle(self, jobs: list[_Job], work: Callable[[Any], Any], argument: Any) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = work(argument)
        except Exception as caught:  # noqa: BLE001  goes to whoever awaits; the thread must live on
            error = caught

        def deliver() -> None:
            self._waiting -= len(jobs)
            for job in jobs:
                if job.future.done():
                    continue
                if error is not None:
                    job.future.set_exception(error)
                else:
                    job.future.set_result(result)

        self._loop.call_soon_threadsafe(deliver)

    def _run_read(self, query: Callable[[sqlite3.Connection], Any]) -> Any:
        with database.foreign_errors():
            try:
                return query(self._database.conn)
            except sqlite3.Error:
                self._database.conn.rollback()
                raise

    def _run_commit(self, changes: list[Change]) -> None:
        for number, change in enumerate(changes):
            if change.integrity.generation != self._generation + 1 + number:
                # A change built on one that failed. The keyholder learns of that failure before this one.
                raise StoreUnavailableError("the change is out of order", metadata={OUT_OF_ORDER: str(self._generation)})
        connection = self._database.conn
        try:
            with database.foreign_errors():
                connection.execute("BEGIN IMMEDIATE")
                for change in changes:
                    _apply(connection, change)
                connection.commit()
        except VaultError as error:
            self._recover(error, changes)
        self._generation = changes[-1].integrity.generation
        self._pending_anchor = changes[-1].anchor
        if any(change.puts or change.deletes for change in changes):
            self._flush_anchor()

    def _recover(self, error: VaultError, changes: list[Change]) -> None:
        """Decides whether a commit that raised took place; returns where it did, raises where it did not."""
        with database.foreign_errors():
            try:
                self._database.conn.rollback()
            except sqlite3.Error:
                log.warning("rollback failed")
            if isinstance(error, StoreFullError):
                # Nothing reached the WAL's commit record: the rollback is the whole truth.
                raise error
            database.close_database(self._database)
            self._database = database.open_database(self.path)
            generation = self._stored_generation()
        log.warning("store opened again after %s at generation %d", error.reason, generation)
        if generation != changes[-1].integrity.generation:
            self._generation = generation
            raise error

    def _checked_generation(self) -> int:
        with database.foreign_errors():
            generation = self._stored_generation()
            if bool(generation) != bool(queries.vault(self._database.conn)):
                # Without its one row the vault would look like one that was never initialized.
                raise StoreDamagedError("rows of the store are missing")
        return generation

    def _stored_generation(self) -> int:
        found = queries.integrity(self._database.conn)
        return found[0].generation if found else 0

    def _flush_anchor(self) -> None:
        if not self._pending_anchor:
            return
        try:
            anchor.write(self.anchor_path, self._pending_anchor)
        except OSError:
            # The change itself is durable; only the evidence of a rollback lags behind. Tried again at the next change.
            self.anchor_trouble = f"{self.anchor_path} cannot be written"
            log.warning("anchor %s cannot be written", self.anchor_path)
        else:
            self.anchor_trouble = ""
        self._pending_anchor = b""


def _apply(connection: sqlite3.Connection, change: Change) -> None:
    for put in change.puts:
        connection.execute(_PUT[put.table], (*put.values, put.tag))
    for delete in change.deletes:
        if connection.execute(_DELETE[delete.table], tuple(delete.keys)).rowcount != 1:
            raise StoreDamagedError
    connection.execute(_INSERT_AUDIT, change.audit.values())
    connection.execute('DELETE FROM "integrity"')
    connection.execute(_INSERT_INTEGRITY, change.integrity.values())


def _put_sql(kind: type[Row]) -> str:
    names = kind.columns()
    keys = ", ".join(f'"{name}"' for name in names[: kind.keys])
    updates = ", ".join(f'"{name}" = excluded."{name}"' for name in (*names[kind.keys :], "tag"))
    marks = ", ".join("?" * (len(names) + 1))
    # Not INSERT OR REPLACE: on a name taken by another row that would erase the other row.
    return (
        f'INSERT INTO "{kind.table}" ({queries.columns(kind)}, tag) VALUES ({marks}) '  # noqa: S608  fixed names
        f"ON CONFLICT ({keys}) DO UPDATE SET {updates}"
    )


def _delete_sql(kind: type[Row]) -> str:
    where = " AND ".join(f'"{name}" = ?' for name in kind.columns()[: kind.keys])
    return f'DELETE FROM "{kind.table}" WHERE {where}'  # noqa: S608  fixed names


def _insert_sql(kind: type[Row]) -> str:
    marks = ", ".join("?" * len(kind.columns()))
    return f'INSERT INTO "{kind.table}" ({queries.columns(kind)}) VALUES ({marks})'  # noqa: S608  fixed names


_PUT = {table: _put_sql(kind) for table, kind in _TABLES.items()}
_DELETE = {table: _delete_sql(kind) for table, kind in _TABLES.items()}
_INSERT_AUDIT = _insert_sql(AuditRow)
_INSERT_INTEGRITY = _insert_sql(IntegrityRow)
