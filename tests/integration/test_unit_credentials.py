"""Promises of credentials.sock: what a unit gets that systemd starts, and what everybody else gets, which is nothing.

Control groups of services are made by hand and processes in them ask as systemd does; test_systemd_credentials.py has a
real one do it.
"""

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.integration.test_disks import fill, mounted, until_full
from tests.support.daemon import READ_PAIR, Daemon, new_daemon
from tests.support.gate_house import as_root
from tests.support.memory import canary, scan_memory
from tests.support.processes import until
from tests.support.services import MOST, ask, asking, service_cgroup
from tests.support.unit_scene import UnitScene, unit_scene, unlocked
from vaultd import config
from vaultd.errors import ConfigInvalidError

pytestmark = as_root
STRANGER = 23_456


@pytest.fixture(scope="module")
def scene() -> Iterator[UnitScene]:
    with unit_scene() as made:
        yield made


@pytest.fixture
def vault(scene: UnitScene) -> UnitScene:
    """The scene, unlocked."""
    return unlocked(scene)


# --- what a unit gets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        ("main.secret", READ_PAIR["secret"]),
        ("main.read.api_key", READ_PAIR["api_key"]),
        ("main.env", f"MAIN_API_KEY='{READ_PAIR['api_key']}'\nMAIN_SECRET='{READ_PAIR['secret']}'\n"),
        ("main.ccxt.json", {"apiKey": READ_PAIR["api_key"], "secret": READ_PAIR["secret"]}),
        ("main.freqtrade.json", {"exchange": {"name": "binance", "key": READ_PAIR["api_key"], "secret": READ_PAIR["secret"]}}),
    ],
)
def test_a_granted_unit_gets_the_form_that_it_asks_for(vault: UnitScene, credential: str, expected: object) -> None:
    found = vault.ask(credential).decode()
    assert (json.loads(found) if isinstance(expected, dict) else found) == expected


def test_every_file_has_its_entry_in_the_audit(vault: UnitScene) -> None:
    assert json.loads(vault.ask("main.json"))["fields"] == READ_PAIR
    with vault.daemon.admin() as admin:
        entry = admin.audit(limit=1, client=f"unit:{vault.unit}")[0]
    assert (entry.method, entry.decision, entry.unit, entry.uid) == ("LoadCredential", "allow", vault.unit, 0)
    assert (entry.configuration, entry.version, entry.detail) == ("read", 1, "credential main.json")


def test_an_id_without_a_half_means_the_only_one_that_is_granted(vault: UnitScene) -> None:
    assert json.loads(vault.ask("main.json"))["configuration"] == "read"
    with vault.daemon.admin() as admin:
        grant = admin.create_grant(f"unit:{vault.unit}", "main", "write")
        assert vault.ask("main.json") == b""
        assert vault.rules()[0] == "bad-id"
        assert json.loads(vault.ask("main.write.json"))["configuration"] == "write"
        admin.delete_grant(f"unit:{vault.unit}", grant.id)
    assert json.loads(vault.ask("main.json"))["configuration"] == "read"


def test_a_name_with_dots_and_blanks_is_asked_for_as_it_is_or_by_id(vault: UnitScene) -> None:
    with vault.daemon.admin() as admin:
        made, _ = admin.create_exchange("my.main v2", "binance", {"read": {"api_key": canary(), "secret": canary()}})
        grant = admin.create_grant(f"unit:{vault.unit}", "my.main v2", "read")
        assert json.loads(vault.ask("my.main v2.json"))["name"] == "my.main v2"
        assert json.loads(vault.ask(f"{made.id}.read.json"))["name"] == "my.main v2"
        admin.delete_grant(f"unit:{vault.unit}", grant.id)
    assert vault.ask("my.main v2.json") == b""


def test_names_are_served_up_to_the_107_bytes_that_a_socket_may_have(vault: UnitScene) -> None:
    room = 107 - len(f"{'0' * 16}/unit/{vault.unit}/.read.freqtrade.json") - 1
    with vault.daemon.admin() as admin:
        admin.create_exchange("x" * room, "binance", {"read": {"api_key": canary(), "secret": canary()}})
        admin.create_grant(f"unit:{vault.unit}", "x" * room, "read")
    assert json.loads(vault.ask(f"{'x' * room}.read.freqtrade.json"))["exchange"]["name"] == "binance"


