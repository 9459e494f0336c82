"""Promises of the link between server and keyholder, where they are units of their own: who may be at either end."""

import os
import socket
from typing import Any

import pytest

from tests.support.daemon import READ_PAIR
from tests.support.split import Split, revealed
from vaultd.keyholder import protocol


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it is another user")
def test_a_server_of_another_uid_is_refused_and_the_right_one_still_served(lasting: Split) -> None:
    lasting.stop()
    path = lasting.runtime / "link.sock"
    path.chmod(0o666)
    os.setresuid(65534, 65534, 0)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as impostor:
            impostor.settimeout(10)
            impostor.connect(str(path))
            assert impostor.recv(1) == b""
    finally:
        os.setresuid(0, 0, 0)
    lasting.start()
    assert lasting.state() == "UNLOCKED"
    assert "refused a server of uid 65534" in lasting.log()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: another user listens")
def test_a_keyholder_of_another_uid_is_refused_by_the_server(apart: Split) -> None:
    apart.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as impostor:
        (apart.runtime / "link.sock").unlink()
        impostor.bind(str(apart.runtime / "link.sock"))
        os.setresuid(65534, 65534, 0)
        impostor.listen()
        os.setresuid(0, 0, 0)
        apart.start()
        with apart.client() as client:
            assert "uid 65534 listens" in client.vault().lock_cause


def test_a_second_server_waits_for_the_end_of_the_first(lasting: Split) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as second:
        second.connect(str(lasting.runtime / "link.sock"))
        assert revealed(lasting) == READ_PAIR


def said_on_the_link(apart: Split, name: str, payload: object) -> list[tuple[int, str, Any]]:
    """Takes the server's place, says one thing, and returns what comes back before the end: kind, name, payload."""
    apart.stop()
    decoder = protocol.Decoder()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(20)
        link.connect(str(apart.runtime / "link.sock"))
        link.sendall(protocol.encode(protocol.REQUEST, 1, name, payload))
        found: list[tuple[int, str, Any]] = []
        while not found and (data := link.recv(65536)):
            found = [(kind, name, payload) for kind, _, name, payload in decoder.feed(data)]
    return found


def test_a_server_that_asks_before_its_hello_ends_the_keyholder(apart: Split) -> None:
    assert said_on_the_link(apart, "call", {}) == []
    assert apart.await_keyholder_end() == 2


def test_a_server_of_another_link_version_is_told_so_and_costs_no_unlock(lasting: Split) -> None:
    ((kind, name, error),) = said_on_the_link(lasting, "hello", {"link_version": protocol.VERSION + 1})
    assert (kind, name, error["reason"]) == (protocol.ERROR, "hello", "KEYHOLDER_UNAVAILABLE")
    assert "another version" in error["message"]
    lasting.start()
    assert lasting.state() == "UNLOCKED"


def test_a_server_of_another_schema_is_refused_for_good(apart: Split) -> None:
    hello = {"link_version": protocol.VERSION, "initialized": True, "schema_version": 99, "failures": 0, "kdf_floor": None}
    ((kind, name, payload),) = said_on_the_link(apart, "hello", hello)[:1]
    assert (kind, name) == (protocol.EVENT, "locking")
    assert "schema" in payload["cause"]
    assert apart.await_keyholder_end() == 0
