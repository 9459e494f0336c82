"""Promises of a keyholder that is a unit of its own: a server that ends costs no unlock, a changed store is refused."""

import itertools
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.support import strace
from tests.support.daemon import READ_PAIR, new_daemon
from tests.support.exchanges import pair
from tests.support.processes import until
from tests.support.split import Split, revealed
from vaultd_client.errors import LockedError, NotRunningError, RefusedError, UnlockError, VaultClientError


def add(apart: Split, name: str) -> None:
    """Stores an exchange with a key pair that no other has."""
    with apart.admin() as admin:
        admin.create_exchange(name, "binance", {"read": pair(name)})


def copy_of(apart: Split, name: str) -> Path:
    """Copies the store of a stopped server."""
    target = apart.home / name
    shutil.copytree(apart.data, target)
    return target


def put_back(apart: Split, copy: Path) -> None:
    shutil.rmtree(apart.data)
    shutil.copytree(copy, apart.data)


# --- the server ends, the keys stay -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_that_ends_costs_no_unlock(lasting: Split, end: str) -> None:
    keyholder = lasting.keyholder_pid
    getattr(lasting, end)()
    lasting.start()
    assert lasting.state() == "UNLOCKED"
    assert revealed(lasting) == READ_PAIR
    assert lasting.keyholder_pid == keyholder


def test_the_next_server_is_in_the_audit(lasting: Split) -> None:
    lasting.crash()
    with lasting.admin() as admin:
        until(lambda: any(entry.method == "resume" for entry in admin.audit(limit=5)))
        entry = next(entry for entry in admin.audit(limit=5) if entry.method == "resume")
        assert (entry.uid, entry.pid) == (os.getuid(), lasting.pid)
        assert admin.verify_audit().ok


def test_a_client_that_knows_the_epoch_goes_on_after_a_restart(lasting: Split) -> None:
    with lasting.admin() as admin:
        admin.reveal("binance-main", "read")
        epoch = admin.vault().epoch
        lasting.crash()
        assert admin.reveal("binance-main", "read")["api_key"] == READ_PAIR["api_key"]
        assert admin.vault().epoch == epoch


def test_what_was_acknowledged_before_a_crash_is_there_after_it_and_can_be_built_on(apart: Split) -> None:
    for number in range(5):
        add(apart, f"x{number}")
        apart.crash()
    with apart.admin() as admin:
        assert {exchange.name for exchange in admin.list()} == {"binance-main", *(f"x{number}" for number in range(5))}
        assert admin.verify_audit().ok


def test_crashes_in_the_middle_of_changes_keep_the_vault_unlocked_and_whole(apart: Split) -> None:
    """Whatever was under way, done or not: the keyholder takes the store as it is, and the server's answers were true."""
    acknowledged: set[str] = set()
    attempted: set[str] = set()
    stop = threading.Event()

    def work(worker: int) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            name = f"w{worker}-{number}"
            attempted.add(name)
            try:
                add(apart, name)
            except VaultClientError:
                stop.wait(0.05)
            else:
                acknowledged.add(name)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    keyholder = apart.keyholder_pid
    for wanted in range(5, 35, 5):
        until(lambda wanted=wanted: len(acknowledged) >= wanted)  # type: ignore[misc]
        apart.crash()
        assert apart.state() == "UNLOCKED", apart.log()
    stop.set()
    for thread in threads:
        thread.join()
    assert apart.keyholder_pid == keyholder
    with apart.admin() as admin:
        found = {exchange.name for exchange in admin.list()} - {"binance-main"}
        assert admin.verify_audit().ok
    assert acknowledged <= found <= attempted


@strace.NEEDED
def test_a_change_whose_answer_was_lost_counts_where_it_was_done_and_only_there(lasting: Split) -> None:
    """Killed before, in the middle of, and after the writing of one change: the keyholder takes the store's word."""
    keyholder = lasting.keyholder_pid
    outcomes = set()
    for call, when in (("pwrite64", 1), ("pwrite64", 3), ("fdatasync", 1)):
        name = f"lost-{call}-{when}"
        with strace.attached(lasting, [call], "-e", f"inject={call}:signal=SIGKILL:when={when}"):
            with pytest.raises(VaultClientError):
                add(lasting, name)
            assert lasting.process is not None
            assert lasting.process.wait(20) == -9
        lasting.start()
        assert lasting.state() == "UNLOCKED"
        with lasting.admin() as admin:
            outcomes.add(name in {exchange.name for exchange in admin.list()})
            assert admin.verify_audit().ok
        add(lasting, f"after-{call}-{when}")
    assert outcomes == {True, False}
    assert lasting.keyholder_pid == keyholder


def test_without_a_server_only_the_lock_is_taken(apart: Split) -> None:
    apart.stop()
    with apart.unlocker() as unlocker:
        assert unlocker.status().state == "UNLOCKED"
        with pytest.raises(NotRunningError, match="systemctl status vaultd"):
            unlocker.slots()
    apart.lock()
    assert apart.await_keyholder_end() == 0


def test_before_the_first_server_nothing_is_claimed_of_the_state(apart: Split) -> None:
    apart.stop()
    apart.lock()
    apart.await_keyholder_end()
    apart.start_keyholder()
    with apart.unlocker() as unlocker, pytest.raises(NotRunningError):
        unlocker.status()


