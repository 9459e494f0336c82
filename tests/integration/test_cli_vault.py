"""`vaultctl` makes, unlocks, locks and describes a real vault, for a person and for a program."""

import json
import os
import stat
from pathlib import Path

import pytest

from tests.support.daemon import PASSPHRASE, RECOVERY, Daemon
from tests.support.vaultctl import document, person_at, vaultctl
from vaultd_client import ClientKey
from vaultd_client.recovery import encode

SECRET = "a long new passphrase 4711"
CHEAP = ("--kdf-memory-mib", "64")


@pytest.fixture
def running(daemon: Daemon) -> Daemon:
    return daemon.start()


# --- init -------------------------------------------------------------------------------------------------------------


def test_a_person_makes_a_vault_and_has_to_type_the_recovery_code_again(running: Daemon) -> None:
    with person_at(running, "init", *CHEAP) as person:
        person.answer("New passphrase: ", SECRET)
        person.answer("The same again: ", SECRET)
        person.expect("Write it down, then press Enter: ")
        code = next(line.strip() for line in person.shown.splitlines() if line.count("-") == 7)
        with running.unlocker() as keyholder:
            assert keyholder.status().state == "UNINITIALIZED"  # nothing exists before the code is typed again
        person.type("")
        person.answer("Type the recovery code: ", "nonsense")
        person.expect("That was not the code.")
        person.expect("Write it down, then press Enter: ")
        person.type("")
        person.answer("Type the recovery code: ", code.lower().replace("-", " "))
        person.expect("created, unlocked")
        assert person.leave() == 0
        assert SECRET not in person.shown
    assert document(running, "lock")["state"] == "LOCKED"
    unlocked = document(running, "unlock", "--recovery-fd", "0", given=code)
    assert unlocked["state"] == "UNLOCKED"


def test_a_recovery_code_that_is_never_typed_right_makes_no_vault(running: Daemon) -> None:
    with person_at(running, "init", *CHEAP) as person:
        person.answer("New passphrase: ", SECRET)
        person.answer("The same again: ", SECRET)
        for _ in range(3):
            person.answer("press Enter: ", "")
            person.answer("Type the recovery code: ", "wrong")
        person.expect("nothing was created")
        assert person.leave() == 2
    assert document(running, "status")["state"] == "UNINITIALIZED"
    assert not (running.home / "admin.key").exists()


def test_a_program_makes_a_vault_over_descriptors(running: Daemon) -> None:
    made = document(running, "init", *CHEAP, "--passphrase-fd", "0", "--recovery-to-fd", "2", given=SECRET)
    assert made["recovery"] is True
    assert made["uid"] == os.getuid()
    key = ClientKey.load(made["key_file"])
    assert key.vault is not None
    assert (key.vault.vault_id.hex(), key.vault.fingerprint) == (made["vault_id"], made["fingerprint"])
    assert stat.S_IMODE(Path(made["key_file"]).stat().st_mode) == 0o600
    assert document(running, "client", "list")["clients"][0]["public_key"] == key.public_key.hex()


def test_the_recovery_code_goes_to_the_named_descriptor_only(running: Daemon) -> None:
    done = vaultctl(running, "init", *CHEAP, "--passphrase-fd", "0", "--recovery-to-fd", "2", "--json", given=SECRET)
    code = done.stderr.strip()
    assert done.returncode == 0
    assert code.count("-") == 7
    assert code not in done.stdout
    vaultctl(running, "lock")
    assert vaultctl(running, "unlock", "--recovery-fd", "0", given=code).returncode == 0


def test_init_uses_a_key_that_is_there_and_refuses_one_that_pins_another_vault(running: Daemon) -> None:
    path = running.home / "admin.key"
    key = ClientKey.generate()
    key.save(path)
    document(running, "init", *CHEAP, "--passphrase-fd", "0", "--no-recovery", given=SECRET)
    assert ClientKey.load(path).public_key == key.public_key
    with_pin = ClientKey.load(path)
    running.stop()
    for file in (running.database, running.anchor):
        file.unlink()
    running.start()
    done = vaultctl(running, "init", *CHEAP, "--passphrase-fd", "0", "--no-recovery", given=SECRET)
    assert done.returncode == 2
    assert "pins another vault" in done.stderr
    assert ClientKey.load(path).vault == with_pin.vault


def test_a_second_init_is_refused_before_anything_is_asked(vault: Daemon) -> None:
    done = vaultctl(vault, "init")
    assert done.returncode == 9
    assert "initialized already" in done.stderr
    assert "no terminal" not in done.stderr


