"""Promises of the client key that a unit is given for one run: it works in that unit, and as long as that runs."""

import os
import signal
import time

from tests.support.daemon import READ_PAIR
from tests.support.gate_house import as_root
from tests.support.memory import canary
from tests.support.processes import until
from tests.support.services import service_cgroup
from tests.support.split import split
from tests.support.unit_scene import UnitScene
from vaultd import limits
from vaultd_client import ClientKey

pytestmark = as_root


def test_a_unit_gets_a_client_key_that_works_in_it_alone(scene: UnitScene) -> None:
    key = scene.mint()
    loaded, admin = ClientKey.load(key), scene.daemon.admin_key
    assert loaded.vault == admin.vault
    assert loaded.public_key != ClientKey.load(scene.mint()).public_key
    key = scene.mint()
    assert scene.reveal(key, scene.group) == READ_PAIR["secret"]
    with service_cgroup() as other:
        assert scene.reveal(key, other) == "REQUEST_REFUSED"
    assert scene.reveal(key, None) == "REQUEST_REFUSED"


def test_the_key_of_the_start_before_is_worth_nothing(scene: UnitScene) -> None:
    old = scene.mint()
    assert scene.reveal(old, scene.group) == READ_PAIR["secret"]
    new = scene.mint()
    assert scene.reveal(old, scene.group) == "REQUEST_REFUSED"
    assert scene.reveal(new, scene.group) == READ_PAIR["secret"]


def test_the_key_does_not_survive_a_lock(scene: UnitScene) -> None:
    key = scene.mint()
    assert scene.reveal(key, scene.group) == READ_PAIR["secret"]
    scene.daemon.lock()
    scene.daemon.unlock()
    assert scene.reveal(key, scene.group) == "REQUEST_REFUSED"


def test_the_key_ends_when_the_units_control_group_does(scene: UnitScene) -> None:
    with service_cgroup() as group:
        with scene.daemon.admin() as admin:
            admin.create_grant(f"unit:{group.name}", "main", "read")
        other = UnitScene(scene.daemon, group)
        key = other.mint()
        assert other.reveal(key, group) == READ_PAIR["secret"]
        group.rmdir()
        group.mkdir()  # the next start of the same unit, which asks for no key
        until(lambda: other.reveal(key, group) == "REQUEST_REFUSED", 20)
        assert other.reveal(other.mint(), group) == READ_PAIR["secret"]


def test_the_key_has_the_grants_of_the_unit_and_nothing_of_an_administrator(scene: UnitScene) -> None:
    with service_cgroup() as group:
        other = UnitScene(scene.daemon, group)
        with scene.daemon.admin() as admin:
            grant = admin.create_grant(f"unit:{group.name}", "main", "read")
            key = other.mint()
            assert other.reveal(key, group) == READ_PAIR["secret"]
            admin.delete_grant(f"unit:{group.name}", grant.id)
            assert other.reveal(key, group) == "PERMISSION_DENIED"
            assert [each.name for each in admin.clients() if not each.name.startswith("unit:")] == ["admin"]
        assert other.ask("vaultd-client.key") == b""


def test_the_key_ends_with_its_unit_although_the_server_was_restarted() -> None:
    with split() as daemon, service_cgroup() as group:
        daemon.stop()
        daemon.environment["VAULTD_CREDENTIALS_SOCKET"] = str(daemon.runtime / "credentials.sock")
        daemon.start()
        with daemon.admin() as admin:
            admin.create_exchange("main", "binance", {"read": {"api_key": canary(), "secret": "the-secret-of-main"}})
            admin.create_grant(f"unit:{group.name}", "main", "read")
        unit = UnitScene(daemon, group)
        key = unit.mint()
        daemon.crash()
        daemon.await_state("UNLOCKED")
        assert unit.reveal(key, group) == "the-secret-of-main"
        group.rmdir()
        group.mkdir()
        until(lambda: unit.reveal(key, group) == "REQUEST_REFUSED", 20)


def test_the_keys_of_units_end_with_them_after_a_keyholder_died_while_two_ended(scene: UnitScene) -> None:
    with service_cgroup() as first, service_cgroup() as second:
        units = [UnitScene(scene.daemon, group) for group in (first, second)]
        with scene.daemon.admin() as admin:
            for unit in units:
                admin.create_grant(f"unit:{unit.unit}", "main", "read")
        keyholder = scene.daemon.keyholder_pid
        keys = [unit.mint() for unit in units]
        os.kill(keyholder, signal.SIGSTOP)  # so that the first end is told and not answered
        for group in (first, second):
            group.rmdir()
        time.sleep(2.5 * limits.UNIT_WATCH_SECONDS)  # nothing outside shows that it was told
        os.kill(keyholder, signal.SIGKILL)
        for group in (first, second):
            group.mkdir()
        until(lambda: scene.daemon.keyholder_pid != keyholder, 20)
        scene.daemon.unlock()
        assert [unit.reveal(key, unit.group) for unit, key in zip(units, keys, strict=True)] == ["REQUEST_REFUSED"] * 2
        key = units[0].mint()
        assert units[0].reveal(key, first) == READ_PAIR["secret"]
        first.rmdir()
        first.mkdir()
        until(lambda: units[0].reveal(key, first) == "REQUEST_REFUSED", 20)
