"""What is fuzzed: each parser of bytes from outside, what it may raise, what must hold, and where to begin.

A target takes bytes and returns. It raises where the parser does what it must not: an exception that is not one of its
documented errors, a result that does not say what the bytes said, or an error that quotes them.
"""

import base64
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from google.protobuf.any_pb2 import Any as Any_
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from vaultd import messages
from vaultd.crypto import integrity, requests
from vaultd.errors import KindNotFoundError, ProtocolViolationError, RecordInvalidError, RequestRefusedError, VaultError
from vaultd.keyholder import pairs, protocol, records, unlock
from vaultd.keyholder.methods import METHODS
from vaultd.kinds import Catalogue, judge
from vaultd.server import peer
from vaultd_api.v1 import audit_service_pb2, client_service_pb2, kind_pb2, resources_pb2, vault_service_pb2
from vaultd_api.v1.envelope_pb2 import SignedReply
from vaultd_api.v1.resources_pb2 import CredentialFields
from vaultd_client import keys, kinds, models, recovery, session, status, wire
from vaultd_client.cli import drafts
from vaultd_client.cli.failure import Failure
from vaultd_client.errors import InternalError, InvalidError, KeyFileError, UntrustedVaultError, VaultClientError
from vaultd_client.imports import formats
from vaultd_client.imports.source import Source
from vaultd_client.slots import Reply, Unlocked, UnlockStatus

QUOTED_FROM = 12
"""An error that has so many bytes of the input in a row quotes it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parser: what runs it, and inputs that it takes; `slow` where a password is stretched."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    slow: bool = False


def _quiet(error: VaultError, value: str) -> None:
    """Raises AssertionError where an error quotes what it was raised for."""
    told = json.dumps(error.to_wire(), ensure_ascii=False)
    pieces = {value[at : at + QUOTED_FROM] for at in range(len(value) - QUOTED_FROM + 1)}
    assert not any(piece in told for piece in pieces if len(set(piece)) > QUOTED_FROM // 2), "an error quotes its input"


def request(data: bytes) -> None:
    """A signed request: taken apart and put together again it is the same bytes."""
    try:
        found = requests.parse_request(data)
    except RequestRefusedError:
        return
    head = found.vault_id + found.epoch + found.key_id + struct.pack(">IIQI", found.uid, found.flags, found.issued_ns, found.ttl_ms)
    method = found.method.encode()
    again = requests.REQUEST_MAGIC + head + found.nonce + found.reply_key + struct.pack(">H", len(method)) + method
    assert again + struct.pack(">I", len(found.body)) + found.body == data


def frames(data: bytes) -> None:
    """The link between server and keyholder: whole or in pieces, the same frames."""
    whole = _frames([data])
    middle = len(data) // 2
    assert repr(_frames([data[:middle], data[middle:]])) == repr(whole)


def _frames(pieces: list[bytes]) -> list[object]:
    decoder = protocol.Decoder()
    found: list[object] = []
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                found.append(frame)  # noqa: PERF402  what came before a violation counts
    except ProtocolViolationError:
        found.append("violation")
    return found


def fields(data: bytes) -> None:
    """A key pair: cleaned, it is clean, and checked against a kind."""
    try:
        message = pairs._parse(data, "read")
        values = pairs._clean(message, _KIND)
        pairs._private_keys(_KIND, values)
    except RecordInvalidError as error:
        _quiet(error, data.decode("utf-8", "replace"))
        return
    assert pairs._clean(CredentialFields.FromString(message.SerializeToString()), _KIND) == values
    for kind in Catalogue.load().all()[:5]:
        kind.check_names(values)
        kind.notices(values)
        judge(kind, values, {})
    for value in values.values():
        if len(value) > 8:
            assert value not in records.mask(value)


def unlock_header(data: bytes) -> None:
    """The header of a message on the unlock socket, and every record that is read from one."""
    try:
        header = unlock._parse(data)
    except ProtocolViolationError:
        return
    unlock.REQUESTS.get(str(header.get("op")))
    for check in (
        lambda: records.new_client(header.get("administrator"), ["*"]),
        lambda: records.kdf_parameters(header.get("kdf")),
        lambda: records.slot_kind(header.get("kind", "passphrase")),
        lambda: records.text(header.get("label") or "", "label", 64),
    ):
        try:
            check()
        except RecordInvalidError as error:
            json.dumps(error.to_wire())


def page_token(data: bytes) -> None:
    """A page token: one that is taken is the one that is made, but for the way it is written."""
    try:
        after = messages.page_after(data.decode("utf-8", "replace"))
    except RecordInvalidError:
        return
    assert messages.page_after(messages.page_token(after)) == after


_IDENTITY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_REPLY_KEY = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
_PUBLIC = _IDENTITY.public_key().public_bytes_raw()
_REPLY = SignedReply(**dict(zip(("sealed", "signature"), requests.seal_reply(
    bytes(range(32)), _REPLY_KEY.public_key().public_bytes_raw(), b"signed", b"signature", b"plain"), strict=True)))


def reply(data: bytes) -> None:
    """A reply, as the client opens it: only the vault's own opens."""
    try:
        found = session._parsed(SignedReply, data)
        plain = wire.open_reply(
            reply_key=_REPLY_KEY,
            identity=_PUBLIC,
            hashed=wire.request_hash(b"signed", b"signature"),
            sealed=found.sealed,
            signature=found.signature,
        )
    except (InternalError, UntrustedVaultError):
        return
    assert (plain, found.sealed) == (b"plain", _REPLY.sealed)


