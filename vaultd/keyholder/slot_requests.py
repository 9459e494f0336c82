"""What the unlock socket does with key slots: list, add, remove, change, rotate the master key under all of them."""

from collections.abc import Sequence
from typing import Any

from vaultd import limits
from vaultd.errors import LastSlotError, RecordInvalidError, SlotNotFoundError, WrongPassphraseError
from vaultd.keyholder import lifecycle, records
from vaultd.keyholder.ledger import Entry
from vaultd.keyholder.loop import Ask, Task, Turn
from vaultd.keyholder.rotation import rotate
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.slots import HUMAN, check_secret, make, recovery_cost
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import KdfParameters, PeerFacts, SlotKind, SlotRow


def listing(rows: Sequence[SlotRow]) -> dict[str, Any]:
    """Returns what may be shown of slots."""
    names = ("slot", "kind", "label", "memory_kib", "passes", "lanes", "created_ms")
    return {"slots": [{name: getattr(row, name) for name in names} for row in rows]}


def list_slots(
    holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts  # noqa: ARG001  one shape for the table
) -> Task:
    """Lists the slots; while locked, as the store has them."""
    if holder.unlocked is not None:
        return listing([row for _, row in sorted(holder.unlocked.slots.items())])
    found = yield Ask("open", {"check": False})
    return listing([SlotRow.of(values[:-1]) for values in found["slots"]])


def add(holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts) -> Task:
    """Adds a slot, proved by the secret of another."""
    old, new = _two(given)
    kind = records.slot_kind(header.get("kind"))
    label = records.text(header.get("label") or kind.value, "label", limits.MAX_LABEL_CHARS)
    check_secret(kind, new)
    yield from lifecycle.try_secret(holder, records.slot_kind(header.get("with", "passphrase")), None, old)
    unlocked = holder.require_unlocked()
    cost = recovery_cost() if kind == SlotKind.RECOVERY else _policy(holder)
    yield Turn()
    try:
        if len(unlocked.slots) >= limits.MAX_SLOTS:
            raise RecordInvalidError(fields={"slot": f"at most {limits.MAX_SLOTS} key slots"})
        number = next(n for n in range(1, limits.MAX_SLOTS + 1) if n not in unlocked.slots)
        row = yield from make(
            unlocked.keys, unlocked.vault.vault_id, number, kind, label, cost, new, unlocked.clock
        )
        entry = Entry("slot-add", peer, rule="unlock-socket", detail=f"slot {number} ({kind})")
        yield from holder.commit(unlocked, entry, [(None, row)])
    finally:
        holder.loop.end_turn()
    return {"slot": number}


def remove(holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts) -> Task:
    """Removes a slot; never the last human one."""
    if len(given) != 1:
        raise RecordInvalidError(fields={"secrets": "one secret"})
    _wanted(holder, header)
    yield from lifecycle.try_secret(holder, records.slot_kind(header.get("with", "passphrase")), None, given[0])
    unlocked = holder.require_unlocked()
    yield Turn()
    try:
        row = _wanted(holder, header)
        entry = Entry("slot-remove", peer, rule="unlock-socket", detail=f"slot {row.slot} ({row.kind})")
        yield from holder.commit(unlocked, entry, deletes=[row])
    finally:
        holder.loop.end_turn()
    return {}


def change_passphrase(
    holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts
) -> Task:
    """Wraps the master key of one slot anew; no other row changes."""
    old, new = _two(given)
    check_secret(SlotKind.PASSPHRASE, new)
    slot = yield from lifecycle.try_secret(holder, SlotKind.PASSPHRASE, header.get("slot"), old)
    unlocked = holder.require_unlocked()
    yield Turn()
    try:
        row = yield from make(
            unlocked.keys,
            unlocked.vault.vault_id,
            slot.slot,
            SlotKind.PASSPHRASE,
            slot.label,
            _policy(holder),
            new,
            unlocked.clock,
        )
        entry = Entry("passphrase-change", peer, rule="unlock-socket", detail=f"slot {slot.slot}")
        yield from holder.commit(unlocked, entry, [(unlocked.slots[slot.slot], row)])
    finally:
        holder.loop.end_turn()
    return {"slot": slot.slot}


def rotate_master_key(
    holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts
) -> Task:
    """Draws a new master key and wraps it under every slot; so the secret of every slot is needed."""
    unlocked = holder.require_unlocked()
    numbers = header.get("slots")
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise RecordInvalidError(fields={"slots": "must be the numbers of the slots"})
    if len(given) != len(numbers):
        raise RecordInvalidError(fields={"slots": "one secret for each slot"})
    _every_slot(unlocked, numbers)
    for number, secret in zip(numbers, given, strict=True):
        try:
            yield from lifecycle.try_secret(holder, SlotKind(unlocked.slots[number].kind), number, secret)
        except WrongPassphraseError as wrong:
            raise WrongPassphraseError(f"slot {number}: {wrong.message}", metadata=wrong.metadata) from None
    yield Turn()
    try:
        _every_slot(unlocked, numbers)  # Once more: one may have come or gone while the secrets were tried.
        rewrapped = yield from rotate(holder, unlocked, dict(zip(numbers, given, strict=True)), peer)
    finally:
        holder.loop.end_turn()
    return {"rewrapped": rewrapped}


def _every_slot(unlocked: Unlocked, numbers: list[int]) -> None:
    if sorted(numbers) != sorted(unlocked.slots):
        needed = ", ".join(str(number) for number in sorted(unlocked.slots))
        raise RecordInvalidError(fields={"slots": f"the secret of every slot is needed: {needed}"})


def _policy(holder: Keyholder) -> KdfParameters:
    vault = holder.require_unlocked().vault
    wanted = KdfParameters(vault.kdf_memory_kib, vault.kdf_passes, vault.kdf_lanes)
    floor = holder.kdf_floor
    return floor if floor is not None and wanted.weaker_than(floor) else wanted


def _two(given: Sequence[SecretBuffer]) -> tuple[SecretBuffer, SecretBuffer]:
    if len(given) != 2:
        raise RecordInvalidError(fields={"secrets": "two secrets: one that opens the vault, and the new one"})
    return given[0], given[1]


def _wanted(holder: Keyholder, header: dict[str, Any]) -> SlotRow:
    unlocked = holder.require_unlocked()
    number = header.get("slot")
    row = unlocked.slots.get(number) if isinstance(number, int) else None
    if row is None:
        raise SlotNotFoundError
    human = [each for each in unlocked.slots.values() if each.kind in HUMAN]
    if human == [row]:
        raise LastSlotError
    return row
