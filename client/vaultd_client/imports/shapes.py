"""Small things that all readers of nested documents need."""

from collections.abc import Mapping
from typing import Any

from vaultd_client.errors import InvalidError
from vaultd_client.imports.found import LeftOut

OTHER = "leave --from out, or name the right format: vaultctl import --help"


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns the value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """Returns the value where it is text, without blanks around it, else the empty text."""
    return value.strip() if isinstance(value, str) else ""


def texts(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Returns our fields of an object whose own names for them are the keys of `names`. The last name wins.

    Values stay to the letter: a passphrase may begin with a blank, and the keyholder cleans the others.
    """
    return {field: document[name] for name, field in names.items() if text(document.get(name))}


def exchanges(document: Any, bot: str) -> Mapping[str, Mapping[str, Any]]:
    """Returns the accounts under `exchanges`, by name.

    Raises:
        InvalidError: There is no such object.
    """
    found = mapping(document).get("exchanges")
    if not isinstance(found, dict):
        raise InvalidError(f"that is no configuration of {bot}: it has no `exchanges`", hint=OTHER)
    return {name: mapping(each) for name, each in found.items()}


def empty(where: str, name: str) -> LeftOut:
    """Returns what is said of an account without a key."""
    return LeftOut(where, name, "has no key, or what a sample file has in its place", refused=False)
