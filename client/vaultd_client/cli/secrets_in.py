"""How a secret gets into this process: from a terminal without echo, or from a file descriptor.

Threat: a secret in the arguments or the environment is read by other processes; one on the heap ends in a core file.
Measure: descriptors and prompts only; `readv` straight into a bytearray that is wiped after use; no dumps (dumps.py).
Limit: what must become a protobuf message (the fields of a key pair) is copied by Python and cannot be wiped.
"""

import errno
import fcntl
import os
import stat
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaultd_client.cli.failure import Failure

MAX_SECRET_BYTES = 4096
"""A passphrase is at most 1024 bytes; more is a wrong file, and the daemon refuses it by name."""
MAX_DOCUMENT_BYTES = 64 * 1024
"""JSON with two key pairs in PEM is below 16 KiB."""
TERMINAL_LINE_BYTES = 4095
"""Longest line that the kernel's line discipline hands over; the rest of a longer one is lost (termios(3))."""
_ECHO_FLAGS = 3  # index of c_lflag in what tcgetattr returns


def wipe(*secrets: bytearray | None) -> None:
    """Overwrites secrets with zeros."""
    for secret in secrets:
        if secret is not None:
            secret[:] = bytes(len(secret))


@contextmanager
def wiped(*secrets: bytearray | None) -> Iterator[None]:
    """Wipes the secrets when the body ends, however it ends."""
    try:
        yield
    finally:
        wipe(*secrets)


def check_descriptor(option: str, descriptor: int) -> None:
    """Refuses a descriptor that is not open for this process, or that is a terminal, where the secret would show.

    Raises:
        Failure: It cannot be used.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            raise OSError(errno.EBADF, "opened to write")  # as a closed stdin is (streams.py)
    except OSError:
        raise Failure(
            f"{option}: file descriptor {descriptor} is not open to read",
            f"open it in the shell, such as: vaultctl ... {option} {descriptor} {descriptor}< FILE",
        ) from None
    if stat.S_ISDIR(mode):
        raise Failure(f"{option}: that is a directory", "name the file that holds the secret")
    if stat.S_ISCHR(mode) and os.isatty(descriptor):
        raise Failure(
            f"{option}: file descriptor {descriptor} is a terminal, which would show the secret",
            f"leave {option} out to be asked, or redirect the descriptor from a file or a pipe",
        )


@contextmanager
def opened(option: str, path: Path) -> Iterator[int]:
    """Opens a file to read for the time of the body.

    Raises:
        Failure: It cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or "not readable").lower()
        raise Failure(f"{option}: {path}: {reason}", "name a file that you can read, or use --from-stdin") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def line_from(option: str, descriptor: int) -> bytearray:
    """Reads one secret: a line without its end. What follows stays for the next secret on the same descriptor.

    Raises:
        Failure: The descriptor cannot be used, or holds nothing, or a line of more than 4096 bytes.
    """
    check_descriptor(option, descriptor)
    buffer, length = bytearray(MAX_SECRET_BYTES + 1), 0
    with wiped(buffer):
        while length < len(buffer) and _read_into(descriptor, buffer, length, length + 1):
            if buffer[length] == ord("\n"):
                break
            length += 1
        if length == len(buffer):
            raise Failure(f"{option}: the secret is longer than {MAX_SECRET_BYTES} bytes")
        secret = buffer[:length]
    if secret.endswith(b"\r"):
        del secret[-1:]
    if not secret:
        raise Failure(f"{option}: nothing came from file descriptor {descriptor}", "write the secret as one line")
    return secret


def all_from(option: str, descriptor: int) -> bytearray:
    """Reads a descriptor to its end: a JSON document or a binary key.

    Raises:
        Failure: The descriptor cannot be used, or holds more than 64 KiB.
    """
    check_descriptor(option, descriptor)
    buffer, length = bytearray(MAX_DOCUMENT_BYTES + 1), 0
    with wiped(buffer):
        while length < len(buffer) and (read := _read_into(descriptor, buffer, length, len(buffer))):
            length += read
        if length == len(buffer):
            raise Failure(f"{option}: more than {MAX_DOCUMENT_BYTES} bytes came in")
        return buffer[:length]


def machine_key_from(option: str, descriptor: int) -> bytearray:
    """Reads the key of a machine slot: 32 raw bytes, or 64 hexadecimal digits.

    Raises:
        Failure: It is neither.
    """
    content = all_from(option, descriptor)
    if len(content) == 32:
        return content
    with wiped(content):
        try:
            key = bytearray.fromhex(content.decode("ascii").strip())
        except ValueError:
            key = bytearray()
    if len(key) != 32:
        wipe(key)
        raise Failure(f"{option}: a machine key is 32 bytes, or 64 hexadecimal digits")
    return key


def line_from_terminal(descriptor: int) -> bytearray:
    """Reads one line, without its end, from a terminal; empty at end of input.

    Raises:
        Failure: The line is longer than the kernel hands over.
    """
    buffer = bytearray(TERMINAL_LINE_BYTES + 1)
    with wiped(buffer):
        length = _read_into(descriptor, buffer, 0, len(buffer))
        if length >= TERMINAL_LINE_BYTES:  # the end of a longer line is gone, and its last byte is the line's end
            raise Failure("that line is too long for a terminal", "hand it over as JSON with --fields-fd")
        return buffer[:length]


@contextmanager
def echo_off(descriptor: int) -> Iterator[None]:
    """Stops a terminal from showing what is typed, all but the end of the line. Drops what was typed ahead.

    What was typed ahead has been shown already, and the rest of a pasted block must not answer the next question.
    """
    before = termios.tcgetattr(descriptor)
    silent = [*before]
    silent[_ECHO_FLAGS] = (before[_ECHO_FLAGS] & ~termios.ECHO) | termios.ECHONL
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _read_into(descriptor: int, buffer: bytearray, start: int, end: int) -> int:
    with memoryview(buffer) as view, view[start:end] as window:
        return os.readv(descriptor, [window])
