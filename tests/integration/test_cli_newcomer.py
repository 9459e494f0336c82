"""The mistakes of the first hour: each is met with what is wrong, and with the next command to type."""

import subprocess
import sys

import pytest

from tests.support.daemon import Daemon
from tests.support.gate_house import as_root
from tests.support.vaultctl import person_at, vaultctl
from vaultd_client import ClientKey

STRANGER = 23_456


@pytest.mark.parametrize("command", [("client", "list"), ("reveal", "main", "--configuration", "read"), ("exchange", "add")])
@pytest.mark.parametrize("has_key", [False, True])
def test_who_has_made_no_vault_is_told_to_make_one(daemon: Daemon, command: tuple[str, ...], has_key: bool) -> None:
    daemon.start()
    if has_key:
        ClientKey.generate().save(daemon.home / "admin.key")
    done = vaultctl(daemon, *command)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (5, "hint: vaultctl init")


def test_a_kind_that_was_mistyped_is_met_with_the_kinds_that_are_called_alike(shared: Daemon) -> None:
    done = vaultctl(shared, "exchange", "add", "new", "--kind", "binnace", "--from-stdin", given='{"api_key": "a"}')
    assert done.returncode == 8
    assert "hint: vaultctl kinds show binance" in done.stderr


_LOOK = """
import os, sys
from pathlib import Path
from vaultd_client.channel import check_present
from vaultd_client.errors import VaultClientError
os.setuid(int(sys.argv[1]))
try:
    check_present(Path(sys.argv[2]))
except VaultClientError as error:
    print(f"{error.reason}: {error}; {error.hint}")
"""


@as_root
def test_who_may_not_look_into_the_owners_directory_hears_that_and_not_that_nothing_runs(shared: Daemon) -> None:
    closed = shared.home / "closed"
    closed.mkdir(mode=0o700)
    socket = closed / "vaultd.sock"
    socket.symlink_to(shared.runtime / "vaultd.sock")

    def looks(uid: int) -> str:
        command = [sys.executable, "-c", _LOOK, str(uid), str(socket)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert looks(0) == ""
    assert looks(STRANGER).startswith(f"PERMISSION_DENIED: uid {STRANGER} may not reach {socket}")
    assert "vaultctl system install" in looks(STRANGER)
    socket.unlink()
    assert looks(0).startswith("NOT_RUNNING: no socket at ")


def test_a_name_that_is_taken_is_refused_before_anything_else_is_asked(shared: Daemon) -> None:
    with person_at(shared, "exchange", "add") as person:
        person.answer("Name of the exchange: ", "binance-main")
        assert person.leave() == 9
    assert "Kind" not in person.shown


def test_ctrl_d_at_a_question_ends_the_line_and_the_command(vault: Daemon) -> None:
    with person_at(vault, "exchange", "revoke", "binance-main") as person:
        person.expect("[y/N]: ")
        person.type("\x04", end="")
        assert person.leave() == 130
    assert person.shown.endswith("[y/N]: \n")
    vault.lock()
    with person_at(vault, "unlock") as person:
        person.expect("Passphrase: ")
        person.type("\x04", end="")
        assert person.leave() == 130
    assert person.shown.endswith("Passphrase: \n")
