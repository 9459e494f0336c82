"""Promises of the unlock socket: guesses are counted, delayed and made one at a time; nonsense costs its connection."""

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import stat
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.gate_house import STRANGER, as_root, run_as
from tests.support.processes import status_of, until
from vaultd import limits
from vaultd_client.errors import UnlockDelayedError, UnlockError, VaultClientError

WRONG = b"correct horse battery stable"


@pytest.fixture
def locked(daemon: Daemon) -> Daemon:
    """A locked vault of this test's own."""
    daemon.start()
    daemon.initialize()
    daemon.lock()
    return daemon


@pytest.fixture(scope="module")
def target() -> Iterator[Daemon]:
    """A locked vault for what leaves it as it was."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.lock()
        yield daemon


def guess(daemon: Daemon, times: int, passphrase: bytes = WRONG) -> None:
    for _ in range(times):
        with pytest.raises(UnlockError):
            daemon.unlock(passphrase)


def reason(daemon: Daemon, passphrase: bytes) -> str:
    """Returns how an unlock ended: `OK`, or the reason."""
    try:
        daemon.unlock(passphrase)
    except VaultClientError as error:
        return error.reason
    return "OK"


# --- delay ---------------------------------------------------------------------------------------------------------


def test_four_wrong_passphrases_cost_nothing(target: Daemon) -> None:
    guess(target, limits.FREE_UNLOCK_FAILURES - 1)
    with target.unlocker() as unlocker:
        assert (unlocker.status().failures, unlocker.status().retry_after_ms) == (4, 0)
    target.unlock()
    target.lock()
    with target.unlocker() as unlocker:
        assert unlocker.status().failures == 0


def test_after_five_even_the_right_one_has_to_wait(locked: Daemon) -> None:
    guess(locked, limits.FREE_UNLOCK_FAILURES)
    for passphrase in (PASSPHRASE, WRONG):
        with pytest.raises(UnlockDelayedError) as caught:
            locked.unlock(passphrase)
        assert 0 < caught.value.retry_after_ms <= limits.UNLOCK_DELAY_BASE_MS
    with locked.unlocker() as unlocker:
        assert unlocker.status().failures == 5  # what was not tried is not counted
        assert unlocker.status().state == "LOCKED"


def test_the_delay_survives_a_restart_and_then_the_right_one_opens(locked: Daemon) -> None:
    guess(locked, limits.FREE_UNLOCK_FAILURES)
    locked.kill()
    locked.start()
    with pytest.raises(UnlockDelayedError) as caught:
        locked.unlock()
    assert limits.UNLOCK_DELAY_BASE_MS - 3_000 < caught.value.retry_after_ms <= limits.UNLOCK_DELAY_BASE_MS
    with locked.unlocker() as unlocker:
        assert unlocker.status().failures == 5
        until(lambda: unlocker.status().retry_after_ms == 0, seconds=limits.UNLOCK_DELAY_BASE_MS / 1000 + 1)
    locked.unlock()
    locked.lock()
    with locked.unlocker() as unlocker:
        assert (unlocker.status().failures, unlocker.status().retry_after_ms) == (0, 0)


def test_the_delay_doubles_with_each_failure_up_to_five_minutes(locked: Daemon) -> None:
    for failures, delay_ms in ((7, 20_000), (100, 300_000)):
        locked.stop()
        with closing(sqlite3.connect(locked.database)) as store, store:
            store.execute("UPDATE throttle SET failures = ?", (failures,))
        locked.start()
        with pytest.raises(UnlockDelayedError) as caught:
            locked.unlock()
        assert delay_ms - 3_000 < caught.value.retry_after_ms <= delay_ms


def test_a_guess_that_is_killed_in_the_middle_has_been_a_guess(locked: Daemon) -> None:
    guesser = threading.Thread(target=reason, args=(locked, WRONG))
    with locked.unlocker() as unlocker:
        before = unlocker.status()
        guesser.start()
        until(lambda: (now := unlocker.status()).busy and now.failures == 1)
    os.kill(before.pid, signal.SIGKILL)
    guesser.join(10)
    with locked.unlocker() as unlocker:
        after = unlocker.status()
    assert after.pid != before.pid
    assert (after.failures, after.state) == (1, "LOCKED")


def test_guesses_at_once_are_tried_one_at_a_time(locked: Daemon) -> None:
    reasons: list[str] = []
    with locked.unlocker() as unlocker:
        pid = unlocker.status().pid
    barrier = threading.Barrier(20)

    def attempt() -> None:
        barrier.wait(10)
        reasons.append(reason(locked, WRONG))

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    counted = Counter(reasons)
    assert set(counted) <= {"WRONG_PASSPHRASE", "UNLOCK_BUSY", "UNLOCK_DELAYED"}
    assert counted["UNLOCK_BUSY"] >= 1
    with locked.unlocker() as unlocker:
        assert unlocker.status().failures == counted["WRONG_PASSPHRASE"] <= limits.FREE_UNLOCK_FAILURES
    # Argon2id takes 64 MiB here; two at once would show.
    assert int(status_of(pid)["VmHWM"].removesuffix(" kB")) < 2 * limits.ARGON2_MIN_MEMORY_KIB


def test_a_wrong_passphrase_is_counted_while_unlocked_too(vault: Daemon) -> None:
    with vault.unlocker() as unlocker:
        for _ in range(limits.FREE_UNLOCK_FAILURES):
            with pytest.raises(UnlockError):
                unlocker.slot_add(bytearray(WRONG), bytearray(b"another passphrase"))
        with pytest.raises(UnlockDelayedError):
            unlocker.slot_add(bytearray(PASSPHRASE), bytearray(b"another passphrase"))
        assert len(unlocker.slots()) == 2


# --- nonsense ------------------------------------------------------------------------------------------------------


def frame(header: bytes, secret: bytes = b"", header_length: int | None = None, secret_length: int | None = None) -> bytes:
    lengths = (
        len(header) if header_length is None else header_length,
        len(secret) if secret_length is None else secret_length,
    )
    return struct.pack(">II", *lengths) + header + secret


def asked(**header: Any) -> bytes:
    return json.dumps(header).encode()


DEEP = b"[" * 4_000 + b"]" * 4_000
NONSENSE: dict[str, tuple[bytes, str]] = {
    "an oversized header": (frame(b"", header_length=8_193), "PROTOCOL_VIOLATION"),
    "an oversized secret": (frame(b"{}", secret_length=65_537), "PROTOCOL_VIOLATION"),
    "the largest lengths": (b"\xff" * 8, "PROTOCOL_VIOLATION"),
    "nothing": (frame(b""), "PROTOCOL_VIOLATION"),
    "no JSON": (frame(b"unlock, please"), "PROTOCOL_VIOLATION"),
    "no UTF-8": (frame(b'{"op": "\xff\xfe"}'), "PROTOCOL_VIOLATION"),
    "no object": (frame(b'["status"]'), "PROTOCOL_VIOLATION"),
    "a number": (frame(b"9" * 8_000), "PROTOCOL_VIOLATION"),
    "deep arrays": (frame(DEEP), "PROTOCOL_VIOLATION"),
    "deep objects": (frame(b'{"op":' * 1_000 + b"1" + b"}" * 1_000), "PROTOCOL_VIOLATION"),
    "no operation": (frame(b"{}"), "PROTOCOL_VIOLATION"),
    "an unknown operation": (frame(asked(op="reveal")), "PROTOCOL_VIOLATION"),
    "an operation of another type": (frame(asked(op=["status"])), "PROTOCOL_VIOLATION"),
    "lengths that are too short": (frame(asked(op="unlock", secrets=[3]), b"four"), "PROTOCOL_VIOLATION"),
    "lengths that are too long": (frame(asked(op="unlock", secrets=[5]), b"four"), "PROTOCOL_VIOLATION"),
    "lengths below zero": (frame(asked(op="unlock", secrets=[8, -4]), b"four"), "PROTOCOL_VIOLATION"),
    "lengths of zero": (frame(asked(op="unlock", secrets=[0, 4]), b"four"), "PROTOCOL_VIOLATION"),
    "lengths that are no numbers": (frame(asked(op="unlock", secrets=[True] * 4), b"four"), "PROTOCOL_VIOLATION"),
    "no lengths": (frame(asked(op="unlock"), b"four"), "PROTOCOL_VIOLATION"),
    "two thousand passphrases": (frame(asked(op="unlock", secrets=[1] * 2_000), b"x" * 2_000), "RECORD_INVALID"),
    "two passphrases": (frame(asked(op="unlock", secrets=[4, 4]), b"fourfour"), "RECORD_INVALID"),
    "no passphrase": (frame(asked(op="unlock")), "RECORD_INVALID"),
    "an unknown kind": (frame(asked(op="unlock", kind="guess", secrets=[4]), b"four"), "RECORD_INVALID"),
    "a kind of another type": (frame(asked(op="unlock", kind={}, secrets=[4]), b"four"), "RECORD_INVALID"),
    "an unknown slot": (frame(asked(op="unlock", slot={"a": 1}, secrets=[4]), b"four"), "WRONG_PASSPHRASE"),
    "a lock of a locked vault": (frame(asked(op="lock")), "VAULT_LOCKED"),
    "a new vault over the old": (frame(asked(op="initialize")), "VAULT_INITIALIZED"),
    "a slot of a locked vault": (frame(asked(op="slot-add", secrets=[4, 4]), b"fourfour"), "VAULT_LOCKED"),
    "a rotation of a locked vault": (frame(asked(op="master-key-rotate")), "VAULT_LOCKED"),
}


def answers(daemon: Daemon, sent: bytes, *, close: bool = False) -> list[dict[str, Any]]:
    """Sends bytes; returns the answers until the keyholder closes, or, where it does not, until it has no more to say."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.runtime / "unlock.sock"))
        connection.settimeout(5)
        received = b""
        try:
            connection.sendall(sent)
            if close:
                connection.shutdown(socket.SHUT_WR)
            while (piece := connection.recv(65_536)) and not complete(received := received + piece):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # Closed while we were still talking.
    found = []
    while received:
        length, secret = struct.unpack(">II", received[:8])
        assert secret == 0
        found.append(json.loads(received[8 : 8 + length]))
        received = received[8 + length :]
    return found


