"""The audit tells: any change of it is refused or named, and whoever got a plaintext has a row, whatever dies or fills up."""

import os
import random
import resource
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support import strace, walks
from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.gate_house import as_root
from tests.support.offline import Offline
from tests.support.reveals import Bots, Place
from tests.support.stores import MACHINE_KEY, Files, editing
from tests.support.sweep import Report, on_all_cores
from vaultd.keyholder.ledger import Ledger
from vaultd.model import AuditRow
from vaultd_client import ClientKey, VaultClientError


def settle(daemon: Daemon) -> ClientKey:
    """Starts a vault with a machine key, two exchanges and a bot that may see all of them."""
    daemon.start()
    daemon.initialize()
    with daemon.unlocker() as unlocker:
        unlocker.slot_add(bytearray(PASSPHRASE), bytearray(MACHINE_KEY), kind="machine", label="machine")
    daemon.add_exchange()
    with daemon.admin() as admin:
        admin.create_exchange("kraken", "kraken", {"read": {"api_key": "k" * 56, "secret": "c2VjcmV0"}})
    key = daemon.add_bot()
    with daemon.admin() as admin:
        admin.create_grant("bot", "*", "*")
    return key


# --- changed entries ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One change of the audit in `home`: what is done, to which entry, with which column or other entry, and how."""

    home: str
    what: str
    at: int
    column: str = ""
    other: int = 0
    way: int = 0


def fill(home: Path, reveals: int) -> int:
    """Puts a closed vault's files there; returns how many entries its audit has."""
    with new_daemon() as daemon:
        key = settle(daemon)
        with daemon.client(key) as bot:
            for number in range(reveals):
                bot.reveal(*(("binance-main", "read"), ("binance-main", "write"), ("kraken", "read"))[number % 3])
        assert daemon.stop() == 0
        files = Files.of(daemon)
    for name, content in (("vault.db", files.database), ("anchor", files.anchor), ("admin.key", files.admin_key)):
        (home / name).write_bytes(content)
    with closing(sqlite3.connect(home / "vault.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM audit").fetchone()[0])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    home = tmp_path_factory.mktemp("image")
    return str(home), fill(home, 6)


@cache
def _files(home: str) -> tuple[bytes, bytes]:
    return (Path(home) / "vault.db").read_bytes(), (Path(home) / "anchor").read_bytes()


@cache
def _opener(home: str) -> Offline:
    return Offline(Path(home) / "vault.db")


def _edited(case: Case, connection: sqlite3.Connection) -> None:
    """Changes a column in one of three ways, or in the next of them where that would change nothing."""
    select = f"SELECT {case.column} FROM audit WHERE sequence = ?"
    (old,) = connection.execute(select, (case.at,)).fetchone()
    (near,) = connection.execute(select, (case.at + 1 if case.at == 1 else case.at - 1,)).fetchone()
    if case.column == "sequence":
        near = old + 1_000_000  # it is the key: no two entries can have the same
    news: tuple[object, ...]
    if isinstance(old, int):
        news = (old + 1_000, -old - 1, near)
    elif isinstance(old, bytes):
        news = (bytes((old[0] ^ 1,)) + old[1:], bytes(32), near)
    else:
        news = (old + "x", "deny" if old == "allow" else "", near)
    new = next(each for each in (*news[case.way :], *news) if each != old)
    connection.execute(f"UPDATE audit SET {case.column} = ? WHERE sequence = ?", (new, case.at))


_REST = [column for column in AuditRow.columns() if column != "sequence"]


def _overwrite(connection: sqlite3.Connection, at: int, values: tuple[object, ...]) -> None:
    connection.execute(f"UPDATE audit SET {', '.join(f'{each} = ?' for each in _REST)} WHERE sequence = ?", (*values, at))


def _entry(connection: sqlite3.Connection, at: int) -> tuple[object, ...]:
    found: tuple[object, ...] = connection.execute(f"SELECT {', '.join(_REST)} FROM audit WHERE sequence = ?", (at,)).fetchone()
    return found


def _shift(connection: sqlite3.Connection, after: int, by: int) -> None:
    connection.execute("UPDATE audit SET sequence = -sequence WHERE sequence > ?", (after,))
    connection.execute("UPDATE audit SET sequence = -sequence + ? WHERE sequence < 0", (by,))


WHOLE = ("dropped", "dropped, the rest moved up", "hidden where no walk comes by", "truncated", "beheaded", "duplicated")


