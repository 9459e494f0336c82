"""Who is calling: what the kernel says of the other end of a unix socket, and the table that carries it to a handler.

The security argument. grpcio tells a handler nothing about its caller except the *name* of the caller's socket, and a
caller chooses that name. snapd parsed such a name and took the uid from it: a client that bound its socket to
`/tmp/x;uid=0;` became root (dirty_sock, CVE-2019-7304). Here no byte that a caller chose is ever read:

1. The gate asks the kernel (SO_PEERCRED) on the connection that it accepted itself. The kernel recorded uid, gid and
   pid when the caller called connect(); the caller cannot change them afterwards.
2. The gate opens its own connection to gRPC, bound to a name of 128 random bits, and files the caller under that name
   in a `PeerTable`. A handler looks the name up as one opaque string. It is not split, matched or decoded; a name that
   is not in the table is nobody.
3. Abstract names are visible in /proc/net/unix and anybody may bind a look-alike. That gains nothing: a name counts
   only on a connection to the inner socket, and its directory (0700) admits nobody but the daemon's own uid and root.
   Both get no identity there either, because the kernel lets no second socket have a name that is in use, and the
   entry goes before the name becomes free.

The systemd unit needs more, because it is read from /proc by *number*, and a number can be reused:

4. SO_PEERPIDFD (Linux 6.5) is a handle on the very process that called connect(), not on whoever has its number now.
   Closes the race between connect() and accept().
5. The handle must be alive *after* /proc/PID/cgroup was read. A number is not reused while its process lives, so what
   was read belongs to that process. Closes the race between accept() and the reading.
6. On an older kernel, pidfd_open() takes whoever has the number now. It is the caller exactly if it was started before
   the caller connected, and the gate knows a time at which nobody had connected yet (`connected_after`): its accept
   queue was empty. Closes the race of 4, at the price that a process gets no unit in the first moments of its life.

What cannot be shown is not claimed: the unit is then empty, and a client bound to a unit is refused.

Limits: uid and unit are those of the process that connected; if it hands the open connection to another process, that
one speaks in its name, in its unit's for as long as it lives (`Peer.unit_now`, at each request). The pid is for people to read and decides nothing. Root is everybody.
"""

import errno
import functools
import os
import re
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vaultd import limits
from vaultd.model import Check

SO_PEERPIDFD: Final = 77
"""include/uapi/asm-generic/socket.h; Python has no name for it."""

_UCRED: Final = struct.Struct("=iII")
"""struct ucred: pid, uid, gid."""
_NO_UID: Final = 0xFFFF_FFFF
"""What SO_PEERCRED says where there is no peer."""
_WHOLE_UID_MAP: Final = ["0", "0", "4294967295"]
"""user_namespaces(7): every uid is itself."""
_SERVICE: Final = re.compile(rb"[A-Za-z0-9:_.\\@-]+\.service")
"""systemd.unit(5): the characters of a unit name."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What the kernel says of a caller: effective uid and gid and the pid at connect().

    `pid` is 0 for a process that our pid namespace cannot see. `unit` is its systemd system service, empty where there
    is none or where it could not be shown. `started_ms` is when the process began, by the wall clock of now, 0 where it
    could not be shown. `handle` is a pidfd, kept where there is a unit; `close` it.
    """

    uid: int
    gid: int
    pid: int
    unit: str
    started_ms: int = field(default=0, compare=False, repr=False)
    handle: int = field(default=-1, compare=False, repr=False)

    def unit_now(self) -> str:
        """Returns the unit, if the process that connected is still alive and still in it; empty otherwise.

        Threat: a bot's unit is stopped, and a connection of its lives on in a process that inherited it or was handed
        it; or a process is moved to another unit. Measure: asked at each request, not only at connect(). Limit: while
        the process that connected lives, whom it has handed the connection speaks in its name.
        """
        if not self.unit:
            return ""
        found = unit_of_cgroup(read_proc(self.pid, "cgroup"))
        return found if found == self.unit and _alive(self.handle) else ""

    def close(self) -> None:
        """Gives the handle back. Once."""
        if self.handle >= 0:
            os.close(self.handle)


