r"""Values of a key pair: what copying adds is taken off, what nobody can know is refused, a passphrase stays as it is."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultd.keyholder.cleaning import cleaned, problem
from vaultd_client import cleaning as client

BODY = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"  # RFC 8410, section 10.3
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n"
BLANK = "must not have a blank inside: copy it again, alone and whole"


@pytest.mark.parametrize("around", ["", " ", "\n", "\r\n", "\t", " \n\t ", "\u00a0", "\u2028"])
def test_outer_blanks_go(around: str) -> None:
    assert cleaned(f"{around}abc{around}") == "abc"
    assert problem(cleaned(f"{around}abc{around}")) == ""


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("abc def", BLANK),
        ("abc\u00a0def", BLANK),
        ("abc\u3000def", BLANK),
        ("abc\ndef", "must not hold control characters"),
        ("abc\tdef", "must not hold control characters"),
        ("\u0430bc", "must be plain ASCII: a letter of another script only looks alike"),
        ("abc\u200bdef", "must be plain ASCII"),
        ("abc\u2026def", "must be plain ASCII"),
        (f"key {PEM}", "has text before its private key: paste from -----BEGIN to -----END"),
        ("x" * (16 * 1024 + 1), "must be at most 16384 bytes"),
    ],
)
def test_what_may_have_been_meant_or_not_is_refused_without_being_quoted(value: str, says: str) -> None:
    found = problem(cleaned(value))
    assert found.startswith(says)
    assert value not in found


@pytest.mark.parametrize("value", [" two words ", "p\u00e4ss  w\u00f6rd", "-----BEGIN of a joke", " ", "\u0430bc"])
def test_a_value_that_a_person_made_up_is_kept_to_the_letter(value: str) -> None:
    assert cleaned(value, verbatim=True) == value
    assert problem(value, verbatim=True) == ""
    assert problem(f"{value}\n", verbatim=True) == "must not hold control characters"


def test_a_free_entry_may_hold_blanks_and_letters_of_any_script() -> None:
    assert problem("f\u00fcr den Bot", free=True) == ""
    assert problem("a\nb", free=True) == "must not hold control characters"


FORMS = [
    PEM,
    PEM.strip(),
    f"\n\n  {PEM}  \n",
    PEM.replace("\n", "\r\n"),
    PEM.replace("\n", "\r"),
    PEM.replace("\n", "\\n"),
    PEM.replace("\n", "\\r\\n"),
    PEM.replace("\n", "\n\n"),
    PEM.replace("\n", "\n  "),
    PEM.replace("\n", " "),
    PEM.replace("\n", ""),
    PEM.replace(BODY, f"{BODY[:30]}\n{BODY[30:]}"),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_pem_gets_the_lines_it_should_have_whatever_it_came_in(form: str) -> None:
    assert cleaned(form) == PEM
    assert problem(PEM) == ""


def test_long_lines_are_cut_at_64() -> None:
    block = cleaned(f"-----BEGIN PRIVATE KEY-----\n{'A' * 130}\n-----END PRIVATE KEY-----")
    assert [len(line) for line in block.splitlines()[1:-1]] == [64, 64, 2]


@pytest.mark.parametrize(
    "blocks",
    [
        f"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n{BODY}\n-----END EC PRIVATE KEY-----\n",
        PEM + PEM,
        PEM[:60],
        "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_single_block_of_base64_keeps_its_lines_for_the_parser_to_judge(blocks: str) -> None:
    assert cleaned(blocks) == blocks.strip() + "\n"
    assert cleaned(blocks.replace("\n", "\\r\\n")) == blocks.strip() + "\n"


def test_the_curve_before_a_key_is_taken_off_and_no_other_block_is() -> None:
    curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert cleaned(curve + PEM) == PEM
    other = curve.replace("EC PARAMETERS", "CERTIFICATE")
    assert cleaned(other + PEM) == other + PEM


@pytest.mark.parametrize("clean", [cleaned, client.cleaned])
def test_many_blanks_take_no_more_time_than_many_letters(clean: Callable[[str], str]) -> None:
    """The keyholder has one thread: what takes a second here keeps a lock waiting for a second."""

    def seconds(filling: str) -> float:
        begun = time.thread_time()
        clean(f"-----BEGIN {filling * 24_000}x")
        return time.thread_time() - begun

    assert seconds(" ") < 100 * seconds("x") + 0.1


def test_cleaning_what_is_clean_changes_nothing() -> None:
    for value in (PEM, "abc", "", PEM + PEM, PEM[:60]):
        assert cleaned(cleaned(value)) == cleaned(value)


# --- the client's own, for those who use a value before it is stored ------------------------------------------------


PIECES = st.sampled_from(
    ["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "-----BEGIN EC PARAMETERS-----", "-----END EC PARAMETERS-----",
     BODY, BODY[:31], "\n", "\r\n", "\\n", "\\r", " ", "=", "Proc-Type: 4,ENCRYPTED", "\u00e4"]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=12).map("".join), st.booleans())
def test_the_client_cleans_as_the_keyholder_does(value: str, verbatim: bool) -> None:
    assert client.cleaned(value, verbatim=verbatim) == cleaned(value, verbatim=verbatim)


@pytest.mark.parametrize("form", [*FORMS, PEM + PEM, " abc ", ""])
def test_the_client_cleans_known_forms_as_the_keyholder_does(form: str) -> None:
    assert client.cleaned(form) == cleaned(form)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (PEM.replace("PRIVATE", "ENCRYPTED PRIVATE"), "is encrypted"),
        (PEM.replace("PRIVATE KEY-----\n", "EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"), "is encrypted"),
        (PEM.replace("PRIVATE", "PUBLIC"), "is a public key"),
        (PEM, ""),
        ("PUBLIC KEY and ENCRYPTED are words", ""),
    ],
)
def test_a_person_hears_at_once_of_a_pem_that_cannot_be_used(value: str, says: str) -> None:
    assert says in client.unusable(value)
    assert bool(client.unusable(value)) == bool(says)
