"""A backup, as the keyholder makes it out of the server's copy: without machine slots, and signed.

The copy is of any moment after the entry of the audit that records it; the ledger remembers what the store was at each.
"""

from vaultd import limits, messages
from vaultd.crypto import requests
from vaultd.errors import RateLimitedError, StoreUnavailableError
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.loop import Ask, Task
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import SlotKind, SlotRow
from vaultd_api.v1 import vault_service_pb2 as pb
from vaultd_api.v1.backup_pb2 import BackupManifest


def backup(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.BackupVaultRequest) -> Task:  # noqa: ARG001  one shape for the table
    """Has the store copied, takes the machine slots out of the copy, and signs what it holds."""
    ledger = unlocked.ledger
    if not ledger.begin_trail():
        raise RateLimitedError("another backup is being made; try again when it is done")
    try:
        # Before the copy: it is in there, and the copy is of a generation that the trail has.
        yield from holder.commit(unlocked, caller.entry())
        copied = yield Ask("copy", None)
        rows = [SlotRow.of(values) for values in copied["slots"]]
        if unlocked.ledger is not ledger or rows != [row for _, row in sorted(unlocked.slots.items())]:
            raise StoreUnavailableError("the master key or a key slot was changed meanwhile; try again")
        machine = [row for row in rows if row.kind == SlotKind.MACHINE]
        integrity, anchor, counts = ledger.without(copied["generation"], machine)
    finally:
        ledger.end_trail()
    wanted = {
        "integrity": integrity.values(),
        "without": [row.slot for row in machine],
        "uid": caller.peer.uid,
    }
    made = yield Ask("copy-finish", wanted)
    manifest = BackupManifest(
        vault_id=unlocked.vault.vault_id,
        identity=unlocked.vault.identity,
        generation=integrity.generation,
        time=messages.timestamp(integrity.time_ms),
        schema_version=holder.schema_version,
        format_version=limits.FORMAT_VERSION,
        store_bytes=made["size"],
        store_sha256=made["sha256"],
        anchor=anchor,
        exchanges=counts["exchanges"],
        credentials=counts["credentials"],
        clients=counts["clients"],
        grants=counts["grants"],
        slots=[
            BackupManifest.Slot(slot=row.slot, kind=row.kind, label=row.label) for row in rows if row not in machine
        ],
        machine_slots_left_out=len(machine),
    ).SerializeToString()
    signature = requests.sign_manifest(unlocked.keys.identity, manifest)
    return pb.BackupVaultResponse(manifest=manifest, signature=signature, token=made["token"])
