"""A thousand unlocks, reveals and locks: no secret is left where a reader of the memory of the processes finds it."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemon import CHEAP, Daemon, new_daemon
from tests.support.gate_house import as_root
from tests.support.memory import SECRET_MAPPING, canary, forms, scan_arguments, scan_bytes, scan_files, scan_memory
from tests.support.person import at_a_terminal
from tests.support.processes import until
from tests.support.sweep import Report
from tests.support.vaultctl import environment
from vaultd_client import ClientKey, VaultClient

pytestmark = as_root
PASSPHRASE, MACHINE, API_KEY, SECRET = "passphrase", "machine key", "api key", "secret"


def needles(words: dict[str, bytes]) -> dict[str, bytes]:
    """Returns the words, and each with its halves reversed and swapped: what a copy from the back leaves behind."""
    halves: dict[str, bytes] = {}
    for name, word in words.items():
        middle = len(word) // 2
        halves |= {f"{name}, halves swapped": word[middle:] + word[:middle], f"{name}, reversed": word[::-1]}
    return words | halves


@dataclass(frozen=True)
class Scene:
    """A vault of canaries: `bot` may reveal the secret, `words` is what nobody may find."""

    daemon: Daemon
    bot: ClientKey
    words: dict[str, bytes]

    def unlock(self) -> None:
        with self.daemon.unlocker() as unlocker:
            unlocker.unlock(bytearray(self.words[MACHINE]), kind="machine")

    def look(self, report: Report, when: str) -> None:
        """Searches both processes; the server first, for it is the one that talks."""
        for who, pid in (("server", self.daemon.pid), ("keyholder", self.daemon.keyholder_pid)):
            found = scan_memory(pid, needles(self.words))
            report.add(f"{who} {when}: clean" if not found.hits else f"{who} {when}: HIT {sorted(set(found.hits), key=str)[:5]}")
            assert found.scanned > 10_000_000
            assert found.unreadable <= ({SECRET_MAPPING} if who == "keyholder" else frozenset())


@pytest.fixture
def scene() -> Iterator[Scene]:
    words = {name: canary().encode() for name in (PASSPHRASE, API_KEY, SECRET)} | {MACHINE: os.urandom(32)}
    key = ClientKey.generate()
    with new_daemon() as daemon:
        daemon.start()
        with daemon.unlocker() as unlocker:
            pin = unlocker.initialize(
                bytearray(words[PASSPHRASE]), name="admin", public_key=key.public_key, uid=os.getuid(), kdf=CHEAP
            )
            unlocker.slot_add(bytearray(words[PASSPHRASE]), bytearray(words[MACHINE]), kind="machine")
        key.with_pin(pin).save(daemon.home / "admin.key")
        with daemon.admin() as admin:
            read = {"api_key": words[API_KEY].decode(), "secret": words[SECRET].decode()}
            admin.create_exchange("binance-main", "binance", {"read": read})
        yield Scene(daemon, daemon.add_bot(), words)


def cycle(scene: Scene, bot: VaultClient) -> None:
    """One unlock, one reveal, one lock, and the death of the keyholder."""
    scene.unlock()
    assert bot.reveal("binance-main").secret == scene.words[SECRET].decode()
    before = scene.daemon.keyholder_pid
    scene.daemon.lock()
    until(lambda: scene.daemon.keyholder_pid != before, 20)


def sweep(scene: Scene, name: str, cycles: int, looks: int) -> None:
    """Looks idle, under load and after a lock, `looks` times in so many cycles."""
    report = Report(name)
    scene.look(report, "idle after first use")
    scene.daemon.lock()
    with scene.daemon.client(scene.bot) as bot:
        for number in range(cycles):
            cycle(scene, bot)
            if number % max(1, cycles // looks) == 0:
                scene.look(report, "after lock")
                scene.unlock()
                scene.look(report, "idle")
                with subprocess.Popen([sys.executable, "-c", LOAD, *paths(scene)], stdout=subprocess.PIPE) as load:
                    assert load.stdout is not None
                    assert load.stdout.readline() == b"busy\n"
                    scene.look(report, "under load")
                    # Positive control: the very same search finds the secret where it belongs, in the client.
                    assert SECRET in {hit.secret for hit in scan_memory(load.pid, needles(scene.words)).hits}
                    assert load.poll() is None
                    load.kill()
                scene.daemon.lock()
    report.show()
    print(f"  {cycles} cycles of unlock, reveal and lock")
    assert [found for found in report.found if "HIT" in found] == []
    assert scan_files(scene.daemon.data, needles(scene.words)) == []
    assert scan_bytes(scene.daemon.log().encode(), needles(scene.words)) == []
    assert scan_arguments(scene.daemon.pid, needles(scene.words)) == []


LOAD = """
import sys
from vaultd_client import VaultClient
with VaultClient(sys.argv[1], sys.argv[2]) as client:
    held = client.reveal("binance-main")
    print("busy", flush=True)
    while True:
        held = client.reveal("binance-main")
