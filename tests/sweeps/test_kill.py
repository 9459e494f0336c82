"""kill -9 before every write, sync, truncate, open, rename and unlink of every command that changes a vault.

What was acknowledged is there afterwards, what was not is there as a whole or not at all, and the store opens.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from functools import partial

import pytest

from tests.support import bulk, strace
from tests.support.daemon import CHEAP, PASSPHRASE, RECOVERY, Daemon, new_daemon
from tests.support.house import COMMANDS, House, new_house
from tests.support.judging import attempt, judge
from tests.support.processes import ends_within
from tests.support.sweep import Job, Outcomes, Report, in_lanes
from vaultd.keyholder.methods import METHODS
from vaultd_client import ClientKey
from vaultd_client.errors import VaultClientError

pytestmark = strace.NEEDED

GOOD = {"whole", "absent"}
NOT_REACHED = "not reached"
MANY = 200
"""Exchanges of the second round: deeper trees, and a WAL that is written back in the middle of a change."""


def kill_at(call: str, when: int) -> tuple[str, str]:
    """Returns strace's options for SIGKILL before the `when`th call of a sort."""
    return "-e", f"inject={call}:signal=SIGKILL:when={when}"


def is_dead(daemon: Daemon, seconds: float) -> bool:
    """Says whether the server has ended, or does within some seconds."""
    assert daemon.process is not None
    try:
        pidfd = os.pidfd_open(daemon.pid)
    except ProcessLookupError:
        return True
    try:
        return ends_within(pidfd, seconds) and daemon.process.wait() == -9
    finally:
        os.close(pidfd)


def opened_again(daemon: Daemon, unlock: Callable[[], object]) -> str:
    """Starts the daemon without a fault and unlocks it; says what is wrong, if anything."""
    try:
        daemon.start()
        unlock()
    except (AssertionError, VaultClientError) as error:
        return f"NOT OPEN {error!r}"
    return ""


def killed_in(house: House, name: str, call: str, when: int) -> str:
    """Kills the server at one point of a command and says what came of it: `whole`, `absent`, `not reached`, or worse."""
    command = COMMANDS[name]
    house.number += 1
    house.sweep_up()
    mark = house.mark()
    command.prepare(house)
    with strace.attached(house.daemon, [call], *kill_at(call, when)):
        error = attempt(command, house)
        is_dead(house.daemon, 10.0 if error is not None else 1.5 if command.lingers else 0.0)
    # Now that the tracer has let go: on a busy machine what lingers may be killed after any patience.
    killed = is_dead(house.daemon, 0.05)
    if not killed and error is not None:
        return f"FAILED without a kill: {error!r}"
    then: tuple[str, ...] = ()
    if killed:
        wrong = opened_again(house.daemon, house.unlock)
        if wrong:
            return wrong
        then = ("unlock",)
    elif name == "lock":
        house.unlock()
        then = ("unlock",)
    found = judge(house, command, mark, acknowledged=error is None, then=then)
    return found if killed or found not in GOOD else NOT_REACHED


def every_point(point: Callable[[str, int], str], stride: int = 1) -> Outcomes:
    """Yields what came of every `stride`th point of every sort of call, up to the first that is not reached."""
    for call in strace.CALLS:
        when = 1
        while (found := point(call, when)) != NOT_REACHED:
            yield found
            if found not in GOOD:
                return  # What follows would be judged against a vault that is not as it should be.
            when += stride


def of_command(name: str, exchanges: int) -> Outcomes:
    """Yields every point of a command on a vault of its own."""
    with new_house() as house:
        if exchanges:
            house.daemon.stop()
            bulk.fill(house.daemon, exchanges)
            house.daemon.start()
            house.unlock()
            house.state = house.seen()
        stride = 8 if exchanges and name == "master key rotate" else 1
        for found in every_point(partial(killed_in, house, name), stride):
            yield found if found in GOOD else f"{name}: {found}"


# --- the points before a vault exists, and those of start and stop ---------------------------------------------------


def initialize(daemon: Daemon, key: ClientKey) -> None:
    with daemon.unlocker() as unlocker:
        unlocker.initialize(
            bytearray(PASSPHRASE),
            bytearray(RECOVERY),
            name="admin",
            public_key=key.public_key,
            uid=os.getuid(),
            kdf=CHEAP,
        )


def unlocks_as_new(daemon: Daemon, key: ClientKey) -> str:
    """Unlocks a vault that nothing but `initialize` has changed."""
    with daemon.unlocker() as unlocker:
        pin = unlocker.unlock(bytearray(PASSPHRASE)).pin
    with daemon.client(key.with_pin(pin)) as admin:
        methods = [entry.method for entry in admin.audit()]
        if not admin.verify_audit().ok or methods != ["unlock", "initialize"] or admin.list(everything=True):
            return f"HALF {methods}"
    return "whole"


def killed_in_initialize(call: str, when: int) -> str:
    key = ClientKey.generate()
    with new_daemon() as daemon:
        daemon.start()
        acknowledged = False
        with strace.attached(daemon, [call], *kill_at(call, when)):
            try:
                initialize(daemon, key)
                acknowledged = True
            except VaultClientError:
                pass
            killed = is_dead(daemon, 0.0 if acknowledged else 10.0)
        if not killed:
            return NOT_REACHED if acknowledged else "FAILED without a kill"
        if wrong := opened_again(daemon, lambda: None):
            return wrong
        with daemon.unlocker() as unlocker:
            state = unlocker.status().state
        if state == "UNINITIALIZED":
            if acknowledged:
                return "LOST the vault"
            initialize(daemon, key)
            return "absent"
        return unlocks_as_new(daemon, key)


