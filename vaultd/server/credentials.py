"""credentials.sock: systemd asks for the credentials of a unit that it starts (LoadCredential= of systemd.exec(5)).

systemd connects, says nothing, and reads to the end; who asks for what is the name that it has bound its socket to.
While the vault is locked the connection is held, so that the unit starts once somebody has unlocked it. Then it is
handed to the keyholder, which asks the kernel for itself, decides and writes (keyholder/units.py): no plaintext comes
here. The journal says why one is refused, by unit.

Threat: systemd's protocol has no word for a refusal. An end without data is an empty file, on which a bot starts; and as
systemd asks once for each Exec line (252), a guard in ExecStartPre= may have seen another file than ExecStart= gets.
Measure: who is refused is sent more than systemd takes, which fails the start (243/CREDENTIALS). Limit: a server that
stops while a unit waits closes without a word; for that the guard stays.

Here too it is looked whether a unit that was given a client key still runs. Its control group is made when it starts and
removed when it stops, and the next one has another inode number (cgroups(7)).
"""

import asyncio
import logging
import re
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vaultd import limits
from vaultd.errors import (
    PermissionDeniedError,
    VaultError,
    VaultLockedError,
    VaultUninitializedError,
)
from vaultd.model import VaultState
from vaultd.server import journal
from vaultd.server.custody import Custody
from vaultd.server.peer import Peer, peer_of, read_proc, unit_of_cgroup

log = logging.getLogger(__name__)
_NAME: Final = re.compile(rb"\0[0-9a-f]{1,16}/unit/([A-Za-z0-9:_.\\@-]+)/([^/\0]+)")
_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """A connection, who is at its end, and what it is for. `cgroup` is the unit's for this run, empty where it is unseen."""

    connection: socket.socket
    peer: Peer
    unit: str
    credential: str
    cgroup: str


