r"""Values of a key pair: what copying adds is taken off, what nobody can know is refused, a passphrase stays as it is."""

import pytest

from vaultd.keyholder.cleaning import cleaned, problem

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


@pytest.mark.parametrize(
    "given",
    [
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
    ],
)
def test_a_pem_gets_the_lines_it_should_have_whatever_it_came_in(given: str) -> None:
    assert cleaned(given) == PEM
    assert problem(PEM) == ""


def test_long_lines_are_cut_at_64() -> None:
    block = cleaned(f"-----BEGIN PRIVATE KEY-----\n{'A' * 130}\n-----END PRIVATE KEY-----")
    assert [len(line) for line in block.splitlines()[1:-1]] == [64, 64, 2]


@pytest.mark.parametrize(
    "given",
    [
        f"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n{BODY}\n-----END EC PRIVATE KEY-----\n",
        PEM + PEM,
        PEM[:60],
        "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_single_block_of_base64_keeps_its_lines_for_the_parser_to_judge(given: str) -> None:
    assert cleaned(given) == given.strip() + "\n"
    assert cleaned(given.replace("\n", "\\r\\n")) == given.strip() + "\n"


def test_the_curve_before_a_key_is_taken_off_and_no_other_block_is() -> None:
    curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert cleaned(curve + PEM) == PEM
    other = curve.replace("EC PARAMETERS", "CERTIFICATE")
    assert cleaned(other + PEM) == other + PEM


def test_cleaning_what_is_clean_changes_nothing() -> None:
    for value in (PEM, "abc", "", PEM + PEM, PEM[:60]):
        assert cleaned(cleaned(value)) == cleaned(value)
