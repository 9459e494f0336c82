"""What the hardening of the keyholder child promises, each shown on a real process beside one where it does not hold.

The file is also the program of those processes: `python test_harden.py ROLE ARGUMENTS...`, see the roles at its end.
"""

import copy
import ctypes
import errno
import json
import mmap
import os
import pickle
import re
import resource
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, Self

import argon2.low_level
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from vaultd.errors import OutOfMemoryError
from vaultd.keyholder import landlock, seccomp
from vaultd.keyholder.harden import harden_early, memory_hygiene_check, seal
from vaultd.keyholder.secretmem import SecretMemory, wipe, wipe_bytes
from vaultd.limits import KIB, MIB, SECRET_PAGE_BYTES

ROOT = Path(__file__).parents[2]
NOBODY = 65534
HYGIENE = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=170:glibc.malloc.tcache_count=0",
    "LD_BIND_NOW": "1",
}
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 7
libc.syscall.restype = ctypes.c_long
REFUSED = {"EPERM", "EACCES"}


class Child:
    """A process in one of the roles, told what to do on stdin, answering with JSON lines on stdout."""

    def __init__(self, *role: str, cwd: Path | None = None, env: dict[str, str] | None = None, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-s", "-P", __file__, *role],
            env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(HYGIENE if env is None else env)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=cwd,
            **options,
        )
        self.pid = self.process.pid

    def says(self) -> Any:
        """Returns the next line of the child."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the child ended with {self.process.wait()}"
        return json.loads(line)

    def tell(self, data: bytes) -> None:
        """Writes to the child."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def memory_holds(pid: int, needle: bytes) -> bool:
    """Whether any memory of a process, as /proc shows it to this one, holds `needle`."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
            if line.split()[1].startswith("r") and "[v" not in line:
                try:
                    if needle in os.pread(memory.fileno(), end - start, start):
                        return True
                except OSError as error:
                    assert error.errno == errno.EIO, error  # noqa: PT017 - secret pages cannot be read, and must not be
    return False


def held(kind: str, guard: str = "plain") -> tuple[Child, bytes, dict[str, Any]]:
    """Returns a child that holds a fresh secret, the secret, and where the child says it is."""
    secret = os.urandom(32)
    child = Child("holder", kind, guard)
    child.tell(secret)
    return child, secret, child.says()


# --- other processes of the same user ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attacks() -> dict[str, dict[str, str]]:
    """What a process of the same, unprivileged user achieves against a plain and a hardened one."""
    found = {}
    for guard in ("plain", "hardened"):
        child, _, told = held("heap", guard)
        with child, Child("attacker", str(child.pid), str(told["address"])) as attacker:
            found[guard] = attacker.says()
    return found


@pytest.mark.parametrize(
    "attack", ["ptrace", "mem", "process_vm_readv", "pidfd_getfd", "environ", "maps", "fd", "map_files"]
)
def test_a_process_of_the_same_user_is_refused(attacks: dict[str, dict[str, str]], attack: str) -> None:
    assert attacks["plain"][attack] == "done"
    assert attacks["hardened"][attack] in REFUSED


def test_a_crash_leaves_no_core_file(tmp_path: Path) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("|", "/", "@")) or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("core files of this host do not go to the working directory")
    for guard, cores in (("plain", 1), ("hardened", 0), ("dumpable_only", 0)):
        place = tmp_path / guard
        place.mkdir()
        secret = os.urandom(32)
        with Child("crasher", guard, cwd=place) as child:
            child.tell(secret)
            limits = child.says()["core_limit"]
            assert limits == ([0, 0] if guard == "hardened" else [resource.RLIM_INFINITY] * 2)
            os.kill(child.pid, signal.SIGSEGV)
            _, status = os.waitpid(child.pid, 0)
            child.process.returncode = -os.WTERMSIG(status)
        assert os.WTERMSIG(status) == signal.SIGSEGV
        assert os.WCOREDUMP(status) == bool(cores)
        assert [secret in core.read_bytes() for core in place.iterdir()] == [True] * cores


def test_the_child_dies_within_100_ms_of_its_parent() -> None:
    for guard, dies in (("plain", False), ("hardened", True)):
        with Child("parent", guard) as parent:
            parent.tell(os.urandom(32))
            orphan = parent.says()["pid"]
            pidfd = os.pidfd_open(orphan)
            os.kill(parent.pid, signal.SIGKILL)
            ended, _, _ = select.select([pidfd], [], [], 0.1)
            assert bool(ended) == dies
            if not dies:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)


def test_a_child_whose_parent_is_gone_does_not_start() -> None:
    for parent, code in ((os.getpid(), 0), (2**22 + 1, 1)):
        with Child("early", str(parent), stderr=subprocess.PIPE) as child:
            _, said = child.process.communicate()
            assert child.process.returncode == code
            assert (b"the parent of this keyholder is gone" in said) == bool(code)


@pytest.mark.parametrize("missing", ["", "close_range"])
def test_descriptors_that_were_not_given_are_closed(missing: str) -> None:
    kept, other = os.pipe()
    with Child("early", str(os.getpid()), str(kept), env={"MISSING": missing}, pass_fds=(kept, other)) as child:
        told = child.says()
    os.close(kept)
    os.close(other)
    assert {kept, other} <= set(told["before"])
    assert told["after"] == sorted({0, 1, 2, kept})


def test_files_made_by_the_child_are_private_and_its_checks_say_what_holds() -> None:
    with Child("early", str(os.getpid())) as child:
        told = child.says()
    assert told["umask"] == 0o077
    assert {name for name, ok, _ in told["checks"] if ok} >= {
        *("dumpable", "core_limit", "parent_death", "no_new_privileges", "umask", "descriptors")
    }


# --- memory hygiene -----------------------------------------------------------------------------------------------


def test_freed_memory_holds_no_secret_in_the_keyholders_environment() -> None:
    with Child("hygiene") as child:
        assert [check[:2] for check in child.says()] == [["memory_hygiene", True]] * 20


@pytest.mark.parametrize("missing", HYGIENE)
def test_the_hygiene_check_notices_a_missing_variable(missing: str) -> None:
    with Child("hygiene", env={name: value for name, value in HYGIENE.items() if name != missing}) as child:
        assert [check[:2] for check in child.says()] == [["memory_hygiene", False]] * 20


def test_the_hygiene_check_notices_that_tcache_is_on() -> None:
    with Child("hygiene", env=HYGIENE | {"GLIBC_TUNABLES": "glibc.malloc.perturb=170"}) as child:
        assert [check[:2] for check in child.says()] == [["memory_hygiene", False]] * 20


def test_the_hygiene_check_says_when_it_cannot_look() -> None:
    with Child("hygiene", env=HYGIENE | {"MISSING": "process_vm_readv"}) as child:
        assert {tuple(check) for check in child.says()} == {
            ("memory_hygiene", False, "memory cannot be examined (ENOSYS); secrets are wiped by hand only")
        }


# --- the seal -----------------------------------------------------------------------------------------------------


def _raw(number: int, *arguments: int) -> int:
    result: int = libc.syscall(number, *arguments, *[0] * (6 - len(arguments)))
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _call(name: str, *arguments: Any) -> int:
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _executable(way: str) -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        if way == "mprotect":
            _call("mprotect", ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 5)
        else:
            mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=5).close()


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _execve(sealed: bool) -> None:
    if not sealed and (pid := os.fork()):  # where it works it would replace the child that reports
        assert os.waitpid(pid, 0)[1] == 0
        return
    os.execve("/bin/true", ["true"], {})


def _ptrace(victim: int) -> None:
    _call("ptrace", 0x4206, victim, None, None)  # PTRACE_SEIZE
    _call("ptrace", 0x4207, victim, None, None)  # PTRACE_INTERRUPT
    os.waitpid(victim, 0)
    _call("ptrace", 17, victim, None, None)  # PTRACE_DETACH


def _bpf() -> None:
    attributes = ctypes.create_string_buffer(struct.pack("=5I", 2, 4, 4, 1, 0), 128)  # BPF_MAP_TYPE_ARRAY of one word
    os.close(_raw(321 if os.uname().machine == "x86_64" else 280, 0, ctypes.addressof(attributes), 128))


def _io_uring() -> None:
    parameters = ctypes.create_string_buffer(120)
    os.close(_raw(425, 1, ctypes.addressof(parameters)))


def _read_victim(victim: int) -> None:
    there = ctypes.c_long(1)
    span = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(there), 8))
    _call("process_vm_readv", victim, span, ctypes.c_ulong(1), span, ctypes.c_ulong(1), ctypes.c_ulong(0))


def attempts(victim: int, link: socket.socket, sealed: bool) -> dict[str, Callable[[], Any]]:
    """What a sealed keyholder must not do; `victim` is a forked child of the one that tries, `link` its socket."""
    return {
        "open": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
        "create": lambda: os.close(os.open("/tmp", os.O_RDWR | os.O_TMPFILE)),
        "listdir": lambda: list(Path("/").iterdir()),
        "stat": lambda: Path("/etc/passwd").stat(),
        "readlink": lambda: Path("/proc/self/exe").readlink(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "inet socket": lambda: socket.socket(socket.AF_INET).close(),
        "socketpair": socket.socketpair,
        "pipe": os.pipe,
        "setsockopt": lambda: link.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1),
        "fork": _fork,
        "posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
        "execve": lambda: _execve(sealed),
        "kill": lambda: os.kill(victim, 0),
        "tgkill": lambda: _raw(234 if os.uname().machine == "x86_64" else 131, victim, victim, 0),
        "pidfd_open": lambda: os.close(os.pidfd_open(victim)),
        "process_vm_readv": lambda: _read_victim(victim),
        "ptrace": lambda: _ptrace(victim),
        "bpf": _bpf,
        "io_uring_setup": _io_uring,
        "memfd_create": lambda: os.close(os.memfd_create("made")),
        "mmap PROT_EXEC": lambda: _executable("mmap"),
        "mprotect PROT_EXEC": lambda: _executable("mprotect"),
        "prctl": lambda: _call("prctl", 4, 1, 0, 0, 0),
        "setuid": lambda: os.setuid(os.getuid()),
        "prlimit": lambda: resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)),
        "chroot": lambda: os.chroot("/"),
        "dup2": lambda: os.dup2(0, 99, inheritable=False),
    }


with socket.socket() as _none:
    NAMES = tuple(attempts(0, _none, sealed=False))


@pytest.fixture(scope="module")
def sealed() -> dict[str, dict[str, str]]:
    """What a child achieves before and after `seal`."""
    with Child("sealed_and_not", env={}) as child:
        told: dict[str, dict[str, str]] = child.says()
    return told


@pytest.mark.parametrize("name", NAMES)
def test_a_sealed_keyholder_is_refused(sealed: dict[str, dict[str, str]], name: str) -> None:
    if sealed["before"][name] in {"EPERM", "ENOSYS"}:
        pytest.skip("this host refuses it to everybody")
    assert sealed["before"][name] == "done"
    assert sealed["after"][name] == "EPERM"


def test_a_thread_that_was_there_before_is_sealed_too(sealed: dict[str, dict[str, str]]) -> None:
    assert sealed["thread"] == {"before": "done", "after": "EPERM"}


def test_clone3_seems_absent_so_that_threads_start_with_clone(sealed: dict[str, dict[str, str]]) -> None:
    assert sealed["clone3"] == {"before": "EINVAL", "after": "ENOSYS"}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 and i386 are x86_64's")
@pytest.mark.parametrize("foreign", ["x32", "i386"])
def test_a_system_call_of_another_architecture_ends_the_process(foreign: str) -> None:
    with Child("foreign", foreign, "open") as child:
        if foreign == "i386" and child.process.wait() == -signal.SIGSEGV:
            pytest.skip("this kernel does not run i386")
        assert child.says() in {"x32": {"ENOSYS", "done"}, "i386": {"done"}}[foreign]
    with Child("foreign", foreign, "sealed") as child:
        child.process.communicate()
        assert child.process.returncode == -signal.SIGSYS


def test_landlock_alone_refuses_files_ports_and_signals() -> None:
    with Child("degraded", "seccomp", env={}) as child:
        told = child.says()
    assert set(told["before"].values()) == {"done"}
    level = landlock.ruleset_for(told["abi"])
    expected = {"open": "EACCES", "socket": "done"}
    expected["bind"] = "EACCES" if level.network else "done"
    expected["abstract"] = expected["kill"] = "EPERM" if level.scope else "done"
    assert told["after"] == expected


@pytest.mark.parametrize(
    ("missing", "names", "fallback"),
    [
        ("memfd_secret", {"secret_memory"}, "no memfd_secret (ENOSYS); anonymous memory"),
        ("seccomp", {"seccomp"}, "not loaded (ENOSYS); Landlock"),
        (
            "landlock_create_ruleset",
            {f"landlock_{kind}" for kind in ("filesystem", "network", "scope")},
            "seccomp alone",
        ),
    ],
)
def test_a_protection_the_kernel_lacks_is_reported_with_its_fallback(
    missing: str, names: set[str], fallback: str
) -> None:
    with Child("degraded", missing, env={}) as child:
        checks = {name: (ok, detail) for name, ok, detail in child.says()["checks"]}
    with Child("degraded", "", env={}) as child:
        usual = {name for name, ok, _ in child.says()["checks"] if not ok}
    assert {name for name, (ok, _) in checks.items() if not ok} == names | usual
    assert all(fallback in checks[name][1] for name in names)


LATE_LANES = """
import os, sys, argon2.low_level
from vaultd.keyholder import harden, seccomp
harden.harden_early(os.getppid(), ())
harden.seal() if sys.argv[1] == "seal" else seccomp.load_allowlist()
argon2.low_level.hash_secret_raw(b"passphrase", bytes(16), 1, 256, 4, 32, argon2.low_level.Type.ID)
"""


def test_the_first_lane_of_argon2id_may_end_after_sealing() -> None:
    for way, code in (("seal", 0), ("filter alone", -signal.SIGABRT)):  # glibc aborts if it has to open libgcc_s then
        ended = subprocess.run(
            [sys.executable, "-s", "-P", "-c", LATE_LANES, way],
            env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stderr=subprocess.DEVNULL,
            check=False,
        )
        assert ended.returncode == code


def test_a_sealed_unprivileged_keyholder_still_serves(tmp_path: Path) -> None:
    link, end = socket.socketpair()
    path = str(tmp_path / "unlock.sock")
    with socket.socket(socket.AF_UNIX) as listener, end, link:
        listener.bind(path)
        listener.listen()
        fds = (str(end.fileno()), str(listener.fileno()))
        with Child("keyholder", *fds, pass_fds=[int(fd) for fd in fds]) as child:
            told = child.says()
            assert [check for check in told["checks"] if not check[1]] == []
            link.sendall(b"ping")
            assert link.recv(16) == b"ping"
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(b"work")
                assert json.loads(client.recv(4096)) == {"uid": os.getuid(), "same": True, "open": "EPERM"}
            link.shutdown(socket.SHUT_WR)
            assert child.process.wait(10) == 0


# --- the filter as data -------------------------------------------------------------------------------------------


def _answer(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Runs a filter the way the kernel does, for the five instructions it is made of."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        match operation:
            case 0x20:
                accumulator = int(struct.unpack_from("=I", data, value)[0])
            case 0x54:
                accumulator &= value
            case 0x15:
                at += yes if accumulator == value else no
            case 0x35:
                at += yes if accumulator >= value else no
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(operation)


ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
def test_the_filter_allows_exactly_the_list(machine: str) -> None:
    architecture = seccomp.ARCHITECTURES[machine]
    program = seccomp.compile_filter(architecture, 77)

    def numbers(*names: str) -> list[int]:
        return [found for name in names if (found := seccomp.NUMBERS[name][architecture.column]) is not None]

    allowed = set(numbers(*seccomp.ALLOWED))
    guarded = set(numbers(*(condition.name for condition in seccomp.conditions(77))))
    for number in set(range(1024)) - guarded:
        expected = ALLOW if number in allowed else ENOSYS if number == 435 else EPERM
        assert _answer(program, architecture.audit, number) == expected, number
        assert _answer(program, architecture.audit ^ 1, number) == KILL
    assert _answer(program, architecture.audit, 0x40000000) == (KILL if machine == "x86_64" else EPERM)
    for name, arguments, expected in (
        ("mmap", (0, 1, 3), ALLOW),
        ("mmap", (0, 1, 7), EPERM),
        ("mprotect", (0, 1, 3), ALLOW),
        ("mprotect", (0, 1, 4), EPERM),
        ("clone", (0x3D0F00,), ALLOW),  # what pthread_create asks for
        ("clone", (17,), EPERM),  # fork: SIGCHLD
        ("clone", (0x3D0F00 | 0x10000000,), EPERM),  # a new user namespace
        ("clone", (0x4111,), EPERM),  # vfork
        ("tgkill", (77, 78, 6), ALLOW),
        ("tgkill", (76, 76, 9), EPERM),
        ("fcntl", (3, 4), ALLOW),
        ("fcntl", (3, 8), EPERM),  # F_SETOWN
        ("ioctl", (3, 0x5421), ALLOW),
        ("ioctl", (0, 0x5412), EPERM),  # TIOCSTI
        ("getsockopt", (3, 1, 17), ALLOW),
        ("getsockopt", (3, 6, 1), EPERM),
    ):
        assert _answer(program, architecture.audit, *numbers(name), *arguments) == expected, (name, arguments)


@pytest.mark.parametrize(
    ("column", "headers"),
    [
        (0, ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"]),
        (1, ["/usr/include/asm-generic/unistd.h"]),
    ],
)
def test_the_numbers_are_those_of_the_kernel_headers(column: int, headers: list[str]) -> None:
    header = next((Path(name) for name in headers if Path(name).exists()), None)
    if header is None:
        pytest.skip("no kernel headers here")
    listed = dict(re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", header.read_text()))
    ours = {name: numbers[column] for name, numbers in seccomp.NUMBERS.items()}
    assert {name: int(listed[name]) if name in listed else None for name in ours} == ours


def test_landlock_asks_a_kernel_only_for_rights_it_knows() -> None:
    known = {1: (0x1FFF, 0, 0), 3: (0x7FFF, 0, 0), 4: (0x7FFF, 3, 0), 5: (0xFFFF, 3, 0), 6: (0xFFFF, 3, 3)}
    for abi, rights in known.items():
        level = landlock.ruleset_for(abi)
        assert (level.filesystem, level.network, level.scope) == rights


# --- secret memory ------------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[SecretMemory]:
    """One page."""
    made = SecretMemory(1)
    yield made
    made.close()


def test_a_secret_in_secret_memory_cannot_be_read_from_outside() -> None:
    for kind, found in (("heap", True), ("secret", False)):
        child, secret, told = held(kind)
        with child:
            if kind == "secret" and not told["memory"][1]:
                pytest.skip("no memfd_secret here")
            assert memory_holds(child.pid, secret) == found
            assert told["new_fds"] == []  # root could map a descriptor's pages elsewhere


def test_a_fork_does_not_inherit_secret_memory() -> None:
    for kind, status in (("heap", 0), ("secret", signal.SIGSEGV), ("fallback", signal.SIGSEGV)):
        child, _, told = held(kind)
        with child:
            assert told["fork"] == status


def test_the_fallback_is_locked_and_beyond_the_limit_says_that_it_is_not() -> None:
    child, _, told = held("fallback")
    with child:
        assert told["memory"][1] is False
        assert told["memory"][2].endswith("forks, locked")
        locked = re.search(r"VmLck:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
        assert locked is not None
        assert int(locked[1]) == 256
    for kind, reason in (("secret", "EAGAIN"), ("fallback", "ENOSYS")):
        child, _, told = held(kind, "unlockable")
        with child:
            assert told["memory"][2].startswith(f"no memfd_secret ({reason})")
            assert told["memory"][2].endswith("not locked (ENOMEM)")


def test_a_buffer_is_wiped_when_closed_when_left_and_when_collected(memory: SecretMemory) -> None:
    def close_it() -> memoryview:
        buffer = memory.allocate(32)
        buffer.view[:] = bytes(range(1, 33))
        rest = buffer.view[:]
        assert bytes(rest) == bytes(range(1, 33))
        buffer.close()
        buffer.close()
        return rest

    def leave_it() -> memoryview:
        with memory.allocate(32) as buffer:
            buffer.view[:] = bytes(range(1, 33))
            return buffer.view[:]

    def drop_it() -> memoryview:
        buffer = memory.allocate(32)
        buffer.view[:] = bytes(range(1, 33))
        return buffer.view[:]

    for way in (close_it, leave_it, drop_it):
        with way() as rest:
            assert bytes(rest) == bytes(32), way


def test_space_is_reused_first_fit_aligned_and_runs_out_with_an_error(memory: SecretMemory) -> None:
    def address(view: memoryview) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(view))

    buffers = [memory.allocate(17) for _ in range(mmap.PAGESIZE // 32)]
    places = [address(buffer.view) for buffer in buffers]
    assert [place - places[0] for place in places] == list(range(0, mmap.PAGESIZE, 32))
    with pytest.raises(OutOfMemoryError):
        memory.allocate(1)
    for index in (7, 8, 3):
        buffers[index].close()
    with memory.allocate(33) as wide, memory.allocate(16) as first, memory.allocate(16) as second:
        assert address(wide.view) == places[7]
        assert [address(first.view), address(second.view)] == [places[3], places[3] + 16]
    assert len(buffers[0]) == 17


def test_two_threads_never_get_the_same_place() -> None:
    memory = SecretMemory(64 * mmap.PAGESIZE)
    clashes = []

    def use(mark: int) -> None:
        for round_ in range(300):
            with memory.allocate(16 + round_ % 50) as buffer:
                buffer.view[:] = bytes([mark]) * len(buffer)
                clashes.extend([] if set(buffer.view) == {mark} else [mark])

    threads = [threading.Thread(target=use, args=(mark,)) for mark in range(1, 9)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(usual)
    memory.close()
    assert clashes == []


def test_a_buffer_gives_nothing_away_by_accident(memory: SecretMemory) -> None:
    with memory.allocate(8) as buffer:
        buffer.view[:] = b"sekret!!"
        assert "sekret" not in f"{buffer} {buffer!r}"

        def equals(it: object) -> bool:
            return it == b"sekret!!"

        accidents: list[Callable[[Any], Any]]
        accidents = [bytes, list, iter, hash, copy.copy, copy.deepcopy, pickle.dumps, equals]
        for accident in accidents:
            with pytest.raises(TypeError):
                accident(buffer)
        assert bytes(buffer.view) == b"sekret!!"
    with pytest.raises(ValueError, match="released"):
        len(buffer.view)


def test_memory_with_a_view_in_use_is_wiped_but_not_taken_away() -> None:
    memory = SecretMemory(1)
    exported, sliced = memory.allocate(4), memory.allocate(4)
    exported.view[:] = sliced.view[:] = b"abcd"
    library = pickle.PickleBuffer(exported.view)
    piece = sliced.view[1:]
    assert bytes(piece) == b"bcd"
    with pytest.raises(BufferError):
        memory.close()
    assert bytes(piece) == bytes(3)
    assert bytes(library.raw()) == bytes(4)
    library.release()
    with pytest.raises(BufferError):
        memory.close()
    piece.release()
    memory.close()
    with pytest.raises(ValueError, match="released"):
        memory.allocate(1)


def test_wipe_zeroes_every_writable_buffer_and_refuses_others() -> None:
    for buffer in (bytearray(b"abc"), bytearray(), memoryview(bytearray(b"abcdef"))[2:4], mmap.mmap(-1, 4096)):
        wipe(buffer)
        assert not any(bytes(buffer))
    for refused in (b"abc", memoryview(b"abc"), memoryview(bytearray(b"abcdef"))[::2]):
        with pytest.raises(TypeError):
            wipe(refused)
        assert bytes(refused)[0] == ord("a")


def test_wipe_bytes_zeroes_what_one_variable_holds_and_nothing_that_is_shared() -> None:
    alone = os.urandom(64)
    wipe_bytes(alone)
    assert alone == bytes(64)
    for size in (0, 1):
        wipe_bytes(os.urandom(size))
    assert [bytes([value])[0] for value in range(256)] == list(range(256))
    shared = os.urandom(64)
    holder = [shared]
    with pytest.raises(ValueError, match="another holder"):
        wipe_bytes(shared)
    assert holder[0] != bytes(64)
    constant = b"a constant of this function"
    with pytest.raises(ValueError, match="another holder"):
        wipe_bytes(constant)
    with pytest.raises(TypeError):
        wipe_bytes(bytearray(b"abc"))  # type: ignore[arg-type]


# --- the roles ----------------------------------------------------------------------------------------------------


def say(value: Any) -> None:
    """Writes one JSON line."""
    os.write(1, json.dumps(value).encode() + b"\n")


def tried(action: Callable[[], Any]) -> str:
    """Returns done, or the errno it failed with."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def become_nobody() -> None:
    """Makes the process one of an ordinary user: the kernel makes one that changes its uid undumpable."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _call("prctl", 4, 1, 0, 0, 0)


def forbid(name: str) -> None:
    """Makes a system call fail with ENOSYS, like a kernel without it."""
    number = seccomp.NUMBERS[name][seccomp.this_architecture().column]
    _call("prctl", 38, 1, 0, 0, 0)
    seccomp.load(
        struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 0x06, 0, 0, ENOSYS, 0x06, 0, 0, ALLOW)
    )


def open_fds() -> list[int]:
    """Returns the descriptors open now, without /proc."""
    return [fd for fd in range(256) if tried(lambda fd=fd: os.fstat(fd)) == "done"]  # type: ignore[misc]


def fork_and_look(view: memoryview) -> int:
    """Returns how a fork ends that looks at `view`: 0 or a signal."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os._exit(0 if view[0] >= 0 else 1)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def holder(kind: str, guard: str) -> None:
    """Holds a secret from stdin, in one kind of memory, until stdin ends."""
    become_nobody()
    if guard == "unlockable":
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 * KIB, 64 * KIB))
    if guard == "hardened":
        harden_early(os.getppid(), ())
    if kind == "fallback":
        forbid("memfd_secret")
    fds = open_fds()
    told: dict[str, Any] = {"pid": os.getpid()}
    if kind == "heap":
        view = memoryview(bytearray(32))
    else:
        memory = SecretMemory(256 * KIB)
        told["memory"] = astuple(memory.check)
        buffer = memory.allocate(32)
        view = buffer.view
    assert os.readv(0, [view]) == len(view)
    told["new_fds"] = sorted(set(open_fds()) - set(fds))
    told["address"] = ctypes.addressof(ctypes.c_char.from_buffer(view))
    told["fork"] = fork_and_look(view)
    say(told)
    os.read(0, 1)


