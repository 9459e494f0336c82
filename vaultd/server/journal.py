"""Entries of systemd's journal with fields of their own: one datagram (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

import logging
import os
import socket
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)
SOCKET: Final = Path("/run/systemd/journal/socket")
WARNING: Final = 4
"""syslog(3)."""


def send(message: str, priority: int = WARNING, *, path: Path = SOCKET, **fields: str) -> None:
    """Writes an entry; where no journal takes it, a line of the log.

    Args:
        message: For people.
        priority: As syslog counts.
        path: Where the journal listens.
        fields: Names in upper case to their values; no secrets.
    """
    entry = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "vaultd", **fields}
    datagram = b"".join(_field(name, value) for name, value in entry.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.setblocking(False)
        try:
            journal.sendto(datagram, os.fspath(path))
        except OSError:
            log.warning("%s", message)


def _field(name: str, value: str) -> bytes:
    """Returns a field in the form that carries any bytes: whoever named it cannot begin another with a line end."""
    raw = value.encode("utf-8", "backslashreplace")
    return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
