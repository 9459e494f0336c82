"""The secrets of key slots: where they come from, and where new ones are shown."""

import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vaultd_client import recovery
from vaultd_client.cli import prompts
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import DESCRIPTOR
from vaultd_client.cli.secrets_in import line_from, machine_key_from, wipe, wiped
from vaultd_client.cli.terminal import Terminal
from vaultd_client.errors import InvalidError
from vaultd_client.files import write_whole

MIN_PASSPHRASE_BYTES = 8
"""NIST SP 800-63B, section 5.1.1.2. The keyholder checks it too; here it spares a person the second typing."""
MAX_PASSPHRASE_BYTES = 1024
MACHINE_KEY_BYTES = 32



@dataclass(frozen=True, slots=True)
class Opening:
    """Which secret opens the vault, as the options say."""

    recovery: bool
    passphrase_fd: int | None
    recovery_fd: int | None
    key_fd: int | None

    def __post_init__(self) -> None:
        given = {
            "--passphrase-fd": self.passphrase_fd is not None,
            "--recovery": self.recovery or self.recovery_fd is not None,
            "--key-fd": self.key_fd is not None,
        }
        named = [option for option, is_given in given.items() if is_given]
        if len(named) > 1:
            raise Failure(f"{' and '.join(named)} exclude each other", "one secret opens the vault")

    @property
    def kind(self) -> str:
        """Kind of the slot: `passphrase`, `recovery` or `machine`."""
        if self.key_fd is not None:
            return "machine"
        return "recovery" if self.recovery or self.recovery_fd is not None else "passphrase"

    @property
    def is_asked(self) -> bool:
        """True where a person will be asked."""
        return self.passphrase_fd is None and self.recovery_fd is None and self.key_fd is None

    def read(self, what: str = "Passphrase") -> bytearray:
        """Returns the secret. The caller wipes it.

        Raises:
            Failure: Nothing came, or there is no terminal to ask on.
            InvalidError: A recovery code has a typing error.
        """
        if self.key_fd is not None:
            return machine_key_from("--key-fd", self.key_fd)
        if self.kind == "recovery":
            return recovery_code(self.recovery_fd)
        return passphrase(self.passphrase_fd, what)


def opening_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of `Opening`."""
    for option in (
        click.option("--key-fd", type=DESCRIPTOR, help="Open with the machine key on this descriptor."),
        click.option("--recovery-fd", type=DESCRIPTOR, help="Read the recovery code from here."),
        click.option("--recovery", is_flag=True, help="Open with the recovery code; asked for."),
        click.option("--passphrase-fd", type=DESCRIPTOR, help="Read the passphrase from this descriptor."),
    ):
        command = option(command)
    return command


def new_passphrase_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the option that hands over a new passphrase."""
    return click.option(
        "--new-passphrase-fd", type=DESCRIPTOR, help="Read the new passphrase from this descriptor."
    )(command)


def passphrase(descriptor: int | None, question: str = "Passphrase") -> bytearray:
    """Returns a passphrase that exists, from a descriptor or from the person. The caller wipes it."""
    if descriptor is not None:
        return line_from("--passphrase-fd", descriptor)
    typed = prompts.secret(question)
    if not typed:
        raise Failure("no passphrase was typed", "type it again")
    return typed


def recovery_code(descriptor: int | None, question: str = "Recovery code") -> bytearray:
    """Returns the 20 bytes of a recovery code that exists. The caller wipes them.

    Raises:
        InvalidError: It has a typing error.
    """
    option = "--recovery-fd"
    typed = prompts.secret(question, instead=option) if descriptor is None else line_from(option, descriptor)
    with wiped(typed):
        return recovery.decode(typed.decode(errors="replace"))


def new_passphrase(descriptor: int | None, option: str) -> bytearray:
    """Returns a new passphrase: from a descriptor, or typed twice alike. The caller wipes it."""
    if descriptor is None:
        return prompts.new_secret("New passphrase", "The same again", _refuse, instead=option)
    given = line_from(option, descriptor)
    problem = _refuse(given)
    if problem:
        wipe(given)
        raise Failure(f"{option}: {problem[0].lower()}{problem[1:]}", "choose another one")
    return given


def new_recovery_code(descriptor: int | None) -> bytearray:
    """Makes a recovery code: written to a descriptor, or shown once and typed again. The caller wipes it.

    Raises:
        Failure: It was not typed right three times.
    """
    code = recovery.generate()
    text = recovery.encode(code)
    if descriptor is not None:
        _write_line("--recovery-to-fd", descriptor, text)
        return code
    instead = "--recovery-to-fd"
    for attempt in range(prompts.TRIES):
        prompts.written_down(text, "That was not the code. " if attempt else "", instead=instead)
        if _is(code, prompts.retyped("Type the recovery code", instead=instead)):
            return code
    wipe(code)
    raise Failure("the recovery code was not typed right; nothing was created", "write it down and start again")


def new_machine_key(terminal: Terminal, descriptor: int | None, path: Path | None) -> bytearray:
    """Returns the key of a new machine slot: given on a descriptor, or made and written to a new file, 0600.

    Raises:
        Failure: Neither is named, or the file exists or cannot be written.
    """
    if descriptor is not None:
        return machine_key_from("--new-key-fd", descriptor)
    if path is None:
        raise Failure("a machine slot needs a key", "add --new-key-file PATH, which makes one")
    key = bytearray(secrets.token_bytes(MACHINE_KEY_BYTES))
    try:
        write_whole(path, key)
    except OSError as error:
        raise Failure(f"{path}: {os.strerror(error.errno or 0)}", "name a file that does not exist yet") from None
    terminal.note(f"The machine key is in {path}. Whoever reads it can unlock the vault.")
    return key


def _refuse(typed: bytearray) -> str:
    if len(typed) < MIN_PASSPHRASE_BYTES:
        return f"A passphrase has {MIN_PASSPHRASE_BYTES} characters or more"
    return f"A passphrase has {MAX_PASSPHRASE_BYTES} bytes or fewer" if len(typed) > MAX_PASSPHRASE_BYTES else ""


def _is(code: bytearray, typed: str) -> bool:
    try:
        again = recovery.decode(typed)
    except InvalidError:
        return False
    with wiped(again):
        return hmac.compare_digest(code, again)


def _write_line(option: str, descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, f"{text}\n".encode())
    except OSError as error:
        raise Failure(
            f"{option}: file descriptor {descriptor}: {os.strerror(error.errno or 0)}",
            f"open it in the shell, such as: vaultctl ... {option} {descriptor} {descriptor}> FILE",
        ) from None
