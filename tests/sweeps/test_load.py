"""Many clients of several users at once, and one user who takes all that he can: everybody else is served."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import crowd
from tests.support.daemon import Daemon
from tests.support.gate_house import OTHER, STRANGER, as_root
from tests.support.processes import becoming, open_files, until
from tests.support.sweep import Report
from vaultd import limits

USERS = (STRANGER, OTHER, 34_567, 45_678)
pytestmark = as_root


def key_of(daemon: Daemon, uid: int) -> Path:
    """Allows a client of user `uid` that may reveal, and returns its key file."""
    key = daemon.add_bot(f"bot-{uid}", uid=uid)
    path = daemon.home / f"bot-{uid}.key"
    key.save(path)
    os.chown(path, uid, uid)
    return path


@contextmanager
def people(daemon: Daemon, uid: int, what: str, *arguments: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Yields a process of user `uid` that is ready and waits for a line."""
    script = [sys.executable, crowd.__file__, what, str(daemon.runtime / "vaultd.sock"), *map(str, arguments)]
    with subprocess.Popen([*becoming(uid), *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def begin(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def end(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """Ends its stdin and returns what it says."""
    said, _ = process.communicate(timeout=600)
    found: dict[str, Any] = json.loads(said)
    return found


def serve_everybody(daemon: Daemon, name: str, clients: int, requests: int) -> None:
    """`clients` in all, from the users in equal parts, each making `requests`."""
    keys = {uid: key_of(daemon, uid) for uid in USERS}
    with daemon.admin() as admin:
        assert admin.list()
    base = len(open_files(daemon.pid))
    report, seconds = Report(name), []
    with (
        people(daemon, USERS[0], "serve", keys[USERS[0]], clients // 4, requests) as a,
        people(daemon, USERS[1], "serve", keys[USERS[1]], clients // 4, requests) as b,
        people(daemon, USERS[2], "serve", keys[USERS[2]], clients // 4, requests) as c,
        people(daemon, USERS[3], "serve", keys[USERS[3]], clients // 4, requests) as d,
    ):
        everybody = (a, b, c, d)
        for process in everybody:
            begin(process)
        for process in everybody:
            told = end(process)
            for outcome, count in told["outcomes"].items():
                report.add(outcome, count)
            seconds += told["seconds"]
    report.show()
    seconds.sort()
    print(f"  p50 {seconds[len(seconds) // 2]:.3f} s, p99 {seconds[len(seconds) * 99 // 100]:.3f} s, max {seconds[-1]:.3f} s")
    assert report.found == {"answered": clients * requests}
    until(lambda: len(open_files(daemon.pid)) <= base, 30)
    # Positive control: a client of the same user whose key nobody allowed is counted as something else.
    stranger = daemon.home / "stranger.key"
    daemon.stranger().save(stranger)
    os.chown(stranger, USERS[0], USERS[0])
    with people(daemon, USERS[0], "serve", stranger, 1, 2) as process:
        begin(process)
        assert end(process)["outcomes"] == {"answered": 1, "REQUEST_REFUSED": 1}


def test_every_request_of_many_clients_of_four_users_is_answered(vault: Daemon) -> None:
    serve_everybody(vault, "load, quick", 40, 10)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_every_request_of_many_clients_of_four_users_is_answered_full(vault: Daemon) -> None:
    serve_everybody(vault, "load, full", 500, 20)


def flood(daemon: Daemon, name: str, connections: int, hold_seconds: float) -> None:
    """One user opens `connections` and keeps them; another is served throughout."""
    key = key_of(daemon, OTHER)
    with daemon.admin() as admin:
        assert admin.list()
    base = len(open_files(daemon.pid))
    with people(daemon, OTHER, "watch", key) as watcher, people(daemon, STRANGER, "flood", connections) as flooder:
        begin(watcher)
        begin(flooder)
        assert flooder.stdout is not None
        told = json.loads(flooder.stdout.readline())
        with pytest.raises(subprocess.TimeoutExpired):
            watcher.wait(hold_seconds)  # the watcher goes on while the flood stands
        # Positive control: the flood is there still. What opened HTTP/2 stays, as much of it as one user may have.
        held = len(open_files(daemon.pid)) - base
        assert flooder.poll() is None
        flooder.communicate()
        served = end(watcher)
    until(lambda: len(open_files(daemon.pid)) <= base, 30)
    report = Report(name)
    for outcome, count in (*told["outcomes"].items(), *served["outcomes"].items()):
        report.add(outcome, count)
    report.show()
    print(f"  {held} descriptors held by the flood, slowest answer to the other user {served['seconds'][-1]:.3f} s")
    assert sum(told["outcomes"].values()) == connections
    assert told["outcomes"]["opened"] > connections // 2
    # A third of those that fit at first is of that sort; the fourth descriptor is for a caller that runs in a unit.
    assert (limits.DESCRIPTORS_PER_CONNECTION - 1) * min(connections // 6, limits.CONNECTIONS_PER_UID // 4) < held
    assert held <= limits.DESCRIPTORS_PER_CONNECTION * (limits.CONNECTIONS_PER_UID + 8)
    assert set(served["outcomes"]) == {"answered"}
    assert served["seconds"][-1] < 3


def test_a_flood_of_connections_of_one_user_keeps_nobody_else_waiting(vault: Daemon) -> None:
    flood(vault, "flood, quick", 300, 1.0)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_flood_of_connections_of_one_user_keeps_nobody_else_waiting_full(vault: Daemon) -> None:
    flood(vault, "flood, full", 5_000, 10.0)
