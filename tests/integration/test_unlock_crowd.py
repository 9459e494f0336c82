"""Who may use the unlock socket and abuses it keeps neither bots from their keys nor another administrator from locking."""

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.daemon import PASSPHRASE, READ_PAIR, Daemon
from tests.support.gate_house import as_root
from tests.support.processes import NOBODY, becoming, until
from vaultd import limits
from vaultd_client.errors import VaultClientError

CONNECTED = """
import socket, sys
held = []
for _ in range(int(sys.argv[2])):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def slow(daemon: Daemon, count: int) -> Iterator[list[socket.socket]]:
    """Opens connections that have each begun the longest message there is, and do not go on."""
    with ExitStack() as closing:
        connections = []
        for _ in range(count):
            connection = closing.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(daemon.runtime / "unlock.sock"))
            connection.sendall(struct.pack(">II", 2, limits.MAX_UNLOCK_FRAME) + b"{}" + b"a")
            connections.append(connection)
        yield connections


def test_slow_messages_take_no_secret_memory_from_reveals(vault: Daemon) -> None:
    with vault.client(vault.add_bot()) as bot, slow(vault, 8) as crowd:
        refused = sum(b"UNLOCK_BUSY" in connection.recv(4_096) for connection in crowd[2:])
        assert refused == 6  # the control: the first two have all that such messages may have
        for _ in range(20):
            assert bot.reveal("binance-main").secret == READ_PAIR["secret"]
        with vault.unlocker() as unlocker:
            assert unlocker.status().state == "UNLOCKED"
            with pytest.raises(VaultClientError, match="too many secrets are on their way"):
                unlocker.slot_add(bytearray(PASSPHRASE), bytearray(os.urandom(32)), kind="machine")
    until(lambda: added(vault))


def added(daemon: Daemon) -> bool:
    """Adds a slot; False where the keyholder has not yet seen that the crowd is gone."""
    with daemon.unlocker() as unlocker:
        try:
            return unlocker.slot_add(bytearray(PASSPHRASE), bytearray(os.urandom(32)), kind="machine") > 0
        except VaultClientError:
            return False


@as_root
def test_another_administrator_can_lock_while_one_user_fills_the_socket(vault: Daemon) -> None:
    path = vault.runtime / "unlock.sock"
    path.chmod(0o666)
    command = [*becoming(NOBODY), sys.executable, "-I", "-c", CONNECTED, str(path), str(limits.UNLOCK_CONNECTIONS + 8)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == b"ready\n"
        vault.lock()
        with vault.client() as anyone:
            assert anyone.vault().state == "LOCKED"
        crowd.communicate(b"")
