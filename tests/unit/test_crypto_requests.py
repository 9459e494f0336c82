"""The parsers that strangers reach: of signed requests and, behind the server, of link frames."""

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.support.vectors import vectors
from vaultd.crypto import requests
from vaultd.errors import ProtocolViolationError, RecordInvalidError, RequestRefusedError
from vaultd.keyholder import protocol
from vaultd.limits import MAX_LINK_FRAME
from vaultd_client import wire

SIXTEEN = st.binary(min_size=16, max_size=16)
THIRTY_TWO = st.binary(min_size=32, max_size=32)
PARTS = st.fixed_dictionaries(
    {
        "vault_id": SIXTEEN,
        "epoch": SIXTEEN,
        "key_id": THIRTY_TWO,
        "uid": st.integers(0, 2**32 - 1),
        "issued_at": st.integers(0, 2**64 - 1),
        "ttl_ms": st.integers(1, 30_000),
        "nonce": SIXTEEN,
        "reply_key": THIRTY_TWO,
        "method": st.text(st.characters(max_codepoint=127), max_size=80),
        "body": st.binary(max_size=200),
    }
)


@given(PARTS)
def test_what_the_client_writes_the_keyholder_reads(parts: dict[str, object]) -> None:
    read = requests.parse_request(wire.request(**parts))  # type: ignore[arg-type]
    assert read.flags == 0
    assert {name: getattr(read, {"issued_at": "issued_ns"}.get(name, name)) for name in parts} == parts


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_as_a_request_and_nothing_else_happens(raw: bytes) -> None:
    for signed in (raw, requests.REQUEST_MAGIC + raw):
        try:
            read = requests.parse_request(signed)
        except RequestRefusedError:
            continue
        rebuilt = wire.request(**parts_of(read) | {"ttl_ms": 1})  # type: ignore[arg-type]
        assert rebuilt[:84] + signed[84:88] + rebuilt[88:96] + signed[96:100] + rebuilt[100:] == signed


def parts_of(read: requests.Request) -> dict[str, object]:
    names = ("vault_id", "epoch", "key_id", "uid", "nonce", "reply_key", "method", "body")
    return {name: getattr(read, name) for name in names} | {"issued_at": read.issued_ns}


@given(PARTS, st.data())
def test_a_request_cut_short_or_made_longer_is_refused(parts: dict[str, object], data: st.DataObject) -> None:
    signed = wire.request(**parts)  # type: ignore[arg-type]
    end = data.draw(st.integers(0, len(signed) - 1))
    for changed in (signed[:end], signed + b"\0", signed[:end] + b"\0" + signed[end:]):
        with pytest.raises(RequestRefusedError):
            requests.parse_request(changed)


def test_a_method_that_is_not_ascii_is_refused() -> None:
    parts = {"vault_id": bytes(16), "epoch": bytes(16), "key_id": bytes(32), "uid": 0, "issued_at": 0, "ttl_ms": 1}
    rest = {"nonce": bytes(16), "reply_key": bytes(32), "method": "/m", "body": b""}
    signed = wire.request(**parts, **rest)  # type: ignore[arg-type]
    assert requests.parse_request(signed).method == "/m"
    with pytest.raises(RequestRefusedError):
        requests.parse_request(signed.replace(b"/m", b"/\xe9"))