# --- what everybody else gets ----------------------------------------------------------------------------------------


def test_a_unit_gets_nothing_that_it_is_not_granted(vault: UnitScene) -> None:
    for credential, rule in (
        ("main.write.json", "no-grant"),
        ("nothing.json", "no-exchange"),
        ("main.yaml", "bad-id"),
        ("main.token", "bad-form"),
    ):
        assert vault.ask(credential) == b""
        assert vault.rules()[0] == rule
    assert vault.ask("main.json") != b""


def test_a_refusal_is_more_than_systemd_takes_and_a_stranger_hears_nothing(vault: UnitScene) -> None:
    with asking(vault.socket, "main.write.json", vault.unit, group=vault.group) as process:
        said = process.communicate(timeout=30)[0]
    assert len(said) > MOST
    assert set(said) == {0}
    with asking(vault.socket, "", "", group=vault.group, name="somebody") as process:
        assert process.communicate(timeout=30)[0] == b""


def test_another_unit_gets_nothing(vault: UnitScene) -> None:
    with service_cgroup() as other:
        assert ask(vault.socket, "main.json", other.name, group=other) == b""
        assert ask(vault.socket, "vaultd-client.key", other.name, group=other) == b""
    assert vault.ask("main.json") != b""


def test_a_process_of_root_that_is_not_in_the_unit_gets_nothing_in_its_name(vault: UnitScene) -> None:
    with service_cgroup() as other:
        assert ask(vault.socket, "main.json", vault.unit, group=other) == b""
    assert ask(vault.socket, "main.json", vault.unit, group=None) == b""
    assert "unit check" in vault.daemon.log()
    assert vault.ask("main.json") != b""


def test_only_root_can_reach_the_socket_and_only_root_is_served_there(vault: UnitScene) -> None:
    assert vault.socket.stat().st_mode & 0o777 == 0o600
    with asking(vault.socket, "main.json", vault.unit, group=vault.group, uid=STRANGER) as process:
        assert process.communicate(timeout=30)[0] == b""
        assert process.returncode != 0
    vault.socket.chmod(0o666)
    try:
        assert ask(vault.socket, "main.json", vault.unit, group=vault.group, uid=STRANGER) == b""
        assert ask(vault.socket, "main.json", vault.unit, group=vault.group) != b""
    finally:
        vault.socket.chmod(0o600)
    assert f"refused uid {STRANGER}" in vault.daemon.log()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "{unit}",
        "{unit}/main.json",
        "0123456789abcdef/unit/{unit}",
        "0123456789abcdef/unit/{unit}/",
        "0123456789abcdef/unit/{unit}/main.json/",
        "0123456789abcdef/unit/{unit}/x/main.json",
        "0123456789abcdef/unit/../{unit}/main.json",
        "0123456789abcdef/unit//main.json",
        "0123456789ABCDEF/unit/{unit}/main.json",
        "00123456789abcdef/unit/{unit}/main.json",
        "/unit/{unit}/main.json",
        "0123456789abcdef/UNIT/{unit}/main.json",
        "0123456789abcdef/unit/{unit}\n/main.json",
    ],
)
def test_a_name_that_systemd_does_not_make_is_nobodys(vault: UnitScene, name: str) -> None:
    assert ask(vault.socket, "", "", group=vault.group, name=name.format(unit=vault.unit)) == b""
    good = f"0123456789abcdef/unit/{vault.unit}/main.json"
    assert ask(vault.socket, "", "", group=vault.group, name=good) != b""


# --- waiting -------------------------------------------------------------------------------------------------------


def test_a_start_waits_for_the_unlock(vault: UnitScene) -> None:
    vault.daemon.lock()
    with asking(vault.socket, "main.json", vault.unit, group=vault.group) as process:
        assert not select.select([_output(process)], [], [], 1.5)[0]
        vault.daemon.unlock()
        assert json.loads(process.communicate(timeout=30)[0])["fields"] == READ_PAIR


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def held(vault: UnitScene) -> str:
    """Returns the server's end of the connection that asks for the unit, as /proc names it; empty until it was accepted."""
    lines = subprocess.run(["ss", "--unix", "--no-header"], capture_output=True, text=True, check=True).stdout.splitlines()
    inodes = [line.split()[-1] for line in lines if f"/unit/{vault.unit}/" in line]
    return f"socket:[{inodes[0]}]" if inodes and inodes[0] != "0" else ""