def attacker(victim: str, address: str) -> None:
    """Tries to read another process of the same user."""
    pid = int(victim)
    place = Path("/proc") / victim
    become_nobody()
    pidfd = os.pidfd_open(pid)
    here = ctypes.create_string_buffer(8)
    local, remote = struct.pack("=QQ", ctypes.addressof(here), 8), struct.pack("=QQ", int(address), 8)
    say(
        {
            "mem": tried(lambda: (place / "mem").open("rb", 0).close()),
            "environ": tried(lambda: (place / "environ").open("rb", 0).close()),
            "maps": tried(lambda: (place / "maps").open("rb", 0).close()),
            "fd": tried(lambda: list((place / "fd").iterdir())),
            "map_files": tried(lambda: list((place / "map_files").iterdir())),
            "process_vm_readv": tried(lambda: _call("process_vm_readv", pid, local, 1, remote, 1, 0)),
            "pidfd_getfd": tried(lambda: os.close(_raw(438, pidfd, 0, 0))),
            "ptrace": tried(lambda: _ptrace(pid)),
        }
    )


def crasher(guard: str) -> None:
    """Waits to crash, with a secret in ordinary memory."""
    secret = bytearray(32)
    assert os.readv(0, [secret]) == len(secret)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if guard == "hardened":
        harden_early(os.getppid(), ())
    elif guard == "dumpable_only":
        _call("prctl", 4, 0, 0, 0, 0)
    say({"core_limit": resource.getrlimit(resource.RLIMIT_CORE)})
    os.read(0, 1)


