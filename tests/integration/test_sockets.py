"""Promises of `vaultd.server.sockets`: a listener is bound where it belongs, and what is not ours is never touched."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate_house import STRANGER, as_root, descriptors
from vaultd import limits
from vaultd.errors import ConfigInvalidError, SocketOccupiedError
from vaultd.server import sockets
from vaultd.server.sockets import bind_public, private_directory

Facts = tuple[int, int, int, int, bytes | str | list[str] | None]


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def facts(path: Path) -> Facts:
    """What must not change about an entry: identity, owner, mode, content."""
    found = path.lstat()
    content: bytes | str | list[str] | None = None
    if path.is_symlink():
        content = str(path.readlink())
    elif path.is_file():
        content = path.read_bytes()
    elif path.is_dir():
        content = sorted(entry.name for entry in path.iterdir())
    return found.st_ino, found.st_uid, found.st_gid, found.st_mode, content


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def leftovers(base: Path) -> set[str]:
    return {entry.name for entry in base.glob(".*")}


# --- binding -------------------------------------------------------------------------------------------------------


def test_a_bound_socket_serves_once_it_listens(base: Path) -> None:
    path = base / "vaultd.sock"
    with bind_public(path, 0o666) as sock:
        assert not answers(path)
        sock.listen()
        assert answers(path)
    assert leftovers(base) == set()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o666, 0o660, 0o600])
def test_modes_are_exact_whatever_the_umask(base: Path, umask: Callable[[int], int], mask: int, mode: int) -> None:
    umask(mask)
    with bind_public(base / "run" / "vaultd.sock", mode):
        assert stat.S_IMODE((base / "run" / "vaultd.sock").stat().st_mode) == mode
        assert stat.S_IMODE((base / "run").stat().st_mode) == 0o755
        assert stat.S_IMODE((base / "run" / "vaultd.sock.lock").stat().st_mode) == 0o600


def test_nobody_may_connect_before_the_socket_is_in_place(
    base: Path, umask: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    born: list[int] = []
    chmod = os.chmod

    def watch(path: Path, mode: int, **options: Any) -> None:
        born.extend(stat.S_IMODE(entry.lstat().st_mode) for entry in base.glob(".vaultd-*"))
        chmod(path, mode, **options)

    monkeypatch.setattr(os, "chmod", watch)
    umask(0)
    with bind_public(base / "vaultd.sock", 0o666):
        assert born == [0]


@as_root
def test_the_group_is_set_where_one_is_asked_for(base: Path) -> None:
    with bind_public(base / "unlock.sock", 0o660, gid=STRANGER):
        found = (base / "unlock.sock").stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, STRANGER, 0o660)


def test_a_dead_socket_of_ours_is_replaced(base: Path) -> None:
    path = base / "vaultd.sock"
    dead_socket(path)
    before = path.stat().st_ino
    with bind_public(path, 0o666) as sock:
        sock.listen()
        assert answers(path)
        assert path.stat().st_ino != before
    assert leftovers(base) == set()


def test_a_daemon_that_stopped_can_start_again(base: Path) -> None:
    for _ in range(3):
        with bind_public(base / "vaultd.sock", 0o666) as sock:
            sock.listen()
            assert answers(base / "vaultd.sock")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
@pytest.mark.parametrize("listening", [True, False])
def test_a_live_socket_is_refused_and_left_alone(
    base: Path, kind: socket.SocketKind, listening: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ORPHAN_SECONDS", 0.05)
    path = base / "vaultd.sock"
    with socket.socket(socket.AF_UNIX, kind) as live:
        live.bind(str(path))
        if listening and kind != socket.SOCK_DGRAM:
            live.listen()
        before = facts(path)
        with pytest.raises(SocketOccupiedError, match="in use"):
            bind_public(path, 0o666)
        assert facts(path) == before
        live.setblocking(False)
        with pytest.raises(OSError, match=r"temporarily unavailable|Invalid argument|not supported"):
            live.accept()  # the probe left no connection behind
    bind_public(path, 0o666).close()  # the control: once dead, it is replaced


def test_a_second_daemon_is_refused_before_the_first_listens_and_after(base: Path) -> None:
    second = "import sys, pathlib; from vaultd.server.sockets import bind_public; bind_public(pathlib.Path(sys.argv[1]), 0o666)"
    command = [sys.executable, "-c", second, str(base / "vaultd.sock")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def start() -> str:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30).stderr

    with bind_public(base / "vaultd.sock", 0o666) as first:
        before = facts(base / "vaultd.sock")
        assert "SocketOccupiedError" in start()
        first.listen()
        assert "SocketOccupiedError" in start()
        assert facts(base / "vaultd.sock") == before
        assert answers(base / "vaultd.sock")
    assert start() == ""


def test_the_lock_is_held_as_long_as_the_socket_is_open(base: Path) -> None:
    path = base / "vaultd.sock"
    with bind_public(path, 0o666), pytest.raises(SocketOccupiedError, match="another running"):
        bind_public(path, 0o666)
    with (base / "vaultd.sock.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def plant_file(path: Path) -> None:
    path.write_bytes(b"precious")
    path.chmod(0o640)


def plant_directory(path: Path) -> None:
    path.mkdir(0o700)
    (path / "inside").write_bytes(b"")


def plant_link_to_file(path: Path) -> None:
    plant_file(path.with_name("victim"))
    path.symlink_to("victim")


def plant_link_to_dead_socket(path: Path) -> None:
    dead_socket(path.with_name("victim"))
    path.with_name("victim").chmod(0o600)
    path.symlink_to("victim")


def plant_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def plant_foreign_file(path: Path) -> None:
    plant_file(path)
    os.chown(path, STRANGER, STRANGER)


def plant_foreign_socket(path: Path) -> None:
    dead_socket(path)
    os.chown(path, STRANGER, STRANGER)


PLANTS = [
    plant_directory,
    plant_link_to_file,
    plant_link_to_dead_socket,
    plant_dangling_link,
    os.mkfifo,
    pytest.param(plant_foreign_file, marks=as_root),
    pytest.param(plant_foreign_socket, marks=as_root),
]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("entry", ["vaultd.sock", "vaultd.sock.lock"])
def test_what_is_not_ours_is_refused_and_untouched(base: Path, plant: Callable[[Path], None], entry: str) -> None:
    plant(base / entry)
    before = {path: facts(path) for path in base.iterdir()}
    with pytest.raises(SocketOccupiedError, match="of ours"):
        bind_public(base / "vaultd.sock", 0o666)
    assert {path: facts(path) for path in before} == before
    assert leftovers(base) == set()
    assert not (base / "nowhere").exists()


def test_a_file_of_ours_is_refused_and_untouched(base: Path) -> None:
    plant_file(base / "vaultd.sock")
    before = facts(base / "vaultd.sock")
    with pytest.raises(SocketOccupiedError):
        bind_public(base / "vaultd.sock", 0o666)
    assert facts(base / "vaultd.sock") == before


@pytest.mark.parametrize("plant", [plant_file, plant_directory, plant_link_to_file])
@pytest.mark.parametrize("dead_before", [True, False])
def test_a_swap_between_the_look_and_the_replacement_is_undone(
    base: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path], None], dead_before: bool
) -> None:
    path = base / "vaultd.sock"
    if dead_before:
        dead_socket(path)
    look = sockets._dead_socket  # the moment after it is the one an attacker waits for
    planted: list[Facts] = []

    @contextmanager
    def swap(directory: int, where: Path) -> Iterator[tuple[int, int] | None]:
        with look(directory, where) as seen:
            path.unlink(missing_ok=True)
            plant(path)
            planted.append(facts(path))
            yield seen

    monkeypatch.setattr(sockets, "_dead_socket", swap)
    with pytest.raises(SocketOccupiedError):
        bind_public(path, 0o666)
    assert [facts(path)] == planted
    assert leftovers(base) == set()


SWAP = """
import ctypes, os, sys
rename = ctypes.CDLL(None).renameat2
here, there = (os.fsencode(name) for name in sys.argv[1:])
print("ready", flush=True)
while True:
    rename(-100, here, -100, there, 2)
