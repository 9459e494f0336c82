"""Exchanges as records: ids, names, times, labels, lists, states, etags; what is refused names the field at fault."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from tests.support.daemon import READ_PAIR, Daemon, new_daemon
from tests.support.exchanges import create, pair, signed
from tests.support.refusals import refused
from vaultd_api.v1 import exchange_service_pb2 as pb
from vaultd_client import VaultClient, VaultClientError, methods
from vaultd_client.methods import Method
from vaultd_client.session import Send


@pytest.fixture
def stranger(house: Daemon) -> Iterator[VaultClient]:
    with house.client() as client:
        yield client


def opened(client: VaultClient, method: Method[Any], request: Message) -> Any:
    answer = client._send(Send(method.path, request.SerializeToString(), signed=False))
    return method.response.FromString(answer)


# --- identity and time ----------------------------------------------------------------------------------------------


def test_ids_are_random_base32_of_one_form(admin: VaultClient) -> None:
    made = [create(admin, f"id-{number}") for number in range(12)]
    for exchange in made:
        assert re.fullmatch(r"ex-[a-z2-7]{5}-[a-z2-7]{5}-[a-z2-7]{15}", exchange.id)
        assert exchange.resource_name == f"exchanges/{exchange.id}"
    assert len({exchange.id for exchange in made}) == len({exchange.id[3:8] for exchange in made}) == 12


def test_times_are_true_to_the_millisecond(admin: VaultClient, stranger: VaultClient) -> None:
    before = datetime.now(UTC)
    made = create(admin, "times")
    after = datetime.now(UTC)
    assert made.created_at is not None
    assert made.created_at == made.updated_at
    assert before - timedelta(milliseconds=1) <= made.created_at <= after
    assert made.created_at.microsecond % 1000 == 0
    changed = admin.update_exchange("times", labels={"a": "b"})
    assert changed.updated_at is not None
    assert changed.created_at == made.created_at < changed.updated_at
    assert stranger.get("times") == changed


def test_an_exchange_is_found_by_name_in_any_case_by_id_and_by_resource_name(admin: VaultClient) -> None:
    made = create(admin, "Find Mé")
    for reference in ("Find Mé", "find mé", "FIND MÉ", made.id, made.resource_name):
        assert admin.get(reference) == made
        assert admin.reveal(reference).exchange == made.id
    for reference in ("find me", made.id[:-1], made.id.upper(), "", "exchanges/", "x" * 65, "%", "Find M_"):
        assert refused(admin.get, reference).reason == "EXCHANGE_NOT_FOUND"
        assert refused(admin.reveal, reference).reason == "EXCHANGE_NOT_FOUND"


@pytest.mark.parametrize(
    ("first", "second"), [("Twin", "tWIN"), ("Zürich", "ZÜRICH"), ("straße", "STRASSE"), ("pad", " pad ")]
)
def test_a_name_is_taken_in_every_case(admin: VaultClient, first: str, second: str) -> None:
    create(admin, first)
    other = create(admin, f"other than {first}")
    for call in (lambda: create(admin, second), lambda: admin.update_exchange(other.id, name=second)):
        error = refused(call)
        assert (error.reason, error.fields) == ("EXCHANGE_EXISTS", {"name": "is taken"})
    assert admin.update_exchange(first, name=second).name == second.strip()
    assert admin.update_exchange(second.strip(), name=f"free {first}").name == f"free {first}"
    create(admin, second)


BAD_NAMES = {
    "empty": "", "blank": "   ", "long": "x" * 65, "newline": "a\nb", "NUL": "a\0b", "escape": "a\x1b[2J", "slash": "a/b",
    "backslash": "a\\b", "star": "a*b", "colon": "a:b", "turned": "a\u202eb", "line": "a\u2028b", "zero width": "a\u200bb",
    "lone mark": "\ud800",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_cannot_be_shown_is_refused(admin: VaultClient, name: str) -> None:
    error = refused(lambda: admin.create_exchange(BAD_NAMES[name], "binance", {"read": pair(f"bad name {name}")}))
    assert (error.reason, list(error.fields)) == ("RECORD_INVALID", ["name"])
    # The pair was not kept either: it is free for a name that can be shown.
    create(admin, f"bad name {name}")


def test_a_name_of_ten_megabytes_is_an_error_and_nothing_else(admin: VaultClient, stranger: VaultClient) -> None:
    huge = "x" * 10_000_000
    for call in (lambda: admin.create_exchange(huge, "binance", {"read": pair("huge")}), lambda: stranger.get(huge)):
        error = refused(call)
        assert (error.reason, len(str(error)) < 200) == ("REQUEST_TOO_LARGE", True)
    assert refused(lambda: admin.create_exchange("x" * 50_000, "binance", {"read": pair("huge")})).fields == {
        "name": "must be at most 64 characters"
    }
    create(admin, "x" * 64)


# --- what may be said of it -----------------------------------------------------------------------------------------


def test_labels_market_types_and_environment_are_kept_as_given(admin: VaultClient, stranger: VaultClient) -> None:
    labels = {f"key {number}": "x" * 64 for number in range(15)} | {"ü" * 64: ""}
    types = ["spot", "swap", "binance_margin", "spot"]
    create(admin, "said", labels=labels, market_types=types, environment="testnet")
    found = stranger.get("said")
    assert found.labels == labels
    assert found.market_types == ("binance_margin", "spot", "swap")
    assert found.environment == "testnet"
    assert create(admin, "unsaid").environment == "live"
    changed = admin.update_exchange("said", labels={"one": "left"}, market_types=[])
    assert (changed.labels, changed.market_types) == ({"one": "left"}, ())


def test_a_creation_that_is_only_checked_shows_what_it_would_be_and_stores_nothing(admin: VaultClient) -> None:
    options: dict[str, Any] = {"environment": "testnet", "labels": {"a": "b"}, "market_types": ["spot"]}
    before, last = admin.list(everything=True), admin.audit(limit=1)
    shown, notices = admin.create_exchange("dry", "bittrex", {"read": pair("dry")}, validate_only=True)
    assert (shown.id, shown.resource_name, shown.etag, shown.created_at) == ("", "", "", None)
    assert "Bittrex" in " ".join(notices)
    shown, _ = admin.create_exchange("dry", "binance", {"read": pair("dry")}, **options, validate_only=True)
    assert (admin.list(everything=True), admin.audit(limit=1)) == (before, last)
    stored = create(admin, "dry", **options)
    assert (shown.name, shown.kind, shown.environment) == (stored.name, stored.kind, stored.environment)
    assert [half.credentials[0].masks for half in shown.configurations] == [
        half.credentials[0].masks for half in stored.configurations
    ]


def test_a_creation_that_is_only_checked_is_refused_as_the_creation_would_be(admin: VaultClient) -> None:
    create(admin, "there")
    for name, given, fields in (
        ("there", pair("another"), {"name": "is taken"}),
        ("elsewhere", pair("there"), {"api_key": "This account is already connected!"}),
        ("elsewhere", {"api_key": "k" * 20}, {"secret": "is required by Binance"}),
    ):
        with pytest.raises(VaultClientError) as caught:
            admin.create_exchange(name, "binance", {"read": given}, validate_only=True)
        assert caught.value.fields == fields


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"labels": {str(n): "" for n in range(17)}}, "labels", "at most 16"),
        ({"labels": {"k" * 65: "v"}}, "labels", "must be at most 64 characters"),
        ({"labels": {"k": "v" * 65}}, "labels", "must be at most 64 characters"),
        ({"labels": {" ": "v"}}, "labels", "a label needs a name"),
        ({"labels": {"k": "v\tv"}}, "labels", "must not hold control or invisible characters"),
        ({"market_types": ["Spot"]}, "market_types", "must be lower-case letters, digits and _"),
        ({"market_types": [""]}, "market_types", "must be lower-case letters, digits and _"),
        ({"market_types": [f"t{n}" for n in range(17)]}, "market_types", "at most 16"),
        ({"environment": "production"}, "environment", "must be live or testnet or demo"),
        ({"kind": "kraken", "environment": "demo"}, "environment", "must be live"),
    ],
)
def test_what_cannot_be_said_names_its_field(
    admin: VaultClient, options: dict[str, Any], field: str, words: str
) -> None:
    error = refused(lambda: create(admin, "cannot be said", **options))
    assert (error.reason, error.message, error.fields) == ("RECORD_INVALID", "Invalid parameters", {field: words})


@pytest.mark.parametrize(
    ("given", "kind"), [("Binance", "binance"), ("HUOBI", "htx"), ("Gate.io", "gate"), ("okex", "okx")]
)
def test_a_kind_answers_to_its_other_names(admin: VaultClient, given: str, kind: str) -> None:
    fields = {**pair(f"alias {given}"), **({"passphrase": "p"} if kind == "okx" else {})}
    made, notices = admin.create_exchange(f"alias {given}", given, {"read": fields})
    assert made.kind == kind
    assert any("is an old name of" in notice for notice in notices) == (given in ("HUOBI", "Gate.io", "okex"))


@pytest.mark.parametrize("kind", ["mt gox", "", "x" * 65, "kinds/", "\0"])
def test_an_unknown_kind_is_refused_and_names_the_one_that_takes_all(admin: VaultClient, kind: str) -> None:
    error = refused(lambda: create(admin, "unknown kind", kind))
    assert (error.reason, list(error.fields)) == ("KIND_NOT_FOUND", ["kind"])
    assert "custom" in error.message


# --- lists ----------------------------------------------------------------------------------------------------------


def test_a_hidden_exchange_is_seen_by_administrators_only(admin: VaultClient, stranger: VaultClient) -> None:
    made = create(admin, "hidden", hidden=True)
    create(admin, "not hidden")
    open_names = {exchange.name for exchange in stranger.list()}
    assert "not hidden" in open_names
    assert "hidden" not in open_names
    for reference in ("hidden", made.id, made.resource_name):
        assert refused(stranger.get, reference).reason == "EXCHANGE_NOT_FOUND"
    assert made in admin.list(everything=True)
    assert refused(lambda: stranger.list(everything=True)).reason == "REQUEST_REFUSED"
    assert admin.reveal("hidden").api_key == pair("hidden")["api_key"]
    admin.update_exchange("hidden", hidden=False)
    assert stranger.get("hidden").id == made.id
    admin.update_exchange("hidden", hidden=True)
    assert refused(lambda: stranger.get("hidden")).reason == "EXCHANGE_NOT_FOUND"


def test_a_long_list_comes_in_pages_without_gap_or_repetition() -> None:
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        # Names in an order that is neither that of their making nor that of their bytes.
        names = [f"{'Aa'[number % 2]}-{number * 37 % 120:03}" for number in range(120)]
        with daemon.admin() as admin:
            for number, name in enumerate(names):
                create(admin, name, hidden=number % 10 == 0)
            shown = sorted((name for number, name in enumerate(names) if number % 10), key=str.casefold)
            for size, pages in ((7, 16), (54, 2), (108, 1), (500, 1), (4_000_000_000, 1), (0, 2)):
                found, token, count = list[str](), "", 0
                while count == 0 or token:
                    answer = opened(
                        admin, methods.LIST_EXCHANGES, pb.ListExchangesRequest(page_size=size, page_token=token)
                    )
                    found += [exchange.name for exchange in answer.exchanges]
                    token, count = answer.next_page_token, count + 1
                assert (found, count) == (shown, pages), size
            assert [exchange.name for exchange in admin.list()] == shown
            assert [exchange.name for exchange in admin.list(everything=True)] == sorted(names, key=str.casefold)


@pytest.mark.parametrize("token", ["!", "a", "AAAA=", "\u00fc", "_w", "x" * 5000])
def test_a_page_token_that_no_list_returned_is_refused_or_leads_nowhere(stranger: VaultClient, token: str) -> None:
    try:
        answer = opened(stranger, methods.LIST_EXCHANGES, pb.ListExchangesRequest(page_token=token))
    except VaultClientError as error:
        assert error.fields == {"page_token": "is not one that a list returned"}
    else:
        assert not answer.next_page_token or answer.exchanges


# --- changes --------------------------------------------------------------------------------------------------------


def test_a_change_with_an_old_etag_is_refused(admin: VaultClient) -> None:
    first = create(admin, "etag")
    second = admin.update_exchange("etag", etag=first.etag, labels={"n": "2"})
    assert second.etag != first.etag
    for call in (
        lambda: admin.update_exchange("etag", etag=first.etag, labels={"n": "3"}),
        lambda: admin.delete_exchange("etag", etag=first.etag),
        lambda: admin.update_exchange("etag", etag="nonsense", labels={"n": "3"}),
    ):
        assert refused(call).reason == "ETAG_MISMATCH"
    assert admin.get("etag") == second
    admin.rotate_credential("etag", "read", pair("etag two"))
    assert refused(lambda: admin.delete_exchange("etag", etag=second.etag)).reason == "ETAG_MISMATCH"
    admin.delete_exchange("etag", etag=admin.get("etag").etag)
    assert refused(lambda: admin.get("etag")).reason == "EXCHANGE_NOT_FOUND"


@pytest.mark.parametrize("path", ["kind", "environment", "id", "etag", "configurations", "name.x", "", "secret\0", "*"])
def test_a_mask_that_names_what_cannot_be_changed_is_refused(admin: VaultClient, path: str) -> None:
    made = create(admin, f"mask {path.encode().hex()}")
    request = pb.UpdateExchangeRequest(exchange=made.id, update_mask=FieldMask(paths=["labels", path]))
    error = refused(lambda: signed(admin, methods.UPDATE_EXCHANGE, request))
    assert (error.reason, list(error.fields)) == ("RECORD_INVALID", ["update_mask"])
    assert "cannot be changed" in error.fields["update_mask"]
    assert admin.get(made.id) == made


def test_a_mask_that_names_nothing_changes_nothing(admin: VaultClient) -> None:
    made = create(admin, "empty mask")
    error = refused(lambda: signed(admin, methods.UPDATE_EXCHANGE, pb.UpdateExchangeRequest(exchange=made.id)))
    assert error.fields == {"update_mask": "names nothing to change"}
    assert admin.get(made.id) == made


def test_a_disabled_exchange_reveals_nothing_until_it_is_active_again(admin: VaultClient) -> None:
    create(admin, "switched")
    off = admin.update_exchange("switched", state="DISABLED", lock_reason="holidays")
    assert (off.state, off.lock_reason) == ("DISABLED", "holidays")
    error = refused(lambda: admin.reveal("switched"))
    assert (error.reason, error.message) == ("EXCHANGE_NOT_ACTIVE", "the exchange is disabled")
    on = admin.update_exchange("switched", state="ACTIVE")
    assert (on.state, on.lock_reason) == ("ACTIVE", "")
    assert admin.reveal("switched").secret == pair("switched")["secret"]


@pytest.mark.parametrize("state", ["REVOKED", "UNSPECIFIED"])
def test_an_update_neither_revokes_nor_unsets_the_state(admin: VaultClient, state: str) -> None:
    made = create(admin, f"state {state}")
    assert list(refused(lambda: admin.update_exchange(made.id, state=state)).fields) == ["state"]
    assert admin.get(made.id).state == "ACTIVE"


@pytest.mark.parametrize("reason", ["x" * 257, "two\nlines"])
def test_a_reason_that_cannot_be_shown_is_refused(admin: VaultClient, reason: str) -> None:
    made = create(admin, f"reason {len(reason)}")
    for call in (
        lambda: admin.update_exchange(made.id, state="DISABLED", lock_reason=reason),
        lambda: admin.revoke_exchange(made.id, reason),
    ):
        assert list(refused(call).fields) == ["lock_reason"]
    assert admin.get(made.id) == made


def test_a_deleted_exchange_takes_its_grants_with_it_and_frees_its_name_and_key(
    house: Daemon, admin: VaultClient
) -> None:
    bot = house.add_bot("bot of the deleted")
    with house.client(bot) as client:
        assert client.reveal("binance-main").name == "binance-main"
        admin.delete_exchange("binance-main")
        assert refused(lambda: client.reveal("binance-main")).reason == "PERMISSION_DENIED"
        assert refused(lambda: client.get("binance-main")).reason == "EXCHANGE_NOT_FOUND"
        again, _ = admin.create_exchange("binance-main", "binance", {"read": READ_PAIR})
        assert refused(lambda: client.reveal("binance-main")).reason == "PERMISSION_DENIED"
    (entry,) = [each for each in admin.clients() if each.name == "bot of the deleted"]
    assert entry.grants == ()
    assert again.configurations[0].credentials[0].version == 1
