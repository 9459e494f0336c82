"""What a record must look like. Everything a request brings in passes here before it is stored."""

import dataclasses
import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vaultd import limits
from vaultd.crypto.requests import check_public_key
from vaultd.errors import RecordInvalidError
from vaultd.model import CONFIGURATIONS, ENVIRONMENTS, EVERYTHING, PERMISSIONS, KdfParameters, Row, SlotKind

R = TypeVar("R", bound=Row)
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}\.service")
_MARKET_TYPE = re.compile(r"[a-z0-9_]{1,64}")
_NO_UID = 0xFFFF_FFFF
"""(uid_t) -1 means no uid."""


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client that passed the checks."""

    name: str
    public_key: bytes
    uid: int
    unit: str
    permissions: tuple[str, ...]


def replaced(row: R, **changes: Any) -> R:
    """Returns a row with some columns changed."""
    return dataclasses.replace(row, **changes)


def new_client(given: Any, permissions: Sequence[str]) -> NewClient:
    """Checks a client as the unlock socket's JSON brings it."""
    if not isinstance(given, dict):
        raise RecordInvalidError(fields={"administrator": "name, public_key and uid are needed"})
    try:
        public_key = bytes.fromhex(str(given.get("public_key", "")))
    except ValueError:
        raise RecordInvalidError(fields={"public_key": "must be hex"}) from None
    return client(str(given.get("name", "")), public_key, given.get("uid"), "", permissions)


def client(name: str, public_key: bytes, uid: Any, unit: str, permissions: Sequence[str]) -> NewClient:
    """Checks a client; RecordInvalidError names the field at fault."""
    check_public_key(public_key)
    return NewClient(required_name(name), public_key, checked_uid(uid), checked_unit(unit), checked_permissions(permissions))


def checked_uid(uid: Any) -> int:
    """Returns a uid that a process can have."""
    if not isinstance(uid, int) or isinstance(uid, bool) or not 0 <= uid < _NO_UID:
        raise RecordInvalidError(fields={"uid": "must be a user id"})
    return uid


def checked_unit(unit: str) -> str:
    """Returns the name of a systemd service, or the empty string."""
    if unit and not _UNIT.fullmatch(unit):
        raise RecordInvalidError(fields={"unit": "must be the name of a system service, such as bot.service"})
    return unit


def checked_permissions(permissions: Sequence[str]) -> tuple[str, ...]:
    """Returns the permissions, sorted, each once."""
    unknown = sorted(set(permissions) - {*PERMISSIONS, EVERYTHING})
    if unknown or len(permissions) > limits.MAX_PERMISSIONS:
        raise RecordInvalidError(fields={"permissions": f"must be among {', '.join((*PERMISSIONS, EVERYTHING))}"})
    return tuple(sorted(set(permissions)))


def text(value: Any, field: str, longest: int) -> str:
    """Returns printable text in Unicode's normal form C without outer blanks.

    Raises:
        RecordInvalidError: It is too long, or has control, format or unassigned characters: those could hide or turn
            round what an administrator reads in a terminal.
    """
    if not isinstance(value, str):
        raise RecordInvalidError(fields={field: "must be text"})
    if len(value) > 4 * longest:
        raise RecordInvalidError(fields={field: f"must be at most {longest} characters"})
    clean = unicodedata.normalize("NFC", value).strip()
    if len(clean) > longest:
        raise RecordInvalidError(fields={field: f"must be at most {longest} characters"})
    if any(unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp") for char in clean):
        raise RecordInvalidError(fields={field: "must not hold control or invisible characters"})
    return clean


def required_name(value: Any) -> str:
    """Returns a name: 1 to 64 printable characters without slash, backslash or star."""
    clean = text(value, "name", limits.MAX_NAME_CHARS)
    if not clean:
        raise RecordInvalidError(fields={"name": "is required"})
    if set(clean) & set("/\\*:"):
        raise RecordInvalidError(fields={"name": "must not hold / \\ * or :"})
    return clean


def environment(value: str, known: Collection[str]) -> str:
    """Returns the environment, `live` where none is given."""
    wanted = value or "live"
    if wanted not in ENVIRONMENTS or (known and wanted not in known):
        raise RecordInvalidError(fields={"environment": f"must be {' or '.join(known or ENVIRONMENTS)}"})
    return wanted


def configuration(value: str) -> str:
    """Returns `read` or `write`."""
    if value not in CONFIGURATIONS:
        raise RecordInvalidError(fields={"configuration": "must be read or write"})
    return value


def labels(given: Mapping[str, str]) -> dict[str, str]:
    """Returns labels that passed the checks."""
    if len(given) > limits.MAX_LABELS:
        raise RecordInvalidError(fields={"labels": f"at most {limits.MAX_LABELS}"})
    clean = {
        text(key, "labels", limits.MAX_LABEL_CHARS): text(value, "labels", limits.MAX_LABEL_CHARS)
        for key, value in given.items()
    }
    if "" in clean:
        raise RecordInvalidError(fields={"labels": "a label needs a name"})
    return clean


def market_types(given: Sequence[str]) -> list[str]:
    """Returns market types, sorted, each once.

    Any word of the right form: venues and services have more of them (`binance_margin`) than the catalogue lists.
    """
    if len(given) > limits.MAX_MARKET_TYPES:
        raise RecordInvalidError(fields={"market_types": f"at most {limits.MAX_MARKET_TYPES}"})
    if not all(_MARKET_TYPE.fullmatch(each) for each in given):
        raise RecordInvalidError(fields={"market_types": "must be lower-case letters, digits and _"})
    return sorted(set(given))


def kdf_parameters(given: Any) -> KdfParameters | None:
    """Returns Argon2id parameters as the unlock socket's JSON brings them; None where it brings none."""
    if given is None:
        return None
    names = ("memory_kib", "passes", "lanes")
    if not isinstance(given, dict) or any(type(given.get(name)) is not int for name in names):
        raise RecordInvalidError(fields={"kdf": "memory_kib, passes and lanes are needed"})
    return KdfParameters(*(given[name] for name in names))


def slot_kind(given: Any) -> SlotKind:
    """Returns the kind of a key slot."""
    try:
        return SlotKind(given)
    except ValueError:
        raise RecordInvalidError(fields={"kind": f"must be {', '.join(SlotKind)}"}) from None


def exchange_id() -> str:
    """Returns a new id, `ex-xxxxx-xxxxx-xxxxxxxxxxxxxxx`: 125 random bits."""
    return "ex-" + "-".join(_random(length) for length in (5, 5, 15))


def grant_id() -> str:
    """Returns a new id, `gr-xxxxxxxxxx`: 50 random bits."""
    return "gr-" + _random(10)


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE32) for _ in range(length))


def mask(value: str) -> str:
    """Returns what may be shown of a value: four and four characters of sixteen or more, fewer of less."""
    if len(value) >= limits.MASK_FULL_CHARS:
        return f"{value[:4]}…{value[-4:]}"
    if len(value) >= limits.MASK_SHORT_CHARS:
        return f"…{value[-2:]}"
    return "…"


def quoted(value: str) -> str:
    """Returns a short printable form of something that a request named, for an error message."""
    return "'" + "".join(char if char.isprintable() else "?" for char in value[: limits.MAX_NAME_CHARS]) + "'"
