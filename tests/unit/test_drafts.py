"""JSON in the shapes that other services use is taken as it is; what is wrong names itself."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultd_client.cli.drafts import draft_from
from vaultd_client.cli.failure import Failure
from vaultd_client.drafts import draft
from vaultd_client.errors import InvalidError

PAIR = {"api_key": "k", "secret": "s"}


def wrong(document: object) -> dict[str, str]:
    with pytest.raises(InvalidError) as caught:
        draft(document)
    return caught.value.fields


def test_two_halves_in_one_document() -> None:
    read, write = {"publicApiKey": "1234", "privateApiKey": "5678"}, {"publicApiKey": "4321", "privateApiKey": "8765"}
    made = draft({"kind": "Binance", "name": "Binance 1", "readConfiguration": read, "writeConfiguration": write})
    assert (made.kind, made.name) == ("Binance", "Binance 1")
    assert made.configurations == {"read": read, "write": write}


def test_a_flat_pair_with_type_and_market_types() -> None:
    made = draft({"type": "binance", "name": "New account", **PAIR, "types_to_create": ["binance_margin"]})
    assert (made.kind, made.name, made.market_types) == ("binance", "New account", ["binance_margin"])
    assert made.configurations == {"": PAIR}


def test_a_flat_pair_with_venue_whose_type_says_something_else() -> None:
    given = {"apiKey": "k", "apiSecret": "s", "apiPassphrase": "p"}
    made = draft({"venue": "BINANCE", "type": "EXCHANGE", "name": "My API Key", **given})
    assert made.kind == "BINANCE"
    assert made.configurations == {"": given}


def test_a_flat_pair_with_market_code_and_customer_number() -> None:
    made = draft({"market_code": "bitstamp", **PAIR, "customer_id": 12345, "lock_reason": None})
    assert made.kind == "bitstamp"
    assert made.configurations[""]["customer_id"] == "12345"


def test_a_pair_alone() -> None:
    made = draft(PAIR)
    assert (made.name, made.kind, made.environment, made.hidden) == ("", "", "", False)
    assert made.configurations == {"": PAIR}


@pytest.mark.parametrize("named", ["name", "id"])
def test_the_file_that_coinbase_hands_out(named: str) -> None:
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    key = f"organizations/{uuid}/apiKeys/{uuid}" if named == "name" else uuid
    made = draft({named: key, "privateKey": "canary"})
    assert (made.name, made.kind) == ("", "coinbase")
    assert made.configurations == {"": {"api_key": key, "secret": "canary"}}
    other = draft({"name": "my agent", "privateKey": "0x11"})
    assert (other.name, other.kind, other.configurations) == ("my agent", "", {"": {"privateKey": "0x11"}})
    assert draft({"name": key, "privateKey": "canary", "kind": "coinbase"}).configurations == {"": {"privateKey": "canary"}}


def test_the_daemons_own_names() -> None:
    document = {
        "name": "main", "kind": "okx", "environment": "demo", "labels": {"team": "a"}, "market_types": ["spot"],
        "hidden": True, "read": {**PAIR, "extra": {"note": "x"}},
    }  # fmt: skip
    made = draft(document)
    assert (made.environment, made.labels, made.market_types, made.hidden) == ("demo", {"team": "a"}, ["spot"], True)
    assert made.configurations == {"read": {**PAIR, "extra": {"note": "x"}}}


def test_null_is_the_same_as_nothing() -> None:
    assert draft({**PAIR, "passphrase": None, "customer_id": None}).configurations == {"": PAIR}


def test_repr_holds_no_secret() -> None:
    assert "canary" not in repr(draft({"name": "x", "secret": "canary"}))


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "document"),
        ("text", "document"),
        ({"kind": "binance", "venue": "kraken"}, "kind"),
        ({"read": PAIR, "readConfiguration": {"api_key": "other"}}, "readConfiguration"),
        ({"name": 1}, "name"),
        ({"api_key": ["k"]}, "api_key"),
        ({"api_key": True}, "api_key"),
        ({"labels": []}, "labels"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"market_types": {}}, "market_types"),
        ({"market_types": [1]}, "market_types"),
        ({"hidden": "yes"}, "hidden"),
        ({"readConfiguration": "x"}, "read"),
        ({"read": PAIR, "api_key": "k"}, "api_key"),
        ({"extra": {"a": 1}}, "extra.a"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_is_wrong_names_itself(document: object, field: str) -> None:
    assert list(wrong(document)) == [field]


def from_pipe(content: bytes) -> Any:
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)
        return draft_from("--fields-fd", reading)
    finally:
        os.close(reading)


def test_a_document_is_read_from_a_descriptor() -> None:
    assert from_pipe(json.dumps(PAIR).encode()).configurations == {"": PAIR}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"api_key": "a", "api_key": "b"}', b"[" * 60_000])
def test_what_is_no_document_is_refused_without_quoting_it(content: bytes) -> None:
    with pytest.raises(Failure) as caught:
        from_pipe(content)
    assert caught.value.text == "--fields-fd: that is not JSON"


def test_more_than_64_kib_is_refused() -> None:
    assert from_pipe(b" " * 60_000 + b"{}").configurations == {}
    with Path("/dev/zero").open("rb") as endless, pytest.raises(Failure, match="65536"):
        draft_from("--fields-fd", endless.fileno())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["kind", "extra", "read"]) | st.text(), inner),
)


@given(json_values)
def test_any_json_makes_a_draft_or_a_failure(document: object) -> None:
    try:
        made = draft(document)
    except InvalidError:
        return
    assert isinstance(document, dict)
    assert set(made.configurations) <= {"", "read", "write"}