@given(st.binary(max_size=40), st.binary(max_size=80), st.binary(max_size=20))
def test_arbitrary_keys_and_signatures_are_refused(public_key: bytes, signature: bytes, message: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        requests.verify(public_key, signature, message)


@given(st.binary(max_size=40))
def test_an_arbitrary_key_is_enrolled_or_refused_with_the_field_named(public_key: bytes) -> None:
    problems: dict[str, str] = {}
    try:
        requests.check_public_key(public_key)
    except RecordInvalidError as refused:
        problems = refused.fields
    assert [*problems] in ([], ["public_key"])
    assert problems or len(public_key) == 32


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_sealed_fields(sealed: bytes) -> None:
    request = requests.Request(bytes(16), bytes(16), bytes(32), 0, 0, 0, 1, bytes(16), bytes(32), "", b"")
    with pytest.raises(RecordInvalidError):
        requests.open_fields(bytes(range(32)), bytes(16), request, sealed)


@given(THIRTY_TWO)
def test_a_reply_key_is_usable_if_and_only_if_something_can_be_sealed_to_it(reply_key: bytes) -> None:
    agrees_with_sealing(reply_key)


@pytest.mark.parametrize("vector", vectors("wycheproof_x25519.json"), ids=lambda vector: vector["tcId"])
def test_a_published_point_is_usable_if_and_only_if_something_can_be_sealed_to_it(vector: dict[str, str]) -> None:
    agrees_with_sealing(bytes.fromhex(vector["public"]))


def agrees_with_sealing(reply_key: bytes) -> None:
    try:
        requests.seal_reply(bytes(range(32)), reply_key, b"signed", b"signature", b"reply")
        sealed = True
    except RequestRefusedError:
        sealed = False
    assert requests.usable_reply_key(reply_key) == sealed


def test_a_fresh_reply_key_is_usable() -> None:
    assert requests.usable_reply_key(X25519PrivateKey.generate().public_key().public_bytes_raw())


# --- the link ---------------------------------------------------------------------------------------------------

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
FRAME = st.tuples(st.integers(0, 3), st.integers(0, 2**32), st.text(max_size=12), VALUE)


@given(st.lists(FRAME, max_size=4), st.integers(1, 40))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(frames: list[tuple[object, ...]], size: int) -> None:
    stream = b"".join(protocol.encode(*frame) for frame in frames)  # type: ignore[arg-type]
    decoder = protocol.Decoder()
    pieces = (stream[at : at + size] for at in range(0, len(stream), size))
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == frames


@given(st.binary(max_size=200))
def test_arbitrary_bytes_on_the_link_are_a_violation_or_wait_for_more(raw: bytes) -> None:
    for data in (raw, len(raw).to_bytes(4, "big") + raw):
        decoder = protocol.Decoder()
        try:
            frames = list(decoder.feed(data))
        except ProtocolViolationError:
            continue
        assert all(0 <= kind <= 3 for kind, *_ in frames)


@given(VALUE)
def test_a_frame_that_is_not_kind_number_name_payload_is_a_violation(value: object) -> None:
    body = msgpack.packb(value)
    with pytest.raises(ProtocolViolationError):
        list(protocol.Decoder().feed(len(body).to_bytes(4, "big") + body))


HOSTILE = {
    "deeply nested": b"\x94\x00\x00\xa1x" + b"\x91" * 100_000 + b"\xc0",
    "a length that is not there": b"\x94\x00\x00\xa1x\xdd\xff\xff\xff\xff",
    "a map with a list as key": b"\x94\x00\x00\xa1x\x81\x90\x00",
    "a map with a number as key": b"\x94\x00\x00\xa1x\x81\x01\x00",
    "text that is not UTF-8": b"\x94\x00\x00\xa1\xff\xc0",
    "a broken timestamp": b"\x94\x00\x00\xa1x\xc7\x05\xff12345",
    "two values": b"\x94\x00\x00\xa1x\xc0\xc0",
    "an unknown kind": b"\x94\x04\x00\xa1x\xc0",
    "a negative kind": b"\x94\xff\x00\xa1x\xc0",
    "nothing": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_violation(body: bytes) -> None:
    decoder = protocol.Decoder()
    assert list(decoder.feed(protocol.encode(0, 1, "x", None))) == [(0, 1, "x", None)]
    with pytest.raises(ProtocolViolationError):
        list(decoder.feed(len(body).to_bytes(4, "big") + body))


def test_a_frame_above_the_limit_is_a_violation_before_it_is_there() -> None:
    with pytest.raises(ProtocolViolationError):
        list(protocol.Decoder().feed((MAX_LINK_FRAME + 1).to_bytes(4, "big")))
    assert list(protocol.Decoder().feed(MAX_LINK_FRAME.to_bytes(4, "big"))) == []
    with pytest.raises(ProtocolViolationError):
        protocol.encode(0, 1, "x", bytes(MAX_LINK_FRAME))
