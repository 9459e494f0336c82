"""Hardening of the server. It holds no secret; a compromised one should still not be readable, nor leave a core."""

import ctypes
import resource

from vaultd import limits

_PR_SET_DUMPABLE = 4


def harden_server() -> None:
    """Makes the process unreadable to its own user, keeps it from leaving a core file, takes the descriptors it needs."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(limits.DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # The usual soft limit of 1024 is for programs that use select(2); it would cap the gate at 300 connections.
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
