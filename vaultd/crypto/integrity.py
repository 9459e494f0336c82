"""Evidence of tampering and rollback over the whole store, the audit chain and the anchor. FORMAT.md draws the bytes.

Each row has a *tag* and an *element*: the halves of one keyed BLAKE2b-512 (RFC 7693) over its columns. The tag is stored beside
the row and names a changed one. The elements are added modulo 2**256 into one sum: MSet-Add-Hash of Clarke, Devadas,
van Dijk, Gassend and Suh (ASIACRYPT 2003), which makes a change cost the same in a store of any size. Elements and
sum never leave the keyholder; the store holds only an HMAC over generation, counts, sum and the head of the audit chain,
so there is nothing to solve the sum for. Keyed BLAKE2b because HMAC-SHA-512 takes four times as long per row at unlock.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgpack

from vaultd.crypto.aead import Buffer
from vaultd.limits import MAC_BYTES
from vaultd.packing import pack_row

ANCHOR_MAGIC = b"vaultd-anchor-v1"
RESTORE_MAGIC = b"vaultd-rest-v1\0\0"
"""What `vaultd restore` puts before the anchor of the backup (vaultd/restore.py writes it too)."""
ANCHOR_BYTES = len(ANCHOR_MAGIC) + 16 + 8 + MAC_BYTES + MAC_BYTES
_MODULUS = 1 << 256


def row_tag(row_key: Buffer, table: str, values: Sequence[Any]) -> tuple[bytes, bytes]:
    """Returns tag and element of a row, 32 bytes each."""
    return packed_tag(row_key, pack_row(table, values))


def packed_tag(row_key: Buffer, packed: bytes) -> tuple[bytes, bytes]:
    """Returns tag and element of a row that is packed already, 32 bytes each."""
    mac = hashlib.blake2b(packed, key=row_key, digest_size=2 * MAC_BYTES, person=b"vaultd-row-v1").digest()
    return mac[:MAC_BYTES], mac[MAC_BYTES:]


def add(total: int, element: bytes) -> int:
    """Returns the sum with one row more."""
    return (total + int.from_bytes(element, "big")) % _MODULUS


def add_sum(total: int, elements: int) -> int:
    """Returns the sum with many rows more, whose elements were added up already."""
    return (total + elements) % _MODULUS


def remove(total: int, element: bytes) -> int:
    """Returns the sum with one row less."""
    return (total - int.from_bytes(element, "big")) % _MODULUS


def store_mac(
    integrity_key: Buffer,
    vault_id: bytes,
    schema_version: int,
    generation: int,
    time_ms: int,
    counts: Sequence[int],
    total: int,
    audit_head: bytes,
) -> bytes:
    """Returns the MAC over the whole store, 32 bytes. `counts`: rows per table, in the order of `model.TAGGED`."""
    message = b"".join(
        (
            b"vaultd-store-v1\0",
            vault_id,
            schema_version.to_bytes(4, "big"),
            generation.to_bytes(8, "big"),
            time_ms.to_bytes(8, "big"),
            len(counts).to_bytes(4, "big"),
            *(count.to_bytes(8, "big") for count in counts),
            total.to_bytes(MAC_BYTES, "big"),
            audit_head,
        )
    )
    return hmac.digest(integrity_key, message, "sha256")


def audit_mac(audit_key: Buffer, previous: bytes, values: Sequence[Any]) -> bytes:
    """Returns the MAC of an audit entry, 32 bytes: over the one before and its own columns."""
    packed: bytes = msgpack.packb(list(values))
    return hmac.digest(audit_key, b"vaultd-audit-v1\0" + previous + packed, "sha256")


def first_audit_head(vault_id: bytes) -> bytes:
    """Returns what stands for the entry before the first."""
    return hashlib.sha256(b"vaultd-audit-first-v1" + vault_id).digest()


def make_anchor(audit_key: Buffer, vault_id: bytes, generation: int, audit_head: bytes) -> bytes:
    """Returns the anchor, 104 bytes: the generation and the audit head that the store must have reached."""
    body = ANCHOR_MAGIC + vault_id + generation.to_bytes(8, "big") + audit_head
    return body + hmac.digest(audit_key, b"vaultd-anchor-mac-v1" + body, "sha256")


def read_anchor(audit_key: Buffer, vault_id: bytes, anchor: bytes) -> tuple[int, bytes] | None:
    """Returns generation and audit head, or None where the bytes are not an anchor of this vault."""
    body, mac = anchor[:-MAC_BYTES], anchor[-MAC_BYTES:]
    good = hmac.digest(audit_key, b"vaultd-anchor-mac-v1" + body, "sha256")
    if len(anchor) != ANCHOR_BYTES or not hmac.compare_digest(mac, good) or not body.startswith(ANCHOR_MAGIC + vault_id):
        return None
    at = len(ANCHOR_MAGIC) + 16
    return int.from_bytes(body[at : at + 8], "big"), body[at + 8 :]


def anchor_generation(anchor: bytes) -> int:
    """Returns the generation that an anchor names, not authenticated."""
    at = len(ANCHOR_MAGIC) + 16
    return int.from_bytes(anchor[at : at + 8], "big")


def restored_anchor(content: bytes) -> tuple[bytes, int] | None:
    """Returns the anchor of the backup, and the generation of the store that it replaced (0 for none).

    None where the content of the anchor file is not what a restore leaves there. Nothing is authenticated but the anchor.
    """
    if not content.startswith(RESTORE_MAGIC) or len(content) != len(RESTORE_MAGIC) + 8 + ANCHOR_BYTES:
        return None
    at = len(RESTORE_MAGIC)
    return content[at + 8 :], int.from_bytes(content[at : at + 8], "big")


def same(left: Buffer, right: Buffer) -> bool:
    """Compares two MACs or keys in constant time."""
    return hmac.compare_digest(left, right)


def fingerprint(fingerprint_key: Buffer, kind: str, environment: str, api_key: Buffer) -> bytes:
    """Returns HMAC-SHA-256 over kind, environment and api key: finds duplicates without keeping the key."""
    head = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), environment.encode()))
    return hmac.digest(fingerprint_key, b"vaultd-fingerprint-v1" + head + bytes(api_key), "sha256")
