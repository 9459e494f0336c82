"""The one table from our errors to gRPC's. Anything that has no row here is INTERNAL and says nothing."""

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from vaultd.errors import VaultError

DOMAIN = "vaultd"
_Code = grpc.StatusCode

CODES: dict[str, grpc.StatusCode] = {
    "INTERNAL": _Code.INTERNAL,
    "VAULT_UNINITIALIZED": _Code.FAILED_PRECONDITION,
    "VAULT_INITIALIZED": _Code.FAILED_PRECONDITION,
    "VAULT_LOCKED": _Code.FAILED_PRECONDITION,
    "KEYHOLDER_UNAVAILABLE": _Code.UNAVAILABLE,
    "REQUEST_REFUSED": _Code.UNAUTHENTICATED,
    "PERMISSION_DENIED": _Code.PERMISSION_DENIED,
    "RATE_LIMITED": _Code.RESOURCE_EXHAUSTED,
    "RECORD_INVALID": _Code.INVALID_ARGUMENT,
    "REQUEST_TOO_LARGE": _Code.INVALID_ARGUMENT,
    "KIND_NOT_FOUND": _Code.NOT_FOUND,
    "EXCHANGE_NOT_FOUND": _Code.NOT_FOUND,
    "EXCHANGE_EXISTS": _Code.ALREADY_EXISTS,
    "EXCHANGE_NOT_ACTIVE": _Code.FAILED_PRECONDITION,
    "CREDENTIAL_NOT_FOUND": _Code.NOT_FOUND,
    "CLIENT_NOT_FOUND": _Code.NOT_FOUND,
    "CLIENT_EXISTS": _Code.ALREADY_EXISTS,
    "GRANT_NOT_FOUND": _Code.NOT_FOUND,
    "LAST_ADMINISTRATOR": _Code.FAILED_PRECONDITION,
    "ETAG_MISMATCH": _Code.ABORTED,
    "STORE_FULL": _Code.RESOURCE_EXHAUSTED,
    "STORE_UNAVAILABLE": _Code.UNAVAILABLE,
    "STORE_DAMAGED": _Code.DATA_LOSS,
    "STORE_ROLLED_BACK": _Code.DATA_LOSS,
    "STORE_TOO_NEW": _Code.FAILED_PRECONDITION,
    "STORE_IN_USE": _Code.FAILED_PRECONDITION,
    "WRONG_PASSPHRASE": _Code.UNAUTHENTICATED,
    "UNLOCK_DELAYED": _Code.RESOURCE_EXHAUSTED,
    "UNLOCK_BUSY": _Code.ABORTED,
    "KDF_OUT_OF_BOUNDS": _Code.INVALID_ARGUMENT,
    "OUT_OF_MEMORY": _Code.RESOURCE_EXHAUSTED,
    "SLOT_NOT_FOUND": _Code.NOT_FOUND,
    "LAST_SLOT": _Code.FAILED_PRECONDITION,
    "SOCKET_OCCUPIED": _Code.FAILED_PRECONDITION,
    "CONFIG_INVALID": _Code.FAILED_PRECONDITION,
    "PROTOCOL_VIOLATION": _Code.INVALID_ARGUMENT,
    "BACKUP_NOT_FOUND": _Code.NOT_FOUND,
    "BACKUP_INVALID": _Code.DATA_LOSS,
    "RESTORE_REFUSED": _Code.FAILED_PRECONDITION,
}

_DETAILS_KEY = "grpc-status-details-bin"


async def abort(context: "grpc.aio.ServicerContext[object, object]", error: VaultError) -> None:
    """Ends the RPC with the gRPC status, reason, metadata and field violations of an error."""
    code = CODES[error.reason]
    details: list[BadRequest | ErrorInfo | RetryInfo] = [
        ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.fields:
        violations = [
            BadRequest.FieldViolation(field=name, description=text) for name, text in sorted(error.fields.items())
        ]
        details.append(BadRequest(field_violations=violations))
    status = Status(code=code.value[0], message=error.message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    await context.abort(code, error.message, ((_DETAILS_KEY, status.SerializeToString()),))
