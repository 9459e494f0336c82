"""Key pairs on their way in: opened, cleaned, checked against the kind, masked, fingerprinted.

This is where a key pair is judged, whoever hands it over: `cleaning` for each value, `kinds` for names and forms,
`crypto.pem` for private keys. Clients only say earlier what is said here.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from vaultd import limits
from vaultd.crypto import integrity, pem, requests
from vaultd.errors import RecordInvalidError
from vaultd.keyholder import cleaning, records
from vaultd.keyholder.secretmem import SecretBuffer, SecretMemory, wipe_bytes
from vaultd.keyholder.vault import Unlocked, canonical_json
from vaultd.kinds import EXTRA, Kind, judge
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
    values = _clean(fields, kind)
    problems = kind.check_names(values)
    if problems:
        raise RecordInvalidError(fields=problems)
    keys, notices = _private_keys(kind, values)
    verdict = judge(kind, values, {name: key.algorithm for name, key in keys.items()})
    if verdict.problems:
        raise RecordInvalidError(fields=verdict.problems)
    identifying = next(name for name in (*_IDENTIFYING, *values) if name in values)
    plaintext = fields.SerializeToString()
    buffer = memory.allocate(len(plaintext))
    buffer.view[:] = plaintext
    wipe_bytes(plaintext)
    return Pair(
        configuration,
        buffer,
        canonical_json(_masks(kind, values, keys)),
        integrity.fingerprint(unlocked.keys.fingerprint, kind.kind, environment, values[identifying].encode()),
        identifying,
        tuple(f"{configuration}: {notice}" for notice in (*kind.notices(values), *verdict.notices, *notices)),
    )


def _private_keys(kind: Kind, values: Mapping[str, str]) -> tuple[dict[str, pem.PublicHalf], list[str]]:
    """Returns the public halves of the private keys in PEM, by field, and what a person should hear of them.

    Raises:
        RecordInvalidError: One of them could not be used; a kind that takes anything takes it, with a notice.
    """
    keys: dict[str, pem.PublicHalf] = {}
    notices: list[str] = []
    problems: dict[str, str] = {}
    for name, value in values.items():
        field = kind.field(name)
        if not cleaning.is_pem(value) or (field is not None and field.verbatim):
            continue
        try:
            keys[name] = pem.public_half(value)
        except pem.UnusableKeyError as unusable:
            if kind.free_fields or field is None:
                notices.append(f"{name} {unusable}")
            else:
                problems[name] = str(unusable)
        else:
            notices.append(f"{name} is a private key for {keys[name].algorithm}. {_comparison(keys[name])}")
    if problems:
        raise RecordInvalidError(fields=problems)
    return keys, notices


def _comparison(key: pem.PublicHalf) -> str:
    """Says how a person finds out whether the exchange has the public half of this key."""
    shown = base64.b64encode(key.der).decode()
    if len(shown) > limits.MAX_SHOWN_PUBLIC_KEY_CHARS:
        shown = f"{shown[: limits.MAX_SHOWN_PUBLIC_KEY_CHARS // 2]}…{shown[-limits.MAX_SHOWN_PUBLIC_KEY_CHARS // 2 :]}"
    return f"Compare its public key with the one on the exchange's page: {shown} (SHA-256 {key.fingerprint})"


def _masks(kind: Kind, values: Mapping[str, str], keys: Mapping[str, pem.PublicHalf]) -> dict[str, str]:
    """Returns what may be shown: of a private key the fingerprint of its public half, by which it can be told again."""
    shown = {field.name for field in kind.fields if field.maskable}
    masks = {name: records.mask(value) if name in shown else "" for name, value in values.items()}
    return masks | {name: f"{key.algorithm} SHA256:{key.fingerprint}" for name, key in keys.items()}


def _parse(raw: bytes, configuration: str) -> CredentialFields:
    fields = CredentialFields()
    try:
        fields.ParseFromString(raw)
    except DecodeError:
        raise RecordInvalidError(fields={configuration: "is not a key pair"}) from None
    if len(UnknownFieldSet(fields)):
        raise RecordInvalidError(fields={configuration: "has a field that this version of vaultd does not know"})
    return fields


def _clean(fields: CredentialFields, kind: Kind) -> dict[str, str]:
    """Cleans the message in place and returns its fields by name; `extra` entries as `extra.NAME`."""
    verbatim = {field.name for field in kind.fields if field.verbatim}
    for descriptor, value in fields.ListFields():
        if descriptor.name != EXTRA:
            setattr(fields, descriptor.name, cleaning.cleaned(value, verbatim=descriptor.name in verbatim))
    values = {descriptor.name: value for descriptor, value in fields.ListFields() if descriptor.name != EXTRA}
    problems = {
        name: found for name, value in values.items() if (found := cleaning.problem(value, verbatim=name in verbatim))
    }
    for name in sorted(fields.extra):
        if not records.text(name, EXTRA, limits.MAX_LABEL_CHARS):
            raise RecordInvalidError(fields={EXTRA: "an entry needs a name"})
        fields.extra[name] = cleaning.cleaned(fields.extra[name])
        values[f"{EXTRA}.{name}"] = fields.extra[name]
        if found := cleaning.problem(fields.extra[name], free=True):
            problems[f"{EXTRA}.{name}"] = found
    if len(fields.extra) > limits.MAX_EXTRA:
        problems[EXTRA] = f"at most {limits.MAX_EXTRA} entries"
    if not values:
        problems["api_key"] = "is required"
    if problems:
        raise RecordInvalidError(fields=problems)
    return values
