"""Field names that people and files use, mapped to the one name of each field."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from vaultd_api.v1 import resources_pb2
from vaultd_client.errors import invalid
from vaultd_client.kinds import Kind
from vaultd_client.revealed import FIELD_NAMES

FieldValues = Mapping[str, "str | Mapping[str, str]"]
"""Field name or alias to value; `extra` maps to a mapping of free entries."""

EXTRA = "extra"
_ENTRY = f"{EXTRA}."
AMBIGUOUS = "password"
"""Where a kind has no login, ccxt's name of the passphrase."""
_MISFIT = "has the wrong type, is out of range or is not text"
_CONFIGURATIONS = {"readConfiguration": "read", "writeConfiguration": "write"}

Built = TypeVar("Built", bound=Message)


def configuration_name(name: str) -> str:
    """Returns `read` or `write` for its aliases too; the daemon judges anything else."""
    return _CONFIGURATIONS.get(name, name)


def need_aliases(given: FieldValues) -> bool:
    """Says whether the catalogue is needed to understand the names."""
    return any((name not in FIELD_NAMES and name != EXTRA) or name == AMBIGUOUS for name in given)


def credential_fields(given: FieldValues, kind: Kind | None) -> resources_pb2.CredentialFields:
    """Returns the key pair under its canonical names.

    Args:
        given: What was handed over.
        kind: Its aliases apply, and where it takes free fields a name that is none of its own becomes an entry of
            `extra`, as `extra.NAME` does on every kind; None where `need_aliases` says no.

    Raises:
        InvalidError: Names the fields that are unknown, given twice or no text.
    """
    given = dict(given)
    free = given.pop(EXTRA, {})
    values: dict[str, str] = {}
    faults: dict[str, str] = {}
    if isinstance(free, Mapping) and all(_is_text(name) for name in free):
        entries = {f"{_ENTRY}{name}": value for name, value in free.items()}
        faults = dict.fromkeys(entries.keys() & given.keys(), "is given twice")
        given |= entries
    else:
        faults[EXTRA] = "must map names to text"
    for name, value in given.items():
        field = _own_name(name, kind)
        if not field:
            faults[name] = "is no field" + (f" of {kind.kind}; there are {', '.join(_names(kind))}" if kind else "")
        elif field in values:
            faults[name] = f"is the same field as another one that is given, {field}"
        elif not isinstance(value, str) or not _is_text(value):
            faults[EXTRA if field.startswith(_ENTRY) else name] = "must be text"
        else:
            values[field] = value
    if faults:
        raise invalid(faults)
    extra = {name.removeprefix(_ENTRY): value for name, value in values.items() if name.startswith(_ENTRY)}
    fields = resources_pb2.CredentialFields(extra=extra)
    for name in values.keys() & set(FIELD_NAMES):
        setattr(fields, name, values[name])
    return fields


def _own_name(name: str, kind: Kind | None) -> str:
    """Returns the field, or `extra.NAME`, that a name stands for; empty where it stands for none."""
    if name.startswith(_ENTRY):
        return name
    field = (kind.canonical(name) if kind else None) or name
    if field in FIELD_NAMES:
        return field
    return f"{_ENTRY}{name}" if kind and kind.free_fields else ""


def build(message: Callable[..., Built], /, **values: object) -> Built:
    """Builds a request message from what the caller handed over.

    Raises:
        InvalidError: Names the values of a wrong type, out of range, or no Unicode text.
    """
    faults = {name: _MISFIT for name, value in values.items() if not _fits(message, name, value)}
    if faults:
        raise invalid(faults)
    return message(**values)


def _fits(message: Callable[..., Message], name: str, value: object) -> bool:
    try:
        message(**{name: value})
    except (TypeError, ValueError):
        return False
    return True


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(kind: Kind) -> list[str]:
    return [field.name for field in kind.fields]
