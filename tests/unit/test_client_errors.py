"""Every way in which the daemon says no has one class, one hint, and no foreign text."""

import pickle
import re
import traceback

import grpc
import pytest
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultd_api.v1 import errors_pb2
from vaultd_client import errors
from vaultd_client.errors import BY_REASON, HINTS, InternalError, VaultClientError, error_for
from vaultd_client.status import from_details, from_rpc

REASONS = [name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()]  # noqa: SIM118
OWN = {"NOT_RUNNING", "UNTRUSTED_VAULT", "KEY_FILE", "TIMED_OUT", "UNSUPPORTED", "NOT_INSTALLED"}


def details(*messages: Message, message: str = "Invalid parameters") -> bytes:
    status = status_pb2.Status(code=3, message=message)
    for each in messages:
        packed = any_pb2.Any()
        packed.Pack(each)
        status.details.append(packed)
    return bytes(status.SerializeToString())


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_protocol_has_a_class_and_a_hint(reason: str) -> None:
    assert reason in BY_REASON
    assert HINTS[reason]


def test_the_table_has_no_reason_that_nobody_sends() -> None:
    assert set(BY_REASON) == set(REASONS) | OWN
    assert set(HINTS) == set(BY_REASON)


def test_every_class_is_reachable_and_its_default_reason_is_its_own() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VaultClientError)}
    assert kinds - {VaultClientError} == set(BY_REASON.values())
    assert all(BY_REASON[kind.default_reason] is kind for kind in kinds - {VaultClientError})


def test_a_reason_of_a_newer_daemon_is_an_internal_error_that_keeps_its_name() -> None:
    error = error_for("SOMETHING_NEW", "text")
    assert type(error) is InternalError
    assert error.reason == "SOMETHING_NEW"
    assert error.hint


def test_locked_and_not_running_say_what_to_type() -> None:
    assert errors.LockedError("x").hint == "vaultctl unlock"
    assert errors.NotRunningError("x").hint == "start it with: vaultd; as a service: sudo systemctl start vaultd"


def test_an_error_that_nobody_catches_ends_with_what_to_type() -> None:
    error = errors.LockedError("the vault is locked")
    lines = traceback.format_exception(error)
    assert lines[-2:] == ["vaultd_client.errors.LockedError: the vault is locked\n", "hint: vaultctl unlock\n"]
    error.hint = "something better"
    assert traceback.format_exception(error)[-1] == "hint: something better\n"


def test_the_repr_in_a_log_says_which_field_and_which_reason() -> None:
    error = error_for("RECORD_INVALID", "Invalid parameters", fields={"api_key": "is missing"})
    assert repr(error) == "InvalidError('Invalid parameters; api_key: is missing', reason='RECORD_INVALID')"


def test_fields_at_fault_are_named_with_what_is_wrong() -> None:
    info = error_details_pb2.ErrorInfo(reason="RECORD_INVALID", domain="vaultd", metadata={"kind": "binance"})
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="api_key", description="This account is already connected!")
    bad.field_violations.add(field="secret", description="is missing")
    bad.field_violations.add(field="secret", description="is short")
    error = from_details(details(info, bad))
    assert type(error) is errors.InvalidError
    assert error.fields == {"api_key": "This account is already connected!", "secret": "is missing; is short"}
    assert error.metadata == {"kind": "binance"}
    assert str(error).startswith("Invalid parameters; api_key: This account is already connected!")


def test_the_wait_after_too_many_wrong_passphrases_is_a_number() -> None:
    info = error_details_pb2.ErrorInfo(reason="UNLOCK_DELAYED", domain="vaultd", metadata={"retry_after_ms": "5000"})
    error = from_details(details(info))
    assert isinstance(error, errors.UnlockDelayedError)
    assert error.retry_after_ms == 5000
    assert errors.UnlockDelayedError("x", metadata={"retry_after_ms": "soon"}).retry_after_ms == 0


def test_an_error_of_another_domain_is_not_taken_for_the_daemons() -> None:
    own = error_details_pb2.ErrorInfo(reason="VAULT_LOCKED", domain="vaultd")
    other = error_details_pb2.ErrorInfo(reason="VAULT_LOCKED", domain="example.com")
    assert type(from_details(details(own))) is errors.LockedError
    assert from_details(details(other)) is None
    assert from_details(details()) is None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_details_never_raise(serialized: bytes) -> None:
    from_details(serialized)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.NotRunningError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.TimedOutError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.RateLimitedError),
        (grpc.StatusCode.UNIMPLEMENTED, InternalError),
        (grpc.StatusCode.UNKNOWN, InternalError),
    ],
)
def test_a_failure_that_is_not_the_daemons_own_is_told_apart_by_its_code(
    code: grpc.StatusCode, kind: type[VaultClientError]
) -> None:
    assert type(from_rpc(code, [])) is kind
    assert type(from_rpc(code, [("grpc-status-details-bin", b"\xff\xff")])) is kind


def test_the_daemons_own_reason_wins_over_the_code() -> None:
    locked = details(error_details_pb2.ErrorInfo(reason="VAULT_LOCKED", domain="vaultd"), message="the vault is locked")
    error = from_rpc(grpc.StatusCode.UNAVAILABLE, [("other", "x"), ("grpc-status-details-bin", locked)])
    assert type(error) is errors.LockedError
    assert str(error) == "the vault is locked"


def test_errors_cross_processes_whole() -> None:
    error = error_for("RECORD_INVALID", "text", fields={"a": "b"}, metadata={"c": "d"})
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert vars(copied) == vars(error)


def test_every_command_in_a_hint_begins_with_a_program_of_ours() -> None:
    commands = [word for hint in HINTS.values() for word in re.findall(r"\bvault\w+", hint)]
    assert commands
    assert set(commands) <= {"vaultctl", "vaultd"}
