"""Promises of credentials for units, each shown on a real systemd that this test boots."""

import json
import textwrap
import time
from collections.abc import Iterator

import pytest

from tests.support.booted import PREFIX, ROOT, Booted
from tests.support.booted_vault import KEYS, settled, unlock, unlocked
from tests.support.processes import until

BOT = """
[Service]
Type=oneshot
User=botuser
LoadCredential=main.json:/run/vaultd/credentials.sock
ExecStartPre=test -s %d/main.json
ExecStart=cat %d/main.json
StandardOutput=truncate:/run/%N.out
"""
GUARDLESS = BOT.replace("ExecStartPre=test -s %d/main.json\n", "")
SERVED = f"""
[Service]
User=botuser
LoadCredential=vaultd-client.key:/run/vaultd/credentials.sock
Environment=PATH={PREFIX}/bin:/usr/bin:/bin HOME=/tmp VAULTD_KEY=%d/vaultd-client.key
ExecStartPre=test -s %d/vaultd-client.key
ExecStart={PREFIX}/bin/python /run/keyed.py
"""
KEYED = """
import os, pathlib, shutil, time
from vaultd_client import VaultClient
with VaultClient() as vault:
    secret = vault.reveal("main", "read").secret
    shutil.copy(os.environ["VAULTD_KEY"], "/run/keyed/copy.key")
    pathlib.Path("/run/keyed/new").write_text(secret)
    os.rename("/run/keyed/new", "/run/keyed/secret")
    while True:
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Booted]:
    """A booted host with vaultd unlocked, where paper.service is granted main's read half and thief.service nothing."""
    with settled() as made:
        made.run("vaultctl", "unit", "grant", "paper", "main")
        for name, text in (("paper", BOT), ("thief", BOT), ("careless", GUARDLESS), ("keyed", SERVED)):
            made.write(f"/etc/systemd/system/{name}.service", text)
        made.write("/run/keyed.py", KEYED)
        made.run("install", "-d", "--owner=botuser", "/run/keyed")
        made.run("systemctl", "daemon-reload")
        yield made


@pytest.fixture
def vault(host: Booted) -> Booted:
    return unlocked(host)


def start(host: Booted, unit: str) -> bool:
    """Starts a unit; says whether that went well."""
    return host.run("systemctl", "start", unit, check=False).returncode == 0


def test_a_unit_that_is_granted_it_starts_with_its_key_pair(vault: Booted) -> None:
    assert start(vault, "paper")
    assert json.loads(vault.run("cat", "/run/paper.out").stdout)["fields"] == KEYS


def test_a_unit_that_is_granted_nothing_does_not_start(vault: Booted) -> None:
    assert not start(vault, "thief")
    assert vault.show("thief", "Result") == "exit-code"
    assert start(vault, "paper")


def test_a_bot_without_a_guard_does_not_start_on_an_empty_file_either(vault: Booted) -> None:
    vault.write("/run/careless.out", "")
    assert not start(vault, "careless")
    assert "status=243/CREDENTIALS" in vault.run("journalctl", "--unit=careless", "--output=cat").stdout
    vault.run("vaultctl", "unit", "grant", "careless", "main")
    assert start(vault, "careless")
    assert json.loads(vault.run("cat", "/run/careless.out").stdout)["fields"] == KEYS
    vault.run("vaultctl", "unit", "revoke", "careless")


def test_a_bot_is_not_started_on_another_file_than_its_guard_has_seen(vault: Booted) -> None:
    """systemd 252 asks for each Exec line anew: the guard's file is served, and the bot's is refused."""
    vault.write("/etc/systemd/system/narrow.service", BOT)
    vault.run("systemctl", "daemon-reload")
    vault.run("vaultctl", "unit", "grant", "narrow", "main", "--rate=1/1h")
    assert not start(vault, "narrow")
    assert "status=243/CREDENTIALS" in vault.run("journalctl", "--unit=narrow", "--output=cat").stdout
    decisions = [each["decision"] for each in vault.vaultctl("audit", "show", "--client=unit:narrow.service")["entries"]]
    assert sorted(decisions) == ["allow", "deny"]
    vault.run("vaultctl", "unit", "revoke", "narrow")
    vault.run("vaultctl", "unit", "grant", "narrow", "main", "--rate=2/1h")
    assert start(vault, "narrow")


