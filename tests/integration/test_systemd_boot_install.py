"""Promises of `vaultctl system`, shown on a real systemd that this test boots."""

import json
from collections.abc import Iterator

import pytest

from tests.support.booted import Booted
from tests.support.booted_vault import main_pid, settled, unlock


@pytest.fixture(scope="module")
def vault() -> Iterator[Booted]:
    """A booted host with vaultd installed, unlocked, with one exchange."""
    with settled() as made:
        yield made


def test_an_installation_is_found_good_and_an_opened_directory_is_not(vault: Booted) -> None:
    assert vault.vaultctl("system", "check")["ok"]
    vault.run("chmod", "0777", "/run/vaultd")
    bad = vault.run("vaultctl", "--json", "system", "check", check=False)
    assert bad.returncode == 9
    assert [check["name"] for check in json.loads(bad.stdout)["checks"] if not check["ok"]] == ["/run/vaultd"]
    vault.run("vaultctl", "system", "install")
    assert vault.vaultctl("system", "check")["ok"]


def test_installing_over_a_foreign_file_is_refused_and_changes_nothing(vault: Booted) -> None:
    vault.run("mv", "/etc/systemd/system/vaultd.service", "/root/kept")
    vault.write("/etc/systemd/system/vaultd.service", "[Service]\nExecStart=/bin/true\n")
    refused = vault.run("vaultctl", "--json", "system", "install", check=False)
    assert refused.returncode == 9
    assert "was not written by vaultctl" in json.loads(refused.stdout)["error_description"]
    assert "/bin/true" in vault.run("cat", "/etc/systemd/system/vaultd.service").stdout
    vault.run("mv", "/root/kept", "/etc/systemd/system/vaultd.service")
    assert vault.vaultctl("system", "check")["ok"]


def test_an_installation_that_others_cannot_reach_or_could_change_is_refused(vault: Booted) -> None:
    vault.run("cp", "-a", "/opt/vaultd", "/opt/copy")  # the real one is read-only
    vault.run("sed", "-i", "s,/opt/vaultd,/opt/copy,", "/opt/copy/venv/bin/vaultctl")
    command = ("/opt/copy/venv/bin/python", "/opt/copy/venv/bin/vaultctl", "--json", "system", "install", "--dry-run")

    def said() -> str:
        done = vault.run(*command, check=False)
        return str(json.loads(done.stdout).get("error_description", "good"))

    assert said() == "good"
    for change, back, words in (
        ("chmod 0700 /opt/copy", "chmod 0755 /opt/copy", "closed to other users"),
        ("chown botuser /opt/copy/venv", "chown root /opt/copy/venv", "who could change what the keyholder runs"),
        ("chmod 0777 /opt/copy/venv", "chmod 0755 /opt/copy/venv", "writable by others"),
        (
            "chown botuser /opt/copy/venv/lib/python3*/site-packages",
            "chown root /opt/copy/venv/lib/python3*/site-packages",
            "who could change what the keyholder runs",
        ),
        ("chmod 0600 /opt/copy/venv/lib/python3*/site-packages/vaultd.pth", "chmod -R a+r /opt/copy/venv/lib", "cannot load"),
    ):
        vault.run("bash", "-c", change)
        assert words in said()
        vault.run("bash", "-c", back)
    assert said() == "good"


def test_an_upgrade_of_the_server_costs_no_unlock(vault: Booted) -> None:
    server = main_pid(vault, "vaultd")
    vault.run("vaultctl", "system", "install")
    assert main_pid(vault, "vaultd") != server
    assert vault.state() == "UNLOCKED"


def test_uninstall_leaves_the_vault_and_purge_leaves_nothing(vault: Booted) -> None:
    vault.run("vaultctl", "system", "uninstall")
    left = ("find", "/etc", "/run", "/var/lib", "-name", "*vaultd*", "-not", "-path", "*/log/*")
    assert sorted(vault.run(*left).stdout.split()) == ["/etc/vaultd", "/var/lib/vaultd", "/var/lib/vaultd-anchor"]
    assert vault.run("systemctl", "list-unit-files", "vaultd*", "--no-legend", check=False).stdout == ""
    vault.run("vaultctl", "system", "install")
    unlock(vault)
    assert vault.vaultctl("exchange", "list")["exchanges"][0]["name"] == "main"
    vault.run("vaultctl", "system", "uninstall", "--purge", "--yes")
    assert vault.run(*left).stdout == ""
    assert vault.run("getent", "passwd", "vaultd", "vaultd-keyholder", check=False).stdout == ""
    assert vault.run("getent", "group", "vaultd-admin", check=False).stdout == ""