class PeerTable:
    """The callers that are connected now, each under the name of the gate's own connection to gRPC."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, name: str, peer: Peer) -> None:
        """Files `peer` under the abstract socket name `name` (without its leading NUL), before that socket connects.

        Raises:
            ValueError: The name is taken.
        """
        if self._peers.setdefault(_as_grpc_says(name), peer) is not peer:
            raise ValueError("the name is taken")

    def remove(self, name: str) -> None:
        """Forgets `name`, before its socket is closed; does nothing where it is not there."""
        self._peers.pop(_as_grpc_says(name), None)

    def lookup(self, context_peer: str) -> Peer | None:
        """Returns the caller behind `context.peer()`, None for nobody. An exact look-up: never parse that string."""
        return self._peers.get(context_peer)


def credentials_of(sock: socket.socket) -> tuple[int, int, int]:
    """Returns (uid, gid, pid) of the process that connected `sock`, an accepted unix socket.

    Raises:
        OSError: The kernel does not know, or the uid could be any of several people's (PermissionError).
    """
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    # Threat: in a user namespace every uid that it does not map reads as the overflow uid, so strangers look like one
    # "nobody", who may be allowlisted. Measure: there, that uid is no identity. Limit: none in the initial namespace.
    if uid in (_NO_UID, _ambiguous_uid()):
        raise PermissionError(errno.EPERM, "the kernel cannot name the peer")
    return uid, gid, pid


def peer_of(sock: socket.socket, *, connected_after: float = 0.0) -> Peer:
    """Returns who connected `sock`, an accepted unix socket.

    Args:
        sock: The accepted side of the connection.
        connected_after: A time (CLOCK_BOOTTIME, seconds) at which the peer had not connected yet. Only needed where
            SO_PEERPIDFD is missing (point 6 above); there, with the default, `unit` stays empty.

    Raises:
        OSError: The peer cannot be identified, or descriptors or memory ran out. Close the connection.
    """
    uid, gid, pid = credentials_of(sock)
    return Peer(uid, gid, pid, *_process_of(sock, pid, connected_after))


def own_peer() -> Peer:
    """Returns what the kernel says of this process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
        peer.close()
        return peer


def pidfd_check() -> Check:
    """Says whether this kernel has SO_PEERPIDFD (point 4 above) or the older way (point 6) is in force."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handle = _peer_pidfd(ours)
    if handle is None:
        detail = "Linux before 6.5: a unit is shown by start time, and not in the first moments of a process"
        return Check("peer_pidfd", ok=False, detail=detail)
    os.close(handle)
    return Check("peer_pidfd", ok=True, detail="a unit is read from the very process that connected")


def unit_of_cgroup(text: bytes) -> str:
    """Returns the systemd system service that /proc/PID/cgroup names, empty where there is none.

    Only the unified hierarchy counts (`0::`, cgroups(7)), and only the first component below system.slice and the
    slices in it: what follows a service is a sub-cgroup that the service may have made and named itself, so that
    `attacker.service/bot.service` is the attacker. Below user.slice, users name their own services. The name stays
    escaped as systemd writes it, except for the underscore that keeps `cpu.service` apart from the file of a
    controller.
    """
    for line in text.split(b"\n"):
        if not line.startswith(b"0::/"):
            continue
        root, *below = line.removeprefix(b"0::/").split(b"/")
        if root != b"system.slice":
            return ""
        first = next((part for part in below if not part.endswith(b".slice")), b"")
        return first.removeprefix(b"_").decode("ascii") if _SERVICE.fullmatch(first) else ""
    return ""


def _as_grpc_says(name: str) -> str:
    # grpcio 1.85: context.peer() of a client bound to an abstract name. The gate's self-test holds it to this.
    return f"unix-abstract:{name}"


def _process_of(sock: socket.socket, pid: int, connected_after: float) -> tuple[str, int, int]:
    """Returns unit, start and handle of the peer's process; the handle is the caller's to close, -1 without a unit."""
    if pid <= 0:
        return "", 0, -1
    try:
        handle = _peer_pidfd(sock)
        exact = handle is not None
        if handle is None:
            handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return "", 0, -1
    keep = False
    try:
        ticks = _start_ticks(pid)
        shown = exact or _started_before(pid, connected_after)
        unit = unit_of_cgroup(read_proc(pid, "cgroup")) if shown else ""
        if not shown or ticks is None or not _alive(handle):
            return "", 0, -1
        keep = bool(unit)
        return unit, _wall_ms(ticks), handle if keep else -1
    finally:
        if not keep:
            os.close(handle)


def _peer_pidfd(sock: socket.socket) -> int | None:
    """Returns a handle on the peer, None where the kernel has no SO_PEERPIDFD; ProcessLookupError where it is gone."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
            return None
        if error.errno in (errno.EINVAL, errno.ENODATA):  # what Linux says, by version, of a process already reaped
            raise ProcessLookupError(errno.ESRCH, "the peer is gone") from error
        raise


def _start_ticks(pid: int) -> int | None:
    """Returns when a process began, in clock ticks since boot, rounded down; None where it cannot be read."""
    # proc_pid_stat(5): the name in field 2 may hold anything, so fields are counted after its last parenthesis; the
    # start is field 22.
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else None


def _started_before(pid: int, moment: float) -> bool:
    ticks = _start_ticks(pid)
    return ticks is not None and (ticks + 1) / _ticks_per_second() <= moment


def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")


def _wall_ms(ticks: int) -> int:
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return round((booted + ticks / _ticks_per_second()) * 100) * 10


def read_proc(pid: int, name: str) -> bytes:
    """Returns /proc/PID/name, empty where the process is gone or hidden from us."""
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(file, limits.PROC_FILE_BYTES)
        finally:
            os.close(file)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _alive(pidfd: int) -> bool:
    # pidfd_open(2): readable once the process has ended. Unlike signal 0 it needs no right over the process.
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


@functools.cache
def _ambiguous_uid() -> int:
    if Path("/proc/self/uid_map").read_text("ascii").split() == _WHOLE_UID_MAP:
        return _NO_UID
    return int(Path("/proc/sys/kernel/overflowuid").read_text("ascii"))
