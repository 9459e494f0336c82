"""A value arrives in a file as it was sent, whatever is in it, or it is refused; judged by the readers of each format."""

import json
import os
import subprocess
from pathlib import PurePath

import dotenv
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.revealed import credential
from vaultd_client.errors import InvalidError
from vaultd_client.references import find, format_of, render, value_of

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE+/==\n-----END EC PRIVATE KEY-----\n"
NASTY = [
    "plain", "with blank", 'a"b', "a'b", "a\\b", "a\\nb", "a\nb", PEM, "#x", "a #b", ": x", "a: b", "- x", "{x}", "$HOME", "${HOME}",
    "`id`", "$(id)", "true", "null", "0123", "1e5", "yes", "é😀", "\u2028", "a\tb", "%20", "&x", "*x", "!x", "'", '"', "\\", "=", "a,b", "\x7f",
]  # fmt: skip
REFERENCE = "vaultd://main/read/secret"
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def rendered(template: str, value: str, form: str) -> str:
    return render(template, form, lambda _reference: value, "t")


# --- json -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template", [f'{{"k": "{REFERENCE}"}}', f'{{"k": {REFERENCE}}}', f'{{"k":{{{{ {REFERENCE} }}}}}}']
)
@given(value=text)
def test_json_reads_what_was_sent(template: str, value: str) -> None:
    assert json.loads(rendered(template, value, "json")) == {"k": value}


@given(value=text)
def test_json_reads_what_was_sent_within_a_longer_string(value: str) -> None:
    template = f'{{"a \\" b": "x, {REFERENCE}, y", "k": [{REFERENCE}]}}'
    assert json.loads(rendered(template, value, "json")) == {'a " b': f"x, {value}, y", "k": [value]}


def test_a_quote_in_a_comment_does_not_open_a_string() -> None:
    template = f'// don"t\n/* " */{{"k": {REFERENCE}}}'
    assert rendered(template, 'a"', "json").endswith('{"k": "a\\""}')


# --- yaml -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize(
    ("before", "after"),
    [("k: ", ""), ("k: ", "  # a comment"), ('k: "', '"'), ("k: '", "'"), ("- k: ", ""), ("k:\n  - ", "")],
)
def test_yaml_reads_what_was_sent_or_it_is_refused(before: str, after: str, value: str) -> None:
    try:
        made = rendered(
            f"x: 1\n{before}{REFERENCE}{after}\n" if not before.startswith("-") else before + REFERENCE, value, "yaml"
        )
    except InvalidError as error:
        assert "'" in before, error  # only single quotes know no escape
        assert not value.isprintable()
        return
    found = yaml.safe_load(made)
    found = found[0] if isinstance(found, list) else found
    assert (found["k"][0] if isinstance(found["k"], list) else found["k"]) == value


@pytest.mark.parametrize("head", ["k: |", "k: >-", "k: |2  # as it stands", "- |", "a:\n  k: !!str |+"])
def test_in_a_block_of_yaml_a_value_stands_as_it_is(head: str) -> None:
    value = """it's "so": #1"""
    made = yaml.safe_load(rendered(f"{head}\n    first\n    {REFERENCE}\n", value, "yaml"))
    assert value in str(made).replace("\\'", "'")
    assert f'"{value}' not in str(made)
    with pytest.raises(InvalidError, match="cannot stand here in yaml"):
        rendered(f"{head}\n    first\n    {REFERENCE}\n", "two\nlines", "yaml")


def test_a_line_below_a_block_of_yaml_is_quoted_again() -> None:
    made = rendered(f"a:\n  k: |\n    text\n  l: {REFERENCE}\n", "x: y", "yaml")
    assert yaml.safe_load(made) == {"a": {"k": "text\n", "l": "x: y"}}


@pytest.mark.parametrize("value", ["x', injected: 'y", 'x", injected: "y', "a'b", 'a"b'])
@pytest.mark.parametrize("template", ["{{k: 'say \"{}\" now', z: 1}}", "{{k: \"say '{}' now\", z: 1}}"])
def test_in_yaml_a_quote_within_the_other_is_not_taken_for_the_one_that_ends_the_string(template: str, value: str) -> None:
    assert "plain" in yaml.safe_load(rendered(template.format(REFERENCE), "plain", "yaml"))["k"]
    with pytest.raises(InvalidError, match="cannot stand here in yaml"):
        rendered(template.format(REFERENCE), value, "yaml")


