"""The kernel's features, the clock, and the disk under the store."""

import ctypes
import os
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from vaultd_client.doctor.finding import Finding, error, ok, warning
from vaultd_client.doctor.places import Places
from vaultd_client.files import MEMORY, file_system

_MIB = 1024 * 1024
FREE_ERROR_BYTES = 64 * _MIB
"""A change is some KiB, its write-ahead log 4 MiB: below this the vault soon refuses, first of all to reveal."""
FREE_WARNING_BYTES = 512 * _MIB
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "afs", "fuse.sshfs", "fuse.s3fs"}
_MEMFD_SECRET, _LANDLOCK_CREATE_RULESET = 447, 444
"""System calls from 424 on have one number on every architecture (asm-generic/unistd.h)."""
_SO_PEERPIDFD = 77
_STA_UNSYNC, _TIMEX_STATUS, _TIMEX_BYTES = 0x40, 40, 256
"""adjtimex(2); the offset of `status` in struct timex where long has 8 bytes."""


def kernel(places: Places) -> Iterator[Finding]:
    """What the sandbox and the identity of callers are made of."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(_MEMFD_SECRET, 0)
    if descriptor >= 0:
        os.close(descriptor)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    first, second = socket.socketpair(socket.AF_UNIX)
    with first, second:
        try:
            os.close(first.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD))
            pidfd = True
        except OSError:
            pidfd = False
    seccomp = (places.proc / "sys/kernel/seccomp/actions_avail").exists()
    features = (
        ("memfd_secret", descriptor >= 0, "keys may be read by root's debuggers and swapped",
         "boot with secretmem.enable=1 on the kernel's command line (Linux 5.14 or later)"),
        ("Landlock", version > 0, "the keyholder has seccomp alone between it and the files",
         "boot with lsm=landlock,... on the kernel's command line (Linux 5.13 or later)"),
        ("seccomp", seccomp, "the keyholder cannot close its sandbox", "a kernel with CONFIG_SECCOMP_FILTER"),
        ("SO_PEERPIDFD", pidfd, "a caller's unit is found by pid, checked twice", "Linux 6.5 or later"),
    )  # fmt: skip
    missing = [each for each in features if not each[1]]
    for name, _, reason, fix in missing:
        yield warning("kernel", f"{name} is missing: {reason}", fix)
    if not missing:
        yield ok("kernel", "memfd_secret, Landlock, seccomp and SO_PEERPIDFD are there")


def clock(places: Places) -> Iterator[Finding]:  # noqa: ARG001  one shape for the table
    """The clock is right: end times of grants, and the time stamps that exchanges check, are by it."""
    installed = Path(__file__).stat().st_mtime
    now = time.time()
    if now < installed:
        yield error("clock", f"it says {_text(now)}, which is before vaultctl was installed", "sudo timedatectl set-ntp true")
        return
    boot = now - time.clock_gettime(time.CLOCK_BOOTTIME)
    if boot < 0:
        yield error("clock", f"it says {_text(now)}, and the host runs for longer than that", "sudo timedatectl set-ntp true")
        return
    if unsynchronised():
        reason = "nothing keeps it right (the kernel calls it unsynchronised): exchanges refuse requests by some seconds"
        yield warning("clock", reason, "sudo timedatectl set-ntp true, or install chrony")
    else:
        yield ok("clock", f"synchronised; {_text(now)}, up since {_text(boot)}")


def unsynchronised() -> bool:
    """Says whether the kernel knows of nothing that keeps the clock right (adjtimex(2), STA_UNSYNC)."""
    state = ctypes.create_string_buffer(_TIMEX_BYTES)
    told = ctypes.CDLL(None).adjtimex(state)
    return told < 0 or bool(int.from_bytes(state.raw[_TIMEX_STATUS : _TIMEX_STATUS + 4], sys.byteorder) & _STA_UNSYNC)


def disk(places: Places) -> Iterator[Finding]:
    """There is room for the store, on a file system that keeps it."""
    path = next((each for each in (places.data, *places.data.parents) if each.exists()), Path("/"))
    facts = os.statvfs(path)
    free = facts.f_bavail * facts.f_frsize
    text = f"{free // _MIB} MiB free at {path}"
    if free < FREE_ERROR_BYTES:
        yield error("disk", f"{text}: the vault soon refuses to reveal, for want of room for the audit", "make room")
    elif facts.f_files and not facts.f_favail:
        yield error("disk", f"no inode is free at {path}", "make room: remove small files")
    elif free < FREE_WARNING_BYTES:
        yield warning("disk", text, "make room, or move the vault: data_dir in vaultd.toml")
    else:
        yield ok("disk", text)
    kind = file_system(path, (places.proc / "self/mountinfo").read_bytes())
    if kind in _NETWORK:
        reason = f"{path} is on {kind}: SQLite's locks and syncs do not hold over a network"
        yield error("file system", reason, "move the vault to a local disk: data_dir in vaultd.toml")
    elif kind in MEMORY:
        reason = f"{path} is on {kind}: the vault is gone after a reboot"
        yield error("file system", reason, "move the vault to a disk: data_dir in vaultd.toml")
    elif kind == "overlay":
        reason = f"{path} is on the overlay of a container, and goes when the container does"
        yield warning("file system", reason, "mount a volume there")
    else:
        yield ok("file system", f"{kind or 'unknown'} at {path}")


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
