"""The wall clock set a year back and ten years on, and a long suspend: nothing is wrongly accepted, nor refused for it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import crowd
from tests.support.clocks import SECOND, YEAR, Wall, boot_shift, can_shift, started_at
from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.forge import REFUSED, REVEAL, Forger, Line, now_ns
from tests.support.machine import MachineKey
from tests.support.processes import until
from tests.support.sweep import Report
from tests.support.vaultctl import vaultctl
from vaultd_client import ClientKey
from vaultd_client.errors import RefusedError

JUMPS = (-YEAR, 10 * YEAR, 0, -50 * YEAR, 200 * YEAR, SECOND, -SECOND, 30 * SECOND, -40 * SECOND)
"""From true time, each set while the daemon runs. 50 years back is before 1980, 200 years on past 32 and 33 bits."""


@dataclass
class House:
    """An unlocked vault whose wall clock is `wall`, with a client `bot` that may reveal."""

    daemon: Daemon
    wall: Wall
    bot: ClientKey
    machine: MachineKey

    def restart(self, *, kill: bool) -> None:
        """Ends the daemon, starts it and unlocks."""
        self.daemon.kill() if kill else self.daemon.stop()
        self.daemon.start(*self.wall.prefix)
        self.machine.unlock()

    def relock(self) -> None:
        """Locks and unlocks."""
        self.daemon.lock()
        self.machine.unlock()

    def may(self, key: ClientKey) -> bool:
        """Says whether a client gets plaintext."""
        with self.daemon.client(key) as client:
            try:
                return bool(client.reveal("binance-main").secret)
            except RefusedError as error:
                assert error.reason == "PERMISSION_DENIED"
                return False


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    if not can_shift(("unshare", "--mount")):
        pytest.skip("a clock of the daemon's own takes a mount namespace")
    with new_daemon() as daemon:
        wall = Wall(tmp_path)
        daemon.start(*wall.prefix)
        daemon.initialize()
        daemon.add_exchange()
        yield House(daemon, wall, daemon.add_bot(), MachineKey(daemon))


def volley(house: House, report: Report, count: int) -> None:
    """Sends honest, replayed, expired and future requests, and counts how each ended."""
    forger = Forger(house.daemon, house.bot)
    honest = [forger.request() for _ in range(count)]
    late = [replace(each, nonce=bytes(16), issued_at=now_ns() - 31 * SECOND) for each in honest[: count // 4]]
    early = [replace(each, nonce=bytes(16), issued_at=now_ns() + 40 * SECOND) for each in honest[: count // 4]]
    with Line(house.daemon) as line:
        for what, requests in (("honest", honest), ("replayed", honest), ("expired", late), ("future", early)):
            for found in line.send_all(REVEAL, [forger.seal(each) for each in requests]):
                report.add(f"{what} {'refused' if found == REFUSED else found.code}")


def sweep(house: House, name: str, jumps: tuple[int, ...], count: int) -> None:
    report = Report(name)
    for jump in jumps:
        house.wall.set(jump)
        volley(house, report, count)
        house.relock()
        # Positive control: the keyholder and the server do live in the changed time. It is never before the audit's.
        with house.daemon.client() as anyone:
            unlocked_at = anyone.vault().unlocked_at
        assert unlocked_at is not None
        expected = datetime.now(UTC) + timedelta(seconds=max(0, jump) / SECOND)
        assert unlocked_at > expected - timedelta(seconds=60)
        volley(house, report, count)
    house.wall.set(jumps[0])
    house.restart(kill=True)
    assert abs(started_at(house.daemon) - datetime.now(UTC).timestamp() - jumps[0] / SECOND) < 60
    volley(house, report, count)
    report.show()
    assert set(report.found) == {"honest OK", "replayed refused", "expired refused", "future refused"}


def test_requests_do_not_care_about_the_wall_clock(house: House) -> None:
    sweep(house, "wall clock, quick", JUMPS[:2], 20)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_requests_do_not_care_about_the_wall_clock_full(house: House) -> None:
    sweep(house, "wall clock, full", JUMPS, 200)


def test_a_client_with_a_wrong_wall_clock_is_served(house: House) -> None:
    key = house.daemon.home / "bot.key"
    house.bot.save(key)
    socket = house.daemon.runtime / "vaultd.sock"
    for jump in (-YEAR, 10 * YEAR):
        house.wall.set(jump)
        command = [*house.wall.prefix, sys.executable, crowd.__file__, "serve", str(socket), str(key), "2", "4"]
        said = subprocess.run(command, input=b"\n", capture_output=True, check=True).stdout
        assert b'{"outcomes": {"answered": 8}' in said


def test_a_grant_that_ended_does_not_come_back_with_the_wall_clock(house: House) -> None:
    keys = {name: house.daemon.add_bot(name, grants=False) for name in ("ending", "lasting")}
    with house.daemon.admin() as admin:
        admin.create_grant("ending", "binance-main", "read", not_after=datetime.now(UTC) + timedelta(seconds=1.5))
        admin.create_grant("lasting", "binance-main", "read", not_after=datetime.now(UTC) + timedelta(days=1))
    house.wall.set(-YEAR)  # before it ended: it ends all the same
    assert house.may(keys["ending"])
    until(lambda: not house.may(keys["ending"]), 4)
    for again in (house.relock, lambda: house.restart(kill=False), lambda: house.restart(kill=True)):
        house.wall.set(-YEAR)
        again()
        # Positive control: one that has not ended is good in the same moment.
        assert (house.may(keys["ending"]), house.may(keys["lasting"])) == (False, True)


def test_a_wall_clock_that_runs_ahead_ends_no_grant_while_the_vault_is_open(house: House) -> None:
    key = house.daemon.add_bot("lasting", grants=False)
    with house.daemon.admin() as admin:
        admin.create_grant("lasting", "binance-main", "read", not_after=datetime.now(UTC) + timedelta(days=1))
    house.wall.set(10 * YEAR)
    assert house.may(key)
    # At an unlock the wall clock is believed. It fails closed: the grant ends early, and does not live again by itself.
    house.relock()
    assert not house.may(key)
    house.wall.set(0)
    house.restart(kill=True)
    assert not house.may(key)
    assert house.may(house.bot)  # the control: a grant without an end


def test_whoever_has_the_passphrase_can_say_that_the_host_is_right_again(house: House) -> None:
    key = house.daemon.add_bot("lasting", grants=False)
    with house.daemon.admin() as admin:
        admin.create_grant("lasting", "binance-main", "read", not_after=datetime.now(UTC) + timedelta(days=1))
        admin.create_grant("bot", "binance-main", "write", not_after=datetime.now(UTC) + timedelta(seconds=1))
    house.wall.set(10 * YEAR)
    house.relock()
    house.wall.set(0)
    house.daemon.lock()
    plainly = vaultctl(house.daemon, "unlock", "--passphrase-fd", "{fd}", fds={"fd": PASSPHRASE})
    assert f"the vault's clock says {datetime.now(UTC).year + 10}-" in plainly.stderr
    assert "vaultctl unlock --accept-clock" in plainly.stderr
    assert not house.may(key)
    house.daemon.lock()
    accepted = vaultctl(house.daemon, "unlock", "--accept-clock", "--passphrase-fd", "{fd}", fds={"fd": PASSPHRASE})
    assert "clock" not in accepted.stderr
    assert house.may(key)
    with house.daemon.admin() as admin, house.daemon.client(house.bot) as bot:
        newest = next(each for each in admin.audit() if each.method == "unlock")
        assert newest.detail.endswith("clock accepted")
        assert admin.verify_audit().ok
        with pytest.raises(RefusedError):
            bot.reveal("binance-main", "write")  # One that did end has ended.
    house.restart(kill=True)
    assert house.may(key)


# --- suspend -------------------------------------------------------------------------------------------------------

REVEAL_ONCE = """
import sys
from vaultd_client import VaultClient
from vaultd_client.errors import VaultClientError
with VaultClient(sys.argv[1], sys.argv[2]) as client:
    try:
        print(bool(client.reveal("binance-main").secret))
    except VaultClientError as error:
        print(error.reason)
