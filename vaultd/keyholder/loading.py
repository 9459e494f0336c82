"""Believing a store: steps 5 to 7 of an unlock (lifecycle.py), and the same walk when another server presents the store."""

from typing import Any

from vaultd import limits
from vaultd.crypto import integrity, requests
from vaultd.errors import StoreDamagedError, StoreRolledBackError, StoreTooNewError
from vaultd.keyholder.allowlist import Allowlist
from vaultd.keyholder.clock import Clock
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.ledger import Ledger
from vaultd.keyholder.loop import Ask, Task
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import TAGGED, AuditRow, ClientRow, GrantRow, IntegrityRow, Row, SlotRow, VaultRow
from vaultd.packing import unpack_row


def believable(found: dict[str, Any]) -> tuple[VaultRow, list[SlotRow]]:
    """Returns vault row and slots as the store has them, if they can be tried at all."""
    vaults = [VaultRow.of(values[:-1]) for values in found["vault"]]
    rows = [SlotRow.of(values[:-1]) for values in found["slots"]]
    if len(vaults) != 1 or len(rows) > limits.MAX_SLOTS:
        raise StoreDamagedError("the vault row or the key slots are damaged")
    if vaults[0].format_version > limits.FORMAT_VERSION:
        facts = {"found": str(vaults[0].format_version), "supported": str(limits.FORMAT_VERSION)}
        raise StoreTooNewError(metadata=facts)
    return vaults[0], rows


def load(
    holder: Keyholder,
    keys: Keys,
    vault: VaultRow,
    found: dict[str, Any],
    *,
    accept_rollback: bool = False,
    accept_clock: bool = False,
) -> Task:
    """Steps 5 to 7 of an unlock. Returns the unlocked vault, and whether a rollback was accepted: its anchor does not vouch for it."""
    keys.derive(vault.vault_id)
    keys.unwrap_lasting(vault.wrapped_keys, vault.vault_id)
    if requests.identity_public(keys.identity) != vault.identity:
        raise StoreDamagedError("the identity of the vault was changed outside vaultd")
    unlocked = yield from walk(holder, keys, vault, found, accept_clock=accept_clock)
    try:
        yield from _check_anchor(keys, vault, unlocked.ledger, found["anchor"])
    except StoreRolledBackError:
        if not accept_rollback:
            raise
        return unlocked, True
    return unlocked, False


def walk(
    holder: Keyholder, keys: Keys, vault: VaultRow, found: dict[str, Any], *, accept_clock: bool = False
) -> Task:
    """Steps 5 and 6: every page, every row, the end of the audit. Returns an unlocked vault that nothing uses yet.

    Raises:
        StoreDamagedError: The rows are not those that the integrity row covers under these keys.
    """
    yield Ask("pages-sound")
    ledger = Ledger(vault.vault_id, holder.schema_version, keys.row, keys.integrity, keys.audit)
    kept: dict[type[Row], list[Any]] = {SlotRow: [], ClientRow: [], GrantRow: []}
    for kind in TAGGED:
        after = 0
        while True:
            rows, tags, after = yield Ask("page", {"table": kind.table, "after": after})
            if not rows:
                break
            ledger.load_page(kind.table, rows, tags)
            if kind in kept:
                kept[kind] += [kind.of(unpack_row(packed)[1]) for packed in rows]
    stored = [IntegrityRow.of(values) for values in found["integrity"]]
    if len(stored) != 1 or ledger.counts["vault"] != 1:
        raise StoreDamagedError("rows of the store are missing or added")
    facts = yield Ask("audit-facts", max(0, stored[0].generation - 1))
    tail = AuditRow.of(facts["tail"]) if facts["tail"] else None
    ledger.open_at(stored[0], tail, facts["count"])
    before = AuditRow.of(facts["entry"]).mac if facts["entry"] else integrity.first_audit_head(vault.vault_id)
    if tail is not None and not ledger.check_entry(before, tail):
        # Its MAC is covered by the integrity row, its columns only by its MAC; and its time is where the clock goes on.
        raise StoreDamagedError("the last entry of the audit was changed outside vaultd")
    return Unlocked(
        vault,
        keys,
        ledger,
        Clock(tail.time_ms if tail and not accept_clock else 0),
        {row.slot: row for row in kept[SlotRow]},
        Allowlist(kept[ClientRow], kept[GrantRow]),
    )


def _check_anchor(keys: Keys, vault: VaultRow, ledger: Ledger, anchor: bytes | None) -> Task:
    restored = integrity.restored_anchor(anchor or b"")
    if restored is not None:
        anchor = restored[0]
    if anchor is None:
        if ledger.generation == 1:
            return  # Killed between the first commit and the first anchor.
        raise StoreRolledBackError("the anchor is missing", metadata={"generation": str(ledger.generation)})
    read = integrity.read_anchor(keys.audit, vault.vault_id, anchor)
    if read is None:
        raise StoreRolledBackError("the anchor is damaged or of another vault")
    generation, head = read
    facts = {"generation": str(ledger.generation), "anchor": str(generation)}
    if generation > ledger.generation:
        raise StoreRolledBackError(metadata=facts)
    if generation:
        found = yield Ask("audit-facts", generation)
        if not found["entry"] or not integrity.same(AuditRow.of(found["entry"]).mac, head):
            raise StoreRolledBackError("the store and its anchor have parted", metadata=facts)
