"""Asking the vault, without any input or output: what to send next, and what the answer means.

A call is a generator. It yields `Send` (send these bytes to that method, then hand back the bytes of the answer or
throw the error in) and `Pause` (wait), and returns the answer. `client.py` and `aio.py` only carry the bytes, so that
both share every decision:

* A signed call needs vault id, epoch and seal key. They are fetched once, checked against the pin and kept. When a
  request is refused and the epoch has changed since, the vault was locked and unlocked in between: the call is made
  once more with the new epoch. That is safe for every RPC, because a refused request changed nothing.
* When nobody answers, an idempotent call is sent again after each of `PAUSES`. Others are not: the daemon may have done
  it before it died.
"""

import os
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from google.protobuf.message import DecodeError, Message

from vaultd_api.v1 import envelope_pb2, exchange_service_pb2, resources_pb2, vault_service_pb2
from vaultd_client import methods, wire
from vaultd_client.errors import (
    InternalError,
    InvalidError,
    KeyFileError,
    LockedError,
    NotRunningError,
    RefusedError,
    UninitializedError,
    UntrustedVaultError,
)
from vaultd_client.keys import ClientKey, Pin
from vaultd_client.kinds import Kind
from vaultd_client.methods import Method, Response
from vaultd_client.models import Vault

PAUSES = (0.1, 0.4)
"""Seconds before the second and the third try: the daemon's restart, not an outage."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send `request` to `method` and hand back the answer's bytes; `signed` says that it is a SignedRequest."""

    method: str
    request: bytes
    signed: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds and hand back nothing."""

    seconds: float


Step = Send | Pause
Value = TypeVar("Value")
Call = Generator[Step, bytes, Value]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the pinned vault vouches for until it is locked: id and epoch (16 bytes each), seal key (32)."""

    vault_id: bytes
    epoch: bytes
    seal_key: bytes


class Session:
    """What the calls of one client share. Safe for threads.

    Args:
        key: Returns the client's key; called once, with the first signed call.
        ttl_ms: Life of a signed request: no longer than the caller waits for its answer.
        clock: CLOCK_BOOTTIME in nanoseconds.
        entropy: Returns that many random bytes.
        uid: Effective uid of this process.
    """

    def __init__(
        self,
        key: Callable[[], ClientKey],
        ttl_ms: int = wire.MAX_TTL_MS,
        *,
        clock: Callable[[], int] = wire.boottime_ns,
        entropy: Callable[[int], bytes] = os.urandom,
        uid: Callable[[], int] = os.geteuid,
    ) -> None:
        self.ttl_ms = max(1, min(ttl_ms, wire.MAX_TTL_MS))
        self.clock = clock
        self.entropy = entropy
        self.uid = uid
        self.facts: Facts | None = None
        self.kinds: dict[str, Kind] = {}
        self._find_key = key
        self._key: tuple[ClientKey, bytes, Pin] | None = None
        self._lock = threading.Lock()

    def key(self) -> tuple[ClientKey, bytes, Pin]:
        """Returns the client's key, its key id and the vault it pins.

        Raises:
            KeyFileError: There is no usable key, or it pins no vault.
        """
        with self._lock:
            if self._key is None:
                found = self._find_key()
                if found.vault is None:
                    raise KeyFileError("the key file pins no vault", hint="vaultctl client pin")
                self._key = found, found.key_id, found.vault
            return self._key


@dataclass(frozen=True, slots=True)
class Binding:
    """What ties sealed fields to the one request that carries them."""

    facts: Facts
    key_id: bytes
    nonce: bytes

    def seal(self, configuration: str, fields: resources_pb2.CredentialFields) -> exchange_service_pb2.SealedFields:
        """Seals a key pair to the keyholder."""
        facts = self.facts
        info = wire.fields_info(vault_id=facts.vault_id, epoch=facts.epoch, key_id=self.key_id, nonce=self.nonce)
        sealed = wire.seal_fields(fields.SerializeToString(), seal_key=facts.seal_key, info=info)
        return exchange_service_pb2.SealedFields(configuration=configuration, sealed=sealed)


