"""A backup: what is in it, who may make one, and that the vault goes on meanwhile."""

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import backed_up, strace
from tests.support.daemon import PASSPHRASE, READ_PAIR, RECOVERY, WRITE_PAIR, Daemon
from tests.support.vaultctl import MODULE, document, environment, person_at, vaultctl
from vaultd_client import VaultClient, backups
from vaultd_client.cli import age
from vaultd_client.cli.backup import _Source as Source
from vaultd_client.errors import NotFoundError, NotRunningError, RateLimitedError, RefusedError
from vaultd_client.recovery import encode


@pytest.fixture
def vault(daemon: Daemon) -> Daemon:
    return backed_up.settled(daemon)


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    return tmp_path / "identity"


def store_of(path: Path, tmp_path: Path) -> sqlite3.Connection:
    with path.open("rb") as file:
        backups.read_header(file)
        database = tmp_path / "store.db"
        database.write_bytes(file.read())
    return sqlite3.connect(database)


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_a_backup_says_what_it_holds_and_the_vault_has_signed_it(vault: Daemon) -> None:
    made = document(vault, "backup", str(vault.home / "backup"))
    with (vault.home / "backup").open("rb") as file:
        manifest = backups.read_header(file).manifest
    assert manifest.pin == vault.admin_key.vault
    assert (manifest.exchanges, manifest.key_pairs, manifest.clients, manifest.grants) == (1, 2, 4, 3)
    assert (manifest.schema_version, manifest.format_version) == (1, 1)
    assert made["generation"] == manifest.generation
    with vault.admin() as admin:
        entry = admin.audit(limit=1)[0]
    assert (entry.method, entry.sequence, entry.rule) == ("BackupVault", manifest.generation, "permission Vault:Backup")


def test_machine_slots_stay_out_and_leave_no_trace(vault: Daemon, tmp_path: Path) -> None:
    path = backed_up.make(vault)
    here = sqlite3.connect(f"file:{shutil.copy2(vault.database, tmp_path / 'here.db')}?immutable=1", uri=True)
    there = store_of(path, tmp_path)
    (machine,) = here.execute("SELECT wrapped_master_key FROM slots WHERE kind = 'machine'").fetchone()
    assert machine in vault.database.read_bytes()  # the control
    assert there.execute("SELECT kind FROM slots ORDER BY slot").fetchall() == [("passphrase",), ("recovery",)]
    assert machine not in path.read_bytes()


def test_a_backup_holds_no_plaintext(vault: Daemon) -> None:
    content = backed_up.make(vault).read_bytes()
    for value in (*READ_PAIR.values(), *WRITE_PAIR.values(), PASSPHRASE.decode()):
        assert value.encode() not in content
    assert b"binance-main" in content  # the control: names are in it


def test_the_file_is_the_callers_alone_and_whole_or_not_there(vault: Daemon) -> None:
    path = backed_up.make(vault)
    assert path.stat().st_mode & 0o777 == 0o600
    refused = backed_up.refusal(vault, "backup", str(path))
    assert refused["error"] == "exists"
    before = path.read_bytes()
    document(vault, "backup", str(path), "--force")
    assert path.read_bytes() != before
    missing = vault.home / "nowhere" / "backup"
    assert backed_up.refusal(vault, "backup", str(missing))["error"] == "no_file"
    assert [each.name for each in vault.home.glob(".*")] == []


@strace.NEEDED
def test_a_stick_whose_file_system_has_no_links_takes_a_backup(vault: Daemon) -> None:
    trace, path = vault.home / "trace", vault.home / "stick"
    injected = ["-e", "trace=?link,?linkat", "-e", "inject=?link,?linkat:error=EPERM"]  # what vfat and exfat say
    command = ["strace", "-f", "-qq", "-o", str(trace), *injected, sys.executable, *MODULE, "backup", str(path)]
    done = subprocess.run(command, env=environment(vault), capture_output=True, text=True, check=False)
    assert (done.returncode, trace.read_text().count("EPERM")) == (0, 1), done.stderr
    assert document(vault, "backup", "verify", str(path), "--passphrase-fd", "0", given=PASSPHRASE)["ok"]
    assert [each.name for each in vault.home.glob(".*")] == []


def test_a_directory_keeps_the_newest(vault: Daemon) -> None:
    directory = vault.home / "backups"
    directory.mkdir()
    (directory / "notes").touch()
    made = [Path(document(vault, "backup", str(directory), "--keep", "2")["file"]) for _ in range(3)]
    assert sorted(directory.iterdir()) == sorted([directory / "notes", *made[1:]])


