"""Hardening of the keyholder child, in the order it runs: `harden_early`, `memory_hygiene_check`, `seal`.

Threat: another process of the same user reads the keys with ptrace or from a core file; a leftover of a secret in
freed memory is found later; a defect in the keyholder is turned into files, sockets and programs. Measure: one
function per step, each of which reports what it found in force. Limit: root stays root, code that runs inside the
keyholder reads what the keyholder reads, and from exec to the first statement, while it has no secret yet, the process
is an ordinary one.
"""

import ctypes
import errno
import mmap
import os
import resource
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from vaultd.keyholder import landlock, seccomp
from vaultd.keyholder.seccomp import syscall
from vaultd.limits import HYGIENE_MARKER_BYTES, HYGIENE_PADDINGS, HYGIENE_WINDOW_BYTES, MIB
from vaultd.model import Check

_PR_SET_PDEATHSIG: Final = 1
_PR_GET_PDEATHSIG: Final = 2
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_GET_NO_NEW_PRIVS: Final = 39
_PR_SET_MDWE: Final = 65
_PR_GET_MDWE: Final = 66
_MDWE_REFUSE_EXEC_GAIN: Final = 1
"""include/uapi/linux/prctl.h"""
_UMASK: Final = 0o077

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.restype = ctypes.c_int
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def _prctl(option: int, argument: int = 0) -> int:
    """Returns what prctl(2) answers, or minus the errno it fails with."""
    result: int = _libc.prctl(option, argument, 0, 0, 0)
    return result if result >= 0 else -ctypes.get_errno()


def _why(answer: int) -> str:
    return errno.errorcode.get(-answer, str(answer))


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "error")


def harden_early(parent_pid: int | None, keep_fds: Collection[int]) -> list[Check]:
    """Makes the process unreadable to its own user and ties its life to its parent's. First statement of the process.

    The parent must have started the child from a thread that lives as long as it does: the kernel sends
    PR_SET_PDEATHSIG when that thread ends. A later change of uid or gid undoes it and `dumpable` (prctl(2)).

    Args:
        parent_pid: The process that is to be the parent; os.getpid() of whoever started this one. None for a unit of its
            own, whose life is systemd's to end.
        keep_fds: Descriptors that stay open besides 0, 1 and 2.

    Raises:
        SystemExit: The parent is gone already, or another process of this user is tracing this one.
    """
    return [
        _not_dumpable(),
        _not_traced(),
        _no_core(),
        _own_unit() if parent_pid is None else _die_with_parent(parent_pid),
        _no_new_privileges(),
        _no_exec_gain(),
        _private_files(),
        _close_others(keep_fds),
    ]


def _not_dumpable() -> Check:
    """Threat: same-uid ptrace, /proc/PID/mem, pidfd_getfd, core files. Limit: not against CAP_SYS_PTRACE."""
    answer = _prctl(_PR_SET_DUMPABLE, 0)
    if answer == 0 and _prctl(_PR_GET_DUMPABLE) == 0:
        return Check("dumpable", True, "0: no core file; ptrace and /proc/PID/mem are for root only")
    return Check("dumpable", False, f"{_why(answer)}; the same user can read this process; RLIMIT_CORE stays 0")


def _not_traced() -> Check:
    """Threat: who attached to the process while it was an ordinary one stays attached, and reads the keys later.

    Measure: looked for after `dumpable` is 0, when nobody can attach any more. Limit: root's tracers are let be.
    """
    tracer = _status_field("self", "TracerPid")
    if tracer is None:
        return Check("tracer", False, "/proc/self/status cannot be read; whether anybody traces this process is not known")
    if tracer == "0":
        return Check("tracer", True, "none, and none can come")
    uid = (_status_field(tracer, "Uid") or "gone gone").split()[1]
    if uid != "0":
        raise SystemExit(f"process {tracer} of uid {uid} is tracing this keyholder, which would show it every key")
    return Check("tracer", False, f"process {tracer} of root")


def _status_field(pid: str, name: str) -> str | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), None)


