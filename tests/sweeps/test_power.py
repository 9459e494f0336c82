"""The power goes at every moment of a long day: the vault opens, and what was acknowledged is there."""

import pickle
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests.support import power, strace
from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.house import COMMANDS, MACHINE_KEY, House, pair
from tests.support.offline import Offline
from tests.support.sweep import Report, on_all_cores
from vaultd.errors import VaultError, WrongPassphraseError
from vaultd.store import database, queries

pytestmark = strace.NEEDED

GOOD = {"whole", "not made yet"}
KEPT = (0.0, 1.0, 0.5, 0.5, 0.2, 0.8)
"""How likely a pending write is on the disk, variant by variant: none, all, and parts of them."""


@dataclass(slots=True)
class Recording:
    """What a daemon wrote, and when it acknowledged which generation; `openers` hold its slots as they were."""

    records: list[power.Record] = field(default_factory=list)
    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    openers: list[Path] = field(default_factory=list)

    def generation_at(self, number: int) -> int:
        """Returns the generation that was acknowledged before a record was written."""
        until = self.records[number].at if number < len(self.records) else float("inf")
        return max((generation for at, generation in self.acknowledged if at < until), default=0)


@dataclass(frozen=True, slots=True)
class Case:
    """A cut after `number` records of the recording in `home`."""

    home: str
    number: int
    variant: int
    deaf: tuple[str, ...] = ()


class Day:
    """A daemon at work, and its recorder."""

    def __init__(self, daemon: Daemon, home: Path) -> None:
        self.house = House(daemon)
        self.home = home
        self.recording = Recording()
        self._starts = 0

    def start(self) -> None:
        """Starts the daemon with everything that it writes recorded."""
        self._starts += 1
        log = str(self.home / f"log-{self._starts}")
        daemon = self.house.daemon
        daemon.start(*strace.options(daemon, [power.TRACED], "-D", "--seccomp-bpf", *power.OPTIONS, "-o", log))

    def acknowledge(self) -> None:
        """Notes that all so far was acknowledged."""
        at = time.time()
        self.recording.acknowledged.append((at, self.house.mark()))

    def keep_slots(self) -> None:
        """Keeps the store: its slots were made anew."""
        kept = self.home / f"slots-{len(self.recording.openers)}"
        kept.mkdir()
        for name in ("vault.db", "vault.db-wal"):
            shutil.copy(self.house.daemon.data / name, kept)
        self.recording.openers.append(kept)

    def command(self, name: str) -> None:
        """Runs one of the commands, with what must be there before."""
        self.house.number += 1
        COMMANDS[name].prepare(self.house)
        COMMANDS[name].run(self.house)
        if name not in {"lock", "unlock"}:
            self.acknowledge()
        if name == "lock":
            self.house.unlock()
            self.acknowledge()

    def close(self) -> None:
        """Ends it and keeps the recording."""
        self.house.daemon.stop()
        self.recording.records = power.parse(sorted(self.home.glob("log-*")))
        (self.home / "recording").write_bytes(pickle.dumps(self.recording))


def live(day: Day, rounds: int) -> None:
    """One day: every command, several times over, stops, a kill, a new passphrase, a new master key."""
    house = day.house
    day.start()
    house.daemon.initialize()
    day.acknowledge()
    day.keep_slots()
    house.daemon.add_exchange()
    day.acknowledge()
    with house.daemon.unlocker() as unlocker:
        unlocker.slot_add(bytearray(PASSPHRASE), bytearray(MACHINE_KEY), kind="machine")
    day.acknowledge()
    house.state = house.seen()
    for number in range(rounds):
        for name in COMMANDS:
            if name not in {"passphrase change", "master key rotate"}:
                day.command(name)
                house.state = house.seen()
        with house.daemon.unlocker() as unlocker:
            if number == 0:
                unlocker.passphrase_change(bytearray(PASSPHRASE), bytearray(PASSPHRASE))
        day.acknowledge()
        if number == 0:
            day.keep_slots()
            for each in range(20):
                _rotate(house, each)
                day.acknowledge()
        house.sweep_up()
        if number == 1:
            COMMANDS["master key rotate"].run(house)
            day.acknowledge()
            day.keep_slots()
        if number % 2:
            house.daemon.stop()
        else:
            house.daemon.kill()
        day.start()
        house.unlock()
        day.acknowledge()


def _rotate(house: House, number: int) -> None:
    with house.daemon.admin() as admin:
        admin.rotate_credential("binance-main", "read", pair(f"day-{number}"))


