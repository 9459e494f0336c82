"""A person at a terminal: a program that runs with a pseudo-terminal of its own, and what is typed and shown there."""

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

_TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.close(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
SECONDS = 60.0


class Person:
    """Types into a program and reads what it shows. `piped` is what went to a stdout that is no terminal."""

    def __init__(self, process: "subprocess.Popen[bytes]", terminal: int) -> None:
        self.process = process
        self.terminal = terminal
        self.shown = ""
        self.piped = b""
        self._read = 0

    def expect(self, text: str) -> None:
        """Waits until the terminal shows `text`, after what was expected before."""
        until = time.monotonic() + SECONDS
        while (found := self.shown.find(text, self._read)) < 0:
            assert self._more(until - time.monotonic()), f"never shown: {text!r}; shown was {self.shown!r}"
        self._read = found + len(text)

    def type(self, text: str, end: str = "\n") -> None:
        """Types a line."""
        os.write(self.terminal, (text + end).encode())

    def answer(self, question: str, text: str) -> None:
        """Waits for a question and types the answer."""
        self.expect(question)
        self.type(text)

    def leave(self) -> int:
        """Reads the rest and returns the exit code."""
        until = time.monotonic() + SECONDS
        while self._more(until - time.monotonic()):
            pass
        if self.process.stdout is not None:
            self.piped = self.process.stdout.read()
        return self.process.wait(SECONDS)

    def _more(self, seconds: float) -> bool:
        """Reads what is there; false at the end, which Linux reports as EIO (pty(7))."""
        ready, _, _ = select.select([self.terminal], [], [], max(0.0, seconds))
        assert ready, f"nothing happens; shown was {self.shown!r}"
        try:
            piece = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.shown += piece.decode(errors="replace").replace("\r\n", "\n")
        return bool(piece)


@contextlib.contextmanager
def at_a_terminal(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, *, piped: bool = False
) -> Iterator[Person]:
    """Runs `python ARGUMENTS` on a new controlling terminal.

    Args:
        arguments: What follows the interpreter.
        environment: Its environment; ours where None.
        piped: True sends its stdout into a pipe.
    """
    terminal, inner = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, str(inner), *arguments],
            stdin=inner,
            stdout=subprocess.PIPE if piped else inner,
            stderr=inner,
            pass_fds=(inner,),
            env={**(os.environ if environment is None else environment), "TERM": "xterm", "COLUMNS": "200"},
        )
    finally:
        os.close(inner)
    try:
        with process:
            try:
                yield Person(process, terminal)
            finally:
                process.kill()
    finally:
        os.close(terminal)
