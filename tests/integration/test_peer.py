"""Promises of `vaultd.server.peer`: the kernel says who called, and nothing that a caller chooses matters."""

import contextlib
import errno
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate_house import STRANGER, as_root, descriptors
from vaultd.server import peer as peers
from vaultd.server.peer import SO_PEERPIDFD, Peer, PeerTable, own_peer, peer_of, pidfd_check, unit_of_cgroup

WAIT_THEN_CONNECT = """
sys.stdin.read(1)
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sys.stdin.read()
"""
CONNECT_THEN_LEAVE_IT_TO_A_CHILD = """
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
if os.fork() == 0:
    sys.stdin.read()
"""


class OldKernelSocket(socket.socket):
    """A socket of a kernel that has no SO_PEERPIDFD."""

    def getsockopt(self, level: int, option: int, *rest: int) -> Any:
        if option == SO_PEERPIDFD:
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        return super().getsockopt(level, option, *rest)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """An abstract listener that any uid can connect to."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"\0test-{secrets.token_hex(8)}")
        sock.listen()
        sock.settimeout(10)
        yield sock


@pytest.fixture
def service() -> Iterator[Path]:
    """The cgroup of a systemd service that is none of ours, made by hand."""
    roots = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]
    if not roots or os.geteuid() != 0 or not os.access(roots[0], os.W_OK):
        pytest.skip("making a cgroup takes root and a writable cgroup2 mount")
    parent = Path(roots[0]) / "system.slice"
    made = not parent.exists()
    path = parent / f"vaultd-test-{secrets.token_hex(4)}.service"
    path.mkdir(parents=True)
    yield path
    deadline = time.monotonic() + 10
    while (path / "cgroup.events").read_text().startswith("populated 1") and time.monotonic() < deadline:
        os.sched_yield()
    for sub in [*path.glob("*/"), path, *([parent] if made else [])]:
        with contextlib.suppress(FileNotFoundError):
            sub.rmdir()


def start(code: str, listener: socket.socket, uid: int = os.geteuid()) -> subprocess.Popen[bytes]:
    """Runs `code` as `uid`; the interpreter starts as us, because others may have no access to it."""
    become = f"os.setgroups([]); os.setgid({uid + 1}); os.setuid({uid})" if uid != os.geteuid() else ""
    name = os.fsdecode(listener.getsockname()[1:])
    wrapped = f"import os, socket, sys; sys.argv[1] = '\\0' + sys.argv[1]; {become}\n{code}"
    return subprocess.Popen([sys.executable, "-P", "-c", wrapped, name], stdin=subprocess.PIPE)


def say(process: subprocess.Popen[bytes], what: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(what)
    process.stdin.flush()


def accept(listener: socket.socket, kind: type[socket.socket] = socket.socket) -> socket.socket:
    accepted, _ = listener.accept()
    return kind(fileno=accepted.detach())


def connected_from(listener: socket.socket, cgroup: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    process = start(WAIT_THEN_CONNECT, listener)
    (cgroup / "cgroup.procs").write_text(str(process.pid))
    say(process, b"!")
    return process, accept(listener)


def test_own_process_is_seen_as_itself() -> None:
    assert (own_peer().uid, own_peer().gid, own_peer().pid) == (os.geteuid(), os.getegid(), os.getpid())


@as_root
def test_another_user_is_seen_as_that_user(listener: socket.socket) -> None:
    with start(WAIT_THEN_CONNECT, listener, STRANGER) as process:
        say(process, b"!")
        with accept(listener) as accepted:
            assert peer_of(accepted) == Peer(STRANGER, STRANGER + 1, process.pid, own_peer().unit)


def test_a_connection_without_kernel_credentials_is_no_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted, pytest.raises(PermissionError):
            peer_of(accepted)


@as_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1)")
def test_a_uid_that_the_user_namespace_does_not_map_is_no_peer(listener: socket.socket) -> None:
    inside = """
