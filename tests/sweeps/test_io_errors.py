"""The disk fails under a real daemon: at one call or at all from one on, full, or with writes cut short.

The client gets a typed error, the daemon lives, unlocked or locked; what was refused is not there, what was
acknowledged is; and without a fault everything works again, without a restart.
"""

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from tests.support import strace
from tests.support.daemon import Daemon, new_daemon
from tests.support.house import COMMANDS, Command, House, new_house
from tests.support.judging import attempt, judge
from tests.support.processes import until
from tests.support.sweep import Job, Outcomes, Report, in_lanes
from vaultd_client.errors import LockedError, StoreError, VaultClientError

pytestmark = strace.NEEDED

RESTART_EVERY = 25
GOOD = {"refused", "done all the same", "locked, and opened again", "locked in doubt, and opened again as a whole"}
TYPED = {"STORE_FULL", "STORE_UNAVAILABLE"}
Fault = Callable[[House], "contextlib.AbstractContextManager[object]"]


@contextlib.contextmanager
def failing(call: str, errno: str, when: str, house: House) -> Iterator[None]:
    """One call fails (`when` is a number), or all from one on (with a plus)."""
    fault = ("-e", f"inject={call}:error={errno}:when={when}")
    with strace.attached(house.daemon, [call], *fault):
        yield


