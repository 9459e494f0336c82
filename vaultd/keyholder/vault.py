"""What the keyholder knows while it lives: its state, and, once unlocked, keys, ledger, clients and grants."""

import json
import secrets
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from vaultd import limits
from vaultd.crypto import requests
from vaultd.errors import (
    OUT_OF_ORDER,
    StoreDamagedError,
    VaultError,
    VaultInitializedError,
    VaultLockedError,
    VaultUninitializedError,
)
from vaultd.keyholder.allowlist import Allowlist
from vaultd.keyholder.clock import Clock, boot_ns
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.ledger import Entry, Ledger, Place
from vaultd.keyholder.loop import Ask, Loop, Task
from vaultd.keyholder.nonces import Nonces
from vaultd.keyholder.rates import Rates
from vaultd.keyholder.recent import Recent
from vaultd.keyholder.secretmem import SecretMemory
from vaultd.kinds import Catalogue
from vaultd.model import ClientRow, GrantRow, KdfParameters, Row, SlotRow, VaultRow, VaultState

if TYPE_CHECKING:
    from vaultd.keyholder.calls import Calls

R = TypeVar("R", bound=Row)


@dataclass(slots=True)
class Unlocked:
    """All that exists only while the vault is unlocked."""

    vault: VaultRow
    keys: Keys
    ledger: Ledger
    clock: Clock
    slots: dict[int, SlotRow]
    allowlist: Allowlist
    epoch: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    nonces: Nonces = field(default_factory=Nonces)
    rates: Rates = field(default_factory=Rates)
    recent: Recent = field(default_factory=Recent)
    seal_key: bytes = b""
    since_ms: int = 0


