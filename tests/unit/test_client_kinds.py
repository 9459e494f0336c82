"""What the client makes of a kind: names of any program, words for enums, and what a newer daemon knows."""

import pytest

from tests.support.client_script import BINANCE
from vaultd.kinds import Catalogue
from vaultd.server.kind_messages import kind_message
from vaultd_api.v1 import kind_pb2
from vaultd_client import Kind
from vaultd_client.errors import InvalidError
from vaultd_client.fields import FieldValues, credential_fields, need_aliases


def kind_of(name: str) -> Kind:
    return Kind.from_proto(kind_message(Catalogue.load().get(name)[0]))


def test_every_name_that_the_catalogue_maps_the_client_maps_alike() -> None:
    checked = 0
    for kind in Catalogue.load().all():
        client = kind_of(kind.kind)
        for field in kind.fields:
            for name in (field.name, field.ccxt_name, *field.aliases, field.name.upper(), field.name.replace("_", "-")):
                if name:
                    assert client.canonical(name) == kind.canonical(name), (kind.kind, name)
                    checked += 1
        assert client.canonical("moon_phase") is None
    assert checked > 1000


@pytest.mark.parametrize(
    ("kind", "given", "fields", "extra"),
    [
        ("okx", {"apiKey": "k", "password": "p"}, {"api_key": "k", "passphrase": "p"}, {}),
        ("ndax", {"password": "p", "twofa": "t"}, {"password": "p", "two_fa": "t"}, {}),
        ("bitstamp", {"api-key": "k", "uid": "1"}, {"api_key": "k", "customer_id": "1"}, {}),
        ("hyperliquid", {"walletAddress": "a", "privateKey": "k"}, {"address": "a", "private_key": "k"}, {}),
        ("custom", {"password": "p", "moon": "full"}, {"password": "p"}, {"moon": "full"}),
        ("kraken", {"api_key": "k", "extra.note": "n", "extra": {"memo": "m"}}, {"api_key": "k"}, {"note": "n", "memo": "m"}),
        ("kraken", {"api_key": "k", "passphrase": "p"}, {"api_key": "k", "passphrase": "p"}, {}),
    ],
)
def test_names_of_other_programs_become_ours(
    kind: str, given: FieldValues, fields: dict[str, str], extra: dict[str, str]
) -> None:
    made = credential_fields(given, kind_of(kind))
    assert {name.name: value for name, value in made.ListFields() if name.name != "extra"} == fields
    assert dict(made.extra) == extra


@pytest.mark.parametrize(
    ("given", "faulty"),
    [
        ({"apiKey": "k", "api-key": "k"}, {"api-key"}),
        ({"moon": "full"}, {"moon"}),
        ({"extra.note": "n", "extra": {"note": "n"}}, {"extra.note"}),
    ],
)
def test_what_is_unknown_or_given_twice_names_itself(given: FieldValues, faulty: set[str]) -> None:
    with pytest.raises(InvalidError) as invalid:
        credential_fields(given, kind_of("kraken"))
    assert set(invalid.value.fields) == faulty


def test_the_catalogue_is_asked_where_a_name_could_mean_two_things() -> None:
    assert not need_aliases({"api_key": "k", "secret": "s", "extra": {}})
    assert need_aliases({"api_key": "k", "password": "p"})
    assert need_aliases({"apiKey": "k"})


def test_a_word_of_a_newer_daemon_is_its_number_and_what_is_missing_is_empty() -> None:
    message = kind_pb2.Kind()
    message.CopyFrom(BINANCE)
    message.readable_path = 99  # type: ignore[assignment]  # what a newer daemon sends
    kind = Kind.from_proto(message)
    assert kind.readable_path == "99"
    assert (kind.permissions_endpoint, kind.tombstone, kind.expiry, kind.notice) == (None, None, (), "")
    assert kind.fields[0].need == "REQUIRED"


def test_a_search_looks_into_every_name_without_case_and_punctuation() -> None:
    assert kind_of("htx").called("Huobi")
    assert kind_of("binanceusdm").called("binance-fut")
    assert kind_of("kraken").called("")
    assert not kind_of("kraken").called("krakn")