def sockets(daemon: Daemon) -> list[str]:
    found = []
    for each in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            found.append(os.readlink(each))
    return found


def test_a_held_connection_is_closed_when_its_peer_hangs_up(vault: UnitScene) -> None:
    vault.daemon.lock()
    process = asking(vault.socket, "main.json", vault.unit, group=vault.group)
    until(lambda: held(vault) in sockets(vault.daemon), 20)
    end = held(vault)
    process.kill()
    process.communicate()
    until(lambda: end not in sockets(vault.daemon))


def test_units_that_wait_do_not_spin_the_server(vault: UnitScene) -> None:
    """systemd shuts its side at once, which a naive server takes for something to read, for ever."""
    vault.daemon.lock()
    with asking(vault.socket, "main.json", vault.unit, group=vault.group) as process:
        until(lambda: held(vault) in sockets(vault.daemon), 20)
        assert not select.select([_output(process)], [], [], 1.0)[0]
        before = _ticks(vault.daemon.pid)
        assert not select.select([_output(process)], [], [], 2.0)[0]
        assert _ticks(vault.daemon.pid) - before < 50  # half a second of two
        vault.daemon.unlock()
        assert json.loads(process.communicate(timeout=30)[0])["fields"] == READ_PAIR


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# --- plaintext -----------------------------------------------------------------------------------------------------


def test_no_entry_in_the_audit_no_file() -> None:
    with new_daemon() as daemon, service_cgroup() as group, mounted(daemon.data, "size=640k,mode=0700"):
        daemon.environment["VAULTD_CREDENTIALS_SOCKET"] = str(daemon.runtime / "credentials.sock")
        daemon.start()
        daemon.initialize()
        daemon.add_exchange("main")
        unit = UnitScene(daemon, group)
        with daemon.admin() as admin:
            admin.create_grant(f"unit:{unit.unit}", "main", "read")
            assert unit.ask("main.json") != b""
            ballast = fill(daemon.data)
            assert until_full(lambda _: admin.reveal("main")).reason == "STORE_FULL"
            assert unit.ask("main.json") == b""
            assert unit.ask("vaultd-client.key") == b""
            assert f"{unit.unit} gets no credential main.json: " in daemon.log()
            ballast.unlink()
            assert admin.create_exchange("other", "binance", {"read": {"api_key": canary(), "secret": canary()}})
            assert unit.ask("main.json") != b""
        daemon.stop()


def test_the_server_never_holds_what_a_unit_gets(vault: UnitScene) -> None:
    secrets = {"api key": canary(), "secret": canary()}
    with vault.daemon.admin() as admin:
        admin.create_exchange("held", "binance", {"read": {"api_key": secrets["api key"], "secret": secrets["secret"]}})
        admin.create_grant(f"unit:{vault.unit}", "held", "read")
    wanted = {name: value.encode() for name, value in secrets.items()}
    for credential in ("held.json", "held.env", "held.ccxt.json", "held.freqtrade.json", "held.secret"):
        for _ in range(5):
            assert wanted["secret"] in vault.ask(credential)
    key = vault.ask("vaultd-client.key")
    wanted["client key"] = key.partition(b"-----BEGIN PRIVATE KEY-----\n")[2].partition(b"\n")[0]
    assert not scan_memory(vault.daemon.pid, wanted).hits
    assert not scan_memory(vault.daemon.keyholder_pid, wanted).hits
    assert {hit.secret for hit in scan_memory(os.getpid(), wanted).hits} == set(wanted)  # the search finds what is there


def test_a_settings_file_that_would_wait_for_ever_is_refused(tmp_path: Path) -> None:
    for given in ("-1", "86401", '"90"', "true", "1.5"):
        (tmp_path / "vaultd.toml").write_text(f"credentials_wait_seconds = {given}\n")
        with pytest.raises(ConfigInvalidError, match="credentials_wait_seconds must be whole seconds"):
            config.load(system=False, environment={"VAULTD_CONFIG": str(tmp_path / "vaultd.toml")})
    (tmp_path / "vaultd.toml").write_text("credentials_wait_seconds = 0\n")
    assert config.load(system=False, environment={"VAULTD_CONFIG": str(tmp_path / "vaultd.toml")}).credentials_wait_seconds == 0