def test_the_guard_stops_a_bot_when_the_server_ends_while_it_waits(vault: Booted) -> None:
    """An end without a word is an empty file to systemd."""
    vault.run("vaultctl", "lock")
    waiting = "ss --unix --no-header state connected src /run/vaultd/credentials.sock"
    for unit, result in (("paper", "exit-code"), ("careless", "success")):
        vault.run("systemctl", "start", "--no-block", unit)
        until(lambda: vault.run(*waiting.split(), check=False).stdout.strip() != "")
        vault.run("systemctl", "restart", "vaultd")
        until(lambda unit=unit: vault.show(unit, "ActiveState") in ("inactive", "failed"))  # type: ignore[misc]
        assert vault.show(unit, "Result") == result


def test_a_refusal_is_in_the_journal_by_unit_and_check_explains_it(vault: Booted) -> None:
    start(vault, "thief")
    matches = ("_SYSTEMD_UNIT=vaultd.service", "UNIT=thief.service")
    printed = vault.run("journalctl", "--output=json", "--lines=1", *matches).stdout
    entry = json.loads(printed)
    assert (entry["CREDENTIAL"], entry["VAULTD_REASON"]) == ("main.json", "PERMISSION_DENIED")
    found = vault.vaultctl("unit", "check", "thief")
    assert found["credentials"] == []
    assert (found["refusals"][0]["rule"], found["journal"]["reason"]) == ("no-grant", "PERMISSION_DENIED")
    (fix,) = found["fixes"]
    assert fix == "vaultctl unit grant thief.service main --configuration=read"
    assert vault.run("vaultctl", "unit", "check", "thief", "--exit-code", check=False).returncode == 6
    assert vault.run("vaultctl", "unit", "check", "paper", "--exit-code").returncode == 0
    vault.run(*fix.split())
    assert start(vault, "thief")
    vault.run("vaultctl", "unit", "revoke", "thief")
    assert not start(vault, "thief")


def test_the_start_of_a_unit_waits_for_the_unlock(vault: Booted) -> None:
    vault.run("vaultctl", "lock")
    vault.run("rm", "-f", "/run/paper.out")
    vault.run("systemctl", "start", "--no-block", "paper")
    until(lambda: vault.show("paper", "ActiveState") == "activating")
    until(lambda: "credentials.sock" in vault.run("ss", "--unix", "--no-header", check=False).stdout)
    assert vault.run("test", "-s", "/run/paper.out", check=False).returncode != 0
    unlock(vault)
    until(lambda: vault.run("test", "-s", "/run/paper.out", check=False).returncode == 0, 20)
    assert json.loads(vault.run("cat", "/run/paper.out").stdout)["fields"] == KEYS


def test_it_waits_no_longer_than_the_configuration_says(vault: Booted) -> None:
    vault.write("/etc/vaultd/vaultd.toml", "credentials_wait_seconds = 1\n")
    vault.run("systemctl", "reload", "vaultd")
    vault.run("vaultctl", "lock")
    assert not start(vault, "paper")
    assert vault.show("paper", "Result") == "exit-code"  # a refusal, not systemd's own end of patience
    unlock(vault)
    found = vault.vaultctl("unit", "check", "paper")
    assert (found["journal"]["reason"], found["fixes"][0].split(",")[0]) == ("VAULT_LOCKED", "vaultctl unlock")
    vault.run("rm", "/etc/vaultd/vaultd.toml")
    vault.run("systemctl", "reload", "vaultd")


def test_a_credential_is_answered_within_20_ms(vault: Booted) -> None:
    """Fifty times, by a unit that asks as systemd does."""
    vault.run("vaultctl", "unit", "grant", "timed", "main")
    code = """
        import os, socket, time
        def ask():
            with socket.socket(socket.AF_UNIX) as asking:
                asking.bind(b"\\0" + os.urandom(8).hex().encode() + b"/unit/timed.service/main.json")
                began = time.monotonic()
                asking.connect("/run/vaultd/credentials.sock")
                asking.shutdown(socket.SHUT_WR)
                data = b""
                while more := asking.recv(65536):
                    data += more
                assert b"READ-secret" in data, data
                return time.monotonic() - began
        print(*sorted(ask() for _ in range(50)))
        """
    printed = vault.unit("timed.service", f"{PREFIX}/bin/python", "-c", textwrap.dedent(code)).stdout
    times = [float(each) * 1000 for each in printed.split()]
    print(f"LoadCredential= answered: median {times[25]:.1f} ms, fastest {times[0]:.1f}, slowest {times[-1]:.1f}")
    assert times[25] < 20


# --- a key for one run ------------------------------------------------------------------------------------------


