"""When a signed call is sent, to whom, and when it is sent again: shown on a script, without any input or output."""

import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import Message

from tests.support.client_script import Script, refused, reveal, revealing
from vaultd_api.v1 import (
    client_service_pb2,
    envelope_pb2,
    exchange_service_pb2,
    vault_service_pb2,
)
from vaultd_client import calls, methods
from vaultd_client.errors import (
    InternalError,
    KeyFileError,
    LockedError,
    NotRunningError,
    RefusedError,
    UninitializedError,
    UntrustedVaultError,
    error_for,
)
from vaultd_client.keys import ClientKey
from vaultd_client.session import Send, Session

# --- signed calls -----------------------------------------------------------------------------------------------------


def test_the_vault_is_asked_who_it_is_once_for_many_calls() -> None:
    script = revealing()
    session = script.session()
    for _ in range(3):
        assert script.run(reveal(session)).api_key == "k"
    assert script.log == ["GetVault", "RevealCredential", "RevealCredential", "RevealCredential"]


def test_every_request_is_signed_for_this_vault_epoch_key_and_uid() -> None:
    script = revealing()
    key = ClientKey.generate().with_pin(script.pin)
    session = Session(lambda: key, 5_000, clock=lambda: 123, entropy=lambda count: b"n" * count, uid=lambda: 1001)
    script.run(reveal(session))
    signed = script.requests[0]
    parts = (b"vaultd-req-v1\0\0\0", script.vault_id, script.epoch, key.key_id, (1001).to_bytes(4, "big"), bytes(4))
    assert signed.startswith(b"".join(parts) + (123).to_bytes(8, "big") + (5000).to_bytes(4, "big") + b"n" * 16)


def test_no_two_requests_share_nonce_or_reply_key() -> None:
    script = revealing()
    session = script.session()
    for _ in range(10):
        script.run(reveal(session))
    assert len({signed[100:116] for signed in script.requests}) == 10
    assert len({signed[116:148] for signed in script.requests}) == 10


def test_a_request_lives_no_longer_than_its_caller_waits() -> None:
    script = revealing()
    key = ClientKey.generate().with_pin(script.pin)
    for asked, granted in [(250, 250), (0, 1), (120_000, 30_000)]:
        script.run(reveal(Session(lambda: key, asked)))
        assert int.from_bytes(script.requests[-1][96:100], "big") == granted


def test_after_lock_and_unlock_a_refused_call_is_made_once_more() -> None:
    script = revealing()
    session = script.session()
    script.run(reveal(session))
    script.unlock()
    script.log.clear()
    assert script.run(reveal(session)).secret == "s"
    assert script.log == ["RevealCredential", "GetVault", "RevealCredential"]


def test_it_is_made_once_more_even_where_it_is_not_idempotent() -> None:
    script = Script({methods.ALLOW_CLIENT: client_service_pb2.AllowClientResponse(client={"name": "bot"})})
    session = script.session()
    allow: dict[str, Any] = {"name": "bot", "public_key": bytes(32), "uid": 1, "unit": "", "permissions": ()}
    script.run(calls.allow_client(session, **allow))
    script.unlock()
    script.log.clear()
    assert script.run(calls.allow_client(session, **allow)).name == "bot"
    assert script.log == ["AllowClient", "GetVault", "AllowClient"]


def test_a_refusal_in_the_same_epoch_is_final() -> None:
    script = revealing()
    session = script.session()
    script.run(reveal(session))
    script.log.clear()
    script.failures = [refused()]
    with pytest.raises(RefusedError):
        script.run(reveal(session))
    assert script.log == ["RevealCredential", "GetVault"]


def test_a_second_refusal_is_final() -> None:
    script = revealing()
    session = script.session()
    script.run(reveal(session))
    script.unlock()
    script.failures = [refused(), refused()]
    script.log.clear()
    with pytest.raises(RefusedError):
        script.run(reveal(session))
    assert script.log == ["RevealCredential", "GetVault", "RevealCredential"]


def test_a_denial_by_policy_is_not_tried_again() -> None:
    script = revealing()
    script.failures = [error_for("PERMISSION_DENIED", "no grant")]
    session = script.session()
    with pytest.raises(RefusedError) as denied:
        script.run(reveal(session))
    assert denied.value.reason == "PERMISSION_DENIED"
    assert script.log == ["GetVault", "RevealCredential"]


def test_who_is_denied_a_key_hears_what_an_administrator_types() -> None:
    script = revealing()
    script.failures = [error_for("PERMISSION_DENIED", "no grant")]
    with pytest.raises(RefusedError) as denied:
        script.run(calls.reveal(script.session(), "my main", "write", 0))
    assert denied.value.hint.endswith("vaultctl client why CLIENT 'my main' write")


def test_a_refusal_because_it_was_locked_since_says_locked() -> None:
    script = revealing()
    session = script.session()
    script.run(reveal(session))
    script.state = vault_service_pb2.Vault.STATE_LOCKED
    script.failures = [refused()]
    with pytest.raises(LockedError):
        script.run(reveal(session))


