"""`vaultctl unlock` and `lock` wait by themselves for a keyholder that is just being replaced, and say so where it takes long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support import backed_up
from tests.support.backed_up import restore
from tests.support.daemon import PASSPHRASE, Daemon
from tests.support.processes import until
from tests.support.split import Split, split
from tests.support.vaultctl import MODULE, document, environment, vaultctl

NOTE = "just starting or being replaced"


@pytest.fixture
def apart() -> Iterator[Split]:
    with split() as made:
        yield made


def unlocking(daemon: Daemon) -> "subprocess.Popen[str]":
    """Starts an unlock that nobody watches."""
    process = subprocess.Popen(
        [sys.executable, *MODULE, "unlock", "--passphrase-fd", "0"],
        env=environment(daemon),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(PASSPHRASE.decode())
    process.stdin.close()
    process.stdin = None
    return process


def test_it_waits_for_a_server_that_is_just_restarted_and_says_so_after_a_second(apart: Split) -> None:
    apart.lock()
    apart.await_keyholder_end()
    apart.start_keyholder()
    apart.await_state("LOCKED")
    apart.kill()
    with unlocking(apart) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.5)
        apart.start()
        shown, said = process.communicate(timeout=30)
    assert (process.returncode, said.count(NOTE)) == (0, 1), said
    assert "unlocked with slot 1" in shown
    assert apart.state() == "UNLOCKED"


def test_a_server_that_does_not_come_is_told_of_in_a_few_seconds(apart: Split) -> None:
    apart.lock()
    apart.await_keyholder_end()
    apart.start_keyholder()
    apart.await_state("LOCKED")
    apart.kill()
    began = time.monotonic()
    done = vaultctl(apart, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)
    assert done.returncode == 3
    assert 5 < time.monotonic() - began < 20
    assert "hint:" in done.stderr


def test_an_unlock_in_the_moment_after_a_restore_needs_no_second_one(apart: Split) -> None:
    path = backed_up.make(apart)
    apart.stop()
    restore(apart, path, "--over-newer")
    apart.spawn()
    with unlocking(apart) as process:  # the keyholder that is there has the keys still, and will refuse the store
        apart.await_keyholder_end()
        apart.start_keyholder()
        shown, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "unlocked with slot 1" in shown
    apart.await_state("UNLOCKED")


def test_a_lock_waits_for_the_keyholder_that_is_there_by_then(apart: Split) -> None:
    apart.kill()
    apart.lock()
    apart.await_keyholder_end()
    apart.start_keyholder()
    command = [sys.executable, *MODULE, "lock"]
    with subprocess.Popen(command, env=environment(apart), stdout=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        apart.start()
        shown, _ = process.communicate(timeout=30)
    assert (process.returncode, shown) == (0, "The vault is locked already.\n")


def test_an_unlock_in_the_moment_after_the_keyholder_died_needs_no_second_one(vault: Daemon) -> None:
    for _ in range(2):
        os.kill(vault.keyholder_pid, signal.SIGKILL)
        assert document(vault, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)["state"] == "UNLOCKED"
        until(lambda: document(vault, "status")["state"] == "UNLOCKED")


def test_who_has_no_vaultd_at_all_is_told_at_once(vault: Daemon) -> None:
    vault.stop()
    began = time.monotonic()
    done = vaultctl(vault, "unlock", "--passphrase-fd", "0", given=PASSPHRASE)
    assert (done.returncode, NOTE in done.stderr) == (3, False)
    assert time.monotonic() - began < 4
