"""Hardening of the server. It holds no secret; a compromised one should still not be readable, nor leave a core."""

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def harden_server() -> None:
    """Makes the process unreadable to its own user, and keeps it from leaving a core file."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
