"""Masks and page tokens: how much of a value is shown, and what a stranger can do with a token."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultd import messages
from vaultd.errors import RecordInvalidError
from vaultd.keyholder import records
from vaultd.limits import MASK_FULL_CHARS, MASK_SHORT_CHARS

LETTERS = st.characters(exclude_characters="…", exclude_categories=["Cs"])


@given(st.text(LETTERS, min_size=MASK_FULL_CHARS))
def test_a_long_value_shows_its_first_four_and_last_four_characters(value: str) -> None:
    assert records.mask(value) == f"{value[:4]}…{value[-4:]}"


@given(st.text(LETTERS, min_size=MASK_SHORT_CHARS, max_size=MASK_FULL_CHARS - 1))
def test_a_short_value_shows_its_last_two_characters(value: str) -> None:
    assert records.mask(value) == f"…{value[-2:]}"


@given(st.text(LETTERS, max_size=MASK_SHORT_CHARS - 1))
def test_a_very_short_value_shows_nothing(value: str) -> None:
    assert records.mask(value) == "…"


@given(st.text(LETTERS))
def test_a_mask_never_shows_more_than_half_of_a_value_nor_its_length(value: str) -> None:
    mask = records.mask(value)
    assert 2 * len(mask.replace("…", "")) <= len(value)
    assert len(mask) in (1, 3, 9)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_page_token_gives_its_key_back_and_stays_printable(key: str) -> None:
    token = messages.page_token(key)
    assert messages.page_after(token) == key
    assert set(token) <= set(base64.urlsafe_b64encode(bytes(range(256))).decode() + "-_")


def test_no_token_is_the_first_page() -> None:
    assert messages.page_after("") == ""


@given(st.text(max_size=60))
def test_an_arbitrary_page_token_is_a_key_or_refused_with_the_field_named(token: str) -> None:
    problems: dict[str, str] = {}
    try:
        messages.page_after(token).encode()
    except RecordInvalidError as refused:
        problems = refused.fields
    assert [*problems] in ([], ["page_token"])


@pytest.mark.parametrize("token", ["é", "a", "====", "YQ YQ", "YQ\n", "/w", "_w", "💥", "A" * 100_001])
def test_a_token_that_no_list_returned_is_refused(token: str) -> None:
    with pytest.raises(RecordInvalidError):
        messages.page_after(token)


@pytest.mark.parametrize(("asked", "given_back"), [(0, 100), (1, 1), (500, 500), (501, 500), (2**32 - 1, 500)])
def test_a_page_is_never_larger_than_the_largest(asked: int, given_back: int) -> None:
    assert messages.page_size(asked, 100, 500) == given_back
