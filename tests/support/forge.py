"""Signed requests made by hand, part by part, and sent as bytes: for requests that no honest client makes.

    forger = Forger(daemon, key)
    request = forger.request(REVEAL, body)
    with Line(daemon) as line:
        assert line.send(REVEAL, forger.seal(replace(request, flags=1))) == REFUSED
"""

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tests.support.daemon import Daemon
from vaultd_api.v1.envelope_pb2 import SignedRequest
from vaultd_api.v1.exchange_service_pb2 import RevealCredentialRequest
from vaultd_client import ClientKey, channel

REVEAL = "/vaultd.v1.ExchangeService/RevealCredential"
SECOND = 1_000_000_000
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    # A server that has more streams than it likes refuses one unread; gRPC then sends it once more by itself.
    ("grpc.enable_retries", 1),
)
_HEADER = struct.Struct(">16s 16s 16s 32s I I Q I 16s 32s")


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a caller sees of an answer: gRPC code, message, and the serialized details or the reply."""

    code: str
    message: str
    data: bytes


def outcome(error: grpc.RpcError) -> Outcome:
    """Returns what a failed call shows."""
    call: Any = error
    trailers = dict(call.trailing_metadata() or ())
    return Outcome(call.code().name, call.details(), trailers.get("grpc-status-details-bin", b""))


def _refused() -> Outcome:
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason="REQUEST_REFUSED", domain="vaultd"))
    status = Status(code=grpc.StatusCode.UNAUTHENTICATED.value[0], message="request refused", details=[detail])
    return Outcome("UNAUTHENTICATED", "request refused", status.SerializeToString())


REFUSED = _refused()
"""The one answer to every request that proves no client, byte for byte."""


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of `SignedRequest.signed`, as proto/README.md draws them."""

    vault_id: bytes
    epoch: bytes
    key_id: bytes
    uid: int
    flags: int
    issued_at: int
    ttl_ms: int
    nonce: bytes
    reply_key: bytes
    method: bytes
    body: bytes
    magic: bytes = b"vaultd-req-v1\0\0\0"
    after: bytes = b""

    def signed(self) -> bytes:
        """Returns the bytes that are signed; `after` is what follows where nothing may follow."""
        header = _HEADER.pack(
            self.magic,
            self.vault_id,
            self.epoch,
            self.key_id,
            self.uid,
            self.flags,
            self.issued_at,
            self.ttl_ms,
            self.nonce,
            self.reply_key,
        )
        method = struct.pack(">H", len(self.method)) + self.method
        return header + method + struct.pack(">I", len(self.body)) + self.body + self.after


def now_ns() -> int:
    """Returns CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def reveal_body(exchange: str = "binance-main", configuration: str = "read") -> bytes:
    """Returns a serialized RevealCredentialRequest."""
    return RevealCredentialRequest(exchange=exchange, configuration=configuration).SerializeToString()


def envelope(signed: bytes, signature: bytes) -> bytes:
    """Returns a serialized SignedRequest."""
    return SignedRequest(signed=signed, signature=signature).SerializeToString()


class Forger:
    """Makes requests of one key to one vault, as unlocked when it was made."""

    def __init__(self, daemon: Daemon, key: ClientKey) -> None:
        self.key = key
        with daemon.client() as client:
            vault = client.vault()
        self.vault_id, self.epoch = vault.vault_id, vault.epoch

    def request(self, method: str = REVEAL, body: bytes | None = None, **parts: Any) -> Request:
        """Returns an honest request with a fresh nonce, but for the `parts` that are given."""
        honest: dict[str, Any] = {
            "vault_id": self.vault_id,
            "epoch": self.epoch,
            "key_id": self.key.key_id,
            "uid": os.geteuid(),
            "flags": 0,
            "issued_at": now_ns(),
            "ttl_ms": 30_000,
            "nonce": os.urandom(16),
            "reply_key": X25519PrivateKey.generate().public_key().public_bytes_raw(),
            "method": method.encode(),
            "body": reveal_body() if body is None else body,
        }
        return Request(**{**honest, **parts})

    def seal(self, request: Request) -> bytes:
        """Returns the signed request as it goes over the wire."""
        signed = request.signed()
        return envelope(signed, self.key.sign(signed))


class Line:
    """A gRPC channel of its own to the public socket, or to `path`."""

    def __init__(self, daemon: Daemon, path: Path | None = None) -> None:
        self._channel = grpc.insecure_channel(channel.target(path or daemon.runtime / "vaultd.sock"), options=_OPTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def send(self, method: str, request: bytes) -> Outcome:
        """Sends bytes and returns what comes back."""
        return self.send_each([(method, request)])[0]

    def send_all(self, method: str, requests: list[bytes], at_once: int = 32) -> list[Outcome]:
        """Sends many to one method, so many at once; the outcomes in their order."""
        outcomes: list[Outcome] = []
        for start in range(0, len(requests), at_once):
            outcomes += self.send_each([(method, request) for request in requests[start : start + at_once]])
        return outcomes

    def send_each(self, requests: list[tuple[str, bytes]]) -> list[Outcome]:
        """Sends each to its method, all at once and in this order; the outcomes in the same order."""
        outcomes: list[Outcome] = []
        calls = []
        for method, request in requests:
            rpc: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
            calls.append(rpc.future(request, timeout=20))
        for call in calls:
            try:
                outcomes.append(Outcome("OK", "", call.result()))
            except grpc.RpcError as error:
                outcomes.append(outcome(error))
        return outcomes