"""


def suspended(report: Report, seconds: int, count: int) -> None:
    """Runs a daemon whose CLOCK_BOOTTIME is so far from that of the requests: as if the host had slept in between."""
    with new_daemon() as daemon:
        daemon.start(*boot_shift(seconds))
        initialize = [*inside(daemon), sys.executable, "-c", SET_UP, str(daemon.home)]
        subprocess.run(initialize, check=True, capture_output=True, cwd=Path(__file__).parents[2])
        forger = Forger(daemon, daemon.admin_key)
        with Line(daemon) as line:
            for found in line.send_all(REVEAL, [forger.seal(forger.request()) for _ in range(count)]):
                report.add(f"{seconds:+} s {'refused' if found == REFUSED else found.code}")
            # Sent again where the clock has not yet moved on: still the same clock, still refused.
            moved = [forger.request(issued_at=now_ns() + seconds * SECOND) for _ in range(count)]
            for found in line.send_all(REVEAL, [forger.seal(each) for each in moved]):
                report.add(f"made after it {'refused' if found == REFUSED else found.code}")
        # Positive control: a client that slept as long as the daemon did.
        command = [sys.executable, "-c", REVEAL_ONCE, str(daemon.runtime / "vaultd.sock"), str(daemon.home / "admin.key")]
        for prefix, expected in ((inside(daemon), "True"), ((), "REQUEST_REFUSED")):
            said = subprocess.run([*prefix, *command], check=True, capture_output=True).stdout.decode().strip()
            assert said == expected


def inside(daemon: Daemon) -> tuple[str, ...]:
    """Returns the start of a command that runs the rest in the time namespace of the daemon."""
    return "nsenter", f"--target={daemon.pid}", "--time"


SET_UP = """
import sys
from pathlib import Path
from tests.support.daemon import Daemon
daemon = Daemon(Path(sys.argv[1]))
daemon.initialize()
daemon.add_exchange()
"""


@pytest.mark.parametrize("seconds", [-40, 31, 86_400 * 30])
def test_a_request_from_before_a_suspend_is_refused_after_it(seconds: int) -> None:
    if not can_shift(boot_shift(seconds)):
        pytest.skip("this host lets nobody have a CLOCK_BOOTTIME of his own")
    report = Report(f"suspend, {seconds:+} s")
    suspended(report, seconds, 20)
    report.show()
    assert report.found == {f"{seconds:+} s refused": 20, "made after it OK": 20}