def recovery_code(data: bytes) -> None:
    """A recovery code that is taken is the one that its bytes are written as, but for case and blanks."""
    try:
        code = recovery.decode(data.decode("utf-8", "replace"))
    except InvalidError:
        return
    assert recovery.decode(recovery.encode(code)) == code


def key_file(data: bytes) -> None:
    """A key file."""
    try:
        found = keys._parse(bytearray(data), "bot.key")
    except KeyFileError as error:
        assert "PRIVATE KEY" not in str(error)
        return
    assert len(found.public_key) == keys.PUBLIC_KEY_BYTES


def kind(data: bytes) -> None:
    """A kind, looked up by any text."""
    try:
        found, _ = Catalogue.load().get(data.decode("utf-8", "replace"))
    except KindNotFoundError:
        return
    assert Catalogue.load().get(found.kind)[0] is found


def anchor(data: bytes) -> None:
    """The anchor beside the store: nothing is taken without its MAC."""
    assert integrity.read_anchor(bytes(32), bytes(16), data) in (None, (7, bytes(32)))


def bodies(data: bytes) -> None:
    """The body of a signed request: protobuf takes it or says DecodeError."""
    for method in METHODS.values():
        try:
            method.request.FromString(data)
        except Exception as error:  # noqa: BLE001  the one class that is expected is compared by name
            assert type(error).__name__ == "DecodeError"


def unlock_answer(data: bytes) -> None:
    """What the keyholder answers at the unlock socket, as the client reads it."""
    try:
        answer = Reply.of(json.loads(data))
    except (ValueError, RecursionError, VaultClientError):
        return
    for read in (answer.error, lambda: UnlockStatus.of(answer), lambda: Unlocked.of(answer), answer.slots, answer.pin):
        try:
            read()
        except VaultClientError:
            continue


_MODELS: tuple[tuple[type[Any], Callable[[Any], object]], ...] = (
    (vault_service_pb2.Vault, models.Vault.from_proto),
    (kind_pb2.Kind, kinds.Kind.from_proto),
    (resources_pb2.Exchange, models.Exchange.from_proto),
    (resources_pb2.Client, models.Client.from_proto),
    (resources_pb2.AuditEntry, models.AuditEntry.from_proto),
    (audit_service_pb2.VerifyAuditResponse, models.AuditReport.from_proto),
    (client_service_pb2.ExplainAccessResponse, models.Access.from_proto),
)


