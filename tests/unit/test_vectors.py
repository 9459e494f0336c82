"""Published vectors through our own functions: what others have proved wrong elsewhere is not wrong here.

Where the files come from stands in tests/vectors/README.md and in each of them.
"""

import hashlib
import hmac
import json
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tests.support import hpke
from tests.support.vectors import VECTORS, vectors
from vaultd.crypto import aead, kdf, requests, selftest
from vaultd.errors import RecordInvalidError, RequestRefusedError, StoreDamagedError
from vaultd.limits import ARGON2_MIN_MEMORY_KIB, ARGON2_MIN_PASSES, KEY_BYTES
from vaultd.model import KdfParameters
from vaultd_client import wire
from vaultd_client.errors import UntrustedVaultError

EXTERNAL = {
    "wycheproof_aes_gcm.json": 66,
    "wycheproof_ed25519.json": 210,
    "wycheproof_x25519.json": 153,
    "wycheproof_hkdf_sha256.json": 80,
    "rfc4231_hmac_sha256.json": 6,
    "rfc9106_argon2id.json": 6,
    "rfc9180_hpke.json": 1,
    "cctv_ed25519_points.json": 14,
}


def raw(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def label(vector: dict[str, Any]) -> str:
    return f"tc{vector['tcId']}-{vector['result']}-{'-'.join(vector['flags'])}"


@pytest.mark.parametrize(("name", "number"), EXTERNAL.items())
def test_every_file_is_whole_and_says_where_it_comes_from(name: str, number: int) -> None:
    document = json.loads((VECTORS / name).read_text())
    assert len(document["tests"]) == number
    assert all(document[key] for key in ("source", "carried_by", "license"))
    assert name in (VECTORS / "README.md").read_text()


def test_no_file_of_vectors_is_left_unread() -> None:
    ours = {"format_v1.json", "request_v1.json", "reply_v1.json", "seal_v1.json"}
    of_bots = {"hummingbot_fields.json"}  # Read by test_bot_names.py.
    assert {path.name for path in VECTORS.glob("*.json")} == EXTERNAL.keys() | ours | of_bots


# --- AES-256-GCM ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("wycheproof_aes_gcm.json"), ids=label)
def test_a_blob_opens_as_wycheproof_has_it_and_leaves_nothing_unverified(vector: dict[str, Any]) -> None:
    key, nonce, aad, plaintext, ciphertext, tag = raw(vector, "key", "iv", "aad", "msg", "ct", "tag")
    blob = nonce + ciphertext + tag
    out = bytearray(b"\xaa" * aead.plaintext_length(blob))
    if vector["result"] == "valid":
        aead.decrypt_into(key, blob, aad, memoryview(out))
        assert out == plaintext
    else:
        with pytest.raises(StoreDamagedError):
            aead.decrypt_into(key, blob, aad, memoryview(out))
        assert out == bytes(len(out))


# --- HKDF, HMAC -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("wycheproof_hkdf_sha256.json"), ids=label)
def test_a_derived_key_begins_as_wycheproof_has_it(vector: dict[str, Any]) -> None:
    # We always derive 32 bytes. HKDF's output of another length has the same beginning (RFC 5869, section 2.3).
    secret, salt, info, wanted = raw(vector, "ikm", "salt", "info", "okm")
    out = bytearray(KEY_BYTES)
    kdf.derive(secret, salt, info, memoryview(out))
    shorter = min(len(wanted), KEY_BYTES)
    assert out[:shorter] == wanted[:shorter]
    assert vector["result"] == "valid"


@pytest.mark.parametrize("vector", vectors("rfc4231_hmac_sha256.json"), ids=lambda vector: vector["Len"])
def test_the_hmac_of_macs_and_fingerprints_is_that_of_rfc_4231(vector: dict[str, Any]) -> None:
    key, message, wanted = raw(vector, "Key", "Msg", "MD")
    assert hmac.digest(key, message, "sha256")[: len(wanted)] == wanted


# --- Argon2id ---------------------------------------------------------------------------------------------------


def openssl_argon2id(vector: dict[str, Any]) -> bytes:
    secret, ad = (bytes.fromhex(vector[name]) if name in vector else None for name in ("secret", "ad"))
    numbers = {
        name: int(vector[given])
        for name, given in (
            ("length", "length"),
            ("iterations", "iter"),
            ("lanes", "lanes"),
            ("memory_cost", "memcost"),
        )
    }
    salt, password = raw(vector, "salt", "pass")
    return Argon2id(salt=salt, secret=secret, ad=ad, **numbers).derive(password)


def test_argon2id_of_openssl_is_that_of_rfc_9106() -> None:
    vector = vectors("rfc9106_argon2id.json")[0]
    assert vector["secret"]
    assert vector["ad"]
    assert openssl_argon2id(vector).hex() == vector["output"]


@pytest.mark.parametrize("vector", vectors("rfc9106_argon2id.json")[1:], ids=lambda vector: vector["COUNT"])
def test_our_argon2id_gives_the_published_answers(vector: dict[str, Any]) -> None:
    salt, password, wanted = raw(vector, "salt", "pass", "output")
    out = bytearray(len(wanted))
    cost = KdfParameters(int(vector["memcost"]), int(vector["iter"]), int(vector["lanes"]))
    kdf._argon2id(memoryview(bytearray(password)), salt, cost, memoryview(out))
    assert out == wanted


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_slot_key_is_what_another_implementation_of_argon2id_makes_of_it(lanes: int) -> None:
    password, salt = b"correct horse battery staple", bytes(range(16))
    out = bytearray(KEY_BYTES)
    cost = KdfParameters(ARGON2_MIN_MEMORY_KIB, ARGON2_MIN_PASSES, lanes)
    kdf.slot_key(memoryview(bytearray(password)), salt, cost, memoryview(out))
    other = Argon2id(
        salt=salt, length=KEY_BYTES, iterations=ARGON2_MIN_PASSES, lanes=lanes, memory_cost=ARGON2_MIN_MEMORY_KIB
    )
    assert out == other.derive(password)


# --- Ed25519 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("wycheproof_ed25519.json"), ids=label)
def test_a_signature_is_judged_as_wycheproof_has_it(vector: dict[str, Any]) -> None:
    public_key, message, signature = raw(vector, "pk", "msg", "sig")
    try:
        requests.verify(public_key, signature, message)
        accepted = True
    except RequestRefusedError:
        accepted = False
    if "SmallOrderPublicKey" in vector["flags"]:
        with pytest.raises(RecordInvalidError):
            requests.check_public_key(public_key)
    elif vector["result"] == "acceptable":
        # A key with a part of small order: only its owner can sign, and verifiers differ in what they make of it.
        requests.check_public_key(public_key)
    else:
        requests.check_public_key(public_key)
        assert accepted == (vector["result"] == "valid")


@pytest.mark.parametrize("vector", vectors("cctv_ed25519_points.json"), ids=lambda vector: vector["key"])
def test_a_key_under_which_anyone_can_sign_is_not_enrolled(vector: dict[str, Any]) -> None:
    (public_key,) = raw(vector, "key")
    forged = b"\x01" + bytes(63)
    for number in count():
        # Without any private key: a message is found that the forged signature fits.
        try:
            requests.verify(public_key, forged, b"pay me %d" % number)
            break
        except RequestRefusedError:
            assert number < 1_000
    with pytest.raises(RecordInvalidError) as refused:
        requests.check_public_key(public_key)
    assert list(refused.value.fields) == ["public_key"]


@pytest.mark.parametrize("offset", [0, 1, 18])
def test_a_key_in_a_form_that_is_not_canonical_is_not_enrolled(offset: int) -> None:
    y = 2**255 - 19 + offset
    with pytest.raises(RecordInvalidError) as refused:
        requests.check_public_key(y.to_bytes(32, "little"))
    assert "canonical" in refused.value.fields["public_key"]
    requests.check_public_key(Ed25519PrivateKey.generate().public_key().public_bytes_raw())


# --- X25519 and HPKE --------------------------------------------------------------------------------------------

INFO = requests.FIELDS_MAGIC + bytes(16) + bytes(16) + bytes(32) + bytes(16)
REQUEST = requests.Request(bytes(16), bytes(16), bytes(32), 0, 0, 0, 1, bytes(16), bytes(32), "", b"")
IDENTITY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HASHED = hashlib.sha256(b"request" + b"signature").digest()


def public_of(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def open_reply(private: bytes, sealed: bytes) -> bytes:
    """What a client does with a reply that the vault has signed."""
    context = requests.REPLY_MAGIC + HASHED
    return wire.open_reply(
        reply_key=X25519PrivateKey.from_private_bytes(private),
        identity=IDENTITY.public_key().public_bytes_raw(),
        hashed=HASHED,
        sealed=sealed,
        signature=IDENTITY.sign(context + len(sealed).to_bytes(4, "big") + sealed),
    )


def agreed() -> list[dict[str, Any]]:
    return [each for each in vectors("wycheproof_x25519.json") if "ZeroSharedSecret" not in each["flags"]]


def zero() -> list[dict[str, Any]]:
    return [each for each in vectors("wycheproof_x25519.json") if "ZeroSharedSecret" in each["flags"]]


@pytest.mark.parametrize("vector", agreed(), ids=label)
def test_what_is_sealed_with_the_secret_of_wycheproof_opens_in_keyholder_and_client(vector: dict[str, Any]) -> None:
    enc, private, shared = raw(vector, "public", "private", "shared")
    sealed = hpke.seal(shared, enc, public_of(private), INFO, b"a key pair")
    assert requests.open_fields(private, bytes(16), REQUEST, sealed) == b"a key pair"
    sealed = hpke.seal(shared, enc, public_of(private), requests.REPLY_MAGIC + HASHED, b"a reply")
    assert open_reply(private, sealed) == b"a reply"


@pytest.mark.parametrize("vector", zero(), ids=label)
def test_a_point_that_makes_the_secret_zero_is_refused_everywhere(vector: dict[str, Any]) -> None:
    point, private, shared = raw(vector, "public", "private", "shared")
    assert shared == bytes(32)
    with pytest.raises(RecordInvalidError):
        requests.open_fields(private, bytes(16), REQUEST, hpke.seal(shared, point, public_of(private), INFO, b"x"))
    with pytest.raises(UntrustedVaultError):
        context = requests.REPLY_MAGIC + HASHED
        open_reply(private, hpke.seal(shared, point, public_of(private), context, b"x"))
    with pytest.raises(RequestRefusedError):
        requests.seal_reply(bytes(range(32)), point, b"request", b"signature", b"reply")
    with pytest.raises(UntrustedVaultError):
        wire.seal_fields(b"a key pair", seal_key=point, info=INFO)


def test_our_hpke_is_that_of_rfc_9180() -> None:
    (vector,) = vectors("rfc9180_hpke.json")
    names = ("info", "skRm", "pkRm", "skEm", "enc", "shared_secret", "key", "base_nonce")
    info, private, public, ephemeral, enc, secret, key, nonce = raw(vector, *names)
    plaintext, aad, ciphertext = raw(vector["encryption"], "pt", "aad", "ct")
    shared = X25519PrivateKey.from_private_bytes(ephemeral).exchange(X25519PublicKey.from_public_bytes(public))
    assert hpke.kem_secret(shared, enc, public) == secret
    assert hpke.key_and_nonce(secret, info) == (key, nonce)
    assert AESGCM(key).encrypt(nonce, plaintext, aad) == ciphertext
    # The vector has associated data, which the single-shot form of our library does not take: the same key without it.
    sealed = enc + AESGCM(key).encrypt(nonce, plaintext, b"")
    for suite in (requests._SUITE, wire._SUITE):
        assert suite.decrypt(sealed, X25519PrivateKey.from_private_bytes(private), info=info) == plaintext


# --- what runs at each start ------------------------------------------------------------------------------------


def test_the_known_answers_of_the_start_are_right_and_a_wrong_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest.run().ok
    monkeypatch.setattr(hmac, "digest", lambda *_: bytes(32))
    wrong = selftest.run()
    assert not wrong.ok
    assert wrong.detail == "wrong answer: HMAC-SHA-256"