def change(case: Case, connection: sqlite3.Connection) -> None:
    """Makes the change."""
    match case.what:
        case "edited":
            _edited(case, connection)
        case "dropped":
            connection.execute("DELETE FROM audit WHERE sequence = ?", (case.at,))
        case "dropped, the rest moved up":
            connection.execute("DELETE FROM audit WHERE sequence = ?", (case.at,))
            _shift(connection, case.at, -1)
        case "hidden where no walk comes by":
            connection.execute("UPDATE audit SET sequence = -sequence WHERE sequence = ?", (case.at,))
        case "truncated":
            connection.execute("DELETE FROM audit WHERE sequence >= ?", (case.at,))
        case "beheaded":
            connection.execute("DELETE FROM audit WHERE sequence <= ?", (case.at,))
        case "duplicated":
            _shift(connection, case.at, 1)
            values = (case.at + 1, *_entry(connection, case.at))
            connection.execute(f"INSERT INTO audit VALUES ({', '.join('?' * len(values))})", values)
        case "swapped":
            one, two = _entry(connection, case.at), _entry(connection, case.other)
            _overwrite(connection, case.at, two)
            _overwrite(connection, case.other, one)
        case "overwritten by another":
            _overwrite(connection, case.at, _entry(connection, case.other))


def outcome(case: Case) -> str:
    """Returns how a change ends: `refused REASON`, `named by audit verify`, or `MISSED`."""

    def work(path: Path) -> None:
        with editing(path) as connection:
            change(case, connection)

    walked = walks.walk_changed(_opener(case.home), _files(case.home), work)
    if walked in ("refused STORE_DAMAGED", "refused STORE_ROLLED_BACK"):
        return walked
    first = min(case.at, case.other) if case.what == "swapped" else case.at
    return "named by audit verify" if walked == str(first) else f"MISSED {case}: {walked}"


def cases(home: str, entries: int, *, every_pair: bool) -> list[Case]:
    made = []
    for at in range(1, entries + 1):
        made += [Case(home, "edited", at, column, way=way) for column in AuditRow.columns() for way in range(3)]
        made += [Case(home, what, at) for what in WHOLE]
        others = [other for other in range(1, entries + 1) if other != at and (every_pair or abs(other - at) in (1, 4))]
        made += [Case(home, "overwritten by another", at, other=other) for other in others]
        made += [Case(home, "swapped", at, other=other) for other in others if other > at]
    return made


def sweep(name: str, made: list[Case], found: Iterator[str]) -> Report:
    report = Report(name)
    for each in found:
        report.add(each)
    report.show()
    assert [each for each in report.found if each.startswith("MISSED")] == []
    assert report.found["named by audit verify"] > len(made) // 4
    return report


def test_no_entry_can_be_edited_dropped_moved_or_repeated(image: tuple[str, int]) -> None:
    home, entries = image
    assert outcome(Case(home, "untouched", 1)) == f"MISSED {Case(home, 'untouched', 1)}: ok"
    made = [each for each in cases(home, entries, every_pair=False) if each.what != "edited" or each.way == each.at % 3]
    sweep("audit, quick", made, map(outcome, made))


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_no_entry_can_be_edited_dropped_moved_or_repeated_full(tmp_path: Path) -> None:
    made = cases(str(tmp_path), fill(tmp_path, 60), every_pair=True)
    sweep("audit, full", made, on_all_cores(outcome, made))


def test_the_sweep_sees_what_an_unchecked_chain_would_let_through(
    image: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "check_entry", lambda self, previous, entry: True)
    for case in (Case(image[0], "edited", 3, "client"), Case(image[0], "swapped", 4, other=7)):
        assert outcome(case).startswith("MISSED")


def test_the_daemon_itself_names_the_first_bad_entry(image: tuple[str, int]) -> None:
    home, entries = image
    made = (Case(home, "edited", 5, "pid"), Case(home, "swapped", 4, other=7), Case(home, "dropped", entries - 2))
    with new_daemon() as daemon:
        for case in made:
            Files(*_files(home), (Path(home) / "admin.key").read_bytes()).put(daemon)
            with editing(daemon.database) as connection:
                change(case, connection)
            daemon.start()
            if case.what == "dropped":
                with pytest.raises(VaultClientError, match="entries of the audit are missing"):
                    daemon.unlock(MACHINE_KEY, kind="machine")
            else:
                daemon.unlock(MACHINE_KEY, kind="machine")
                with daemon.admin() as admin:
                    assert admin.verify_audit().first_bad == case.at
            daemon.kill()


# --- a crash between audit and reply --------------------------------------------------------------------------------


