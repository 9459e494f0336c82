"""The nightly backup, and a restore, on a real systemd that this test boots."""

import json
from collections.abc import Iterator

import pytest

from tests.support.booted import PASSPHRASE, Booted
from tests.support.booted_vault import settled, unlock, until_active
from tests.support.processes import until

DIRECTORY = "/var/lib/vaultd-backup"
KEY = {"VAULTD_KEY": "/etc/vaultd/backup.key"}


@pytest.fixture(scope="module")
def vault() -> Iterator[Booted]:
    """A booted host with an unlocked vault and a key that may make backups, as vaultd-backup.service says."""
    with settled() as made:
        public = made.run("vaultctl", "client", "keygen", "/etc/vaultd/backup.key").stdout.strip()
        only = ("--uid=vaultd", "--unit=vaultd-backup.service", "--permission=Vault:Backup")
        made.run("vaultctl", "client", "allow", "backup", public, *only)
        yield made


def backups(vault: Booted) -> list[str]:
    return vault.run("find", DIRECTORY, "-type", "f", check=False).stdout.split()


def test_the_service_makes_a_backup_that_opens(vault: Booted) -> None:
    vault.run("systemctl", "start", "vaultd-backup.service")
    (path,) = backups(vault)
    assert vault.run("stat", "--format=%U %a", path).stdout.strip() == "vaultd 600"
    found = vault.vaultctl("backup", "verify", path, "--passphrase-fd=0", given=PASSPHRASE)
    assert found["checked"]["key_pairs"] == 1
    entry = vault.vaultctl("audit", "show", "--limit=1")["entries"][0]
    assert (entry["method"], entry["client"], entry["unit"]) == ("BackupVault", "backup", "vaultd-backup.service")


def test_its_key_is_good_for_nothing_but_that_and_nowhere_else(vault: Booted) -> None:
    made = vault.run("vaultctl", "--json", "backup", "/tmp/stolen", environment=KEY, check=False)
    assert json.loads(made.stdout)["error"] == "request_refused"
    assert vault.run("test", "-e", "/tmp/stolen", check=False).returncode == 1


def test_a_recipient_in_a_drop_in_encrypts_it(vault: Booted) -> None:
    recipient = vault.vaultctl("backup", "keygen", "/root/identity")["recipient"]
    drop_in = f'[Service]\nEnvironment="OPTIONS=--recipient {recipient}"\n'
    vault.write("/etc/systemd/system/vaultd-backup.service.d/recipient.conf", drop_in)
    vault.run("systemctl", "daemon-reload")
    vault.run("systemctl", "start", "vaultd-backup.service")
    (path,) = [each for each in backups(vault) if each.endswith(".age")]
    options = ("--identity=/root/identity", "--passphrase-fd=0")
    assert vault.vaultctl("backup", "verify", path, *options, given=PASSPHRASE)["ok"]


def test_the_timer_can_be_switched_on_and_is_off_until_then(vault: Booted) -> None:
    assert vault.run("systemctl", "is-enabled", "vaultd-backup.timer", check=False).stdout.strip() == "disabled"
    vault.run("systemctl", "enable", "--now", "vaultd-backup.timer")
    assert vault.show("vaultd-backup.timer", "ActiveState") == "active"


def test_a_locked_vault_makes_the_service_fail_and_say_so(vault: Booted) -> None:
    before = backups(vault)
    vault.run("vaultctl", "lock")
    assert vault.run("systemctl", "start", "vaultd-backup.service", check=False).returncode != 0
    assert "the vault is locked" in vault.journal()
    assert backups(vault) == before
    unlock(vault)


def test_a_restore_starts_locked_and_suspends_though_the_keyholder_held_the_keys(vault: Booted) -> None:
    path = min(each for each in backups(vault) if not each.endswith(".age"))
    refused = json.loads(vault.run("vaultctl", "--json", "backup", "restore", path, check=False).stdout)
    assert refused["error"] == "store_in_use"
    assert "systemctl stop" in refused["hint"]
    keyholder = vault.show("vaultd-keyholder.service", "MainPID")
    vault.run("systemctl", "stop", "vaultd.socket", "vaultd.service")
    assert vault.show("vaultd-keyholder.service", "MainPID") == keyholder != "0"  # with its keys
    done = vault.vaultctl("backup", "restore", path, "--over-newer")
    vault.run("systemctl", "start", "vaultd.socket", "vaultd.service")
    assert vault.state() == "LOCKED"
    for file in ("/var/lib/vaultd/vault.db", "/var/lib/vaultd-anchor/anchor"):
        assert vault.run("stat", "--format=%U %a", file).stdout.strip() == "vaultd 600"
    assert all(each.startswith("/var/lib/vaultd") for each in done["kept"])
    until_active(vault, "vaultd-keyholder", but=int(keyholder))  # the one that held the keys refused the store and ended
    until(lambda: "serves vaultd" in vault.show("vaultd-keyholder", "StatusText"), 20)
    unlocked = vault.vaultctl("unlock", "--passphrase-fd=0", given=PASSPHRASE)
    assert unlocked["restored"]
    assert vault.vaultctl("reveal", "main", "--configuration=read")["fields"]
