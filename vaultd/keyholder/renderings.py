"""A key pair as the files that programs read: pure functions from secret memory to secret memory.

Threat: a secret that became a Python string stays in freed memory, in more places than anybody can wipe. Measure: the
serialized pair is walked where it lies, and its values are escaped byte by byte straight into the answer; no value is
ever an object of its own. Limit: names of fields and all that the open list shows too are ordinary objects.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vaultd import limits
from vaultd.errors import RecordInvalidError, StoreDamagedError
from vaultd.keyholder.secretmem import SecretBuffer, SecretMemory
from vaultd_api.v1.exchange_service_pb2 import RevealCredentialResponse
from vaultd_api.v1.resources_pb2 import CredentialFields

_FIELDS_NUMBER: Final = RevealCredentialResponse.DESCRIPTOR.fields_by_name["fields"].number
_NAMES: Final = {field.number: field.name for field in CredentialFields.DESCRIPTOR.fields}
_EXTRA: Final = "extra."
_JSON: Final = {byte: b"\\u%04x" % byte for byte in range(0x20)} | {0x22: b'\\"', 0x5C: b"\\\\"}
"""RFC 8259, section 7; the values are UTF-8 already."""
_SHELL: Final = {0x27: b"'\\''"}
"""POSIX, 2.2.2: nothing but a single quote has a meaning between single quotes."""
_RAW: Final[Mapping[int, bytes]] = {}
_CCXT_SANDBOX: Final = "set_sandbox_mode"
"""The one switch of a ccxt object that its configuration can throw as well: {"options": {"sandbox": true}}."""
_FREQTRADE: Final = {"apiKey": "key"}
"""ccxt's name to freqtrade's, where they differ (freqtrade's docs/configuration.md, section exchange)."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A secret, where it lies, and what becomes of some of its bytes."""

    view: memoryview
    escapes: Mapping[int, bytes]


_Part = bytes | _Value


def render(memory: SecretMemory, answer: memoryview, form: str) -> SecretBuffer:
    """Returns the file of a key pair.

    Args:
        memory: Where it is made.
        answer: A serialized RevealCredentialResponse, its fields last, in secret memory.
        form: One of `credential_ids.FORMS`.

    Raises:
        RecordInvalidError: The pair cannot have that form; the message says why.
        OutOfMemoryError: The secret memory is full.
    """
    start, fields = _split(answer)
    about = RevealCredentialResponse.FromString(bytes(answer[:start]))
    values = dict(_values(fields))
    parts: Sequence[_Part]
    if form == "json":
        parts = _json(_whole(about, values))
    elif form == "env":
        parts = _env(about.name, values)
    elif form in ("ccxt.json", "freqtrade.json"):
        config = _ccxt(about, values)
        parts = _json(config if form == "ccxt.json" else _freqtrade(about, config))
    elif form in values:
        parts = [_Value(values[form], _RAW)]
    else:
        raise RecordInvalidError(f"the key pair has no {form}; it has {', '.join(values)}")
    return _written(memory, parts)


# --- the serialized pair -------------------------------------------------------------------------------------------


def _split(answer: memoryview) -> tuple[int, memoryview]:
    """Returns where the fields begin, and the fields."""
    for number, start, value in _entries(answer):
        if number == _FIELDS_NUMBER:
            return start, value
    raise StoreDamagedError("the credential has no fields")


def _values(fields: memoryview) -> Iterator[tuple[str, memoryview]]:
    for number, _, value in _entries(fields):
        name = _NAMES[number]
        if name != "extra":
            yield name, value
            continue
        entry = {key: part for key, _, part in _entries(value)}  # a map's entry: 1 is the key, 2 the value
        yield _EXTRA + bytes(entry[1]).decode(), entry.get(2, value[:0])


def _entries(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yields number, start and content of each length-delimited entry (protobuf's encoding, wire types 0 and 2)."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        length, at = _varint(message, at)
        if tag & 7 == 2:
            yield tag >> 3, start, message[at : at + length]
            at += length
        elif tag & 7 != 0:
            raise StoreDamagedError("the credential is not a key pair")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


# --- the forms -----------------------------------------------------------------------------------------------------


def _whole(about: RevealCredentialResponse, values: Mapping[str, memoryview]) -> dict[str, Any]:
    """Returns the document that `vaultctl reveal` prints."""
    extra = {name.removeprefix(_EXTRA): value for name, value in values.items() if name.startswith(_EXTRA)}
    fields: dict[str, Any] = {name: value for name, value in values.items() if not name.startswith(_EXTRA)}
    return {
        "exchange": about.exchange,
        "name": about.name,
        "kind": about.kind,
        "environment": about.environment,
        "configuration": about.configuration,
        "version": about.version,
        "fields": {**fields, **({"extra": extra} if extra else {})},
    }


def _ccxt(about: RevealCredentialResponse, values: Mapping[str, memoryview]) -> dict[str, Any]:
    """Returns what the constructor of a ccxt exchange takes.

    Threat: a test key's orders go to the live venue. Measure: what a configuration alone cannot switch is not handed out.
    """
    if not about.ccxt_id:
        raise RecordInvalidError(f"ccxt does not know the kind {about.kind}; take .json")
    if about.environment != "live" and about.ccxt_switch != _CCXT_SANDBOX:
        raise RecordInvalidError(f"a file cannot switch ccxt to the {about.environment} of {about.kind}; take .json")
    known = {name.removeprefix(_EXTRA): value for name, value in values.items()} | dict(values)
    config: dict[str, Any] = {
        ccxt_name: known[name] for name, ccxt_name in sorted(about.ccxt_names.items()) if ccxt_name and name in known
    }
    if about.environment != "live":
        config["options"] = {"sandbox": True}
    return config


def _freqtrade(about: RevealCredentialResponse, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an overlay: `freqtrade trade --config config.json --config THIS` merges the two."""
    exchange: dict[str, Any] = {"name": about.ccxt_id}
    for name, value in config.items():
        if name == "options":
            exchange["ccxt_config"] = {name: value}
        else:
            exchange[_FREQTRADE.get(name, name)] = value
    return {"exchange": exchange}


def _env(exchange: str, values: Mapping[str, memoryview]) -> list[_Part]:
    """Returns assignments that a POSIX shell and dotenv read alike: MAIN_API_KEY='...'."""
    names = {re.sub(r"[^A-Z0-9]+", "_", f"{exchange}_{name.removeprefix(_EXTRA)}".upper()): name for name in values}
    if len(names) < len(values) or not all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names):
        raise RecordInvalidError("the names of exchange and fields make no variables; take .json")
    parts: list[_Part] = []
    for variable, name in names.items():
        parts += [f"{variable}='".encode(), _Value(values[name], _SHELL), b"'\n"]
    return parts


def _json(document: Mapping[str, Any]) -> list[_Part]:
    return [*_json_parts(document), b"\n"]


def _json_parts(value: Any) -> Iterator[_Part]:
    if isinstance(value, memoryview):
        yield b'"'
        yield _Value(value, _JSON)
        yield b'"'
    elif isinstance(value, Mapping):
        yield b"{"
        for at, (name, inner) in enumerate(value.items()):
            yield (b", " if at else b"") + json.dumps(name).encode() + b": "
            yield from _json_parts(inner)
        yield b"}"
    else:
        yield json.dumps(value).encode()


# --- into secret memory --------------------------------------------------------------------------------------------


def _written(memory: SecretMemory, parts: Sequence[_Part]) -> SecretBuffer:
    length = sum(len(part) if isinstance(part, bytes) else _length(part) for part in parts)
    if not 0 < length <= limits.MAX_CREDENTIAL_FILE_BYTES:
        raise RecordInvalidError("the credential is larger than systemd takes" if length else "the field is empty")
    buffer = memory.allocate(length)
    out, at = buffer.view, 0
    for part in parts:
        if isinstance(part, bytes):
            out[at : at + len(part)] = part
            at += len(part)
        else:
            at = _escape(part, out, at)
    return buffer


def _length(value: _Value) -> int:
    if not value.escapes:
        return len(value.view)
    return sum(len(value.escapes[byte]) if byte in value.escapes else 1 for byte in value.view)


def _escape(value: _Value, out: memoryview, at: int) -> int:
    for byte in value.view:
        escape = value.escapes.get(byte)
        if escape is None:
            out[at] = byte
            at += 1
        else:
            out[at : at + len(escape)] = escape
            at += len(escape)
    return at
