"""Waiting out the moment in which one keyholder has ended and the next does not serve yet.

After a lock, a restore or a restart of the server that moment is part of a second. A person who types a passphrase in it
has done nothing wrong, and what he can do is what is done here: try again.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from vaultd_client.cli.terminal import Terminal
from vaultd_client.errors import NotRunningError

SECONDS: Final = 6.0
"""A server that has read 100,000 exchanges serves after four; one that is not there then needs a look."""
_PAUSE_SECONDS: Final = 0.05
_NOTE_SECONDS: Final = 1.0

Value = TypeVar("Value")


def while_replaced(
    terminal: Terminal, act: Callable[[], Value], *, seconds: float = SECONDS, also_not_running: bool = False
) -> Value:
    """Returns what `act` returns, which is done again while there is no keyholder to do it.

    Args:
        terminal: Told of it where it takes longer than a second.
        act: May be done twice: what it had begun may have been done though it failed.
        seconds: How long after the first failure the last try is made.
        also_not_running: True waits also for a socket that is not there, or at which nobody listens.

    Raises:
        NotRunningError: There is none to the end.
    """
    began, noted = time.monotonic(), False
    while True:
        try:
            return act()
        except NotRunningError as error:
            waited = time.monotonic() - began
            replaced = also_not_running or error.reason == "KEYHOLDER_UNAVAILABLE"
            if not replaced or waited >= seconds:
                raise
        if waited >= _NOTE_SECONDS and not noted:
            terminal.note("Waiting for vaultd, which is just starting or being replaced.")
            noted = True
        time.sleep(_PAUSE_SECONDS)
