"""The bytes that protobuf does not describe (proto/README.md): pure functions, one per drawing there.

This is an implementation of its own, beside the daemon's; tests/vectors holds both to the same bytes. Primitives are
Ed25519 (RFC 8032) and HPKE (RFC 9180: base mode, X25519, HKDF-SHA256, AES-256-GCM) from `cryptography`.
"""

import hashlib
import struct
import time
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from vaultd_client.errors import InvalidError, UntrustedVaultError

REQUEST_MAGIC = b"vaultd-req-v1\0\0\0"
REPLY_MAGIC = b"vaultd-rep-v1\0\0\0"
SEAL_KEY_MAGIC = b"vaultd-seal-v1\0\0"
FIELDS_MAGIC = b"vaultd-fld-v1\0\0\0"

NONCE_BYTES = 16
MAX_SIGNED_BYTES = 64 * 1024
"""envelope.proto: a larger request is refused."""
MAX_TTL_MS = 30_000

_HEADER = struct.Struct(">16s 16s 16s 32s I I Q I 16s 32s")
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def boottime_ns() -> int:
    """Returns CLOCK_BOOTTIME in nanoseconds: one clock for all processes of the host, which nobody can set."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def request(
    *,
    vault_id: bytes,
    epoch: bytes,
    key_id: bytes,
    uid: int,
    issued_at: int,
    ttl_ms: int,
    nonce: bytes,
    reply_key: bytes,
    method: str,
    body: bytes,
) -> bytes:
    """Returns `SignedRequest.signed`.

    Args:
        vault_id: 16 bytes.
        epoch: 16 bytes.
        key_id: SHA-256 of the client's public key, 32 bytes.
        uid: Effective uid of this process.
        issued_at: CLOCK_BOOTTIME, nanoseconds.
        ttl_ms: 1 to 30000.
        nonce: 16 random bytes, never used before.
        reply_key: X25519 public key, 32 bytes, made for this request.
        method: Full gRPC method name, ASCII.
        body: The serialized request message.

    Raises:
        InvalidError: The whole is larger than 64 KiB.
        ValueError: A part has the wrong length.
    """
    _check({16: (vault_id, epoch, nonce), 32: (key_id, reply_key)})
    if not 1 <= ttl_ms <= MAX_TTL_MS:
        raise ValueError("ttl_ms is 1 to 30000")
    name = method.encode("ascii")
    header = _HEADER.pack(REQUEST_MAGIC, vault_id, epoch, key_id, uid, 0, issued_at, ttl_ms, nonce, reply_key)
    signed = b"".join([header, struct.pack(">H", len(name)), name, struct.pack(">I", len(body)), body])
    if len(signed) > MAX_SIGNED_BYTES:
        raise InvalidError("the request is too large", reason="REQUEST_TOO_LARGE")
    return signed


def request_hash(signed: bytes, signature: bytes) -> bytes:
    """Returns the SHA-256 of a request, which its reply is bound to."""
    return hashlib.sha256(signed + signature).digest()


def open_reply(
    *, reply_key: X25519PrivateKey, identity: bytes, hashed: bytes, sealed: bytes, signature: bytes
) -> bytes:
    """Returns the serialized response message in a reply.

    1. The signature is the pinned vault's, over this very request's hash and `sealed`. HPKE's base mode says nothing
       of the sender: without this step anyone between could seal a credential of his own making.
    2. `sealed` opens with the key made for this request.

    Args:
        reply_key: Private half of the request's reply key.
        identity: Pinned Ed25519 public key of the vault, 32 bytes.
        hashed: `request_hash` of the request.
        sealed: `SignedReply.sealed`.
        signature: `SignedReply.signature`.

    Raises:
        UntrustedVaultError: One of the steps fails.
    """
    context = REPLY_MAGIC + hashed
    try:
        _public_key(identity).verify(signature, context + struct.pack(">I", len(sealed)) + sealed)
    except (InvalidSignature, ValueError) as error:
        raise UntrustedVaultError("the reply is not signed by the pinned vault") from error
    try:
        return _SUITE.decrypt(sealed, reply_key, info=context)
    except (InvalidTag, ValueError) as error:
        raise UntrustedVaultError("the reply is not sealed to this request") from error


def verify_seal_key(*, identity: bytes, vault_id: bytes, epoch: bytes, seal_key: bytes, signature: bytes) -> None:
    """Returns when the pinned vault vouches for epoch and seal key.

    Raises:
        UntrustedVaultError: It does not.
    """
    try:
        _check({16: (vault_id, epoch), 32: (seal_key,)})
        _public_key(identity).verify(signature, SEAL_KEY_MAGIC + vault_id + epoch + seal_key)
    except (InvalidSignature, ValueError) as error:
        raise UntrustedVaultError("the seal key is not signed by the pinned vault") from error


def fields_info(*, vault_id: bytes, epoch: bytes, key_id: bytes, nonce: bytes) -> bytes:
    """Returns the HPKE `info` that binds sealed fields to the request that carries them."""
    _check({16: (vault_id, epoch, nonce), 32: (key_id,)})
    return FIELDS_MAGIC + vault_id + epoch + key_id + nonce


def seal_fields(plaintext: bytes, *, seal_key: bytes, info: bytes) -> bytes:
    """Returns `SealedFields.sealed`: the 32-byte encapsulated key, then the ciphertext.

    Args:
        plaintext: Serialized `CredentialFields`.
        seal_key: X25519 public key of the keyholder, 32 bytes, after `verify_seal_key`.
        info: `fields_info` of the request.

    Raises:
        UntrustedVaultError: The seal key is no usable point.
    """
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(seal_key), info=info)
    except ValueError as error:
        raise UntrustedVaultError("the seal key is not a usable key") from error


@lru_cache(maxsize=16)
def _public_key(identity: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(identity)


def _check(parts: dict[int, tuple[bytes, ...]]) -> None:
    for length, values in parts.items():
        if any(len(value) != length for value in values):
            raise ValueError(f"a part of the message does not have {length} bytes")
