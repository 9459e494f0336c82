"""The gate: accepts on the public socket, asks the kernel who called, and forwards the bytes to gRPC's own socket.

Why the caller is known, and why a caller cannot pretend, is argued in `peer`. This module keeps the promise that makes
the argument hold: a name is in the table exactly as long as the gate's connection of that name may be open, and a
caller whom the kernel cannot identify is closed.

It also stands between gRPC and whoever can reach the socket, which is everybody on the host:

* Threat: one uid takes all descriptors. Measure: a cap per uid and one in total, and the latter within what
  RLIMIT_NOFILE allows; what is above is closed at once. Limit: four uids that work together can fill the total.
* Threat: connections that say nothing. Measure: gRPC hears of a caller only once it has said something, and one that
  stays silent is dropped. Limit: one that said something and then falls silent is for gRPC's idle limit; when gRPC
  closes, so does the gate.
* Threat: a caller that does not read. Measure: each direction holds one read at most and then stops reading the other
  side; a direction in which nothing moves any more is closed.

Callbacks on descriptors replace asyncio's transports: less work per read, no buffer per connection, visible pressure.
"""

import asyncio
import errno
import logging
import os
import resource
import secrets
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc

from vaultd import limits
from vaultd.model import Check
from vaultd.server.peer import Peer, PeerTable, credentials_of, own_peer, peer_of, pidfd_check
from vaultd.server.sockets import private_directory

log = logging.getLogger(__name__)
_Callback = Callable[[], None]


