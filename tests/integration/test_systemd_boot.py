"""Promises of the system installation, each shown on a real systemd that this test boots."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.booted import PASSPHRASE, PREFIX, Booted, booted
from tests.support.processes import until

KEYS = {"api_key": "READ-key-abcdefgh-0001", "secret": "READ-secret-canary-77f1c2"}
REVEAL = ("vaultctl", "--json", "reveal", "main", "--configuration=read")
KEY = {"VAULTD_KEY": "/var/lib/bots/bot.key"}
BOT_UNIT = f"""
[Service]
Type=oneshot
User=botuser
Environment=PATH={PREFIX}/bin:/usr/bin:/bin HOME=/tmp VAULTD_KEY=/var/lib/bots/bot.key
ExecStart={PREFIX}/bin/vaultctl --json reveal main --configuration=read
StandardOutput=truncate:/run/%N.out
StandardError=truncate:/run/%N.err
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Booted]:
    """A booted host with vaultd installed, unlocked, one exchange, and a bot that must run in bot.service."""
    with booted() as made:
        made.run("vaultctl", "system", "install")
        made.run("vaultctl", "init", "--no-recovery", "--kdf-memory-mib=64", "--passphrase-fd=0", given=PASSPHRASE)
        made.run("vaultctl", "exchange", "add", "main", "--kind=binance", "--from-stdin", given=json.dumps(KEYS))
        made.run("useradd", "--system", "botuser")
        made.run("useradd", "--system", "otheruser")
        made.run("install", "-d", "--owner=botuser", "/var/lib/bots")
        made.run("vaultctl", "client", "keygen", user="botuser", environment=KEY)
        allow(made, "bot", "--unit=bot.service")
        for name in ("bot", "other"):
            made.write(f"/etc/systemd/system/{name}.service", BOT_UNIT)
        made.run("systemctl", "daemon-reload")
        yield made


@pytest.fixture
def vault(host: Booted) -> Booted:
    """The host, unlocked."""
    if host.state() == "LOCKED":
        unlock(host)
    return host


def allow(host: Booted, name: str, *options: str) -> None:
    """Allows botuser's key, with a grant on the read half of main."""
    public = host.python(
        """
        from vaultd_client import ClientKey
        print(ClientKey.load("/var/lib/bots/bot.key").public_text)
        """,
        user="botuser",
    ).strip()
    host.run("vaultctl", "client", "allow", name, public, "--uid=botuser", *options)
    host.run("vaultctl", "client", "grant", name, "main", "--configuration=read")


def unlock(host: Booted) -> None:
    until(lambda: host.run("vaultctl", "unlock", "--passphrase-fd=0", given=PASSPHRASE, check=False).returncode == 0)


def start(host: Booted, unit: str) -> dict[str, Any]:
    """Runs a bot's unit to its end; returns what its `vaultctl` printed."""
    host.run("systemctl", "start", f"{unit}.service", check=False)
    printed: dict[str, Any] = json.loads(host.run("cat", f"/run/{unit}.out").stdout)
    return printed


def main_pid(host: Booted, unit: str) -> int:
    return int(host.show(unit, "MainPID"))


def until_active(host: Booted, unit: str, *, but: int) -> None:
    """Waits until a unit serves under another pid."""
    until(lambda: host.show(unit, "ActiveState") == "active" and main_pid(host, unit) not in (0, but), 20)


# --- installation -----------------------------------------------------------------------------------------------


def test_an_installation_is_found_good_and_an_opened_directory_is_not(vault: Booted) -> None:
    assert vault.vaultctl("system", "check")["ok"]
    vault.run("chmod", "0777", "/run/vaultd")
    bad = vault.run("vaultctl", "--json", "system", "check", check=False)
    assert bad.returncode == 9
    assert [check["name"] for check in json.loads(bad.stdout)["checks"] if not check["ok"]] == ["/run/vaultd"]
    vault.run("vaultctl", "system", "install")
    assert vault.vaultctl("system", "check")["ok"]


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
        ("chmod 0600 /opt/copy/venv/lib/python3*/site-packages/vaultd.pth", "chmod -R a+r /opt/copy/venv/lib", "cannot load"),
    ):
        vault.run("bash", "-c", change)
        assert words in said()
        vault.run("bash", "-c", back)
    assert said() == "good"