def rows(daemon: Daemon) -> Counter[Place]:
    """Counts the audit's rows of reveals to the bot, by exchange and half; the chain must be whole."""
    with daemon.admin() as admin:
        assert admin.verify_audit().ok
        names = {each.id: each.name for each in admin.list()}
        entries = admin.audit(limit=1_000_000, client="bot", decision="allow")
        return Counter((names[each.exchange], each.configuration) for each in entries if each.method == "RevealCredential")


def crashes(name: str, rounds: list[str], seed: int) -> None:
    chosen = random.Random(seed)
    report = Report(name)
    with new_daemon() as daemon:
        bots = Bots(daemon, settle(daemon))
        for how in rounds:
            # Round by round: rows of before that nobody got a plaintext for must not make up for one that is missing now.
            after, past, before = chosen.randint(3, 40), rows(daemon), bots.got.copy()
            if how == "server killed at a sync":
                count = f"inject=fdatasync:signal=SIGKILL:when={after}"
                with strace.attached(daemon, ("fdatasync",), "-e", count):
                    bots.run_until(1, lambda: daemon.process.wait(30))  # type: ignore[union-attr]
            else:
                bots.run_until(after, daemon.kill if how == "server killed" else lambda: os.kill(daemon.keyholder_pid, signal.SIGKILL))
            if how != "keyholder killed":
                daemon.start()
            daemon.unlock(MACHINE_KEY, kind="machine")
            found, got = rows(daemon) - past, bots.got - before
            assert not got - found, f"{how} after {after}: no row for {got - found}"
            # A row without a plaintext is one reveal of each bot, under way when it happened.
            assert all(found[place] - got[place] <= 1 for place in bots.places)
            # Positive control: an audit that has lost the rows of this round would be noticed. The first syncs are over
            # before anybody has got anything.
            assert got or how == "server killed at a sync"
            report.add(how)
        report.add("plaintexts, each with its row", bots.got.total())
        report.show()


CRASHES = ["server killed", "keyholder killed", "server killed at a sync"][: 3 if os.geteuid() == 0 else 2]


def test_nobody_got_a_plaintext_without_a_row() -> None:
    crashes("crash between audit and reply, quick", CRASHES, 1)


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_nobody_got_a_plaintext_without_a_row_full() -> None:
    crashes("crash between audit and reply, full", CRASHES * 40, 2)


# --- an audit that cannot be written --------------------------------------------------------------------------------


@contextmanager
def full_disk(daemon: Daemon) -> Iterator[None]:
    filler = daemon.data / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    yield
    filler.unlink()


@contextmanager
def size_limit(daemon: Daemon) -> Iterator[None]:
    """No file of the server may be longer than a page: what setrlimit(2) or a quota would do."""
    before = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(daemon: Daemon) -> Iterator[None]:
    """What every write says once the kernel has made a file system read-only after an error of its disk."""
    with strace.attached(daemon, ("write", "pwrite64"), "-e", "inject=write,pwrite64:error=EROFS"):
        yield


FAULTS = {"full disk": full_disk, "size limit": size_limit, "read-only": read_only}


@contextmanager
def small_disk(daemon: Daemon) -> Iterator[None]:
    daemon.data.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(daemon.data)], check=True)
    try:
        yield
    finally:
        daemon.close()
        subprocess.run(["umount", str(daemon.data)], check=True)


@as_root
@strace.NEEDED
@pytest.mark.parametrize("fault", FAULTS)
def test_without_an_audit_there_is_no_plaintext_and_all_else_goes_on(daemon: Daemon, fault: str) -> None:
    report = Report(f"audit cannot be written, {fault}")
    with small_disk(daemon) if fault == "full disk" else nullcontext():
        got: Counter[Place] = Counter()
        reasons: Counter[str] = Counter()
        with daemon.client(settle(daemon)) as bot, daemon.client() as anyone:
            with FAULTS[fault](daemon):
                for _ in range(400):
                    try:
                        bot.reveal("binance-main")
                    except VaultClientError as error:
                        reasons[error.reason] += 1
                        if reasons.total() == 20:
                            break
                    else:
                        # There was room still in a page of the log: then there is a row.
                        got["binance-main", "read"] += 1
                assert reasons.total() == 20
                assert set(reasons) <= {"STORE_FULL", "STORE_UNAVAILABLE"}
                assert anyone.vault().state == "UNLOCKED"
                assert [each.name for each in anyone.list()] == ["binance-main", "kraken"]
                daemon.lock()
                assert anyone.vault().state == "LOCKED"
            daemon.unlock(MACHINE_KEY, kind="machine")
            assert bot.reveal("binance-main").secret
            got["binance-main", "read"] += 1
            assert rows(daemon) == got
    for reason, count in reasons.items():
        report.add(f"refused {reason}", count)
    report.add("answered, with a row", got.total())
    report.show()