def test_a_directory_keeps_the_one_just_made_though_the_clock_was_ahead_for_others(vault: Daemon) -> None:
    directory = vault.home / "backups"
    directory.mkdir()
    first = Path(document(vault, "backup", str(directory))["file"])
    ahead = [directory / re.sub(r"-\d{8}T", f"-{year}0101T", first.name) for year in (2098, 2099)]
    for path in ahead:
        shutil.copy2(first, path)
    made = document(vault, "backup", str(directory), "--keep", "2")
    assert {str(each) for each in directory.iterdir()} == {made["file"], str(ahead[1])}
    assert set(made["removed"]) == {str(first), str(ahead[0])}
    alone = document(vault, "backup", str(directory), "--keep", "1")["file"]
    assert [str(each) for each in directory.iterdir()] == [alone]


def test_stdout_takes_a_backup(vault: Daemon) -> None:
    ran = subprocess.run(
        ["sh", "-c", 'exec "$@" > out', "sh", *vaultctl(vault, "status").args[:3], "backup", "-"],
        env={**vault.environment, "VAULTD_KEY": str(vault.home / "admin.key")},
        cwd=vault.home,
        check=True,
        capture_output=True,
    )
    assert ran.stderr == b""
    with (vault.home / "out").open("rb") as file:
        header = backups.read_header(file)
        assert len(file.read()) == header.manifest.store_bytes


# --- who may ----------------------------------------------------------------------------------------------------------


def test_only_who_has_the_permission_gets_one(vault: Daemon) -> None:
    refused = backed_up.refusal(vault, "backup", str(vault.home / "no"), key=vault.home / "bot.key")
    assert refused["error"] == "permission_denied"
    assert not (vault.home / "no").exists()
    vault.add_bot("keeper", grants=False, permissions=["Vault:Backup"]).save(vault.home / "keeper.key")
    document(vault, "backup", str(vault.home / "yes"), key=vault.home / "keeper.key")
    with vault.client() as stranger, pytest.raises(RefusedError):
        stranger.begin_backup()


def test_bytes_are_for_the_token_alone_and_only_once(vault: Daemon) -> None:
    with vault.admin() as admin, vault.client() as stranger:
        begun = admin.begin_backup()
        with pytest.raises(NotFoundError):
            stranger.read_backup(bytes(16))
        with pytest.raises(RateLimitedError):
            admin.begin_backup()
        first = stranger.read_backup(begun.token)  # the control: the same uid, and it has the token
        assert first.startswith(b"SQLite format 3\0")
        assert admin.read_backup(begun.token, 1 << 63) == b""
        with pytest.raises(NotFoundError):
            admin.read_backup(begun.token)


def test_a_locked_vault_makes_no_backup(vault: Daemon) -> None:
    vault.lock()
    assert backed_up.refusal(vault, "backup", str(vault.home / "no"))["error"] == "vault_locked"


def test_the_server_keeps_nothing_of_a_copy(vault: Daemon) -> None:
    backed_up.make(vault)
    with vault.admin() as admin:
        admin.begin_backup()
        assert sorted(path.name for path in vault.data.iterdir()) == ["vault.db", "vault.db-wal", "vault.db.lock"]
    (vault.data / ".copy-left-by-a-kill").touch()
    vault.stop()
    vault.start()
    assert sorted(path.name for path in vault.data.iterdir() if path.name.startswith(".")) == []


# --- while the vault works --------------------------------------------------------------------------------------------


def test_changes_go_on_and_every_backup_is_of_one_moment(vault: Daemon) -> None:
    stop = threading.Event()
    made: list[int] = []
    problems: list[Exception] = []

    def change() -> None:
        try:
            with vault.admin() as admin:
                while not stop.is_set():
                    admin.update_exchange("binance-main", labels={"n": str(len(made))})
                    made.append(len(made))
        except Exception as error:  # noqa: BLE001 - shown below
            problems.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        paths = [backed_up.make(vault, f"backup-{number}") for number in range(3)]
    finally:
        stop.set()
        thread.join()
    assert not problems
    assert len(made) > 3
    for path in paths:
        assert document(vault, "backup", "verify", str(path), "--passphrase-fd", "0", given=PASSPHRASE)["ok"]


# --- verify -----------------------------------------------------------------------------------------------------------


