"""The client's bytes are those of proto/README.md. The vectors say where they come from: tests/vectors/make_wire_v1.py."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from vaultd_client import wire
from vaultd_client.errors import InvalidError, UntrustedVaultError
from vaultd_client.keys import ClientKey

VECTORS = Path(__file__).parents[1] / "vectors"
README = Path(__file__).parents[2] / "proto" / "README.md"


def vector(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return {key: _bytes(value) for key, value in document.items()}


def _bytes(value: object) -> object:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else value
    except ValueError:
        return value


def request_parts() -> dict[str, Any]:
    """The arguments of `wire.request` that the vector was made from."""
    document = vector("request_v1.json")
    fields = {part["field"]: bytes.fromhex(part["hex"]) for part in document["layout"]}
    named = {name: fields[name] for name in ("vault_id", "epoch", "key_id", "nonce", "reply_key", "body")}
    return named | {name: document[name] for name in ("uid", "issued_at", "ttl_ms", "method")}


def reply_parts() -> dict[str, Any]:
    document = vector("reply_v1.json")
    return {
        "reply_key": X25519PrivateKey.from_private_bytes(document["reply_private_key"]),
        "identity": document["identity"],
        "hashed": document["request_hash"],
        "sealed": document["sealed"],
        "signature": document["signature"],
    }


def seal_key_parts() -> dict[str, bytes]:
    document = vector("seal_v1.json")
    named = {name: document[name] for name in ("identity", "vault_id", "epoch", "seal_key")}
    return named | {"signature": document["seal_key_signature"]}


def flipped(value: bytes) -> list[bytes]:
    """Every value that differs from `value` in one bit."""
    return [
        value[: bit // 8] + bytes([value[bit // 8] ^ (1 << bit % 8)]) + value[bit // 8 + 1 :]
        for bit in range(len(value) * 8)
    ]


def test_the_vectors_are_what_their_generator_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_wire_v1", VECTORS / "make_wire_v1.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    for name, content in generator.documents().items():
        assert (VECTORS / name).read_text() == content


def test_a_request_is_byte_for_byte_the_vector() -> None:
    assert wire.request(**request_parts()) == vector("request_v1.json")["signed"]


def test_every_part_of_the_vector_is_where_the_protocol_page_says() -> None:
    drawn = {}
    for line in README.read_text().splitlines():
        words = line.split()
        if len(words) >= 3 and words[0].isdigit() and words[1].isdigit() and int(words[0]) <= 148:
            drawn["magic" if words[2].startswith('"') else words[2]] = (int(words[0]), int(words[1]))
    offset = 0
    for part in vector("request_v1.json")["layout"][:11]:
        length = len(part["hex"]) // 2
        assert drawn[part["field"]] == (offset, length), part["field"]
        offset += length
    assert offset == 150


def test_a_request_is_signed_as_rfc_8032_has_it() -> None:
    document = vector("request_v1.json")
    key = ClientKey(Ed25519PrivateKey.from_private_bytes(document["private_key"]))
    assert key.public_key == document["public_key"]
    assert key.sign(document["signed"]) == document["signature"]
    assert key.key_id == request_parts()["key_id"]
    assert wire.request_hash(document["signed"], document["signature"]) == document["request_hash"]


@pytest.mark.parametrize("name", ["vault_id", "epoch", "key_id", "nonce", "reply_key"])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_part_of_a_wrong_length_never_becomes_a_request(name: str, change: int) -> None:
    parts = request_parts()
    parts[name] = bytes(len(parts[name]) + change)
    with pytest.raises(ValueError, match="does not have"):
        wire.request(**parts)


@pytest.mark.parametrize("ttl_ms", [0, 30_001])
def test_a_life_outside_the_bounds_never_becomes_a_request(ttl_ms: int) -> None:
    with pytest.raises(ValueError, match="ttl_ms"):
        wire.request(**request_parts() | {"ttl_ms": ttl_ms})


def test_a_request_may_have_64_kib_and_not_one_byte_more() -> None:
    room = 64 * 1024 - 148 - 2 - len(request_parts()["method"]) - 4
    assert len(wire.request(**request_parts() | {"body": bytes(room)})) == 64 * 1024
    with pytest.raises(InvalidError) as refused:
        wire.request(**request_parts() | {"body": bytes(room + 1)})
    assert refused.value.reason == "REQUEST_TOO_LARGE"


def test_the_reply_of_the_vector_opens() -> None:
    assert wire.open_reply(**reply_parts()) == vector("reply_v1.json")["plaintext"]


@pytest.mark.parametrize("part", ["sealed", "signature", "hashed", "identity"])
def test_a_reply_with_any_bit_flipped_is_refused(part: str) -> None:
    parts = reply_parts()
    for value in flipped(parts[part]):
        with pytest.raises(UntrustedVaultError):
            wire.open_reply(**parts | {part: value})


@pytest.mark.parametrize("length", [0, 31, 32, 47])
def test_a_truncated_reply_is_refused_even_where_the_vault_signed_it(length: int) -> None:
    document, parts = vector("reply_v1.json"), reply_parts()
    identity = Ed25519PrivateKey.from_private_bytes(document["identity_private_key"])

    def signed(sealed: bytes) -> dict[str, Any]:
        message = document["context"] + len(sealed).to_bytes(4, "big") + sealed
        return parts | {"sealed": sealed, "signature": identity.sign(message)}

    assert wire.open_reply(**signed(document["sealed"])) == document["plaintext"]
    with pytest.raises(UntrustedVaultError):
        wire.open_reply(**signed(document["sealed"][:length]))


def test_a_reply_that_another_vault_sealed_to_the_right_key_is_refused() -> None:
    document, parts = vector("reply_v1.json"), reply_parts()
    stranger = Ed25519PrivateKey.generate()
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    sealed = suite.encrypt(b"forged", parts["reply_key"].public_key(), info=document["context"])
    signature = stranger.sign(document["context"] + len(sealed).to_bytes(4, "big") + sealed)
    forged = parts | {"sealed": sealed, "signature": signature}
    assert wire.open_reply(**forged | {"identity": stranger.public_key().public_bytes_raw()}) == b"forged"
    with pytest.raises(UntrustedVaultError):
        wire.open_reply(**forged)


def test_a_reply_to_another_request_key_is_refused() -> None:
    with pytest.raises(UntrustedVaultError):
        wire.open_reply(**reply_parts() | {"reply_key": X25519PrivateKey.generate()})


def test_the_seal_key_of_the_vector_is_vouched_for() -> None:
    wire.verify_seal_key(**seal_key_parts())


@pytest.mark.parametrize("part", ["identity", "vault_id", "epoch", "seal_key", "signature"])
def test_a_seal_key_with_any_bit_flipped_is_refused(part: str) -> None:
    for value in flipped(seal_key_parts()[part]):
        with pytest.raises(UntrustedVaultError):
            wire.verify_seal_key(**seal_key_parts() | {part: value})


def test_bytes_cannot_move_from_one_part_of_the_vouched_message_to_the_next() -> None:
    parts = seal_key_parts()
    moved = {"epoch": parts["epoch"] + parts["seal_key"][:1], "seal_key": parts["seal_key"][1:]}
    with pytest.raises(UntrustedVaultError):
        wire.verify_seal_key(**parts | moved)


def test_the_info_of_sealed_fields_is_byte_for_byte_the_vector() -> None:
    document = vector("seal_v1.json")
    named = {name: document[name] for name in ("vault_id", "epoch", "key_id", "nonce")}
    assert wire.fields_info(**named) == document["info"]


def test_sealed_fields_of_the_vector_open_with_its_info_and_with_no_other() -> None:
    document = vector("seal_v1.json")
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    private = X25519PrivateKey.from_private_bytes(document["seal_private_key"])
    assert suite.decrypt(document["sealed"], private, info=document["info"]) == document["plaintext"]
    with pytest.raises(InvalidTag):
        suite.decrypt(document["sealed"], private, info=document["info"][:-1] + b"\xff")


def test_what_the_client_seals_opens_with_the_same_key_and_info() -> None:
    document = vector("seal_v1.json")
    sealed = wire.seal_fields(document["plaintext"], seal_key=document["seal_key"], info=document["info"])
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    private = X25519PrivateKey.from_private_bytes(document["seal_private_key"])
    assert suite.decrypt(sealed, private, info=document["info"]) == document["plaintext"]
    assert document["plaintext"] not in sealed
    assert len(sealed) == len(document["sealed"])


@pytest.mark.parametrize("key", [bytes(32), bytes(31), b"\x01" + bytes(31)])
def test_nothing_is_sealed_to_a_key_that_keeps_no_secret(key: bytes) -> None:
    with pytest.raises(UntrustedVaultError):
        wire.seal_fields(b"secret", seal_key=key, info=b"")
