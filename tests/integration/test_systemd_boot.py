"""Promises of the system installation, each shown on a real systemd that this test boots."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.support.booted import PASSPHRASE, PREFIX, Booted
from tests.support.booted_vault import (
    HELD,
    IMPOSTOR,
    KEY,
    KEYS,
    REVEAL,
    main_pid,
    settled,
    start,
    unlock,
    unlocked,
    until_active,
)
from tests.support.processes import until


@pytest.fixture(scope="module")
def host() -> Iterator[Booted]:
    """A booted host with vaultd installed, unlocked, one exchange, and a bot that must run in bot.service."""
    with settled() as made:
        yield made


@pytest.fixture
def vault(host: Booted) -> Booted:
    return unlocked(host)


def test_the_keyholders_own_sandbox_works_under_its_unit(vault: Booted) -> None:
    checks = {check["name"]: check["ok"] for check in vault.vaultctl("status")["checks"]}
    wanted = {"seccomp", "landlock_filesystem", "secret_memory", "memory_hygiene", "own_unit", "dumpable", "peer_identity"}
    assert wanted <= checks.keys()
    assert [name for name in wanted if not checks[name]] == []


def test_server_and_keyholder_have_users_of_their_own(vault: Booted) -> None:
    users = [vault.run("ps", "-o", "user:32=", "-p", str(main_pid(vault, f"{unit}.service"))).stdout.strip() for unit in ("vaultd", "vaultd-keyholder")]
    assert users == ["vaultd", "vaultd-keyholder"]


def test_systemctl_status_says_how_it_stands(vault: Booted) -> None:
    until(lambda: "unlocked; 1 exchanges, 2 clients; last unlock 20" in vault.show("vaultd", "StatusText"), 15)
    until(lambda: vault.show("vaultd-keyholder", "StatusText") == "unlocked; serves vaultd")


# --- the server ends, the keys stay ------------------------------------------------------------------------------


def test_a_restart_of_the_server_costs_no_unlock(vault: Booted) -> None:
    keyholder = main_pid(vault, "vaultd-keyholder")
    vault.run("systemctl", "restart", "vaultd")
    assert vault.state() == "UNLOCKED"
    assert start(vault, "bot")["fields"]["secret"] == KEYS["secret"]
    assert main_pid(vault, "vaultd-keyholder") == keyholder


def test_a_killed_server_costs_no_unlock_and_calls_meanwhile_wait(vault: Booted) -> None:
    server = main_pid(vault, "vaultd")
    vault.run("systemctl", "kill", "--signal=KILL", "vaultd")
    assert vault.state() == "UNLOCKED"  # systemd holds the socket: no call fails for it
    until_active(vault, "vaultd", but=server)
    assert start(vault, "bot")["fields"]["secret"] == KEYS["secret"]


def test_a_hanging_server_is_restarted_by_the_watchdog_and_costs_no_unlock(vault: Booted) -> None:
    vault.write("/run/systemd/system/vaultd.service.d/watchdog.conf", "[Service]\nWatchdogSec=1s\n")
    vault.run("systemctl", "daemon-reload")
    vault.run("systemctl", "restart", "vaultd")
    server = main_pid(vault, "vaultd")
    time.sleep(2.5)  # two and a half watchdogs long, nothing must happen
    assert main_pid(vault, "vaultd") == server
    vault.run("kill", "-STOP", str(server))
    until_active(vault, "vaultd", but=server)
    assert vault.state() == "UNLOCKED"
    vault.run("rm", "-r", "/run/systemd/system/vaultd.service.d")
    vault.run("systemctl", "daemon-reload")


def test_a_lock_ends_the_keys_and_an_empty_keyholder_follows(vault: Booted) -> None:
    keyholder = main_pid(vault, "vaultd-keyholder")
    vault.run("vaultctl", "lock")
    assert vault.state() == "LOCKED"
    assert start(vault, "bot")["error"] == "vault_locked"
    until_active(vault, "vaultd-keyholder", but=keyholder)
    unlock(vault)
    assert start(vault, "bot")["fields"]["secret"] == KEYS["secret"]


def test_a_store_that_was_put_back_while_the_server_was_down_is_refused(vault: Booted) -> None:
    vault.run("systemctl", "stop", "vaultd.socket", "vaultd")
    vault.run("cp", "-a", "/var/lib/vaultd", "/var/lib/old")
    vault.run("systemctl", "start", "vaultd.socket", "vaultd")
    vault.run("vaultctl", "exchange", "update", "main", "--label=new=1")
    vault.run("systemctl", "stop", "vaultd.socket", "vaultd")
    vault.run("mv", "/var/lib/vaultd", "/var/lib/new")
    vault.run("cp", "-a", "/var/lib/old", "/var/lib/vaultd")
    vault.run("systemctl", "start", "vaultd.socket", "vaultd")
    status = vault.vaultctl("status")
    assert status["state"] == "LOCKED"
    assert "not the one it left" in status["lock_cause"]
    vault.run("systemctl", "stop", "vaultd.socket", "vaultd")
    vault.run("bash", "-c", "rm -r /var/lib/vaultd /var/lib/old && mv /var/lib/new /var/lib/vaultd")
    vault.run("systemctl", "start", "vaultd.socket", "vaultd")
    unlock(vault)


def test_masks_are_served_while_the_keyholder_is_stopped(vault: Booted) -> None:
    vault.run("systemctl", "stop", "vaultd-unlock.socket", "vaultd-link.socket", "vaultd-keyholder")
    vault.run("systemctl", "restart", "vaultd.socket", "vaultd")
    vault.run("systemctl", "stop", "vaultd-unlock.socket", "vaultd-link.socket", "vaultd-keyholder")
    assert [each["name"] for each in vault.vaultctl("exchange", "list")["exchanges"]] == ["main"]
    assert vault.state() == "LOCKED"
    vault.run("systemctl", "start", "vaultd-unlock.socket", "vaultd-link.socket", "vaultd-keyholder")
    unlock(vault)


# --- reload -----------------------------------------------------------------------------------------------------


def test_a_reload_never_sticks_and_a_bad_one_changes_nothing(vault: Booted) -> None:
    server = main_pid(vault, "vaultd")
    for text, words in (
        ("not toml", "NOT reloaded"),
        ("[kdf]\nmemory_kib = 1\npasses = 3\nlanes = 4\n", "NOT reloaded"),
        ('runtime_dir = "/run/elsewhere"\n', "restart for: runtime_dir"),
        ("[kdf]\nmemory_kib = 65536\npasses = 3\nlanes = 4\n", "last unlock"),
    ):
        vault.write("/etc/vaultd/vaultd.toml", text)
        vault.run("systemctl", "reload", "vaultd")
        until(lambda words=words: words in vault.show("vaultd", "StatusText"))  # type: ignore[misc]
        assert (vault.show("vaultd", "ActiveState"), vault.show("vaultd", "SubState")) == ("active", "running")
    assert "NOT" not in vault.show("vaultd", "StatusText")
    assert main_pid(vault, "vaultd") == server
    vault.run("rm", "/etc/vaultd/vaultd.toml")
    assert vault.state() == "UNLOCKED"


# --- who may be who ---------------------------------------------------------------------------------------------


def test_a_bot_is_served_in_its_unit_and_refused_in_any_other_though_it_holds_the_key(vault: Booted) -> None:
    assert start(vault, "bot")["fields"] == KEYS
    assert start(vault, "other")["error"] == "request_refused"
    outside = vault.run(*REVEAL, user="botuser", environment=KEY, check=False)
    assert json.loads(outside.stdout)["error"] == "request_refused"
    rules = [entry["rule"] for entry in vault.vaultctl("audit", "show", "--decision=deny", "--limit=5")["entries"]]
    assert "wrong-unit" in rules


def test_a_grant_may_name_the_unit_and_counts_there_alone(vault: Booted) -> None:
    vault.run("vaultctl", "client", "update", "bot", "--unit=")
    grant = vault.vaultctl("client", "list")["clients"]
    old = next(each["grants"][0]["id"] for each in grant if each["name"] == "bot")
    made = vault.vaultctl("client", "grant", "bot", "main", "--configuration=read", "--unit=bot.service")
    vault.run("vaultctl", "client", "ungrant", "bot", old)
    assert made["unit"] == "bot.service"
    assert start(vault, "bot")["fields"] == KEYS
    assert start(vault, "other")["error"] == "permission_denied"
    why = vault.vaultctl("client", "why", "bot", "main", "read")
    assert any("in bot.service" in step for step in why["steps"])
    # Not the first of them: what was counted of the denials before may be written after it.
    assert f"grant {made['id']} unit" in [denial["rule"] for denial in why["denials"]]
    vault.run("vaultctl", "client", "update", "bot", "--unit=bot.service")


def test_a_unit_that_has_ended_is_nobodys_even_on_a_connection_that_outlives_it(vault: Booted) -> None:
    """The bot hands its open connection to a process outside, and its own process ends."""
    vault.write("/run/held.py", HELD)
    vault.write(
        "/etc/systemd/system/held.service",
        f"[Service]\nUser=botuser\nEnvironment=VAULTD_KEY=/var/lib/bots/bot.key HOME=/tmp\n"
        f"ExecStart={PREFIX}/bin/python /run/held.py\nType=exec\nKillMode=process\n",
    )
    vault.run("vaultctl", "client", "update", "bot", "--unit=held.service")
    grants = vault.vaultctl("client", "grant", "bot", "main", "--configuration=read")
    vault.run("systemctl", "daemon-reload")
    vault.run("install", "-d", "--owner=botuser", "/run/held")
    vault.run("systemctl", "start", "held")
    until(lambda: vault.run("test", "-e", "/run/held/second", check=False).returncode == 0, 20)
    assert vault.run("cat", "/run/held/first").stdout == "served"
    assert vault.run("cat", "/run/held/second").stdout == "REQUEST_REFUSED"
    vault.run("vaultctl", "client", "ungrant", "bot", grants["id"])
    vault.run("vaultctl", "client", "update", "bot", "--unit=bot.service")


def test_audit_and_who_name_unit_uid_pid_and_start_of_a_caller(vault: Booted) -> None:
    start(vault, "bot")
    uid = int(vault.run("id", "-u", "botuser").stdout)
    entry = next(
        each for each in vault.vaultctl("audit", "show", "--client=bot")["entries"] if each["unit"] == "bot.service"
    )
    assert (entry["uid"], entry["decision"]) == (uid, "allow")
    assert 0 <= _seconds(entry["time"]) - _seconds(entry["started_at"]) < 20
    callers = vault.vaultctl("who")["callers"]
    mine = next(each for each in callers if each["pid"] == entry["pid"] and each["unit"] == "bot.service")
    assert (mine["client"], mine["uid"], mine["started_at"], mine["allowed"]) == ("bot", uid, entry["started_at"], 1)
    assert "bot.service" in vault.run("vaultctl", "who").stdout


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_no_one_but_the_server_may_connect_to_the_link(vault: Booted) -> None:
    connect = """
        import socket
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            try:
                link.connect("/run/vaultd/link.sock")
                print(link.recv(1))
            except OSError as error:
                print(type(error).__name__)
        """
    assert vault.python(connect, user="botuser").strip() == "PermissionError"
    assert vault.python(connect, user="vaultd-keyholder").strip() == "PermissionError"
    vault.run("systemctl", "stop", "vaultd.socket", "vaultd")  # or root would wait behind the server
    assert vault.python(connect).strip() == "b''"
    vault.run("systemctl", "start", "vaultd.socket", "vaultd")
    assert vault.state() == "UNLOCKED"


def test_a_server_that_was_taken_over_cannot_put_a_socket_in_the_place_of_the_keyholders(vault: Booted) -> None:
    take = """
        import os, socket
        try:
            os.unlink("/run/vaultd/unlock.sock")
        except OSError as error:
            print(type(error).__name__)
        try:
            socket.socket(socket.AF_UNIX).bind("/run/vaultd/mine")
        except OSError as error:
            print(type(error).__name__)
        """
    assert vault.python(take, user="vaultd").split() == ["PermissionError", "PermissionError"]
    assert vault.python(take.replace("unlock.sock", "nothing")).split() == ["FileNotFoundError"]  # root could
    vault.run("rm", "/run/vaultd/mine")


def test_a_passphrase_is_not_asked_for_where_somebody_else_listens(vault: Booted) -> None:
    """An impostor in the directory that root alone may write: whoever he is, he is not the keyholder's user."""
    vault.write("/run/impostor.py", IMPOSTOR)
    vault.run("mv", "/run/vaultd/unlock.sock", "/run/vaultd/kept.sock")
    vault.run("systemd-run", "--unit=impostor", "--collect", "--quiet", f"{PREFIX}/bin/python", "/run/impostor.py")
    until(lambda: vault.run("test", "-S", "/run/vaultd/unlock.sock", check=False).returncode == 0)
    done = vault.run("vaultctl", "--json", "unlock", "--passphrase-fd=0", given=PASSPHRASE, check=False)
    assert done.returncode == 12
    assert "who is not the vault's owner" in json.loads(done.stdout)["error_description"]
    vault.run("systemctl", "stop", "impostor")
    assert vault.run("cat", "/run/heard").stdout == ""
    vault.run("mv", "/run/vaultd/kept.sock", "/run/vaultd/unlock.sock")
    assert vault.vaultctl("unlock", "--passphrase-fd=0", given=PASSPHRASE)["already"]


def test_those_of_the_group_may_unlock_and_nobody_else(vault: Booted) -> None:
    refused = vault.run("vaultctl", "--json", "lock", user="otheruser", environment={"VAULTD_KEY": "/nowhere"}, check=False)
    assert refused.returncode != 0
    assert vault.state() == "UNLOCKED"
    vault.run("usermod", "--append", "--groups", "vaultd-admin", "otheruser")
    vault.run("vaultctl", "lock", user="otheruser")
    assert vault.state() == "LOCKED"
