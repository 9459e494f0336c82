"""Promises of credentials.sock: what a unit gets that systemd starts, and what everybody else gets, which is nothing.

Control groups of services are made by hand and processes in them ask as systemd does; test_systemd_credentials.py has a
real one do it.
"""

import contextlib
import json
import os
import select
import subprocess
from pathlib import Path
from typing import IO

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.disks import fill, until_full
from tests.support.gate_house import as_root
from tests.support.memory import canary, scan_memory
from tests.support.processes import until
from tests.support.services import MOST, ask, asking, service_cgroup
from tests.support.unit_scene import UnitScene, unit_scene
from vaultd import config
from vaultd.errors import ConfigInvalidError

pytestmark = as_root
STRANGER = 23_456


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
def test_a_granted_unit_gets_the_form_that_it_asks_for(scene: UnitScene, credential: str, expected: object) -> None:
    found = scene.ask(credential).decode()
    assert (json.loads(found) if isinstance(expected, dict) else found) == expected


def test_every_file_has_its_entry_in_the_audit(scene: UnitScene) -> None:
    assert json.loads(scene.ask("main.json"))["fields"] == READ_PAIR
    with scene.daemon.admin() as admin:
        entry = admin.audit(limit=1, client=f"unit:{scene.unit}")[0]
    assert (entry.method, entry.decision, entry.unit, entry.uid) == ("LoadCredential", "allow", scene.unit, 0)
    assert (entry.configuration, entry.version, entry.detail) == ("read", 1, "credential main.json")


def test_an_id_without_a_half_means_the_only_one_that_is_granted(scene: UnitScene) -> None:
    assert json.loads(scene.ask("main.json"))["configuration"] == "read"
    with scene.daemon.admin() as admin:
        grant = admin.create_grant(f"unit:{scene.unit}", "main", "write")
        assert scene.ask("main.json") == b""
        assert scene.rules()[0] == "bad-id"
        assert json.loads(scene.ask("main.write.json"))["configuration"] == "write"
        admin.delete_grant(f"unit:{scene.unit}", grant.id)
    assert json.loads(scene.ask("main.json"))["configuration"] == "read"


def test_a_name_with_dots_and_blanks_is_asked_for_as_it_is_or_by_id(scene: UnitScene) -> None:
    with scene.daemon.admin() as admin:
        made, _ = admin.create_exchange("my.main v2", "binance", {"read": {"api_key": canary(), "secret": canary()}})
        grant = admin.create_grant(f"unit:{scene.unit}", "my.main v2", "read")
        assert json.loads(scene.ask("my.main v2.json"))["name"] == "my.main v2"
        assert json.loads(scene.ask(f"{made.id}.read.json"))["name"] == "my.main v2"
        admin.delete_grant(f"unit:{scene.unit}", grant.id)
    assert scene.ask("my.main v2.json") == b""


def test_names_are_served_up_to_the_107_bytes_that_a_socket_may_have(scene: UnitScene) -> None:
    room = 107 - len(f"{'0' * 16}/unit/{scene.unit}/.read.freqtrade.json") - 1
    with scene.daemon.admin() as admin:
        admin.create_exchange("x" * room, "binance", {"read": {"api_key": canary(), "secret": canary()}})
        admin.create_grant(f"unit:{scene.unit}", "x" * room, "read")
    assert json.loads(scene.ask(f"{'x' * room}.read.freqtrade.json"))["exchange"]["name"] == "binance"


# --- what everybody else gets ----------------------------------------------------------------------------------------


def test_a_unit_gets_nothing_that_it_is_not_granted(scene: UnitScene) -> None:
    for credential, rule in (
        ("main.write.json", "no-grant"),
        ("nothing.json", "no-exchange"),
        ("main.yaml", "bad-id"),
        ("main.token", "bad-form"),
    ):
        assert scene.ask(credential) == b""
        assert scene.rules()[0] == rule
    assert scene.ask("main.json") != b""


def test_a_refusal_is_more_than_systemd_takes_and_a_stranger_hears_nothing(scene: UnitScene) -> None:
    with asking(scene.socket, "main.write.json", scene.unit, group=scene.group) as process:
        said = process.communicate(timeout=30)[0]
    assert len(said) > MOST
    assert set(said) == {0}
    with asking(scene.socket, "", "", group=scene.group, name="somebody") as process:
        assert process.communicate(timeout=30)[0] == b""


def test_another_unit_gets_nothing(scene: UnitScene) -> None:
    with service_cgroup() as other:
        assert ask(scene.socket, "main.json", other.name, group=other) == b""
        assert ask(scene.socket, "vaultd-client.key", other.name, group=other) == b""
    assert scene.ask("main.json") != b""


def test_a_process_of_root_that_is_not_in_the_unit_gets_nothing_in_its_name(scene: UnitScene) -> None:
    with service_cgroup() as other:
        assert ask(scene.socket, "main.json", scene.unit, group=other) == b""
    assert ask(scene.socket, "main.json", scene.unit, group=None) == b""
    assert "unit check" in scene.daemon.log()
    assert scene.ask("main.json") != b""


