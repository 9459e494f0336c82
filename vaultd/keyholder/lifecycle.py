"""Initialize, unlock, lock: how a vault comes to life and goes.

Unlock, step by step. Nothing of the store is believed before step 6.

1. State and delay: one try at a time, none before the delay of the last wrong one is over.
2. The failure is counted, durably, before the try: killing the daemon in the middle gains nothing.
3. Format version, and bounds of every slot, before any work.
4. Argon2id, in a thread; the slot key unwraps the master key, or the passphrase was wrong.
5. The pages of the file are sound and its schema is the code's (server).
6. Every row has its tag, and the integrity MAC covers exactly those rows, that generation, that audit head.
7. The generation is not behind the anchor, and the audit still holds the anchor's entry.
8. Weak slots are upgraded; the audit entry of the unlock is durable; requests are served.
"""

import os
import secrets
from collections.abc import Sequence
from typing import Any

from vaultd import limits
from vaultd.crypto import envelope, integrity, kdf, requests
from vaultd.errors import (
    OutOfMemoryError,
    RecordInvalidError,
    StoreDamagedError,
    UnlockBusyError,
    UnlockDelayedError,
    VaultError,
    WrongPassphraseError,
)
from vaultd.keyholder import confirming, loading, records, slots
from vaultd.keyholder.allowlist import Allowlist
from vaultd.keyholder.clock import Clock
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.ledger import Entry, Ledger
from vaultd.keyholder.loop import Ask, Task, Work, log
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.vault import Keyholder, Unlocked, canonical_json
from vaultd.model import (
    EVERYTHING,
    ClientRow,
    ClientState,
    KdfParameters,
    PeerFacts,
    Row,
    SlotKind,
    SlotRow,
    VaultRow,
    VaultState,
)

_LOCK_AUDIT_SECONDS = 1.0
"""How long lock waits for its audit entry: a full or hanging disk must not keep the keys alive."""


def initialize(holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts) -> Task:
    """Creates the vault: master key, a passphrase slot, a recovery slot, the first administrator. Ends UNLOCKED."""
    if holder.busy:
        raise UnlockBusyError
    holder.busy = True
    try:
        return (yield from _initialize(holder, header, given, peer))
    finally:
        holder.busy = False


def _initialize(holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts) -> Task:
    administrator = records.new_client(header.get("administrator"), [EVERYTHING])
    if not 1 <= len(given) <= 2:
        raise RecordInvalidError(fields={"secrets": "a passphrase, and optionally a recovery code"})
    slots.check_secret(SlotKind.PASSPHRASE, given[0])
    cost = records.kdf_parameters(header.get("kdf"))
    if cost is None:
        cost = yield Work(lambda: kdf.measure(limits.ARGON2_DEFAULT_MEMORY_KIB, limits.ARGON2_DEFAULT_LANES))
    vault_id = secrets.token_bytes(16)
    clock = Clock(0)
    keys = Keys(holder.memory)
    keys.draw_master()
    keys.draw_lasting()
    keys.derive(vault_id)
    label = records.text(header.get("label") or "", "label", limits.MAX_LABEL_CHARS)
    made = [(yield from slots.make(keys, vault_id, 1, SlotKind.PASSPHRASE, label or "passphrase", cost, given[0], clock))]
    if len(given) > 1:
        slots.check_secret(SlotKind.RECOVERY, given[1])
        floor = slots.recovery_cost()
        made.append(
            (yield from slots.make(keys, vault_id, 2, SlotKind.RECOVERY, "recovery code", floor, given[1], clock))
        )
    now = clock.now_ms()
    vault = VaultRow(
        vault_id,
        limits.FORMAT_VERSION,
        now,
        requests.identity_public(keys.identity),
        envelope.wrap_lasting_keys(keys.wrapping, keys.lasting, vault_id),
        cost.memory_kib,
        cost.passes,
        cost.lanes,
    )
    client = ClientRow(
        requests.key_id(administrator.public_key).hex(),
        administrator.name,
        administrator.public_key,
        administrator.uid,
        administrator.unit,
        ClientState.ACTIVE,
        canonical_json([EVERYTHING]),
        now,
        now,
    )
    ledger = Ledger(vault_id, holder.schema_version, keys.row, keys.integrity, keys.audit)
    unlocked = Unlocked(vault, keys, ledger, clock, {}, Allowlist())
    rows: list[Row] = [vault, *made, client]
    entry = Entry("initialize", peer, rule="unlock-socket", client=client.name)
    yield from holder.commit(unlocked, entry, [(None, row) for row in rows])
    holder.enter_unlocked(unlocked)
    return {"vault_id": vault_id.hex(), "identity": vault.identity.hex()}