def complete(received: bytes) -> bool:
    return len(received) >= 8 and len(received) >= 8 + struct.unpack(">I", received[:4])[0]


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_told_what_is_wrong_with_it(target: Daemon, what: str) -> None:
    sent, expected = NONSENSE[what]
    pid = target.keyholder_pid
    (answer,) = answers(target, sent)
    assert set(answer) == {"error"}
    assert answer["error"]["reason"] == expected
    assert target.keyholder_pid == pid  # it is alive, and the same


def test_random_bytes_do_not_harm_the_keyholder(target: Daemon) -> None:
    pid = target.keyholder_pid
    chance = random.Random(20_261_121)
    for _ in range(300):
        sent = chance.randbytes(chance.randrange(1, 200))
        assert all(set(answer) == {"error"} for answer in answers(target, sent, close=True))
    assert target.keyholder_pid == pid


def test_a_mutilated_request_does_not_harm_the_keyholder(target: Daemon) -> None:
    pid = target.keyholder_pid
    whole = frame(asked(op="status", secrets=[]), b"")
    chance = random.Random(11)
    for length in range(len(whole)):
        assert answers(target, whole[:length], close=True) == []  # cut: there is nothing to answer
    for _ in range(300):
        at = chance.randrange(len(whole))
        flipped = whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
        answers(target, flipped, close=True)
    (answer,) = answers(target, whole)
    assert (answer["pid"], target.keyholder_pid) == (pid, pid)


