"""Promises about administration: nobody does what they have no permission for, nobody climbs, somebody is left in charge."""

import os
from collections.abc import Callable
from functools import partial

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.forge import REFUSED, Forger, Line, Outcome
from vaultd.model import PERMISSIONS
from vaultd_api.v1 import client_service_pb2, resources_pb2
from vaultd_client import ClientKey, KeyCheck, VaultClient
from vaultd_client.errors import ConflictError, RefusedError

SERVICE = "/vaultd.v1.ClientService/"
LOCK = "/vaultd.v1.VaultService/LockVault"


def refused(attempt: Callable[[], object], reason: str = "PERMISSION_DENIED") -> None:
    with pytest.raises((RefusedError, ConflictError)) as caught:
        attempt()
    assert caught.value.reason == reason


def administration(client: VaultClient) -> list[tuple[str, Callable[[], object]]]:
    """Returns every administrative call but the lock, with its permission; in this order each finds what it needs."""
    key = ClientKey.generate().public_key
    first, second = READ_PAIR | {"api_key": "PASSING-key"}, READ_PAIR | {"api_key": "PASSED-key"}
    grants: list[str] = []

    def ungrant() -> None:
        # Where no grant was made yet, any id: the permission comes first.
        client.delete_grant("tester", grants[0] if grants else "gr-aaaaaaaaaa")

    return [
        ("Vault:Backup", lambda: client.read_backup(client.begin_backup().token, 1 << 40)),
        ("Exchanges:Read", lambda: client.list(everything=True)),
        ("Exchanges:Create", lambda: client.create_exchange("passing", "binance", {"read": first})),
        ("Exchanges:Update", lambda: client.update_exchange("passing", hidden=True)),
        ("Exchanges:Rotate", lambda: client.rotate_credential("passing", "read", second)),
        ("Exchanges:Verify", lambda: client.record_key_check("passing", "read", 2, KeyCheck("YES", "ENDPOINT"))),
        ("Exchanges:Reveal", lambda: client.reveal("passing", "read")),
        ("Clients:Grant", lambda: grants.append(client.create_grant("tester", "binance-main", "read").id)),
        ("Clients:Grant", lambda: client.confirm_client("tester")),
        ("Clients:Grant", ungrant),
        ("Exchanges:Revoke", lambda: client.revoke_credential("passing", "read")),
        ("Exchanges:Revoke", lambda: client.revoke_exchange("passing")),
        ("Exchanges:Delete", lambda: client.delete_exchange("passing")),
        ("Clients:Allow", lambda: client.allow_client("passer", key, os.getuid())),
        ("Clients:Read", client.clients),
        ("Clients:Read", lambda: client.why("passer", "binance-main", "read")),
        ("Clients:Update", lambda: client.update_client("passer", state="DISABLED")),
        ("Clients:Revoke", lambda: client.revoke_client("passer")),
        ("Audit:Read", lambda: client.audit(limit=1)),
        ("Audit:Read", client.verify_audit),
    ]


# --- permissions ---------------------------------------------------------------------------------------------------


def test_every_administrative_call_takes_its_own_permission_and_no_other_will_do(
    house: Daemon, admin: VaultClient
) -> None:
    key = house.add_bot("tester", grants=False)
    with house.client(key) as client:
        for permission, call in administration(client):
            admin.update_client("tester", permissions=[right for right in PERMISSIONS if right != permission])
            refused(call)
            admin.update_client("tester", permissions=[permission])
            call()
    with Line(house) as line:  # without it, not even the lock
        forger = Forger(house, key)
        assert line.send(LOCK, forger.seal(forger.request(LOCK, b""))).code == "PERMISSION_DENIED"
    assert {permission for permission, _ in administration(admin)} == set(PERMISSIONS) - {"Vault:Lock"}


def test_a_client_that_may_lock_locks_and_one_that_may_not_does_not(vault: Daemon) -> None:
    keeper = vault.add_bot("keeper", permissions=["Vault:Lock"])
    other = vault.add_bot("other", permissions=[right for right in PERMISSIONS if right != "Vault:Lock"])
    with vault.client(other) as client:
        refused(client.lock)
        assert client.vault().state == "UNLOCKED"
    with vault.client(keeper) as client:
        client.lock()
        assert client.vault().state == "LOCKED"


# --- nobody climbs -------------------------------------------------------------------------------------------------


