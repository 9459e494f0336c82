"""The signed request and the sealed reply: bytes only, no policy. proto/README.md draws the layouts."""

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from vaultd.crypto.aead import Buffer
from vaultd.errors import RecordInvalidError, RequestRefusedError

REQUEST_MAGIC = b"vaultd-req-v1\0\0\0"
REPLY_MAGIC = b"vaultd-rep-v1\0\0\0"
SEAL_MAGIC = b"vaultd-seal-v1\0\0"
FIELDS_MAGIC = b"vaultd-fld-v1\0\0\0"
BACKUP_MAGIC = b"vaultd-backup-v1"
_HEADER = 148
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

_P = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER_Y = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})
"""y of the points of order 1, 2, 4 and 8 (RFC 7748, section 7; Ed25519 uses the same torsion)."""
_LOW_ORDER_U = frozenset((1 + y) * pow(1 - y, -1, _P) % _P for y in _LOW_ORDER_Y if y != 1) | {_P - 1}
"""The same points on the Montgomery curve, and the one of its twist (RFC 7748, sections 4.1 and 6.1)."""
_D = -121665 * pow(121666, -1, _P) % _P


@dataclass(frozen=True, slots=True)
class Request:
    """A signed request taken apart. Lengths in bytes; `issued_ns` on CLOCK_BOOTTIME; `ttl_ms` in milliseconds."""

    vault_id: bytes
    epoch: bytes
    key_id: bytes
    uid: int
    flags: int
    issued_ns: int
    ttl_ms: int
    nonce: bytes
    reply_key: bytes
    method: str
    body: bytes


def parse_request(signed: bytes) -> Request:
    """Takes the signed bytes apart; RequestRefusedError where a length or the magic is not exact."""
    if len(signed) < _HEADER + 2 or signed[:16] != REQUEST_MAGIC:
        raise RequestRefusedError
    method_end = _HEADER + 2 + int.from_bytes(signed[148:150], "big")
    body_at = method_end + 4
    if body_at > len(signed) or body_at + int.from_bytes(signed[method_end:body_at], "big") != len(signed):
        raise RequestRefusedError
    method = signed[150:method_end]
    if not method.isascii():
        raise RequestRefusedError
    return Request(
        vault_id=signed[16:32],
        epoch=signed[32:48],
        key_id=signed[48:80],
        uid=int.from_bytes(signed[80:84], "big"),
        flags=int.from_bytes(signed[84:88], "big"),
        issued_ns=int.from_bytes(signed[88:96], "big"),
        ttl_ms=int.from_bytes(signed[96:100], "big"),
        nonce=signed[100:116],
        reply_key=signed[116:148],
        method=method.decode("ascii"),
        body=signed[body_at:],
    )


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Raises RequestRefusedError unless `signature` is pure Ed25519 of `message` (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise RequestRefusedError from None


def key_id(public_key: bytes) -> bytes:
    """Returns SHA-256 of the raw public key, 32 bytes."""
    return hashlib.sha256(public_key).digest()


def check_public_key(public_key: bytes) -> None:
    """Refuses keys under which a signature proves nothing.

    Threat: with a low-order key anyone can make a valid signature; a non-canonical one gives one key two names.
    Limit: a key whose owner gave its private half away cannot be told.

    Raises:
        RecordInvalidError: Not 32 bytes, not canonical, of low order, or no point of the curve.
    """
    if len(public_key) != 32:
        raise RecordInvalidError(fields={"public_key": "must be 32 bytes"})
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    if y >= _P:
        raise RecordInvalidError(fields={"public_key": "is not in canonical form"})
    if y in _LOW_ORDER_Y:
        raise RecordInvalidError(fields={"public_key": "is a low-order point: anyone could sign for it"})
    # Every 32 bytes make an Ed25519PublicKey. There is a point at y if and only if x² = (y² - 1) / (d·y² + 1) is a
    # square (RFC 8032, section 5.1.3), told by Euler's criterion; of public bytes, so its timing tells nothing.
    if pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) != 1:
        raise RecordInvalidError(fields={"public_key": "is not an Ed25519 key"})


def usable_reply_key(reply_key: bytes) -> bool:
    """Says whether anything can be sealed to an X25519 public key of 32 bytes: not to a point of low order."""
    return (int.from_bytes(reply_key, "little") & (2**255 - 1)) % _P not in _LOW_ORDER_U


def sign(identity: Buffer, message: bytes) -> bytes:
    """Returns the Ed25519 signature of the vault identity, 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(identity).sign(message)


def identity_public(identity: Buffer) -> bytes:
    """Returns the public half of an Ed25519 private key, 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(identity).public_key().public_bytes_raw()


def seal_public(private: Buffer) -> bytes:
    """Returns the public half of an X25519 private key, 32 bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign_seal_key(identity: Buffer, vault_id: bytes, epoch: bytes, seal_key: bytes) -> bytes:
    """Returns what proves to a client that the seal key is the keyholder's."""
    return sign(identity, SEAL_MAGIC + vault_id + epoch + seal_key)


def sign_manifest(identity: Buffer, manifest: bytes) -> bytes:
    """Returns what proves that a backup is the vault's. `manifest`: serialized BackupManifest."""
    return sign(identity, BACKUP_MAGIC + manifest)


def seal_reply(identity: Buffer, reply_key: bytes, signed: bytes, signature: bytes, plaintext: Buffer) -> tuple[bytes, bytes]:
    """Seals a reply to the one-time key of its request and signs it.

    Returns:
        `sealed` (plaintext + 48 bytes) and `signature` (64 bytes) of SignedReply.

    Raises:
        RequestRefusedError: The reply key is the all-zero point or otherwise unusable.
    """
    context = REPLY_MAGIC + hashlib.sha256(signed + signature).digest()
    try:
        sealed = _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(reply_key), info=context)
    except ValueError:
        raise RequestRefusedError from None
    return sealed, sign(identity, context + len(sealed).to_bytes(4, "big") + sealed)


def open_fields(seal_private: Buffer, vault_id: bytes, request: Request, sealed: bytes) -> bytes:
    """Opens a key pair sealed for this very request. The caller wipes the result.

    Raises:
        RecordInvalidError: It was not sealed to this keyholder, or not for this request.
    """
    info = FIELDS_MAGIC + vault_id + request.epoch + request.key_id + request.nonce
    try:
        return _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(seal_private), info=info)
    except (InvalidTag, ValueError):
        raise RecordInvalidError(fields={"sealed": "does not open"}) from None
