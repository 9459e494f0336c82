"""stdout carries the result alone; what comes from outside cannot drive the terminal."""

import io
import json
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from vaultd_client.cli.session import plain
from vaultd_client.cli.terminal import Terminal, clean, facts, table


def terminal(*, json_wanted: bool = False) -> tuple[Terminal, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    made = Terminal(out, err)
    made.json = json_wanted
    return made, out, err


@given(st.text())
def test_cleaned_text_has_no_control_or_format_character(text: str) -> None:
    assert not {unicodedata.category(each) for each in clean(text)} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


def test_escape_sequences_and_bidi_marks_are_written_out() -> None:
    assert clean("a\x1b[31mb\u202ec\x7f\u2028") == "a\\x1b[31mb\\u202ec\\x7f\\u2028"


def test_results_go_to_stdout_and_all_else_to_stderr() -> None:
    made, out, err = terminal()
    made.result({"a": 1}, "the result")
    made.note("a note")
    made.warn("careful")
    made.error("wrong", "do this")
    assert out.getvalue() == "the result\n"
    assert err.getvalue() == "a note\nwarning: careful\nvaultctl: wrong\nhint: do this\n"


def test_with_json_stdout_is_one_document() -> None:
    made, out, _ = terminal(json_wanted=True)
    made.say("a narration")
    made.result({"name": "a…b"}, "shown to nobody")
    assert json.loads(out.getvalue()) == {"name": "a…b"}
    assert out.getvalue().isascii()


def test_a_table_in_a_pipe_is_neither_cut_nor_wrapped_nor_coloured() -> None:
    made, out, _ = terminal()
    made.result({}, table(("NAME", "STATE"), [("x" * 500, "ACTIVE")]))
    assert out.getvalue().splitlines()[1].split() == ["x" * 500, "ACTIVE"]
    assert "\x1b" not in out.getvalue()


def test_names_cannot_smuggle_markup_or_escapes_into_a_table() -> None:
    made, out, _ = terminal()
    made.result({}, table(("NAME",), [("[bold]\x1b[2J[/]",)]), facts({"name": "\nforged: line"}))
    assert "[bold]\\x1b[2J[/]" in out.getvalue()
    assert "\\x0aforged: line" in out.getvalue()


def test_a_pipe_sees_no_spinner() -> None:
    made, out, err = terminal()
    with made.working("Working"):
        made.note("inside")
    assert (out.getvalue(), err.getvalue()) == ("", "inside\n")


@dataclass(frozen=True)
class Value:
    when: datetime
    key: bytes
    items: tuple[int, ...]
    none: None


def test_values_become_plain_json() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    same = moment.astimezone(timezone(timedelta(hours=2)))
    assert plain(Value(same, b"\x01\xff", (1, 2), None)) == {
        "when": "2026-01-02T03:04:05.678Z",
        "key": "01ff",
        "items": [1, 2],
        "none": None,
    }
