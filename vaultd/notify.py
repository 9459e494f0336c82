"""Telling systemd how it goes: sd_notify(3), whose whole protocol is one datagram of lines.

A library would be one more thing that the process with the keys imports, for six lines.
"""

import os
import socket
from collections.abc import Mapping

from vaultd.limits import NOTIFY_SECONDS


class Notifier:
    """The socket that systemd gave this process; where it gave none, nothing is said.

    Made before the process closes its sandbox: afterwards it can say, but not connect.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        path = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        self.watchdog_seconds = _watchdog(environment)
        """How often systemd wants to hear of us, 0 for never."""
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(NOTIFY_SECONDS)
            self._socket.connect("\0" + path[1:] if path.startswith("@") else path)

    @property
    def heard(self) -> bool:
        """Says whether systemd listens."""
        return self._socket is not None

    def tell(self, *lines: str) -> None:
        """Sends `READY=1`, `STATUS=...` and the like, together."""
        if self._socket is None:
            return
        try:
            # A name out of the settings must not begin a line of its own: systemd does what MAINPID= says.
            self._socket.send("\n".join(" ".join(line.splitlines()) for line in lines).encode())
        except OSError:
            pass  # PID 1 does not take it now; a vault that stopped serving for that would be worse.


def _watchdog(environment: Mapping[str, str]) -> float:
    given = environment.get("WATCHDOG_USEC", "")
    mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(given) / 1_000_000 if given.isascii() and given.isdigit() and mine else 0.0