def unlock(holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts) -> Task:
    """Unlocks with the secret of one slot. After a failure past step 4 the process ends: it has held the master key."""
    kind = records.slot_kind(header.get("kind", SlotKind.PASSPHRASE))
    if len(given) != 1:
        raise RecordInvalidError(fields={"secrets": "one secret"})
    if holder.busy:
        raise UnlockBusyError
    # To the end, not only while the secret is tried: a second unlock would read a store that the first is changing.
    holder.busy = True
    try:
        return (yield from _unlock(holder, header, kind, given[0], peer))
    finally:
        holder.busy = False


def _unlock(holder: Keyholder, header: dict[str, Any], kind: SlotKind, given: SecretBuffer, peer: PeerFacts) -> Task:
    keys = Keys(holder.memory)
    try:
        _require_no_delay(holder)  # Before the store is read and checked: a guesser must not keep it busy for nothing.
        found = yield Ask("open", {"check": True})
        vault, rows = loading.believable(found)
        slot = yield from _try_slots(holder, keys, vault, rows, kind, header.get("slot"), given)
    except BaseException:
        keys.close()
        raise
    try:
        accepted = {name: header.get(name) is True for name in ("accept_rollback", "accept_clock")}
        unlocked, rolled_back = yield from loading.load(holder, keys, vault, found, **accepted)
        if not (unlocked.ledger.holds(vault) and unlocked.ledger.holds(slot)):
            # They were tried before anything vouched for them; what opened must be what the vault has today.
            raise StoreDamagedError("the key slot that opened is not one that the vault has")
        restored = confirming.Restored.of(found["anchor"], unlocked.ledger.generation, rolled_back=rolled_back)
        upgraded, suspended = yield from _settle(holder, unlocked, slot, given, peer, header, restored)
    except BaseException as error:
        holder.leave(f"unlock failed: {error.message if isinstance(error, VaultError) else VaultError.default}")
        raise
    holder.enter_unlocked(unlocked)
    ledger = unlocked.ledger
    return {
        "vault_id": vault.vault_id.hex(),
        "identity": vault.identity.hex(),
        "generation": ledger.generation,
        "time_ms": unlocked.clock.now_ms(),
        "integrity": ledger.head.hex()[-8:],
        "exchanges": ledger.counts["exchanges"],
        "clients": ledger.counts["clients"],
        "slot": slot.slot,
        "upgraded": upgraded,
        "restored": restored is not None,
        "suspended": suspended,
    }


def lock(holder: Keyholder, peer: PeerFacts, rule: str, client: str = "") -> Task:
    """Writes the audit entry if the disk lets it, then ends the process. The reply goes out first."""
    unlocked = holder.require_unlocked()
    entry = Entry("lock", peer, rule=rule, client=client)
    holder.calls.denials.flush()
    # From here on nothing new begins: what waits on the link is refused, not worked off while the keys are still there.
    # Busy, so that an unlock that comes now is told to come again and not begun in a process about to end.
    holder.state, holder.busy = VaultState.LOCKED, True
    try:
        yield from holder.commit(unlocked, entry, timeout=_LOCK_AUDIT_SECONDS)
    except VaultError as error:
        log.warning("the lock could not be written to the audit: %s", error.reason)
    finally:
        holder.leave(f"asked for by {client or f'uid {peer.uid}'}")
    return {}


def try_secret(holder: Keyholder, kind: SlotKind, slot: Any, given: SecretBuffer) -> Task:
    """Proves, while unlocked, that a secret opens the vault; counts and delays wrong ones as unlock does.

    Returns:
        The slot that it opens.
    """
    if holder.busy:
        raise UnlockBusyError
    unlocked = holder.require_unlocked()
    keys = unlocked.keys
    holder.busy = True
    scratch = Keys(holder.memory)
    try:
        # The slots that were vouched for at unlock, not what the store has now: an old slot must not come back to life.
        row = yield from _try_slots(holder, scratch, unlocked.vault, list(unlocked.slots.values()), kind, slot, given)
        if unlocked.keys is not keys:
            raise UnlockBusyError("the master key was changed meanwhile; try again")
        same = integrity.same(scratch.master, keys.master)
    finally:
        scratch.close()
        holder.busy = False
    if not same:
        raise StoreDamagedError("a key slot holds another master key")
    return row


