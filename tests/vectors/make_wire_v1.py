"""Makes request_v1.json, reply_v1.json and seal_v1.json, from the drawings in proto/README.md and nothing of the project.

usage: python tests/vectors/make_wire_v1.py

Each message is put together here field by field, as hex. HPKE is written out from RFC 9180, sections 4.1, 5.1 and 5.2,
with a fixed ephemeral key, so that sealing repeats itself; `check_hpke` first reproduces the test vector of RFC 9180,
appendix A.1.1. Ed25519, X25519 and AES-GCM are those of `cryptography`; the Ed25519 keys are tests 1 and 2 of RFC 8032,
section 7.1, the X25519 keys Bob's of RFC 7748, section 6.1, and skEm, skRm of RFC 9180, A.1.1.
"""

import hashlib
import hmac
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = Path(__file__).parent
PROVENANCE = "tests/vectors/make_wire_v1.py: laid out by hand after proto/README.md; keys of RFC 8032 7.1, RFC 7748 6.1, RFC 9180 A.1.1"

CLIENT = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
CLIENT_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
IDENTITY = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
IDENTITY_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SEAL = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
SEAL_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
EPHEMERAL = bytes.fromhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736")
REPLY = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
REPLY_PUBLIC = bytes.fromhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d")

VAULT_ID = bytes(range(0x10))
EPOCH = bytes(range(0x10, 0x20))
NONCE = bytes(range(0x20, 0x30))
UID = 1001
ISSUED_AT = 86_400_000_000_007
TTL_MS = 30_000
METHOD = "/vaultd.v1.ExchangeService/RevealCredential"