import socket, sys
from vaultd.server.peer import peer_of
listener = socket.socket(fileno=int(sys.argv[1]))
for _ in range(2):
    print("ready", flush=True)
    accepted, _address = listener.accept()
    try:
        print(peer_of(accepted).uid, flush=True)
    except PermissionError:
        print("nobody", flush=True)
"""
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", inside, str(listener.fileno())]
    listener.setblocking(True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, pass_fds=[listener.fileno()], env=environment
    ) as judge:
        assert judge.stdout is not None
        said = []
        for uid in (STRANGER, 0):
            assert judge.stdout.readline() == "ready\n"
            with start(WAIT_THEN_CONNECT, listener, uid) as process:
                say(process, b"!")
                said.append(judge.stdout.readline().strip())
    assert said == ["nobody", "0"]


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("/system.slice/bot.service", "bot.service"),
        ("/system.slice/bot.service/worker", "bot.service"),
        ("/system.slice/system-bot.slice/bot@1.service", "bot@1.service"),
        ("/system.slice/system-bot.slice/bot@1.service/a/b.scope", "bot@1.service"),
        ("/system.slice/my\\x2dbot.service", "my\\x2dbot.service"),
        ("/system.slice/_cpu.service", "cpu.service"),
        ("/system.slice/attacker.service/bot.service", "attacker.service"),
        ("/system.slice/attacker.service/system.slice/bot.service", "attacker.service"),
        ("/system.slice/docker-0a1b.scope/bot.service", ""),
        ("/system.slice/docker-0a1b.scope/system.slice/bot.service", ""),
        ("/system.slice/bot.service (deleted)", ""),
        ("/system.slice/bot.socket", ""),
        ("/system.slice/.service", ""),
        ("/system.slice/b ot.service", ""),
        ("/system.slice/b\u00f6t.service", ""),
        ("/system.slice", ""),
        ("/system.slice//bot.service", ""),
        ("/system.slices/bot.service", ""),
        ("/bot.service", ""),
        ("/", ""),
        ("/../../system.slice/bot.service", ""),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/bot.service", ""),
        ("/user.slice/user-1000.slice/user@1000.service/system.slice/bot.service", ""),
        ("/machine.slice/system.slice/bot.service", ""),
    ],
)
def test_only_what_systemd_itself_named_is_a_unit(cgroup: str, unit: str) -> None:
    assert unit_of_cgroup(f"0::{cgroup}\n".encode()) == unit


def test_only_the_unified_hierarchy_counts() -> None:
    legacy = b"12:cpu,cpuacct:/system.slice/bot.service\n1:name=systemd:/system.slice/bot.service\n"
    assert unit_of_cgroup(legacy) == ""
    assert unit_of_cgroup(legacy + b"0::/\n") == ""
    assert unit_of_cgroup(legacy + b"0::/system.slice/other.service\n") == "other.service"
    assert unit_of_cgroup(b"") == ""


def test_the_unit_of_a_service_is_seen(listener: socket.socket, service: Path) -> None:
    process, accepted = connected_from(listener, service)
    with process, accepted:
        assert peer_of(accepted) == Peer(0, 0, process.pid, service.name)


def test_a_sub_cgroup_with_the_name_of_another_service_is_still_the_service(
    listener: socket.socket, service: Path
) -> None:
    (service / "bot.service").mkdir()
    process, accepted = connected_from(listener, service / "bot.service")
    with process, accepted:
        assert peer_of(accepted).unit == service.name


def test_a_caller_that_is_gone_has_a_uid_but_no_unit(listener: socket.socket, service: Path) -> None:
    process = start("sys.stdin.read(1)\n" + CONNECT_THEN_LEAVE_IT_TO_A_CHILD, listener)
    (service / "cgroup.procs").write_text(str(process.pid))
    say(process, b"!")
    with accept(listener) as accepted:
        process.wait(10)
        assert peer_of(accepted) == Peer(0, 0, process.pid, "")
        with process:  # ends the child that holds the other end
            pass


@pytest.mark.parametrize("kind", [socket.socket, OldKernelSocket])
def test_a_process_that_reuses_the_number_of_a_caller_lends_it_no_unit(
    listener: socket.socket, service: Path, kind: type[socket.socket]
) -> None:
    nobody_yet = time.clock_gettime(time.CLOCK_BOOTTIME)
    attacker = start(CONNECT_THEN_LEAVE_IT_TO_A_CHILD, listener)
    attacker.wait(10)
    with accept(listener, kind) as accepted, reused_number(attacker.pid) as victim:
        (service / "cgroup.procs").write_text(str(victim))
        # The control: who reads by number alone takes the attacker for the service.
        assert unit_of_cgroup(Path(f"/proc/{attacker.pid}/cgroup").read_bytes()) == service.name
        assert peer_of(accepted, connected_after=nobody_yet).unit == ""
        with attacker:
            pass


@contextlib.contextmanager
def reused_number(pid: int) -> Iterator[int]:
    """A live process that has the number `pid` again."""
    for _ in range(2_000):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        except OSError as error:
            pytest.skip(f"choosing a pid takes CONFIG_CHECKPOINT_RESTORE and root: {error.strerror}")
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            if process.pid == pid:
                yield process.pid
                return
    pytest.fail("no process got the number")


def test_an_old_kernel_shows_the_unit_of_a_process_older_than_the_connection(
    listener: socket.socket, service: Path
) -> None:
    process = start(WAIT_THEN_CONNECT, listener)
    (service / "cgroup.procs").write_text(str(process.pid))
    started_before = peers._started_before  # to wait for the clock tick after the start
    while not started_before(process.pid, now := time.clock_gettime(time.CLOCK_BOOTTIME)):
        os.sched_yield()
    say(process, b"!")
    with process, accept(listener, OldKernelSocket) as accepted:
        assert peer_of(accepted, connected_after=now).unit == service.name


def test_an_old_kernel_shows_no_unit_of_a_process_that_may_be_younger_than_the_connection(
    listener: socket.socket, service: Path
) -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    process = start(WAIT_THEN_CONNECT, listener)
    (service / "cgroup.procs").write_text(str(process.pid))
    say(process, b"!")
    with process, accept(listener, OldKernelSocket) as accepted:
        assert peer_of(accepted, connected_after=before) == Peer(0, 0, process.pid, "")
        assert peer_of(accepted).unit == ""


def test_the_check_says_whether_the_kernel_has_a_handle_on_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert pidfd_check().ok == (release >= (6, 5))
    monkeypatch.setattr(socket, "socketpair", lambda: (OldKernelSocket(socket.AF_UNIX), socket.socket()))
    assert not pidfd_check().ok


def test_identifying_a_caller_leaves_no_descriptor_behind() -> None:
    own_peer()
    before = descriptors()
    for _ in range(100):
        own_peer()
    assert descriptors() == before


def test_only_the_exact_name_of_a_connection_is_somebody() -> None:
    table, somebody = PeerTable(), Peer(STRANGER, STRANGER, 1, "")
    name = f"vaultd-{secrets.token_hex(16)}"
    table.add(name, somebody)
    known = f"unix-abstract:{name}"
    assert table.lookup(known) == somebody
    for other in (
        name,
        f"unix:{name}",
        f"{known}:",
        f"{known};uid=0;",
        known.upper(),
        known[:-1],
        f" {known}",
        "unix:",
        "",
    ):
        assert table.lookup(other) is None
    table.remove(name)
    assert table.lookup(known) is None


def test_a_name_is_given_once() -> None:
    table = PeerTable()
    table.add("vaultd-x", Peer(1, 1, 1, ""))
    with pytest.raises(ValueError, match="taken"):
        table.add("vaultd-x", Peer(0, 0, 1, ""))
    assert table.lookup("unix-abstract:vaultd-x") == Peer(1, 1, 1, "")