@contextlib.contextmanager
def cut_short(beyond: int, house: House) -> Iterator[None]:
    """Writes end `beyond` bytes after the end of the WAL, in the middle of a page; what comes after fails."""
    wal = house.daemon.data / "vault.db-wal"
    limit = (wal.stat().st_size if wal.exists() else 0) + beyond
    before = resource.prlimit(house.daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(house.daemon.pid, resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(house.daemon.pid, resource.RLIMIT_FSIZE, before)


def faulted(house: House, name: str, fault: Fault) -> str:
    """Runs a command under a fault and says what came of it; in capitals or with `FAILED` what must not be."""
    command = COMMANDS[name]
    house.number += 1
    house.sweep_up()
    mark = house.mark()
    command.prepare(house)
    with fault(house):
        error = attempt(command, house)
    assert house.daemon.process is not None
    if house.daemon.process.poll() is not None:
        return f"DEAD after {error!r}"
    if error is not None and not (isinstance(error, StoreError) and error.reason in TYPED):
        return f"UNTYPED {error!r}"
    then = _next_change(house)
    if then is None:
        try:
            house.unlock()
        except VaultClientError as refused:
            return f"NOT OPEN again: {refused!r}"
    return _judged(house, command, mark, error, then=then, asked=name == "lock")


def _next_change(house: House) -> tuple[str, ...] | None:
    """Makes a change without a fault; returns its audit entry, or None where the vault is locked.

    A store that could not even be opened again under the fault finds out now where it stands. Where that is not where
    the keyholder left it, this change is refused and the vault locks.
    """
    with house.daemon.admin() as admin:
        try:
            admin.reveal("binance-main")
        except LockedError:
            return None
        except StoreError as error:
            assert "out_of_order" in error.metadata, repr(error)
            until(lambda: admin.vault().state == "LOCKED")
            return None
    return ("RevealCredential",)


def _judged(
    house: House,
    command: Command,
    mark: int,
    error: VaultClientError | None,
    *,
    then: tuple[str, ...] | None,
    asked: bool,
) -> str:
    found = judge(house, command, mark, acknowledged=error is None, then=("unlock",) if then is None else then)
    if found not in {"whole", "absent"}:
        return found
    if error is None:
        return "done all the same"
    if then is None and not asked:
        return "locked in doubt, and opened again as a whole" if found == "whole" else "locked, and opened again"
    return f"DONE though refused: {error!r}" if found == "whole" else "refused"


class Lane:
    """One house that takes one fault after another; every now and then it is started again from the disk alone."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.faults = 0

    def run(self, name: str, fault: Fault) -> str:
        """Returns what came of one fault."""
        try:
            found = faulted(self.house, name, fault)
            self.faults += 1
            if found in GOOD and self.faults % RESTART_EVERY == 0:
                self.house.daemon.kill()
                self.house.daemon.start()
                self.house.unlock()
                if self.house.seen() != self.house.state:
                    return "LOST on the disk"
        except (VaultClientError, AssertionError) as error:
            return f"FAILED without a fault: {error!r}"
        return found


def of_command(name: str, errors: Iterable[tuple[str, str]], stride: int = 1) -> Outcomes:
    """Yields every fault of a command: each call once with each error, and each call with all after it."""
    with new_house() as house:
        lane = Lane(house)
        for call in strace.CALLS:
            count = calls_in(house, name, call)
            for errno, plus in errors:
                for when in range(1, count + 1, stride):
                    found = lane.run(name, partial(failing, call, errno, f"{when}{plus}"))
                    yield found if found in GOOD else f"{name} {call} {errno} {when}{plus}: {found}"
                    if found not in GOOD:
                        return
        for beyond in (1, 24, 500, 4_000, 4_200, 9_000):
            found = lane.run(name, partial(cut_short, beyond))
            yield found if found in GOOD else f"{name} cut {beyond} bytes on: {found}"


def calls_in(house: House, name: str, call: str) -> int:
    """Returns how many calls of a sort a command makes without a fault."""
    counted = house.daemon.home / "counted"
    house.number += 1
    house.sweep_up()
    COMMANDS[name].prepare(house)
    tracer = subprocess.Popen(
        [*strace.options(house.daemon, [call]), "-o", str(counted), "-p", str(house.daemon.pid)],
        stderr=subprocess.PIPE,
    )
    with tracer:
        assert tracer.stderr is not None
        tracer.stderr.readline()
        COMMANDS[name].run(house)
        tracer.terminate()
    if name == "lock":
        house.unlock()
    house.passphrase = house.next_passphrase if name == "passphrase change" else house.passphrase
    house.state = house.seen()
    return sum("(" in line and "resumed" not in line for line in counted.read_text().splitlines())


# --- a full file system ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(daemon: Daemon, kib: int) -> Iterator[None]:
    """Puts the store of a daemon that has none yet, its anchor included, on a file system of its own."""
    disk = daemon.home / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=755", "vaultd-test", disk], check=True)
    try:
        for name in ("data", "anchor"):
            (disk / name).mkdir(mode=0o700)
        daemon.environment |= {"VAULTD_DATA_DIR": str(disk / "data"), "VAULTD_ANCHOR_DIR": str(disk / "anchor")}
        daemon.data, daemon.anchor_dir = disk / "data", disk / "anchor"
        daemon.database, daemon.anchor = daemon.data / "vault.db", daemon.anchor_dir / "anchor"
        yield
    finally:
        daemon.close()
        subprocess.run(["umount", disk], check=True)


@contextlib.contextmanager
def full(free_pages: int, house: House) -> Iterator[None]:
    """Fills the disk but for some pages; gives the space back at the end."""
    ballast = house.daemon.home / "disk" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(max(0, file.tell() - free_pages * 4096))
    try:
        yield
    finally:
        ballast.unlink()


def on_a_full_disk(names: Iterable[str], free: Iterable[int]) -> Outcomes:
    """Yields what came of each command with each number of free pages."""
    with new_daemon() as daemon, small_disk(daemon, 4_096):
        house = House(daemon)
        house.settle()
        lane = Lane(house)
        for name in names:
            for pages in free:
                found = lane.run(name, partial(full, pages))
                yield found if found in GOOD else f"{name} with {pages} pages free: {found}"
                if found not in GOOD:
                    return


# --- the two forms ---------------------------------------------------------------------------------------------------


def sweep(name: str, jobs: Iterable[Job]) -> Report:
    report = Report(name)
    in_lanes(report, jobs)
    report.show()
    assert set(report.found) <= GOOD
    # Positive control: faults that nothing refuses have hit nothing.
    assert report.found["refused"] + report.found["locked, and opened again"] > report.tried // 10
    return report


QUICK: list[tuple[str, Fault]] = [
    ("exchange create", partial(failing, "pwrite64", "ENOSPC", "3")),
    ("exchange update", partial(failing, "fdatasync", "EIO", "1")),
    ("exchange rotate", partial(failing, "pwrite64", "EIO", "1+")),
    ("credential revoke", partial(failing, "ftruncate", "EIO", "1+")),
    ("exchange delete", partial(failing, "fdatasync", "EIO", "2+")),
    ("client allow", partial(cut_short, 500)),
    ("client revoke", partial(failing, strace.RENAME, "EIO", "1+")),
    ("grant", partial(failing, "openat", "ENOSPC", "1+")),
    ("slot add", partial(failing, "pwrite64", "ENOSPC", "1+")),
    ("slot remove", partial(failing, "fdatasync", "EIO", "2")),
    ("reveal", partial(failing, "fdatasync", "EIO", "1+")),
    ("reveal", partial(failing, "pwrite64", "ENOSPC", "2+")),
    ("lock", partial(failing, "pwrite64", "EIO", "1+")),
    ("unlock", partial(failing, "fdatasync", "EIO", "2+")),
    ("master key rotate", partial(failing, "pwrite64", "EIO", "9")),
]


def _quick() -> Outcomes:
    with new_house() as house:
        lane = Lane(house)
        for name, fault in QUICK:
            found = lane.run(name, fault)
            yield found if found in GOOD else f"{name} {fault}: {found}"


def test_a_disk_that_fails_or_is_full_half_does_nothing_and_the_daemon_goes_on() -> None:
    names = ("exchange create", "client allow", "reveal", "exchange delete", "lock", "unlock")
    sweep("I/O errors, quick", [_quick, partial(on_a_full_disk, names, (0,))])


@pytest.mark.full
@pytest.mark.timeout(10_800)
def test_a_disk_that_fails_or_is_full_half_does_nothing_and_the_daemon_goes_on_full() -> None:
    errors = (("EIO", ""), ("ENOSPC", ""), ("EIO", "+"), ("ENOSPC", "+"))
    jobs: list[Job] = [partial(on_a_full_disk, COMMANDS, (0, 1, 2, 4, 8))]
    jobs += [partial(of_command, name, errors) for name in COMMANDS]
    assert sweep("I/O errors, full", jobs).tried >= 600


# --- positive control ------------------------------------------------------------------------------------------------


def test_the_sweep_sees_a_change_that_is_there_although_it_was_refused() -> None:
    with new_house() as house:
        command = COMMANDS["exchange create"]
        mark = house.mark()
        assert attempt(command, house) is None
        found = _judged(house, command, mark, StoreError("made up"), then=(), asked=False)
        assert found.startswith("DONE though refused")