class Gate:
    """Admits callers and keeps `table` true to who is connected. All methods run in the event loop of `start`.

    Args:
        listener: The public socket, bound or listening. The gate closes it.
        inner_path: Where gRPC listens; its directory must be ours alone (0700).
        table: Filled by the gate; a handler finds its caller with `table.lookup(context.peer())`.
        per_uid: Connections that one uid may have open.
        total: Connections open at once; `start` lowers it to what RLIMIT_NOFILE allows.

    Attributes:
        refused: Connections closed at once, above a cap or not identified, since the start.
        silent: Connections dropped because they said nothing, since the start.
        unreached: Connections dropped because gRPC did not accept ours, since the start.
        total: The cap in force.
    """

    def __init__(
        self,
        listener: socket.socket,
        inner_path: Path,
        table: PeerTable,
        *,
        per_uid: int = limits.CONNECTIONS_PER_UID,
        total: int = limits.CONNECTIONS_TOTAL,
    ) -> None:
        self.refused = 0
        self.silent = 0
        self.unreached = 0
        self.total = total
        self._listener = listener
        self._inner_path = inner_path
        self._table = table
        self._per_uid = per_uid
        self._connections: set[_Connection] = set()
        self._by_uid: Counter[int] = Counter()
        self._nobody_at = 0.0
        self._spare: int | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._started = False
        self._warned = False
        self._loop: asyncio.AbstractEventLoop
        self._inside: _Inside

    @property
    def open_connections(self) -> int:
        """Callers connected now."""
        return len(self._connections)

    async def start(self) -> None:
        """Starts to listen and to accept.

        Raises:
            ConfigInvalidError: The directory of the inner socket is not ours alone.
            OSError: The socket cannot listen.
        """
        private_directory(self._inner_path.parent)
        self._loop = asyncio.get_running_loop()
        buffer = memoryview(bytearray(limits.SOCKET_BUFFER_BYTES))
        self._inside = _Inside(self._loop, self._table, str(self._inner_path), buffer)
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        affordable = max(1, (descriptors - limits.DESCRIPTORS_KEPT) // limits.DESCRIPTORS_PER_CONNECTION)
        if descriptors != resource.RLIM_INFINITY and affordable < self.total:
            log.warning("RLIMIT_NOFILE allows %d connections instead of %d", affordable, self.total)
            self.total = affordable
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._listener.setblocking(False)
        # Also where systemd listens already: it makes SO_PEERCRED of a connected client name us instead of PID 1.
        self._listener.listen(limits.LISTEN_BACKLOG)
        self._started = True
        self._resume()
        if not pidfd_check().ok:
            self._tick()

    async def stop(self) -> None:
        """Stops to accept and closes every connection. Stop the gRPC server first, so that calls can end."""
        if self._started:
            self._started = False
            self._loop.remove_reader(self._listener)
            for timer in self._timers.values():
                timer.cancel()
        self._listener.close()
        for connection in list(self._connections):
            connection.close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    async def self_test(self, probe: AbstractAsyncContextManager[str]) -> Check:
        """Proves that gRPC names connections as the table does, by a call from this process to itself.

        Until it has passed, no caller has an identity that can be relied on: refuse all but open requests.

        Args:
            probe: Entering it makes one call through the public socket and returns what `context.peer()` was in the
                handler; the connection stays open until it is left.
        """
        try:
            async with asyncio.timeout(limits.SELF_TEST_SECONDS), probe as context_peer:
                found = self._table.lookup(context_peer)
        except (TimeoutError, OSError, grpc.RpcError) as error:
            detail = f"the call of the self-test failed ({type(error).__name__}); signed requests are refused"
            return Check("peer_identity", ok=False, detail=detail)
        if found != own_peer():
            detail = "gRPC does not name the connection of a call as expected; signed requests are refused"
            return Check("peer_identity", ok=False, detail=detail)
        return Check("peer_identity", ok=True, detail="a call to ourselves was traced to its connection")

    def _accept(self) -> None:
        for _ in range(limits.ACCEPT_BATCH):
            before = time.clock_gettime(time.CLOCK_BOOTTIME)
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                self._nobody_at = before
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._turn_away():
                    self._pause(error)
                    return
                continue
            self._admit(client)

    def _admit(self, client: socket.socket) -> None:
        try:
            if len(self._connections) >= self.total:
                raise ConnectionRefusedError("too many connections")
            uid = credentials_of(client)[0]
            if self._by_uid[uid] >= self._per_uid:
                raise ConnectionRefusedError("too many connections of this uid")
            peer = peer_of(client, connected_after=self._nobody_at)
        except OSError as error:
            log.debug("refused: %s", error.strerror or error)
            self.refused += 1
            client.close()
            return
        self._warned = False
        self._by_uid[uid] += 1
        self._connections.add(_Connection(self, self._inside, client, peer))

    def forget(self, connection: "_Connection") -> None:
        """A connection was closed; it calls this itself."""
        self._connections.discard(connection)
        self._by_uid -= Counter((connection.peer.uid,))  # drops the uid at zero, so that no uid stays for ever

    def _turn_away(self) -> bool:
        """Out of descriptors: closes one waiting connection with the help of the spare one, or else the loop would spin."""
        if self._spare is None:
            return False
        os.close(self._spare)
        self._spare = None
        try:
            self._listener.accept()[0].close()
            self.refused += 1
        except OSError as error:  # the one that waited has left, or another thread took the descriptor
            return isinstance(error, BlockingIOError) and self._take_spare()
        return self._take_spare()

    def _take_spare(self) -> bool:
        if self._spare is None:
            with suppress(OSError):  # another thread was faster: the answer is False, and the caller pauses
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return self._spare is not None

    def _pause(self, error: OSError) -> None:
        if not self._warned:
            log.warning("cannot accept for a moment: %s", error.strerror)
            self._warned = True
        self._loop.remove_reader(self._listener)
        self._timers["pause"] = self._loop.call_later(limits.ACCEPT_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._take_spare()
        self._timers.pop("pause", None)
        self._loop.add_reader(self._listener, self._accept)
        self._accept()

    def _tick(self) -> None:
        """Keeps `_nobody_at` fresh on a kernel that needs it (point 6 in `peer`)."""
        if "pause" not in self._timers:
            self._accept()
        self._timers["tick"] = self._loop.call_later(limits.ACCEPT_TICK_SECONDS, self._tick)


@dataclass(frozen=True, slots=True)
class _Inside:
    """What all connections of a gate share. `buffer` carries one read to one write, within one callback."""

    loop: asyncio.AbstractEventLoop
    table: PeerTable
    path: str
    buffer: memoryview


class _Connection:
    """One caller: its socket, the gate's own to gRPC, and a flow each way.

    The second is made when the caller first speaks; its name is in the table from before it connects until it is closed.
    """

    def __init__(self, gate: Gate, inside: _Inside, client: socket.socket, peer: Peer) -> None:
        self.peer = peer
        self._gate = gate
        self._inside = inside
        self._client = client
        self._inner: socket.socket | None = None
        self._name = ""
        self._flows: tuple[_Flow, ...] = ()
        self._closed = False
        client.setblocking(False)
        inside.loop.add_reader(client.fileno(), self._spoken)
        self._timer = inside.loop.call_later(limits.FIRST_BYTE_SECONDS, self._silent)

    def _silent(self) -> None:
        self._gate.silent += 1
        self.close()

    def _spoken(self) -> None:
        self._timer.cancel()
        self._inside.loop.remove_reader(self._client.fileno())
        try:
            if not self._client.recv(1, socket.MSG_PEEK):
                self.close()
                return
            self._inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            name = f"vaultd-{secrets.token_hex(limits.GATE_NAME_BYTES)}"
            self._inner.bind(f"\0{name}")
        except OSError as error:
            log.debug("dropped: %s", error.strerror)
            self.close()
            return
        self._name = name
        self._inside.table.add(name, self.peer)
        self._connect(self._inner, self._inside.loop.time() + limits.INNER_CONNECT_SECONDS)

    def _connect(self, inner: socket.socket, deadline: float) -> None:
        """Connects to gRPC.

        A unix socket connects at once or fails. EAGAIN means that the accept queue is full and that *nothing was
        started*: the socket would never become writable, which is what asyncio's sock_connect() waits for. So: again.
        """
        try:
            inner.connect(self._inside.path)
        except OSError as error:
            loop = self._inside.loop
            if error.errno == errno.EAGAIN and loop.time() < deadline:
                self._timer = loop.call_later(limits.INNER_RETRY_SECONDS, self._connect, inner, deadline)
                return
            log.debug("dropped: gRPC cannot be reached: %s", error.strerror)
            self._gate.unreached += 1
            self.close()
            return
        up = _Flow(self._inside, self._client, inner, self.close, partial(self._said_all, inner))
        down = _Flow(self._inside, inner, self._client, self.close, self.close)  # gRPC never closes one half only
        self._flows = (up, down)
        for flow in self._flows:
            flow.start()

    def _said_all(self, inner: socket.socket) -> None:
        """The caller may still listen, and then gRPC is only told the end; POLLHUP says that it has left altogether."""
        poll = select.poll()
        poll.register(self._client, 0)
        if poll.poll(0):
            self.close()
        else:
            inner.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Closes both sides. The name leaves the table before the kernel may give it to another socket."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        for flow in self._flows:
            flow.stop()
        self._flows = ()
        self._inside.table.remove(self._name)
        self._inside.loop.remove_reader(self._client.fileno())
        self._client.close()
        self.peer.close()
        if self._inner is not None:
            self._inner.close()
        self._gate.forget(self)


class _Flow:
    """One direction: what `source` says goes to `sink`, as fast as `sink` takes it.

    What `sink` does not take of one read is held here, and `source` is not read until it is gone. The end of `source`
    is therefore seen only after all before it was passed on.
    """

    def __init__(
        self, inside: _Inside, source: socket.socket, sink: socket.socket, broken: _Callback, ended: _Callback
    ) -> None:
        self._loop = inside.loop
        self._buffer = inside.buffer
        self._source = source
        self._sink = sink
        self._broken = broken
        self._ended = ended
        self._rest = b""
        self._stall: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._loop.add_reader(self._source.fileno(), self._readable)

    def stop(self) -> None:
        self._loop.remove_reader(self._source.fileno())
        self._loop.remove_writer(self._sink.fileno())
        if self._stall is not None:
            self._stall.cancel()

    def _readable(self) -> None:
        try:
            count = self._source.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            self._broken()
            return
        if not count:
            self._loop.remove_reader(self._source.fileno())
            self._ended()
            return
        sent = self._send(self._buffer[:count])
        if 0 <= sent < count:
            self._rest = bytes(self._buffer[sent:count])
            self._loop.remove_reader(self._source.fileno())
            self._loop.add_writer(self._sink.fileno(), self._writable)
            self._stall = self._loop.call_later(limits.STALL_SECONDS, self._broken)

    def _writable(self) -> None:
        sent = self._send(self._rest)
        if sent <= 0:
            return
        self._rest = self._rest[sent:]
        if self._stall is not None:
            self._stall.cancel()
        if self._rest:
            self._stall = self._loop.call_later(limits.STALL_SECONDS, self._broken)
            return
        self._loop.remove_writer(self._sink.fileno())
        self.start()

    def _send(self, data: memoryview | bytes) -> int:
        """Returns how much `sink` took, or -1 after it broke."""
        try:
            return self._sink.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._broken()
            return -1