def parent(guard: str) -> None:
    """Starts a holder, which shares stdin and stdout, and waits to be killed."""
    with subprocess.Popen([sys.executable, "-s", "-P", __file__, "holder", "heap", guard]):
        signal.pause()


def early(parent_pid: str, *keep: str) -> None:
    """Shows what `harden_early` changes."""
    if missing := os.environ.get("MISSING"):
        forbid(missing)
    before = open_fds()
    checks = harden_early(int(parent_pid), [int(fd) for fd in keep])
    say(
        {
            "before": before,
            "after": open_fds(),
            "umask": os.umask(0o077),
            "checks": [astuple(check) for check in checks],
        }
    )


def hygiene() -> None:
    """Checks the memory twenty times, as an unprivileged process that is not dumpable."""
    become_nobody()
    harden_early(os.getppid(), ())
    if missing := os.environ.get("MISSING"):
        forbid(missing)
    say([astuple(memory_hygiene_check()) for _ in range(20)])


def sealed_and_not() -> None:
    """Tries everything, seals itself, tries again."""
    lives, dies = os.pipe()
    victim = os.fork()
    if victim == 0:
        os.close(dies)
        os.read(lives, 1)
        os._exit(0)
    link, _other = socket.socketpair()
    turns = [threading.Event(), threading.Event(), threading.Event()]
    thread_told = {}

    def other_thread() -> None:
        for when, turn, done in (("before", turns[0], turns[1]), ("after", turns[2], turns[0])):
            turn.wait()
            turn.clear()
            thread_told[when] = tried(lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)))
            done.set()

    thread = threading.Thread(target=other_thread)
    thread.start()
    turns[0].set()
    turns[1].wait()
    told: dict[str, Any] = {
        "before": {name: tried(action) for name, action in attempts(victim, link, sealed=False).items()}
    }
    told["clone3"] = {"before": tried(lambda: _raw(435))}
    after = attempts(victim, link, sealed=True)
    told["checks"] = [astuple(check) for check in seal()]
    turns[2].set()
    thread.join()
    told["after"] = {name: tried(action) for name, action in after.items()}
    told["clone3"]["after"] = tried(lambda: _raw(435))
    say(told | {"thread": thread_told})


