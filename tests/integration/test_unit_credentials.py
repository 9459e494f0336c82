"""Promises of credentials.sock: what a unit gets that systemd starts, and what everybody else gets, which is nothing.

Control groups of services are made by hand and processes in them ask as systemd does; test_systemd_credentials.py has a
real one do it.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR, Daemon, new_daemon
from tests.support.gate_house import as_root
from tests.support.memory import canary, scan_memory
from tests.support.processes import until
from tests.support.services import ask, asking, service_cgroup
from vaultd import config
from vaultd.errors import ConfigInvalidError
from vaultd_client import ClientKey

pytestmark = as_root
STRANGER = 23_456
REVEAL = """
import sys
from vaultd_client import ClientKey, VaultClient
from vaultd_client.errors import VaultClientError
path, key, *groups = sys.argv[1:]
for group in groups:
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write("0")
with VaultClient(path, ClientKey.load(key)) as vault:
    try:
        print(vault.reveal("main", "read").secret, end="")
    except VaultClientError as error:
        print(error.reason, end="")
"""


@dataclass
class Scene:
    """A daemon with credentials.sock, and a unit that is granted the read half of `main`."""

    daemon: Daemon
    group: Path

    @property
    def unit(self) -> str:
        return self.group.name

    @property
    def socket(self) -> Path:
        return self.daemon.runtime / "credentials.sock"

    def ask(self, credential: str) -> bytes:
        """Asks as systemd does for the unit."""
        return ask(self.socket, credential, self.unit, group=self.group)

    def rules(self) -> list[str]:
        """Returns the rules of the latest denials of the unit."""
        with self.daemon.admin() as admin:
            return [each.rule for each in admin.audit(limit=5, client=f"unit:{self.unit}", decision="deny")]

    def mint(self) -> Path:
        """Returns the path of a fresh client key."""
        path = self.daemon.home / f"minted-{os.urandom(4).hex()}.key"
        path.touch(0o600)
        path.write_bytes(self.ask("vaultd-client.key"))
        return path

    def reveal(self, key: Path, group: Path | None) -> str:
        """Uses a client key from a process in a control group; returns the secret, or the error."""
        public = str(self.daemon.runtime / "vaultd.sock")
        command = [sys.executable, "-c", REVEAL, public, str(key), *([str(group)] if group else [])]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with new_daemon() as daemon, service_cgroup() as group:
        daemon.environment["VAULTD_CREDENTIALS_SOCKET"] = str(daemon.runtime / "credentials.sock")
        config = daemon.home / "vaultd.toml"
        config.write_text("credentials_wait_seconds = 20\n")
        daemon.environment["VAULTD_CONFIG"] = str(config)
        daemon.start()
        daemon.initialize()
        daemon.add_exchange("main")
        made = Scene(daemon, group)
        with daemon.admin() as admin:
            admin.create_grant(f"unit:{made.unit}", "main", "read")
        yield made


@pytest.fixture
def vault(scene: Scene) -> Scene:
    """The scene, unlocked."""
    with scene.daemon.unlocker() as unlocker:
        locked = unlocker.status().state == "LOCKED"
    if locked:
        scene.daemon.unlock()
    return scene


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
def test_a_granted_unit_gets_the_form_that_it_asks_for(vault: Scene, credential: str, expected: object) -> None:
    found = vault.ask(credential).decode()
    assert (json.loads(found) if isinstance(expected, dict) else found) == expected


def test_every_file_has_its_entry_in_the_audit(vault: Scene) -> None:
    assert json.loads(vault.ask("main.json"))["fields"] == READ_PAIR
    with vault.daemon.admin() as admin:
        entry = admin.audit(limit=1, client=f"unit:{vault.unit}")[0]
    assert (entry.method, entry.decision, entry.unit, entry.uid) == ("LoadCredential", "allow", vault.unit, 0)
    assert (entry.configuration, entry.version, entry.detail) == ("read", 1, "credential main.json")


def test_an_id_without_a_half_means_the_only_one_that_is_granted(vault: Scene) -> None:
    assert json.loads(vault.ask("main.json"))["configuration"] == "read"
    with vault.daemon.admin() as admin:
        grant = admin.create_grant(f"unit:{vault.unit}", "main", "write")
        assert vault.ask("main.json") == b""
        assert vault.rules()[0] == "bad-id"
        assert json.loads(vault.ask("main.write.json"))["configuration"] == "write"
        admin.delete_grant(f"unit:{vault.unit}", grant.id)
    assert json.loads(vault.ask("main.json"))["configuration"] == "read"


def test_a_name_with_dots_and_blanks_is_asked_for_as_it_is_or_by_id(vault: Scene) -> None:
    with vault.daemon.admin() as admin:
        made, _ = admin.create_exchange("my.main v2", "binance", {"read": {"api_key": canary(), "secret": canary()}})
        grant = admin.create_grant(f"unit:{vault.unit}", "my.main v2", "read")
        assert json.loads(vault.ask("my.main v2.json"))["name"] == "my.main v2"
        assert json.loads(vault.ask(f"{made.id}.read.json"))["name"] == "my.main v2"
        admin.delete_grant(f"unit:{vault.unit}", grant.id)
    assert vault.ask("my.main v2.json") == b""


def test_names_are_served_up_to_the_107_bytes_that_a_socket_may_have(vault: Scene) -> None:
    room = 107 - len(f"{'0' * 16}/unit/{vault.unit}/.read.freqtrade.json") - 1
    with vault.daemon.admin() as admin:
        admin.create_exchange("x" * room, "binance", {"read": {"api_key": canary(), "secret": canary()}})
        admin.create_grant(f"unit:{vault.unit}", "x" * room, "read")
    assert json.loads(vault.ask(f"{'x' * room}.read.freqtrade.json"))["exchange"]["name"] == "binance"


# --- what everybody else gets ----------------------------------------------------------------------------------------


def test_a_unit_gets_nothing_that_it_is_not_granted(vault: Scene) -> None:
    for credential, rule in (
        ("main.write.json", "no-grant"),
        ("nothing.json", "no-exchange"),
        ("main.yaml", "bad-id"),
        ("main.token", "bad-form"),
    ):
        assert vault.ask(credential) == b""
        assert vault.rules()[0] == rule
    assert vault.ask("main.json") != b""


def test_another_unit_gets_nothing(vault: Scene) -> None:
    with service_cgroup() as other:
        assert ask(vault.socket, "main.json", other.name, group=other) == b""
        assert ask(vault.socket, "vaultd-client.key", other.name, group=other) == b""
    assert vault.ask("main.json") != b""


def test_a_process_of_root_that_is_not_in_the_unit_gets_nothing_in_its_name(vault: Scene) -> None:
    with service_cgroup() as other:
        assert ask(vault.socket, "main.json", vault.unit, group=other) == b""
    assert ask(vault.socket, "main.json", vault.unit, group=None) == b""
    assert "unit check" in vault.daemon.log()
    assert vault.ask("main.json") != b""


def test_only_root_can_reach_the_socket_and_only_root_is_served_there(vault: Scene) -> None:
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
def test_a_name_that_systemd_does_not_make_is_nobodys(vault: Scene, name: str) -> None:
    assert ask(vault.socket, "", "", group=vault.group, name=name.format(unit=vault.unit)) == b""
    good = f"0123456789abcdef/unit/{vault.unit}/main.json"
    assert ask(vault.socket, "", "", group=vault.group, name=good) != b""


# --- waiting -------------------------------------------------------------------------------------------------------


def test_a_start_waits_for_the_unlock(vault: Scene) -> None:
    vault.daemon.lock()
    with asking(vault.socket, "main.json", vault.unit, group=vault.group) as process:
        assert process.stdout is not None
        assert not select.select([process.stdout], [], [], 1.5)[0]
        vault.daemon.unlock()
        assert json.loads(process.communicate(timeout=30)[0])["fields"] == READ_PAIR


def descriptors(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def test_a_held_connection_is_closed_when_its_peer_hangs_up(vault: Scene) -> None:
    vault.daemon.lock()
    until(lambda: "locked: " in vault.daemon.log())
    before = descriptors(vault.daemon)
    process = asking(vault.socket, "main.json", vault.unit, group=vault.group)
    until(lambda: descriptors(vault.daemon) == before + 1, 20)
    process.kill()
    process.communicate()
    until(lambda: descriptors(vault.daemon) == before)


def test_units_that_wait_do_not_spin_the_server(vault: Scene) -> None:
    """systemd shuts its side at once, which a naive server takes for something to read, for ever."""
    vault.daemon.lock()
    before = descriptors(vault.daemon)
    with asking(vault.socket, "main.json", vault.unit, group=vault.group) as process:
        until(lambda: descriptors(vault.daemon) > before, 20)
        assert not select.select([process.stdout], [], [], 1.0)[0]
        before = _ticks(vault.daemon.pid)
        assert not select.select([process.stdout], [], [], 2.0)[0]
        assert _ticks(vault.daemon.pid) - before < 50  # half a second of two
        vault.daemon.unlock()
        assert process.communicate(timeout=30)[0] != b""


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# --- a key for one run ---------------------------------------------------------------------------------------------


def test_a_unit_gets_a_client_key_that_works_in_it_alone(vault: Scene) -> None:
    key = vault.mint()
    loaded, admin = ClientKey.load(key), vault.daemon.admin_key
    assert loaded.vault == admin.vault
    assert loaded.public_key != ClientKey.load(vault.mint()).public_key
    key = vault.mint()
    assert vault.reveal(key, vault.group) == READ_PAIR["secret"]
    with service_cgroup() as other:
        assert vault.reveal(key, other) == "REQUEST_REFUSED"
    assert vault.reveal(key, None) == "REQUEST_REFUSED"


def test_the_key_of_the_start_before_is_worth_nothing(vault: Scene) -> None:
    old = vault.mint()
    assert vault.reveal(old, vault.group) == READ_PAIR["secret"]
    new = vault.mint()
    assert vault.reveal(old, vault.group) == "REQUEST_REFUSED"
    assert vault.reveal(new, vault.group) == READ_PAIR["secret"]


def test_the_key_does_not_survive_a_lock(vault: Scene) -> None:
    key = vault.mint()
    assert vault.reveal(key, vault.group) == READ_PAIR["secret"]
    vault.daemon.lock()
    vault.daemon.unlock()
    assert vault.reveal(key, vault.group) == "REQUEST_REFUSED"


def test_the_key_ends_when_the_units_control_group_does(vault: Scene) -> None:
    with service_cgroup() as group:
        with vault.daemon.admin() as admin:
            admin.create_grant(f"unit:{group.name}", "main", "read")
        other = Scene(vault.daemon, group)
        key = other.mint()
        assert other.reveal(key, group) == READ_PAIR["secret"]
        group.rmdir()
        group.mkdir()  # the next start of the same unit, which asks for no key
        until(lambda: other.reveal(key, group) == "REQUEST_REFUSED", 20)
        assert other.reveal(other.mint(), group) == READ_PAIR["secret"]


def test_the_key_has_the_grants_of_the_unit_and_nothing_of_an_administrator(vault: Scene) -> None:
    with service_cgroup() as group:
        other = Scene(vault.daemon, group)
        with vault.daemon.admin() as admin:
            grant = admin.create_grant(f"unit:{group.name}", "main", "read")
            key = other.mint()
            assert other.reveal(key, group) == READ_PAIR["secret"]
            admin.delete_grant(f"unit:{group.name}", grant.id)
            assert other.reveal(key, group) == "PERMISSION_DENIED"
            assert [each.name for each in admin.clients() if not each.name.startswith("unit:")] == ["admin"]
        assert other.ask("vaultd-client.key") == b""


# --- plaintext -----------------------------------------------------------------------------------------------------


def test_the_server_never_holds_what_a_unit_gets(vault: Scene) -> None:
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
