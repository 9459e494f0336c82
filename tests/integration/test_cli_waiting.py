"""`vaultctl wait-unlocked` and the ways to unlock that services use, without a systemd."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.daemon import PASSPHRASE, Daemon
from tests.support.vaultctl import MODULE, document, environment, vaultctl


def waiting(daemon: Daemon, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, *MODULE, "--json", "wait-unlocked", *options]
    return subprocess.Popen(command, env=environment(daemon), stdout=subprocess.PIPE, text=True)


def test_an_unlocked_vault_is_not_waited_for(vault: Daemon) -> None:
    assert document(vault, "wait-unlocked", "--timeout", "0")["state"] == "UNLOCKED"


def test_it_ends_when_somebody_unlocks_and_not_before(vault: Daemon) -> None:
    vault.lock()
    with waiting(vault) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        vault.unlock()
        assert process.wait(20) == 0


def test_it_waits_for_a_daemon_that_is_yet_to_start(vault: Daemon) -> None:
    vault.stop()
    with waiting(vault, "--timeout", "60") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        vault.start()
        vault.unlock()
        assert process.wait(20) == 0


def test_its_time_is_up_with_13_and_says_what_it_waited_for(vault: Daemon) -> None:
    vault.lock()
    began = time.monotonic()
    locked = vaultctl(vault, "wait-unlocked", "--timeout", "1")
    assert time.monotonic() - began >= 1
    vault.stop()
    stopped = vaultctl(vault, "wait-unlocked", "--timeout", "0.2")
    assert (locked.returncode, stopped.returncode) == (13, 13)
    assert "vaultd is locked after 1 s" in locked.stderr
    assert "vaultd is not running after 0.2 s" in stopped.stderr


def test_a_vault_that_was_never_made_is_not_waited_for(daemon: Daemon) -> None:
    daemon.start()
    assert vaultctl(daemon, "wait-unlocked").returncode == 5


def test_a_credential_of_systemd_opens_the_vault_and_one_that_is_none_is_refused(vault: Daemon, tmp_path: Path) -> None:
    key = tmp_path / "key"
    document(vault, "slot", "add", "--kind", "machine", "--new-key-file", str(key), "--passphrase-fd", "0", given=PASSPHRASE)

    def unlock(name: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, *MODULE, "--json", "unlock", "--credential", name]
        environ = {**environment(vault), **variables}
        return subprocess.run(command, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)

    vault.lock()
    given = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert "no credentials" in json.loads(unlock("key").stdout)["error_description"]
    assert "no name of a credential" in json.loads(unlock("../key", **given).stdout)["error_description"]
    assert "no such file" in json.loads(unlock("other", **given).stdout)["error_description"]
    (tmp_path / "short").write_bytes(key.read_bytes()[:31])
    assert "32 bytes" in json.loads(unlock("short", **given).stdout)["error_description"]
    (tmp_path / "wrong").write_bytes(bytes(32))
    assert unlock("wrong", **given).returncode == 10
    assert json.loads(unlock("key", **given).stdout)["slot"] == 3


def test_the_ways_to_unlock_exclude_each_other(vault: Daemon) -> None:
    vault.lock()
    for pair in (("--credential", "x", "--ask-password"), ("--ask-password", "--passphrase-fd", "0"), ("--credential", "x", "--recovery")):
        done = vaultctl(vault, "unlock", *pair)
        assert done.returncode == 2
        assert "exclude each other" in done.stderr


def test_a_host_without_the_service_makes_no_machine_slot(vault: Daemon) -> None:
    done = vaultctl(vault, "slot", "add", "--machine", "--passphrase-fd", "0", given=PASSPHRASE)
    assert done.returncode in (6, 8)  # needs root; as root, needs the service
    assert [slot["kind"] for slot in document(vault, "slot", "list")["slots"]] == ["passphrase", "recovery"]


def test_many_may_wait_at_once(vault: Daemon) -> None:
    vault.lock()
    ends: list[int] = []
    processes = [waiting(vault) for _ in range(4)]
    threads = [threading.Thread(target=lambda each=each: ends.append(each.wait(40))) for each in processes]
    for thread in threads:
        thread.start()
    vault.unlock()
    for thread in threads:
        thread.join()
    assert ends == [0] * 4
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
