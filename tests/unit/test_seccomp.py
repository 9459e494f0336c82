"""What the filter of a sealed keyholder refuses: on a real process, before and after, and for every number as data."""

import os
import re
import signal
import socket
import struct
from pathlib import Path

import pytest

from tests.support.harden import Child
from tests.support.syscalls import ALLOW, ENOSYS, EPERM, KILL, attempts
from vaultd.keyholder import seccomp

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
