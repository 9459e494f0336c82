"""Known answers of every primitive, run at each start before the sandbox closes.

Two reasons: a broken or replaced library is found before a secret meets it, and cryptography imports lazily, which the
sandbox would refuse.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vaultd.crypto import kdf, pem
from vaultd.model import Check, KdfParameters


def run() -> Check:
    """Returns the outcome; `ok` is false where any answer differs, and `detail` names the primitive."""
    failed = [name for name, test in _TESTS.items() if not test()]
    if failed:
        return Check("primitives", ok=False, detail="wrong answer: " + ", ".join(failed))
    return Check("primitives", ok=True, detail=", ".join(_TESTS))


def _aes_gcm() -> bool:
    # McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14.
    made = AESGCM(bytes(32)).encrypt(bytes(12), bytes(16), b"")
    out = bytearray(16)
    AESGCM(bytes(32)).decrypt_into(bytes(12), made, b"", out)
    return made.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" and out == bytes(16)


def _hkdf() -> bool:
    # RFC 5869, appendix A.1, first 32 bytes.
    out = bytearray(32)
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive_into(b"\x0b" * 22, out)
    return out.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def _ed25519() -> bool:
    # RFC 8032, section 7.1, test 1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    made = key.sign(b"")
    Ed25519PublicKey.from_public_bytes(public).verify(made, b"")
    return made.hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )


def _hpke() -> bool:
    # RFC 9180 has no vector for this suite in single-shot form; the tests run the CFRG ones. Here: a round trip whose
    # result must not open under other info.
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    key = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    sealed = suite.encrypt(b"vaultd", key.public_key(), info=b"a")
    return suite.decrypt(sealed, key, info=b"a") == b"vaultd" and len(sealed) == 6 + 48


def _argon2id() -> bool:
    # Made with the reference implementation's command: printf vaultd-kat | argon2 vaultd-salt-0123 -id -t 3 -k 256 -p 2 -l 32
    out = bytearray(32)
    kdf._argon2id(  # noqa: SLF001  the bounds of slot_key would make this take a second
        memoryview(bytearray(b"vaultd-kat")), b"vaultd-salt-0123", KdfParameters(256, 3, 2), memoryview(out)
    )
    return out.hex() == "0a90ead67ef4f4f1476e02a2e189cef176dbd2cd30fc854107dbf0b6fe71e726"


def _hmac_sha256() -> bool:
    # RFC 4231, test case 2.
    made = hmac.digest(b"Jefe", b"what do ya want for nothing?", "sha256")
    return made.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def _blake2b() -> bool:
    # BLAKE2 reference test vectors, keyed BLAKE2b, input 00.
    made = hashlib.blake2b(b"\0", key=bytes(range(64))).hexdigest()
    return made.startswith("961f6dd1e4dd30f63901690c512e78e4b45e4742ed197c3c5e45c549fd25f2e4")


def _private_keys() -> bool:
    # Ed25519: RFC 8410, sections 10.1 and 10.3. P-256: RFC 6979, appendix A.2.5.
    ed25519 = pem.public_half(
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
        "-----END PRIVATE KEY-----\n"
    )
    p256 = pem.public_half(
        "-----BEGIN EC PRIVATE KEY-----\n"
        "MHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49\n"
        "AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8\n"
        "maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n"
        "-----END EC PRIVATE KEY-----\n"
    )
    return (
        (ed25519.algorithm, p256.algorithm) == ("Ed25519", "EC P-256")
        and ed25519.der.hex().endswith("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")
        and p256.der.hex().endswith("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299")
    )


_TESTS = {
    "AES-256-GCM": _aes_gcm,
    "HKDF-SHA-256": _hkdf,
    "Ed25519": _ed25519,
    "HPKE": _hpke,
    "Argon2id": _argon2id,
    "HMAC-SHA-256": _hmac_sha256,
    "BLAKE2b": _blake2b,
    "PEM": _private_keys,
}
