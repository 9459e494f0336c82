"""What the hardening of the keyholder child promises, each shown on a real process beside one where it does not hold."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import strace
from tests.support.harden import HYGIENE, PROGRAM, ROOT, Child, held
from tests.support.processes import NOBODY, becoming
from vaultd.keyholder import landlock

REFUSED = {"EPERM", "EACCES"}


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


@strace.NEEDED
@pytest.mark.parametrize(("uid", "code"), [(NOBODY, 1), (0, 0)])
def test_a_child_that_another_process_of_its_user_traces_does_not_start(uid: int, code: int) -> None:
    """Who attached before it was unreadable would stay attached. Root's tracer is let be: it could come at any time."""
    role = [sys.executable, "-s", "-P", str(PROGRAM), "early", str(os.getpid())]
    command = [*becoming(uid), "strace", "-D", "-e", "trace=none", "-o", "/dev/null", *role]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd="/", capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    assert (b"is tracing this keyholder" in done.stderr) == bool(code)
    assert (b'"tracer", false' in done.stdout) == (not code)


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
        *("dumpable", "core_limit", "parent_death", "no_new_privileges", "tracer", "umask", "descriptors")
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


def test_landlock_asks_a_kernel_only_for_rights_it_knows() -> None:
    known = {1: (0x1FFF, 0, 0), 3: (0x7FFF, 0, 0), 4: (0x7FFF, 3, 0), 5: (0xFFFF, 3, 0), 6: (0xFFFF, 3, 3)}
    for abi, rights in known.items():
        level = landlock.ruleset_for(abi)
        assert (level.filesystem, level.network, level.scope) == rights
