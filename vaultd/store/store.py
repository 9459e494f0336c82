"""The store: one thread owns the connection; reads and changes are done in the order they were asked for.

Changes that wait together share one transaction, and so one sync. A change is acknowledged after its commit; when the
commit fails, each change of its batch is tried by itself, so that one bad change fails alone with those built on it.
After an error of the disk the connection counts as dead: it is opened again and asked which generation it holds, for a
failed sync does not say whether the commit is on the disk. Where it cannot be opened, the next request tries again.
"""

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlite_utils import Database

from vaultd import limits
from vaultd.errors import OUT_OF_ORDER, StoreDamagedError, StoreFullError, StoreUnavailableError, VaultError
from vaultd.store import anchor, database, queries
from vaultd.store.changes import Change, apply

log = logging.getLogger(__name__)
T = TypeVar("T")

_ANCHOR_IDLE_SECONDS = 1.0


@dataclass(slots=True)
class _Job:
    done: Callable[[Any, Exception | None], None]
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
            self._database: Database | None = database.open_database(path)
            try:
                self._generation = self._checked_generation(self._database.conn)
            except BaseException:
                database.close_database(self._database)
                raise
        except BaseException:
            os.close(self._lock)
            raise
        self._waiting = 0
        self._pending_anchor = b""
        self._pending_since = 0.0
        self._unfolded = False
        self._put_back: _Job | None = None
        self._ended = False
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
        if quick and not self._waiting and self._database is not None:
            return cast("T", self._run_read(query))
        future: asyncio.Future[T] = self._loop.create_future()
        self._ask(_Job(partial(_resolve, future), read=query))
        return await future

    def commit(self, change: Change, done: Callable[[Exception | None], None]) -> None:
        """Makes a change durable.

        Args:
            change: Comes after all that was asked for before it.
            done: Called in the event loop, and must not raise: with None when the change is on the disk, or else with
                StoreFullError, StoreUnavailableError or StoreDamagedError: it did not happen. With OUT_OF_ORDER in the metadata, it
                may have, and only opening the vault again tells.
        """
        self._ask(_Job(done=lambda _, error: done(error), change=change))

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
        while not self._ended:
            self._do(self._next_job())
        self._flush_anchor()
        self._drop()

    def serve_waiting(self, connection: sqlite3.Connection) -> None:
        """Does what waits, in the middle of a read that takes long. For that read, on the store's thread.

        Raises:
            StoreUnavailableError: The store is closing, or was opened anew: the read is of a connection that is gone.
        """
        while not self._ended:
            job, self._put_back = self._put_back, None
            try:
                self._do(job or self._jobs.get_nowait())
            except queue.Empty:
                break
        if self._ended or self._database is None or self._database.conn is not connection:
            raise StoreUnavailableError("the store was closed or opened anew meanwhile; try again")

    def _do(self, job: "_Job | None") -> None:
        """Does a job, and the changes that wait with it; None is the end."""
        if job is None:
            self._ended = True
        elif job.read is not None:
            self._settle([job], self._run_read, job.read)
        else:
            batch, self._put_back, self._ended = self._collect(job)
            self._commit_batch(batch)

    def _next_job(self) -> "_Job | None":
        if self._put_back is not None:
            job, self._put_back = self._put_back, None
            return job
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

    def _commit_batch(self, batch: list[_Job]) -> None:
        fitting: list[tuple[_Job, Change]] = []
        for job in batch:
            assert job.change is not None
            if job.change.integrity.generation == self._generation + 1 + len(fitting):
                fitting.append((job, job.change))
            else:
                # Built on one that failed. The keyholder has learned, or learns first, of that failure.
                facts = {OUT_OF_ORDER: str(self._generation)}
                self._deliver([job], None, StoreUnavailableError("the change is out of order", metadata=facts))
        if not fitting:
            return
        jobs = [job for job, _ in fitting]
        try:
            self._run_commit([change for _, change in fitting])
        except Exception as error:  # noqa: BLE001  goes to whoever awaits; the thread must live on
            if len(jobs) == 1:
                self._deliver(jobs, None, error)
            else:
                self._commit_singly(fitting)
        else:
            self._deliver(jobs, None, None)
        if time.monotonic() - self._pending_since >= _ANCHOR_IDLE_SECONDS:
            self._flush_anchor()  # It is never idle: entries alone must reach the anchor all the same.

    def _commit_singly(self, fitting: list[tuple[_Job, Change]]) -> None:
        for number, (job, change) in enumerate(fitting):
            try:
                self._run_commit([change])
            except Exception as error:  # noqa: BLE001  as above
                # Those that follow are built on it.
                self._deliver([each for each, _ in fitting[number:]], None, error)
                return
            self._deliver([job], None, None)

    def _settle(self, jobs: list[_Job], work: Callable[[Any], Any], argument: Any) -> None:
        try:
            result = work(argument)
        except Exception as error:  # noqa: BLE001  goes to whoever awaits; the thread must live on
            self._deliver(jobs, None, error)
        else:
            self._deliver(jobs, result, None)

    def _deliver(self, jobs: list[_Job], result: Any, error: Exception | None) -> None:
        def deliver() -> None:
            self._waiting -= len(jobs)
            for job in jobs:
                job.done(result, error)

        self._loop.call_soon_threadsafe(deliver)

    def _run_read(self, query: Callable[[sqlite3.Connection], Any]) -> Any:
        connection = self._connection()
        try:
            with database.foreign_errors():
                try:
                    return query(connection)
                except sqlite3.Error:
                    connection.rollback()
                    raise
        except StoreUnavailableError:
            self._drop()
            raise

    def _run_commit(self, changes: list[Change]) -> None:
        connection = self._connection()
        if changes[0].integrity.generation != self._generation + 1:
            facts = {OUT_OF_ORDER: str(self._generation)}
            raise StoreUnavailableError("the change is out of order", metadata=facts)
        try:
            with database.foreign_errors():
                connection.execute("BEGIN IMMEDIATE")
                for change in changes:
                    apply(connection, change)
                connection.commit()
        except VaultError as error:
            self._recover(connection, error, changes)
        self._generation = changes[-1].integrity.generation
        if not self._pending_anchor:
            self._pending_since = time.monotonic()
        self._pending_anchor = changes[-1].anchor
        if any(change.anchored for change in changes):
            self._flush_anchor()
        if self._unfolded or any(change.erases for change in changes):
            self._fold_log(connection)

    def _fold_log(self, connection: sqlite3.Connection) -> None:
        """Empties the WAL into the file, where `secure_delete` has overwritten what was erased.

        Threat: a passphrase that was changed, or a key that was revoked, opens what the WAL still holds of before, in
        a copy of the disk or after a kill. Limit: blocks that the file system has freed, and backups.
        """
        try:
            self._unfolded = bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        except sqlite3.Error:
            self._unfolded = True
        if self._unfolded:
            log.warning("the write-ahead log still holds what was erased; tried again at the next change")

    def _recover(self, connection: sqlite3.Connection, error: VaultError, changes: list[Change]) -> None:
        """Decides whether a commit that raised took place; returns where it did, raises where it did not."""
        with database.foreign_errors():
            try:
                connection.rollback()
            except sqlite3.Error:
                log.warning("rollback failed")
            if isinstance(error, StoreFullError):
                # Nothing reached the WAL's commit record: the rollback is the whole truth.
                raise error
            self._drop()
            connection = self._connection()
            log.warning("store opened again after %s at generation %d", error.reason, self._generation)
            if self._generation != changes[-1].integrity.generation:
                raise error
            try:
                # It is in the WAL, whose sync is what failed: it counts once it is in the file itself.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error:
                # Neither certain to stay nor gone: the keyholder must not go on from either, and locks.
                facts = {OUT_OF_ORDER: str(self._generation)}
                raise StoreUnavailableError("the disk does not say whether it has the change", metadata=facts) from None

    def _connection(self) -> sqlite3.Connection:
        """Returns the connection; opens the file again where an error of the disk has ended the last one."""
        if self._database is None:
            opened = database.open_database(self.path)
            try:
                self._generation = self._checked_generation(opened.conn)
            except BaseException:
                database.close_database(opened)
                raise
            self._database = opened
        return self._database.conn

    def _drop(self) -> None:
        dropped, self._database = self._database, None
        if dropped is not None:
            database.close_database(dropped)

    @staticmethod
    def _checked_generation(connection: sqlite3.Connection) -> int:
        with database.foreign_errors():
            found = queries.integrity(connection)
            generation = found[0].generation if found else 0
            if bool(generation) != bool(queries.vault(connection)):
                # Without its one row the vault would look like one that was never initialized.
                raise StoreDamagedError("rows of the store are missing")
        return generation

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


def _resolve(future: "asyncio.Future[T]", result: T, error: Exception | None) -> None:
    if not future.done():
        future.set_result(result) if error is None else future.set_exception(error)
