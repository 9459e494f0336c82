"""Processes that never outlive the body that started them, whatever signal comes when."""

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, Self

STOP_SECONDS = 10.0
"""A daemon that is told to stop closes its store first."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Children:
    """Starts processes, and ends them in reverse order when its body ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, command: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
        """Starts a process with UTF-8 pipes; `options` are those of Popen."""
        with _signals_wait():  # between the start and the next line nobody would know whom to end
            process = subprocess.Popen(command, encoding="utf-8", **options)  # noqa: S603 - our own, and the daemon
            self._stack.callback(end, process)
        return process


def end(process: "subprocess.Popen[str]") -> None:
    """Stops a process, kills it where it does not stop, and returns when it is gone."""
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):  # then it is killed
            process.wait(STOP_SECONDS)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Holds signals back until the body has ended. Masking them would not do: a child inherits the mask."""
    arrived: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    before = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)