def answers(data: bytes) -> None:
    """What the server answers, signed or open, as the client shows it; the first byte says which."""
    message, read = _MODELS[data[0] % len(_MODELS)] if data else _MODELS[0]
    try:
        repr(read(session._parsed(message, data[1:])))
    except VaultClientError:
        return


def error_details(data: bytes) -> None:
    """The details of a failed call, as the client raises it."""
    found = status.from_details(data)
    if found is not None:
        json.dumps([str(found), found.reason, found.fields, found.metadata, found.hint])


def public_key(data: bytes) -> None:
    """A public key as text: one that is taken is written in one way only."""
    text = data.decode("utf-8", "replace")
    try:
        found = keys.parse_public(text)
    except InvalidError:
        return
    assert keys.PUBLIC_PREFIX + base64.urlsafe_b64encode(found).decode().rstrip("=") == text.strip()


def document(data: bytes) -> None:
    """An exchange as a JSON document, in any of the shapes that people have."""
    reading, writing = os.pipe()
    os.write(writing, data[:32_768])
    os.close(writing)
    try:
        drafts.draft_from("--from-stdin", reading)
    except (Failure, InvalidError):
        return
    finally:
        os.close(reading)


def cgroup(data: bytes) -> None:
    """What names the unit of a caller, who chooses the names of his own cgroups."""
    unit = peer.unit_of_cgroup(data)
    assert not unit or (unit.endswith(".service") and "/" not in unit and unit.isprintable())


_IMPORTS = Path(__file__).parents[1] / "data" / "imports"
_FILES = tuple(path.read_bytes() for path in sorted(_IMPORTS.rglob("*")) if path.suffix in {".json", ".js", ".csv", ".env", ".yml"})


