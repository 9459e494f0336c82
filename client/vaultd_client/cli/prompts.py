"""Everything that a person is asked, on the controlling terminal, so that stdin and stdout stay free for programs."""

import hmac
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.secrets_in import echo_off, line_from_terminal, wipe, wiped
from vaultd_client.cli.terminal import clean

TRIES = 3
"""How often a person may retype what must be typed twice."""
_PEM_BEGIN, _PEM_END = b"-----BEGIN", b"-----END"


def ask(question: str, default: str = "", *, instead: str = "") -> str:
    """Asks for one line that may be seen.

    Args:
        question: What is asked, without a colon.
        default: What an empty line means.
        instead: What to use where there is no terminal; part of the hint.

    Raises:
        Failure: There is no terminal.
        click.Abort: The person ended the input.
    """
    shown = f"{question} [{default}]: " if default else f"{question}: "
    with _terminal(instead) as terminal:
        _show(terminal, shown)
        line = line_from_terminal(terminal)
        if not line:
            raise _ended(terminal)
    return line.decode(errors="replace").strip() or default


def confirm(question: str, *, instead: str = "--yes") -> bool:
    """Asks a question that only `y` or `yes` affirms."""
    return ask(f"{question} [y/N]", instead=instead).lower() in {"y", "yes"}


def must_confirm(question: str) -> None:
    """Asks, and ends the command where the person does not affirm.

    Raises:
        Failure: Not affirmed, or there is no terminal.
    """
    if not confirm(question):
        raise Failure("nothing was changed", code=ExitCode.INTERRUPTED, reason="interrupted")


def secret(question: str, *, instead: str = "--passphrase-fd") -> bytearray:
    """Asks for a secret without showing it. A PEM block may have many lines. The caller wipes the result.

    Raises:
        Failure: There is no terminal, or the line is too long for one.
        click.Abort: The person ended the input.
    """
    with _terminal(instead) as terminal, echo_off(terminal):
        _show(terminal, f"{question}: ")
        line = line_from_terminal(terminal)
        if not line:
            raise _ended(terminal)
        if line.startswith(_PEM_BEGIN):
            return _rest_of_pem(terminal, line)
    while line.endswith((b"\n", b"\r")):
        del line[-1:]
    return line


def written_down(code: str, why: str = "", *, instead: str) -> None:
    """Shows a secret until the person says it is written down, then wipes it off the screen. `why` is shown first.

    Limit: a terminal that keeps what it showed in its scroll-back keeps this too.
    """
    lines = [f"{why}Recovery code, shown this once. It opens the vault when the passphrase is lost.", "", f"    {code}", ""]
    with _terminal(instead) as terminal, echo_off(terminal):
        _show(terminal, "\n".join([*lines, "Write it down, then press Enter: "]), layout=True)
        if not line_from_terminal(terminal):
            raise _ended(terminal)
        _erase(terminal, len(lines) + 1)


def retyped(question: str, *, instead: str) -> str:
    """Asks for a line that was just shown, and wipes it off the screen."""
    typed = ask(question, instead=instead)
    with _terminal(instead) as terminal:
        _erase(terminal, 1)
    return typed


def new_secret(question: str, again: str, refuse: Callable[[bytearray], str], *, instead: str) -> bytearray:
    """Asks for a new secret until it is good and typed twice alike. The caller wipes the result.

    Args:
        question: First question.
        again: Second question.
        refuse: Says why a secret is not good enough; empty where it is.
        instead: What to use where there is no terminal.

    Raises:
        Failure: Three tries were not enough, or there is no terminal.
    """
    why = ""
    for _ in range(TRIES):
        first = secret(f"{why}{question}", instead=instead)
        problem = refuse(first)
        if problem:
            wipe(first)
            why = f"{problem}. "
            continue
        second = secret(again, instead=instead)
        with wiped(second):
            if hmac.compare_digest(first, second):
                return first
        wipe(first)
        why = "The two differ. "
    raise Failure("no new passphrase was set", f"type it twice alike, or use {instead}")


def _rest_of_pem(terminal: int, block: bytearray) -> bytearray:
    while True:
        line = line_from_terminal(terminal)
        with wiped(line):
            if not line:
                wipe(block)
                raise click.Abort
            grown = block + line
            wipe(block)
            block = grown
            if line.startswith(_PEM_END):
                return block


@contextmanager
def _terminal(instead: str) -> Iterator[int]:
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        hint = f"use {instead}, or run it on a terminal" if instead else "run it on a terminal"
        raise Failure("there is no terminal to ask on", hint) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _ended(terminal: int) -> click.Abort:
    """Ends the line of the question, which Ctrl-D leaves open, and returns what ends the command."""
    os.write(terminal, b"\n")
    return click.Abort()


def _show(terminal: int, text: str, *, layout: bool = False) -> None:
    """Writes cleaned text; with `layout`, its line ends stay."""
    shown = "\n".join(clean(line) for line in text.split("\n")) if layout else clean(text)
    os.write(terminal, shown.encode())


def _erase(terminal: int, lines: int) -> None:
    if os.environ.get("TERM", "dumb") != "dumb":
        os.write(terminal, f"\x1b[{lines}A\x1b[J".encode())  # cursor up, erase below (ECMA-48, 8.3.22 and 8.3.39)
