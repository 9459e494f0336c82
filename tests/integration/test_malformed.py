"""Bytes that are no request: a typed error without a word of what came, a daemon that lives, and then works as before."""

import json
import os
import random
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from tests.support.daemon import PASSPHRASE, Daemon
from tests.support.processes import until
from vaultd import limits
from vaultd.errors import BY_REASON
from vaultd_api.v1 import exchange_service_pb2 as pb
from vaultd_api.v1.envelope_pb2 import SignedRequest
from vaultd_client import VaultClient, methods
from vaultd_client.methods import Method
from vaultd_client.session import Send, fetch_facts, signed_call

METHODS = [value for value in vars(methods).values() if isinstance(value, Method)]
OPEN = [method for method in METHODS if not method.signed]
SIGNED = [method for method in METHODS if method.signed]
_NOT_FOUND = {"EXCHANGE_NOT_FOUND", "KIND_NOT_FOUND", "BACKUP_NOT_FOUND"}
EXPECTED = {"RECORD_INVALID", "REQUEST_REFUSED", "REQUEST_TOO_LARGE", *_NOT_FOUND}
TEXTS = {BY_REASON[reason].default for reason in EXPECTED} | {
    "the request is not the message of this method",
    "no such kind of exchange; `custom` takes any venue that is not in the catalogue",
}
ROUNDS = 150


@pytest.fixture
def target(house: Daemon) -> Iterator[Daemon]:
    """The vault; afterwards it is the same process, unlocked, as fast as before, and has logged no defect."""
    pids = house.pid, house.keyholder_pid
    before = latency(house)
    descriptors = count_descriptors(house)
    yield house
    assert (house.pid, house.keyholder_pid) == pids
    until(lambda: latency(house) < 3 * before + 0.005, 5)
    until(lambda: count_descriptors(house) <= descriptors + 5, 5)
    with house.admin() as admin:
        assert admin.reveal("binance-main").version == 1
        assert admin.verify_audit().ok
    assert not [word for word in ("Traceback", "failed:") if word in house.log()]


def count_descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def latency(daemon: Daemon) -> float:
    """Returns the median of some calls, in seconds, once the connection stands."""
    with daemon.client() as client:
        client.get("binance-main")
        times = []
        for _ in range(15):
            began = time.perf_counter()
            client.get("binance-main")
            times.append(time.perf_counter() - began)
    return statistics.median(times)


class Thrower:
    """Sends bytes as the request of an RPC and judges the answer."""

    def __init__(self, daemon: Daemon) -> None:
        self._channel = grpc.insecure_channel(f"unix:{daemon.runtime / 'vaultd.sock'}")
        self.reasons: set[str] = set()
        self.answered = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def throw(self, method: Method[Any], request: bytes) -> None:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method.path)
        try:
            call(request, timeout=10)
        except grpc.RpcError as error:
            self._judge(error, request)
        else:
            self.answered += 1
            assert not method.signed, "a signed request was accepted"

    def _judge(self, error: grpc.RpcError, request: bytes) -> None:
        trailers: dict[str, bytes] = {datum.key: datum.value for datum in error.trailing_metadata()}
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and len(request) > limits.MAX_MESSAGE_BYTES:
            self.reasons.add("larger than gRPC takes")
            return
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        assert any(detail.Unpack(info) for detail in status.details)
        assert (info.domain, info.reason in EXPECTED) == ("vaultd", True), info.reason
        assert error.details() == status.message
        assert status.message in TEXTS
        self.reasons.add(info.reason)


def valid_signed(admin: VaultClient) -> bytes:
    """Returns the bytes of a fresh signed request that would be served as they are."""
    wanted = pb.RevealCredentialRequest(exchange="binance-main", configuration="read")
    call = signed_call(admin._session, methods.REVEAL_CREDENTIAL, lambda _binding: wanted)
    step = next(call)
    call.close()
    assert isinstance(step, Send)
    assert step.signed
    return step.request


def told(envelope: bytes) -> tuple[bytes, bytes] | None:
    """Returns what an envelope says, however it says it: a field that comes twice counts once."""
    try:
        message = SignedRequest.FromString(envelope)
    except DecodeError:
        return None
    return message.signed, message.signature


def facts(admin: VaultClient) -> None:
    admin._run(fetch_facts(admin._session))


def mutated(valid: bytes, source: random.Random) -> bytes:
    """Changes a message in one of the ways in which messages break, so that it is another one."""
    at, other = source.randrange(len(valid)), source.randrange(len(valid))
    low, high = min(at, other), max(at, other) + 1
    return source.choice(
        [
            valid[:at] + bytes((valid[at] ^ 1 << source.randrange(8),)) + valid[at + 1 :],
            valid[:at],
            valid + source.randbytes(1 + source.randrange(40)),
            valid[:low] + source.randbytes(high - low) + valid[high:],
            valid[:low] + valid[high:],
            valid[:high] + valid[low:],
            valid + valid,
        ]
    )


# --- as gRPC requests -----------------------------------------------------------------------------------------------


