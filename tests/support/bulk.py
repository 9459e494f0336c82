"""Fills the store of a stopped daemon with many exchanges, as the daemon would have written them, in seconds."""

import secrets
import sqlite3

from tests.support.daemon import PASSPHRASE, Daemon
from vaultd.crypto import envelope, integrity, kdf
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.ledger import Entry, Ledger
from vaultd.keyholder.records import exchange_id
from vaultd.keyholder.secretmem import SecretMemory
from vaultd.model import (
    TAGGED,
    CredentialRow,
    ExchangeRow,
    IntegrityRow,
    KdfParameters,
    PeerFacts,
    SlotRow,
    VaultRow,
)
from vaultd.store import queries
from vaultd.store.changes import _INSERT_AUDIT, _PUT, _PUT_INTEGRITY
from vaultd.store.migrations import SCHEMA_VERSION
from vaultd_api.v1.resources_pb2 import CredentialFields


def fill(daemon: Daemon, count: int) -> None:
    """Adds `count` exchanges named bulk-000000 ..., each with a read and a write pair."""
    connection = sqlite3.connect(daemon.database)
    keys, vault = _keys(connection)
    ledger = Ledger(vault.vault_id, SCHEMA_VERSION, keys.row, keys.integrity, keys.audit)
    for kind in TAGGED:
        after = 0
        while True:
            rows, tags, after = queries.page(connection, kind, after)
            if not rows:
                break
            ledger.load_page(kind.table, rows, tags)
    stored = queries.integrity(connection)[0]
    ledger.open_at(stored, queries.audit_tail(connection), queries.audit_count(connection))
    now = stored.time_ms
    start = ledger.counts["exchanges"]
    for number in range(start, start + count):
        row = ExchangeRow(
            exchange_id(), "binance", f"bulk-{number:06}", "live", "{}", "[]", 0, "ACTIVE", "", now, now, 1
        )
        table, values, tag = ledger.adopt(row)
        connection.execute(_PUT[table], (*values, tag))
        for half in ("read", "write"):
            table, values, tag = ledger.adopt(_credential(keys, vault, row, half, number, now))
            connection.execute(_PUT[table], (*values, tag))
    change = ledger.change(Entry("bulk", PeerFacts(0, 0, 0, ""), rule="test"), now)
    connection.execute(_INSERT_AUDIT, change["audit"])
    connection.execute(_PUT_INTEGRITY, IntegrityRow.of(change["integrity"]).values())
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    daemon.anchor.write_bytes(change["anchor"])


def _keys(connection: sqlite3.Connection) -> tuple[Keys, VaultRow]:
    memory = SecretMemory(1 << 16)
    keys = Keys(memory)
    vault = queries.vault(connection)[0].row
    slot: SlotRow = next(each.row for each in queries.slots(connection) if each.row.kind == "passphrase")
    slot_key = bytearray(32)
    cost = KdfParameters(slot.memory_kib, slot.passes, slot.lanes)
    kdf.slot_key(memoryview(bytearray(PASSPHRASE)), slot.salt, cost, memoryview(slot_key))
    envelope.unwrap_master_key(slot_key, vault.vault_id, slot, keys.master)
    keys.derive(vault.vault_id)
    keys.unwrap_lasting(vault.wrapped_keys, vault.vault_id)
    return keys, vault


def _credential(keys: Keys, vault: VaultRow, row: ExchangeRow, half: str, number: int, now: int) -> CredentialRow:
    api_key = f"bulk-{half}-{number:06}-{secrets.token_hex(16)}"
    plain = CredentialFields(api_key=api_key, secret=secrets.token_hex(32)).SerializeToString()
    wrapped, ciphertext = envelope.encrypt_credential(
        keys.wrapping, memoryview(bytearray(32)), vault.vault_id, row, half, 1, plain
    )
    print_of = integrity.fingerprint(keys.fingerprint, row.kind, row.environment, api_key.encode())
    masks = '{"api_key":"bulk…' + api_key[-4:] + '","secret":""}'
    return CredentialRow(
        row.exchange, half, 1, "ACTIVE", "UNKNOWN", "{}", 0, print_of, masks, wrapped, ciphertext, now, now
    )
