"""What a process of the same user tries in order to read another. Run by path, as that user: attack.py PID.

Prints a JSON object: what was tried to the errno that it ended with, 0 where it worked.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
PIDFD_GETFD, KCMP = 438, 312
libc = ctypes.CDLL(None, use_errno=True)


def call(function: str, *arguments: int) -> int:
    """Calls libc; OSError where it answers -1."""
    result: int = getattr(libc, function)(*(ctypes.c_long(argument) for argument in arguments))
    if result == -1:
        raise OSError(ctypes.get_errno(), function)
    return result


def ptrace(request: int, pid: int) -> None:
    call("ptrace", request, pid, 0, 0)
    if request == PTRACE_ATTACH:
        os.waitpid(pid, 0)
    else:
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, 0)
    call("ptrace", PTRACE_DETACH, pid, 0, 0)
    os.kill(pid, signal.SIGCONT)


def first_mapping(pid: int) -> int:
    return int(Path(f"/proc/{pid}/maps").read_text().partition("-")[0], 16)


def read_memory(pid: int) -> None:
    """Opens /proc/PID/mem and reads where every program has its stack or text; an address may not be known."""
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        os.pread(memory, 16, first_mapping(pid))
    finally:
        os.close(memory)


def write_memory(pid: int) -> None:
    os.close(os.open(f"/proc/{pid}/mem", os.O_WRONLY))


def process_vm(pid: int, function: str) -> None:
    """Reads or writes the other's memory by system call. An address that is not there counts as let in."""
    buffer = ctypes.create_string_buffer(16)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 16)
    remote = (ctypes.c_size_t * 2)(0x1000, 16)
    with contextlib.suppress(OSError):
        remote[0] = first_mapping(pid)
    try:
        call(function, pid, ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


def take_descriptor(pid: int) -> None:
    handle = os.pidfd_open(pid)
    try:
        os.close(call("syscall", PIDFD_GETFD, handle, 0, 0))
    finally:
        os.close(handle)


def list_descriptors(pid: int) -> None:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        os.readlink(entry)


ATTEMPTS: dict[str, Callable[[int], object]] = {
    "ptrace attach": lambda pid: ptrace(PTRACE_ATTACH, pid),
    "ptrace seize": lambda pid: ptrace(PTRACE_SEIZE, pid),
    "read memory": read_memory,
    "write memory": write_memory,
    "process_vm_readv": lambda pid: process_vm(pid, "process_vm_readv"),
    "process_vm_writev": lambda pid: process_vm(pid, "process_vm_writev"),
    "pidfd_getfd": take_descriptor,
    "kcmp": lambda pid: call("syscall", KCMP, pid, os.getpid(), 0, 0, 0),
    "environ": lambda pid: Path(f"/proc/{pid}/environ").read_bytes(),
    "maps": lambda pid: Path(f"/proc/{pid}/maps").read_bytes(),
    "auxv": lambda pid: Path(f"/proc/{pid}/auxv").read_bytes(),
    "descriptors": list_descriptors,
    "program": lambda pid: os.readlink(f"/proc/{pid}/exe"),
    "working directory": lambda pid: os.readlink(f"/proc/{pid}/cwd"),
}


def tried(attempt: Callable[[int], object], pid: int) -> int:
    try:
        attempt(pid)
    except OSError as error:
        return error.errno or -1
    return 0


if __name__ == "__main__":
    target = int(sys.argv[1])
    json.dump({name: tried(attempt, target) for name, attempt in ATTEMPTS.items()}, sys.stdout)
