"""AES-256-GCM with random nonces (NIST SP 800-38D).

A blob is `nonce (12) || ciphertext || tag (16)`. The nonce is drawn here; no caller can choose one. A random 96-bit
nonce is safe for 2**32 messages under one key: the wrapping key counts one message per credential version and per
rotation, a data key encrypts once. GCM does not commit to its key, so every plaintext has a fixed length or is bound to
its place by associated data, and no blob is ever tried under more than one key but in key slots, whose length is fixed.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vaultd.errors import StoreDamagedError
from vaultd.limits import NONCE_BYTES, TAG_BYTES

Buffer = bytes | bytearray | memoryview


def associated_data(label: bytes, *parts: bytes | str | int) -> bytes:
    """Joins a domain label and parts without ambiguity: each is preceded by its length in four bytes; ints are u64."""
    encoded = [label]
    for part in parts:
        raw = part.to_bytes(8, "big") if isinstance(part, int) else part.encode() if isinstance(part, str) else part
        encoded.append(raw)
    return b"".join([piece for raw in encoded for piece in (len(raw).to_bytes(4, "big"), raw)])


def encrypt(key: Buffer, plaintext: Buffer, aad: bytes) -> bytes:
    """Returns `nonce || ciphertext || tag`. The key object lives only in this call: cryptography copies the key."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def plaintext_length(blob: Buffer) -> int:
    """Returns how many bytes `decrypt_into` will write; StoreDamagedError where the blob is too short."""
    length = len(blob) - NONCE_BYTES - TAG_BYTES
    if length < 0:
        raise StoreDamagedError
    return length


def decrypt_into(key: Buffer, blob: Buffer, aad: bytes, out: memoryview) -> None:
    """Decrypts a blob into `out`, whose length must be `plaintext_length(blob)`.

    Raises:
        StoreDamagedError: The key, the associated data or the blob is not the right one; nothing says which. `out` is
            zero then.
    """
    try:
        AESGCM(key).decrypt_into(bytes(blob[:NONCE_BYTES]), blob[NONCE_BYTES:], aad, out)
    except InvalidTag:
        # OpenSSL decrypts before it has seen the tag: what did not verify must not stay where a caller could use it.
        out[:] = bytes(len(out))
        raise StoreDamagedError from None