def imported(data: bytes) -> None:
    """A file of another program, in the format that it looks like, or in the one that the first byte says."""
    wanted = (None, *formats.NAMES)[data[0] % (1 + len(formats.NAMES))] if data else None
    text = data[1:].decode("utf-8", "replace")
    try:
        formats.read([Source("file", text)], wanted, lambda: b"password")
    except VaultClientError as error:
        told = f"{error} {error.hint}"
        pieces = {text[at : at + QUOTED_FROM] for at in range(len(text) - QUOTED_FROM + 1)}
        assert not any(piece in told for piece in pieces if len(set(piece)) > QUOTED_FROM // 2), "an error quotes its input"


_SEAL_PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
_ASKED = requests.parse_request(wire.request(
    vault_id=bytes(16), epoch=bytes(16), key_id=bytes(32), uid=1, issued_at=1, ttl_ms=1, nonce=bytes(16),
    reply_key=_REPLY_KEY.public_key().public_bytes_raw(), method="/vaultd.v1.ExchangeService/CreateExchange", body=b"",
))


def sealed(data: bytes) -> None:
    """A key pair that was sealed to the keyholder: nothing opens that was not sealed for that very request."""
    try:
        requests.open_fields(_SEAL_PRIVATE.private_bytes_raw(), bytes(16), _ASKED, data)
    except RecordInvalidError:
        return
    raise AssertionError("it opened")


def planted(data: bytes) -> None:
    """Positive control: a parser with a defect that only four right bytes in a row reach."""
    for at, expected in enumerate(b"VLTD"):
        if len(data) <= at or data[at] != expected:
            return
    raise KeyError("found")


def _signed() -> bytes:
    return wire.request(
        vault_id=bytes(16), epoch=bytes(16), key_id=bytes(32), uid=1000, issued_at=1, ttl_ms=5_000, nonce=bytes(16),
        reply_key=bytes(32), method="/vaultd.v1.ExchangeService/RevealCredential", body=b"\x0a\x04main\x12\x04read",
    )


def _key_file() -> bytes:
    return keys.ClientKey(_IDENTITY, keys.Pin(bytes(16), _PUBLIC))._file_text()


_HEADERS = (
    b'{"op": "unlock", "kind": "passphrase", "slot": null, "secrets": [5]}',
    b'{"op": "initialize", "administrator": {"name": "a", "public_key": "' + _PUBLIC.hex().encode() + b'", "uid": 0}, '
    b'"kdf": {"memory_kib": 65536, "passes": 3, "lanes": 4}, "label": "x"}',
)
_ANSWERS = (
    b'{"error": {"reason": "WRONG_PASSPHRASE", "message": "m", "fields": {}, "metadata": {"failures": "1"}}}',
    b'{"state": "LOCKED", "retry_after_ms": 0, "failures": 0, "busy": false, "pid": 1}',
    b'{"slots": [{"slot": 1, "kind": "passphrase"}]}',
)
_X25519_FILE = b"""# a key of another kind, which OpenSSL refuses with an error of its own
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VvBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
"""
_KIND, _ = Catalogue.load().get("custom")
_PAIR = CredentialFields(api_key="k" * 20, secret="-----BEGIN X-----\\nabc\r\n-----END X-----", extra={"a": "b"})

_DETAILS = Any_()
_DETAILS.Pack(ErrorInfo(reason="RATE_LIMITED", domain="vaultd", metadata={"retry_after_ms": "5"}))
_VIOLATION = Any_()
_VIOLATION.Pack(BadRequest(field_violations=[BadRequest.FieldViolation(field="api_key", description="is missing")]))
_STATUS = Status(code=8, message="m", details=[_DETAILS, _VIOLATION])
_DOCUMENTS = (
    b'{"name": "a", "venue": "binance", "readConfiguration": {"apiKey": "k", "secret": "s"}, "labels": {"a": "b"}}',
    b'{"api_key": "k", "secret": "s", "extra": {"a": "b"}, "types_to_create": ["spot"]}',
)
_CGROUPS = (b"0::/system.slice/bot.service/inner\n", b"12:cpu:/x\n0::/system.slice/system-a.slice/a@1.service\n")
_AT = Timestamp(seconds=1_700_000_000, nanos=5_000_000)
_SEEN: tuple[Message, ...] = (
    vault_service_pb2.Vault(vault_id=bytes(16), unlocked_at=_AT),
    kind_pb2.Kind(kind="binance"),
    resources_pb2.Exchange(name="exchanges/ex-1", kind="binance", created_at=_AT, state="STATE_ACTIVE"),
    resources_pb2.Client(name="clients/a", uid=5, grants=[resources_pb2.Grant(not_after=_AT)]),
    resources_pb2.AuditEntry(sequence=5, time=_AT),
)

TARGETS: dict[str, Target] = {
    "request": Target(request, (_signed(),)),
    "frames": Target(frames, (protocol.encode(protocol.REQUEST, 1, "call", {"signed": b"x"}) * 2,)),
    "fields": Target(fields, (_PAIR.SerializeToString(),)),
    "unlock-header": Target(unlock_header, _HEADERS),
    "page-token": Target(page_token, (messages.page_token("binance-main").encode(),)),
    "reply": Target(reply, (_REPLY.SerializeToString(),)),
    "recovery-code": Target(recovery_code, (recovery.encode(bytes(range(20))).encode(),)),
    "key-file": Target(key_file, (_key_file(), _X25519_FILE)),
    "kind": Target(kind, (b"binance", b"Coinbase Pro", b"gate.io")),
    "anchor": Target(anchor, (os.urandom(96),)),
    "bodies": Target(bodies, (b"\x0a\x04main\x12\x04read",)),
    "unlock-answer": Target(unlock_answer, _ANSWERS),
    "answers": Target(answers, tuple(bytes([n]) + each.SerializeToString() for n, each in enumerate(_SEEN))),
    "error-details": Target(error_details, (_STATUS.SerializeToString(),)),
    "public-key": Target(public_key, (keys.PUBLIC_PREFIX.encode() + base64.urlsafe_b64encode(_PUBLIC).rstrip(b"="),)),
    "document": Target(document, _DOCUMENTS),
    "cgroup": Target(cgroup, _CGROUPS),
    "sealed": Target(sealed, (bytes(80),)),
    "import": Target(imported, tuple(b"\0" + each for each in _FILES), slow=True),
}
CONTROL = Target(planted, (b"VL", b"nothing"))