def _record(rounds: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vaultd-power-") as name, new_daemon() as daemon:
        day = Day(daemon, Path(name))
        live(day, rounds)
        day.close()
        yield Path(name)


@pytest.fixture(scope="module")
def short_day() -> Iterator[Path]:
    yield from _record(1)


@pytest.fixture(scope="module")
def long_day() -> Iterator[Path]:
    yield from _record(4)


# --- one cut ---------------------------------------------------------------------------------------------------------


@cache
def _recording(home: str) -> Recording:
    found = pickle.loads((Path(home) / "recording").read_bytes())
    assert isinstance(found, Recording)
    return found


@cache
def _openers(home: str) -> list[Offline]:
    return [Offline(_own_copy(kept)) for kept in _recording(home).openers]


def _own_copy(kept: Path) -> Path:
    """Returns the database of a copy: several processes open it."""
    return Path(shutil.copytree(kept, tempfile.mkdtemp(dir=kept.parent), dirs_exist_ok=True)) / "vault.db"


class _Player:
    """The disk after so many records; cases come in the order of their numbers."""

    def __init__(self, case: Case) -> None:
        self.key = (case.home, case.deaf)
        self.number = 0
        self.disk = power.Disk(case.deaf)

    def go_to(self, case: Case) -> power.Disk:
        for record in _recording(case.home).records[self.number : case.number]:
            self.disk.take(record)
        self.number = case.number
        return self.disk


_players: list[_Player] = []


def outcome(case: Case) -> str:
    """Returns what a power cut leaves: `whole`, `not made yet`; or `LOST`, `CORRUPT`, `AUDIT` and what."""
    if not _players or _players[0].key != (case.home, case.deaf) or _players[0].number > case.number:
        _players[:] = [_Player(case)]
    disk = _players[0].go_to(case)
    chance = random.Random(case.number * 1_000 + case.variant)
    files = disk.cut(chance, KEPT[case.variant % len(KEPT)])
    acknowledged = _recording(case.home).generation_at(case.number)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        return _opened(_openers(case.home), Path(name), acknowledged)


def _opened(openers: Sequence[Offline], home: Path, acknowledged: int) -> str:
    try:
        with database.foreign_errors():
            opened = database.open_database(home / "vault.db")
            try:
                made = bool(queries.vault(opened.conn))
            finally:
                opened.conn.close()
    except VaultError as error:
        return f"CORRUPT {error.reason}"
    if not made:
        return "LOST all" if acknowledged else "not made yet"
    for opener in reversed(openers):
        try:
            found = opener.open(home / "vault.db", home / "anchor")
        except WrongPassphraseError:
            continue
        except VaultError as error:
            return f"CORRUPT {error.reason}"
        if found.generation < acknowledged:
            return "LOST the last"
        return "whole" if found.audit_whole else "AUDIT broken"
    return "CORRUPT no slot opens"


# --- the forms -------------------------------------------------------------------------------------------------------


def cases(home: Path, count: int, deaf: tuple[str, ...] = ()) -> list[Case]:
    """Returns about `count` cuts, spread over the whole recording."""
    length = len(_recording(str(home)).records) + 1
    step = max(1, length * len(KEPT) // count)
    variants = max(1, -(-count * step // length))
    return [
        Case(str(home), number, variant if step == 1 else number + variant, deaf)
        for number in range(0, length, step)
        for variant in range(variants)
    ]


def sweep(name: str, wanted: list[Case]) -> Report:
    report = Report(name)
    for found in on_all_cores(outcome, wanted):
        report.add(found)
    report.show()
    return report


def test_a_power_cut_loses_nothing_that_was_acknowledged(short_day: Path) -> None:
    report = sweep("power cuts, quick", cases(short_day, 200))
    assert set(report.found) <= GOOD
    assert report.found["whole"] > report.tried // 2


@pytest.mark.full
@pytest.mark.timeout(10_800)
def test_a_power_cut_loses_nothing_that_was_acknowledged_full(long_day: Path) -> None:
    report = sweep("power cuts, full", cases(long_day, 10_000))
    assert set(report.found) <= GOOD
    assert report.tried >= 10_000


def test_the_recording_is_what_was_written(short_day: Path) -> None:
    """Played back with nothing lost, it ends in the generation that was acknowledged last."""
    last = Case(str(short_day), len(_recording(str(short_day)).records), 1)
    assert outcome(last) == "whole"


@pytest.mark.parametrize(("deaf", "seen"), [(("*",), "LOST"), (("vault.db-wal",), "CORRUPT STORE_ROLLED_BACK")])
def test_the_sweep_sees_what_a_disk_loses_that_ignores_syncs(short_day: Path, deaf: tuple[str, ...], seen: str) -> None:
    """Positive control."""
    report = sweep(f"power cuts, deaf to syncs of {deaf}", cases(short_day, 60, deaf))
    assert any(found.startswith(seen) for found in report.found)