def start_killed(daemon: Daemon, call: str, when: int) -> bool:
    """Starts a daemon that is killed on its way; says whether it was.

    Without --seccomp-bpf, which would be faster: with it, strace 6.1 injects no signal.
    """
    prefix = strace.options(daemon, [call], "-D", "-o", "/dev/null", *kill_at(call, when))
    try:
        daemon.start(*prefix)
    except AssertionError:
        assert daemon.process is not None
        assert daemon.process.wait() == -9, daemon.log()
        return True
    return False


def killed_in_first_start(call: str, when: int) -> str:
    key = ClientKey.generate()
    with new_daemon() as daemon:
        if not start_killed(daemon, call, when):
            return NOT_REACHED
        if wrong := opened_again(daemon, lambda: initialize(daemon, key)):
            return wrong
        daemon.kill()
        return opened_again(daemon, lambda: None) or unlocks_as_new(daemon, key)


def killed_in_start(house: House, call: str, when: int) -> str:
    """Killed while it takes up the WAL that an earlier kill has left."""
    with house.daemon.admin() as admin:
        admin.update_exchange("binance-main", labels={"at": f"{call} {when}"})
    house.state["exchanges"]["binance-main"]["labels"] = {"at": f"{call} {when}"}
    house.daemon.kill()
    killed = start_killed(house.daemon, call, when)
    if not killed:
        house.daemon.kill()  # It is traced still, and would be killed at the unlock.
    if wrong := opened_again(house.daemon, house.unlock):
        return wrong
    if house.seen() != house.state:
        return "LOST a change"
    return "whole" if killed else NOT_REACHED


def killed_in_stop(house: House, call: str, when: int) -> str:
    with strace.attached(house.daemon, [call], *kill_at(call, when)):
        code = house.daemon.stop()
    if wrong := opened_again(house.daemon, house.unlock):
        return wrong
    if house.seen() != house.state:
        return "LOST a change"
    return "whole" if code == -9 else NOT_REACHED


def of_start_and_stop() -> Outcomes:
    with new_house() as house:
        for name, point in (("start", killed_in_start), ("stop", killed_in_stop)):
            for found in every_point(partial(point, house)):
                yield found if found in GOOD else f"{name}: {found}"


def of_birth() -> Outcomes:
    for name, point in (("first start", killed_in_first_start), ("init", killed_in_initialize)):
        for found in every_point(point):
            yield found if found in GOOD else f"{name}: {found}"


# --- the two forms ---------------------------------------------------------------------------------------------------


def sweep(name: str, jobs: Iterable[Job]) -> Report:
    report = Report(name)
    in_lanes(report, jobs)
    report.show()
    assert set(report.found) <= GOOD
    return report


QUICK = [
    *[(name, "pwrite64", 1 + number % 4) for number, name in enumerate(COMMANDS)],
    ("exchange delete", "ftruncate", 1),
    ("exchange delete", "fdatasync", 2),
    ("client revoke", "fdatasync", 1),
    ("exchange create", "write", 1),
    ("exchange create", "fsync", 2),
    ("grant", strace.RENAME, 1),
    ("ungrant", "openat", 1),
]


def _quick(points: list[tuple[str, str, int]]) -> Outcomes:
    with new_house() as house:
        for name, call, when in points:
            found = killed_in(house, name, call, when)
            yield found if found in GOOD else f"{name} {call} {when}: {found}"


def test_a_kill_loses_nothing_that_was_acknowledged() -> None:
    report = sweep("kill -9, quick", [partial(_quick, QUICK[::2]), partial(_quick, QUICK[1::2])])
    # Both come to pass, or the points are not where they are believed to be.
    assert set(report.found) == GOOD


@pytest.mark.parametrize("point", [killed_in_first_start, killed_in_initialize])
def test_a_kill_before_the_vault_is_made_leaves_a_store_that_opens(point: Callable[[str, int], str]) -> None:
    assert point("fdatasync", 2) in GOOD


@pytest.mark.full
@pytest.mark.timeout(10_800)
def test_a_kill_loses_nothing_that_was_acknowledged_full() -> None:
    jobs: list[Job] = [partial(of_command, name, count) for count in (0, MANY) for name in COMMANDS]
    assert sweep("kill -9, full", [of_birth, of_start_and_stop, *jobs]).tried >= 1_000


def test_every_call_that_changes_a_vault_is_killed_and_meets_failing_disks() -> None:
    """Both sweeps go through the commands of tests/support/house.py; a new call that changes something belongs there."""
    changing = {path.rpartition("/")[2] for path, method in METHODS.items() if method.changes}
    assert changing <= {command.audited[-1] for command in COMMANDS.values()}


# --- positive controls -----------------------------------------------------------------------------------------------


def test_the_sweep_sees_an_acknowledged_change_that_is_lost() -> None:
    command = COMMANDS["exchange create"]
    with new_house() as house:
        house.daemon.stop()
        shutil.copytree(house.daemon.home / "data", house.daemon.home / "data-before")
        shutil.copytree(house.daemon.home / "anchor", house.daemon.home / "anchor-before")
        house.daemon.start()
        house.unlock()
        mark = house.mark() - 1
        assert attempt(command, house) is None
        house.daemon.kill()
        for name in ("data", "anchor"):
            shutil.rmtree(house.daemon.home / name)
            (house.daemon.home / f"{name}-before").rename(house.daemon.home / name)
        assert opened_again(house.daemon, house.unlock) == ""
        assert judge(house, command, mark, acknowledged=True, then=("unlock",)).startswith("LOST")


def test_the_sweep_sees_a_store_that_does_not_open() -> None:
    with new_house() as house:
        house.daemon.stop()
        os.truncate(house.daemon.database, 5_000)
        assert opened_again(house.daemon, house.unlock).startswith("NOT OPEN")
