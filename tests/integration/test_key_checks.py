"""What an exchange said of a key: stored beside the mask, for that version alone, by who may say so; and when a key ends."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.daemon import Daemon
from tests.support.exchanges import create, pair, signed
from tests.support.refusals import refused
from vaultd_api.v1 import exchange_service_pb2 as pb
from vaultd_api.v1.resources_pb2 import KeyCheck as Message
from vaultd_client import AsyncVaultClient, KeyCheck, VaultClient, methods
from vaultd_client.errors import NotFoundError, RefusedError
from vaultd_client.models import Credential, Exchange

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FULL = KeyCheck("YES", "ENDPOINT", "YES", "NO", "NO", "UNKNOWN", "YES", "YES", SOON)


def credential(client: VaultClient, name: str, version: int = 1, half: str = "read") -> Credential:
    found = client.get(name).configuration(half)
    assert found is not None
    return next(each for each in found.credentials if each.version == version)


def without_time(check: KeyCheck | None) -> KeyCheck | None:
    assert check is not None and check.checked_at is not None
    return KeyCheck(*(getattr(check, name) for name in KeyCheck.__slots__[:-1]))


# --- recording ------------------------------------------------------------------------------------------------------


def test_a_check_is_shown_to_everybody_beside_the_mask_with_the_vaults_own_time(house: Daemon, admin: VaultClient) -> None:
    made = create(admin, "shown")
    assert credential(admin, "shown").key_state == "UNKNOWN"
    assert credential(admin, "shown").check is None
    before = datetime.now(UTC)
    admin.record_key_check(made.id, "read", 1, FULL)
    with house.client() as stranger:
        found = credential(stranger, "shown")
    assert found.key_state == "OK"
    assert without_time(found.check) == FULL
    assert found.check is not None and found.check.checked_at is not None
    assert before - timedelta(seconds=1) < found.check.checked_at < datetime.now(UTC) + timedelta(seconds=1)
    assert found.masks["api_key"]


def test_the_asyncio_client_records_it_too(house: Daemon, admin: VaultClient) -> None:
    async def record() -> Exchange:
        async with AsyncVaultClient(house.runtime / "vaultd.sock", house.admin_key) as client:
            return await client.record_key_check("asyncio", "read", 1, KeyCheck("NO", "BALANCE", problem="it is gone"))

    create(admin, "asyncio")
    changed = asyncio.run(record())
    half = changed.configuration("read")
    assert half is not None and half.active is not None and half.active.check is not None
    assert (half.active.key_state, half.active.check.problem) == ("INVALID", "it is gone")


def test_a_later_check_takes_the_place_of_the_one_before(admin: VaultClient) -> None:
    create(admin, "later")
    admin.record_key_check("later", "read", 1, FULL)
    admin.record_key_check("later", "read", 1, KeyCheck("YES", "BALANCE", read="YES"))
    assert without_time(credential(admin, "later").check) == KeyCheck("YES", "BALANCE", read="YES")


def test_a_check_holds_for_the_version_it_was_made_for_and_no_other(admin: VaultClient) -> None:
    create(admin, "bound")
    admin.rotate_credential("bound", "read", pair("bound-2"))
    admin.record_key_check("bound", "read", 1, FULL)  # the answer came after the rotation
    assert credential(admin, "bound", 1).key_state == "OK"
    assert credential(admin, "bound", 2).key_state == "UNKNOWN"
    assert "version" in refused(admin.record_key_check, "bound", "read", 0, FULL).fields
    assert refused(admin.record_key_check, "bound", "read", 3, FULL).reason == "CREDENTIAL_NOT_FOUND"
    admin.rotate_credential("bound", "read", pair("bound-3"))  # version 1 is destroyed
    assert refused(admin.record_key_check, "bound", "read", 1, FULL).reason == "CREDENTIAL_NOT_FOUND"


def test_a_check_never_goes_to_a_namesake_where_the_id_is_given(admin: VaultClient) -> None:
    made = create(admin, "namesake")
    admin.delete_exchange("namesake")
    create(admin, "namesake")
    with pytest.raises(NotFoundError):
        admin.record_key_check(made.id, "read", 1, FULL)
    assert credential(admin, "namesake").check is None


def test_a_check_comes_in_with_the_key_in_one_step(admin: VaultClient) -> None:
    admin.create_exchange(
        "one-step",
        "binance",
        {"readConfiguration": pair("one-step"), "write": pair("one-step-w")},
        checks={"readConfiguration": FULL},
        expires_at={"write": SOON},
    )
    assert credential(admin, "one-step").key_state == "OK"
    write = credential(admin, "one-step", half="write")
    assert (write.key_state, write.expires_at, write.expiry_source) == ("UNKNOWN", SOON, "PERSON")
    admin.rotate_credential("one-step", "write", pair("one-step-w2"), check=KeyCheck("YES", "BALANCE", read="YES"))
    assert credential(admin, "one-step", 2, "write").key_state == "OK"
    assert credential(admin, "one-step", 1, "write").key_state == "UNKNOWN"
    entries = admin.audit(limit=2, exchange=admin.get("one-step").id)
    assert [each.method for each in entries] == ["RotateCredential", "CreateExchange"]


def test_a_key_is_not_stored_where_what_is_said_of_it_is_refused(admin: VaultClient) -> None:
    checks = {"read": KeyCheck("YES", "BALANCE", problem="but")}
    error = refused(admin.create_exchange, "half-done", "binance", {"read": pair("half")}, checks=checks)
    assert "check.problem" in error.fields
    with pytest.raises(NotFoundError):
        admin.get("half-done")


def test_who_may_not_verify_may_not_record(house: Daemon, admin: VaultClient) -> None:
    create(admin, "guarded")
    key = house.add_bot("watcher", grants=False, permissions=["Exchanges:Update", "Exchanges:Rotate", "Exchanges:Reveal"])
    with house.client(key) as client, pytest.raises(RefusedError):
        client.record_key_check("guarded", "read", 1, FULL)
    admin.update_client("watcher", permissions=["Exchanges:Verify"])
    with house.client(key) as client:
        client.record_key_check("guarded", "read", 1, FULL)
        with pytest.raises(RefusedError):
            client.reveal("guarded", "read")
    entry = admin.audit(limit=1, client="watcher", decision="allow")[0]
    assert (entry.method, entry.configuration, entry.version, entry.detail) == ("RecordKeyCheck", "read", 1, "OK")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"check": {"means": 1}}, "check.works"),
        ({"check": {"works": 1, "means": 1}}, "check.works"),
        ({"check": {"works": 9, "means": 1}}, "check.works"),
        ({"check": {"works": 2}}, "check.means"),
        ({"check": {"works": 2, "means": 7}}, "check.means"),
        ({"check": {"works": 2, "means": 1, "trade": 9}}, "check.trade"),
        ({"check": {"works": 3, "means": 1, "problem": "x" * 257}}, "check.problem"),
        ({"check": {"works": 3, "means": 1, "problem": "\x1b[2Jgone"}}, "check.problem"),
        ({"check": {"works": 2, "means": 1, "expires_at": Timestamp(seconds=9)}}, "check.expires"),
        ({"check": {"works": 2, "means": 1, "expires": 2, "expires_at": Timestamp(seconds=-1)}}, "check.expires_at"),
        ({"check": {"works": 2, "means": 1, "expires": 2, "expires_at": Timestamp(seconds=1, nanos=-1)}}, "check.expires_at"),
        ({"expires_at": Timestamp(seconds=2**62)}, "expires_at"),
        ({}, "check"),
    ],
)
def test_a_check_that_says_nothing_or_nonsense_names_the_field(
    admin: VaultClient, wrong: dict[str, Any], field: str
) -> None:
    if "check" in wrong:
        wrong = {**wrong, "check": Message(**wrong["check"])}
    request = pb.RecordKeyCheckRequest(exchange="nowhere", configuration="read", version=1, **wrong)
    error = refused(signed, admin, methods.RECORD_KEY_CHECK, request)
    assert (error.reason, [*error.fields]) == ("RECORD_INVALID", [field])


def test_checks_outlast_a_lock_a_restart_and_a_new_master_key(vault: Daemon) -> None:
    with vault.admin() as admin:
        admin.record_key_check("binance-main", "read", 1, FULL)
    vault.stop()
    vault.start()
    with vault.client() as stranger:  # locked: nothing is unsealed to show it
        assert without_time(credential(stranger, "binance-main").check) == FULL
    vault.unlock()
    with vault.admin() as admin:
        assert admin.reveal("binance-main", "read").version == 1


# --- when a key ends ------------------------------------------------------------------------------------------------


def ends(client: VaultClient, name: str) -> tuple[datetime | None, str]:
    found = credential(client, name)
    return found.expires_at, found.expiry_source


def test_the_exchanges_word_goes_before_a_persons_and_a_persons_before_a_rule(admin: VaultClient) -> None:
    create(admin, "order", "bybit")
    stored = credential(admin, "order").created_at
    assert stored is not None
    found = credential(admin, "order")
    assert (found.expires_at, found.expiry_source) == (stored + timedelta(days=90), "RULE")
    assert "no IP address is bound" in found.expiry_rule
    said = SOON + timedelta(days=7)
    admin.record_key_check("order", "read", 1, expires_at=said)
    assert ends(admin, "order") == (said, "PERSON")
    admin.record_key_check("order", "read", 1, FULL)
    assert ends(admin, "order") == (SOON, "EXCHANGE")
    admin.record_key_check("order", "read", 1, KeyCheck("YES", "ENDPOINT", expires="UNKNOWN"))
    assert ends(admin, "order") == (said, "PERSON")
    admin.record_key_check("order", "read", 1, KeyCheck("YES", "ENDPOINT", expires="NO"))
    assert ends(admin, "order") == (None, "")
    admin.record_key_check("order", "read", 1, KeyCheck("YES", "ENDPOINT"), expires_at=EPOCH)
    assert ends(admin, "order")[1] == "RULE"


@pytest.mark.parametrize(
    ("kind", "check", "source"),
    [
        ("bybit", KeyCheck("YES", "ENDPOINT", ip_bound="NO"), "RULE"),
        ("bybit", KeyCheck("YES", "ENDPOINT", ip_bound="UNKNOWN"), "RULE"),
        ("bybit", KeyCheck("YES", "ENDPOINT", ip_bound="YES"), ""),
        ("binance", KeyCheck("YES", "ENDPOINT", trade="YES", ip_bound="NO"), "RULE"),
        ("binance", KeyCheck("YES", "ENDPOINT", trade="NO", ip_bound="NO"), ""),
        ("okx", KeyCheck("YES", "ENDPOINT", trade="YES", ip_bound="NO"), ""),  # from the last use, which a bot renews
        ("bitfinex", KeyCheck("YES", "ENDPOINT", trade="YES", ip_bound="NO"), ""),
    ],
)
def test_a_rule_counts_where_it_may_be_for_this_key(admin: VaultClient, kind: str, check: KeyCheck, source: str) -> None:
    name = f"rule-{kind}-{check.trade}-{check.ip_bound}"
    fields = {**pair(name), "passphrase": "phrase"} if kind == "okx" else pair(name)
    admin.create_exchange(name, kind, {"read": fields}, checks={"read": check})
    assert ends(admin, name)[1] == source
