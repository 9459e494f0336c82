"""The kernel from below: raw system calls, and everything that a sealed keyholder must not be able to do."""

import ctypes
import errno
import mmap
import os
import resource
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaultd.keyholder import seccomp

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000
"""What a seccomp filter returns (linux/seccomp.h)."""

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 7
libc.syscall.restype = ctypes.c_long


def raw(number: int, *arguments: int) -> int:
    """Makes a system call by its number; raises OSError."""
    result: int = libc.syscall(number, *arguments, *[0] * (6 - len(arguments)))
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def call(name: str, *arguments: Any) -> int:
    """Calls a function of libc; raises OSError."""
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def tried(action: Callable[[], Any]) -> str:
    """Returns done, or the errno it failed with."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def forbid(name: str) -> None:
    """Makes a system call fail with ENOSYS, like a kernel without it."""
    number = seccomp.NUMBERS[name][seccomp.this_architecture().column]
    call("prctl", 38, 1, 0, 0, 0)
    seccomp.load(
        struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 0x06, 0, 0, ENOSYS, 0x06, 0, 0, ALLOW)
    )


def ptrace(victim: int) -> None:
    """Seizes, stops and lets go of a process."""
    call("ptrace", 0x4206, victim, None, None)  # PTRACE_SEIZE
    call("ptrace", 0x4207, victim, None, None)  # PTRACE_INTERRUPT
    os.waitpid(victim, 0)
    call("ptrace", 17, victim, None, None)  # PTRACE_DETACH


def _executable(way: str) -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        if way == "mprotect":
            call("mprotect", ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 5)
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


def _bpf() -> None:
    attributes = ctypes.create_string_buffer(struct.pack("=5I", 2, 4, 4, 1, 0), 128)  # BPF_MAP_TYPE_ARRAY of one word
    os.close(raw(321 if os.uname().machine == "x86_64" else 280, 0, ctypes.addressof(attributes), 128))


def _io_uring() -> None:
    parameters = ctypes.create_string_buffer(120)
    os.close(raw(425, 1, ctypes.addressof(parameters)))


def _read_victim(victim: int) -> None:
    there = ctypes.c_long(1)
    span = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(there), 8))
    call("process_vm_readv", victim, span, ctypes.c_ulong(1), span, ctypes.c_ulong(1), ctypes.c_ulong(0))


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
        "tgkill": lambda: raw(234 if os.uname().machine == "x86_64" else 131, victim, victim, 0),
        "pidfd_open": lambda: os.close(os.pidfd_open(victim)),
        "process_vm_readv": lambda: _read_victim(victim),
        "ptrace": lambda: ptrace(victim),
        "bpf": _bpf,
        "io_uring_setup": _io_uring,
        "memfd_create": lambda: os.close(os.memfd_create("made")),
        "mmap PROT_EXEC": lambda: _executable("mmap"),
        "mprotect PROT_EXEC": lambda: _executable("mprotect"),
        "prctl": lambda: call("prctl", 4, 1, 0, 0, 0),
        "setuid": lambda: os.setuid(os.getuid()),
        "prlimit": lambda: resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)),
        "chroot": lambda: os.chroot("/"),
        "dup2": lambda: os.dup2(0, 99, inheritable=False),
    }
