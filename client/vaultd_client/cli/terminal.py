r"""Everything that a person sees, and the only place that prints. `prompts.py` is the only place that asks.

1. stdout carries the result and nothing else: a table for a person, one JSON document with `--json`.
2. Prompts go to the controlling terminal. Notices, progress and errors go to stderr.
3. An error is one line that starts with `vaultctl:`, then a line that says what to type next.
   With `--json` it is a JSON document on stdout instead, so that a program reads one stream.
4. Text from outside is cleaned before it is shown. Threat: a name or an error text with escape sequences that
   rewrites what the person sees. Measure: control and format characters become `\xNN`. Limit: look-alike letters stay.
5. Plaintext of a credential never passes here, but for `Terminal.plaintext`, which `reveal` and `render` alone call.
"""

import json
import sys
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from vaultd_client.cli import streams

SPINNER_AFTER_SECONDS = 0.3
"""Below this a spinner is only a flicker."""
PLAIN_WIDTH = 4096
"""A pipe has no width; no table is cut for it."""
STYLES = {
    "ACTIVE": "green", "UNLOCKED": "green", "ok": "green", "allow": "green", "yes": "green",
    "LOCKED": "yellow", "DISABLED": "yellow", "SUSPENDED": "yellow", "PREVIOUS": "yellow", "STAGED": "yellow", "fallback": "yellow",
    "REVOKED": "red", "UNINITIALIZED": "red", "deny": "red", "INVALID": "red",
    "closed": "red", "warning": "yellow", "error": "red", "dropped by ccxt": "yellow",
}  # fmt: skip


def clean(text: str) -> str:
    r"""Returns `text` with every control, format and separator character but the space as `\xNN` or `\uNNNN`."""
    return "".join(character if _harmless(character) else _escaped(character) for character in text)


def _harmless(character: str) -> bool:
    return character == " " or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


class Terminal:
    """Shows results, notices, progress and errors.

    Args:
        stdout: Stream of results.
        stderr: Stream of everything else.
    """

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.json = False
        self._out = stdout or sys.stdout
        self._err = stderr or sys.stderr
        self._results = _console(self._out)
        self._notices = _console(self._err)

    @property
    def results_are_seen(self) -> bool:
        """True where stdout is a terminal."""
        return self._out.isatty()

    def result(self, document: object, *shown: RenderableType) -> None:
        """Writes the result of a command to stdout.

        Args:
            document: What `--json` prints; plain values only.
            shown: What a person reads: lines of text and tables.
        """
        with streams.writing():
            if self.json:
                self._out.write(json.dumps(document, indent=2) + "\n")
                self._out.flush()
                return
            for each in shown:
                if isinstance(each, str):
                    self._results.print(Text(clean(each)), soft_wrap=True)
                elif self.results_are_seen:
                    self._results.print(each)
                else:
                    with self._results.capture() as table:
                        self._results.print(each)
                    self._out.write("".join(f"{line.rstrip()}\n" for line in table.get().splitlines()))

    def say(self, text: str, style: str = "") -> None:
        """Writes lines of a narration to stdout; nothing with `--json`, where the result alone belongs there."""
        if not self.json:
            with streams.writing():
                for line in text.split("\n"):
                    self._results.print(Text(clean(line), style=style), soft_wrap=True)

    def plaintext(self, text: str, end: str = "\n") -> None:
        """Writes what was revealed to stdout, as UTF-8 whatever the locale. Only `reveal` and `render` may call this."""
        with streams.writing():
            self._out.flush()
            self._out.buffer.write(f"{text}{end}".encode())
            self._out.buffer.flush()

    def note(self, text: str, style: str = "") -> None:
        """Writes one line for the person to stderr."""
        self._tell(Text(clean(text), style=style))

    def warn(self, text: str) -> None:
        """Writes one line that the person should not miss to stderr."""
        self.note(f"warning: {text}", style="yellow")

    def error(self, text: str, hint: str = "") -> None:
        """Writes an error and what to do next to stderr."""
        self._tell(Text.assemble(("vaultctl: ", "bold red"), clean(text)))
        if hint:
            self._tell(Text.assemble(("hint: ", "bold"), clean(hint)))

    def _tell(self, text: Text) -> None:
        with suppress(OSError):  # a stderr that is closed or full: nobody can be told, and the work goes on
            self._notices.print(text, soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Shows a spinner on stderr while the body works, where a person looks on and it takes long enough."""
        if not self._notices.is_terminal:
            yield
            return
        status = self._notices.status(Text(text))
        timer = threading.Timer(SPINNER_AFTER_SECONDS, status.start)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            status.stop()

    def countdown(self, text: str, milliseconds: int) -> None:
        """Waits, with a bar on stderr where a person looks on."""
        seconds = milliseconds / 1000
        never = threading.Event()
        if not self._notices.is_terminal:
            self.note(f"{text}: {seconds:.0f} s")
            never.wait(seconds)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]:.0f} s"))
        until = time.monotonic() + seconds
        with Progress(*columns, console=self._notices, transient=True) as progress:
            task = progress.add_task(text, total=seconds, left=seconds)
            while (left := until - time.monotonic()) > 0:
                progress.update(task, completed=seconds - left, left=left)
                never.wait(min(0.2, left))


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Returns a table of cleaned cells; a known word, such as a state, has its colour."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        cells = [clean(str(cell)) for cell in row]
        made.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    return made


def facts(pairs: Mapping[str, object]) -> Table:
    """Returns a table of two columns, name and value, without a header; a tuple is shown line by line."""
    made = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        text = "\n".join(clean(str(line)) for line in (value if isinstance(value, tuple) else (value,)))
        made.add_row(name, Text(text, style=STYLES.get(text, "")))
    return made
