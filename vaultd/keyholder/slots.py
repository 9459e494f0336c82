"""One key slot: what its secret must be, and how a secret becomes its key."""

from vaultd import limits
from vaultd.crypto import envelope, kdf
from vaultd.errors import RecordInvalidError, StoreDamagedError
from vaultd.keyholder import records
from vaultd.keyholder.clock import Clock
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.loop import Task, Work
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.model import KdfParameters, SlotKind, SlotRow

HUMAN = (SlotKind.PASSPHRASE, SlotKind.RECOVERY)


def check_secret(kind: SlotKind, secret: SecretBuffer) -> None:
    """Raises RecordInvalidError where a new secret is too short or too long for its kind. Lengths in bytes."""
    least = {SlotKind.PASSPHRASE: limits.MIN_PASSPHRASE_BYTES, SlotKind.RECOVERY: limits.MIN_RECOVERY_BYTES}.get(
        kind, limits.KEY_BYTES
    )
    if not least <= len(secret) <= limits.MAX_PASSPHRASE_BYTES:
        raise RecordInvalidError(fields={kind.value: f"must be {least} to {limits.MAX_PASSPHRASE_BYTES} bytes long"})


def recovery_cost() -> KdfParameters:
    """Returns the floor: 160 random bits need no stretching."""
    return KdfParameters(limits.ARGON2_MIN_MEMORY_KIB, limits.ARGON2_MIN_PASSES, limits.ARGON2_DEFAULT_LANES)


def check_row(row: SlotRow) -> None:
    """Raises KdfOutOfBoundsError or StoreDamagedError where a stored slot asks for what no slot may."""
    if not 1 <= row.slot <= limits.MAX_SLOTS:
        raise StoreDamagedError("the number of a key slot is damaged")
    if row.kind == SlotKind.MACHINE:
        if (row.memory_kib, row.passes, row.lanes) != (0, 0, 0):
            raise StoreDamagedError("the cost of a key slot is damaged")
        return
    kdf.check_bounds(KdfParameters(row.memory_kib, row.passes, row.lanes))
    if len(row.salt) != limits.SALT_BYTES:
        raise StoreDamagedError("the salt of a key slot is damaged")


def derive(row: SlotRow, secret: SecretBuffer, out: SecretBuffer) -> Task:
    """Writes the slot key of a secret to `out` (32 bytes); Argon2id runs in a thread."""
    if row.kind == SlotKind.MACHINE:
        kdf.machine_slot_key(secret.view, row.salt, out.view)
        return
    cost = KdfParameters(row.memory_kib, row.passes, row.lanes)
    yield Work(lambda: kdf.slot_key(secret.view, row.salt, cost, out.view))


def make(
    keys: Keys,
    vault_id: bytes,
    number: int,
    kind: SlotKind,
    label: str,
    cost: KdfParameters,
    secret: SecretBuffer,
    clock: Clock,
) -> Task:
    """Returns a new slot row that opens `keys.master`."""
    if kind == SlotKind.MACHINE:
        cost = KdfParameters(0, 0, 0)
    row = SlotRow(
        number, kind.value, label, cost.memory_kib, cost.passes, cost.lanes, kdf.new_salt(), b"", clock.now_ms()
    )
    with keys.memory.allocate(limits.KEY_BYTES) as slot_key:
        yield from derive(row, secret, slot_key)
        return records.replaced(
            row, wrapped_master_key=envelope.wrap_master_key(slot_key.view, keys.master, vault_id, row)
        )
