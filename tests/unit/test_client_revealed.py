"""What was revealed does not slip out by itself."""

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from rich.pretty import pretty_repr

from vaultd_api.v1 import exchange_service_pb2, resources_pb2
from vaultd_client.revealed import FIELD_NAMES, RevealedCredential

SECRETS = ("KEY-CANARY-0001", "SECRET-CANARY-0002", "MEMO-CANARY-0003")


@pytest.fixture
def credential() -> RevealedCredential:
    fields = resources_pb2.CredentialFields(api_key=SECRETS[0], secret=SECRETS[1], extra={"memo": SECRETS[2]})
    names = {"api_key": "apiKey", "secret": "secret", "passphrase": "password", "account_id": ""}
    return RevealedCredential(
        exchange_service_pb2.RevealCredentialResponse(
            exchange="ex-1",
            name="binance-main",
            kind="binance",
            environment="live",
            configuration="read",
            version=3,
            ccxt_names=names,
            fields=fields,
        )
    )


def in_a_traceback(credential: RevealedCredential) -> str:
    try:
        raise LookupError(credential)  # what an unlucky bot does
    except LookupError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def in_a_log(credential: RevealedCredential) -> str:
    return logging.LogRecord("x", 10, "x", 1, "got %s %r", (credential, credential.fields), None).getMessage()


def in_an_error(kind: type[Exception], read: Callable[[], object]) -> str:
    with pytest.raises(kind) as error:
        read()
    return str(error.value)


SHOWN: dict[str, Callable[[RevealedCredential], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda each: f"{each} {each:>40} {each!r:>60}",
    "fields": lambda each: f"{each.fields} {each.fields!r} {each.fields}",
    "extra": lambda each: f"{each.extra!r}",
    "in a list": lambda each: str([each, {"a": each.fields}]),
    "pprint": lambda each: pprint.pformat([each, each.fields]),
    "rich": lambda each: pretty_repr([each, each.fields]),
    "log": in_a_log,
    "traceback": in_a_traceback,
    "missing field": lambda each: in_an_error(AttributeError, lambda: each.passphrase),
    "missing key": lambda each: in_an_error(KeyError, lambda: each["passphrase"]),
}


@pytest.mark.parametrize("how", SHOWN)
def test_showing_it_shows_no_plaintext(credential: RevealedCredential, how: str) -> None:
    shown = SHOWN[how](credential)
    assert shown
    assert not [secret for secret in SECRETS if secret in shown]
    assert credential.secret == SECRETS[1]


def test_it_says_which_credential_it_is(credential: RevealedCredential) -> None:
    assert repr(credential) == "RevealedCredential(binance-main/read v3, hidden)"
    assert (credential.exchange, credential.kind, credential.environment) == ("ex-1", "binance", "live")


@pytest.mark.parametrize("part", ["credential", "fields"])
@pytest.mark.parametrize(
    "hand_out", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, lambda each: each.__getstate__()]
)
def test_it_is_not_pickled_copied_or_made_json(
    credential: RevealedCredential, part: str, hand_out: Callable[[Any], object]
) -> None:
    with pytest.raises(TypeError) as refused:
        hand_out(credential if part == "credential" else credential.fields)
    assert not [secret for secret in SECRETS if secret in str(refused.value)]


def test_its_variables_are_not_listed(credential: RevealedCredential) -> None:
    with pytest.raises(TypeError):
        vars(credential)


def test_two_of_the_same_are_not_equal(credential: RevealedCredential) -> None:
    other = RevealedCredential(exchange_service_pb2.RevealCredentialResponse(name="x"))
    same = credential
    assert credential == same
    assert credential != other
    assert credential.fields != dict(credential.fields)


def test_fields_are_read_by_attribute_and_by_name(credential: RevealedCredential) -> None:
    assert credential.api_key == credential["api_key"] == credential.fields["api_key"] == SECRETS[0]
    assert dict(credential.fields) == {"api_key": SECRETS[0], "secret": SECRETS[1]}
    assert dict(credential.extra) == {"memo": SECRETS[2]}


def test_a_field_that_is_not_there_names_those_that_are(credential: RevealedCredential) -> None:
    with pytest.raises(AttributeError, match="has no passphrase; it has api_key, secret"):
        _ = credential.passphrase
    with pytest.raises(KeyError):
        _ = credential["passphrase"]
    with pytest.raises(AttributeError):
        _ = credential.no_such_field  # type: ignore[attr-defined]


def test_ccxt_gets_its_own_names_and_only_what_they_name(credential: RevealedCredential) -> None:
    assert credential.ccxt_config() == {"apiKey": SECRETS[0], "secret": SECRETS[1]}


def test_ccxt_gets_a_free_entry_that_the_catalogue_names(credential: RevealedCredential) -> None:
    response = exchange_service_pb2.RevealCredentialResponse(ccxt_names={"memo": "uid"})
    response.fields.extra["memo"] = "17"
    assert RevealedCredential(response).ccxt_config() == {"uid": "17"}


def test_every_field_of_the_protocol_can_be_read(credential: RevealedCredential) -> None:
    annotated = set(RevealedCredential.__annotations__)
    assert annotated == set(FIELD_NAMES)
    response = exchange_service_pb2.RevealCredentialResponse()
    for name in FIELD_NAMES:
        setattr(response.fields, name, f"value of {name}")
    full = RevealedCredential(response)
    assert {name: getattr(full, name) for name in FIELD_NAMES} == {name: f"value of {name}" for name in FIELD_NAMES}
