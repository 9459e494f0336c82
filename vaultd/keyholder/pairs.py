"""Key pairs on their way in: opened, cleaned, checked against the kind, masked, fingerprinted."""

from dataclasses import dataclass

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from vaultd import limits
from vaultd.crypto import integrity, requests
from vaultd.errors import RecordInvalidError
from vaultd.keyholder import records
from vaultd.keyholder.secretmem import SecretBuffer, SecretMemory, wipe_bytes
from vaultd.keyholder.vault import Unlocked, canonical_json
from vaultd.kinds import Kind
from vaultd_api.v1.resources_pb2 import CredentialFields

_IDENTIFYING = ("api_key", "account_id", "address", "customer_id", "login", "private_key", "token", "secret")
"""The first of these that a pair has tells it from others."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A checked key pair. `plaintext` is a serialized CredentialFields and the caller's to close."""

    configuration: str
    plaintext: SecretBuffer
    masks: str
    fingerprint: bytes
    identifying: str
    notices: tuple[str, ...]


def take(
    memory: SecretMemory, unlocked: Unlocked, request: requests.Request, kind: Kind, environment: str,
    configuration: str, sealed: bytes,
) -> Pair:
    """Opens and checks one key pair.

    Raises:
        RecordInvalidError: Names each field that is missing, unknown or malformed; never its value.
    """
    records.configuration(configuration)
    raw = requests.open_fields(unlocked.keys.seal, unlocked.vault.vault_id, request, sealed)
    try:
        if len(raw) > limits.MAX_FIELDS_BYTES:
            raise RecordInvalidError(fields={configuration: f"must be at most {limits.MAX_FIELDS_BYTES} bytes"})
        fields = _parse(raw, configuration)
    finally:
        wipe_bytes(raw)
    values = _clean(fields)
    problems = kind.check_names(values)
    if problems:
        raise RecordInvalidError(fields=problems)
    identifying = next(name for name in (*_IDENTIFYING, *values) if name in values)
    plaintext = fields.SerializeToString()
    buffer = memory.allocate(len(plaintext))
    buffer.view[:] = plaintext
    wipe_bytes(plaintext)
    shown = {field.name for field in kind.fields if field.maskable}
    return Pair(
        configuration,
        buffer,
        canonical_json({name: records.mask(value) if name in shown else "" for name, value in values.items()}),
        integrity.fingerprint(unlocked.keys.fingerprint, kind.kind, environment, values[identifying].encode()),
        identifying,
        tuple(f"{configuration}: {notice}" for notice in kind.notices(values)),
    )


def _parse(raw: bytes, configuration: str) -> CredentialFields:
    fields = CredentialFields()
    try:
        fields.ParseFromString(raw)
    except DecodeError:
        raise RecordInvalidError(fields={configuration: "is not a key pair"}) from None
    if len(UnknownFieldSet(fields)):
        raise RecordInvalidError(fields={configuration: "has a field that this version of vaultd does not know"})
    return fields


def _clean(fields: CredentialFields) -> dict[str, str]:
    """Cleans the message in place and returns its fields by name; `extra` entries as `extra.NAME`."""
    for descriptor, value in fields.ListFields():
        if descriptor.name != "extra":
            setattr(fields, descriptor.name, clean_value(value))
    values = {descriptor.name: value for descriptor, value in fields.ListFields() if descriptor.name != "extra"}
    for name in sorted(fields.extra):
        if not records.text(name, "extra", limits.MAX_LABEL_CHARS):
            raise RecordInvalidError(fields={"extra": "an entry needs a name"})
        fields.extra[name] = clean_value(fields.extra[name])
        values[f"extra.{name}"] = fields.extra[name]
    problems = {name: problem for name, value in values.items() if (problem := _problem(value))}
    if len(fields.extra) > limits.MAX_EXTRA:
        problems["extra"] = f"at most {limits.MAX_EXTRA} entries"
    if not values:
        problems["api_key"] = "is required"
    if problems:
        raise RecordInvalidError(fields=problems)
    return values


def clean_value(value: str) -> str:
    r"""Returns a value without outer blanks; a PEM block with real line ends, whatever it came with (CRLF, literal \n)."""
    clean = value.strip()
    if clean.startswith("-----BEGIN"):
        clean = clean.replace("\\r", "").replace("\\n", "\n").replace("\r\n", "\n").replace("\r", "\n").strip() + "\n"
    return clean


def _problem(value: str) -> str:
    if len(value.encode()) > limits.MAX_FIELD_BYTES:
        return f"must be at most {limits.MAX_FIELD_BYTES} bytes"
    allowed = "\n" if value.startswith("-----BEGIN") else ""
    if any((ord(char) < 32 or 127 <= ord(char) < 160) and char not in allowed for char in value):
        return "must not hold control characters"
    return ""
