"""A process whose memory no other one of the same user may read."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # <linux/prctl.h>


def forbid_dumps() -> None:
    """Makes the process undumpable: no core, and no ptrace or `/proc/PID/mem` for the same uid. prctl(2).

    Raises:
        OSError: The kernel refused.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