"""


def paths(scene: Scene) -> list[str]:
    key = scene.daemon.home / "bot.key"
    if not key.exists():
        scene.bot.save(key)
    return [str(scene.daemon.runtime / "vaultd.sock"), str(key)]


def test_no_secret_is_left_in_either_process(scene: Scene) -> None:
    sweep(scene, "memory, quick", 3, 1)


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_no_secret_is_left_in_either_process_full(scene: Scene) -> None:
    sweep(scene, "memory, full", 1_000, 50)


# --- the command line ----------------------------------------------------------------------------------------------

STAY = """
import sys
from vaultd_client.cli import main
code = main.run(sys.argv[1:])
print("stays", code, flush=True)
sys.stdin.readline()
"""
"""`vaultctl`, but for its end: all that is left behind by then is still there to be found."""


def left_by_vaultctl(scene: Scene, word: bytes, expected: int) -> tuple[str, ...]:
    """Types `word` when `vaultctl unlock` asks; returns what of it is left when the command is over."""
    with at_a_terminal(["-c", STAY, "unlock"], environment(scene.daemon)) as person:
        person.answer("assphrase", word.decode())
        person.expect(f"stays {expected}")
        found = scan_memory(person.process.pid, needles({"typed": word}))
        assert found.scanned > 10_000_000
        assert word.decode() not in person.shown
        person.type("")
        person.leave()
    return tuple(f"{hit.form} in {hit.where}" for hit in found.hits)


def test_vaultctl_leaves_nothing_of_a_passphrase_that_was_typed(scene: Scene) -> None:
    report = Report("memory of vaultctl")
    scene.daemon.lock()
    for name, word, expected in (("wrong", canary().encode(), 10), ("right", scene.words[PASSPHRASE], 0)):
        left = left_by_vaultctl(scene, word, expected)
        report.add(f"{name} passphrase: {left or 'clean'}")
    report.show()
    assert set(report.found) == {"wrong passphrase: clean", "right passphrase: clean"}


CARELESS = """
import sys
word = sys.stdin.readline().strip()
print("stays 0", flush=True)
sys.stdin.readline()
"""


def test_the_search_finds_what_a_careless_program_was_told(tmp_path: Path) -> None:
    """Positive control: a program that reads the same word in the usual way."""
    word = "".join(random.SystemRandom().sample(canary(), 40))
    with at_a_terminal(["-c", CARELESS]) as person:
        person.type(word)
        person.expect("stays 0")
        found = {hit.form for hit in scan_memory(person.process.pid, needles({"typed": word.encode()})).hits}
        person.type("")
        person.leave()
    assert "plain" in found
    assert {hit.secret for hit in scan_bytes(word[::-1].encode(), needles({"typed": word.encode()}))} == {"typed, reversed"}
    assert set(forms(word.encode())) >= {"utf-16-le", "hex", "base64+0", "first half", "second half"}
