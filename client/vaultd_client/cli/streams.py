"""The standard streams where they are closed, full or a pipe that nobody reads."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_INPUT, _OUTPUT, _ERRORS = range(3)


def occupy_closed() -> None:
    """Puts something into the place of standard descriptors that are closed.

    Threat: the next file that is opened takes the number, and what was meant for the terminal goes into a socket or a
    backup. Measure: that of the C library for set-uid programs (csu/check_fds.c), a descriptor that fails as a closed one
    does. What is started from here finds it closed again.
    """
    for number, mode in ((_INPUT, os.O_WRONLY), (_OUTPUT, os.O_RDONLY), (_ERRORS, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(_OUTPUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(_ERRORS, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


class UnwrittenError(OSError):
    """A result did not arrive at a standard stream; `errno` says why."""


@contextmanager
def writing() -> Iterator[None]:
    """Converts what a standard stream raises inside it: more than its buffer takes fails at once, and leaves nothing to flush.

    Raises:
        UnwrittenError: It does not take what is written.
    """
    try:
        yield
    except OSError as error:
        raise UnwrittenError(error.errno, os.strerror(error.errno or 0)) from None


def why_unwritable(stream: TextIO) -> OSError | None:
    """Returns why what was written to a standard stream did not arrive; None where it did.

    What is left in its buffer is dropped: nothing tries to write it again when the process ends.
    """
    try:
        stream.flush()
    except OSError as error:
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return error
    return None
