"""Promises to systemd: ready when masks are served, a status line, the watchdog, and READY after every RELOADING."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, new_daemon
from tests.support.processes import children, until


class Systemd:
    """What PID 1 hears. `until` returns the first message with a line that starts so, and drops what came before."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20)

    def until(self, start: str) -> list[str]:
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            if any(line.startswith(start) for line in lines):
                return lines


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(tmp_path / "notify")
    yield made
    made.socket.close()


@pytest.fixture
def daemon(systemd: Systemd, tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "vaultd.toml").touch()
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    with new_daemon({**environment, "VAULTD_CONFIG": str(tmp_path / "vaultd.toml")}) as made:
        made.start()
        yield made


def test_ready_comes_with_a_status_and_each_change_of_state_with_another(systemd: Systemd, daemon: Daemon) -> None:
    assert systemd.until("READY=1")[1] == "STATUS=uninitialized; waits for: vaultctl init; 0 exchanges, 0 clients"
    daemon.initialize()
    assert systemd.until("STATUS=unlocked")[0].startswith("STATUS=unlocked; 0 exchanges, 1 clients; last unlock 20")
    daemon.lock()
    (line,) = systemd.until("STATUS=locked")
    assert "asked for by" in line
    assert "waits for: vaultctl unlock; 0 exchanges, 1 clients; last unlock 20" in line


def test_the_watchdog_is_answered_twice_as_often_as_asked_for(systemd: Systemd, daemon: Daemon) -> None:
    for _ in range(5):
        assert systemd.until("WATCHDOG=1") == ["WATCHDOG=1"]


@pytest.mark.parametrize(("text", "words"), [("", "uninitialized"), ("not toml", "NOT reloaded, the old ones stay")])
def test_ready_follows_reloading_whatever_the_settings_are(
    systemd: Systemd, daemon: Daemon, tmp_path: Path, text: str, words: str
) -> None:
    systemd.until("READY=1")
    for _ in range(2):
        (tmp_path / "vaultd.toml").write_text(text)
        os.kill(daemon.pid, signal.SIGHUP)
        assert systemd.until("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
        systemd.until("READY=1")
    assert daemon.client().vault().state == "UNINITIALIZED"
    if text:
        assert words in daemon.log()


def test_a_name_in_the_settings_begins_no_line_of_its_own(systemd: Systemd, daemon: Daemon, tmp_path: Path) -> None:
    systemd.until("READY=1")
    (tmp_path / "vaultd.toml").write_text('"x\\nMAINPID=1" = 1')
    os.kill(daemon.pid, signal.SIGHUP)
    systemd.until("RELOADING=1")
    (line,) = systemd.until("STATUS=")
    assert line.endswith("x MAINPID=1 is not a setting")


def test_a_reload_that_is_asked_for_during_another_comes_after_it(systemd: Systemd, daemon: Daemon) -> None:
    systemd.until("READY=1")
    daemon.initialize()
    keyholder = daemon.keyholder_pid
    os.kill(keyholder, signal.SIGSTOP)  # which is told the settings: the first reload waits for it
    os.kill(daemon.pid, signal.SIGHUP)
    systemd.until("RELOADING=1")
    os.kill(daemon.pid, signal.SIGHUP)
    systemd.until("WATCHDOG=1")
    systemd.until("WATCHDOG=1")  # the loop has turned, and taken the second signal
    os.kill(keyholder, signal.SIGCONT)
    assert [systemd.until(each)[0] for each in ("READY=1", "RELOADING=1", "READY=1")] == ["READY=1", "RELOADING=1", "READY=1"]


def test_a_keyholder_that_starts_while_the_settings_are_read_again_gets_the_new_ones(
    systemd: Systemd, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.initialize()
    os.kill(daemon.keyholder_pid, signal.SIGKILL)
    systemd.until("STATUS=locked")
    until(lambda: bool(children(daemon.pid)), 20)
    (starting,) = children(daemon.pid)
    os.kill(starting, signal.SIGSTOP)
    (tmp_path / "vaultd.toml").write_text("[kdf]\nmemory_kib = 81920\npasses = 3\nlanes = 4\n")
    os.kill(daemon.pid, signal.SIGHUP)
    systemd.until("RELOADING=1")
    systemd.until("READY=1")
    os.kill(starting, signal.SIGCONT)
    assert daemon.keyholder_pid == starting
    assert daemon.unlock().upgraded  # type: ignore[attr-defined]


def test_the_end_is_told(systemd: Systemd, daemon: Daemon) -> None:
    daemon.process.terminate()  # type: ignore[union-attr]
    assert "STOPPING=1" in systemd.until("STOPPING=1")


def test_without_systemd_sighup_ends_the_daemon_as_a_closed_terminal_should() -> None:
    with new_daemon() as daemon:
        daemon.start()
        os.kill(daemon.pid, signal.SIGHUP)
        assert daemon.process is not None
        assert daemon.process.wait(20) == -signal.SIGHUP