def test_a_short_passphrase_makes_no_vault(running: Daemon) -> None:
    done = vaultctl(running, "init", *CHEAP, "--passphrase-fd", "0", "--no-recovery", given="short")
    assert done.returncode == 2
    assert document(running, "status")["state"] == "UNINITIALIZED"


# --- unlock and lock --------------------------------------------------------------------------------------------------


def test_a_person_unlocks_and_sees_generation_time_and_integrity(vault: Daemon) -> None:
    assert vaultctl(vault, "lock").returncode == 0
    with person_at(vault, "unlock") as person:
        person.answer("Passphrase: ", PASSPHRASE.decode())
        person.expect("generation ")
        person.expect("integrity ")
        assert person.leave() == 0
        assert PASSPHRASE.decode() not in person.shown


def test_unlocking_twice_says_so_and_asks_nothing(shared: Daemon) -> None:
    done = vaultctl(shared, "unlock")
    assert (done.returncode, done.stdout) == (0, "The vault is unlocked already.\n")


def test_locking_twice_says_so(vault: Daemon) -> None:
    assert document(vault, "lock") == {"state": "LOCKED", "already": False}
    assert document(vault, "lock") == {"state": "LOCKED", "already": True}


def test_a_wrong_passphrase_ends_with_10_and_after_five_there_is_a_wait(vault: Daemon) -> None:
    vaultctl(vault, "lock")
    for number in range(1, 6):
        done = vaultctl(vault, "unlock", "--passphrase-fd", "0", given="wrong")
        assert done.returncode == 10
        assert f"{number} wrong in a row" in done.stderr
    refused = vaultctl(vault, "unlock", "--passphrase-fd", "0", "--json", given=PASSPHRASE)
    assert refused.returncode == 10
    error = json.loads(refused.stdout)
    assert error["error"] == "unlock_delayed"
    assert 0 < int(error["metadata"]["retry_after_ms"]) <= 5000
    assert "no attempt for" in document(vault, "status")["unlock_socket"]["detail"]
    waited = vaultctl(vault, "unlock", "--passphrase-fd", "0", "--wait", given=PASSPHRASE)
    assert waited.returncode == 0, waited.stderr


def test_another_vault_than_the_pinned_one_is_not_told_the_passphrase(vault: Daemon, tmp_path: Path) -> None:
    vaultctl(vault, "lock")
    path = tmp_path / "other.key"
    pin = vault.admin_key.vault
    assert pin is not None
    ClientKey.generate().with_pin(type(pin)(pin.vault_id, bytes(32))).save(path)
    done = vaultctl(vault, "unlock", "--passphrase-fd", "0", given=PASSPHRASE, key=path)
    assert done.returncode == 12
    assert document(vault, "status", key=path)["pinned"] is False
    assert document(vault, "status")["state"] == "LOCKED"
    assert vaultctl(vault, "unlock", "--passphrase-fd", "0", given=PASSPHRASE).returncode == 0


def test_commands_that_need_it_unlocked_end_with_4_and_name_the_command(vault: Daemon) -> None:
    vaultctl(vault, "lock")
    for command in (
        "reveal binance-main --configuration read",
        "client list",
        "exchange list --all",
        "exchange add x --kind binance",
        "exchange rotate binance-main --configuration read",
        "slot add",
        "passphrase change",
        "master-key rotate",
        "audit show",
    ):
        done = vaultctl(vault, *command.split())
        assert done.returncode == 4, (command, done.stderr)
        assert done.stderr.splitlines()[1] == "hint: vaultctl unlock"
    for command in ("exchange list", "exchange show binance-main", "slot list", "status"):
        assert vaultctl(vault, *command.split()).returncode == 0


def test_commands_on_a_new_daemon_end_with_5(running: Daemon) -> None:
    for command in ("unlock", "lock", "slot add", "client keygen x.key"):
        done = vaultctl(running, *command.split())
        assert done.returncode == 5, (command, done.stderr)
        assert "vaultctl init" in done.stderr.splitlines()[1]


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_names_every_check_and_its_fallback(shared: Daemon) -> None:
    status = document(shared, "status")
    assert (status["state"], status["pinned"]) == ("UNLOCKED", True)
    assert {"primitives", "peer_identity", "memory_hygiene"} <= {check["name"] for check in status["checks"]}
    shown = vaultctl(shared, "status").stdout
    for check in status["checks"]:
        assert check["name"] in shown
        assert check["detail"] in shown
        assert check["ok"] or "fallback" in shown


