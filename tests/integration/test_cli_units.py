"""`vaultctl unit`: what units may have, and why one was refused."""

from tests.support.daemon import Daemon
from tests.support.vaultctl import document, vaultctl


def test_a_grant_to_a_unit_is_listed_explained_and_taken_back(vault: Daemon) -> None:
    made = document(vault, "unit", "grant", "bot", "binance-main")
    assert made["resource_name"] == f"clients/unit:bot.service/grants/{made['id']}"
    (listed,) = document(vault, "unit", "list")["units"]
    assert (listed["unit"], [each["id"] for each in listed["grants"]]) == ("bot.service", [made["id"]])
    (access,) = document(vault, "unit", "check", "bot.service")["credentials"]
    assert (access["credential"], access["allowed"]) == ("binance-main.read.json", True)
    assert access["rule"] == f"grant {made['id']}"
    assert document(vault, "unit", "revoke", "bot", made["id"])["deleted"] == [made["id"]]
    assert document(vault, "unit", "list")["units"] == []
    assert vaultctl(vault, "unit", "revoke", "bot").returncode == 8
    assert document(vault, "unit", "check", "bot")["credentials"] == []


def test_grant_prints_the_lines_that_the_units_file_needs(vault: Daemon) -> None:
    text = vaultctl(vault, "unit", "grant", "bot", "binance-main").stdout
    assert "LoadCredential=binance-main.json:/run/vaultd/credentials.sock" in text
    assert "ExecStartPre=test -s %d/binance-main.json" in text


def test_who_grants_in_a_users_vault_hears_that_systemd_asks_the_hosts(vault: Daemon) -> None:
    assert "sudo vaultctl system install" in vaultctl(vault, "unit", "grant", "bot", "binance-main").stderr


def test_all_grants_of_a_unit_are_taken_back_together(vault: Daemon) -> None:
    for half in ("read", "write"):
        document(vault, "unit", "grant", "bot", "binance-main", "--configuration", half)
    assert len(document(vault, "unit", "revoke", "bot")["deleted"]) == 2
    assert document(vault, "unit", "list")["units"] == []


def test_check_says_why_a_grant_would_not_help(vault: Daemon) -> None:
    document(vault, "unit", "grant", "bot", "binance-main", "--until", "30d")
    document(vault, "exchange", "update", "binance-main", "--state", "disabled")
    (access,) = document(vault, "unit", "check", "bot")["credentials"]
    assert (access["allowed"], access["rule"]) == (False, "exchange-disabled")
    assert vaultctl(vault, "unit", "check", "bot", "--exit-code").returncode == 6


def test_a_unit_is_no_client_that_could_be_changed_or_named(vault: Daemon) -> None:
    document(vault, "unit", "grant", "bot", "binance-main")
    assert "unit:bot.service" in vaultctl(vault, "client", "list").stdout
    assert vaultctl(vault, "client", "update", "unit:bot.service", "--uid", "0").returncode == 8
    assert vaultctl(vault, "client", "revoke", "unit:bot.service", "--yes").returncode == 8
    key = "vaultd-client:" + "A" * 43
    assert vaultctl(vault, "client", "allow", "unit:other.service", key, "--uid", "0").returncode == 7


def test_a_name_that_no_unit_has_or_that_leaves_no_room_for_a_credential_is_refused(vault: Daemon) -> None:
    for unit in ("a/b", "x" * 80, "bot service"):
        assert vaultctl(vault, "unit", "grant", unit, "binance-main").returncode == 7
    assert vaultctl(vault, "unit", "grant", "x" * 60, "binance-main").returncode == 0