def test_a_locked_vault_is_asked_again_after_it_was_unlocked() -> None:
    script = revealing()
    session = script.session()
    script.run(reveal(session))
    script.failures = [LockedError("locked")]
    with pytest.raises(LockedError):
        script.run(reveal(session))
    script.unlock()
    script.log.clear()
    assert script.run(reveal(session)).api_key == "k"
    assert script.log == ["GetVault", "RevealCredential"]


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (vault_service_pb2.Vault.STATE_LOCKED, LockedError),
        (vault_service_pb2.Vault.STATE_UNINITIALIZED, UninitializedError),
    ],
)
def test_nothing_signed_is_sent_to_a_vault_that_cannot_answer(state: Any, error: type[Exception]) -> None:
    script = revealing()
    script.state = state
    with pytest.raises(error):
        script.run(reveal(script.session()))
    assert script.log == ["GetVault"]


@pytest.mark.parametrize("other", ["vault_id", "identity", "seal key signature", "epoch"])
def test_nothing_signed_is_sent_to_another_vault(other: str) -> None:
    script = revealing()
    session = script.session()
    vault = script.vault()
    if other == "vault_id":
        vault.vault_id = os.urandom(16)
    elif other == "identity":
        vault.identity = os.urandom(32)
    elif other == "epoch":
        vault.epoch = os.urandom(16)
    else:
        vault.seal_key_signature = bytes(64)
    script.answers[methods.GET_VAULT.path] = vault_service_pb2.GetVaultResponse(vault=vault)
    with pytest.raises(UntrustedVaultError):
        script.run(reveal(session))
    assert script.log == ["GetVault"]


def test_an_answer_that_another_vault_signed_is_not_believed() -> None:
    script = revealing()
    session = script.session()
    script.run(reveal(session))
    script.identity = Ed25519PrivateKey.generate()
    with pytest.raises(UntrustedVaultError):
        script.run(reveal(session))


def test_a_key_that_pins_no_vault_signs_nothing() -> None:
    script = revealing()
    with pytest.raises(KeyFileError) as refused_key:
        script.run(reveal(script.session(ClientKey.generate())))
    assert refused_key.value.hint == "vaultctl client pin"
    assert script.log == ["GetVault"]  # which is open to all


def test_the_signature_in_a_request_is_the_clients() -> None:
    script = revealing()
    key = ClientKey.generate().with_pin(script.pin)
    call = reveal(script.session(key))
    assert next(call) == Send(methods.GET_VAULT.path, b"", signed=False)
    step = call.send(vault_service_pb2.GetVaultResponse(vault=script.vault()).SerializeToString())
    assert isinstance(step, Send)
    request = envelope_pb2.SignedRequest.FromString(step.request)
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(request.signature, request.signed)


def test_an_answer_that_is_no_message_is_an_error_without_its_bytes() -> None:
    call = calls.vault()
    next(call)
    with pytest.raises(InternalError) as broken:
        call.send(b"\xff\xffCANARY")
    assert broken.value.reason == "PROTOCOL_VIOLATION"
    assert broken.value.__cause__ is None
    assert "CANARY" not in str(broken.value)


# --- nobody answers ---------------------------------------------------------------------------------------------------


def gone(reason: str = "NOT_RUNNING") -> NotRunningError:
    return NotRunningError("gone", reason=reason)


def test_an_idempotent_call_survives_a_restart_of_the_daemon() -> None:
    script = revealing()
    session = script.session()
    script.failures = [gone(), gone("KEYHOLDER_UNAVAILABLE")]
    assert script.run(reveal(session)).api_key == "k"
    assert script.log == [
        "GetVault",
        "RevealCredential",
        "pause 0.1",
        "RevealCredential",
        "pause 0.4",
        "RevealCredential",
    ]


def test_an_idempotent_call_gives_up_after_three_tries() -> None:
    script = revealing()
    script.failures = [gone()] * 4
    with pytest.raises(NotRunningError):
        script.run(reveal(script.session()))
    assert script.log.count("RevealCredential") == 3
    assert len(script.failures) == 1


def test_a_call_that_is_not_idempotent_is_sent_once() -> None:
    script = Script({methods.DELETE_GRANT: client_service_pb2.DeleteGrantResponse()})
    script.failures = [gone()]
    session = script.session()
    with pytest.raises(NotRunningError):
        script.run(calls.delete_grant(session, "bot", "gr-1"))
    assert script.log == ["GetVault", "DeleteGrant"]
    script.run(calls.delete_grant(session, "bot", "gr-1"))


def test_every_try_is_a_new_request() -> None:
    script = revealing()
    seen = []

    def lost(body: bytes) -> Message:
        seen.append(body)
        if len(seen) == 1:
            raise gone()
        return exchange_service_pb2.RevealCredentialResponse()

    script.answers[methods.REVEAL_CREDENTIAL.path] = lost
    script.run(reveal(script.session()))
    assert seen[0] == seen[1]
    assert script.requests[0][100:148] != script.requests[1][100:148]


def test_an_open_call_is_tried_again_too() -> None:
    script = Script({methods.GET_EXCHANGE: exchange_service_pb2.GetExchangeResponse(exchange={"name": "main"})})
    script.failures = [gone()]
    assert script.run(calls.get("main")).name == "main"
    assert script.log == ["GetExchange", "pause 0.1", "GetExchange"]