# --- the server ends, the keys stay ------------------------------------------------------------------------------


def test_a_restart_of_the_server_costs_no_unlock(vault: Booted) -> None:
    keyholder = main_pid(vault, "vaultd-keyholder")
    vault.run("systemctl", "restart", "vaultd")
    assert vault.state() == "UNLOCKED"
    assert start(vault, "bot")["fields"]["secret"] == KEYS["secret"]
    assert main_pid(vault, "vaultd-keyholder") == keyholder


def test_an_upgrade_of_the_server_costs_no_unlock(vault: Booted) -> None:
    server = main_pid(vault, "vaultd")
    vault.run("vaultctl", "system", "install")
    assert main_pid(vault, "vaultd") != server
    assert vault.state() == "UNLOCKED"


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
    assert why["denials"][0]["rule"] == f"grant {made['id']} unit"
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


HELD = """
import os, pathlib, select, socket
from vaultd_client import VaultClient
from vaultd_client.errors import VaultClientError

# A relay between the client and the vault: the parent makes the connection, the child goes on with it alone.
out = pathlib.Path("/run/held")
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/held/relay.sock")
listener.listen()
upstream = socket.socket(socket.AF_UNIX)
upstream.connect("/run/vaultd/vaultd.sock")
parent = os.getpid()
if os.fork():
    # Until the child was served once, as long as we live.
    while not (out / "first").exists():
        select.select([], [], [], 0.05)
    os._exit(0)
handle = os.pidfd_open(parent)
if os.fork() == 0:
    inner, _ = listener.accept()
    while True:
        for one in select.select([inner, upstream], [], [])[0]:
            data = one.recv(65536)
            if not data:
                os._exit(0)
            (upstream if one is inner else inner).sendall(data)
with VaultClient("/run/held/relay.sock") as vault:
    vault.reveal("main", "read")
    (out / "new").write_text("served")
    os.rename(out / "new", out / "first")
    select.select([handle], [], [])
    try:
        vault.reveal("main", "read")
        said = "served"
    except VaultClientError as error:
        said = error.reason
    (out / "new").write_text(said)
    os.rename(out / "new", out / "second")
"""


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


IMPOSTOR = """
import os, pwd, socket
heard = open("/run/heard", "wb", buffering=0)
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/vaultd/fresh.sock")
os.setresuid(*[pwd.getpwnam("vaultd").pw_uid] * 2, 0)
listener.listen()
os.setresuid(0, 0, 0)
os.chmod("/run/vaultd/fresh.sock", 0o666)
os.rename("/run/vaultd/fresh.sock", "/run/vaultd/unlock.sock")
while True:
    connection, _ = listener.accept()
    heard.write(connection.recv(65536))
"""


def test_those_of_the_group_may_unlock_and_nobody_else(vault: Booted) -> None:
    refused = vault.run("vaultctl", "--json", "lock", user="otheruser", environment={"VAULTD_KEY": "/nowhere"}, check=False)
    assert refused.returncode != 0
    assert vault.state() == "UNLOCKED"
    vault.run("usermod", "--append", "--groups", "vaultd-admin", "otheruser")
    vault.run("vaultctl", "lock", user="otheruser")
    assert vault.state() == "LOCKED"


# --- the end ----------------------------------------------------------------------------------------------------


def test_uninstall_leaves_the_vault_and_purge_leaves_nothing(vault: Booted) -> None:
    vault.run("vaultctl", "system", "uninstall")
    left = ("find", "/etc", "/run", "/var/lib", "-name", "*vaultd*", "-not", "-path", "*/log/*")
    assert vault.run(*left).stdout.split() == ["/etc/vaultd", "/var/lib/vaultd", "/var/lib/vaultd-anchor"]
    assert vault.run("systemctl", "list-unit-files", "vaultd*", "--no-legend", check=False).stdout == ""
    vault.run("vaultctl", "system", "install")
    unlock(vault)
    assert vault.vaultctl("exchange", "list")["exchanges"][0]["name"] == "main"
    vault.run("vaultctl", "system", "uninstall", "--purge", "--yes")
    assert vault.run(*left).stdout == ""
    assert vault.run("getent", "passwd", "vaultd", "vaultd-keyholder", check=False).stdout == ""
    assert vault.run("getent", "group", "vaultd-admin", check=False).stdout == ""
