"""Starting the keyholder, or reaching one that is a unit of its own.

Started: a fresh interpreter, an environment made from nothing, two descriptors. posix_spawn, not fork: nothing of this process runs in the child, so it may be done again after gRPC has started its
threads, when a lock or a crash calls for a new keyholder. It must be called on the main thread: the kernel ends the
child when the thread that made it ends (PR_SET_PDEATHSIG).
"""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from vaultd.errors import KeyholderUnavailableError
from vaultd.keyholder.peercred import peer_facts

_PYTHON = ("-s", "-S", "-P", "-m", "vaultd.keyholder")
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


class Held(Protocol):
    """A keyholder as the server has it: a link, and how to be rid of it."""

    @property
    def link(self) -> socket.socket:
        """Our end of the link."""

    def kill(self) -> None:
        """Is done with it. Safe to call twice."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A keyholder of its own unit, reached at its socket: it outlives us, and we it."""

    link: socket.socket

    def kill(self) -> None:
        """Closes the link, no more: its keys are not ours to end."""
        self.link.close()


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
        arguments = [sys.executable, *_PYTHON, "child", str(os.getpid()), str(link_fd), str(unlock_fd)]
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


def become(server_uid: int, link: socket.socket, unlock_listener: socket.socket) -> NoReturn:
    """Makes this process the keyholder of its own unit, which serves `server_uid` at the listening socket `link`.

    Through exec: what was imported to get here is no part of it, and the environment is the one made for it.
    """
    for each in (link, unlock_listener):
        os.set_inheritable(each.fileno(), True)
    descriptors = (str(link.fileno()), str(unlock_listener.fileno()))
    notify = {name: os.environ[name] for name in ("NOTIFY_SOCKET",) if name in os.environ}
    os.execve(  # noqa: S606  our own interpreter, no words of anybody else
        sys.executable,
        [sys.executable, *_PYTHON, "unit", str(server_uid), *descriptors],
        {**_environment(), **notify},
    )


def connect(path: Path, uid: int) -> Unit:
    """Connects to the keyholder of a unit of its own.

    Threat: another process listens there and makes up answers. Measure: the kernel says who called listen(): the
    keyholder's user or, before it has started, root, whose systemd holds the socket. Limit: what those two do.

    Raises:
        KeyholderUnavailableError: Nobody listens there, or somebody else; the message says which.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The queue is full where a server before us is still there; a blocking connect would wait for its end.
    link.setblocking(False)
    try:
        link.connect(os.fspath(path))
        listener = peer_facts(link).uid
    except OSError as error:
        link.close()
        text = f"{path}: {os.strerror(error.errno or 0)}; systemctl status vaultd-keyholder"
        raise KeyholderUnavailableError(text) from None
    if listener not in (0, uid):
        link.close()
        raise KeyholderUnavailableError(f"uid {listener} listens at {path}, who is not the keyholder")
    return Unit(link)


def _environment() -> dict[str, str]:
    # -S: no .pth file of the installation runs code in the keyholder. So it is told where packages are. The working
    # directory, which `python -m` puts first, is not one of them unless the checkout is there.
    root, here = str(Path(__file__).parents[2]), str(Path.cwd())
    paths = [path for path in sys.path if path and not path.endswith(".zip") and (path != here or path == root)]
    return {**_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
