"""The gRPC server: every RPC of the descriptors, open ones answered here, signed ones relayed to the keyholder."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_reflection.v1alpha import reflection

from vaultd import limits
from vaultd.errors import (
    InternalError,
    RecordInvalidError,
    RequestRefusedError,
    RequestTooLargeError,
    VaultError,
    VaultLockedError,
    VaultUninitializedError,
)
from vaultd.model import VaultState
from vaultd.server import status
from vaultd.server.custody import Custody
from vaultd.server.fairness import Turns
from vaultd.server.health import Health
from vaultd.server.metrics import Requests
from vaultd.server.open_methods import OpenMethods
from vaultd.server.peer import PeerTable
from vaultd_api.v1 import audit_service_pb2, client_service_pb2, exchange_service_pb2, options_pb2, vault_service_pb2
from vaultd_api.v1.envelope_pb2 import SignedReply, SignedRequest

log = logging.getLogger(__name__)

Context = "grpc.aio.ServicerContext[Any, Any]"
UNLOCKED_HEALTH = "vaultd.unlocked"
"""Name under which the health service says whether the vault is unlocked."""

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    descriptor
    for module in (vault_service_pb2, exchange_service_pb2, client_service_pb2, audit_service_pb2)
    for descriptor in module.DESCRIPTOR.services_by_name.values()
)

OPTIONS = (
    ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", limits.MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", limits.STREAMS_PER_CONNECTION),
    ("grpc.server_handshake_timeout_ms", limits.HANDSHAKE_MS),
    # A peer that has sent its preface and nothing more would stay for ever otherwise.
    ("grpc.max_connection_idle_ms", limits.CONNECTION_IDLE_MS),
    ("grpc.so_reuseport", 0),
    # Pings that measure a network's bandwidth, one each way with nearly every call. This is a unix socket.
    ("grpc.http2.bdp_probe", 0),
)


class GrpcServer:
    """All services on one server. `open_methods` by RPC name, in snake case."""

    def __init__(self, custody: Custody, table: PeerTable, open_methods: OpenMethods) -> None:
        self._custody = custody
        self._table = table
        self._open = open_methods
        # Apart, so that metadata is served while the keyholder keeps signed calls waiting.
        self._turns = {False: Turns(limits.OPEN_CALLS_PER_UID), True: Turns(limits.SIGNED_CALLS_PER_UID)}
        self._health = Health()
        self.requests = Requests()
        self.signed_allowed = False
        self.probe_token = ""
        self.probe_peer = ""
        self.server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=limits.CONCURRENT_RPCS)
        for service in SERVICES:
            handlers = {method.name: self._handler(method) for method in service.methods}
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        names = [service.full_name for service in SERVICES]
        reflection.enable_server_reflection([*names, HEALTH_NAME, reflection.SERVICE_NAME], self.server)
        self._names = names

    async def report_health(self) -> None:
        """Tells the health service what is served."""
        unlocked = self._custody.view.state == VaultState.UNLOCKED
        self._health.report(dict.fromkeys(("", *self._names), True) | {UNLOCKED_HEALTH: unlocked})

    def _handler(self, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any]":
        path = f"/{method.containing_service.full_name}/{method.name}"
        if method.GetOptions().HasExtension(options_pb2.signed_method):  # type: ignore[arg-type]  # the stub lacks it
            return grpc.unary_unary_rpc_method_handler(
                self._guard(lambda request, context: self._signed(path, request, context), method, signed=True),
                request_deserializer=_lenient(SignedRequest),
                response_serializer=SignedReply.SerializeToString,
            )
        probed = method.name == "GetVault"
        if method.name == "ReadBackup":
            return self._open_handler(self._read_backup, method)
        answer: Callable[[Any], Awaitable[Message]] = getattr(self._open, _snake(method.name))

        async def handle(request: Any, context: Any) -> Message:
            if probed and self.probe_token:
                self._note_probe(context)
            return await answer(request)

        return self._open_handler(handle, method)

    def _open_handler(
        self, handle: Callable[[Any, Any], Awaitable[Message]], method: MethodDescriptor
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        return grpc.unary_unary_rpc_method_handler(
            self._guard(handle, method, signed=False),
            request_deserializer=_lenient(GetMessageClass(method.input_type)),
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )

    def _guard(
        self, handle: Callable[[Any, Any], Awaitable[Any]], method: MethodDescriptor, *, signed: bool
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        """Turns every error into a status; nothing of a foreign exception leaves the process."""
        turns = self._turns[signed]
        name = f"{method.containing_service.name}/{method.name}"

        async def guarded(request: Any, context: Any) -> Any:
            began, outcome = time.perf_counter(), "CANCELLED"
            try:
                if request is None:
                    raise RecordInvalidError("the request is not the message of this method")
                peer = self._table.lookup(context.peer())
                uid = peer.uid if peer else None
                await turns.take(uid)
                try:
                    answer = await handle(request, context)
                finally:
                    turns.give_back(uid)
                outcome = "OK"
                return answer  # noqa: TRY300  the outcome of what follows is the caller's alone
            except VaultError as error:
                outcome = error.reason
                await status.abort(context, error)
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001  a defect must look the same from outside, whatever it is
                outcome = InternalError.reason
                log.error("a request failed: %s", type(error).__name__)  # noqa: TRY400  a traceback may hold values
                await status.abort(context, InternalError())
            finally:
                self.requests.note(name, outcome, time.perf_counter() - began)

        return guarded

    async def _signed(self, path: str, request: SignedRequest, context: Any) -> SignedReply:
        if len(request.signed) > limits.MAX_SIGNED_BYTES:
            raise RequestTooLargeError(metadata={"limit_bytes": str(limits.MAX_SIGNED_BYTES)})
        peer = self._table.lookup(context.peer()) if self.signed_allowed else None
        try:
            if peer is None:
                # Not through the gate, or the gate cannot be relied on: no identity, nothing but metadata.
                raise RequestRefusedError
            answer = await self._custody.call(
                {
                    "method": path,
                    "signed": request.signed,
                    "signature": request.signature,
                    "peer": [peer.uid, peer.gid, peer.pid, peer.unit_now(), peer.started_ms],
                }
            )
        except (VaultLockedError, VaultUninitializedError):
            self._open.unaudited_denials += 1
            raise
        return SignedReply(sealed=answer["sealed"], signature=answer["signature"])

    async def _read_backup(
        self, request: vault_service_pb2.ReadBackupRequest, context: Any
    ) -> vault_service_pb2.ReadBackupResponse:
        peer = self._table.lookup(context.peer())
        return await self._open.read_backup(request, peer.uid if peer else None)

    def _note_probe(self, context: Any) -> None:
        if ("vaultd-self-test", self.probe_token) in tuple(context.invocation_metadata() or ()):
            self.probe_peer = context.peer()


def _lenient(kind: type[Message]) -> Callable[[bytes], Message | None]:
    """Returns a parser that gives None where gRPC's own would answer with the text of a foreign exception."""

    def parse(raw: bytes) -> Message | None:
        try:
            return kind.FromString(raw)
        except DecodeError:
            return None

    return parse


def _snake(name: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in name).lstrip("_")
