"""The server's side of the link: sends requests, answers the keyholder's, and notices its death."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from vaultd.errors import (
    KeyholderUnavailableError,
    ProtocolViolationError,
    StoreDamagedError,
    StoreUnavailableError,
    VaultError,
    from_wire,
)
from vaultd.keyholder import protocol
from vaultd.keyholder.process import Held

log = logging.getLogger(__name__)

Answerer = Callable[[str, Any], Awaitable[Any]]
Committer = Callable[[Any, Callable[[Exception | None], None]], None]


class Stub:
    """One live keyholder. Dies with it: a new process gets a new stub.

    Args:
        answer: Answers a request of the keyholder, by name and payload.
        commit: Begins a change, in the order of the calls; tells its second argument None when the change is durable, or
            what went wrong.
        event: Takes what the keyholder says unasked.
        gone: Called once, when the link has ended for whatever reason.
    """

    def __init__(
        self,
        process: Held,
        answer: Answerer,
        commit: Committer,
        event: Callable[[str, Any], None],
        gone: Callable[["Stub"], None],
    ) -> None:
        self.process = process
        self._answer = answer
        self._commit = commit
        self._event = event
        self._gone = gone
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._pending: dict[int, _Pending] = {}
        """By number of the request: an answer that must not leave before a change is durable."""
        self._transport: asyncio.Transport | None = None
        self._passing: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Takes up the link."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: _Link(self), sock=self.process.link)
        self._transport = transport

    @property
    def closed(self) -> bool:
        """Says whether the link has ended or was never taken up."""
        return self._transport is None or self._transport.is_closing()

    async def hello(self, payload: Any) -> Any:
        """Asks the first thing, as `request` does. The socket at which connections are passed goes along with it."""
        self._passing, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._passing.setblocking(False)
        with theirs:
            return await self.request("hello", payload, over=self.process.link, passed=theirs)

    async def request(
        self, name: str, payload: Any, *, passed: socket.socket | None = None, over: socket.socket | None = None
    ) -> Any:
        """Asks the keyholder.

        Args:
            passed: A connection that the keyholder gets with the request; we keep ours.
            over: The bare link, for a first request, which takes it along itself.

        Raises:
            KeyholderUnavailableError: It died before it answered.
            VaultError: Its answer.
        """
        if self._transport is None or self.closed:
            raise KeyholderUnavailableError
        self._number += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number = self._number
        self._waiting[number] = future
        try:
            frame = protocol.encode(protocol.REQUEST, number, name, payload)
            if over is not None and passed is not None:
                socket.send_fds(over, [frame], [passed.fileno()])  # Nothing was sent before: there is room for all of it.
            else:
                if passed is not None:
                    self._pass(passed)
                self._transport.write(frame)
            return await future
        finally:
            self._waiting.pop(number, None)

    def _pass(self, passed: socket.socket) -> None:
        try:
            if self._passing is None:
                raise KeyholderUnavailableError
            socket.send_fds(self._passing, [b"!"], [passed.fileno()])
        except OSError:
            raise KeyholderUnavailableError("the keyholder does not take the connection") from None

    def close(self) -> None:
        """Ends the link; a keyholder that is our child dies of it."""
        if self._transport is not None:
            self._transport.abort()

    # --- called by the link -----------------------------------------------------------------------------------

    def frame(self, kind: int, number: int, name: str, payload: Any) -> None:
        """Takes one frame."""
        if kind == protocol.REQUEST:
            if name not in protocol.KEYHOLDER_REQUESTS:
                raise ProtocolViolationError
            if name == "commit":
                self._begin_commit(number, payload)
                return
            task = asyncio.get_running_loop().create_task(self._serve(number, name, payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif kind == protocol.EVENT:
            if name not in protocol.EVENTS:
                raise ProtocolViolationError
            self._event(name, payload)
        else:
            pending = self._pending.get(number)
            if kind == protocol.ERROR:
                self._pending.pop(number, None)
                self._settle(number, None, from_wire(payload if isinstance(payload, dict) else {}))
            elif pending is None:
                self._settle(number, payload, None)
            else:
                # The keyholder has made the answer while its audit entry goes to the disk.
                pending.answer = payload
                self._let_go(number, pending)

    def lost(self) -> None:
        """The link has ended."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(KeyholderUnavailableError())
        if self._passing is not None:
            self._passing.close()
        self._gone(self)

    def _settle(self, number: int, result: Any, error: BaseException | None) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def _begin_commit(self, number: int, payload: Any) -> None:
        pending = _Pending()
        call = payload.get("answer") if isinstance(payload, dict) else None
        if call is not None:
            self._pending[call] = pending

        def done(error: Exception | None) -> None:
            pending.done, pending.error = True, error
            if call is not None:
                self._let_go(call, pending)
            answer = (protocol.RESULT, None) if error is None else (protocol.ERROR, _wire("commit", error))
            # After the answer of the call, for which somebody waits.
            asyncio.get_running_loop().call_soon(self._send, answer[0], number, "commit", answer[1])

        try:
            self._commit(payload, done)
        except Exception as error:  # noqa: BLE001  the keyholder must get an answer
            done(error)

    def _let_go(self, call: int, pending: "_Pending") -> None:
        """Hands an answer out once it is there and its change durable; where that failed, the error in its place."""
        if pending.answer is not None and pending.done:
            self._pending.pop(call, None)
            self._settle(call, pending.answer, pending.error)

    async def _serve(self, number: int, name: str, payload: Any) -> None:
        try:
            kind, result = protocol.RESULT, await self._answer(name, payload)
        except Exception as error:  # noqa: BLE001  the keyholder must get an answer
            kind, result = protocol.ERROR, _wire(name, error)
        self._send(kind, number, name, result)

    def _send(self, kind: int, number: int, name: str, result: Any) -> None:
        try:
            frame = protocol.encode(kind, number, name, result)
        except ProtocolViolationError:
            # Larger than anything that vaultd stores. Without an answer the keyholder would wait for ever.
            frame = protocol.encode(protocol.ERROR, number, name, StoreDamagedError("a row is too large").to_wire())
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)


def _wire(name: str, error: BaseException) -> Any:
    """Returns an error as it crosses the link; of one that is none of ours only the type is logged, its text may hold values."""
    if isinstance(error, VaultError):
        return error.to_wire()
    log.error("answering %s failed: %s", name, type(error).__name__)
    return StoreUnavailableError().to_wire()


@dataclass(slots=True)
class _Pending:
    answer: Any = None
    done: bool = False
    error: Exception | None = None


class _Link(asyncio.Protocol):
    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._decoder = protocol.Decoder()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._stub.frame(*frame)
        except ProtocolViolationError:
            log.error("the keyholder broke the protocol of the link; it is ended")  # noqa: TRY400
            if isinstance(self._transport, asyncio.Transport):
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._stub.lost()
