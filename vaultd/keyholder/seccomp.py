"""The system calls a sealed keyholder may make, and the BPF filter that refuses all others.

Threat: a defect in a parser or a library gives an attacker code execution in the process that holds the keys; he then
opens files or sockets, starts programs, or reads and signals other processes. Measure: an allowlist in the kernel, for
every thread (seccomp(2), SECCOMP_SET_MODE_FILTER). A refused call fails with EPERM, so a library that merely asks goes
on; a call of another architecture or of x32, which only an exploit makes, ends the process. Limit: what the keyholder
needs, an exploit has as well: it may answer on the link and on accepted connections, and it may read the keys.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl for x86_64 and include/uapi/asm-generic/unistd.h for aarch64, Linux 6.1;
a number never changes. None: the architecture does not have the call.
"""

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass
from typing import Final

Numbers = tuple[int | None, int | None]
"""Number of one system call on x86_64 and on aarch64."""

ALLOWED: Final[dict[str, Numbers]] = {
    # The link, accepted connections, and the eventfd or socket pair a thread wakes the loop with. recvmsg takes in the
    # connections that the server passes; a descriptor of another kind is closed unused (loop.py).
    "read": (0, 63),
    "write": (1, 64),
    "recvmsg": (47, 212),
    "sendmsg": (46, 211),
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "readv": (19, 65),
    "writev": (20, 66),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "epoll_ctl": (233, 21),
    "epoll_create1": (291, 20),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "accept4": (288, 242),
    "accept": (43, 202),
    "getsockname": (51, 204),  # socket.socket(fileno=...), so every accept(), asks
    "getpeername": (52, 205),
    "shutdown": (48, 210),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    # Memory. mmap and mprotect are conditional.
    "munmap": (11, 215),
    "madvise": (28, 233),
    "mremap": (25, 216),
    "brk": (12, 214),
    # Threads of Argon2id. clone is conditional, clone3 does not exist.
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # Time and chance.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "restart_syscall": (219, 128),
    "getrandom": (318, 278),
    # Who and where the process is.
    "sysinfo": (99, 179),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    # Its own signals. tgkill is conditional; kill and the queueing calls reach other processes and stay out.
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
}
"""Allowed with any arguments."""

_CONDITIONAL: Final[dict[str, Numbers]] = {
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "clone": (56, 220),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "getsockopt": (55, 209),
    "tgkill": (234, 131),
}
_BEFORE_SEALING: Final[dict[str, Numbers]] = {
    "close_range": (436, 436),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "memfd_secret": (447, 447),
    "process_vm_readv": (310, 270),
    "seccomp": (317, 277),
}
"""What the hardening itself calls by number."""
_ABSENT: Final[dict[str, Numbers]] = {"clone3": (435, 435)}
"""Answered with ENOSYS: its flags lie in memory where a filter cannot look, and glibc then falls back on clone."""
NUMBERS: Final = ALLOWED | _CONDITIONAL | _BEFORE_SEALING | _ABSENT
"""Every system call known here by name."""


@dataclass(frozen=True)
class Architecture:
    """One architecture the filter is written for: its AUDIT_ARCH value and its column in `Numbers`."""

    audit: int
    column: int


ARCHITECTURES: Final = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}
"""By the name uname(2) gives; both little-endian, 64-bit (include/uapi/linux/audit.h)."""
_X32_BIT: Final = 0x40000000

_PROT_EXEC: Final = 0x4
_CLONE_THREAD: Final = 0x00010000
_CLONE_OTHER_PROCESS: Final = 0x0000E000 | 0x7E020000
"""CLONE_PTRACE, CLONE_VFORK, CLONE_PARENT and every CLONE_NEW* of clone (include/uapi/linux/sched.h)."""
_F_COMMANDS: Final = (1, 2, 3, 4, 1030)
"""F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. F_SETOWN and F_SETSIG would send signals to others."""
_IOCTLS: Final = (0x5421, 0x5451)
"""FIONBIO and FIOCLEX: CPython sets them on every socket. TIOCSTI would type into a terminal."""
_SOL_SOCKET: Final = 1
"""SO_PEERCRED, SO_PEERPIDFD and what socket.socket() asks for."""


@dataclass(frozen=True)
class Condition:
    """`name` is allowed where the low 32 bits of one argument, masked, are one of `values`.

    The kernel itself reads no more than these 32 bits of each argument named here.
    """

    name: str
    argument: int
    mask: int
    values: tuple[int, ...]