def seal(public: bytes, info: bytes, plaintext: bytes, key_bytes: int = 32, aad: bytes = b"") -> bytes:
    """HPKE, single shot, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-GCM with 16 or 32 bytes of key."""
    ephemeral = X25519PrivateKey.from_private_bytes(EPHEMERAL)
    encapsulated = ephemeral.public_key().public_bytes_raw()
    kem = b"KEM" + (0x0020).to_bytes(2, "big")
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    eae = _extract(kem, b"", b"eae_prk", shared)
    secret = _expand(kem, eae, b"shared_secret", encapsulated + public, 32)
    suite = b"HPKE" + b"".join(part.to_bytes(2, "big") for part in (0x0020, 0x0001, {16: 1, 32: 2}[key_bytes]))
    context = b"\x00" + _extract(suite, b"", b"psk_id_hash", b"") + _extract(suite, b"", b"info_hash", info)
    prk = _extract(suite, secret, b"secret", b"")
    key = _expand(suite, prk, b"key", context, key_bytes)
    nonce = _expand(suite, prk, b"base_nonce", context, 12)
    return encapsulated + AESGCM(key).encrypt(nonce, plaintext, aad)


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return hmac.digest(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01", "sha256")[:length]


def check_hpke() -> None:
    """Reproduces RFC 9180, A.1.1.1, sequence number 0; AssertionError where it does not."""
    sealed = seal(
        REPLY_PUBLIC,
        bytes.fromhex("4f6465206f6e2061204772656369616e2055726e"),
        bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479"),
        key_bytes=16,
        aad=bytes.fromhex("436f756e742d30"),
    )
    wanted = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
    wanted += "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    if sealed.hex() != wanted:
        raise AssertionError("this HPKE is not that of RFC 9180")


def request() -> dict[str, object]:
    """A reveal of `main`, `read`: fields 1 and 2 of RevealCredentialRequest."""
    body = bytes.fromhex("0a04") + b"main" + bytes.fromhex("1204") + b"read"
    layout = [
        ("magic", "7661756c74642d7265712d7631000000"),
        ("vault_id", VAULT_ID.hex()),
        ("epoch", EPOCH.hex()),
        ("key_id", hashlib.sha256(CLIENT_PUBLIC).hexdigest()),
        ("uid", "000003e9"),
        ("flags", "00000000"),
        ("issued_at", "00004e94914f0007"),
        ("ttl_ms", "00007530"),
        ("nonce", NONCE.hex()),
        ("reply_key", REPLY_PUBLIC.hex()),
        ("method_length", "002b"),
        ("method", METHOD.encode().hex()),
        ("body_length", "0000000c"),
        ("body", body.hex()),
    ]
    signed = bytes.fromhex("".join(value for _, value in layout))
    signature = Ed25519PrivateKey.from_private_bytes(CLIENT).sign(signed)
    return {
        "provenance": PROVENANCE,
        "private_key": CLIENT.hex(),
        "public_key": CLIENT_PUBLIC.hex(),
        "uid": UID,
        "issued_at": ISSUED_AT,
        "ttl_ms": TTL_MS,
        "method": METHOD,
        "layout": [{"field": name, "hex": value} for name, value in layout],
        "signed": signed.hex(),
        "signature": signature.hex(),
        "request_hash": hashlib.sha256(signed + signature).hexdigest(),
    }


def reply(request_hash: bytes) -> dict[str, object]:
    """The answer to `request`: fields 2, 5, 6 and 8 of RevealCredentialResponse."""
    pair = bytes.fromhex("0a08") + b"KEY-0001" + bytes.fromhex("120b") + b"SECRET-0001"
    plaintext = (
        bytes.fromhex("1204") + b"main" + bytes.fromhex("2a04") + b"read" + bytes.fromhex("3003") + b"\x42\x17" + pair
    )
    context = bytes.fromhex("7661756c74642d7265702d7631000000") + request_hash
    sealed = seal(REPLY_PUBLIC, context, plaintext)
    message = context + len(sealed).to_bytes(4, "big") + sealed
    return {
        "provenance": PROVENANCE,
        "identity_private_key": IDENTITY.hex(),
        "identity": IDENTITY_PUBLIC.hex(),
        "reply_private_key": REPLY.hex(),
        "reply_key": REPLY_PUBLIC.hex(),
        "ephemeral_private_key": EPHEMERAL.hex(),
        "request_hash": request_hash.hex(),
        "context": context.hex(),
        "plaintext": plaintext.hex(),
        "sealed": sealed.hex(),
        "signature": Ed25519PrivateKey.from_private_bytes(IDENTITY).sign(message).hex(),
    }


def seal_key() -> dict[str, object]:
    """A seal key as the vault signs it, and a key pair sealed to it: fields 1 and 2 of CredentialFields."""
    key_id = hashlib.sha256(CLIENT_PUBLIC).digest()
    vouched = bytes.fromhex("7661756c74642d7365616c2d76310000") + VAULT_ID + EPOCH + SEAL_PUBLIC
    info = bytes.fromhex("7661756c74642d666c642d7631000000") + VAULT_ID + EPOCH + key_id + NONCE
    plaintext = bytes.fromhex("0a08") + b"KEY-0001" + bytes.fromhex("120b") + b"SECRET-0001"
    return {
        "provenance": PROVENANCE,
        "identity": IDENTITY_PUBLIC.hex(),
        "vault_id": VAULT_ID.hex(),
        "epoch": EPOCH.hex(),
        "key_id": key_id.hex(),
        "nonce": NONCE.hex(),
        "seal_private_key": SEAL.hex(),
        "seal_key": SEAL_PUBLIC.hex(),
        "seal_key_signature": Ed25519PrivateKey.from_private_bytes(IDENTITY).sign(vouched).hex(),
        "ephemeral_private_key": EPHEMERAL.hex(),
        "info": info.hex(),
        "plaintext": plaintext.hex(),
        "sealed": seal(SEAL_PUBLIC, info, plaintext).hex(),
    }


def documents() -> dict[str, str]:
    """Returns file name to content."""
    check_hpke()
    asked = request()
    made = {
        "request_v1.json": asked,
        "reply_v1.json": reply(bytes.fromhex(str(asked["request_hash"]))),
        "seal_v1.json": seal_key(),
    }
    return {name: json.dumps(document, indent=2) + "\n" for name, document in made.items()}


if __name__ == "__main__":
    for file_name, text in documents().items():
        (HERE / file_name).write_text(text)