"""


def races(base: Path, plant: Callable[[Path], None], loops: int) -> None:
    """Binds again and again while another process swaps the path with something planted."""
    path, decoy = base / "vaultd.sock", base / "decoy"
    plant(decoy)
    precious = {facts(entry) for entry in (decoy, base / "victim") if entry.is_symlink() or entry.exists()}
    outcomes: Counter[str] = Counter()
    command = [sys.executable, "-c", SWAP, str(path), str(decoy)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as racer:
        try:
            assert racer.stdout is not None
            racer.stdout.readline()
            for _ in range(loops):
                try:
                    with bind_public(path, 0o666):
                        outcomes["bound"] += 1
                except SocketOccupiedError:
                    outcomes["refused"] += 1
                racer.send_signal(signal.SIGSTOP)  # or an exchange could fall between looking at one and at the other
                os.waitid(os.P_PID, racer.pid, os.WSTOPPED)
                assert precious <= {facts(entry) for entry in base.iterdir()}
                racer.send_signal(signal.SIGCONT)
        finally:
            racer.kill()
    found = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"\nsweep socket races, {plant.__name__}: {outcomes.total():,} tried: {found}, 0 touched")
    assert set(outcomes) == {"bound", "refused"}


RACED = [plant_file, plant_link_to_file, plant_link_to_dead_socket]


@pytest.mark.parametrize("plant", RACED)
def test_two_hundred_races_never_reach_what_is_not_ours(base: Path, plant: Callable[[Path], None]) -> None:
    races(base, plant, 200)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", [*RACED, *(pytest.param(each, marks=as_root) for each in (plant_foreign_file, plant_foreign_socket))])
def test_a_thousand_races_never_reach_what_is_not_ours(base: Path, plant: Callable[[Path], None]) -> None:
    races(base, plant, 1_000)


# --- the directory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777, 0o757])
def test_a_directory_that_others_may_write_is_refused(base: Path, mode: int) -> None:
    base.chmod(mode)
    with pytest.raises(ConfigInvalidError, match="nobody else may write"):
        bind_public(base / "vaultd.sock", 0o666)
    assert not any(base.iterdir())
    base.chmod(0o755)
    bind_public(base / "vaultd.sock", 0o666).close()


@as_root
def test_a_directory_of_another_user_is_refused(base: Path) -> None:
    os.chown(base, STRANGER, STRANGER)
    with pytest.raises(ConfigInvalidError, match="must belong"):
        bind_public(base / "vaultd.sock", 0o666)
    assert not any(base.iterdir())


def test_a_link_to_a_directory_is_refused(base: Path) -> None:
    (base / "real").mkdir(0o755)
    (base / "link").symlink_to("real")
    with pytest.raises(ConfigInvalidError):
        bind_public(base / "link" / "vaultd.sock", 0o666)
    assert not any((base / "real").iterdir())


@pytest.mark.parametrize(("mode", "safe"), [(0o777, False), (0o775, False), (0o1777, True), (0o755, True)])
def test_a_directory_is_created_only_where_nobody_can_swap_it(base: Path, mode: int, safe: bool) -> None:
    base.chmod(mode)
    if safe:
        bind_public(base / "run" / "vaultd.sock", 0o666).close()
    else:
        with pytest.raises(ConfigInvalidError):
            bind_public(base / "run" / "vaultd.sock", 0o666)
    assert (base / "run").exists() == safe


def test_a_path_too_long_for_clients_is_refused(base: Path) -> None:
    room = limits.MAX_SOCKET_PATH_BYTES - len(str(base)) - 1
    with bind_public(base / ("x" * room), 0o666) as sock:
        sock.listen()
        assert answers(base / ("x" * room))
    with pytest.raises(ConfigInvalidError, match="longer"):
        bind_public(base / ("x" * (room + 1)), 0o666)


def test_a_private_directory_is_created_for_us_alone(base: Path, umask: Callable[[int], int]) -> None:
    umask(0)
    private_directory(base / "inner")
    assert stat.S_IMODE((base / "inner").stat().st_mode) == 0o700
    private_directory(base / "inner")


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777])
def test_a_private_directory_that_others_may_enter_is_refused(base: Path, mode: int) -> None:
    (base / "inner").mkdir()
    (base / "inner").chmod(mode)
    with pytest.raises(ConfigInvalidError):
        private_directory(base / "inner")


def test_failing_to_bind_leaves_no_descriptor_behind(base: Path) -> None:
    plant_file(base / "vaultd.sock")
    before = descriptors()
    for _ in range(20):
        with pytest.raises(SocketOccupiedError):
            bind_public(base / "vaultd.sock", 0o666)
    assert descriptors() == before
