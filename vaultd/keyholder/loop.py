"""The keyholder's only loop: the link, the unlock socket and the tasks that answer them.

A task is a generator. It yields what it waits for - an `Ask` to the server, `Work` for a thread, the `Turn` that changes
take one after the other - and is resumed with the result or the error. No await, no callbacks in the handlers, no
concurrency but where a task yields.
"""

import logging
import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NoReturn

from vaultd.errors import (
    KeyholderUnavailableError,
    OutOfMemoryError,
    ProtocolViolationError,
    VaultError,
    from_wire,
)
from vaultd.keyholder import protocol

log = logging.getLogger(__name__)

Task = Generator[Any, Any, Any]
_TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to the server; `timeout` in seconds, or None to wait as long as the link lives."""

    name: str
    payload: Any = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A function for a thread of its own: Argon2id, which takes a second without the GIL."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to change the vault; returned by `Loop.end_turn`."""


class Loop:
    """Runs until `leave` is called, or the link ends and `lost` ends the process.

    Attributes:
        requests: What the server may ask: name to what makes the task of a request from its number and its payload.
        lost: Called when the link has ended, before what waits for its answers fails. By default nobody is left to hold
            keys for.
        tick: Called once a second.
    """

    def __init__(self) -> None:
        self._link: socket.socket | None = None
        self._passed: socket.socket | None = None
        self._fresh = True
        self._greeter: Task | None = None
        self._serving = False
        self._decoder = protocol.Decoder()
        self._frames: deque[tuple[int, int, str, Any]] = deque()
        self._out = bytearray()
        self._selector = selectors.DefaultSelector()
        # Made before the sandbox closes: a thread wakes the loop through it.
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._wake_ready)
        self._done: deque[tuple[Task, Callable[[Any, BaseException | None], None], Any, BaseException | None]] = deque()
        self._number = 0
        self._asked: dict[int, tuple[Task, Callable[[Any, BaseException | None], None], float]] = {}
        self._turn_taken = False
        self._turns: deque[tuple[Task, Callable[[Any, BaseException | None], None]]] = deque()
        self._leave_by = math.inf
        self.requests: dict[str, Callable[[int, Any], Task]] = {}
        self.lost: Callable[[], None] = lambda: os._exit(0)
        self.tick: Callable[[], None] = lambda: None

    # --- the server of the moment -----------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Says whether there is a server, and its hello was answered well."""
        return self._serving

    def attach(self, link: socket.socket) -> None:
        """Takes up the link to a server. Until `serve`, only the task that answers its hello may ask it anything."""
        link.setblocking(False)
        self._link, self._greeter, self._fresh = link, None, True
        self._decoder = protocol.Decoder()
        self._selector.register(link, selectors.EVENT_READ, self._link_ready)

    def take_descriptor(self) -> socket.socket:
        """Returns the connection that the server has passed along with the request that is answered now.

        Raises:
            ProtocolViolationError: There is none, or it is no socket.
        """
        descriptor = -1
        try:
            if self._passed is None:
                raise ProtocolViolationError("the server cannot pass connections")
            _, descriptors, _, _ = socket.recv_fds(self._passed, 1, 1, socket.MSG_DONTWAIT)
            (descriptor,) = descriptors
            return socket.socket(fileno=descriptor)
        except (OSError, ValueError):
            if descriptor >= 0:
                os.close(descriptor)
            raise ProtocolViolationError("the server passed no connection") from None

    def serve(self) -> None:
        """The server has proved itself: every task may ask it."""
        self._serving = True

    # --- for the handlers -------------------------------------------------------------------------------------

    def start(self, task: Task, finish: Callable[[Any, BaseException | None], None]) -> None:
        """Runs a task; `finish` gets its result or its error."""
        self._resume(task, finish, None, None)

    def event(self, name: str, payload: Any) -> None:
        """Tells the server something it did not ask for."""
        self._send(protocol.EVENT, 0, name, payload)

    def end_turn(self) -> None:
        """Hands the right to change the vault to the next task."""
        if self._turns:
            # Not resumed from here: a thousand changes that wait and fail at once would stand on one another's stack.
            self._done.append((*self._turns.popleft(), None, None))
        else:
            self._turn_taken = False

    def leave(self) -> None:
        """Ends the process as soon as what was sent is out. The death of the process is the lock."""
        # A server that does not read must not keep the keys alive.
        self._leave_by = min(self._leave_by, time.monotonic() + _TICK_SECONDS)

    def watch(self, sock: socket.socket, events: int, ready: Callable[[int], None]) -> None:
        """Calls `ready(events)` when a socket is ready; replaces an earlier watch of it."""
        try:
            self._selector.modify(sock, events, ready)
        except KeyError:
            self._selector.register(sock, events, ready)

    def unwatch(self, sock: socket.socket) -> None:
        """Ends a watch."""
        self._selector.unregister(sock)

    def run(self) -> NoReturn:
        """Never returns: ends the process when the link closes, breaks the protocol, or `leave` was called."""
        next_tick = time.monotonic() + _TICK_SECONDS
        while True:
            if self._leave_by < math.inf and (not self._out or time.monotonic() >= self._leave_by):
                os._exit(0)
            wait = 0.0 if self._done or self._frames else max(0.0, next_tick - time.monotonic())
            for key, events in self._selector.select(wait):
                key.data(events)
            self._resume_done()
            # One at a time, and the unlock socket looked at between two: a lock does not wait for a hundred reveals.
            if self._frames:
                self._frame_next()
            if time.monotonic() >= next_tick:
                self._expire()
                self.tick()
                next_tick = time.monotonic() + _TICK_SECONDS

    # --- tasks ------------------------------------------------------------------------------------------------

    def _resume(
        self, task: Task, finish: Callable[[Any, BaseException | None], None], value: Any, error: BaseException | None
    ) -> None:
        try:
            step = task.throw(error) if error is not None else task.send(value)
        except StopIteration as stop:
            finish(stop.value, None)
            return
        except VaultError as failed:
            finish(None, failed)
            return
        except Exception as failed:  # noqa: BLE001  a defect must not take the keys down with it; the text stays here
            log.error("task failed: %s at %s", type(failed).__name__, _place(failed))  # noqa: TRY400  a traceback may hold values
            finish(None, VaultError())
            return
        match step:
            case Ask() if not self._serving and task is not self._greeter:
                self._done.append((task, finish, None, _gone()))
            case Ask(name=name, payload=payload, timeout=timeout):
                self._number += 1
                self._send(protocol.REQUEST, self._number, name, payload)
                if self._link is None:  # It ended just then.
                    self._done.append((task, finish, None, _gone()))
                else:
                    deadline = math.inf if timeout is None else time.monotonic() + timeout
                    self._asked[self._number] = task, finish, deadline
            case Work(function=function):
                self._start_work(task, finish, function)
            case Turn() if self._turn_taken:
                self._turns.append((task, finish))
            case Turn():
                self._turn_taken = True
                self._resume(task, finish, None, None)
            case _:
                raise AssertionError("a task yielded what it must not")

    def _start_work(
        self, task: Task, finish: Callable[[Any, BaseException | None], None], function: Callable[[], Any]
    ) -> None:
        try:
            threading.Thread(target=self._work, args=(task, finish, function), daemon=True).start()
        except RuntimeError:  # What threading raises where the host gives no thread, for want of memory or of a pid.
            self._resume(task, finish, None, OutOfMemoryError("the host gives no thread to derive the key in"))

    def _work(
        self, task: Task, finish: Callable[[Any, BaseException | None], None], function: Callable[[], Any]
    ) -> None:
        try:
            self._done.append((task, finish, function(), None))
        except Exception as error:  # noqa: BLE001  goes to the task
            self._done.append((task, finish, None, error))
        os.write(self._wake_write, b"!")

    def _wake_ready(self, _events: int) -> None:
        os.read(self._wake_read, 4096)

    def _resume_done(self) -> None:
        while self._done:
            self._resume(*self._done.popleft())

    def _expire(self) -> None:
        now = time.monotonic()
        for number, (task, finish, deadline) in list(self._asked.items()):
            if now >= deadline:
                del self._asked[number]
                self._resume(task, finish, None, KeyholderUnavailableError("the server did not answer in time"))

    # --- the link ---------------------------------------------------------------------------------------------

    def _send(self, kind: int, number: int, name: str, payload: Any) -> None:
        if self._link is None:
            return
        idle = not self._out
        self._out += protocol.encode(kind, number, name, payload)
        if idle:
            self._flush()

    def _flush(self) -> None:
        if self._link is None:
            return
        try:
            sent = self._link.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._link_lost()
            return
        del self._out[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if self._selector.get_key(self._link).events != wanted:
            self._selector.modify(self._link, wanted, self._link_ready)

    def _link_lost(self) -> None:
        """The server is gone, and what it was asked is open: done or not, only the store that comes next tells."""
        if self._link is None:
            return
        self.lost()
        self._selector.unregister(self._link)
        self._link.close()
        if self._passed is not None:
            self._passed.close()
        self._link, self._passed, self._greeter, self._serving = None, None, None, False
        self._frames.clear()
        self._out.clear()
        asked, self._asked = self._asked, {}
        waiting = [(task, finish) for task, finish, _ in asked.values()] + list(self._turns)
        self._turns.clear()
        self._done.extend((task, finish, None, _gone()) for task, finish in waiting)

    def _link_ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if not events & selectors.EVENT_READ or self._frames or self._link is None:
            return  # What has come already goes first; the rest stays with the kernel.
        try:
            data = self._first() if self._fresh else self._link.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._link_lost()
            return
        try:
            self._frames.extend(self._decoder.feed(data))
        except ProtocolViolationError:
            self._violated()

    def _first(self) -> bytes:
        """Reads what comes first: the hello, and with it the socket at which the server will pass connections."""
        assert self._link is not None
        data, descriptors, _, _ = socket.recv_fds(self._link, 1 << 18, 1)
        self._fresh = False
        if descriptors:
            self._passed = socket.socket(fileno=descriptors[0])
        return data

    def _frame_next(self) -> None:
        try:
            self._frame(*self._frames.popleft())
        except ProtocolViolationError:
            self._violated()

    @staticmethod
    def _violated() -> NoReturn:
        log.error("the server broke the protocol of the link")
        os._exit(2)

    def _frame(self, kind: int, number: int, name: str, payload: Any) -> None:
        if kind == protocol.REQUEST:
            if name not in protocol.SERVER_REQUESTS or name not in self.requests:
                raise ProtocolViolationError
            task, link = self.requests[name](number, payload), self._link
            if name == "hello":
                self._greeter = task
            self.start(task, lambda result, error: self._answer(link, number, name, result, error))
        elif kind in (protocol.RESULT, protocol.ERROR):
            waiting = self._asked.pop(number, None)
            if waiting is None:
                if number > self._number:
                    raise ProtocolViolationError
                return  # It came after its deadline.
            task, finish, _ = waiting
            if kind == protocol.RESULT:
                self._resume(task, finish, payload, None)
            else:
                self._resume(task, finish, None, from_wire(payload if isinstance(payload, dict) else {}))
        else:
            raise ProtocolViolationError

    def _answer(
        self, link: socket.socket | None, number: int, name: str, result: Any, error: BaseException | None
    ) -> None:
        if link is not self._link:
            return  # Who asked is gone; the number is another request's by now.
        if isinstance(error, VaultError):
            self._send(protocol.ERROR, number, name, error.to_wire())
        else:
            self._send(protocol.RESULT, number, name, result)


def _gone() -> KeyholderUnavailableError:
    return KeyholderUnavailableError(
        "the server is not there; what was under way when it went may have been done: look before you try again"
    )


def _place(error: BaseException) -> str:
    """Returns file and line of the innermost frame: enough to find a defect, nothing of any value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