class Keyholder:
    """One process, one vault, at most one unlock in its life: lock is its death."""

    def __init__(self, loop: Loop, memory: SecretMemory, catalogue: Catalogue) -> None:
        self.loop = loop
        self.memory = memory
        self.catalogue = catalogue
        self.state = VaultState.LOCKED
        self.schema_version = 0
        self.kdf_floor: KdfParameters | None = None
        self.unlocked: Unlocked | None = None
        self.busy = False
        self.greeted = False
        self.failures = 0
        self._not_before = 0.0
        self.places: frozenset[Place] = frozenset()
        """While there is no server: where the store that the next one presents may be."""

        self.calls: Calls

    def tick(self) -> None:
        """Once a second: what has expired goes."""
        if self.unlocked is not None:
            if self.loop.serving:
                self.calls.denials.tick()
            self.unlocked.nonces.sweep(boot_ns())

    # --- state ------------------------------------------------------------------------------------------------

    def require_unlocked(self) -> Unlocked:
        """Returns the unlocked vault; VaultLockedError or VaultUninitializedError otherwise."""
        if self.unlocked is not None and self.state == VaultState.UNLOCKED:
            return self.unlocked
        raise VaultUninitializedError if self.state == VaultState.UNINITIALIZED else VaultLockedError

    def require_state(self, states: frozenset[VaultState]) -> None:
        """Raises what is wrong with the present state unless it is one of `states`."""
        if self.state in states:
            return
        if self.state == VaultState.UNINITIALIZED:
            raise VaultUninitializedError
        if VaultState.UNINITIALIZED in states:
            raise VaultInitializedError
        raise VaultLockedError if self.state == VaultState.LOCKED else VaultInitializedError("the vault is unlocked")

    def enter_unlocked(self, unlocked: Unlocked) -> None:
        """Begins the session and tells the server."""
        unlocked.seal_key = unlocked.keys.draw_seal()
        unlocked.since_ms = unlocked.clock.now_ms()
        self.unlocked = unlocked
        self.state = VaultState.UNLOCKED
        self.announce(unlocked)

    def announce(self, unlocked: Unlocked) -> None:
        """Tells the server of the session."""
        vault_id = unlocked.vault.vault_id
        self.loop.event(
            "state",
            {
                "state": self.state.value,
                "vault_id": vault_id,
                "identity": unlocked.vault.identity,
                "epoch": unlocked.epoch,
                "seal_key": unlocked.seal_key,
                "seal_key_signature": requests.sign_seal_key(
                    unlocked.keys.identity, vault_id, unlocked.epoch, unlocked.seal_key
                ),
                "unlocked_ms": unlocked.since_ms,
            },
        )

    def server_lost(self) -> None:
        """The server is gone: keeps in mind where it may have left the store."""
        if self.unlocked is not None and self.loop.serving:
            self.places = self.unlocked.ledger.places()

    def leave(self, cause: str) -> None:
        """Ends the process; `cause` is what `vaultctl status` will say."""
        self.state = VaultState.LOCKED
        self.loop.event("locking", {"cause": cause})
        self.loop.leave()

    # --- the delay after wrong passphrases --------------------------------------------------------------------

    def set_failures(self, count: int) -> None:
        """Takes the number of failures from the store, or a new one, and starts its delay anew.

        The delay is counted from now and on a clock that cannot be set, so a restart makes nobody wait less.
        """
        self.failures = count
        over = count - limits.FREE_UNLOCK_FAILURES + 1
        delay_ms = min(limits.UNLOCK_DELAY_BASE_MS << min(over - 1, 16), limits.UNLOCK_DELAY_MAX_MS) if over > 0 else 0
        self._not_before = time.clock_gettime(time.CLOCK_BOOTTIME) + delay_ms / 1000

    def retry_after_ms(self) -> int:
        """Returns how long the next unlock has to wait, in milliseconds."""
        if self.failures < limits.FREE_UNLOCK_FAILURES:
            return 0
        return max(0, round((self._not_before - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000))

    # --- changes ----------------------------------------------------------------------------------------------

    def commit(
        self,
        unlocked: Unlocked,
        entry: Entry,
        puts: Sequence[tuple[Row | None, Row]] = (),
        deletes: Sequence[Row] = (),
        *,
        timeout: float | None = None,
    ) -> Task:
        """Makes a change durable, with its audit entry. When this returns, both are on the disk.

        Raises:
            VaultError: STORE_FULL, STORE_UNAVAILABLE or STORE_DAMAGED; nothing changed.
        """
        ledger = unlocked.ledger
        payload = ledger.change(entry, unlocked.clock.now_ms(), puts, deletes)
        number = ledger.changes
        if len(puts) > limits.ROWS_PER_PAGE:
            # Only the unlock after a restore changes so many: no other change is under way that could overtake it.
            yield from _stage(payload)
        yield from self._settle(ledger, number, Ask("commit", payload, timeout))
        self._take(unlocked, [new for _, new in puts], deletes)

    def begin_commit(self, unlocked: Unlocked, entry: Entry, call: int) -> None:
        """Sends an audit entry to the disk and returns at once.

        Args:
            call: Number of the server's request. Its answer does not leave before the entry is on the disk: the server
                holds it back (stub.py), and drops it for the error of the commit where that fails.
        """
        ledger = unlocked.ledger
        payload = ledger.change(entry, unlocked.clock.now_ms())
        payload["answer"] = call
        self.loop.start(self._settle(ledger, ledger.changes, Ask("commit", payload)), _told_by_server)

    def _settle(self, ledger: Ledger, number: int, commit: Ask) -> Task:
        try:
            yield commit
        except BaseException as error:
            oldest = ledger.failed(number)
            if oldest and isinstance(error, VaultError) and OUT_OF_ORDER in error.metadata:
                # After a disk error the store came back at another generation than it had said: no change would ever
                # fit again. A fresh unlock reads where it really is.
                self.leave("the store is not where the keyholder left it")
            raise
        ledger.committed(number)

    def _take(self, unlocked: Unlocked, puts: Sequence[Row], deletes: Sequence[Row]) -> None:
        for row in puts:
            match row:
                case ClientRow():
                    unlocked.allowlist.put_client(row)
                case GrantRow():
                    unlocked.allowlist.put_grant(row)
                case SlotRow():
                    unlocked.slots[row.slot] = row
                case VaultRow():
                    unlocked.vault = row
        for row in deletes:
            match row:
                case GrantRow():
                    unlocked.allowlist.drop_grant(row)
                case SlotRow():
                    del unlocked.slots[row.slot]

    def fetch_one(
        self, unlocked: Unlocked, kind: type[R], name: str, payload: Any, wanted: Hashable
    ) -> Task:
        """Returns the one current row that the server finds, or None; asks only where it is not known.

        Args:
            wanted: What the row is remembered by.
        """
        row = unlocked.recent.get((name, wanted), unlocked.ledger)
        if row is not None:
            return row
        rows = yield from self.fetch(unlocked, kind, name, payload)
        if len(rows) != 1:
            return None
        unlocked.recent.put((name, wanted), rows[0], unlocked.ledger)
        return rows[0]

    def fetch(self, unlocked: Unlocked, kind: type[Row], name: str, payload: Any) -> Task:
        """Asks the server for rows and returns those that are current, as a list of `kind`.

        Raises:
            StoreDamagedError: The server handed in a row that is not the one last written.
        """
        # A row asked for before a change was made may come back after it: the second answer cannot be that old.
        for _ in range(2):
            found = yield Ask(name, payload)
            rows = [kind.of(values[:-1]) for values in found]
            if all(
                unlocked.ledger.is_current(row, values[-1]) for row, values in zip(rows, found, strict=True)
            ):
                return rows
        raise StoreDamagedError(f"a row of {kind.table} is not the one last written")


def _told_by_server(_result: object, _error: BaseException | None) -> None:
    """Whoever waits for the answer gets the error of the commit from the server."""


def _stage(payload: dict[str, Any]) -> Task:
    """Sends the rows of a change ahead, in frames that the link takes."""
    rows, payload["puts"] = payload["puts"], []
    payload["staged"] = True
    yield Ask("stage", {"begin": True, "puts": []})
    for at in range(0, len(rows), limits.ROWS_PER_PAGE):
        yield Ask("stage", {"begin": False, "puts": rows[at : at + limits.ROWS_PER_PAGE]})


def canonical_json(value: Any) -> str:
    """Returns JSON with sorted keys and no blanks: the form that is tagged."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


