"""A recovery code survives paper, eyes and fingers, and a slip is found and its group named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultd_client import recovery
from vaultd_client.errors import InvalidError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
codes = st.binary(min_size=20, max_size=20)


def fault(text: str) -> str:
    with pytest.raises(InvalidError) as refused:
        recovery.decode(text)
    assert list(refused.value.fields) == ["recovery_code"]
    return refused.value.fields["recovery_code"]


@settings(deadline=None)
@given(codes)
def test_what_is_encoded_decodes_to_itself(code: bytes) -> None:
    text = recovery.encode(code)
    assert len(text.split("-")) == 8
    assert all(len(group) == 5 for group in text.split("-"))
    assert recovery.decode(text) == code


@settings(deadline=None)
@given(codes, st.data())
def test_case_separators_and_look_alikes_do_not_matter(code: bytes, data: st.DataObject) -> None:
    alike = {"0": "0Oo", "1": "1IiLl"}
    typed = ""
    for character in recovery.encode(code):
        if character == "-":
            typed += data.draw(st.sampled_from(["-", " ", "", "\n", "\u2013", "  "]))
        else:
            typed += data.draw(st.sampled_from(alike.get(character, character + character.lower())))
    assert recovery.decode(typed) == code


@settings(deadline=None)
@given(codes, st.integers(0, 39), st.sampled_from(ALPHABET))
def test_every_single_wrong_character_is_found_and_its_group_named(code: bytes, place: int, wrong: str) -> None:
    characters = list(recovery.encode(code).replace("-", ""))
    if characters[place] == wrong:
        assert recovery.decode("".join(characters)) == code
        return
    characters[place] = wrong
    assert f"group {place // 5 + 1} " in fault("".join(characters))


@settings(deadline=None)
@given(codes, st.integers(0, 7), st.integers(0, 4), st.integers(0, 4))
def test_every_swap_of_two_characters_in_a_group_is_found(code: bytes, group: int, first: int, second: int) -> None:
    characters = list(recovery.encode(code).replace("-", ""))
    one, other = 5 * group + first, 5 * group + second
    if characters[one] == characters[other]:
        return
    characters[one], characters[other] = characters[other], characters[one]
    assert f"group {group + 1} " in fault("".join(characters))


@settings(deadline=None)
@given(codes, st.integers(0, 7), st.integers(0, 7))
def test_groups_in_the_wrong_order_are_found(code: bytes, first: int, second: int) -> None:
    groups = recovery.encode(code).split("-")
    if first == second:
        return
    groups[first], groups[second] = groups[second], groups[first]
    assert f"group {min(first, second) + 1} " in fault("-".join(groups))


def test_a_missing_character_names_its_group() -> None:
    groups = recovery.encode(bytes(range(20))).split("-")
    assert fault("-".join([*groups[:4], groups[4][1:], *groups[5:]])) == "group 5 has 4 characters instead of 5"


def test_a_character_of_no_code_names_its_group() -> None:
    groups = recovery.encode(bytes(range(20))).split("-")
    for wrong in "U!é#":
        assert "group 2 has a character" in fault("-".join([groups[0], wrong + groups[1][1:], *groups[2:]]))


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_other_text_is_refused_and_never_repeated(text: str) -> None:
    message = fault(text + "!!!!!")
    assert "!!!!!" not in message


def test_a_new_code_has_160_bits_and_is_never_the_same() -> None:
    made = {bytes(recovery.generate()) for _ in range(100)}
    assert len(made) == 100
    assert {len(code) for code in made} == {20}
    assert isinstance(recovery.generate(), bytearray)


def test_a_known_code_has_the_text_it_always_had() -> None:
    # Crockford's base32 of the bytes is 000G40R40M30E209185GR38E1W8124GK; the first check character is
    # 16 * 16 = x^8 = x^3 + x^2 + 1 = 13 = D.
    text = "000GD-40R4X-0M300-E209K-185G3-R38ED-1W811-24GKZ"
    assert recovery.encode(bytes(range(20))) == text
    assert recovery.decode(text) == bytes(range(20))


@pytest.mark.parametrize("length", [0, 19, 21])
def test_only_20_bytes_are_a_code(length: int) -> None:
    with pytest.raises(ValueError, match="20 bytes"):
        recovery.encode(bytes(length))
