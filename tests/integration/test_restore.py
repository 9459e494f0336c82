"""A restore: what is put in place, what is kept, what is suspended until an administrator confirms it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import backed_up
from tests.support.backed_up import another_host, refusal, restore, take_keys
from tests.support.daemon import PASSPHRASE, READ_PAIR, WRITE_PAIR, Daemon
from tests.support.vaultctl import document, vaultctl
from vaultd import limits
from vaultd.crypto import integrity
from vaultd_client import ClientKey
from vaultd_client.errors import InvalidError, RefusedError


@pytest.fixture
def vault(daemon: Daemon) -> Daemon:
    return backed_up.settled(daemon)


@pytest.fixture
def elsewhere(vault: Daemon) -> Iterator[Daemon]:
    """Another host, on which the backup of the vault was restored; started, still locked."""
    path = backed_up.make(vault)
    with another_host() as host:
        restore(host, path)
        take_keys(vault, host)
        yield host.start()


def revealed(daemon: Daemon, client: str, configuration: str) -> dict[str, str]:
    with daemon.client(ClientKey.load(daemon.home / f"{client}.key")) as bot:
        return dict(bot.reveal("binance-main", configuration).fields)


def denied(daemon: Daemon, client: str, configuration: str) -> str:
    with pytest.raises(RefusedError) as caught:
        revealed(daemon, client, configuration)
    with daemon.admin() as admin:
        rule: str = admin.audit(limit=1, decision="deny")[0].rule
    return f"{caught.value.reason} {rule}"


# --- on another host --------------------------------------------------------------------------------------------------


def test_a_backup_makes_the_vault_again_on_a_host_that_has_none(vault: Daemon, elsewhere: Daemon) -> None:
    assert document(elsewhere, "status")["state"] == "LOCKED"
    elsewhere.unlock()
    with vault.admin() as there, elsewhere.admin() as here:
        assert here.list() == there.list()
        assert [each.name for each in here.clients()] == [each.name for each in there.clients()]
    assert revealed(elsewhere, "admin", "write") == WRITE_PAIR


def test_it_is_not_taken_for_a_rollback_and_the_audit_says_what_it_is(elsewhere: Daemon) -> None:
    unlocked = document(elsewhere, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)
    assert unlocked["restored"]
    assert unlocked["suspended"] == 3  # two grants with a write half, one client that reveals by permission
    with elsewhere.admin() as admin:
        entry = admin.audit(limit=1)[0]
    assert entry.method == "unlock"
    assert f"restored from a backup of generation {unlocked['generation'] - 1}" in entry.detail
    assert "3 grants and clients suspended" in entry.detail


def test_after_the_first_unlock_it_is_a_vault_like_any_other(elsewhere: Daemon) -> None:
    elsewhere.unlock()
    assert len(elsewhere.anchor.read_bytes()) == 104
    elsewhere.lock()
    again = document(elsewhere, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)
    assert not again["restored"]


@pytest.mark.parametrize("name", ["a#b", "a?mode=memory", "%61"])
def test_a_directory_of_any_name_takes_a_backup(vault: Daemon, name: str) -> None:
    path = backed_up.make(vault)
    with another_host() as host:
        host.data = host.home / name
        host.database = host.data / "vault.db"
        host.environment["VAULTD_DATA_DIR"] = str(host.data)
        restore(host, path)
        assert host.database.stat().st_size > 0
        host.start()
        host.unlock()


# --- suspended --------------------------------------------------------------------------------------------------------


def test_no_grant_gives_a_write_half_until_it_is_confirmed(elsewhere: Daemon) -> None:
    elsewhere.unlock()
    assert revealed(elsewhere, "bot", "read") == READ_PAIR
    assert revealed(elsewhere, "star", "read") == READ_PAIR
    for client in ("bot", "star"):
        assert denied(elsewhere, client, "write") == "PERMISSION_DENIED grant-suspended"
        document(elsewhere, "client", "confirm", client)
        assert revealed(elsewhere, client, "write") == WRITE_PAIR


def test_a_client_that_reveals_by_permission_waits_too_and_an_administrator_does_not(elsewhere: Daemon) -> None:
    elsewhere.unlock()
    assert denied(elsewhere, "revealer", "read") == "REQUEST_REFUSED client-suspended"
    assert revealed(elsewhere, "admin", "write") == WRITE_PAIR
    document(elsewhere, "client", "confirm", "revealer")
    assert revealed(elsewhere, "revealer", "read") == READ_PAIR


def test_who_grants_or_enables_clients_by_permission_cannot_end_a_suspension(daemon: Daemon) -> None:
    backed_up.settled(daemon)
    for name in ("granter", "updater"):
        permission = {"granter": "Clients:Grant", "updater": "Clients:Update"}[name]
        daemon.add_bot(name, grants=False, permissions=[permission]).save(daemon.home / f"{name}.key")
    path = backed_up.make(daemon)
    with another_host() as host:
        restore(host, path)
        take_keys(daemon, host)
        host.start()
        host.unlock()
        with host.client(ClientKey.load(host.home / "granter.key")) as granter:
            for act in (lambda: granter.create_grant("granter", "binance-main", "write"), lambda: granter.confirm_client("bot")):
                with pytest.raises(RefusedError):
                    act()
        with host.client(ClientKey.load(host.home / "updater.key")) as updater:
            for state in ("DISABLED", "ACTIVE"):
                with pytest.raises(InvalidError, match="SUSPENDED: vaultctl client confirm"):
                    updater.update_client("revealer", state=state)
        assert denied(host, "revealer", "write") == "REQUEST_REFUSED client-suspended"
        document(host, "client", "confirm", "granter")
        with host.client(ClientKey.load(host.home / "granter.key")) as granter:
            granter.confirm_client("bot")
        assert revealed(host, "bot", "write") == WRITE_PAIR


def test_list_and_why_say_what_is_suspended_and_confirm_all_ends_it(elsewhere: Daemon) -> None:
    elsewhere.unlock()
    assert vaultctl(elsewhere, "client", "list").stdout.count("suspended") == 2
    why = vaultctl(elsewhere, "client", "why", "bot", "binance-main", "write").stdout
    assert "denied: grant-suspended" in why
    assert "vaultctl client confirm" in why
    confirmed = document(elsewhere, "client", "confirm", "--all")
    assert [each["name"] for each in confirmed["clients"]] == ["bot", "revealer", "star"]
    shown = vaultctl(elsewhere, "client", "list").stdout
    assert "suspended" not in shown.lower()
    assert "Nothing is suspended." in vaultctl(elsewhere, "client", "confirm", "--all").stdout
    with elsewhere.admin() as admin:
        assert {each.method for each in admin.audit(limit=3)} == {"ConfirmClient"}


def test_who_may_not_grant_may_not_confirm(elsewhere: Daemon) -> None:
    elsewhere.unlock()
    refused = refusal(elsewhere, "client", "confirm", "bot", key=elsewhere.home / "bot.key")
    assert refused["error"] == "permission_denied"


def test_a_new_grant_is_not_suspended_and_a_suspended_one_can_be_taken_back(elsewhere: Daemon) -> None:
    elsewhere.unlock()
    with elsewhere.admin() as admin:
        admin.create_grant("bot", "binance-main", "write")
        for grant in next(each for each in admin.clients() if each.name == "star").grants:
            admin.delete_grant("star", grant.id)
    assert revealed(elsewhere, "bot", "write") == WRITE_PAIR
    assert denied(elsewhere, "star", "read").startswith("PERMISSION_DENIED no-grant")


def test_killed_between_the_unlock_and_its_anchor_it_is_suspended_all_the_same(elsewhere: Daemon) -> None:
    record = elsewhere.anchor.read_bytes()
    elsewhere.unlock()
    elsewhere.kill()
    elsewhere.anchor.write_bytes(record)  # as a kill before the anchor leaves it
    elsewhere.start()
    assert not document(elsewhere, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)["restored"]
    assert denied(elsewhere, "bot", "write") == "PERMISSION_DENIED grant-suspended"


def test_write_grants_of_units_are_suspended_and_confirmed_like_those_of_clients(daemon: Daemon) -> None:
    daemon.start()
    daemon.initialize()
    daemon.add_exchange()
    with daemon.admin() as admin:
        for half in ("read", "write"):
            admin.create_grant("unit:bot.service", "binance-main", half)
    path = backed_up.make(daemon)
    with another_host() as host:
        restore(host, path)
        take_keys(daemon, host)
        host.start()
        assert document(host, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)["suspended"] == 1
        with host.admin() as admin:
            assert admin.why("unit:bot.service", "binance-main", "read").allowed
            assert admin.why("unit:bot.service", "binance-main", "write").rule == "grant-suspended"
            (confirmed,) = document(host, "client", "confirm", "--all")["clients"]
            assert confirmed["name"] == "unit:bot.service"
            assert admin.why("unit:bot.service", "binance-main", "write").allowed


def test_more_grants_than_one_frame_takes_are_suspended_together(daemon: Daemon) -> None:
    daemon.start()
    daemon.initialize()
    daemon.add_exchange()
    with daemon.admin() as admin:
        for number in range(9):
            daemon.add_bot(f"bot-{number}", grants=False)
            for _ in range(limits.MAX_GRANTS_PER_CLIENT):
                admin.create_grant(f"bot-{number}", "binance-main", "write")
    path = backed_up.make(daemon)
    with another_host() as host:
        restore(host, path)
        take_keys(daemon, host)
        host.start()
        unlocked = document(host, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)
        assert unlocked["suspended"] == 9 * limits.MAX_GRANTS_PER_CLIENT > limits.ROWS_PER_PAGE
        host.lock()
        host.unlock()
        with host.admin() as admin:
            assert {grant.state for each in admin.clients() for grant in each.grants} == {"SUSPENDED"}


# --- over what is there -----------------------------------------------------------------------------------------------


def test_a_running_daemon_is_not_touched_and_the_error_says_how_to_stop_it(vault: Daemon) -> None:
    path = backed_up.make(vault)
    before = backed_up.tree(vault.data)
    refused = refusal(vault, "backup", "restore", str(path))
    assert refused["error"] == "store_in_use"
    assert "systemctl stop" in refused["hint"]
    assert backed_up.tree(vault.data) == before
    vault.stop()
    restore(vault, path)


def test_a_newer_store_is_replaced_with_the_flag_alone_and_kept(vault: Daemon) -> None:
    path = backed_up.make(vault)
    with vault.admin() as admin:
        admin.revoke_client("bot")
    vault.stop()
    before = backed_up.tree(vault.data, vault.anchor_dir)
    refused = refusal(vault, "backup", "restore", str(path))
    assert refused["error"] == "restore_refused"
    assert "--over-newer" in refused["error_description"]
    assert backed_up.tree(vault.data, vault.anchor_dir) == before
    done = restore(vault, path, "--over-newer")
    assert done["replaced"] == done["generation"] + 1
    kept = {Path(each).name.partition(".before")[0]: Path(each) for each in done["kept"]}
    assert kept["vault.db"].read_bytes() == before[str(vault.database)]
    assert kept["anchor"].read_bytes() == before[str(vault.anchor)]
    vault.start()
    vault.unlock()
    assert revealed(vault, "bot", "read") == READ_PAIR  # it is back, which is why its write half is not
    assert denied(vault, "bot", "write") == "PERMISSION_DENIED grant-suspended"


def test_what_was_kept_can_be_put_back_by_hand(vault: Daemon) -> None:
    path = backed_up.make(vault)
    with vault.admin() as admin:
        admin.revoke_client("bot")
    vault.stop()
    done = restore(vault, path, "--over-newer")
    for each in done["kept"]:
        shutil.copy2(each, each.partition(".before-restore")[0])
    vault.start()
    vault.unlock()
    assert denied(vault, "bot", "read").endswith("client-revoked")


def put_back(vault: Daemon) -> None:
    """Puts the store of before the bot was revoked in the place of the newest; leaves it stopped."""
    vault.stop()
    older = vault.database.read_bytes()
    vault.start()
    vault.unlock()
    with vault.admin() as admin:
        admin.revoke_client("bot")
    vault.stop()
    vault.database.write_bytes(older)


def test_an_older_store_that_a_person_put_back_by_hand_and_accepts_is_suspended_too(vault: Daemon) -> None:
    put_back(vault)
    vault.start()
    options = ("--accept-rollback", "--passphrase-fd", "0")
    unlocked = document(vault, "unlock", *options, given=PASSPHRASE)
    assert unlocked["suspended"] == 3
    assert revealed(vault, "bot", "read") == READ_PAIR
    assert denied(vault, "bot", "write") == "PERMISSION_DENIED grant-suspended"
    document(vault, "client", "confirm", "bot")
    vault.lock()
    assert document(vault, "unlock", *options, given=PASSPHRASE)["suspended"] == 0  # it is no rollback any more
    assert revealed(vault, "bot", "write") == WRITE_PAIR


def _no_anchor(path: Path) -> None:
    path.unlink()


def _a_lower_one(path: Path) -> None:
    anchor = path.read_bytes()
    at = len(integrity.ANCHOR_MAGIC) + 16
    path.write_bytes(anchor[:at] + (1).to_bytes(8, "big") + anchor[at + 8 :])


def _one_that_says_it_was_unlocked_since(path: Path) -> None:
    _a_lower_one(path)
    path.write_bytes(integrity.RESTORE_MAGIC + bytes(8) + path.read_bytes())


@pytest.mark.parametrize("spoil", [_no_anchor, _a_lower_one, _one_that_says_it_was_unlocked_since])
def test_an_older_store_is_suspended_too_when_its_anchor_was_taken_away(vault: Daemon, spoil: Callable[[Path], None]) -> None:
    put_back(vault)
    spoil(vault.anchor)
    vault.start()
    assert refusal(vault, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)["error"] == "store_rolled_back"
    unlocked = document(vault, "unlock", "--accept-rollback", "--passphrase-fd", "0", given=PASSPHRASE)
    assert unlocked["suspended"] == 3
    assert denied(vault, "bot", "write") == "PERMISSION_DENIED grant-suspended"


def test_the_store_of_another_vault_is_replaced_with_the_flag_alone(vault: Daemon) -> None:
    path = backed_up.make(vault)
    with another_host() as other:
        other.start()
        other.initialize()
        other.stop()
        before = backed_up.tree(other.data, other.anchor_dir)
        refused = refusal(other, "backup", "restore", str(path), "--over-newer")
        assert refused["error"] == "restore_refused"
        assert "another vault" in refused["error_description"]
        assert backed_up.tree(other.data, other.anchor_dir) == before
        restore(other, path, "--replace-vault")
        take_keys(vault, other)
        other.start()
        other.unlock()
        assert revealed(other, "admin", "write") == WRITE_PAIR


def test_a_store_that_cannot_be_read_is_replaced_with_the_flag_alone(vault: Daemon) -> None:
    path = backed_up.make(vault)
    vault.stop()
    vault.database.write_bytes(b"not a store" * 1000)
    refused = refusal(vault, "backup", "restore", str(path))
    assert "cannot be read" in refused["error_description"]
    restore(vault, path, "--replace-vault")
    vault.start()
    vault.unlock()


def test_a_killed_daemons_log_does_not_leak_into_the_restored_store(vault: Daemon) -> None:
    path = backed_up.make(vault)
    with vault.admin() as admin:
        admin.update_exchange("binance-main", labels={"after": "the backup"})
    vault.kill()
    assert (vault.data / "vault.db-wal").stat().st_size > 0
    restore(vault, path, "--over-newer")
    vault.start()
    vault.unlock()
    with vault.admin() as admin:
        assert dict(admin.get("binance-main").labels) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can restore for somebody else")
def test_root_restores_as_the_owner_of_the_store(vault: Daemon) -> None:
    path = backed_up.make(vault)
    with another_host() as host:
        for directory in (host.data, host.anchor_dir):
            directory.mkdir(mode=0o700)
            os.chown(directory, 4242, 4242)
        restore(host, path)
        for each in (host.database, host.anchor):
            assert (each.stat().st_uid, each.stat().st_mode & 0o777) == (4242, 0o600)