def test_verify_decrypts_everything_and_counts(vault: Daemon) -> None:
    with vault.admin() as admin:
        admin.rotate_credential("binance-main", "read", READ_PAIR | {"api_key": "READ-key-abcdefgh-0002"})
        admin.revoke_credential("binance-main", "read", 1)
    path = backed_up.make(vault)
    temporary = vault.home / "tmp"
    temporary.mkdir()
    vault.environment["TMPDIR"] = str(temporary)
    found = document(vault, "backup", "verify", str(path), "--passphrase-fd", "0", given=PASSPHRASE)
    checked = found["checked"]
    assert (checked["exchanges"], checked["key_pairs"], checked["without_key"], checked["clients"]) == (1, 2, 1, 4)
    assert checked["audit_entries"] == found["generation"] + 1
    assert list(temporary.iterdir()) == []
    shown = vaultctl(vault, "backup", "verify", str(path), "--recovery-fd", "0", given=encode(bytearray(RECOVERY)))
    assert "2 decrypted, 1 revoked" in shown.stdout, shown.stderr


def test_verify_asks_a_person_and_says_what_a_wrong_passphrase_is(vault: Daemon) -> None:
    path = backed_up.make(vault)
    with person_at(vault, "backup", "verify", str(path)) as person:
        person.answer("Passphrase of the backup: ", PASSPHRASE.decode())
        person.expect("everything in it decrypts")
        assert person.leave() == 0
    refused = backed_up.refusal(vault, "backup", "verify", str(path), "--passphrase-fd", "0", given="not the passphrase")
    assert refused["error"] == "wrong_passphrase"
    assert "on the day it was made" in refused["hint"]


def test_a_backup_opens_with_the_passphrase_of_its_day(vault: Daemon) -> None:
    path = backed_up.make(vault)
    with vault.unlocker() as unlocker:
        unlocker.passphrase_change(bytearray(PASSPHRASE), bytearray(b"another passphrase"))
    assert document(vault, "backup", "verify", str(path), "--passphrase-fd", "0", given=PASSPHRASE)["ok"]


# --- encrypted --------------------------------------------------------------------------------------------------------


def test_a_vault_that_stops_is_told_of_an_encrypted_backup_as_of_another(vault: Daemon, tmp_path: Path, identity: Path) -> None:
    to = age.recipients([document(vault, "backup", "keygen", str(identity))["recipient"]])
    with vault.admin() as admin, (tmp_path / "backup").open("wb") as target:
        source = Source(admin, admin.begin_backup())
        vault.stop()
        with pytest.raises(NotRunningError):
            age.encrypt(source, target, to)


def test_an_encrypted_backup_opens_with_its_identity_and_with_plain_age(vault: Daemon, identity: Path) -> None:
    recipient = document(vault, "backup", "keygen", str(identity))["recipient"]
    assert identity.stat().st_mode & 0o777 == 0o600
    path = backed_up.make(vault, "backup.age", "--recipient", recipient)
    assert b"binance-main" not in path.read_bytes()
    plain = subprocess.run(["age", "-d", "-i", str(identity), str(path)], check=True, capture_output=True).stdout
    assert plain.startswith(backups.MAGIC)
    assert b"binance-main" in plain
    options = ("--identity", str(identity), "--passphrase-fd", "0")
    assert document(vault, "backup", "verify", str(path), *options, given=PASSPHRASE)["ok"]


def test_without_the_identity_or_with_another_it_does_not_open(vault: Daemon, identity: Path) -> None:
    recipient = document(vault, "backup", "keygen", str(identity))["recipient"]
    other = identity.with_name("other")
    document(vault, "backup", "keygen", str(other))
    path = backed_up.make(vault, "backup.age", "--recipient", recipient)
    verify = ("backup", "verify", str(path), "--passphrase-fd", "0")
    assert backed_up.refusal(vault, *verify, given=PASSPHRASE)["error"] == "identity_needed"
    assert backed_up.refusal(vault, *verify, "--identity", str(other), given=PASSPHRASE)["error"] == "wrong_identity"
    assert document(vault, *verify, "--identity", str(identity), given=PASSPHRASE)["ok"]


def test_a_client_of_another_vault_takes_no_backup_for_its_own(vault: Daemon) -> None:
    with VaultClient(vault.runtime / "vaultd.sock", vault.admin_key) as admin:
        header = admin.begin_backup().header
    pin = vault.admin_key.vault
    assert pin is not None
    backups.require_pinned(header, pin)
