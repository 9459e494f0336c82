"""The server's side of the link: sends requests, answers the keyholder's, and notices its death."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
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


class Stub:
    """One live keyholder. Dies with it: a new process gets a new stub.

    Args:
        answer: Answers a request of the keyholder, by name and payload.
        event: Takes what the keyholder says unasked.
        gone: Called once, when the link has ended for whatever reason.
    """

    def __init__(
        self, process: Held, answer: Answerer, event: Callable[[str, Any], None], gone: Callable[["Stub"], None]
    ) -> None:
        self.process = process
        self._answer = answer
        self._event = event
        self._gone = gone
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._transport: asyncio.Transport | None = None
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

    async def request(self, name: str, payload: Any) -> Any:
        """Asks the keyholder.

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
            self._transport.write(protocol.encode(protocol.REQUEST, number, name, payload))
            return await future
        finally:
            self._waiting.pop(number, None)

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
            task = asyncio.get_running_loop().create_task(self._serve(number, name, payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif kind == protocol.EVENT:
            if name not in protocol.EVENTS:
                raise ProtocolViolationError
            self._event(name, payload)
        else:
            future = self._waiting.get(number)
            if future is not None and not future.done():
                if kind == protocol.RESULT:
                    future.set_result(payload)
                else:
                    future.set_exception(from_wire(payload if isinstance(payload, dict) else {}))

    def lost(self) -> None:
        """The link has ended."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(KeyholderUnavailableError())
        self._gone(self)

    async def _serve(self, number: int, name: str, payload: Any) -> None:
        try:
            kind, result = protocol.RESULT, await self._answer(name, payload)
        except VaultError as error:
            kind, result = protocol.ERROR, error.to_wire()
        except Exception as error:  # noqa: BLE001  the keyholder must get an answer; the text may hold values
            log.error("answering %s failed: %s", name, type(error).__name__)  # noqa: TRY400
            kind, result = protocol.ERROR, StoreUnavailableError().to_wire()
        try:
            frame = protocol.encode(kind, number, name, result)
        except ProtocolViolationError:
            # Larger than anything that vaultd stores. Without an answer the keyholder would wait for ever.
            frame = protocol.encode(protocol.ERROR, number, name, StoreDamagedError("a row is too large").to_wire())
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)


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