def _require_no_delay(holder: Keyholder) -> None:
    if holder.retry_after_ms() > 0:
        raise UnlockDelayedError(metadata={"retry_after_ms": str(holder.retry_after_ms())})



def _try_slots(
    holder: Keyholder,
    keys: Keys,
    vault: VaultRow,
    rows: Sequence[SlotRow],
    kind: SlotKind,
    wanted: Any,
    given: SecretBuffer,
) -> Task:
    """Steps 1 to 4. Fills `keys`; returns the slot that opened."""
    _require_no_delay(holder)
    tries = [row for row in rows if row.kind == kind and wanted in (None, row.slot)]
    for row in tries:
        slots.check_row(row)
    # Counted first: a try that is killed in the middle has been a try.
    yield Ask("failures", holder.failures + 1)
    holder.failures += 1
    with holder.memory.allocate(limits.KEY_BYTES) as slot_key:
        for row in tries:
            try:
                yield from slots.derive(row, given, slot_key)
            except OutOfMemoryError:
                if row is tries[0]:
                    # Nothing was guessed: want of memory must not make the owner wait.
                    holder.failures -= 1
                    yield Ask("failures", holder.failures)
                raise
            try:
                envelope.unwrap_master_key(slot_key.view, vault.vault_id, row, keys.master)
            except StoreDamagedError:
                continue
            yield Ask("failures", 0)
            holder.set_failures(0)
            return row
    holder.set_failures(holder.failures)
    raise WrongPassphraseError(
        _wrong(kind, tried=bool(tries)),
        metadata={"failures": str(holder.failures), "retry_after_ms": str(holder.retry_after_ms())},
    )


def _wrong(kind: SlotKind, *, tried: bool) -> str:
    name = {SlotKind.PASSPHRASE: "passphrase", SlotKind.RECOVERY: "recovery code", SlotKind.MACHINE: "machine key"}[kind]
    return f"wrong {name}" if tried else f"no key slot takes that {name}"


def _settle(
    holder: Keyholder,
    unlocked: Unlocked,
    slot: SlotRow,
    given: SecretBuffer,
    peer: PeerFacts,
    header: dict[str, Any],
    restored: confirming.Restored | None,
) -> Task:
    """Step 8. Returns whether the slot was upgraded, and how many clients and grants were suspended."""
    vault = unlocked.vault
    wanted = KdfParameters(vault.kdf_memory_kib, vault.kdf_passes, vault.kdf_lanes)
    if holder.kdf_floor is not None and wanted.weaker_than(holder.kdf_floor):
        wanted = holder.kdf_floor
    puts: list[tuple[Row | None, Row]] = []
    upgraded = ""
    present = KdfParameters(slot.memory_kib, slot.passes, slot.lanes)
    if slot.kind == SlotKind.PASSPHRASE and present.weaker_than(wanted):
        # The keys of `unlocked` are this generator's own here: nothing else can use or wipe them while the thread works.
        try:
            stronger = yield from slots.make(
                unlocked.keys, vault.vault_id, slot.slot, SlotKind.PASSPHRASE, slot.label, wanted, given, unlocked.clock
            )
            puts.append((slot, stronger))
            upgraded = ", upgraded"
        except OutOfMemoryError:
            # The right passphrase opens the vault also on a day on which the stronger slot cannot be afforded.
            log.warning("slot %d stays weaker than wanted: not enough memory to upgrade it", slot.slot)
            upgraded = ", not upgraded: not enough memory"
    detail = f"slot {slot.slot} ({slot.kind}){upgraded}"
    detail += ", rollback accepted" if header.get("accept_rollback") is True else ""
    detail += ", clock accepted" if header.get("accept_clock") is True else ""
    suspended = [] if restored is None else confirming.suspended(unlocked)
    if restored is not None:
        detail += f", {restored.detail}, {len(suspended)} grants and clients suspended"
    yield from holder.commit(unlocked, Entry("unlock", peer, rule="unlock-socket", detail=detail), [*puts, *suspended])
    return bool(puts), len(suspended)


def status(holder: Keyholder) -> dict[str, Any]:
    """Returns what anyone who may use the unlock socket may know."""
    return {
        "state": holder.state.value,
        "retry_after_ms": holder.retry_after_ms(),
        "failures": holder.failures,
        "busy": holder.busy,
        "pid": os.getpid(),
    }