def conditions(pid: int) -> tuple[Condition, ...]:
    """Returns the conditions in force for the process `pid`."""
    whole = 0xFFFFFFFF
    return (
        Condition("mmap", 2, _PROT_EXEC, (0,)),
        Condition("mprotect", 2, _PROT_EXEC, (0,)),
        Condition("clone", 0, _CLONE_THREAD | _CLONE_OTHER_PROCESS, (_CLONE_THREAD,)),
        Condition("fcntl", 1, whole, _F_COMMANDS),
        Condition("ioctl", 1, whole, _IOCTLS),
        Condition("getsockopt", 1, whole, (_SOL_SOCKET,)),
        Condition("tgkill", 0, whole, (pid,)),
    )


_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
"""BPF_LD|W|ABS, BPF_ALU|AND|K, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K (include/uapi/linux/bpf_common.h)."""
_KILL: Final = 0x80000000
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
"""SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO (include/uapi/linux/seccomp.h)."""
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
"""In struct seccomp_data; arguments are 8 bytes each, low half first on a little-endian machine."""


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _return(value: int) -> bytes:
    return _instruction(_RETURN, value)


def _guarded(number: int, condition: Condition) -> bytes:
    """Returns a block that decides about `number`, and falls through with the accumulator intact for any other."""
    count = len(condition.values)
    block = _instruction(_LOAD, _ARGUMENTS_OFFSET + 8 * condition.argument)
    block += _instruction(_AND, condition.mask)
    for index, value in enumerate(condition.values):
        block += _instruction(_JUMP_EQUAL, value, count - index, 0)
    block += _return(_ERRNO | errno.EPERM) + _return(_ALLOW)
    return _instruction(_JUMP_EQUAL, number, 0, len(block) // 8) + block


def compile_filter(architecture: Architecture, pid: int) -> bytes:
    """Returns the allowlist for the process `pid` as an array of struct sock_filter, 8 bytes each."""
    column = architecture.column
    program = _instruction(_LOAD, _ARCH_OFFSET)
    program += _instruction(_JUMP_EQUAL, architecture.audit, 1, 0) + _return(_KILL)
    program += _instruction(_LOAD, _NUMBER_OFFSET)
    if architecture is ARCHITECTURES["x86_64"]:
        program += _instruction(_JUMP_AT_LEAST, _X32_BIT, 0, 1) + _return(_KILL)
    for numbers in ALLOWED.values():
        number = numbers[column]
        if number is not None:
            program += _instruction(_JUMP_EQUAL, number, 0, 1) + _return(_ALLOW)
    for condition in conditions(pid):
        number = _CONDITIONAL[condition.name][column]
        if number is not None:
            program += _guarded(number, condition)
    for numbers in _ABSENT.values():
        number = numbers[column]
        if number is not None:
            program += _instruction(_JUMP_EQUAL, number, 0, 1) + _return(_ERRNO | errno.ENOSYS)
    return program + _return(_ERRNO | errno.EPERM)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = [ctypes.c_long] * 7


def this_architecture() -> Architecture:
    """Returns the architecture of this process.

    Raises:
        OSError: ENOSYS, there is no table for it.
    """
    found = ARCHITECTURES.get(os.uname().machine)
    if found is None or sys.maxsize < 2**32 or sys.byteorder != "little":
        raise OSError(errno.ENOSYS, "no table of system calls for this architecture")
    return found


def syscall(name: str, *arguments: int) -> int:
    """Makes the system call `name` of NUMBERS; addresses are passed as integers.

    Raises:
        OSError: What the kernel answered; ENOSYS where this architecture or kernel does not have the call.
    """
    number = NUMBERS[name][this_architecture().column]
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    result: int = _libc.syscall(number, *arguments, *[0] * (6 - len(arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


_SET_MODE_FILTER: Final = 1
_FLAG_TSYNC: Final = 1


def load(program: bytes) -> None:
    """Puts every thread of the process under `program` for good. Needs no_new_privs.

    Args:
        program: An array of struct sock_filter.

    Raises:
        OSError: The kernel has no seccomp, refuses the program, or a thread cannot be put under it.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = _Program(len(program) // 8, ctypes.addressof(buffer))
    thread = syscall("seccomp", _SET_MODE_FILTER, _FLAG_TSYNC, ctypes.addressof(fprog))
    if thread > 0:
        raise OSError(errno.EBUSY, "a thread has a filter of its own")


def load_allowlist() -> int:
    """Puts the process under the allowlist and returns the number of system calls on it.

    Raises:
        OSError: As `load`, and ENOSYS for an architecture without a table.
    """
    architecture = this_architecture()
    load(compile_filter(architecture, os.getpid()))
    return sum(numbers[architecture.column] is not None for numbers in [*ALLOWED.values(), *_CONDITIONAL.values()])
