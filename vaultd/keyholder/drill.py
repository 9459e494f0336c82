"""A drill: every credential decrypted, every audit entry checked, and only counts told."""

from collections.abc import Sequence
from typing import Any

from vaultd import limits
from vaultd.crypto import aead, envelope
from vaultd.errors import StoreDamagedError
from vaultd.keyholder import audits
from vaultd.keyholder.loop import Ask, Task
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import CredentialRow, ExchangeRow, PeerFacts, Row
from vaultd.packing import unpack_row


def check_records(
    holder: Keyholder, header: dict[str, Any], given: Sequence[SecretBuffer], peer: PeerFacts  # noqa: ARG001  one shape for the table
) -> Task:
    """Decrypts every credential of the store into secret memory, wipes it again, and walks the audit.

    Returns:
        `exchanges`, `key_pairs` (decrypted), `without_key` (revoked or destroyed, nothing left to decrypt), `clients`,
        `grants`, `audit_entries`, `generation`.

    Raises:
        StoreDamagedError: Names the first record that is not as it was written.
    """
    unlocked = holder.require_unlocked()
    exchanges: dict[str, ExchangeRow] = {}
    for row in (yield from _rows(unlocked, ExchangeRow)):
        exchanges[row.exchange] = row
    decrypted = without = 0
    after = 0
    while True:
        packed, tags, after = yield Ask("page", {"table": CredentialRow.table, "after": after})
        if not packed:
            break
        for row in _current(unlocked, CredentialRow, packed, tags):
            if row.ciphertext:
                _decrypt(holder, unlocked, exchanges, row)
                decrypted += 1
            else:
                without += 1
    counts = unlocked.ledger.counts
    if (len(exchanges), decrypted + without) != (counts["exchanges"], counts["credentials"]):
        raise StoreDamagedError("rows of the store are missing or added")
    report = yield from audits.walk(unlocked)
    if report.first_bad:
        raise StoreDamagedError(f"entry {report.first_bad} of the audit: {report.detail}")
    return {
        "exchanges": len(exchanges),
        "key_pairs": decrypted,
        "without_key": without,
        "clients": counts["clients"],
        "grants": counts["grants"],
        "audit_entries": report.checked,
        "generation": unlocked.ledger.generation,
    }


def _rows(unlocked: Unlocked, kind: type[Row]) -> Task:
    found: list[Any] = []
    after = 0
    while True:
        packed, tags, after = yield Ask("page", {"table": kind.table, "after": after})
        if not packed:
            return found
        found += _current(unlocked, kind, packed, tags)


def _current(unlocked: Unlocked, kind: type[Row], packed: Sequence[bytes], tags: Sequence[bytes]) -> list[Any]:
    rows = [kind.of(unpack_row(each)[1]) for each in packed]
    if not all(unlocked.ledger.is_current(row, tag) for row, tag in zip(rows, tags, strict=True)):
        raise StoreDamagedError(f"a row of {kind.table} is not the one last written")
    return rows


def _decrypt(
    holder: Keyholder, unlocked: Unlocked, exchanges: dict[str, ExchangeRow], row: CredentialRow
) -> None:
    exchange = exchanges.get(row.exchange)
    if exchange is None:
        raise StoreDamagedError(f"credentials of {row.exchange} have no exchange")
    vault_id = unlocked.vault.vault_id
    with (
        holder.memory.allocate(limits.KEY_BYTES) as data_key,
        holder.memory.allocate(aead.plaintext_length(row.ciphertext)) as plain,
    ):
        envelope.unwrap_data_key(unlocked.keys.wrapping, vault_id, exchange, row, data_key.view)
        envelope.decrypt_credential(data_key.view, vault_id, exchange, row, plain.view)
