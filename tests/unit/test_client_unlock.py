"""The client of the unlock socket: exact bytes, and typed answers."""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.unlock_script import PIN, UNLOCKED, Listener, frame, secret
from vaultd_client.errors import (
    InternalError,
    InvalidError,
    NotRunningError,
    RefusedError,
    TimedOutError,
    UnlockDelayedError,
    UnlockError,
    VaultClientError,
)
from vaultd_client.keys import ClientKey, Pin
from vaultd_client.slots import Checked, KdfParameters, Reply, Slot, Unlocked, UnlockStatus
from vaultd_client.unlock import UnlockClient


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unlock.sock"


@pytest.fixture
def listener(path: Path) -> Iterator[Listener]:
    made = Listener(path)
    yield made
    made.close()


def asked(listener: Listener, path: Path, answer: object, call: Callable[[UnlockClient], Any]) -> Any:
    """Makes one call; the answer is a document, or bytes as they are."""
    listener.answers.append(answer if isinstance(answer, bytes) else frame(answer))
    with UnlockClient(path, timeout=5) as client:
        return call(client)


def test_a_request_is_byte_for_byte_what_the_protocol_page_draws(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with ThreadPoolExecutor(1) as thread, UnlockClient(path, timeout=5) as client:
            call: Future[int] = thread.submit(client.passphrase_change, secret("old"), secret("newer"), slot=2)
            connection, _ = server.accept()
            header = b'{"op": "passphrase-change", "slot": 2, "secrets": [3, 5]}'
            wanted = b"\x00\x00\x00\x39" + b"\x00\x00\x00\x08" + header + b"oldnewer"
            with connection:
                assert connection.recv(len(wanted), socket.MSG_WAITALL) == wanted
                connection.sendall(b'\x00\x00\x00\x0b\x00\x00\x00\x00{"slot": 2}')
                assert call.result(5) == 2
                connection.setblocking(False)
                with pytest.raises(BlockingIOError):
                    connection.recv(1)


CALLS: dict[str, tuple[object, Callable[[UnlockClient], Any], dict[str, Any], list[bytes], Any]] = {
    "status": (
        {"state": "LOCKED", "retry_after_ms": 5000, "failures": 6, "busy": False, "pid": 17},
        lambda client: client.status(),
        {"op": "status"},
        [],
        UnlockStatus("LOCKED", 5000, 6, busy=False, pid=17),
    ),
    "initialize": (
        PIN,
        lambda client: client.initialize(
            secret("p"), bytearray(20), name="me", public_key=b"\x01" * 32, uid=7, kdf=KdfParameters(65536, 3, 4)
        ),
        {
            "op": "initialize",
            "administrator": {"name": "me", "public_key": "01" * 32, "uid": 7},
            "kdf": {"memory_kib": 65536, "passes": 3, "lanes": 4},
            "label": "",
        },
        [b"p", bytes(20)],
        Pin(bytes(16), b"\x11" * 32),
    ),
    "initialize without a recovery code": (
        PIN,
        lambda client: client.initialize(secret("p"), name="me", public_key=b"\x01" * 32, uid=7, label="mine"),
        {
            "op": "initialize",
            "administrator": {"name": "me", "public_key": "01" * 32, "uid": 7},
            "kdf": None,
            "label": "mine",
        },
        [b"p"],
        Pin(bytes(16), b"\x11" * 32),
    ),
    "unlock": (
        UNLOCKED,
        lambda client: client.unlock(secret("p")),
        {"op": "unlock", "kind": "passphrase", "slot": None, "accept_rollback": False, "accept_clock": False},
        [b"p"],
        Unlocked(Pin(bytes(16), b"\x11" * 32), 7, 9, "ok", 2, 1, 1, upgraded=False, restored=False, suspended=0),
    ),
    "unlock otherwise": (
        UNLOCKED,
        lambda client: client.unlock(bytearray(20), kind="recovery", slot=2, accept_rollback=True, accept_clock=True).slot,
        {"op": "unlock", "kind": "recovery", "slot": 2, "accept_rollback": True, "accept_clock": True},
        [bytes(20)],
        1,
    ),
    "lock": ({}, lambda client: client.lock(), {"op": "lock"}, [], None),
    "slots": (
        {
            "slots": [
                {
                    "slot": 1, "kind": "passphrase", "label": "x", "memory_kib": 65536, "passes": 3, "lanes": 4,
                    "created_ms": 1500,
                }
            ]
        },
        lambda client: client.slots(),
        {"op": "slot-list"},
        [],
        (Slot(1, "passphrase", "x", 65536, 3, 4, datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)),),
    ),
    "check_records": (
        {
            "exchanges": 1, "key_pairs": 2, "without_key": 3, "clients": 4, "grants": 5, "audit_entries": 6,
            "generation": 7,
        },
        lambda client: client.check_records(),
        {"op": "records-check"},
        [],
        Checked(1, 2, 3, 4, 5, 6, 7),
    ),
    "slot_add": (
        {"slot": 3},
        lambda client: client.slot_add(secret("p"), secret("new"), kind="machine", label="l", secret_kind="recovery"),
        {"op": "slot-add", "kind": "machine", "label": "l", "with": "recovery"},
        [b"p", b"new"],
        3,
    ),
    "slot_remove": (
        {},
        lambda client: client.slot_remove(3, secret("p")),
        {"op": "slot-remove", "slot": 3, "with": "passphrase"},
        [b"p"],
        None,
    ),
    "master_key_rotate": (
        {"rewrapped": 4},
        lambda client: client.master_key_rotate({2: secret("b"), 1: secret("a")}),
        {"op": "master-key-rotate", "slots": [2, 1]},
        [b"b", b"a"],
        4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_sends_its_keys_and_reads_its_result(listener: Listener, path: Path, name: str) -> None:
    answer, call, header, secrets, result = CALLS[name]
    assert asked(listener, path, answer, call) == result
    assert listener.received == [(header | {"secrets": [len(each) for each in secrets]}, secrets)]


def test_a_key_may_be_given_as_its_text(listener: Listener, path: Path) -> None:
    key = ClientKey.generate()
    asked(
        listener, path, PIN, lambda client: client.initialize(secret("p"), name="me", public_key=key.public_text, uid=7)
    )
    assert listener.received[0][0]["administrator"]["public_key"] == key.public_key.hex()


def test_one_connection_carries_many_requests(listener: Listener, path: Path) -> None:
    status = CALLS["status"][0]
    listener.answers = [frame(status) for _ in range(3)]
    with UnlockClient(path, timeout=5) as client:
        assert [client.status().pid for _ in range(3)] == [17] * 3
    assert listener.connections == 1


def test_after_a_lock_it_connects_to_the_new_keyholder(listener: Listener, path: Path) -> None:
    listener.answers = [frame({}), frame(CALLS["status"][0])]
    with UnlockClient(path, timeout=5) as client:
        client.lock()
        assert client.status().state == "LOCKED"
    assert listener.connections == 2


def test_secrets_larger_than_the_sockets_buffer_arrive_whole(listener: Listener, path: Path) -> None:
    listener.answers = [frame({"rewrapped": 0})]
    many = {number: bytearray(os.urandom(6001)) for number in range(10)}
    with UnlockClient(path, timeout=5) as client:
        client.connect().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        client.master_key_rotate(many)
    assert listener.received[0][1] == list(many.values())


@pytest.mark.parametrize("size", [65536, 65537])
def test_more_than_64_kib_of_secrets_are_not_sent(listener: Listener, path: Path, size: int) -> None:
    if size == 65536:
        asked(listener, path, UNLOCKED, lambda client: client.unlock(bytearray(size)))
        return
    with pytest.raises(InvalidError) as error:
        asked(listener, path, UNLOCKED, lambda client: client.unlock(bytearray(size)))
    assert error.value.reason == "REQUEST_TOO_LARGE"
    assert listener.received == []


def test_a_label_too_long_for_a_header_is_not_sent(listener: Listener, path: Path) -> None:
    with pytest.raises(InvalidError):
        asked(listener, path, {}, lambda client: client.slot_add(secret("p"), secret("n"), label="x" * 9000))
    assert listener.received == []


def test_the_keyholders_error_arrives_as_its_class(listener: Listener, path: Path) -> None:
    wrong = {"reason": "WRONG_PASSPHRASE", "message": "wrong passphrase", "fields": {}, "metadata": {}}
    early = {"reason": "UNLOCK_DELAYED", "message": "too many", "fields": {}, "metadata": {"retry_after_ms": 5000}}
    with pytest.raises(UnlockError, match="wrong passphrase"):
        asked(listener, path, {"error": wrong}, lambda client: client.unlock(secret("p")))
    with pytest.raises(UnlockDelayedError) as error:
        asked(listener, path, {"error": early}, lambda client: client.unlock(secret("p")))
    assert error.value.retry_after_ms == 5000


def test_a_connection_survives_a_wrong_passphrase(listener: Listener, path: Path) -> None:
    wrong = {"error": {"reason": "WRONG_PASSPHRASE", "message": "wrong"}}
    listener.answers = [frame(wrong), frame(UNLOCKED)]
    with UnlockClient(path, timeout=5) as client:
        with pytest.raises(UnlockError):
            client.unlock(secret("a"))
        assert client.unlock(secret("b")).generation == 7
    assert listener.connections == 1


NONSENSE: dict[str, bytes] = {
    "a huge header": struct.pack(">II", 8193, 0) + b" " * 8193,
    "secrets in an answer": struct.pack(">II", len(frame(CALLS["status"][0])) - 8, 6)
    + frame(CALLS["status"][0])[8:]
    + b"CANARY",
    "no JSON": struct.pack(">II", 6, 0) + b"CANARY",
    "no object": frame(["CANARY"]),
    "no UTF-8": struct.pack(">II", 2, 0) + b"\xff\xfe",
    "deep": struct.pack(">II", 8192, 0) + b"[" * 8192,
    "nothing in it": frame({}),
    "a wrong type": frame(CALLS["status"][0] | {"pid": "CANARY"}),  # type: ignore[operator]
    "a truth for a number": frame(CALLS["status"][0] | {"pid": True}),  # type: ignore[operator]
    "an error without a reason": frame({"error": {"message": "CANARY"}}),
    "an error that is text": frame({"error": "CANARY"}),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_an_answer_that_does_not_follow_the_protocol_is_an_error_without_its_bytes(
    listener: Listener, path: Path, name: str
) -> None:
    with pytest.raises(InternalError) as error:
        asked(listener, path, NONSENSE[name], lambda client: client.status())
    assert error.value.reason == "PROTOCOL_VIOLATION"
    assert "CANARY" not in str(error.value)


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.dictionaries(
    st.sampled_from(["error", "reason", "message", "fields", "metadata", "slots", "slot", "created_ms", "vault_id"]), each
)))  # fmt: skip
def test_no_document_raises_anything_else(document: object) -> None:
    def read() -> object:
        reply = Reply.of(document)
        return reply.error() or reply.slots() or reply.pin()

    try:
        read()
    except VaultClientError:
        return


def test_a_keyholder_that_dies_is_not_running(listener: Listener, path: Path) -> None:
    for cut in (b"", frame(UNLOCKED)[:5], frame(UNLOCKED)[:-1]):
        listener.answered.clear()
        with pytest.raises(NotRunningError) as error:
            asked(listener, path, cut, lambda client: client.unlock(secret("p")))
        assert error.value.reason == "KEYHOLDER_UNAVAILABLE"


def test_a_keyholder_that_does_not_answer_is_given_up(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with UnlockClient(path, timeout=0.1) as client, pytest.raises(TimedOutError):
            client.status()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(path: Path) -> None:
    late, own = (frame(CALLS["status"][0] | {"pid": pid}) for pid in (1, 2))  # type: ignore[operator]
    with socket.socket(socket.AF_UNIX) as server, UnlockClient(path, timeout=0.2) as client:
        server.bind(str(path))
        server.listen()
        server.settimeout(5)
        with pytest.raises(TimedOutError):
            client.status()
        first, _ = server.accept()
        client.timeout = 5
        with first, suppress(OSError):
            first.sendall(late)
        with ThreadPoolExecutor(1) as thread:
            call = thread.submit(client.status)
            second, _ = server.accept()
            with second:
                assert second.recv(4096)
                second.sendall(own)
                assert call.result(5).pid == 2


def test_no_socket_and_nobody_listening_are_not_running(path: Path) -> None:
    with pytest.raises(NotRunningError, match="no socket"), UnlockClient(path) as client:
        client.status()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    with pytest.raises(NotRunningError, match="nobody listens") as error, UnlockClient(path) as client:
        client.status()
    assert error.value.hint == "start it with: vaultd; as a service: sudo systemctl start vaultd"


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="too long"):
        UnlockClient(tmp_path / ("x" * 108))


def test_a_socket_that_may_not_be_opened_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def connect(self, _address: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(RefusedError, match="may not open"), UnlockClient(path) as client:
        client.status()
