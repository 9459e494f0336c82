"""References to fields of the vault in a text, and putting the values in their place.

    vaultd://EXCHANGE/read/api_key                in a name, %20 is a blank and %2F a slash
    {{ vaultd://my account/write/extra.memo }}    in braces a name may hold anything but a slash

A field is one of a credential's, or `extra.` and the name of a free entry.

Threat: a value with a quote or a newline that ends the string it was put into, and begins another setting. Measure: every
format has its own quoting, chosen by what stands around the reference; where no quoting is certain to arrive as it was
sent, the value is refused. Limit: `raw` puts in what is there.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import unquote

from vaultd_client.errors import InvalidError
from vaultd_client.revealed import RevealedCredential

SCHEME = "vaultd://"
SHAPE = "vaultd://EXCHANGE/read/FIELD or vaultd://EXCHANGE/write/FIELD"
_FIELD = r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_-]+)?"
_REFERENCE = re.compile(
    rf"\{{\{{[ \t]*{SCHEME}(?P<name>[^/\n{{}}]+)/(?P<half>read|write)/(?P<field>{_FIELD})[ \t]*\}}\}}"
    rf"|{SCHEME}(?P<bare>[A-Za-z0-9._~%+@-]+)/(?P<bare_half>read|write)/(?P<bare_field>{_FIELD})"
)
_SAFE = re.compile(r"[A-Za-z0-9._/+=@:-]*")
_WHOLE_YAML = re.compile(r"\s*(?:- +)*(?:[^\s#\"'][^#\"']*: +)?")
_BLOCK = re.compile(r"(?:.*[:\-?][ \t]+)?(?:[!&]\S+[ \t]+)*[|>][-+0-9]*[ \t]*(?:#.*)?")
_COMMENT = re.compile(r"[ \t]*(?:[ \t]#.*)?")
_YAML_QUOTED = re.compile(r"""(?<![^\s\[{,:])(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|(?<=[^\s\[{,:])["']""")
"""What is closed again, and a quote within a word, which opens nothing."""
_SHELL_QUOTED = re.compile(r"""\\.|"(?:[^"\\]|\\.)*"|'[^']*'""")
FORMATS = ("json", "yaml", "env", "raw")
_SUFFIXES = {".json": "json", ".js": "json", ".jsonc": "json", ".yml": "yaml", ".yaml": "yaml", ".env": "env"}
_TEMPLATE_SUFFIXES = {".tmpl", ".tpl", ".template", ".in"}


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference in a text: what it names, where it stands (0-based), and where a person finds it (1-based)."""

    exchange: str
    configuration: str
    field: str
    start: int
    end: int
    line: int
    column: int


Value = Callable[[Reference], str]
"""Returns the plaintext of a reference."""


def find(text: str, name: str) -> tuple[Reference, ...]:
    """Finds the references in a text.

    Args:
        text: The template.
        name: What errors call it.

    Raises:
        InvalidError: `vaultd://` begins something that is no reference.
    """
    found = []
    after = 0
    while (scheme := text.find(SCHEME, after)) >= 0:
        start = max(text.rfind("{{", after, scheme), 0) if _in_braces(text, scheme) else scheme
        matched = _REFERENCE.match(text, start) or _REFERENCE.match(text, scheme)
        line, column = _place(text, scheme)
        if matched is None:
            raise InvalidError(f"{name}:{line}:{column}: this is no reference", hint=f"write it as {SHAPE}")
        exchange = matched["name"] or unquote(matched["bare"])
        half, field = matched["half"] or matched["bare_half"], matched["field"] or matched["bare_field"]
        found.append(Reference(exchange, half, field, matched.start(), matched.end(), line, column))
        after = matched.end()
    return tuple(found)


def value_of(credential: RevealedCredential, field: str) -> str:
    """Returns a field of a credential by the name that a reference has for it.

    Raises:
        KeyError: It has none of that name.
    """
    if field.startswith("extra."):
        return credential.extra[field.removeprefix("extra.")]
    return credential.fields[field]


def format_of(path: PurePath) -> str:
    """Returns the format that a template's name says, `config.json.tmpl` json; empty where it says none."""
    if path.suffix in _TEMPLATE_SUFFIXES:
        path = path.with_suffix("")
    return "env" if path.name.startswith(".env") else _SUFFIXES.get(path.suffix, "")


def render(text: str, form: str, value: Value, name: str) -> str:
    """Puts the values in the place of their references.

    Args:
        text: The template.
        form: One of FORMATS.
        value: Asked for each reference, in the order of the text.
        name: What errors call the template.

    Raises:
        InvalidError: A reference is malformed, or no quoting of a value is certain to arrive. What `value` raises.
    """
    pieces, after = [], 0
    for reference in find(text, name):
        pieces.append(text[after : reference.start])
        quoted = _QUOTING[form](text, reference, value(reference))
        if quoted is None:
            raise InvalidError(
                f"{name}:{reference.line}:{reference.column}: a character of {reference.field} cannot stand here in {form}",
                hint="put double quotes around the reference" if form == "yaml" else "use a template in JSON",
            )
        pieces.append(quoted)
        after = reference.end
    return "".join([*pieces, text[after:]])


def _in_braces(text: str, at: int) -> bool:
    return text[:at].rstrip(" \t").endswith("{{")


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _around(text: str, reference: Reference) -> tuple[str, str]:
    """Returns what stands on the line before and after the reference."""
    ends = text.find("\n", reference.end)
    return (
        text[text.rfind("\n", 0, reference.start) + 1 : reference.start],
        text[reference.end : len(text) if ends < 0 else ends].rstrip("\r"),
    )


def _open_quote(before: str, quoted: "re.Pattern[str]") -> str:
    """Returns the quote that is open at the end of a line's beginning, empty for none.

    The one that stands last need not be it: in `'say "` the double quote is a character, and what is escaped for it ends
    the single one.
    """
    rest = quoted.sub("", before)
    found = re.search("[\"']", rest)
    return found[0] if found else ""


def _json(text: str, reference: Reference, value: str) -> str:
    quoted = json.dumps(value)
    return quoted[1:-1] if _in_json_string(text[: reference.start]) else quoted


def _in_json_string(before: str) -> bool:
    """Says whether a JSON text, with comments as freqtrade and Gunbot allow them, is within a string at its end."""
    at, inside = 0, False
    while at < len(before):
        if inside:
            inside = before[at] != '"'
            at += 2 if before[at] == "\\" else 1
        elif before.startswith("//", at):
            at = _after(before, "\n", at)
        elif before.startswith("/*", at):
            at = _after(before, "*/", at)
        else:
            inside = before[at] == '"'
            at += 1
    return inside


def _after(text: str, end: str, at: int) -> int:
    found = text.find(end, at)
    return len(text) if found < 0 else found + len(end)


def _yaml(text: str, reference: Reference, value: str) -> str | None:
    before, after = _around(text, reference)
    if _in_yaml_block(text[: reference.start]):
        return value if value.isprintable() and value == value.strip() else None  # There a quote is a character.
    escaped = "".join(_yaml_escaped(character) for character in value)
    opened = _open_quote(before, _YAML_QUOTED)
    if opened == '"' and before.endswith('"') and after.startswith('"'):
        return escaped
    if opened == "'" and before.endswith("'") and after.startswith("'"):
        return value.replace("'", "''") if value.isprintable() else None
    if _WHOLE_YAML.fullmatch(before) and _COMMENT.fullmatch(after):
        return f'"{escaped}"'
    return value if _SAFE.fullmatch(value) and not value.endswith(":") else None


def _in_yaml_block(before: str) -> bool:
    """Says whether a YAML text ends in a block scalar: https://yaml.org/spec/1.2.2/#81-block-scalar-styles."""
    *above, line = before.split("\n")
    indent = len(line) - len(line.lstrip(" "))
    for each in reversed(above):
        inner = each.lstrip(" ").rstrip("\r")
        if inner and len(each) - len(each.lstrip(" ")) < indent:
            if _BLOCK.fullmatch(inner):
                return True
            indent = len(each) - len(each.lstrip(" "))
    return False


def _yaml_escaped(character: str) -> str:
    """Returns a character as double quotes have it: https://yaml.org/spec/1.2.2/#57-escaped-characters."""
    if character in {'"', "\\"}:
        return f"\\{character}"
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _env(text: str, reference: Reference, value: str) -> str | None:
    """Quotes for every reader at once: sh, systemd, python-dotenv and dotenv of Node.js; docker knows no quotes."""
    before, after = _around(text, reference)
    if _SAFE.fullmatch(value):
        return value
    if "${" in value or "\r" in value or "\0" in value:  # python-dotenv expands it in any quotes
        return None
    opened = _open_quote(before, _SHELL_QUOTED)
    if opened == '"' and before.endswith('"') and after.startswith('"'):
        return value if not set(value) & set('"\\$`\n') else None
    single = value if not set(value) & set("'\\") else None
    if opened == "'" and before.endswith("'") and after.startswith("'"):
        return single
    whole = not opened and before.endswith("=") and not after.strip()
    return f"'{single}'" if whole and single is not None else None


def _raw(_text: str, _reference: Reference, value: str) -> str:
    return value


_QUOTING: Mapping[str, Callable[[str, Reference, str], str | None]] = {
    "json": _json, "yaml": _yaml, "env": _env, "raw": _raw,
}  # fmt: skip
