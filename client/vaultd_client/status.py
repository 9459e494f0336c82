"""gRPC errors become this library's errors here, once, for both clients.

The daemon sends `google.rpc.Status` in the trailer `grpc-status-details-bin`, with one ErrorInfo of domain `vaultd`
and, where fields are at fault, one BadRequest. Anything else did not come from the daemon's own code: it is told apart
by its gRPC code, and its text is dropped, because it may hold paths and bytes of the call.
"""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from vaultd_client.errors import (
    HINTS,
    InternalError,
    NotRunningError,
    RateLimitedError,
    TimedOutError,
    VaultClientError,
    error_for,
)

DOMAIN = "vaultd"
DETAILS_KEY = "grpc-status-details-bin"


def from_rpc(code: grpc.StatusCode, trailers: Iterable[Any]) -> VaultClientError:
    """Returns the error that a failed call stands for.

    Args:
        code: gRPC status code.
        trailers: Trailing metadata, pairs of a key and a value.
    """
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            told = from_details(value)
            if told is not None:
                return told
    if code is grpc.StatusCode.UNAVAILABLE:
        return NotRunningError("vaultd does not answer at its socket")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimedOutError("vaultd did not answer in time")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RateLimitedError("vaultd is busy")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return InternalError("this vaultd does not know the call", hint=HINTS["PROTOCOL_VIOLATION"])
    return InternalError(f"the call failed: {code.name}")


def from_details(serialized: bytes) -> VaultClientError | None:
    """Returns the error in a serialized `google.rpc.Status`; None where it holds none of the daemon's."""
    status = status_pb2.Status()
    info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    try:
        status.ParseFromString(serialized)
        for detail in status.details:
            detail.Unpack(info) or detail.Unpack(violations)
    except DecodeError:
        return None
    if info.domain != DOMAIN or not info.reason:
        return None
    fields: dict[str, str] = {}
    for violation in violations.field_violations:
        said = fields.get(violation.field)
        fields[violation.field] = f"{said}; {violation.description}" if said else violation.description
    return error_for(info.reason, status.message, fields=fields, metadata=dict(info.metadata))