@pytest.fixture
def keyed(vault: Booted) -> Iterator[Booted]:
    """The host, on which keyed.service runs with a key of its own and has used it."""
    vault.run("vaultctl", "unit", "grant", "keyed", "main")
    vault.run("rm", "-f", "/run/keyed/secret", "/run/keyed/copy.key")
    assert start(vault, "keyed")
    until(lambda: vault.run("test", "-e", "/run/keyed/secret", check=False).returncode == 0, 30)
    yield vault
    vault.run("systemctl", "stop", "keyed")
    vault.run("vaultctl", "unit", "revoke", "keyed")


COPIED = {"VAULTD_KEY": "/run/keyed/copy.key"}
REVEAL = ("vaultctl", "--json", "reveal", "main", "--configuration=read")


def again(host: Booted) -> str:
    """Has a unit of the same name, which asks systemd for no key, use the copied one; returns the error, or `served`."""
    done = host.unit("keyed.service", "env", f"VAULTD_KEY={COPIED['VAULTD_KEY']}", *REVEAL, user="botuser", check=False)
    return str(json.loads(done.stdout).get("error", "served"))


def test_a_unit_uses_its_key_with_the_client_library_unchanged(keyed: Booted) -> None:
    assert keyed.run("cat", "/run/keyed/secret").stdout == KEYS["secret"]
    entry = keyed.vaultctl("audit", "show", "--client=unit:keyed.service", "--limit=1")["entries"][0]
    assert (entry["method"], entry["unit"], entry["decision"]) == ("RevealCredential", "keyed.service", "allow")


def test_its_key_is_worth_nothing_outside_the_unit(keyed: Booted) -> None:
    outside = keyed.run(*REVEAL, user="botuser", environment=COPIED, check=False)
    assert json.loads(outside.stdout)["error"] == "request_refused"


def test_its_key_lives_through_a_restart_of_the_server(keyed: Booted) -> None:
    keyed.run("systemctl", "restart", "vaultd")
    inside(keyed, "served")


def inside(host: Booted, expected: str) -> None:
    """Uses the copied key from a process that joins the running unit."""
    group = host.show("keyed", "ControlGroup")
    command = (
        f"echo $$ > /sys/fs/cgroup{group}/cgroup.procs && exec runuser --user botuser -- "
        f"env VAULTD_KEY={COPIED['VAULTD_KEY']} {' '.join(REVEAL)}"
    )
    done = host.run("bash", "-c", command, check=False)
    assert json.loads(done.stdout).get("error", "served") == expected


def test_its_key_ends_with_the_unit(keyed: Booted) -> None:
    inside(keyed, "served")
    keyed.run("systemctl", "stop", "keyed")
    keyed.run("mv", "/etc/systemd/system/keyed.service", "/run/kept.service")
    keyed.run("systemctl", "daemon-reload")
    time.sleep(1.5)  # it is looked once a second whether the unit still runs
    assert again(keyed) == "request_refused"
    keyed.run("mv", "/run/kept.service", "/etc/systemd/system/keyed.service")
    keyed.run("systemctl", "daemon-reload")


def test_its_key_does_not_survive_a_lock(keyed: Booted) -> None:
    keyed.run("vaultctl", "lock")
    unlock(keyed)
    inside(keyed, "request_refused")


# --- what is shipped --------------------------------------------------------------------------------------------


def test_the_example_unit_works_as_it_is_shipped(vault: Booted) -> None:
    example = (ROOT / "systemd/examples/bot.service").read_text()
    assert "ExecStart=/usr/local/bin/bot --keys" in example
    vault.write("/etc/systemd/system/example.service", example.replace("/usr/local/bin/bot --keys", "/bin/cat"))
    vault.run("systemctl", "daemon-reload")
    pair = {"api_key": "EXAMPLE-key-abcdefgh-0001", "secret": "EXAMPLE-secret-canary-51aa"}
    vault.run("vaultctl", "exchange", "add", "binance", "--kind=binance", "--from-stdin", given=json.dumps(pair))
    assert not start(vault, "example")
    vault.run("systemctl", "stop", "example")
    vault.run("vaultctl", "unit", "grant", "example", "binance")
    assert start(vault, "example")
    until(lambda: pair["secret"] in vault.run("journalctl", "--unit=example", "--output=cat").stdout)


def test_install_over_an_installation_without_the_socket_brings_it(vault: Booted) -> None:
    vault.run("systemctl", "disable", "--now", "vaultd-credentials.socket")
    vault.run("rm", "/etc/systemd/system/vaultd-credentials.socket")
    vault.run("systemctl", "daemon-reload")
    vault.run("systemctl", "restart", "vaultd")
    assert not start(vault, "paper")
    vault.run("vaultctl", "system", "install")
    assert vault.state() == "UNLOCKED"
    assert start(vault, "paper")
    assert vault.vaultctl("system", "check")["ok"]
