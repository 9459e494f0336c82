"""Starting the keyholder: a fresh interpreter, an environment made from nothing, two descriptors.

posix_spawn, not fork: nothing of this process runs in the child, so it may be done again after gRPC has started its
threads, when a lock or a crash calls for a new keyholder. It must be called on the main thread: the kernel ends the
child when the thread that made it ends (PR_SET_PDEATHSIG).
"""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

_ENVIRONMENT = {
    # Freed memory is overwritten: CPython's own allocator would keep it, glibc's thread cache would skip the fill. -I and
    # -E would make Python ignore the first of these, hence -s -P.
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.perturb=170:glibc.malloc.tcache_count=0",
    # Lazy binding saves vector registers, and with them pieces of secrets, on the stack.
    "LD_BIND_NOW": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LANG": "C.UTF-8",
}


@dataclass(frozen=True, slots=True)
class Process:
    """A started keyholder: its pid, a descriptor of the process, and our end of the link."""

    pid: int
    pidfd: int
    link: socket.socket

    def kill(self) -> None:
        """Kills and reaps it; returns when it is gone and its memory with it. Safe to call twice."""
        if self.link.fileno() < 0:
            return  # Reaped already, and the number of the pidfd may be another descriptor's by now.
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass  # Died by itself.
        self.reap()

    def reap(self) -> None:
        """Waits for its end and closes what belongs to it."""
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        self.link.close()


def spawn(unlock_listener: socket.socket) -> Process:
    """Starts a keyholder that reads passphrases from the given bound socket. OSError where no process can be made."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    # Duplicates above every descriptor in use: the numbers stay theirs in the child, and are inherited by dup2 alone.
    with theirs:
        link_fd, unlock_fd = 3, 4
        moved = [os.dup(theirs.fileno()), os.dup(unlock_listener.fileno())]
        while min(moved) <= unlock_fd:
            moved.append(os.dup(moved[0]))
            moved.append(os.dup(moved[1]))
            os.close(moved.pop(0))
            os.close(moved.pop(0))
        arguments = [sys.executable, "-s", "-S", "-P", "-m", "vaultd.keyholder", str(os.getpid()), "3", "4"]
        try:
            pid = os.posix_spawn(
                sys.executable,
                arguments,
                _environment(),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, moved[0], link_fd),
                    (os.POSIX_SPAWN_DUP2, moved[1], unlock_fd),
                ],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
                # Ctrl-C in a terminal is for the server, which then ends the keyholder.
                setsigmask=[signal.SIGINT],
            )
        finally:
            for descriptor in moved:
                os.close(descriptor)
    return Process(pid, os.pidfd_open(pid), ours)


def _environment() -> dict[str, str]:
    # -S: no .pth file of the installation runs code in the keyholder. So it is told where packages are. The working
    # directory, which `python -m` puts first, is not one of them unless the checkout is there.
    root, here = str(Path(__file__).parents[2]), str(Path.cwd())
    paths = [path for path in sys.path if path and not path.endswith(".zip") and (path != here or path == root)]
    return {**_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