def test_random_bytes_are_refused_by_every_rpc(target: Daemon) -> None:
    source = random.Random(1)
    with Thrower(target) as thrower:
        for _ in range(ROUNDS):
            for method in (source.choice(OPEN), source.choice(SIGNED)):
                thrower.throw(method, source.randbytes(source.choice((1, 2, 16, 100, 4000))))
        for method in METHODS:
            thrower.throw(method, b"")
    assert {"RECORD_INVALID", "REQUEST_REFUSED"} <= thrower.reasons


def test_a_signed_request_with_anything_changed_is_refused(target: Daemon) -> None:
    source = random.Random(2)
    with target.admin() as admin, Thrower(target) as thrower:
        facts(admin)
        valid = valid_signed(admin)
        for _ in range(2 * ROUNDS):
            changed = mutated(valid, source)
            if told(changed) != told(valid):
                thrower.throw(methods.REVEAL_CREDENTIAL, changed)
        for length in range(0, len(valid), 5):
            thrower.throw(methods.REVEAL_CREDENTIAL, valid[:length])
        # The control: it is the changes that are refused.
        admin._send(Send(methods.REVEAL_CREDENTIAL.path, valid, signed=True))
    assert thrower.reasons <= {"RECORD_INVALID", "REQUEST_REFUSED"}


def test_open_requests_with_anything_changed_are_answered_or_refused(target: Daemon) -> None:
    source = random.Random(3)
    valid: dict[Method[Any], bytes] = {
        methods.GET_EXCHANGE: pb.GetExchangeRequest(exchange="binance-main").SerializeToString(),
        methods.GET_KIND: pb.GetKindRequest(kind="binance").SerializeToString(),
        methods.LIST_EXCHANGES: pb.ListExchangesRequest(page_size=10, page_token="YmluYW5jZQ").SerializeToString(),
        methods.LIST_KINDS: pb.ListKindsRequest(page_size=10, page_token="YmluYW5jZQ").SerializeToString(),
    }
    with Thrower(target) as thrower:
        for _ in range(ROUNDS):
            for method, request in valid.items():
                thrower.throw(method, mutated(request, source))
    assert thrower.answered
    assert {"RECORD_INVALID", "EXCHANGE_NOT_FOUND", "KIND_NOT_FOUND"} <= thrower.reasons


def test_nested_groups_end_at_the_parser(target: Daemon) -> None:
    group = b"\x7b", b"\x7c"  # field 15: begin, end
    with Thrower(target) as thrower:
        for depth in (10, 99, 101, 1_000, 30_000):
            for method in METHODS:
                thrower.throw(method, group[0] * depth + group[1] * depth)
                thrower.throw(method, group[0] * depth)
    assert "RECORD_INVALID" in thrower.reasons


