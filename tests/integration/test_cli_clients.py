"""`vaultctl client` and `audit`: who may, who may not, and why."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.vaultctl import document, person_at, vaultctl
from vaultd_client import ClientKey


@pytest.fixture
def bot(vault: Daemon) -> Path:
    """An allowed client with a grant for the read half."""
    path = vault.home / "bot.key"
    public = document(vault, "client", "keygen", str(path))["public_key"]
    document(vault, "client", "allow", "bot", public, "--uid", str(os.getuid()))
    document(vault, "client", "grant", "bot", "binance-main", "--configuration", "read")
    return path


def reveal(vault: Daemon, half: str, key: Path) -> int:
    return vaultctl(vault, "reveal", "binance-main", "--configuration", half, key=key).returncode


def test_a_bot_gets_its_half_and_is_refused_the_other(vault: Daemon, bot: Path) -> None:
    done = vaultctl(vault, "reveal", "binance-main", "--configuration", "read", key=bot)
    assert json.loads(done.stdout)["fields"] == READ_PAIR
    assert reveal(vault, "write", bot) == 6


def test_a_stranger_is_refused_and_lists_masks(vault: Daemon, bot: Path) -> None:
    stranger = vault.home / "stranger.key"
    document(vault, "client", "keygen", str(stranger))
    assert reveal(vault, "read", stranger) == 6
    assert document(vault, "exchange", "list", key=stranger)["exchanges"]
    assert reveal(vault, "read", bot) == 0


def test_keygen_prints_the_public_key_alone_on_stdout_and_pins_the_vault(vault: Daemon) -> None:
    path = vault.home / "new.key"
    done = vaultctl(vault, "client", "keygen", str(path))
    key = ClientKey.load(path)
    assert done.stdout == key.public_text + "\n"
    assert key.vault == vault.admin_key.vault
    assert key.vault is not None
    assert key.vault.fingerprint in done.stderr
    assert vaultctl(vault, "client", "keygen", str(path)).returncode == 7  # never overwritten
    assert ClientKey.load(path).public_key == key.public_key


def test_a_fingerprint_that_is_not_the_vaults_is_refused(vault: Daemon) -> None:
    path = vault.home / "new.key"
    pin = vault.admin_key.vault
    assert pin is not None
    assert vaultctl(vault, "client", "keygen", str(path), "--fingerprint", "SHA256:other").returncode == 12
    assert not path.exists()
    assert vaultctl(vault, "client", "keygen", str(path), "--fingerprint", pin.fingerprint).returncode == 0


def test_a_key_is_pinned_later_and_another_pin_is_not_replaced_unasked(vault: Daemon) -> None:
    path = vault.home / "new.key"
    document(vault, "client", "keygen", str(path), "--no-pin")
    assert ClientKey.load(path).vault is None
    document(vault, "client", "pin", str(path))
    right = vault.admin_key.vault
    assert ClientKey.load(path).vault == right
    assert right is not None
    wrong = type(right)(bytes(16), right.identity)
    ClientKey.load(path).with_pin(wrong).save(path, overwrite=True)
    with person_at(vault, "client", "pin", str(path)) as person:
        person.answer("Trust the running vault from now on? [y/N]: ", "n")
        assert person.leave() == 130
    assert ClientKey.load(path).vault == wrong
    document(vault, "client", "pin", str(path), "--yes")
    assert ClientKey.load(path).vault == right


def test_a_public_key_comes_from_a_file_too(vault: Daemon) -> None:
    public = vault.home / "bot.pub"
    public.write_text(vaultctl(vault, "client", "keygen", str(vault.home / "b.key")).stdout)
    rights = ("--uid", str(os.getuid()), "--permission", "Audit:Read")
    allowed = document(vault, "client", "allow", "b", f"@{public}", *rights)
    assert allowed["permissions"] == ["Audit:Read"]
    assert vaultctl(vault, "client", "allow", "c", "@/nonexistent", "--uid", "0").returncode == 2
    assert vaultctl(vault, "client", "allow", "c", "vaultd-client:short", "--uid", "0").returncode == 7


def test_disabled_enabled_revoked(vault: Daemon, bot: Path) -> None:
    assert document(vault, "client", "disable", "bot")["state"] == "DISABLED"
    assert reveal(vault, "read", bot) == 6
    assert document(vault, "client", "enable", "bot")["state"] == "ACTIVE"
    assert reveal(vault, "read", bot) == 0
    assert document(vault, "client", "revoke", "bot", "--yes")["state"] == "REVOKED"
    assert reveal(vault, "read", bot) == 6
    again = vaultctl(vault, "client", "allow", "bot2", ClientKey.load(bot).public_text, "--uid", "0")
    assert again.returncode == 9


def test_user_unit_and_permissions_are_updated(vault: Daemon, bot: Path) -> None:
    arguments = ("--uid", "4242", "--unit", "bot.service", "--permission", "Audit:Read")
    changed = document(vault, "client", "update", "bot", *arguments)
    assert (changed["uid"], changed["unit"], changed["permissions"]) == (4242, "bot.service", ["Audit:Read"])
    assert reveal(vault, "read", bot) == 6
    changed = document(vault, "client", "update", "bot", "--uid", str(os.getuid()), "--unit", "", "--no-permissions")
    assert (changed["unit"], changed["permissions"]) == ("", [])
    assert reveal(vault, "read", bot) == 0


def test_the_last_administrator_stays(vault: Daemon) -> None:
    for arguments in (("revoke", "admin", "--yes"), ("disable", "admin"), ("update", "admin", "--no-permissions")):
        assert vaultctl(vault, "client", *arguments).returncode == 9
    assert vaultctl(vault, "client", "list").returncode == 0


def test_grants_have_an_end_and_a_rate_and_are_taken_back(vault: Daemon, bot: Path) -> None:
    limits = ("--configuration", "write", "--until", "1h", "--rate", "2/60s")
    grant = document(vault, "client", "grant", "bot", "binance-main", *limits)
    assert (grant["rate_count"], grant["rate_seconds"]) == (2, 60)
    assert grant["not_after"] is not None
    assert [reveal(vault, "write", bot) for _ in range(3)] == [0, 0, 6]
    document(vault, "client", "ungrant", "bot", grant["id"])
    assert vaultctl(vault, "client", "ungrant", "bot", grant["id"]).returncode == 8
    shown = vaultctl(vault, "client", "list").stdout
    assert "reveal binance-main read" in shown  # by its name, not its id


def test_why_names_the_rule(vault: Daemon, bot: Path) -> None:
    allowed = document(vault, "client", "why", "bot", "binance-main", "read")
    assert allowed["allowed"] is True
    assert allowed["rule"].startswith("grant gr-")
    denied = vaultctl(vault, "client", "why", "bot", "binance-main", "write", "--exit-code")
    assert denied.returncode == 6
    assert denied.stdout.startswith("denied: no-grant\n  1. ")
    assert vaultctl(vault, "client", "why", "bot", "binance-main", "read", "--exit-code").returncode == 0
    assert reveal(vault, "write", bot) == 6
    assert "RevealCredential" in vaultctl(vault, "client", "why", "bot", "binance-main", "write").stdout


def test_the_audit_shows_who_was_denied_and_holds_no_secret(vault: Daemon, bot: Path) -> None:
    assert reveal(vault, "read", bot) == 0
    assert reveal(vault, "write", bot) == 6
    denied = document(vault, "audit", "show", "--client", "bot", "--decision", "deny")["entries"]
    assert [(each["method"].rpartition("/")[2], each["rule"]) for each in denied] == [("RevealCredential", "no-grant")]
    everything = vaultctl(vault, "audit", "show", "--limit", "500").stdout
    assert "binance-main/read" in everything
    assert READ_PAIR["secret"] not in everything
    assert len(document(vault, "audit", "show", "--limit", "2")["entries"]) == 2
    assert vaultctl(vault, "audit", "show", key=bot).returncode == 6


def test_audit_verify_finds_a_whole_chain(vault: Daemon) -> None:
    report = document(vault, "audit", "verify")
    assert report["ok"] is True
    assert report["first_bad"] == 0
    assert report["checked"] >= 2


def test_lock_works_over_a_signed_request_where_the_unlock_socket_is_closed_to_the_caller(vault: Daemon) -> None:
    if os.getuid() != 0:
        pytest.skip("needs another uid")
    key = vault.home / "nobody.key"
    public = document(vault, "client", "keygen", str(key))["public_key"]
    os.chown(key, 65534, 65534)
    document(vault, "client", "allow", "nobody", public, "--uid", "65534")
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "vaultd_client.cli"]
    environment = {**vault.environment, "VAULTD_KEY": str(key)}
    refused = subprocess.run([*command, "lock"], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 6, refused.stderr
    assert document(vault, "status")["state"] == "UNLOCKED"
    document(vault, "client", "update", "nobody", "--permission", "Vault:Lock")
    locked = subprocess.run([*command, "lock"], env=environment, capture_output=True, text=True, check=False)
    assert locked.returncode == 0, locked.stderr
    assert document(vault, "status")["state"] == "LOCKED"
