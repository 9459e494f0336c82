"""Bytes from outside that nobody meant: no parser falls over, no socket goes quiet, no error or log repeats them."""

import importlib.util
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.targets import CONTROL, TARGETS
from tests.support.daemon import READ_PAIR, Daemon, new_daemon
from tests.support.forge import REVEAL, Forger, Line, envelope
from tests.support.memory import canary, scan_bytes
from tests.support.processes import open_files, until
from tests.support.rawsocket import HTTP2, deliver, unlock_garbage
from tests.support.sweep import Report
from vaultd_client import ClientKey

ROOT = Path(__file__).parents[2]
OPEN = ("VaultService/GetVault", "ExchangeService/ListKinds", "ExchangeService/GetKind", "ExchangeService/ListExchanges",
        "ExchangeService/GetExchange")
SIGNED = (REVEAL, "/vaultd.v1.ExchangeService/CreateExchange", "/vaultd.v1.ClientService/CreateGrant",
          "/vaultd.v1.AuditService/ListAuditEntries", "/vaultd.v1.VaultService/LockVault")
BACK_TO_NORMAL = 5.0
HARMLESS = {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED", "NOT_FOUND", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED"}


def mutated(chance: random.Random, seed: bytes) -> bytes:
    """Returns `seed` after one to four of: a flipped bit, a cut, a doubled piece, random bytes put in, another length."""
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + chance.randrange(1, 9)]
            case 2:
                data[at:at] = data[at : at + chance.randrange(1, 64)]
            case 3:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case _:
                data[at : at + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x80" * 4, b"\x7f\xff\xff\xff"))
    return bytes(data[:4_096])


# --- the parsers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_takes_anything(name: str) -> None:
    """Without any tool: seeds, seeds changed, and noise."""
    chance, target = random.Random(name), TARGETS[name]
    for seed in target.seeds:
        target.run(seed)
    for number in range(200 if target.slow else 2_000):
        seed = chance.choice(target.seeds)
        target.run(mutated(chance, seed) if number % 4 else chance.randbytes(chance.randrange(200)))


def fuzzed(name: str, seconds: int, where: Path) -> tuple[int, int]:
    """Fuzzes a target with atheris in a process of its own; returns its exit code and how many runs it made."""
    where.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.fuzz", str(seconds), name]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, check=False, timeout=seconds + 120)
    text = done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
    runs = re.search(r"stat::number_of_executed_units: (\d+)", text)
    assert runs, text[-2_000:]
    if done.returncode and name != "control":
        print(text[-3_000:])
    return done.returncode, int(runs[1])


needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")


def sweep(name: str, seconds: int, targets: list[str], where: Path) -> None:
    report = Report(name)
    runs = 0
    for target in targets:
        code, made = fuzzed(target, seconds, where / target)
        report.add("target sound" if code == 0 else f"target {target} FELL")
        runs += made
    report.show()
    print(f"  {runs:,} runs in {seconds * len(targets)} s")
    assert set(report.found) == {"target sound"}


@needs_atheris
def test_coverage_guided_fuzzing_finds_nothing(tmp_path: Path) -> None:
    sweep("fuzzing, quick", 1, ["request", "frames", "unlock-header"], tmp_path)


@needs_atheris
@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_coverage_guided_fuzzing_finds_nothing_full(tmp_path: Path) -> None:
    sweep("fuzzing, full", 600 // len(TARGETS), list(TARGETS), tmp_path)


@needs_atheris
def test_coverage_guided_fuzzing_finds_a_planted_defect(tmp_path: Path) -> None:
    """Positive control: four right bytes in a row, which chance alone finds once in four thousand million."""
    code, _ = fuzzed("control", 30, tmp_path / "control")
    assert code != 0
    assert [path.read_bytes()[:4] for path in (tmp_path / "control").glob("crash-*")] == [b"VLTD"]
    with pytest.raises(KeyError):
        CONTROL.run(b"VLTD")


# --- the sockets ---------------------------------------------------------------------------------------------------


@pytest.fixture
def house() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.add_exchange()
        yield daemon


def messages(forger: Forger, chance: random.Random, word: str, count: int) -> Iterator[tuple[str, bytes]]:
    """Yields method and message: noise, valid ones that were changed, and validly signed nonsense; all hold `word`."""
    honest = forger.request().signed()
    seal = envelope(honest, forger.key.sign(honest))
    body = b"\x0a" + bytes([len(word)]) + word.encode()
    for number in range(count):
        method = f"/vaultd.v1.{chance.choice(OPEN)}"
        match number % 5:
            case 0:
                yield method, chance.randbytes(chance.randrange(100)) + word.encode()
            case 1:
                yield method, mutated(chance, body)
            case 2:
                yield chance.choice(SIGNED), mutated(chance, seal) + b"\x1a" + bytes([len(word)]) + word.encode()
            case 3:
                # Signed and whole, but for its body: this one reaches the parsers in the keyholder.
                method = chance.choice(SIGNED[:-1])
                yield method, forger.seal(forger.request(method, mutated(chance, body)))
            case _:
                yield chance.choice(SIGNED), envelope(mutated(chance, honest), word.encode().ljust(64, b"!"))


def seconds_to_answer(daemon: Daemon, key: ClientKey) -> float:
    started = time.monotonic()
    with daemon.client(key, timeout=60) as client:
        assert client.reveal("binance-main").secret == READ_PAIR["secret"]
    return time.monotonic() - started


def flood(daemon: Daemon, name: str, count: int) -> None:
    """Half of it gRPC messages, a quarter HTTP/2 and noise on the public socket, a quarter the unlock socket."""
    chance, word, key = random.Random(name), canary(), daemon.add_bot()
    forger = Forger(daemon, key)
    with daemon.admin() as admin:
        admin.create_grant("bot", "*", "*")
    normal = max(seconds_to_answer(daemon, key) for _ in range(5))
    pids, base = (daemon.pid, daemon.keyholder_pid), len(open_files(daemon.pid))
    report, told, below = Report(name), bytearray(), bytearray()
    # The raw sockets at the same time as the messages: nonsense does not come alone.
    public, unlock = str(daemon.runtime / "vaultd.sock"), str(daemon.runtime / "unlock.sock")
    nonsense = [HTTP2[number % len(HTTP2)](chance, word) for number in range(count // 4)]
    sent = list(messages(forger, chance, word, count // 2))

    def deliver_all() -> None:
        for data in nonsense:
            below.extend(deliver(public, data))

    raw = threading.Thread(target=deliver_all)
    raw.start()
    with Line(daemon) as line:
        for start in range(0, len(sent), 32):
            for found in line.send_each(sent[start : start + 32]):
                report.add(found.code)
                told.extend(found.message.encode() + found.data)
    raw.join(600)
    report.add("HTTP/2 and noise", count // 4)
    for _ in range(count // 4):
        told.extend(deliver(unlock, unlock_garbage(chance, word)))
        report.add("unlock socket")
    ended = time.monotonic()
    until(lambda: seconds_to_answer(daemon, key) <= 2 * normal + 0.05, BACK_TO_NORMAL)
    after = time.monotonic() - ended
    report.show()
    print(f"  an answer took {normal * 1000:.0f} ms before, and again {after:.1f} s after the last message")
    assert (daemon.pid, daemon.keyholder_pid) == pids
    until(lambda: len(open_files(daemon.pid)) <= base, 70)
    assert report.found.keys() <= HARMLESS | {"HTTP/2 and noise", "unlock socket"}
    secrets = {"sent": word.encode(), "secret": READ_PAIR["secret"].encode(), "api key": READ_PAIR["api_key"].encode()}
    assert scan_bytes(daemon.log_path.read_bytes(), secrets) == []
    assert scan_bytes(bytes(told), secrets) == []
    # gRPC's own HTTP/2 tells a sender what of his it could not read, on his connection: that word alone may be in there.
    assert {hit.secret for hit in scan_bytes(bytes(below), secrets)} <= {"sent"}
    assert "request failed" not in daemon.log()
    assert "task failed" not in daemon.log()
    # Positive control: the search finds the word where it was, and the bytes told are not nothing.
    assert scan_bytes(sent[0][1], secrets) != []
    assert b"vaultd" in told


def test_nonsense_on_the_sockets_is_answered_and_forgotten(house: Daemon) -> None:
    flood(house, "messages, quick", 1_000)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_nonsense_on_the_sockets_is_answered_and_forgotten_full(house: Daemon) -> None:
    flood(house, "messages, full", 20_000)
