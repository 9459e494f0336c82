"""Unlocking when many try at once, when callers leave in the middle, and when they only keep a connection open."""

import json
import os
import socket
import struct
import threading
from collections.abc import Callable

import pytest

from tests.support.daemon import CHEAP, PASSPHRASE, Daemon
from tests.support.processes import until
from tests.support.stores import MACHINE_KEY, history
from vaultd import limits
from vaultd_client import ClientKey, VaultClientError


@pytest.fixture
def kept(daemon: Daemon) -> Daemon:
    """The vault of `history`, locked."""
    return history().new.put(daemon).start()


def at_once(count: int, stagger_ms: float, call: Callable[[], object]) -> list[object]:
    """Makes a call in many threads, each a little after the one before; returns results, and reasons of errors."""
    found: list[object] = []
    together = threading.Barrier(count)

    def go(number: int) -> None:
        together.wait()
        threading.Event().wait(number * stagger_ms / 1000)
        try:
            found.append(call())
        except VaultClientError as error:
            found.append(error.reason)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("stagger_ms", [0, 1, 3, 6])
def test_of_many_who_unlock_at_once_one_does_and_the_vault_stays_unlocked(kept: Daemon, stagger_ms: float) -> None:
    found = at_once(8, stagger_ms, lambda: kept.unlock(MACHINE_KEY, kind="machine"))
    reasons = [reason for reason in found if isinstance(reason, str)]
    assert len(reasons) == 7
    assert set(reasons) <= {"UNLOCK_BUSY", "VAULT_INITIALIZED"}
    with kept.unlocker() as unlocker:
        assert (unlocker.status().state, unlocker.status().failures) == ("UNLOCKED", 0)
    with kept.admin() as admin:
        assert [entry.method for entry in admin.audit(limit=2)].count("unlock") == 1
        assert admin.reveal("binance-main").version == 2


def test_of_many_who_initialize_at_once_one_is_the_administrator(daemon: Daemon) -> None:
    daemon.start()
    key = ClientKey.generate()

    def initialize() -> object:
        with daemon.unlocker() as unlocker:
            return unlocker.initialize(
                bytearray(PASSPHRASE), None, name="admin", public_key=key.public_key, uid=os.getuid(), kdf=CHEAP
            )

    found = at_once(4, 2, initialize)
    (pin,) = [each for each in found if not isinstance(each, str)]
    assert {reason for reason in found if isinstance(reason, str)} <= {"UNLOCK_BUSY", "VAULT_INITIALIZED"}
    with daemon.client(key.with_pin(pin)) as admin:  # type: ignore[arg-type]
        assert [client.name for client in admin.clients()] == ["admin"]
        assert admin.verify_audit().checked == 1


def request(op: str, secret: bytes = b"", **more: object) -> bytes:
    header = json.dumps({"op": op, "secrets": [len(secret)] if secret else [], **more}).encode()
    return struct.pack(">II", len(header), len(secret)) + header + secret


def test_a_caller_that_leaves_while_its_passphrase_is_tried_harms_nobody_after_it(kept: Daemon) -> None:
    for passphrase in (b"not the passphrase", b"not the passphrase", PASSPHRASE):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(kept.runtime / "unlock.sock"))
            sock.sendall(request("unlock", passphrase))
        until(lambda: not status(kept)["busy"])
    # The next ones are served, on descriptors that were the others'.
    for _ in range(3):
        assert status(kept)["state"] == "UNLOCKED"


def status(daemon: Daemon) -> dict[str, object]:
    """Asks with a connection of its own, which must be answered within seconds."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(daemon.runtime / "unlock.sock"))
        sock.sendall(request("status"))
        length = struct.unpack(">II", sock.recv(8, socket.MSG_WAITALL))[0]
        found: dict[str, object] = json.loads(sock.recv(length, socket.MSG_WAITALL))
    return found


def test_silent_connections_fill_the_socket_only_until_they_close(kept: Daemon) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(limits.UNLOCK_CONNECTIONS)]
    for sock in silent:
        sock.connect(str(kept.runtime / "unlock.sock"))
    with pytest.raises((VaultClientError, OSError, struct.error)):
        status(kept)
    for sock in silent:
        sock.close()
    until(lambda: answers(kept))
    kept.unlock(MACHINE_KEY, kind="machine")


def answers(daemon: Daemon) -> bool:
    try:
        return status(daemon)["state"] == "LOCKED"
    except (OSError, struct.error):
        return False