class Credentials:
    """Accepts, holds, hands over. All methods run in the event loop.

    Args:
        listener: The listening socket, which this closes; None where systemd asks for nothing here.
        custody: Where the keyholder is.
        wait_seconds: How long a unit may wait for an unlock.
    """

    def __init__(self, listener: socket.socket | None, custody: Custody, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds
        self._listener = listener
        self._custody = custody
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._accepting = False
        # systemd shuts its writing side at once, which is the same to asyncio as hanging up. Registered for no event at
        # all, a descriptor is reported once both sides are shut (EPOLLHUP, epoll_ctl(2)).
        self._hangups = select.epoll()
        self._gone: dict[int, asyncio.Event] = {}

    def start(self) -> None:
        """Begins to accept."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._hangups.fileno(), self._hung_up)
        self._watching = loop.create_task(self._watch())
        if self._listener is not None:
            self._listener.setblocking(False)
            self._listener.listen(limits.LISTEN_BACKLOG)
            self._accept_more()

    def changed(self) -> None:
        """The state of the vault has changed: those who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Closes everything; to who waits that is an empty file."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._hangups.fileno())
        if self._listener is not None:
            loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for task in (*self._tasks, self._watching):
            if task is not None:
                task.cancel()

    # --- connections ------------------------------------------------------------------------------------------

    def _accept_more(self) -> None:
        wanted = len(self._tasks) < limits.CREDENTIAL_CONNECTIONS
        if self._listener is not None and wanted != self._accepting:
            self._accepting = wanted
            loop = asyncio.get_running_loop()
            if wanted:
                loop.add_reader(self._listener.fileno(), self._accept)
            else:
                loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, name = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptor, no memory: who waits goes on waiting, and the loop must not turn on its readiness meanwhile.
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener.fileno())
            loop.call_later(limits.ACCEPT_PAUSE_SECONDS, self._accept_more)
            self._accepting = False
            return
        task = asyncio.get_running_loop().create_task(self._serve(connection, name))
        self._tasks.add(task)
        task.add_done_callback(self._served)
        self._accept_more()

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a credential failed: %s", type(task.exception()).__name__)
        self._accept_more()

    async def _serve(self, connection: socket.socket, name: bytes | str) -> None:
        with connection:
            asked = _who(connection, name)
            if asked is None:
                return
            try:
                if asked.peer.unit != asked.unit:
                    raise PermissionDeniedError(f"the process that asks is not in {asked.unit}")
                await self._hand_over(asked)
            except VaultError as error:
                refused(asked.unit, asked.credential, error)
                await _fail(connection)

    async def _hand_over(self, asked: _Asked) -> None:
        deadline = time.monotonic() + self.wait_seconds
        while True:
            changed = self._changed
            if self._custody.view.state == VaultState.UNLOCKED:
                # Locked while it was on its way: it waits on.
                with suppress(VaultLockedError, VaultUninitializedError):
                    await self._custody.pass_on(asked.connection, asked.peer, asked.cgroup)
                    return
            if not await self._wait(asked.connection, changed, deadline):
                return  # It has hung up; nobody is left to refuse.

    async def _wait(self, connection: socket.socket, changed: asyncio.Event, deadline: float) -> bool:
        """Returns when the state has changed; False when the peer has hung up; VaultLockedError past the deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise VaultLockedError(f"the vault was not unlocked within {self.wait_seconds:g} s")
        gone = self._gone[connection.fileno()] = asyncio.Event()
        self._hangups.register(connection.fileno(), 0)
        waiting = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(gone.wait())]
        try:
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            if self._gone.pop(connection.fileno(), None) is not None:
                self._hangups.unregister(connection.fileno())
        return not gone.is_set()

    def _hung_up(self) -> None:
        for descriptor, _ in self._hangups.poll(0):
            self._hangups.unregister(descriptor)
            self._gone.pop(descriptor).set()

    # --- units that were given a key --------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(limits.UNIT_WATCH_SECONDS)
            for unit, cgroup in list(self._custody.units.items()):
                if not _still(cgroup):
                    with suppress(VaultError):  # Its keys are gone with it, or it is told again.
                        await self._custody.unit_ended(unit)


def refused(unit: str, credential: str, error: VaultError) -> None:
    """Says in the journal why a unit gets nothing."""
    message = f"{unit} gets no credential {credential}: {error.message}; vaultctl unit check {unit}"
    journal.send(message, UNIT=unit, CREDENTIAL=credential, VAULTD_REASON=error.reason, VAULTD_TEXT=error.message)


async def _fail(connection: socket.socket) -> None:
    """Sends more than systemd takes; it hangs up when it has seen that."""
    sending = asyncio.get_running_loop().sock_sendall(connection, bytes(limits.MAX_CREDENTIAL_FILE_BYTES + 1))
    with suppress(OSError):  # A timeout is one too.
        await asyncio.wait_for(sending, limits.CREDENTIAL_WRITE_SECONDS)


def _who(connection: socket.socket, name: bytes | str) -> _Asked | None:
    """Returns what a connection asks for; None for one that is not systemd's, of which nothing more is said to it."""
    try:
        peer = peer_of(connection)
    except OSError:
        return None
    peer.close()
    found = _NAME.fullmatch(name) if isinstance(name, bytes) else None
    if peer.uid != _ROOT or found is None:
        log.warning("refused uid %d, pid %d at credentials.sock: not root with the name of a unit", peer.uid, peer.pid)
        return None
    connection.setblocking(False)
    unit, credential = found[1].decode("ascii"), found[2].decode("utf-8", "backslashreplace")
    text = read_proc(peer.pid, "cgroup") if peer.pid else b""
    # Where it cannot be read, for the process is in a namespace that we do not see, root and the name are what there is.
    seen = unit_of_cgroup(text) if text else unit
    cgroup = _cgroup(text) if seen else ""
    return _Asked(connection, Peer(peer.uid, peer.gid, peer.pid, seen, peer.started_ms), unit, credential, cgroup)


def _cgroup(text: bytes) -> str:
    """Returns inode number and path of the control group of the service that /proc/PID/cgroup names; empty if unseen."""
    path = next((line[3:] for line in text.split(b"\n") if line.startswith(b"0::/")), b"").decode("utf-8", "surrogateescape")
    parts = path.split("/")
    at = next((at for at, part in enumerate(parts) if part and not part.endswith(".slice")), 0)
    service = "/".join(parts[: at + 1])
    inode = _inode(service)
    return f"{inode} {service}" if at and inode else ""


def _still(cgroup: str) -> bool:
    inode, _, path = cgroup.partition(" ")
    return _inode(path) == int(inode)


def _inode(path: str) -> int:
    """Returns the inode number of a control group, 0 where it is not there."""
    try:
        return Path(f"{_mounted()}{path}").stat().st_ino
    except OSError:
        return 0


def _mounted() -> str:
    lines = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8", "surrogateescape").splitlines()]
    return next((line[1] for line in lines if line[2] == "cgroup2"), "/sys/fs/cgroup")
