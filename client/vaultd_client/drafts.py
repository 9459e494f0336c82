"""An exchange as a JSON document describes it, in any of the shapes that people already have.

Accepted are a flat key pair (`{"api_key": ..., "secret": ...}`), two halves (`readConfiguration` and
`writeConfiguration`), and around them `name`, `kind`, `environment`, `labels`, `market_types` and `hidden`, under the
names that other services use; and the file that Coinbase hands out with a key (`{"name": ..., "privateKey": ...}`).
Names of fields are resolved with the catalogue's aliases; what is unknown names itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaultd_client.errors import invalid
from vaultd_client.fields import FieldValues

HALVES = {
    "read": ("readConfiguration", "read_configuration", "read"),
    "write": ("writeConfiguration", "write_configuration", "write"),
}
KIND_NAMES = ("kind", "venue", "market_code", "type")
"""First found wins: where a document has `venue`, its `type` says something else."""
MARKET_TYPE_NAMES = ("market_types", "types_to_create")
COINBASE = "coinbase"
_COINBASE_KEY = re.compile(r"(organizations/[0-9a-f-]{36}/apiKeys/)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
"""How Coinbase names a key: in full for one in PEM, by the last part alone for an Ed25519 one."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a document says. Empty where it says nothing.

    `configurations` maps `read` and `write`, or, for a flat key pair, the empty string, to the fields as written.
    """

    name: str
    kind: str
    environment: str
    labels: Mapping[str, str]
    market_types: Sequence[str]
    hidden: bool
    configurations: Mapping[str, FieldValues]

    def __repr__(self) -> str:
        return f"<Draft {self.name!r} {self.kind!r}: fields hidden>"


def draft(document: object) -> Draft:
    """Takes a document apart.

    Raises:
        InvalidError: A part of it is of the wrong type, or is given twice and differs.
    """
    if not isinstance(document, dict):
        raise invalid({"document": "must be a JSON object"})
    rest = _from_coinbase({key: value for key, value in document.items() if value is not None})
    halves = {half: _object(half, value) for half, names in HALVES.items() if (value := _take(rest, names)) is not None}
    kind = _text("kind", _take(rest, KIND_NAMES[:3]) or _take(rest, KIND_NAMES[3:]))
    rest.pop("type", None)
    name = _text("name", rest.pop("name", None))
    environment = _text("environment", rest.pop("environment", None))
    labels = {key: _text(f"labels.{key}", each) for key, each in _object("labels", rest.pop("labels", {})).items()}
    market_types = _texts("market_types", _take(rest, MARKET_TYPE_NAMES))
    hidden = rest.pop("hidden", False)
    if not isinstance(hidden, bool):
        raise invalid({"hidden": "must be true or false"})
    if halves and rest:
        raise invalid({next(iter(rest)): "is not part of a document with configurations"})
    configurations = halves or ({"": rest} if rest else {})
    checked = {half: _fields(fields) for half, fields in configurations.items()}
    return Draft(name, kind, environment, labels, market_types, hidden, checked)


def _from_coinbase(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the document, and where it is Coinbase's file, what it means: its `name` is the key's, not the exchange's."""
    for named in ("name", "id"):
        if document.keys() == {named, "privateKey"} and _COINBASE_KEY.fullmatch(str(document[named])):
            return {"kind": COINBASE, "api_key": document[named], "secret": document["privateKey"]}
    return document


def _take(rest: dict[str, Any], names: Sequence[str]) -> Any:
    """Removes all of `names` and returns the one value they have, None where there is none."""
    values = [rest.pop(name) for name in names if name in rest]
    if any(value != values[0] for value in values[1:]):
        raise invalid({names[0]: f"is given more than once and differs ({', '.join(names)})"})
    return values[0] if values else None


def _text(field: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid({field: "must be text"})
    return value


def _texts(field: str, value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise invalid({field: "must be a list of texts"})
    return [_text(field, each) for each in value]


def _object(field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid({field: "must be an object"})
    return {key: each for key, each in value.items() if each is not None}


def _fields(given: Mapping[str, Any]) -> FieldValues:
    """Returns a key pair as text. A customer number is often written without quotes."""
    fields: dict[str, str | Mapping[str, str]] = {}
    for name, value in given.items():
        if name == "extra":
            fields[name] = {key: _text(f"extra.{key}", each) for key, each in _object("extra", value).items()}
        else:
            fields[name] = str(value) if type(value) is int else _text(name, value)
    return fields
