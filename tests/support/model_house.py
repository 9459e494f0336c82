"""A real daemon for many runs of the state machine: one process, one set of files, laid anew now and then.

Unlocked with a machine key, which takes no Argon2id. Each run has names of its own and takes away what it made, so that
the next one need not wait for a fresh daemon.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.stores import MACHINE_KEY, Files
from vaultd_client import ClientKey, VaultClient, VaultClientError
from vaultd_client.slots import Unlocked

_RUNS_PER_STORE = 40
"""Then the files are laid anew: the audit grows with every run, and walking it is part of each."""
_ANCHOR_GENERATION = slice(32, 40)


@dataclass(frozen=True, repr=False)
class Copy:
    """What a thief or a backup has: the database and its log, without the anchor, which is kept elsewhere."""

    database: bytes
    log: bytes


class House:
    """The daemon, the administrator's connection, and the count of what was done."""

    def __init__(self, daemon: Daemon, files: Files) -> None:
        self.daemon = daemon
        self.found: Counter[str] = Counter()
        self.admin: VaultClient = daemon.admin()
        self._files = files
        self._runs = 0
        self.dirty = True

    @property
    def log(self) -> bytes:
        """The write-ahead log as it is."""
        path = self.daemon.database.with_name("vault.db-wal")
        return path.read_bytes() if path.exists() else b""

    def begin(self) -> str:
        """Returns the first letters of the names of a new run, on an unlocked vault that has none of them."""
        if self.dirty or self._runs % _RUNS_PER_STORE == 0:
            self.daemon.close()
            self._files.put(self.daemon)
            self.start()
            self.unlock()
        self._runs += 1
        self.dirty = True  # until the run says otherwise
        return f"r{self._runs:05}"

    def start(self) -> None:
        """Starts the daemon on the files that are there."""
        self.admin.close()
        self.daemon.start()
        self.admin = self.daemon.admin()

    def unlock(self, *, accept_rollback: bool = False) -> Unlocked:
        """Unlocks it with the machine key."""
        with self.daemon.unlocker() as unlocker:
            return unlocker.unlock(bytearray(MACHINE_KEY), kind="machine", accept_rollback=accept_rollback)

    def refusal(self) -> str:
        """Tries to unlock; returns the reason of the refusal, or the empty string where it was unlocked."""
        try:
            self.unlock()
        except VaultClientError as error:
            return error.reason
        return ""

    def client(self, key: ClientKey) -> VaultClient:
        """Returns a client with that key."""
        return self.daemon.client(key)

    def copy(self) -> Copy:
        """Copies the files of the running daemon at a moment at which nothing is written."""
        while True:
            first = Copy(self.daemon.database.read_bytes(), self.log)
            if first == Copy(self.daemon.database.read_bytes(), self.log):
                return first

    def put(self, copy: Copy) -> None:
        """Lays a copy under the stopped daemon; the anchor stays."""
        self.daemon.database.write_bytes(copy.database)
        log = self.daemon.database.with_name("vault.db-wal")
        log.unlink(missing_ok=True)
        if copy.log:
            log.write_bytes(copy.log)

    @property
    def anchored(self) -> int:
        """The generation of the anchor."""
        return int.from_bytes(self.daemon.anchor.read_bytes()[_ANCHOR_GENERATION], "big")


@contextmanager
def new_house() -> Iterator[House]:
    """Yields a house with an initialized vault that has nothing in it but its administrator."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        with daemon.unlocker() as unlocker:
            unlocker.slot_add(bytearray(PASSPHRASE), bytearray(MACHINE_KEY), kind="machine", label="machine")
        assert daemon.stop() == 0
        house = House(daemon, Files.of(daemon))
        try:
            yield house
        finally:
            house.admin.close()
