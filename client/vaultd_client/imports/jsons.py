"""JSON as bots write it: with comments and commas too many, as freqtrade reads it, and as Gunbot's `config.js` has it.

Errors say where, never what: the text is a file of secrets. Numbers stay as they are written: a customer number is text,
and a secret of digits must not become 1.2e70.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from vaultd_client.errors import InvalidError

MAX_DEPTH = 32
"""A configuration of a bot is nested six deep."""
_OUTSIDE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|//[^\n]*+|/\*.*?(?:\*/|\Z)', re.DOTALL)
_COMMA = re.compile(r'"(?:[^"\\]++|\\.)*+"?|,(?=\s*+[\]}])', re.DOTALL)
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SCRIPT = re.compile(r"\s*(?:module\.exports|exports|(?:const|let|var)\s+\w+)\s*=")


def loads(name: str, text: str) -> Any:
    """Parses a document. Comments and a comma before a closing bracket are allowed, and an assignment around it.

    Args:
        name: The file's, for errors.
        text: Its content.

    Raises:
        InvalidError: It is broken, nested too deeply, or has a name twice in one object.
    """
    plain = _COMMA.sub(_blank_comma, _OUTSIDE.sub(_blank_comment, _without_script(text)))
    _check_depth(name, plain)
    try:
        return json.loads(plain, object_pairs_hook=_once, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise broken(name, text, error.pos, "is not JSON from here on") from None
    except _TwiceError:
        raise InvalidError(f"{name}: a name comes twice in one object", hint="which one counts? remove one") from None
    except (ValueError, RecursionError):
        raise InvalidError(f"{name} is not JSON", hint="check the file with the program that wrote it") from None


def comments(text: str) -> Iterator[str]:
    """Yields the comments of a document."""
    return (found[0] for found in _OUTSIDE.finditer(text) if not found[0].startswith('"'))


def broken(name: str, text: str, position: int, what: str) -> InvalidError:
    """Returns the error of a place in a text: by line and column, which both begin with 1."""
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    hint = "correct the file, or check it with the program that wrote it"
    return InvalidError(f"{name}: line {line}, column {column}: {what}", hint=hint)


class _TwiceError(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _blank_comment(found: "re.Match[str]") -> str:
    return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])


def _blank_comma(found: "re.Match[str]") -> str:
    return found[0] if found[0].startswith('"') else " "


def _without_script(text: str) -> str:
    begin = _SCRIPT.match(text)
    if not begin:
        return text
    rest = text[begin.end() :].rstrip()
    return re.sub(r"[^\n]", " ", text[: begin.end()]) + rest.removesuffix(";")


def _check_depth(name: str, text: str) -> None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > MAX_DEPTH:
            raise broken(name, text, found.start(), f"nested more than {MAX_DEPTH} deep")