# --- lock -------------------------------------------------------------------------------------------------------


def test_a_lock_ends_the_keyholder_and_the_server_takes_up_the_next(apart: Split) -> None:
    apart.lock()
    assert apart.await_keyholder_end() == 0
    with pytest.raises(LockedError):
        revealed(apart)
    apart.start_keyholder()
    with apart.unlocker() as unlocker:
        until(lambda: not _absent(unlocker.status))
    apart.unlock()
    apart.await_state("UNLOCKED")
    assert revealed(apart) == READ_PAIR


def _absent(ask: object) -> bool:
    try:
        ask()  # type: ignore[operator]
    except NotRunningError:
        return True
    return False


def test_the_death_of_the_keyholder_is_the_locked_state_and_masks_are_served(apart: Split) -> None:
    assert apart.keyholder is not None
    apart.keyholder.kill()
    apart.await_state("LOCKED")
    with apart.client() as client:
        assert [exchange.name for exchange in client.list()] == ["binance-main"]


def test_a_restarted_server_does_not_shorten_the_wait_after_wrong_passphrases(apart: Split) -> None:
    apart.lock()
    apart.await_keyholder_end()
    apart.start_keyholder()
    with apart.unlocker() as unlocker:
        until(lambda: not _absent(unlocker.status), 20)
        for _ in range(5):
            with pytest.raises(UnlockError):
                unlocker.unlock(bytearray(b"wrong passphrase"))
        before = unlocker.status().retry_after_ms
        apart.stop()
        with sqlite3.connect(apart.database) as connection:
            connection.execute("UPDATE throttle SET failures = 0")
        connection.close()
        apart.start()
        after = unlocker.status()
    assert before > 0
    assert (after.failures, after.retry_after_ms > 0) == (5, True)


# --- another store ----------------------------------------------------------------------------------------------


def refused(apart: Split, cause: str) -> None:
    """The keyholder has ended, the server says why, and the vault is locked."""
    assert apart.await_keyholder_end() == 0
    with apart.client() as client:
        until(lambda: cause in client.vault().lock_cause)
        assert client.vault().state in ("LOCKED", "UNINITIALIZED")


def test_a_rolled_back_store_is_refused(apart: Split) -> None:
    apart.stop()
    old = copy_of(apart, "old")
    apart.start()
    add(apart, "later")
    apart.stop()
    put_back(apart, old)
    shutil.rmtree(apart.anchor_dir)  # the anchor may be rolled back as well: the keyholder remembers
    apart.start()
    refused(apart, "generation")


def test_a_store_that_stands_where_it_was_left_is_served(lasting: Split) -> None:
    """The control of the refusals here: the same steps, and nothing changed."""
    lasting.stop()
    put_back(lasting, copy_of(lasting, "same"))
    lasting.start()
    assert lasting.state() == "UNLOCKED"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("UPDATE exchanges SET hidden = 1", "changed outside vaultd"),
        ("DELETE FROM credentials WHERE configuration = 'write'", "missing, added or out of date"),
        ("UPDATE audit SET client = 'other' WHERE sequence = (SELECT max(sequence) FROM audit)", "audit was changed"),
        ("DELETE FROM audit WHERE sequence = 1", "entries of the audit"),
    ],
)
def test_a_changed_store_is_refused(apart: Split, change: str, cause: str) -> None:
    apart.stop()
    connection = sqlite3.connect(apart.database)
    connection.execute(change)
    connection.commit()
    connection.close()
    apart.start()
    refused(apart, cause)


def test_another_vault_is_refused(apart: Split) -> None:
    apart.stop()
    with new_daemon() as other:
        other.start()
        other.initialize()
        other.stop()
        put_back(apart, other.data)
    apart.start()
    refused(apart, "another vault")


def test_an_empty_store_is_refused(apart: Split) -> None:
    apart.stop()
    shutil.rmtree(apart.data)
    apart.start()
    refused(apart, "empty")


# --- without a keyholder ----------------------------------------------------------------------------------------


def test_a_missing_keyholder_costs_the_masks_nothing(apart: Split) -> None:
    apart.stop()
    apart.lock()
    apart.await_keyholder_end()
    (apart.runtime / "link.sock").unlink()
    apart.start()
    with apart.client() as client:
        assert [exchange.name for exchange in client.list()] == ["binance-main"]
        assert "link.sock" in client.vault().lock_cause
        assert "systemctl status vaultd-keyholder" in client.vault().lock_cause


def test_a_keyholder_that_hangs_does_not_keep_the_masks_from_being_served(apart: Split) -> None:
    apart.stop()
    apart.lock()
    apart.await_keyholder_end()
    apart.start(timeout=25)
    with pytest.raises(LockedError):
        revealed(apart)
    with apart.client() as client:
        assert client.list()
        assert "does not answer" in client.vault().lock_cause


def test_a_refused_stranger_is_still_told_nothing(lasting: Split) -> None:
    lasting.crash()
    with lasting.client() as stranger, pytest.raises(RefusedError):
        stranger.reveal("binance-main", "read")
