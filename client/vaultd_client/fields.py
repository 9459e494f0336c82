"""Field names that people and files use, mapped to the one name of each field."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from vaultd_api.v1 import resources_pb2
from vaultd_client.errors import InvalidError
from vaultd_client.models import Kind
from vaultd_client.revealed import FIELD_NAMES

FieldValues = Mapping[str, "str | Mapping[str, str]"]
"""Field name or alias to value; `extra` maps to a mapping of free entries."""

EXTRA = "extra"
_MISFIT = "has the wrong type, is out of range or is not text"
_CONFIGURATIONS = {"readConfiguration": "read", "writeConfiguration": "write"}

Built = TypeVar("Built", bound=Message)


def configuration_name(name: str) -> str:
    """Returns `read` or `write` for its aliases too; the daemon judges anything else."""
    return _CONFIGURATIONS.get(name, name)


def need_aliases(given: FieldValues) -> bool:
    """Says whether the catalogue is needed to understand the names."""
    return any(name not in FIELD_NAMES and name != EXTRA for name in given)


def credential_fields(given: FieldValues, kind: Kind | None) -> resources_pb2.CredentialFields:
    """Returns the key pair under its canonical names.

    Args:
        given: What was handed over.
        kind: Its aliases apply; None where `need_aliases` says no.

    Raises:
        InvalidError: Names the fields that are unknown, given twice or no text.
    """
    aliases = {alias: field.name for field in kind.fields for alias in field.aliases} if kind else {}
    values: dict[str, str] = {}
    extra: Mapping[str, str] = {}
    faults: dict[str, str] = {}
    for name, value in given.items():
        if name == EXTRA:
            if isinstance(value, Mapping) and all(_is_text(text) for pair in value.items() for text in pair):
                extra = value
            else:
                faults[name] = "must map names to text"
            continue
        field = name if name in FIELD_NAMES else aliases.get(name, "")
        if field not in FIELD_NAMES:
            faults[name] = "is no field" + (f" of {kind.kind}; there are {', '.join(_names(kind))}" if kind else "")
        elif field in values:
            faults[name] = f"is the same field as another one that is given, {field}"
        elif not isinstance(value, str) or not _is_text(value):
            faults[name] = "must be text"
        else:
            values[field] = value
    if faults:
        raise InvalidError("Invalid parameters", fields=faults)
    fields = resources_pb2.CredentialFields(extra=extra)
    for name, value in values.items():
        setattr(fields, name, value)
    return fields


def build(message: Callable[..., Built], /, **values: object) -> Built:
    """Builds a request message from what the caller handed over.

    Raises:
        InvalidError: Names the values of a wrong type, out of range, or no Unicode text.
    """
    faults = {name: _MISFIT for name, value in values.items() if not _fits(message, name, value)}
    if faults:
        raise InvalidError("Invalid parameters", fields=faults)
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