def test_in_yaml_closed_strings_and_apostrophes_before_a_string_do_not_matter() -> None:
    made = rendered(f"{{a: \"it's\", b: 'say \"', c: don't, k: \"{REFERENCE}\", l: '{REFERENCE}'}}", "a'b\"c", "yaml")
    assert yaml.safe_load(made) == {"a": "it's", "b": 'say "', "c": "don't", "k": "a'b\"c", "l": "a'b\"c"}


def test_yaml_within_a_longer_text_takes_only_what_needs_no_quotes() -> None:
    assert yaml.safe_load(rendered(f"k: x-{REFERENCE}", "a1", "yaml")) == {"k": "x-a1"}
    with pytest.raises(InvalidError, match="t:1:6: a character of secret cannot stand here in yaml"):
        rendered(f"k: x-{REFERENCE}", "a: b", "yaml")


# --- env --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize(("before", "after"), [("", ""), ('"', '"'), ("'", "'")])
def test_every_reader_of_env_files_reads_what_was_sent_or_it_is_refused(
    before: str, after: str, value: str, tmp_path: PurePath
) -> None:
    path = os.path.join(tmp_path, "x.env")
    try:
        made = rendered(f"A=1\nK={before}{REFERENCE}{after}\nB=2\n", value, "env")
    except InvalidError:
        assert set(value) & set("'\\$\"`\n\r")  # where the readers differ
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(made)
    assert dotenv.dotenv_values(path) == {"A": "1", "K": value, "B": "2"}
    script = '. "$0"; printf %s "$K"'
    done = subprocess.run(["sh", "-c", script, path], capture_output=True, check=True, env={"HOME": "/h"})
    assert done.stdout.decode() == value


@pytest.mark.parametrize(("outer", "inner"), [("'", '"'), ('"', "'")])
@pytest.mark.parametrize("value", ["x'; echo ended; '", '"; echo ended; "', "$(echo ended)"])
def test_in_env_a_quote_within_the_other_is_not_taken_for_the_one_that_ends_the_string(
    outer: str, inner: str, value: str
) -> None:
    template = f"K={outer}say {inner}{REFERENCE}{inner} now{outer}\n"
    assert rendered(template, "plain", "env") == template.replace(REFERENCE, "plain")
    with pytest.raises(InvalidError, match="cannot stand here in env"):
        rendered(template, value, "env")


def test_a_pem_survives_an_env_file() -> None:
    assert rendered(f"K={REFERENCE}", PEM, "env") == f"K='{PEM}'"


# --- what a reference is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "exchange", "field"),
    [
        ("vaultd://binance-main/read/api_key", "binance-main", "api_key"),
        ("vaultd://my%20main%2F2/read/api_key", "my main/2", "api_key"),
        ("{{vaultd://my main/read/extra.memo}}", "my main", "extra.memo"),
        ("{{  vaultd://a:b/read/extra.user-id  }}", "a:b", "extra.user-id"),
    ],
)
def test_references_are_found(written: str, exchange: str, field: str) -> None:
    (found,) = find(f"a\nbc {written}.", "t")
    assert (found.exchange, found.configuration, found.field) == (exchange, "read", field)
    assert f"a\nbc {written}."[found.start : found.end] == written
    assert (found.line, found.column) == (2, 4 + written.index("vaultd"))


@pytest.mark.parametrize(
    "wrong", ["vaultd://main/secret", "vaultd://main/admin/secret", "vaultd://", "vaultd:///read/secret"]
)
def test_what_is_no_reference_is_named_with_its_place(wrong: str) -> None:
    with pytest.raises(InvalidError, match="t:2:3: this is no reference") as error:
        find(f"x\n  {wrong}", "t")
    assert error.value.hint.startswith("write it as vaultd://EXCHANGE/read/FIELD")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.json", "json"), ("a.json.tmpl", "json"), ("config.js.tpl", "json"), ("a.yml", "yaml"), (".env", "env"),
        (".env.tmpl", "env"), ("x.env", "env"), ("a.toml", ""), ("a", ""),
    ],
)  # fmt: skip
def test_the_name_of_a_template_says_its_format(name: str, form: str) -> None:
    assert format_of(PurePath(name)) == form


def test_a_field_is_found_by_its_name() -> None:
    given = credential(extra={"memo": "m"})
    assert value_of(given, "secret") == "SECRET-9876543210"
    assert value_of(given, "extra.memo") == "m"
    with pytest.raises(KeyError):
        value_of(given, "passphrase")
