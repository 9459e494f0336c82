"""Rotating the master key: every data key is wrapped anew, every row tagged anew, in one transaction.

Ciphertexts, identity, audit chain and fingerprints stay: data keys, and the keys that outlast the master key, are
wrapped, not derived. Reveals go on meanwhile under the old key; the switch is one step.
"""

from collections.abc import Mapping
from typing import Any

from vaultd import limits
from vaultd.crypto import envelope
from vaultd.errors import KeyholderUnavailableError, StoreDamagedError
from vaultd.keyholder import records, slots
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.ledger import Entry, Ledger
from vaultd.keyholder.loop import Ask, Task
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import (
    TAGGED,
    CredentialRow,
    ExchangeRow,
    KdfParameters,
    PeerFacts,
    Row,
    SlotKind,
    SlotRow,
    VaultRow,
)
from vaultd.packing import unpack_row


def rotate(holder: Keyholder, unlocked: Unlocked, secrets: Mapping[int, SecretBuffer], peer: PeerFacts) -> Task:
    """Draws a new master key and stores the whole vault under it.

    Args:
        secrets: Slot number to the secret of that slot, for every slot.

    Returns:
        How many data keys were wrapped anew.
    """
    vault_id = unlocked.vault.vault_id
    new = Keys(holder.memory)
    try:
        new.draw_master()
        new.lasting[:] = unlocked.keys.lasting
        new.seal[:] = unlocked.keys.seal
        new.derive(vault_id)
        made: dict[int, SlotRow] = {}
        for number, slot in unlocked.slots.items():
            cost = KdfParameters(slot.memory_kib, slot.passes, slot.lanes)
            made[number] = yield from slots.make(
                new, vault_id, number, SlotKind(slot.kind), slot.label, cost, secrets[number], unlocked.clock
            )
        vault = records.replaced(
            unlocked.vault, wrapped_keys=envelope.wrap_lasting_keys(new.wrapping, new.lasting, vault_id)
        )
        ledger = Ledger(vault_id, holder.schema_version, new.row, new.integrity, new.audit)
        rewrapped = yield from _stage(holder, unlocked, new, ledger, {VaultRow: vault, **made})
    except BaseException:
        new.close()
        raise
    # From here to the commit nothing yields: no entry of the audit can come between.
    old_keys, old_ledger = unlocked.keys, unlocked.ledger
    ledger.follow(old_ledger)
    unlocked.keys, unlocked.ledger = new, ledger
    try:
        entry = Entry("master-key-rotate", peer, rule="unlock-socket", detail=f"{rewrapped} data keys")
        yield from _commit_staged(unlocked, entry)
    except BaseException as error:
        unlocked.keys, unlocked.ledger = old_keys, old_ledger
        if isinstance(error, KeyholderUnavailableError):
            # The store is under one of two master keys, and no server is there to say which. A fresh unlock finds out.
            holder.leave("the server went while the master key was changed")
        new.close()
        raise
    old_keys.close()
    unlocked.slots = made
    unlocked.vault = vault
    return rewrapped


def _stage(
    holder: Keyholder, unlocked: Unlocked, new: Keys, ledger: Ledger, replacements: Mapping[Any, Row]
) -> Task:
    """Sends every row under its new tag to the server, to wait there for the commit; returns how many were rewrapped.

    Args:
        replacements: Slot number to its new row, and VaultRow to the new vault row.
    """
    rewrapped = total = 0
    exchanges: dict[str, ExchangeRow] = {}
    yield Ask("stage", {"begin": True, "puts": []})
    for kind in TAGGED:
        after = 0
        while True:
            rows, tags, after = yield Ask("page", {"table": kind.table, "after": after})
            if not rows:
                break
            puts = []
            for packed, tag in zip(rows, tags, strict=True):
                row = _unpacked(kind, packed)
                total = unlocked.ledger.recount(total, row, tag)
                match row:
                    case ExchangeRow():
                        exchanges[row.exchange] = row
                    case CredentialRow() if row.wrapped_data_key:
                        exchange = exchanges[row.exchange]
                        row = _rewrap(holder, unlocked.keys, new, unlocked.vault.vault_id, exchange, row)
                        rewrapped += 1
                    case SlotRow():
                        row = replacements[row.slot]
                    case VaultRow():
                        row = replacements[VaultRow]
                puts.append(ledger.adopt(row))
            yield Ask("stage", {"begin": False, "puts": puts})
    # The sum and not the counts alone: a row given twice would make up for one that is left out, and lost for good.
    if ledger.counts != unlocked.ledger.counts or not unlocked.ledger.is_whole(total):
        raise StoreDamagedError("rows of the store are missing or added")
    return rewrapped


def _commit_staged(unlocked: Unlocked, entry: Entry) -> Task:
    payload = unlocked.ledger.change(entry, unlocked.clock.now_ms())
    payload["staged"] = True
    number = unlocked.ledger.changes
    yield Ask("commit", payload)
    unlocked.ledger.committed(number)


def _unpacked(kind: type[Row], packed: bytes) -> Row:
    table, values = unpack_row(packed)
    if table != kind.table:
        raise StoreDamagedError(f"a row of {kind.table} is not the one last written")
    return kind.of(values)


def _rewrap(
    holder: Keyholder, old: Keys, new: Keys, vault_id: bytes, exchange: ExchangeRow, row: CredentialRow
) -> CredentialRow:
    with holder.memory.allocate(limits.KEY_BYTES) as data_key:
        envelope.unwrap_data_key(old.wrapping, vault_id, exchange, row, data_key.view)
        wrapped = envelope.rewrap_data_key(new.wrapping, data_key.view, vault_id, exchange, row)
    return records.replaced(row, wrapped_data_key=wrapped)
