"""`vaultctl doctor` finds what is wrong: each finding is provoked on a real host and vault, and gone when it is mended."""

import dataclasses
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.daemon import CHEAP, PASSPHRASE, READ_PAIR, Daemon
from tests.support.vaultctl import MODULE, environment, vaultctl
from vaultd_client import ClientKey
from vaultd_client.doctor import host, memory
from vaultd_client.doctor.finding import Level
from vaultd_client.doctor.places import find
from vaultd_client.doctor.vault import ask, clock_of_vault, judge_backup, judge_slots
from vaultd_client.files import file_system
from vaultd_client.models import Vault

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to change the host for it")
CONFIG = "config/vaultd/vaultd.toml"


def look(daemon: Daemon, *prefix: str, after: str = "", key: Path | None = None, **variables: str) -> list[dict[str, str]]:
    """Runs doctor, under another command where one is given, and returns its findings."""
    done = subprocess.run(
        [*prefix, sys.executable, *MODULE, *after.split(), "--json", "doctor"],
        env={**environment(daemon, key), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    document = json.loads(done.stdout)
    errors = any(each["level"] == "error" for each in document["findings"])
    assert done.returncode == (15 if errors else 0), done.stderr
    assert document["ok"] is not errors
    return list(document["findings"])


def of(findings: list[dict[str, str]], check: str) -> list[tuple[str, str]]:
    return [(each["level"], each["reason"]) for each in findings if each["check"] == check]


def levels(findings: list[dict[str, str]], check: str) -> set[str]:
    return {level for level, _ in of(findings, check)}


def test_a_sound_vault_has_no_error_and_ends_with_0(vault: Daemon) -> None:
    found = look(vault)
    assert [each for each in found if each["level"] == "error"] == []
    sound = {"settings", "sockets", "store", "anchor", "key file", "kernel", "disk", "file system", "daemon", "keyholder", "state"}
    assert {each["check"] for each in found if each["level"] == "ok"} >= {*sound, "versions", "audit", "shared keys"}


def test_every_finding_but_a_good_one_says_what_to_type(vault: Daemon) -> None:
    for mode in (0o777, 0o755):
        vault.data.chmod(mode)
        found = look(vault)
        assert [each for each in found if each["level"] in ("warning", "error") and not each["fix"]] == []


def test_for_a_person_each_fix_stands_under_its_finding(vault: Daemon) -> None:
    vault.data.chmod(0o755)
    done = vaultctl(vault, "doctor")
    assert done.returncode == 15
    at = next(number for number, line in enumerate(done.stdout.splitlines()) if "is open to others" in line)
    assert done.stdout.splitlines()[at + 1].split() == ["fix", "chmod", "0700", str(vault.data)]
    subprocess.run(["chmod", "0700", str(vault.data)], check=True)
    assert vaultctl(vault, "doctor").returncode == 0


# --- modes and owners -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "place", "mode"),
    [
        ("sockets", "run", 0o777),
        ("sockets", "run/unlock.sock", 0o666),
        ("store", "data", 0o750),
        ("store", "data/vault.db", 0o644),
        ("anchor", "anchor", 0o711),
        ("anchor", "anchor/anchor", 0o604),
        ("key file", "admin.key", 0o640),
    ],
)
def test_what_is_open_to_others_is_an_error_until_it_is_closed(vault: Daemon, check: str, place: str, mode: int) -> None:
    path = vault.home / place
    before = path.stat().st_mode
    path.chmod(mode)
    assert levels(look(vault), check) == {"error"}
    path.chmod(before)
    assert levels(look(vault), check) == {"ok"}


def test_a_public_socket_that_bots_cannot_open_is_a_warning(vault: Daemon) -> None:
    (vault.runtime / "vaultd.sock").chmod(0o600)
    assert levels(look(vault), "sockets") == {"warning"}


@needs_root
@pytest.mark.parametrize(("check", "place"), [("store", "data/vault.db"), ("anchor", "anchor"), ("key file", "admin.key")])
def test_what_belongs_to_somebody_else_is_an_error(vault: Daemon, check: str, place: str) -> None:
    os.chown(vault.home / place, 65534, -1)
    assert "error" in levels(look(vault), check)
    os.chown(vault.home / place, 0, -1)
    assert levels(look(vault), check) == {"ok"}


def test_a_key_file_that_pins_no_vault_or_is_none_is_told(vault: Daemon, tmp_path: Path) -> None:
    loose = tmp_path / "loose.key"
    ClientKey.generate().save(loose)
    assert levels(look(vault, key=loose), "key file") == {"warning"}
    loose.write_text("not a key")
    loose.chmod(0o600)
    assert levels(look(vault, key=loose), "key file") == {"error"}
    assert levels(look(vault, key=tmp_path / "none.key"), "key file") == {"skipped"}


def test_settings_that_others_can_change_or_nobody_can_read_are_an_error(vault: Daemon) -> None:
    path = vault.home / CONFIG
    path.parent.mkdir(parents=True)
    path.write_text("[kdf]\nmemory_kib = 65536\npasses = 3\nlanes = 4\n")
    path.chmod(0o644)
    assert levels(look(vault), "settings") == {"ok"}
    path.chmod(0o666)
    assert levels(look(vault), "settings") == {"error"}
    path.write_text("[kdf")
    assert "cannot be read as TOML" in of(look(vault), "settings")[0][1]


# --- the host ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def swapped(tmp_path: Path) -> Iterator[Path]:
    """A swap file in use."""
    path = tmp_path / "swap"
    path.write_bytes(bytes(1024 * 1024))
    path.chmod(0o600)
    subprocess.run(["mkswap", str(path)], check=True, capture_output=True)
    done = subprocess.run(["swapon", str(path)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this host takes no swap: {done.stderr.strip()}")
    yield path
    subprocess.run(["swapoff", str(path)], check=True)


@needs_root
def test_swap_that_is_not_encrypted_is_a_warning(swapped: Path, vault: Daemon) -> None:
    found = of(look(vault), "swap")
    assert found[0][0] == "warning"
    assert str(swapped) in found[0][1]


def test_swap_is_fine_where_it_is_dm_crypt_all_the_way_down_or_never_used_for_the_keyholder(tmp_path: Path) -> None:
    device = tmp_path / "disk"
    device.touch()
    number = device.stat().st_dev
    block = tmp_path / "sys/dev/block" / f"{os.major(number)}:{os.minor(number)}"
    lower = block / "slaves/dm-0/dm"
    lower.mkdir(parents=True)
    (tmp_path / "swaps").write_text(f"Filename Type Size Used Priority\n{device} file 8 0 -2\n")
    places = dataclasses.replace(find(None, None, tmp_path / "key"), proc=tmp_path, sys=tmp_path / "sys")
    for uuid, level in (("LVM-abc", Level.WARNING), ("CRYPT-LUKS2-abc", Level.OK)):
        (lower / "uuid").write_text(uuid)
        assert [each.level for each in memory.swap(places)] == [level]
    (lower / "uuid").write_text("LVM-abc")
    group = tmp_path / "sys/fs/cgroup/system.slice/vaultd-keyholder.service"
    group.mkdir(parents=True)
    system = dataclasses.replace(places, system=True)
    for limit, swap, unit in (("max\n", Level.WARNING, Level.ERROR), ("0\n", Level.OK, Level.OK)):
        (group / "memory.swap.max").write_text(limit)
        assert [each.level for each in memory.swap(system)] == [swap]
        assert [each.level for each in memory.unit_swap(system)] == [unit]


def test_a_shell_that_lets_bots_leave_core_files_is_a_warning(vault: Daemon) -> None:
    command = 'ulimit -S -c "$0"; "$@"; exit $?'
    assert levels(look(vault, "bash", "-c", command, "0"), "core files") == {"ok"}
    assert levels(look(vault, "bash", "-c", command, "100"), "core files") == {"warning"}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(("call", "feature"), [("memfd_secret", "memfd_secret"), ("landlock_create_ruleset", "Landlock")])
def test_a_kernel_that_lacks_a_feature_is_told(vault: Daemon, call: str, feature: str) -> None:
    lacking = ("strace", "-qq", "-o", "/dev/null", f"--trace={call}", f"--inject={call}:error=ENOSYS")
    assert f"{feature} is missing" in of(look(vault, *lacking), "kernel")[0][1]


@needs_root
def test_a_clock_that_cannot_be_right_is_an_error(vault: Daemon) -> None:
    century = str(100 * 366 * 86_400)
    found = of(look(vault, "unshare", "--time", "--boottime", century, "--fork"), "clock")
    assert ("error" in {level for level, _ in found}) and "runs for longer" in found[0][1]
    assert "error" not in levels(look(vault), "clock")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.skipif(not host.unsynchronised(), reason="needs a host whose clock nothing keeps right")
def test_a_clock_that_nothing_keeps_right_is_a_warning(vault: Daemon) -> None:
    assert levels(look(vault), "clock") == {"warning"}
    # The kernel's answer does not come, and the struct stays zero: synchronised.
    told = ("strace", "-qq", "-o", "/dev/null", "--trace=adjtimex,clock_adjtime", "--inject=adjtimex,clock_adjtime:retval=0")
    assert levels(look(vault, *told), "clock") == {"ok"}


def test_a_clock_that_was_put_back_since_the_daemon_started_is_an_error(vault: Daemon) -> None:
    with vault.admin() as client, vault.unlocker() as keyholder:
        asked = ask(client, keyholder)
        assert list(clock_of_vault(asked)) == []
        assert isinstance(asked.answer, Vault)
        later = dataclasses.replace(asked.answer, started_at=datetime.now(UTC) + timedelta(hours=1))
        assert [each.level for each in clock_of_vault(dataclasses.replace(asked, answer=later))] == [Level.ERROR]


@needs_root
@pytest.mark.parametrize(("options", "disk"), [("size=1m", {"error"}), ("size=100m", {"warning"}), ("size=2g,nr_inodes=1", {"error"})])
def test_a_full_disk_and_one_that_forgets_are_told(vault: Daemon, options: str, disk: set[str]) -> None:
    mounted = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {options} none {vault.data}; exec "$@"', "sh")
    found = look(vault, *mounted)
    assert levels(found, "disk") == disk
    assert "gone after a reboot" in of(found, "file system")[0][1]


def test_a_file_system_is_that_of_the_innermost_mount_whatever_its_name_and_however_it_is_reached(tmp_path: Path) -> None:
    mounts = Path("/proc/self/mountinfo").read_bytes() + (
        b"90 1 0:99 / /srv/vaults rw shared:5 - nfs4 host:/srv rw\n"
        b"91 90 0:98 / /srv/vaults/with\\040blank rw - ext4 /dev/vdb rw\n"
        b"92 90 0:97 / /srv/vaults/caf\xc3\xa9 rw - xfs /dev/vdc rw\n"
    )
    (tmp_path / "link").symlink_to("/srv/vaults")
    assert file_system(Path("/srv/vaults/mine"), mounts) == "nfs4"
    assert file_system(tmp_path / "link" / "mine", mounts) == "nfs4"
    assert file_system(Path("/srv/vaults/with blank/mine"), mounts) == "ext4"
    assert file_system(Path("/srv/vaults/café/mine"), mounts) == "xfs"
    assert file_system(Path("/srv/vaultsother"), mounts) != "nfs4"


# --- the vault --------------------------------------------------------------------------------------------------------


def test_without_a_daemon_it_says_so_and_looks_at_everything_else(vault: Daemon) -> None:
    vault.stop()
    found = look(vault)
    assert levels(found, "daemon") == {"error"}
    assert levels(found, "store") == {"ok"}
    assert levels(found, "audit") == {"skipped"}


def test_a_vault_that_is_locked_or_was_never_made_is_a_warning(daemon: Daemon) -> None:
    daemon.start()
    assert "vaultctl init" in [each["fix"] for each in look(daemon) if each["check"] == "state"]
    daemon.initialize()
    assert levels(look(daemon), "state") == {"ok"}
    daemon.lock()
    assert "vaultctl unlock" in [each["fix"] for each in look(daemon) if each["check"] == "state"]


@needs_root
def test_a_stranger_at_the_unlock_socket_is_an_error(vault: Daemon) -> None:
    path = vault.home / "unlock.sock"
    code = f"import os,socket;s=socket.socket(1);s.bind({str(path)!r});os.setuid(65534);s.listen();print(flush=True);s.accept()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as impostor:
        assert impostor.stdout is not None
        impostor.stdout.readline()
        found = look(vault, after=f"--unlock-socket {path}")
        impostor.kill()
    assert levels(found, "keyholder") == {"error"}


def test_another_version_of_the_client_is_told(vault: Daemon, tmp_path: Path) -> None:
    (tmp_path / "vaultd_client-9.9.dist-info").mkdir()
    (tmp_path / "vaultd_client-9.9.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: vaultd-client\nVersion: 9.9\n")
    assert "client 9.9 differ" in of(look(vault, PYTHONPATH=str(tmp_path)), "versions")[0][1]


def test_weak_slots_and_a_missing_recovery_code_are_warnings(vault: Daemon) -> None:
    weak = [reason for _, reason in of(look(vault), "key slots")]
    assert weak == [f"slot 1 (passphrase) costs a thief of the store {CHEAP.memory_kib // 1024} MiB a guess"]
    with vault.unlocker() as keyholder:
        keyholder.slot_remove(2, bytearray(PASSPHRASE))
    assert any("no recovery code" in reason for _, reason in of(look(vault), "key slots"))


def test_old_slots_and_a_vault_that_no_person_can_open_are_told(vault: Daemon) -> None:
    with vault.unlocker() as keyholder:
        slots = [dataclasses.replace(slot, memory_kib=1 << 20) for slot in keyholder.slots()]
    now = datetime.now(UTC)
    assert [each.level for each in judge_slots(slots, now)] == [Level.OK]
    assert len([each for each in judge_slots(slots, now + timedelta(days=731)) if "days old" in each.reason]) == 2
    machine = [dataclasses.replace(slots[0], kind="machine")]
    assert Level.ERROR in [each.level for each in judge_slots(machine, now)]


def test_a_vault_without_a_backup_and_an_old_one_are_warnings(vault: Daemon) -> None:
    assert of(look(vault), "backup") == [("warning", "none was ever made: with this disk goes every key")]
    assert vaultctl(vault, "backup", str(vault.home / "backup")).returncode == 0
    assert levels(look(vault), "backup") == {"ok"}
    now = datetime.now(UTC)
    assert judge_backup(now - timedelta(days=6), now).level == Level.OK
    assert judge_backup(now - timedelta(days=8), now).level == Level.WARNING


def test_an_audit_that_was_changed_is_an_error(vault: Daemon) -> None:
    assert levels(look(vault), "audit") == {"ok"}
    vault.stop()
    with closing(sqlite3.connect(vault.database)) as connection, connection:
        connection.execute("UPDATE audit SET detail = 'nothing happened' WHERE sequence = 1")
    vault.start()
    vault.unlock()
    found = of(look(vault), "audit")
    assert found[0][0] == "error"
    assert "entry 1 is the first bad one" in found[0][1]


def test_what_a_user_may_not_see_is_skipped_in_words(vault: Daemon) -> None:
    key = vault.home / "stranger.key"
    vault.stranger().save(key)
    found = look(vault, key=key)
    assert levels(found, "audit") == levels(found, "shared keys") == {"skipped"}


def test_two_clients_on_one_key_with_a_rising_nonce_are_told(vault: Daemon) -> None:
    with vault.admin() as admin:
        admin.create_exchange("kraken-main", "kraken", {"read": READ_PAIR | {"secret": "c2VjcmV0LWNhbmFyeS1rcmFrZW4="}})
    for name in ("one", "two"):
        assert levels(look(vault), "shared keys") == {"ok"}
        vault.add_bot(name, grants=False)
        with vault.admin() as admin:
            admin.create_grant(name, "kraken-main", "read")
    found = of(look(vault), "shared keys")
    assert found[0][0] == "warning"
    assert "one, two share the read key of kraken-main" in found[0][1]

