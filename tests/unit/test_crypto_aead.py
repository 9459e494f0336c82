"""What holds for all keys, parts and blobs, not only for those of the vectors."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vaultd.crypto import aead
from vaultd.errors import StoreDamagedError
from vaultd.limits import KEY_BYTES, NONCE_BYTES, TAG_BYTES

U64 = st.integers(0, 2**64 - 1)
PART = st.binary(max_size=12) | st.text(max_size=6) | U64
KEY = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)


def encoded(part: bytes | str | int) -> bytes:
    if isinstance(part, int):
        return part.to_bytes(8, "big")
    return part.encode() if isinstance(part, str) else part


def taken_apart(aad: bytes) -> list[bytes]:
    """The label and parts of associated data: that this gives them back proves that no two lists are encoded alike."""
    parts = []
    while aad:
        length = int.from_bytes(aad[:4], "big")
        assert len(aad) >= 4 + length
        parts.append(aad[4 : 4 + length])
        aad = aad[4 + length :]
    return parts


@given(st.binary(max_size=24), st.lists(PART, max_size=8))
def test_associated_data_can_be_taken_apart_in_one_way_only(label: bytes, parts: list[bytes | str | int]) -> None:
    assert taken_apart(aead.associated_data(label, *parts)) == [label, *map(encoded, parts)]


@given(st.lists(PART, min_size=1, max_size=5), st.lists(PART, min_size=1, max_size=5))
def test_two_places_that_differ_have_associated_data_that_differs(
    one: list[bytes | str | int], other: list[bytes | str | int]
) -> None:
    assume([*map(encoded, one)] != [*map(encoded, other)])
    assert aead.associated_data(b"label", *one) != aead.associated_data(b"label", *other)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_that_does_not_fit_is_never_cut_to_fit(number: int) -> None:
    with pytest.raises(OverflowError):
        aead.associated_data(b"label", number)


@given(KEY, st.binary(max_size=200), st.binary(max_size=50))
def test_what_is_encrypted_decrypts_and_is_28_bytes_longer(key: bytes, plaintext: bytes, aad: bytes) -> None:
    blob = aead.encrypt(key, plaintext, aad)
    assert len(blob) == len(plaintext) + NONCE_BYTES + TAG_BYTES
    out = bytearray(aead.plaintext_length(blob))
    aead.decrypt_into(key, blob, aad, memoryview(out))
    assert out == plaintext


@given(KEY, st.binary(max_size=80))
def test_bytes_that_were_never_encrypted_do_not_decrypt(key: bytes, blob: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        aead.decrypt_into(key, blob, b"", memoryview(bytearray(aead.plaintext_length(blob))))


@given(KEY, KEY, st.binary(min_size=1, max_size=40), st.binary(max_size=20), st.binary(max_size=20))
def test_another_key_or_place_opens_nothing_and_leaves_nothing(
    key: bytes, other_key: bytes, plaintext: bytes, aad: bytes, other_aad: bytes
) -> None:
    assume((key, aad) != (other_key, other_aad))
    blob = aead.encrypt(key, plaintext, aad)
    out = bytearray(b"\xaa" * len(plaintext))
    with pytest.raises(StoreDamagedError):
        aead.decrypt_into(other_key, blob, other_aad, memoryview(out))
    assert out == bytes(len(plaintext))
