"""HPKE written out from RFC 9180, for a shared secret that is known: base mode, X25519, HKDF-SHA256, AES-256-GCM.

The library under test draws its ephemeral key itself and takes no shared secret; here both may be those of a vector.
"""

import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEM = b"KEM" + (0x0020).to_bytes(2, "big")
_SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))


def kem_secret(shared: bytes, enc: bytes, public: bytes) -> bytes:
    """Returns `shared_secret` of section 4.1 from the X25519 result of `enc` and the receiver's private key."""
    return _expand(_KEM, _extract(_KEM, b"", b"eae_prk", shared), b"shared_secret", enc + public, 32)


def key_and_nonce(secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Returns `key` and `base_nonce` of section 5.1."""
    context = b"\x00" + _extract(_SUITE, b"", b"psk_id_hash", b"") + _extract(_SUITE, b"", b"info_hash", info)
    prk = _extract(_SUITE, secret, b"secret", b"")
    return _expand(_SUITE, prk, b"key", context, 32), _expand(_SUITE, prk, b"base_nonce", context, 12)


def seal(shared: bytes, enc: bytes, public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Returns `enc || ciphertext`, single shot with empty associated data."""
    key, nonce = key_and_nonce(kem_secret(shared, enc, public), info)
    return enc + AESGCM(key).encrypt(nonce, plaintext, b"")


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labelled + b"\x01", "sha256")[:length]