def test_who_leaves_before_the_answer_makes_nobody_wait(target: Daemon) -> None:
    pid = target.keyholder_pid
    for _ in range(100):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(target.runtime / "unlock.sock"))
            connection.sendall(frame(asked(op="status")))
    started = time.monotonic()
    (answer,) = answers(target, frame(asked(op="status")))
    assert answer["pid"] == pid
    assert time.monotonic() - started < 2


def test_more_connections_than_there_is_room_for_do_not_shut_others_out_for_good(target: Daemon) -> None:
    path = str(target.runtime / "unlock.sock")
    idle = [socket.socket(socket.AF_UNIX) for _ in range(limits.UNLOCK_CONNECTIONS)]
    try:
        for connection in idle:
            connection.connect(path)
        assert answers(target, frame(asked(op="status"))) == []  # the control: the room is full
    finally:
        for connection in idle:
            connection.close()
    until(lambda: len(answers(target, frame(asked(op="status")))) == 1)


# --- who may connect -----------------------------------------------------------------------------------------------

CONNECT = """
for path in sys.argv[1:]:
    print(socket.socket(socket.AF_UNIX).connect_ex(path))
"""


@as_root
def test_another_user_cannot_even_connect(target: Daemon) -> None:
    unlock, public = target.runtime / "unlock.sock", target.runtime / "vaultd.sock"
    assert stat.S_IMODE(unlock.stat().st_mode) == 0o600
    assert asyncio.run(run_as(STRANGER, CONNECT, unlock, public)).split() == ["13", "0"]
    assert asyncio.run(run_as(os.geteuid(), CONNECT, unlock, public)).split() == ["0", "0"]
