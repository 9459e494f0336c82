"""Promises of `vaultd.keyholder.sharing`: who shares a key pair with another program is told where that does harm."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.vaultctl import document, vaultctl
from vaultd_client import VaultClient


@pytest.fixture
def house(daemon: Daemon) -> Daemon:
    """An unlocked vault with the clients bot, second and third, which are granted nothing."""
    daemon.start()
    daemon.initialize()
    for name in ("bot", "second", "third"):
        daemon.add_bot(name, grants=False)
    return daemon


def add(admin: VaultClient, name: str, kind: str = "bitfinex", *, twins: bool = False) -> None:
    pairs = {half: {"api_key": f"{half}-key-of-{name}", "secret": "secret"} for half in ("read", "write")}
    admin.create_exchange(name, kind, dict.fromkeys(pairs, pairs["read"]) if twins else pairs)


def test_a_second_client_of_a_key_pair_is_told_of_where_the_venue_wants_a_rising_nonce(admin: VaultClient) -> None:
    add(admin, "nonces")
    assert admin.create_grant("bot", "nonces", "read").notices == ()
    assert admin.create_grant("bot", "nonces", "read").notices == (), "its own first grant is no second client"
    assert admin.create_grant("second", "nonces", "write").notices == (), "another pair"
    (notice,) = admin.create_grant("second", "nonces", "read").notices
    assert notice.startswith("bot may use this key pair of nonces too, and Bitfinex wants a rising nonce")
    (notice,) = admin.create_grant("third", "*", "*").notices
    assert notice.startswith("bot, second may use this key pair of nonces too")
    assert admin.why("second", "nonces", "read").steps[-1].startswith("bot, third may use")
    assert [notice for notice in admin.create_grant("bot", "*", "read").notices if "every exchange too" in notice]


def test_who_is_switched_off_or_whose_grant_has_ended_shares_nothing(house: Daemon, admin: VaultClient) -> None:
    add(admin, "nonces")
    admin.create_grant("bot", "nonces", "read", not_after=datetime.now(UTC) + timedelta(seconds=2))
    admin.create_grant("third", "nonces", "read")
    assert admin.create_grant("second", "nonces", "read").notices[0].startswith("bot, third")
    admin.update_client("third", state="DISABLED")
    until(lambda: not [step for step in admin.why("second", "nonces", "read").steps if "rising" in step])


def test_one_pair_in_both_halves_is_one_pair(admin: VaultClient) -> None:
    add(admin, "twins", twins=True)
    admin.create_grant("bot", "twins", "read")
    assert len(admin.create_grant("second", "twins", "write").notices) == 1


def test_a_venue_without_a_rising_nonce_gives_no_such_notice(admin: VaultClient) -> None:
    add(admin, "windows", "binance")
    admin.create_grant("bot", "windows", "read")
    assert admin.create_grant("second", "windows", "read").notices == ()


def test_the_command_warns(house: Daemon, admin: VaultClient) -> None:
    add(admin, "nonces")
    assert document(house, "client", "grant", "bot", "nonces")["notices"] == []
    done = vaultctl(house, "client", "grant", "second", "nonces")
    assert done.returncode == 0
    assert "warning: bot may use this key pair of nonces too" in done.stderr