def foreign(kind: str, guard: str) -> None:
    """Makes a system call of x32 or of i386."""
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    page[:8] = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid of i386); int 0x80; ret
    i386 = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if guard == "sealed":
        seal()
    say(tried(lambda: _raw(0x40000000 | 39)) if kind == "x32" else "done" if i386() == os.getpid() else "wrong")


def degraded(missing: str) -> None:
    """Hardens itself on a kernel that lacks one system call."""
    if missing:
        forbid(missing)
    name = f"\0vaultd-test-{os.getpid()}"
    outside = socket.socket(socket.AF_UNIX)
    outside.bind(name)
    outside.listen()

    def connect() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)

    def bind() -> None:
        with socket.socket(socket.AF_INET) as server:
            server.bind(("127.0.0.1", 0))

    actions: dict[str, Callable[[], Any]] = {
        "open": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
        "socket": lambda: socket.socket(socket.AF_INET).close(),
        "bind": bind,
        "abstract": connect,
        "kill": lambda: os.kill(os.getppid(), 0),
    }
    told: dict[str, Any] = {"before": {name: tried(action) for name, action in actions.items()}}
    checks = [SecretMemory(1).check, *seal()]
    told["after"] = {name: tried(action) for name, action in actions.items()}
    told["abi"] = next((int(check.detail.split()[1]) for check in checks if check.detail.startswith("ABI ")), 0)
    say(told | {"checks": [astuple(check) for check in checks]})


