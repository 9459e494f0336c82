"""Every byte of database, WAL and anchor changed: content is the same, or the change is refused."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, new_daemon
from tests.support.offline import Offline, Opened
from tests.support.sweep import Report, on_all_cores
from vaultd.errors import VaultError

DATABASE, WAL, ANCHOR = "vault.db", "vault.db-wal", "anchor"


@dataclass(frozen=True, slots=True)
class Case:
    """One change of one file of the vault in `home`; `mask` is XORed to the byte, or -1 cuts the file there."""

    home: str
    file: str
    offset: int
    mask: int


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Path]]:
    """Files of one vault: `plain` with everything in the database, `wal` with half of it in the WAL still."""
    with tempfile.TemporaryDirectory(prefix="vaultd-flips-") as name, new_daemon() as daemon:
        base = Path(name)
        _fill(daemon)
        daemon.kill()
        made = {"wal": base / "wal", "plain": base / "plain"}
        for home in made.values():
            home.mkdir()
            for path in (daemon.database, daemon.data / WAL, daemon.anchor):
                shutil.copy(path, home / path.name)
        offline(str(made["plain"])).open(made["plain"] / DATABASE, made["plain"] / ANCHOR)
        (made["plain"] / WAL).unlink(missing_ok=True)
        yield made


def _fill(daemon: Daemon) -> None:
    daemon.start()
    daemon.initialize()
    daemon.add_exchange()
    daemon.add_bot()
    with daemon.admin() as admin:
        admin.rotate_credential("binance-main", "read", {"api_key": "READ-key-2-abcdefgh", "secret": "s2"})
        admin.create_exchange("kraken", "kraken", {"read": {"api_key": "k" * 56, "secret": "c2VjcmV0"}}, hidden=True)
        admin.reveal("binance-main", "read")
        # Last a change: its anchor is written at once. That of a mere reveal follows within a second (THREAT_MODEL.md).
        admin.update_exchange("binance-main", labels={"last": "change"})


@cache
def offline(home: str) -> Offline:
    """Returns the opener of the vault in a directory; one per process."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in (DATABASE, WAL):
            if (Path(home) / name).exists():
                shutil.copy(Path(home) / name, scratch)
        return Offline(Path(scratch) / DATABASE)


@cache
def _untouched(home: str) -> Opened:
    return _open_copy(home, None)


@cache
def _bytes(home: str, name: str) -> bytes:
    path = Path(home) / name
    return path.read_bytes() if path.exists() else b""


def _open_copy(home: str, case: Case | None) -> Opened:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        for name in (DATABASE, WAL, ANCHOR):
            content = bytearray(_bytes(home, name))
            if case is not None and case.file == name:
                if case.mask < 0:
                    del content[case.offset :]
                else:
                    content[case.offset] ^= case.mask
            if content or name == DATABASE:
                (Path(scratch) / name).write_bytes(content)
        return offline(home).open(Path(scratch) / DATABASE, Path(scratch) / ANCHOR)


def outcome(case: Case) -> str:
    """Returns how a change ends: `same content`, `refused: REASON`, `named by audit verify`, or `MISSED`."""
    try:
        opened = _open_copy(case.home, case)
    except VaultError as error:
        return f"refused {error.reason}"
    good = _untouched(case.home)
    if (opened.rows, opened.audit) == (good.rows, good.audit):
        return "same content"
    if opened.rows == good.rows and not opened.audit_whole:
        return "named by audit verify"
    return f"MISSED {case}"


def _sweep(name: str, cases: list[Case]) -> Report:
    report = Report(name)
    for found in on_all_cores(outcome, cases):
        report.add(found)
    report.show()
    missed = [found for found in report.found if found.startswith("MISSED")]
    assert missed == []
    # Positive control: a sweep in which nothing is refused has not looked.
    assert sum(count for found, count in report.found.items() if found.startswith("refused")) > len(cases) // 100
    return report


def _flips(images: dict[str, Path], count: int) -> list[Case]:
    """Most in the database itself: a flip in the WAL breaks its checksums, and all that follows is not read at all."""
    chosen = random.Random(1)
    places = (("plain", DATABASE, 0.6), ("wal", WAL, 0.25), ("wal", DATABASE, 0.15), ("plain", ANCHOR, 0.0))
    cases = []
    for image, name, part in places:
        home = str(images[image])
        length = len(_bytes(home, name))
        for number in range(max(round(count * part), length * 8 if name == ANCHOR else 0)):
            # Every byte before any byte twice, and every third round the whole byte.
            offset = number % length if count * part >= length or name == ANCHOR else chosen.randrange(length)
            mask = 0xFF if number // length % 3 == 2 else 1 << chosen.randrange(8)
            cases.append(Case(home, name, offset, mask))
    return cases


def test_a_flipped_bit_is_refused_or_changes_nothing(images: dict[str, Path]) -> None:
    _sweep("flips, quick", _flips(images, 1_500))


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_a_flipped_bit_is_refused_or_changes_nothing_full(images: dict[str, Path]) -> None:
    assert _sweep("flips, full", _flips(images, 150_000)).tried >= 150_000


def _cuts(images: dict[str, Path], step: int) -> list[Case]:
    cases = []
    for home, name in ((images["plain"], DATABASE), (images["wal"], WAL), (images["plain"], ANCHOR)):
        length = len(_bytes(str(home), name))
        cases += [Case(str(home), name, cut, -1) for cut in range(0, length, step if name != ANCHOR else 1)]
    return cases




def test_a_cut_file_is_refused_or_changes_nothing(images: dict[str, Path]) -> None:
    _sweep("cuts, quick", _cuts(images, 509))


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_a_cut_file_is_refused_or_changes_nothing_full(images: dict[str, Path]) -> None:
    _sweep("cuts, full", _cuts(images, 1))


def test_the_sweep_sees_a_change_that_nothing_refuses(images: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Positive control: with the checks of the ledger off, the sweep calls the same flips missed."""
    from vaultd.keyholder.ledger import Ledger

    monkeypatch.setattr(Ledger, "load_page", lambda self, table, rows, tags: self.counts.update({table: self.counts[table] + len(rows)}))
    monkeypatch.setattr(Ledger, "open_at", lambda self, row, tail, entries: None)
    monkeypatch.setattr(Ledger, "check_entry", lambda self, previous, entry: True)
    monkeypatch.setattr("vaultd.keyholder.loading._check_anchor", lambda *args, **kwargs: iter(()))
    content = _bytes(str(images["plain"]), DATABASE)
    at = content.index(b'{"api_key":"READ') + len(b'{"api_key":"')
    assert outcome(Case(str(images["plain"]), DATABASE, at, 0x01)).startswith("MISSED")
