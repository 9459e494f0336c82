"""What each call sends and makes of the answer: shown on a script, without any input or output."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message

from tests.support.client_script import BINANCE, Script
from vaultd_api.v1 import (
    audit_service_pb2,
    client_service_pb2,
    exchange_service_pb2,
    kind_pb2,
    resources_pb2,
    vault_service_pb2,
)
from vaultd_client import calls, methods
from vaultd_client.errors import (
    InternalError,
    InvalidError,
    NotFoundError,
    error_for,
)
from vaultd_client.session import Call, Session

# --- key pairs --------------------------------------------------------------------------------------------------------


def creating() -> Script:
    created = exchange_service_pb2.CreateExchangeResponse(exchange={"name": "main"}, notices=["one pair"])
    return Script({
        methods.CREATE_EXCHANGE: created,
        methods.ROTATE_CREDENTIAL: exchange_service_pb2.RotateCredentialResponse(exchange={"name": "main"}, version=2),
        methods.GET_KIND: exchange_service_pb2.GetKindResponse(kind=BINANCE),
        methods.GET_EXCHANGE: exchange_service_pb2.GetExchangeResponse(exchange={"name": "main", "kind": "binance"}),
        methods.LIST_ALL_EXCHANGES: exchange_service_pb2.ListAllExchangesResponse(
            exchanges=[{"id": "ex-1", "name": "Main", "kind": "binance"}]
        ),
    })  # fmt: skip


def create(session: Session, configurations: Mapping[str, Any]) -> Call[Any]:
    return calls.create_exchange(
        session,
        "main",
        "binance",
        configurations,
        environment="live",
        labels={"desk": "a"},
        market_types=("spot",),
        hidden=True,
    )


def test_a_key_pair_leaves_the_process_sealed_and_nothing_else_of_it_does() -> None:
    script = creating()
    pairs = {"read": {"api_key": "CANARY-K", "secret": "CANARY-S", "extra": {"memo": "CANARY-M"}}}
    exchange, notices = script.run(create(script.session(), pairs))
    assert (exchange.name, notices) == ("main", ("one pair",))
    assert b"CANARY" not in script.requests[0]
    request = exchange_service_pb2.CreateExchangeRequest.FromString(script.body(0))
    stored = request.exchange
    assert (stored.kind, stored.environment, dict(stored.labels), list(stored.market_types), stored.hidden) == (
        "binance", "live", {"desk": "a"}, ["spot"], True,
    )  # fmt: skip
    assert [half.configuration for half in request.configurations] == ["read"]
    opened = script.opened(0, request.configurations[0].sealed)
    assert (opened.api_key, opened.secret, dict(opened.extra)) == ("CANARY-K", "CANARY-S", {"memo": "CANARY-M"})


def test_a_second_try_seals_anew_to_the_new_seal_key() -> None:
    script = creating()
    session = script.session()
    script.run(create(session, {"read": {"api_key": "k"}}))
    script.unlock()
    script.run(create(session, {"read": {"api_key": "k2"}}))
    request = exchange_service_pb2.CreateExchangeRequest.FromString(script.body(1))
    assert script.opened(1, request.configurations[0].sealed).api_key == "k2"


def test_names_that_other_services_use_are_mapped_by_the_catalogue() -> None:
    script = creating()
    pairs = {
        "readConfiguration": {"publicApiKey": "rk", "privateApiKey": "rs"},
        "write": {"apiKey": "wk", "secret": "ws"},
    }
    session = script.session()
    script.run(create(session, pairs))
    assert script.log == ["GetKind", "GetVault", "CreateExchange"]
    request = exchange_service_pb2.CreateExchangeRequest.FromString(script.body(0))
    found = {half.configuration: script.opened(0, half.sealed) for half in request.configurations}
    assert {name: (pair.api_key, pair.secret) for name, pair in found.items()} == {
        "read": ("rk", "rs"),
        "write": ("wk", "ws"),
    }
    script.log.clear()
    script.run(create(session, pairs))
    assert script.log == ["CreateExchange"]


def test_canonical_names_need_no_catalogue() -> None:
    script = creating()
    script.run(create(script.session(), {"read": {"api_key": "k"}}))
    assert script.log == ["GetVault", "CreateExchange"]


@pytest.mark.parametrize(
    ("pair", "faulty"),
    [
        ({"api_key": "k", "apiToken": "CANARY"}, {"apiToken"}),
        ({"api_key": "k", "from_the_future": "CANARY"}, {"from_the_future"}),
        ({"future": "CANARY"}, {"future"}),
        ({"api_key": "k", "publicApiKey": "CANARY"}, {"publicApiKey"}),
        ({"api_key": 17}, {"api_key"}),
        ({"api_key": "CANARY\ud800"}, {"api_key"}),
        ({"extra": "CANARY"}, {"extra"}),
        ({"extra": {"a": 1}}, {"extra"}),
        ({"extra": {"\udfff": "CANARY"}}, {"extra"}),
        ({"resource_name": "CANARY", "": "CANARY"}, {"resource_name", ""}),
    ],
)
def test_a_field_that_cannot_be_stored_names_itself_and_nothing_is_sent(pair: dict[str, Any], faulty: set[str]) -> None:
    script = creating()
    with pytest.raises(InvalidError) as invalid:
        script.run(create(script.session(), {"read": pair}))
    assert set(invalid.value.fields) == faulty
    assert "CANARY" not in str(invalid.value)
    assert "CreateExchange" not in script.log


def test_one_half_under_two_names_is_refused() -> None:
    script = creating()
    with pytest.raises(InvalidError) as invalid:
        script.run(create(script.session(), {"read": {"api_key": "a"}, "readConfiguration": {"api_key": "b"}}))
    assert list(invalid.value.fields) == ["readConfiguration"]


def test_rotation_asks_for_the_kind_only_where_a_name_needs_it() -> None:
    script = creating()
    session = script.session()
    assert script.run(calls.rotate_credential(session, "main", "write", {"api_key": "k"}))[1] == 2
    assert script.log == ["GetVault", "RotateCredential"]
    script.log.clear()
    script.run(calls.rotate_credential(session, "main", "writeConfiguration", {"apiKey": "k"}))
    assert script.log == ["GetExchange", "GetKind", "RotateCredential"]
    request = exchange_service_pb2.RotateCredentialRequest.FromString(script.body(1))
    assert request.configuration.configuration == "write"
    assert script.opened(1, request.configuration.sealed).api_key == "k"


@pytest.mark.parametrize("name", ["main", "ex-1"])
def test_the_kind_of_a_hidden_exchange_is_found_by_a_signed_call(name: str) -> None:
    script = creating()
    script.failures = [error_for("EXCHANGE_NOT_FOUND", "no such exchange")]
    script.run(calls.rotate_credential(script.session(), name, "read", {"apiKey": "k"}))
    assert script.log == ["GetExchange", "GetVault", "ListAllExchanges", "GetKind", "RotateCredential"]


def test_an_exchange_that_is_nowhere_is_not_found() -> None:
    script = creating()
    script.failures = [error_for("EXCHANGE_NOT_FOUND", "no such exchange")]
    with pytest.raises(NotFoundError):
        script.run(calls.rotate_credential(script.session(), "other", "read", {"apiKey": "k"}))


# --- lists ------------------------------------------------------------------------------------------------------------


def paged(request: Callable[[], Any], response: Callable[..., Message], field: str, items: list[Any]) -> Any:
    """Answers with two items a page."""

    def answer(body: bytes) -> Message:
        asked = request()
        asked.ParseFromString(body)
        start = int(asked.page_token or 0)
        token = str(start + 2) if start + 2 < len(items) else ""
        return response(**{field: items[start : start + 2], "next_page_token": token})

    return answer


def test_every_page_of_a_list_is_fetched() -> None:
    names = [f"exchange {number}" for number in range(5)]
    items = [resources_pb2.Exchange(name=name) for name in names]
    script = Script({
        methods.LIST_EXCHANGES: paged(
            exchange_service_pb2.ListExchangesRequest, exchange_service_pb2.ListExchangesResponse, "exchanges", items
        ),
        methods.LIST_ALL_EXCHANGES: paged(
            exchange_service_pb2.ListAllExchangesRequest, exchange_service_pb2.ListAllExchangesResponse, "exchanges", items
        ),
        methods.LIST_CLIENTS: paged(
            client_service_pb2.ListClientsRequest,
            client_service_pb2.ListClientsResponse,
            "clients",
            [resources_pb2.Client(name=name) for name in names],
        ),
        methods.LIST_KINDS: paged(
            exchange_service_pb2.ListKindsRequest,
            exchange_service_pb2.ListKindsResponse,
            "kinds",
            [kind_pb2.Kind(kind=name) for name in names],
        ),
    })  # fmt: skip
    session = script.session()
    assert [each.name for each in script.run(calls.list_exchanges(session, everything=False))] == names
    assert script.log == ["ListExchanges"] * 3
    assert [each.name for each in script.run(calls.list_exchanges(session, everything=True))] == names
    assert [each.name for each in script.run(calls.clients(session))] == names
    assert [each.kind for each in script.run(calls.kinds())] == names


def test_the_audit_is_fetched_up_to_the_limit_and_no_further() -> None:
    items = [resources_pb2.AuditEntry(sequence=number) for number in range(9, 0, -1)]
    page = paged(
        audit_service_pb2.ListAuditEntriesRequest, audit_service_pb2.ListAuditEntriesResponse, "entries", items
    )
    script = Script({methods.LIST_AUDIT_ENTRIES: page})
    filters = {"client": "bot", "exchange": "main", "decision": "deny"}
    found = script.run(calls.audit(script.session(), limit=3, **filters))
    assert [each.sequence for each in found] == [9, 8, 7]
    assert script.log == ["GetVault", "ListAuditEntries", "ListAuditEntries"]
    for number in (0, 1):
        asked = audit_service_pb2.ListAuditEntriesRequest.FromString(script.body(number))
        assert (asked.client, asked.exchange, asked.decision, asked.page_size) == ("bot", "main", "deny", 3)


def test_a_list_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_PAGES", 3)
    script = Script({methods.LIST_KINDS: exchange_service_pb2.ListKindsResponse(next_page_token="again")})
    with pytest.raises(InternalError, match="does not end"):
        script.run(calls.kinds())


# --- changes ----------------------------------------------------------------------------------------------------------


def updating() -> Script:
    return Script({
        methods.UPDATE_EXCHANGE: exchange_service_pb2.UpdateExchangeResponse(),
        methods.UPDATE_CLIENT: client_service_pb2.UpdateClientResponse(),
        methods.CREATE_GRANT: client_service_pb2.CreateGrantResponse(),
    })  # fmt: skip


def test_a_change_names_what_it_changes_and_nothing_more() -> None:
    script = updating()
    changes = {"name": "new", "labels": {}, "market_types": ["spot"], "hidden": False, "state": "disabled"}
    script.run(calls.update_exchange(script.session(), "main", "e1", changes))
    request = exchange_service_pb2.UpdateExchangeRequest.FromString(script.body(0))
    assert list(request.update_mask.paths) == list(changes)
    assert (request.exchange, request.update.etag, request.update.name) == ("main", "e1", "new")
    assert request.update.state == resources_pb2.Exchange.STATE_DISABLED


def test_a_client_is_changed_the_same_way() -> None:
    script = updating()
    script.run(calls.update_client(script.session(), "bot", {"uid": 7, "permissions": ["Audit:Read"]}))
    request = client_service_pb2.UpdateClientRequest.FromString(script.body(0))
    assert list(request.update_mask.paths) == ["uid", "permissions"]
    assert (request.update.uid, list(request.update.permissions)) == (7, ["Audit:Read"])


@pytest.mark.parametrize(
    ("changes", "faulty"),
    [
        ({}, {"update_mask"}),
        ({"kind": "kraken", "id": "x"}, {"kind", "id"}),
        ({"state": "BROKEN"}, {"state"}),
        ({"state": None}, {"state"}),
        ({"name": 17}, {"name"}),
        ({"labels": ["a"]}, {"labels"}),
        ({"name": "\ud800"}, {"name"}),
    ],
)
def test_a_change_that_cannot_be_named_its_fault_before_anything_is_sent(
    changes: dict[str, Any], faulty: set[str]
) -> None:
    script = updating()
    with pytest.raises(InvalidError) as invalid:
        script.run(calls.update_exchange(script.session(), "main", "", changes))
    assert set(invalid.value.fields) == faulty
    assert script.log == []


@pytest.mark.parametrize(
    ("arguments", "faulty"),
    [
        ({"uid": -1}, {"uid"}),
        ({"uid": 2**32}, {"uid"}),
        ({"public_key": "vaultd-client:short"}, {"public_key"}),
        ({"public_key": 5}, {"public_key"}),
        ({"name": "\udcff", "unit": b"\xff"}, {"name", "unit"}),
    ],
)
def test_a_client_that_cannot_be_allowed_names_its_fault(arguments: dict[str, Any], faulty: set[str]) -> None:
    good: dict[str, Any] = {"name": "bot", "public_key": bytes(32), "uid": 1, "unit": "", "permissions": ()}
    script = Script({methods.ALLOW_CLIENT: client_service_pb2.AllowClientResponse()})
    with pytest.raises(InvalidError) as invalid:
        script.run(calls.allow_client(script.session(), **good | arguments))
    assert set(invalid.value.fields) == faulty
    script.run(calls.allow_client(script.session(), **good))


def grant(session: Session, not_after: datetime | None, rate: tuple[int, int] | None = None) -> Call[Any]:
    options: dict[str, Any] = {"operation": "reveal", "not_after": not_after, "rate": rate, "unit": "bot.service"}
    return calls.create_grant(session, "bot", "main", "readConfiguration", **options)


def test_a_grant_carries_its_end_and_its_rate() -> None:
    script = updating()
    end = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    script.run(grant(script.session(), end.astimezone(tz=None), (10, 60)))
    sent = client_service_pb2.CreateGrantRequest.FromString(script.body(0)).grant
    assert sent.not_after.ToDatetime(tzinfo=UTC) == end
    assert (sent.rate_count, sent.rate_seconds, sent.configuration, sent.operation) == (10, 60, "read", "reveal")
    assert sent.unit == "bot.service"


def test_a_grant_without_an_end_has_none() -> None:
    script = updating()
    script.run(grant(script.session(), None))
    assert not client_service_pb2.CreateGrantRequest.FromString(script.body(0)).grant.HasField("not_after")


def test_an_end_without_a_time_zone_is_refused() -> None:
    with pytest.raises(InvalidError) as invalid:
        updating().run(grant(updating().session(), datetime.now(tz=UTC).replace(tzinfo=None) + timedelta(days=1)))
    assert list(invalid.value.fields) == ["not_after"]


def test_a_lock_forgets_the_epoch() -> None:
    script = Script({methods.LOCK_VAULT: vault_service_pb2.LockVaultResponse()})
    session = script.session()
    script.run(calls.lock(session))
    assert session.facts is None


def test_a_state_of_a_newer_daemon_is_its_number() -> None:
    vault = vault_service_pb2.Vault()
    vault.MergeFromString(b"\x08\x63")
    script = Script({methods.GET_VAULT: vault_service_pb2.GetVaultResponse(vault=vault)})
    assert script.run(calls.vault()).state == "99"