def primitives(memory: SecretMemory) -> bytes:
    """Uses every primitive of the keyholder with its keys in secret memory, and returns what is deterministic."""
    with memory.allocate(32) as key, memory.allocate(5) as plain:
        key.view[:] = bytes(range(32))
        sealed_text = AESGCM(key.view).encrypt(bytes(12), b"hello", b"aad")
        AESGCM(key.view).decrypt_into(bytes(12), sealed_text, b"aad", plain.view)
        assert bytes(plain.view) == b"hello"
        suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        recipient = X25519PrivateKey.from_private_bytes(key.view)
        assert suite.decrypt(suite.encrypt(plain.view, recipient.public_key(), b"info"), recipient, b"info") == b"hello"
        signer = Ed25519PrivateKey.from_private_bytes(key.view)
        signature = signer.sign(plain.view)
        signer.public_key().verify(signature, plain.view)
        derived = argon2.low_level.hash_secret_raw(
            b"passphrase", bytes(16), time_cost=1, memory_cost=256, parallelism=4, hash_len=32, type=argon2.Type.ID
        )
        return sealed_text + signature + derived


def keyholder(link_fd: str, listener_fd: str) -> None:
    """Is hardened in full as an unprivileged user, then serves: a selectors loop, a socket, a thread for Argon2id."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (8 * MIB, 8 * MIB))
    primitives(SecretMemory(1))
    become_nobody()
    checks = harden_early(os.getppid(), [int(link_fd), int(listener_fd)])
    memory = SecretMemory(SECRET_PAGE_BYTES)
    link, listener = socket.socket(fileno=int(link_fd)), socket.socket(fileno=int(listener_fd))
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    selector = selectors.DefaultSelector()
    for watched in (link, listener, wake):
        selector.register(watched, selectors.EVENT_READ, watched)
    known = primitives(memory)
    checks += [memory.check, memory_hygiene_check(), *seal()]
    results: list[bytes] = []

    def work() -> None:
        results.append(primitives(memory))
        os.write(waker, b"!")

    client = link
    say({"checks": [astuple(check) for check in checks]})
    while True:
        for event, _ in selector.select():
            if event.data is link:
                data = link.recv(16)
                if not data:
                    os._exit(0)
                link.sendmsg([data])
            elif event.data is listener:
                client, _ = listener.accept()
                client.settimeout(5)
                assert client.recv(16) == b"work"
                threading.Thread(target=work).start()
            else:
                assert os.read(wake, 8) == b"!"
                _, uid, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                told = {"uid": uid, "same": results == [known], "open": tried(lambda: os.open("/", os.O_RDONLY))}
                client.sendall(json.dumps(told).encode())
                client.close()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