def _no_core() -> Check:
    """Threat: a core file on disk holds the keys. Limit: alone it would not stop a core_pattern that is a pipe."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    return Check("core_limit", limit == (0, 0), f"RLIMIT_CORE {limit[0]}, {limit[1]}")


def _die_with_parent(parent_pid: int) -> Check:
    """Threat: a keyholder left behind by a dead server stays unlocked, with nobody to lock it."""
    answer = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # After prctl, not before it: a parent that died in between would send no signal.
    if os.getppid() != parent_pid:
        raise SystemExit("the parent of this keyholder is gone")
    found = ctypes.c_int(0)
    _prctl(_PR_GET_PDEATHSIG, ctypes.addressof(found))
    if found.value == signal.SIGKILL:
        return Check("parent_death", True, f"SIGKILL when process {parent_pid} dies")
    return Check("parent_death", False, f"{_why(answer)}; the end of the link ends this process")


def _own_unit() -> Check:
    """Threat: a keyholder left behind. Limit: it outlives the server on purpose; lock, and stopping its unit, end it."""
    return Check("own_unit", True, "a unit of its own: a restart of the server costs no unlock")


def _no_new_privileges() -> Check:
    """Threat: a set-user-ID program gains rights. Also what seccomp and Landlock ask for without privilege."""
    answer = _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if _prctl(_PR_GET_NO_NEW_PRIVS) == 1:
        return Check("no_new_privileges", True, "1")
    return Check("no_new_privileges", False, f"{_why(answer)}; execve is refused once sealed, if seccomp works")


def _no_exec_gain() -> Check:
    """Threat: injected code made executable. Limit: return-oriented code needs no new executable page."""
    answer = _prctl(_PR_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN)
    found = _prctl(_PR_GET_MDWE)
    if found > 0 and found & _MDWE_REFUSE_EXEC_GAIN:
        return Check("memory_exec_gain", True, "refused from the start")
    return Check("memory_exec_gain", False, f"{_why(answer)} (needs Linux 6.3); refused by seccomp once sealed")


def _private_files() -> Check:
    """Threat: a file made by accident is readable by others."""
    os.umask(_UMASK)
    found = os.umask(_UMASK)
    return Check("umask", found == _UMASK, f"{found:03o}")


def _close_others(keep_fds: Collection[int]) -> Check:
    """Threat: a descriptor inherited by accident (the database, a listener) outlives the sandbox."""
    kept = sorted({0, 1, 2, *keep_fds})
    way = "close_range"
    for low, high in zip(kept, [*kept[1:], 2**31], strict=True):
        if low + 1 == high:
            continue
        try:
            syscall("close_range", low + 1, high - 1)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            # Linux before 5.9, or a container's filter. Only a hard limit that was lowered hides a descriptor above it.
            way = "one by one"
            os.closerange(low + 1, min(high, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return Check("descriptors", True, f"only {', '.join(map(str, kept))} stay open ({way})")


# --- memory hygiene -------------------------------------------------------------------------------------------------


class _Span(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def memory_hygiene_check() -> Check:
    """Frees copies of a random marker the way secrets get freed, then looks for them in the process's own memory.

    Threat: bytes, str and library buffers leave copies of secrets in freed memory. Measure: the keyholder runs with
    PYTHONMALLOC=malloc, glibc.malloc.perturb and no tcache, which overwrite a block when it is freed, and LD_BIND_NOW,
    which keeps vector registers off the stack; none of these is a stable interface, hence this check. Limit: it says
    nothing of live objects, glibc leaves the last 8 bytes of a small freed block, and of LD_BIND_NOW it sees only that
    it was asked for. Takes about 10 ms.

    Must run before `seal`. It works where /proc/self/mem does not: that is root's in a process that is not dumpable.
    """
    # Shared mappings: the scan reads private ones only, so it finds neither its own window nor the marker's one home.
    with mmap.mmap(-1, mmap.PAGESIZE) as home, mmap.mmap(-1, HYGIENE_WINDOW_BYTES) as window:
        _draw(home)
        _spill(home)
        try:
            traces, scanned = _count_traces(home, window)
        except OSError as error:
            detail = f"memory cannot be examined ({_name(error)}); secrets are wiped by hand only"
            return Check("memory_hygiene", False, detail)
        finally:
            window[:] = bytes(HYGIENE_WINDOW_BYTES)
    if traces == 0 and not os.environ.get("LD_BIND_NOW"):
        return Check("memory_hygiene", False, "LD_BIND_NOW is not set; pieces of secrets can stay on the stack")
    if traces == 0:
        return Check("memory_hygiene", True, f"no trace of a freed marker in {scanned // MIB} MiB")
    return Check("memory_hygiene", False, f"{traces} traces of a freed marker; secrets are wiped by hand only")


def _draw(home: mmap.mmap) -> None:
    """Puts a random ASCII marker at the start of `home` without an object that holds all of it."""
    for index in range(HYGIENE_MARKER_BYTES):
        home[index] = 0x40 | os.urandom(1)[0] & 0x3F


def _spill(home: mmap.mmap) -> None:
    """Makes and frees the copies that ordinary code makes of a secret."""
    for padding in HYGIENE_PADDINGS:
        piece = home[:HYGIENE_MARKER_BYTES]
        text = piece.decode("ascii")
        padded = bytes(padding) + piece + bytes(padding)
        grown = bytearray(padded)
        grown += f"{text}:{padding}".encode()
        del piece, text, padded, grown


def _count_traces(home: mmap.mmap, window: mmap.mmap) -> tuple[int, int]:
    """Returns how often a half of the marker occurs in the private writable memory, and its size in bytes."""
    half = HYGIENE_MARKER_BYTES // 2
    target = ctypes.addressof(ctypes.c_char.from_buffer(window))
    traces = scanned = 0
    with memoryview(home) as view, view[:half] as first, view[half:HYGIENE_MARKER_BYTES] as second:
        for start, end in _private_memory():
            # Windows overlap by one byte less than half a marker: a half across their edge is seen, and seen once.
            for base in range(start, end, HYGIENE_WINDOW_BYTES - half + 1):
                wanted = min(HYGIENE_WINDOW_BYTES, end - base)
                length = _read_own_memory(base, target, wanted)
                if length < wanted:
                    raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
                traces += _occurrences(window, first, length) + _occurrences(window, second, length)
            scanned += end - start
    return traces, scanned


def _occurrences(window: mmap.mmap, needle: memoryview, length: int) -> int:
    count, found = 0, window.find(needle, 0, length)
    while found >= 0:
        count, found = count + 1, window.find(needle, found + 1, length)
    return count


def _private_memory() -> Iterator[tuple[int, int]]:
    """Yields start and end of each readable, writable, private mapping: heaps, stacks and data (proc_pid_maps(5))."""
    for line in Path("/proc/self/maps").read_bytes().splitlines():
        span, permissions = line.split(maxsplit=2)[:2]
        if permissions.startswith(b"rw") and permissions.endswith(b"p"):
            start, end = span.split(b"-")
            yield int(start, 16), int(end, 16)


def _read_own_memory(address: int, target: int, length: int) -> int:
    """Copies memory like memcpy, but fails where memcpy would crash (process_vm_readv(2)).

    Raises:
        OSError: EFAULT, EPERM or ENOSYS.
    """
    local, remote = _Span(target, length), _Span(address, length)
    return syscall("process_vm_readv", os.getpid(), ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)


# --- sealing --------------------------------------------------------------------------------------------------------


def seal() -> list[Check]:
    """Takes files, network, other processes and executable memory away from the process, for good.

    After it, what is open stays usable, threads still work, and everything else fails with EPERM. What is loaded
    lazily must be loaded before: run every primitive once. `SecretMemory` must exist before, too.
    """
    _no_new_privileges()
    return [_thread_exit(), *_landlock(), _seccomp()]


def _thread_exit() -> Check:
    """Glibc loads libgcc_s at the first pthread_exit and aborts if it cannot: the first Argon2id lane would do it."""
    try:
        ctypes.CDLL("libgcc_s.so.1")
    except OSError:
        return Check("thread_exit", False, "no libgcc_s.so.1; with glibc, a lane of Argon2id ends the process")
    return Check("thread_exit", True, "libgcc_s is loaded")


def _landlock() -> list[Check]:
    names = ("landlock_filesystem", "landlock_network", "landlock_scope")
    threads = _threads()
    try:
        ruleset = landlock.restrict()
    except OSError as error:
        return [Check(name, False, f"no Landlock ({_name(error)}); seccomp alone") for name in names]
    if threads != 1:
        detail = f"{threads} threads, and only this one is under it; seccomp alone for the others"
        return [Check(name, False, detail) for name in names]
    return [
        Check(name, refused != 0, f"ABI {ruleset.abi}" + ("" if refused else " does not have it; seccomp alone"))
        for name, refused in zip(names, (ruleset.filesystem, ruleset.network, ruleset.scope), strict=True)
    ]


def _threads() -> int:
    """Returns the kernel's count of threads, for Python does not know those of a library; 0 where /proc is missing."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 0


def _seccomp() -> Check:
    try:
        count = seccomp.load_allowlist()
    except OSError as error:
        return Check("seccomp", False, f"not loaded ({_name(error)}); Landlock and the unit's own filter only")
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EPERM:
            return Check("seccomp", True, f"{count} system calls allowed, for all threads")
    return Check("seccomp", False, "loaded, but does not refuse open; Landlock and the unit's own filter only")