def test_only_root_can_reach_the_socket_and_only_root_is_served_there(scene: UnitScene) -> None:
    assert scene.socket.stat().st_mode & 0o777 == 0o600
    with asking(scene.socket, "main.json", scene.unit, group=scene.group, uid=STRANGER) as process:
        assert process.communicate(timeout=30)[0] == b""
        assert process.returncode != 0
    scene.socket.chmod(0o666)
    try:
        assert ask(scene.socket, "main.json", scene.unit, group=scene.group, uid=STRANGER) == b""
        assert ask(scene.socket, "main.json", scene.unit, group=scene.group) != b""
    finally:
        scene.socket.chmod(0o600)
    assert f"refused uid {STRANGER}" in scene.daemon.log()


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
def test_a_name_that_systemd_does_not_make_is_nobodys(scene: UnitScene, name: str) -> None:
    assert ask(scene.socket, "", "", group=scene.group, name=name.format(unit=scene.unit)) == b""
    good = f"0123456789abcdef/unit/{scene.unit}/main.json"
    assert ask(scene.socket, "", "", group=scene.group, name=good) != b""


# --- waiting -------------------------------------------------------------------------------------------------------


def test_a_start_waits_for_the_unlock(scene: UnitScene) -> None:
    scene.daemon.lock()
    with asking(scene.socket, "main.json", scene.unit, group=scene.group) as process:
        assert not select.select([_output(process)], [], [], 1.5)[0]
        scene.daemon.unlock()
        assert json.loads(process.communicate(timeout=30)[0])["fields"] == READ_PAIR


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def held(scene: UnitScene) -> str:
    """Returns the server's end of the connection that asks for the unit, as /proc names it; empty until it was accepted."""
    lines = subprocess.run(["ss", "--unix", "--no-header"], capture_output=True, text=True, check=True).stdout.splitlines()
    inodes = [line.split()[-1] for line in lines if f"/unit/{scene.unit}/" in line]
    return f"socket:[{inodes[0]}]" if inodes and inodes[0] != "0" else ""


def sockets(daemon: Daemon) -> list[str]:
    found = []
    for each in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            found.append(os.readlink(each))
    return found


def test_a_held_connection_is_closed_when_its_peer_hangs_up(scene: UnitScene) -> None:
    scene.daemon.lock()
    process = asking(scene.socket, "main.json", scene.unit, group=scene.group)
    until(lambda: held(scene) in sockets(scene.daemon), 20)
    end = held(scene)
    process.kill()
    process.communicate()
    until(lambda: end not in sockets(scene.daemon))


def test_units_that_wait_do_not_spin_the_server(scene: UnitScene) -> None:
    """systemd shuts its side at once, which a naive server takes for something to read, for ever."""
    scene.daemon.lock()
    with asking(scene.socket, "main.json", scene.unit, group=scene.group) as process:
        until(lambda: held(scene) in sockets(scene.daemon), 20)
        assert not select.select([_output(process)], [], [], 1.0)[0]
        before = _ticks(scene.daemon.pid)
        assert not select.select([_output(process)], [], [], 2.0)[0]
        assert _ticks(scene.daemon.pid) - before < 50  # half a second of two
        scene.daemon.unlock()
        assert json.loads(process.communicate(timeout=30)[0])["fields"] == READ_PAIR


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# --- plaintext -----------------------------------------------------------------------------------------------------


def test_no_entry_in_the_audit_no_file() -> None:
    with unit_scene("size=640k,mode=0700") as scene:
        with scene.daemon.admin() as admin:
            assert scene.ask("main.json") != b""
            ballast = fill(scene.daemon.data)
            assert until_full(lambda _: admin.reveal("main")).reason == "STORE_FULL"
            assert scene.ask("main.json") == b""
            assert scene.ask("vaultd-client.key") == b""
            assert f"{scene.unit} gets no credential main.json: " in scene.daemon.log()
            ballast.unlink()
            assert admin.create_exchange("other", "binance", {"read": {"api_key": canary(), "secret": canary()}})
            assert scene.ask("main.json") != b""
        scene.daemon.stop()


def test_the_server_never_holds_what_a_unit_gets(scene: UnitScene) -> None:
    secrets = {"api key": canary(), "secret": canary()}
    with scene.daemon.admin() as admin:
        admin.create_exchange("held", "binance", {"read": {"api_key": secrets["api key"], "secret": secrets["secret"]}})
        admin.create_grant(f"unit:{scene.unit}", "held", "read")
    wanted = {name: value.encode() for name, value in secrets.items()}
    for credential in ("held.json", "held.env", "held.ccxt.json", "held.freqtrade.json", "held.secret"):
        for _ in range(5):
            assert wanted["secret"] in scene.ask(credential)
    key = scene.ask("vaultd-client.key")
    wanted["client key"] = key.partition(b"-----BEGIN PRIVATE KEY-----\n")[2].partition(b"\n")[0]
    assert not scan_memory(scene.daemon.pid, wanted).hits
    assert not scan_memory(scene.daemon.keyholder_pid, wanted).hits
    assert {hit.secret for hit in scan_memory(os.getpid(), wanted).hits} == set(wanted)  # the search finds what is there


def test_a_settings_file_that_would_wait_for_ever_is_refused(tmp_path: Path) -> None:
    for given in ("-1", "86401", '"90"', "true", "1.5"):
        (tmp_path / "vaultd.toml").write_text(f"credentials_wait_seconds = {given}\n")
        with pytest.raises(ConfigInvalidError, match="credentials_wait_seconds must be whole seconds"):
            config.load(system=False, environment={"VAULTD_CONFIG": str(tmp_path / "vaultd.toml")})
    (tmp_path / "vaultd.toml").write_text("credentials_wait_seconds = 0\n")
    assert config.load(system=False, environment={"VAULTD_CONFIG": str(tmp_path / "vaultd.toml")}).credentials_wait_seconds == 0