def test_oversized_requests_are_refused_and_cost_no_memory(target: Daemon) -> None:
    def resident() -> int:
        return int(Path(f"/proc/{target.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    before = resident()
    field = b"\x0a"  # field 1 of every request: a name, a token, or the signed bytes
    with Thrower(target) as thrower:
        for size in (limits.MAX_SIGNED_BYTES + 1, limits.MAX_MESSAGE_BYTES + 1, 1 << 20, 40 << 20):
            length, left = b"", size
            while left > 0x7F:
                length, left = length + bytes((left & 0x7F | 0x80,)), left >> 7
            for method in (methods.GET_EXCHANGE, methods.REVEAL_CREDENTIAL):
                thrower.throw(method, field + length + bytes((left,)) + b"x" * size)
    assert {"larger than gRPC takes", "REQUEST_TOO_LARGE", "EXCHANGE_NOT_FOUND"} == thrower.reasons
    assert resident() - before < 20 << 20


# --- as bytes on the socket -----------------------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


SETTINGS = frame(4, 0, 0, b"")
STREAMS: dict[str, bytes] = {
    "http/1": b"GET / HTTP/1.1\r\nHost: vault\r\n\r\n",
    "http/1 with a body": b"POST /vaultd.v1.VaultService/GetVault HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "tls": bytes.fromhex("16030100c4010000c00303") + bytes(185),
    "zeros": bytes(5000),
    "preface cut": PREFACE[:11],
    "preface twice": PREFACE + PREFACE,
    "huge frame": PREFACE + SETTINGS + frame(0, 0, 1, b"", 0xFFFFFF),
    "data without headers": PREFACE + SETTINGS + frame(0, 1, 1, b"x" * 100),
    "headers that do not decode": PREFACE + SETTINGS + frame(1, 4, 1, b"\xff" * 50),
    "endless headers": PREFACE + SETTINGS + frame(1, 0, 1, b"") + frame(9, 0, 1, b"\0" * 16_000) * 20,
    "window of zero": PREFACE + SETTINGS + frame(8, 0, 0, bytes(4)),
    "settings flood": PREFACE + SETTINGS * 5_000,
    "ping flood": PREFACE + SETTINGS + frame(6, 0, 0, bytes(8)) * 5_000,
    "reset flood": PREFACE + SETTINGS + b"".join(frame(3, 0, stream, bytes(4)) for stream in range(1, 2001, 2)),
    "unknown frames": PREFACE + SETTINGS + frame(200, 255, 1, bytes(100)) * 100,
}


def say(path: Path, content: bytes) -> bytes:
    """Sends bytes, says that this was all, and returns what comes back until the other side closes."""
    received = b""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(15)
        sock.connect(str(path))
        try:
            sock.sendall(content)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                received += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # Refused before all was said: that is an answer too.
    return received


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_not_grpc_ends_its_own_connection(target: Daemon, name: str) -> None:
    answer = say(target.runtime / "vaultd.sock", STREAMS[name])
    for foreign in (b"vaultd", b"Traceback", b"/tmp", b"binance"):
        assert foreign not in answer


def test_random_bytes_after_a_good_beginning_end_their_own_connections(target: Daemon) -> None:
    source = random.Random(4)
    for number in range(60):
        beginning = (b"", PREFACE, PREFACE + SETTINGS)[number % 3]
        say(target.runtime / "vaultd.sock", beginning + source.randbytes(source.choice((1, 9, 200, 20_000))))


# --- on the unlock socket -------------------------------------------------------------------------------------------


def packed(header: object, secrets: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", len(text), len(secrets)) + text + secrets


def op(name: str, secrets: bytes = b"", **more: object) -> bytes:
    return packed({"op": name, "secrets": [len(secrets)] if secrets else [], **more}, secrets)


FRAMES: dict[str, tuple[bytes, str]] = {
    "no JSON": (packed(b"hello"), "PROTOCOL_VIOLATION"),
    "no UTF-8": (packed(b"\xff\xfe\xfd"), "PROTOCOL_VIOLATION"),
    "empty": (packed(b""), "PROTOCOL_VIOLATION"),
    "no object": (packed([1, 2]), "PROTOCOL_VIOLATION"),
    "deep": (packed(b"[" * 8000), "PROTOCOL_VIOLATION"),
    "deep object": (packed(b'{"a":' * 1500), "PROTOCOL_VIOLATION"),
    "huge number": (packed(b'{"op":' + b"9" * 8000 + b"}"), "PROTOCOL_VIOLATION"),
    "no operation": (packed({}), "PROTOCOL_VIOLATION"),
    "unknown operation": (op("open-sesame"), "PROTOCOL_VIOLATION"),
    "header too long": (struct.pack(">II", 8193, 0), "PROTOCOL_VIOLATION"),
    "secrets too long": (struct.pack(">II", 2, 65537) + b"{}", "PROTOCOL_VIOLATION"),
    "secrets not told": (packed({"op": "unlock"}, b"12345678"), "PROTOCOL_VIOLATION"),
    "secrets of other lengths": (packed({"op": "slot-add", "secrets": [4, 5]}, b"12345678"), "PROTOCOL_VIOLATION"),
    "a secret of negative length": (packed({"op": "slot-add", "secrets": [-4, 12]}, b"12345678"), "PROTOCOL_VIOLATION"),
    "lengths that are no numbers": (packed({"op": "unlock", "secrets": ["8"]}, b"12345678"), "PROTOCOL_VIOLATION"),
    "lengths that are no list": (packed({"op": "unlock", "secrets": 8}, b"12345678"), "PROTOCOL_VIOLATION"),
    "one secret where two belong": (op("slot-add", b"12345678", kind="passphrase"), "RECORD_INVALID"),
    "no secret where one belongs": (op("slot-remove", slot=1), "RECORD_INVALID"),
    "a kind that is a list": (packed({"op": "slot-add", "secrets": [8, 8], "kind": []}, b"1" * 16), "RECORD_INVALID"),
    "a label that is a number": (packed({"op": "slot-add", "secrets": [8, 8], "kind": "passphrase", "label": 7}, b"1" * 16), "RECORD_INVALID"),
    "a slot that is an object": (op("slot-remove", b"12345678", slot={"a": 1}), "SLOT_NOT_FOUND"),
    "unlock while unlocked": (op("unlock", b"12345678"), "VAULT_INITIALIZED"),
    "initialize again": (op("initialize", b"12345678"), "VAULT_INITIALIZED"),
    "http": (b"GET / HTTP/1.1\r\nHost: vault\r\n\r\n", "PROTOCOL_VIOLATION"),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_a_broken_message_to_the_keyholder_costs_its_connection_at_most(target: Daemon, name: str) -> None:
    content, reason = FRAMES[name]
    answer = say(target.runtime / "unlock.sock", content)
    length = struct.unpack(">II", answer[:8])[0]
    error = json.loads(answer[8 : 8 + length])["error"]
    assert error["reason"] == reason
    assert b"12345678" not in answer


def test_messages_that_never_end_and_callers_that_hang_up_are_forgotten(target: Daemon) -> None:
    whole = op("slot-remove", PASSPHRASE, slot=1)
    for length in range(len(whole)):
        assert say(target.runtime / "unlock.sock", whole[:length]) == b""


def test_random_bytes_to_the_keyholder_never_reach_it_as_a_request(target: Daemon) -> None:
    source = random.Random(5)
    for _ in range(100):
        answer = say(target.runtime / "unlock.sock", source.randbytes(source.choice((1, 8, 9, 100, 70_000))))
        assert not answer or b"PROTOCOL_VIOLATION" in answer
