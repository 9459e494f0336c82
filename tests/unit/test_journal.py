"""Entries of the journal: one datagram, whose fields nobody can forge from inside a value."""

import logging
import socket
from pathlib import Path

import pytest

from vaultd.server import journal


def fields(datagram: bytes) -> dict[str, str]:
    """Reads an entry as journald does."""
    found = {}
    while datagram:
        name, _, rest = datagram.partition(b"\n")
        length = int.from_bytes(rest[:8], "little")
        found[name.decode()] = rest[8 : 8 + length].decode()
        assert rest[8 + length : 9 + length] == b"\n"
        datagram = rest[9 + length :]
    return found


def test_an_entry_arrives_whole_and_a_line_end_begins_no_field(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "socket"))
        journal.send("why", path=tmp_path / "socket", UNIT="bot.service", CREDENTIAL="a\nUNIT=other.service")
        found = fields(listening.recv(65536))
    assert found == {
        "MESSAGE": "why",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "vaultd",
        "UNIT": "bot.service",
        "CREDENTIAL": "a\nUNIT=other.service",
    }


def test_where_there_is_no_journal_it_is_a_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        journal.send("why", path=tmp_path / "nothing", UNIT="bot.service")
    assert caplog.messages == ["why"]