def test_status_has_an_exit_code_only_when_asked(vault: Daemon) -> None:
    assert vaultctl(vault, "status", "--exit-code").returncode == 0
    vaultctl(vault, "lock")
    assert vaultctl(vault, "status").returncode == 0
    assert vaultctl(vault, "status", "--exit-code").returncode == 4


# --- key slots --------------------------------------------------------------------------------------------------------


def test_every_kind_of_slot_is_added_used_and_removed(vault: Daemon) -> None:
    machine = vault.home / "machine.key"
    base = [each["kind"] for each in document(vault, "slot", "list")["slots"]]
    assert base == ["passphrase", "recovery"]
    with_old = ("--passphrase-fd", "{old}")
    fds = {"old": PASSPHRASE, "new": SECRET.encode()}
    second = document(vault, "slot", "add", *with_old, "--new-passphrase-fd", "{new}", "--label", "deputy", fds=fds)
    third = document(vault, "slot", "add", "--kind", "machine", "--new-key-file", str(machine), *with_old, fds=fds)
    made = vaultctl(vault, "slot", "add", "--kind", "recovery", "--recovery-to-fd", "2", *with_old, fds=fds)
    code = made.stderr.strip()
    assert stat.S_IMODE(machine.stat().st_mode) == 0o600
    kinds = [each["kind"] for each in document(vault, "slot", "list")["slots"]]
    assert kinds == [*base, "passphrase", "machine", "recovery"]
    for arguments, given in (
        (("--passphrase-fd", "0"), SECRET.encode()),
        (("--key-fd", "0"), machine.read_bytes()),
        (("--recovery-fd", "0"), code.encode()),
    ):
        vaultctl(vault, "lock")
        assert document(vault, "unlock", *arguments, given=given)["state"] == "UNLOCKED"
    for number in (second["slot"], third["slot"]):
        assert document(vault, "slot", "remove", str(number), "--yes", *with_old, fds=fds) == {"removed": number}
    vaultctl(vault, "lock")
    assert vaultctl(vault, "unlock", "--key-fd", "0", given=machine.read_bytes()).returncode == 10


def test_a_machine_key_never_overwrites_a_file(vault: Daemon) -> None:
    path = vault.home / "precious"
    path.write_text("precious")
    arguments = ("slot", "add", "--kind", "machine", "--new-key-file", str(path), "--passphrase-fd", "0")
    assert vaultctl(vault, *arguments, given=PASSPHRASE).returncode == 2
    assert path.read_text() == "precious"


def test_the_last_human_slot_stays(vault: Daemon) -> None:
    arguments = ("slot", "remove", "--yes", "--recovery-fd", "0")
    assert vaultctl(vault, *arguments, "1", given=_code()).returncode == 0
    done = vaultctl(vault, *arguments, "2", given=_code())
    assert done.returncode == 9
    assert done.stderr.splitlines()[1].startswith("hint: add another")


def test_a_person_changes_the_passphrase(vault: Daemon) -> None:
    with person_at(vault, "passphrase", "change") as person:
        person.answer("Old passphrase: ", PASSPHRASE.decode())
        person.answer("New passphrase: ", SECRET)
        person.answer("The same again: ", SECRET)
        person.expect("The passphrase of slot 1 is changed.")
        assert person.leave() == 0
    vaultctl(vault, "lock")
    assert vaultctl(vault, "unlock", "--passphrase-fd", "0", given=PASSPHRASE).returncode == 10
    assert vaultctl(vault, "unlock", "--passphrase-fd", "0", given=SECRET).returncode == 0


def test_the_master_key_is_rotated_with_the_secret_of_every_slot(vault: Daemon) -> None:
    done = vaultctl(vault, "master-key", "rotate", "--slot-fd", "1={one}", fds={"one": PASSPHRASE})
    assert done.returncode == 2  # the recovery code would have to be asked for, and there is no terminal
    fds = {"one": PASSPHRASE, "two": _code().encode()}
    rotated = document(vault, "master-key", "rotate", "--slot-fd", "1={one}", "--slot-fd", "2={two}", fds=fds)
    assert rotated == {"rewrapped": 2}
    vaultctl(vault, "lock")
    assert vaultctl(vault, "unlock", "--passphrase-fd", "0", given=PASSPHRASE).returncode == 0
    assert vaultctl(vault, "reveal", "binance-main", "--configuration", "read").returncode == 0


def _code() -> str:
    return encode(RECOVERY)
