"""Stores that were changed behind the daemon's back.

`history` is one vault at two moments, as files. `Files.put` lays them under a daemon. `verdicts` asks of many changed
stores at once what an unlock says: with the real store, the real keyholder process and the real unlock socket, but
without gRPC, which has no part in the answer and takes most of a start.
"""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from vaultd.errors import VaultError
from vaultd.keyholder.process import spawn
from vaultd.server.backups import Backups
from vaultd.server.custody import Custody
from vaultd.server.rows import Rows
from vaultd.server.sockets import BoundSocket, bind_public
from vaultd.store.store import Store
from vaultd_client.errors import VaultClientError
from vaultd_client.unlock import UnlockClient

MACHINE_KEY = bytes(range(32))
"""Opens without Argon2id, so that a sweep takes seconds."""
FORMER_PASSPHRASE = b"a passphrase that was taken back"
NEW_PAIR = {"api_key": "NEW-read-key-0002-abcdefgh", "secret": "NEW-secret-canary-0002"}
OTHER_PAIR = {"api_key": "KRAKEN-key-abcdefgh-0001", "secret": "S1JBS0VOLXNlY3JldC1jYW5hcnk="}
AT_ONCE = 3


@dataclass(frozen=True, repr=False)
class Files:
    """A closed store: its database, its anchor, and the key of its administrator."""

    database: bytes
    anchor: bytes
    admin_key: bytes

    @classmethod
    def of(cls, daemon: Daemon) -> "Files":
        """Reads the files of a stopped daemon."""
        assert not daemon.database.with_name("vault.db-wal").exists()
        key = daemon.home / "admin.key"
        return cls(daemon.database.read_bytes(), daemon.anchor.read_bytes(), key.read_bytes())

    def put(self, daemon: Daemon) -> Daemon:
        """Lays the files under a daemon that is not running; returns the daemon."""
        daemon.data.mkdir(mode=0o700, exist_ok=True)
        daemon.anchor_dir.mkdir(mode=0o700, exist_ok=True)
        for left in daemon.data.glob("vault.db-*"):
            left.unlink()
        daemon.database.write_bytes(self.database)
        daemon.anchor.write_bytes(self.anchor)
        key = daemon.home / "admin.key"
        key.write_bytes(self.admin_key)
        key.chmod(0o600)
        return daemon


@dataclass(frozen=True)
class History:
    """A vault at two moments. Between them: a pair was rotated, a grant and a passphrase taken back, a note changed."""

    old: Files
    new: Files


def unlock(daemon: Daemon) -> None:
    """Unlocks a vault of `history`, without Argon2id."""
    daemon.unlock(MACHINE_KEY, kind="machine")


@cache
def history() -> History:
    """Returns the two moments; made once per test run."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        with daemon.unlocker() as unlocker:
            unlocker.slot_add(bytearray(PASSPHRASE), bytearray(MACHINE_KEY), kind="machine", label="machine")
            former = unlocker.slot_add(bytearray(PASSPHRASE), bytearray(FORMER_PASSPHRASE), label="former")
        daemon.add_exchange()
        daemon.add_bot()
        with daemon.admin() as admin:
            admin.create_exchange("kraken-main", "kraken", {"read": OTHER_PAIR}, labels={"desk": "one"})
            grant = admin.create_grant("bot", "kraken-main", "read")
        assert daemon.stop() == 0
        old = Files.of(daemon)
        daemon.start()
        daemon.unlock()
        with daemon.admin() as admin:
            admin.rotate_credential("binance-main", "read", NEW_PAIR)
            admin.update_exchange("kraken-main", labels={"desk": "two"})
            admin.delete_grant("bot", grant.id)
        with daemon.unlocker() as unlocker:
            unlocker.slot_remove(former, bytearray(PASSPHRASE))
        assert daemon.stop() == 0
        return History(old, Files.of(daemon))


@cache
def another_vault() -> Files:
    """Returns a vault of the same passphrase that has nothing to do with the one of `history`."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.add_exchange("another")
        assert daemon.stop() == 0
        return Files.of(daemon)


@contextmanager
def editing(database: Path) -> Iterator[sqlite3.Connection]:
    """Opens a store as a thief with the sqlite3 module would, commits at the end, and leaves no WAL behind."""
    with closing(sqlite3.connect(database)) as connection:
        yield connection
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def everything(database: Path | bytes) -> dict[str, list[tuple[object, ...]]]:
    """Returns every row of every table of a closed store, without opening the store itself for writing."""
    content = database if isinstance(database, bytes) else database.read_bytes()
    with tempfile.NamedTemporaryFile(prefix="vaultd-test-") as copy, closing(sqlite3.connect(copy.name)) as connection:
        Path(copy.name).write_bytes(content)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"')) for name in names}


# --- asking many ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What came of an unlock: where it was refused (`start`, `unlock`, or nowhere), for what reason, in what words."""

    where: str
    reason: str
    message: str
    hint: str = ""


UNLOCKED = Verdict("", "", "")


def verdicts(files: Files, changes: Mapping[str, Callable[[Path], object]]) -> dict[str, Verdict]:
    """Makes each change to a copy of its own, tries to unlock it with the machine key, and returns what came of it.

    Args:
        files: What is changed.
        changes: Name to a function that gets the path of the database; the anchor is `../anchor/anchor`.
    """
    found: dict[str, Verdict] = {}
    waiting = list(changes.items())

    async def work() -> None:
        while waiting:
            name, change = waiting.pop()
            found[name] = await _verdict(files, change)

    async def all_of_them() -> None:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    asyncio.run(all_of_them())
    return found


async def _verdict(files: Files, change: Callable[[Path], object]) -> Verdict:
    home = Path(tempfile.mkdtemp(prefix="vaultd-test-"))
    try:
        daemon = files.put(Daemon(home))
        change(daemon.database)
        try:
            store = Store(daemon.database, daemon.anchor)
        except VaultError as error:
            return Verdict("start", error.reason, error.message)
        with bind_public(home / "unlock.sock", 0o600) as listener:
            return await _unlocked(store, listener, home / "unlock.sock")
    finally:
        shutil.rmtree(home)


async def _unlocked(store: Store, listener: BoundSocket, path: Path) -> Verdict:
    custody = Custody(store, Rows(store, Backups(store), lambda _change: None), partial(spawn, listener), None)
    try:
        try:
            await custody.start(spawn(listener))
        except VaultError as error:
            return Verdict("start", error.reason, error.message)
        return await asyncio.to_thread(_try_machine_key, path)
    finally:
        await custody.stop()
        await store.close()


def _try_machine_key(path: Path) -> Verdict:
    with UnlockClient(path) as unlocker:
        try:
            unlocker.unlock(bytearray(MACHINE_KEY), kind="machine")
        except VaultClientError as error:
            return Verdict("unlock", error.reason, error.message, error.hint)
        return UNLOCKED
