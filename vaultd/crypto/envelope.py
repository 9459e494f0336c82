"""What is wrapped under what, and bound to which place. FORMAT.md draws the bytes.

slot key -wraps-> master key -derives-> wrapping key -wraps-> data key -encrypts-> credential
-wraps-> identity, audit and fingerprint keys
"""

import secrets

from vaultd import limits
from vaultd.crypto.aead import Buffer, associated_data, decrypt_into, encrypt, plaintext_length
from vaultd.errors import StoreDamagedError
from vaultd.model import CredentialRow, ExchangeRow, SlotRow


def _slot_place(vault_id: bytes, slot: SlotRow) -> bytes:
    return associated_data(
        b"vaultd-slot-v1", vault_id, slot.slot, slot.kind, slot.memory_kib, slot.passes, slot.lanes, slot.salt
    )


def wrap_master_key(slot_key: Buffer, master_key: Buffer, vault_id: bytes, slot: SlotRow) -> bytes:
    """Returns the master key under a slot key, bound to the slot's place and cost; 60 bytes."""
    return encrypt(slot_key, master_key, _slot_place(vault_id, slot))


def unwrap_master_key(slot_key: Buffer, vault_id: bytes, slot: SlotRow, out: memoryview) -> None:
    """Writes the master key to `out` (32 bytes).

    Raises:
        StoreDamagedError: Wrong slot key, or a changed slot: the two cannot be told apart.
    """
    _unwrap_key(slot_key, slot.wrapped_master_key, _slot_place(vault_id, slot), out)


def wrap_lasting_keys(wrapping_key: Buffer, keys: Buffer, vault_id: bytes) -> bytes:
    """Returns identity, audit and fingerprint key under the wrapping key; 124 bytes.

    They are random, not derived, so that they outlast the master key.
    """
    return encrypt(wrapping_key, keys, associated_data(b"vaultd-keys-v1", vault_id))


def unwrap_lasting_keys(wrapping_key: Buffer, wrapped: bytes, vault_id: bytes, out: memoryview) -> None:
    """Writes the three keys to `out` (96 bytes); StoreDamagedError where they do not open."""
    _unwrap_key(wrapping_key, wrapped, associated_data(b"vaultd-keys-v1", vault_id), out)


def credential_place(
    vault_id: bytes, exchange: ExchangeRow, configuration: str, version: int, purpose: bytes
) -> bytes:
    """Returns the associated data of one credential version: a row moved elsewhere does not open."""
    return associated_data(
        purpose,
        vault_id,
        limits.FORMAT_VERSION,
        exchange.exchange,
        configuration,
        version,
        exchange.kind,
        exchange.environment,
    )


def encrypt_credential(
    wrapping_key: Buffer,
    data_key: memoryview,
    vault_id: bytes,
    exchange: ExchangeRow,
    configuration: str,
    version: int,
    plaintext: Buffer,
) -> tuple[bytes, bytes]:
    """Draws a fresh data key into `data_key` (32 bytes, the caller's secret buffer) and encrypts once under it.

    Returns:
        The wrapped data key (60 bytes) and the ciphertext (plaintext + 28 bytes).
    """
    data_key[:] = secrets.token_bytes(limits.KEY_BYTES)
    wrapped = encrypt(
        wrapping_key, data_key, credential_place(vault_id, exchange, configuration, version, b"vaultd-data-key-v1")
    )
    ciphertext = encrypt(
        data_key, plaintext, credential_place(vault_id, exchange, configuration, version, b"vaultd-credential-v1")
    )
    return wrapped, ciphertext


def unwrap_data_key(
    wrapping_key: Buffer, vault_id: bytes, exchange: ExchangeRow, row: CredentialRow, out: memoryview
) -> None:
    """Writes the data key of a credential to `out` (32 bytes); StoreDamagedError where it does not open."""
    place = credential_place(vault_id, exchange, row.configuration, row.version, b"vaultd-data-key-v1")
    _unwrap_key(wrapping_key, row.wrapped_data_key, place, out)


def rewrap_data_key(
    wrapping_key: Buffer, data_key: Buffer, vault_id: bytes, exchange: ExchangeRow, row: CredentialRow
) -> bytes:
    """Returns the data key of a credential under another wrapping key; the ciphertext stays as it is."""
    place = credential_place(vault_id, exchange, row.configuration, row.version, b"vaultd-data-key-v1")
    return encrypt(wrapping_key, data_key, place)


def decrypt_credential(
    data_key: Buffer, vault_id: bytes, exchange: ExchangeRow, row: CredentialRow, out: memoryview
) -> None:
    """Writes the plaintext to `out` (`plaintext_length(row.ciphertext)` bytes); StoreDamagedError otherwise."""
    place = credential_place(vault_id, exchange, row.configuration, row.version, b"vaultd-credential-v1")
    decrypt_into(data_key, row.ciphertext, place, out)


def _unwrap_key(key: Buffer, wrapped: bytes, place: bytes, out: memoryview) -> None:
    # GCM does not commit to its key: one exact length leaves an attacker no room for a blob that opens under two.
    if plaintext_length(wrapped) != len(out):
        raise StoreDamagedError
    decrypt_into(key, wrapped, place, out)