def test_nobody_gives_a_permission_that_they_lack(house: Daemon, admin: VaultClient) -> None:
    climber = house.add_bot("climber", grants=False, permissions=["Clients:Allow", "Clients:Update"])
    key = ClientKey.generate().public_key
    with house.client(climber) as client:
        for permissions in (["*"], ["Exchanges:Reveal"], ["Clients:Allow", "Clients:Grant"], list(PERMISSIONS)):
            refused(partial(client.allow_client, "ladder", key, os.getuid(), permissions=permissions))
            refused(partial(client.update_client, "climber", permissions=permissions))
            refused(partial(client.update_client, "admin", permissions=permissions))
        assert "ladder" not in {known.name for known in admin.clients()}
        given = client.allow_client("ladder", key, os.getuid(), permissions=["Clients:Allow"])
        assert given.permissions == ("Clients:Allow",)  # what they have, they give
    assert {known.name: known.permissions for known in admin.clients()}["climber"] == ("Clients:Allow", "Clients:Update")


def test_what_a_client_asked_for_before_it_was_revoked_is_not_done_after(house: Daemon, admin: VaultClient) -> None:
    ends = []
    for round_ in range(5):
        name = f"leaver-{round_}"
        ends.append(leave(house, name))
        done = [entry for entry in admin.audit(limit=50) if entry.decision == "allow"]
        revoked = next(entry.sequence for entry in done if entry.method == "RevokeClient")
        assert not [entry for entry in done if entry.client == name and entry.sequence > revoked]
    assert REFUSED in ends  # the control: that is where it came to it


def leave(house: Daemon, name: str) -> Outcome:
    """Lets a client ask for a change while it is being revoked; returns how that ended.

    All at once: the client's request is proved long before its turn comes, and by then the client is revoked.
    """
    leaver = Forger(house, house.add_bot(name, grants=False, permissions=["*"]))
    chief = Forger(house, house.admin_key)
    new = {"name": f"left-by-{name}", "public_key": ClientKey.generate().public_key, "uid": os.getuid()}
    allow = client_service_pb2.AllowClientRequest(client=new).SerializeToString()
    revoke = client_service_pb2.RevokeClientRequest(client=name).SerializeToString()
    with Line(house) as line:
        queue = [busy_work(chief) for _ in range(10)]
        queue.append((SERVICE + "RevokeClient", chief.seal(chief.request(SERVICE + "RevokeClient", revoke))))
        queue.append((SERVICE + "AllowClient", leaver.seal(leaver.request(SERVICE + "AllowClient", allow))))
        outcomes = line.send_each(queue)
    assert [outcome.code for outcome in outcomes[:-1]] == ["OK"] * 11
    return outcomes[-1]


def busy_work(forger: Forger) -> tuple[str, bytes]:
    """Returns a change that takes its turn and a sync."""
    grant = resources_pb2.Grant(operation="reveal", exchange="binance-main", configuration="read")
    body = client_service_pb2.CreateGrantRequest(client="admin", grant=grant).SerializeToString()
    return SERVICE + "CreateGrant", forger.seal(forger.request(SERVICE + "CreateGrant", body))


# --- somebody is left in charge ------------------------------------------------------------------------------------


def test_the_last_administrator_cannot_be_disabled_revoked_stripped_or_moved(vault: Daemon) -> None:
    with vault.admin() as admin:
        before = admin.clients()
        for attempt in (
            lambda: admin.update_client("admin", state="DISABLED"),
            lambda: admin.revoke_client("admin"),
            lambda: admin.update_client("admin", permissions=[]),
            lambda: admin.update_client("admin", permissions=[right for right in PERMISSIONS if right != "Audit:Read"]),
            lambda: admin.update_client("admin", uid=os.getuid() + 1),
            lambda: admin.update_client("admin", unit="nowhere.service"),
        ):
            refused(attempt, "LAST_ADMINISTRATOR")
        assert admin.clients() == before


def test_somebody_with_fewer_permissions_is_no_successor(vault: Daemon) -> None:
    # Nobody gives what they lack: a vault left to this one could never be administered again.
    vault.add_bot("deputy", grants=False, permissions=["Clients:Allow", "Clients:Update", "Clients:Revoke"])
    with vault.admin() as admin:
        refused(lambda: admin.revoke_client("admin"), "LAST_ADMINISTRATOR")


@pytest.mark.parametrize("permissions", [["*"], list(PERMISSIONS)], ids=["everything", "every one by name"])
def test_with_a_successor_an_administrator_can_go(vault: Daemon, permissions: list[str]) -> None:
    heir = vault.add_bot("heir", grants=False, permissions=permissions)
    with vault.client(heir) as client:
        client.update_client("admin", state="DISABLED")
        refused(lambda: client.revoke_client("heir"), "LAST_ADMINISTRATOR")
        client.update_client("admin", state="ACTIVE")
        client.update_client("admin", uid=os.getuid() + 1)
        client.revoke_client("admin")
        refused(lambda: client.update_client("heir", permissions=["Clients:Allow"]), "LAST_ADMINISTRATOR")