def open_call(method: Method[Response], request: Message) -> Call[Response]:
    """Makes an open call; InvalidError where the request is larger than the vault takes."""
    pauses = iter(PAUSES if method.idempotent else ())
    serialized = request.SerializeToString()
    if len(serialized) > wire.MAX_SIGNED_BYTES:
        # gRPC itself would refuse it, with the code that also says that the vault is busy.
        raise InvalidError("the request is too large", reason="REQUEST_TOO_LARGE")
    while True:
        try:
            answer = yield Send(method.path, serialized, signed=False)
        except NotRunningError:
            pause = next(pauses, None)
            if pause is None:
                raise
        else:
            return _parsed(method.response, answer)
        yield Pause(pause)


def signed_call(session: Session, method: Method[Response], body: Callable[[Binding], Message]) -> Call[Response]:
    """Makes a signed call.

    Args:
        session: What the client's calls share.
        method: The RPC.
        body: Makes the request message; called again for every try, because sealed fields are tied to one request.

    Raises:
        KeyFileError: No usable key.
        UntrustedVaultError: Not the pinned vault.
    """
    pauses = iter(PAUSES if method.idempotent else ())
    may_refresh = True
    facts = session.facts or (yield from fetch_facts(session))
    while True:
        try:
            return (yield from _signed_once(session, facts, method, body))
        except LockedError:
            session.facts = None
            raise
        except NotRunningError:
            pause = next(pauses, None)
            if pause is None:
                raise
        except RefusedError as error:
            if error.reason != "REQUEST_REFUSED" or not may_refresh:
                raise
            may_refresh = False
            fresh = yield from fetch_facts(session)
            if fresh.epoch == facts.epoch:
                raise
            facts = fresh
            continue
        yield Pause(pause)


def fetch_facts(session: Session) -> Call[Facts]:
    """Asks the vault who it is, checks it against the pin and keeps what it vouches for.

    1. The vault was initialized. Asked before the key: where there is no vault yet, a key file is of no use.
    2. Its id and identity are the pinned ones.
    3. It is unlocked.
    4. The pinned identity signed epoch and seal key.

    Raises:
        UninitializedError, UntrustedVaultError, LockedError: A step fails.
    """
    session.facts = None
    response = yield from open_call(methods.GET_VAULT, vault_service_pb2.GetVaultRequest())
    vault = Vault.from_proto(response.vault)
    if vault.state == "UNINITIALIZED":
        raise UninitializedError("the vault was never initialized")
    _, _, pin = session.key()
    if (vault.vault_id, vault.identity) != (pin.vault_id, pin.identity):
        raise UntrustedVaultError("this is not the vault that the key file pins")
    if vault.state != "UNLOCKED":
        raise LockedError("the vault is locked")
    wire.verify_seal_key(
        identity=pin.identity,
        vault_id=pin.vault_id,
        epoch=vault.epoch,
        seal_key=vault.seal_key,
        signature=vault.seal_key_signature,
    )
    session.facts = Facts(vault.vault_id, vault.epoch, vault.seal_key)
    return session.facts


def _signed_once(
    session: Session, facts: Facts, method: Method[Response], body: Callable[[Binding], Message]
) -> Call[Response]:
    key, key_id, pin = session.key()
    nonce = session.entropy(wire.NONCE_BYTES)
    reply_key = X25519PrivateKey.generate()
    signed = wire.request(
        vault_id=facts.vault_id,
        epoch=facts.epoch,
        key_id=key_id,
        uid=session.uid(),
        issued_at=session.clock(),
        ttl_ms=session.ttl_ms,
        nonce=nonce,
        reply_key=reply_key.public_key().public_bytes_raw(),
        method=method.path,
        body=body(Binding(facts, key_id, nonce)).SerializeToString(),
    )
    signature = key.sign(signed)
    envelope = envelope_pb2.SignedRequest(signed=signed, signature=signature)
    answer = yield Send(method.path, envelope.SerializeToString(), signed=True)
    reply = _parsed(envelope_pb2.SignedReply, answer)
    plaintext = wire.open_reply(
        reply_key=reply_key,
        identity=pin.identity,
        hashed=wire.request_hash(signed, signature),
        sealed=reply.sealed,
        signature=reply.signature,
    )
    return _parsed(method.response, plaintext)


def _parsed(kind: type[Response], serialized: bytes) -> Response:
    message = kind()
    try:
        message.ParseFromString(serialized)
    except DecodeError:
        # `from None`: a parser's text may quote what it read.
        raise InternalError("the answer does not follow the protocol", reason="PROTOCOL_VIOLATION") from None
    return message
