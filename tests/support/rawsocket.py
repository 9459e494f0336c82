"""Nonsense for the sockets, below gRPC: HTTP/2 frames, noise, and messages of the unlock socket."""

import json
import random
import socket
import struct
from collections.abc import Callable
from typing import Any

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def deliver(path: str, data: bytes) -> bytes:
    """Sends bytes, says that no more come, and returns what comes back until the other side closes."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                answer += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # Closed while we were still talking.
    return answer


def _frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    """Returns an HTTP/2 frame (RFC 9113, section 4.1), whose length may be a lie."""
    said = len(payload) if length is None else length
    return struct.pack(">I", said)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _noise(chance: random.Random, word: str) -> bytes:
    return chance.randbytes(chance.randrange(1, 300)) + word.encode()


def _other_protocol(chance: random.Random, word: str) -> bytes:
    return chance.choice((b"GET /%b HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00%b", b'{"%b": 1}\n', b"SSH-2.0-%b\r\n")) % word.encode()


def _frames(chance: random.Random, word: str) -> bytes:
    """A good preface, then frames of any type, flags, stream and length."""
    made = PREFACE + _frame(4, 0, 0, b"")
    for _ in range(chance.randrange(1, 8)):
        payload = chance.randbytes(chance.randrange(60)) + word.encode()
        length = chance.choice((None, None, 0, 0xFFFFFF, len(payload) + 1))
        made += _frame(chance.randrange(12), chance.randrange(256), chance.choice((0, 1, 2, 3, 2**31 - 1)), payload, length)
    return made


def _headers(chance: random.Random, word: str) -> bytes:
    """HEADERS whose compressed block is nonsense, or a bomb that never ends (CONTINUATION without END_HEADERS)."""
    block = chance.randbytes(chance.randrange(1, 200)) + word.encode()
    return PREFACE + _frame(4, 0, 0, b"") + _frame(1, 0, 1, block) + _frame(9, 0, 1, block) * chance.randrange(20)


def _settings(chance: random.Random, word: str) -> bytes:
    """Settings of any value, many pings, resets of streams that were never opened."""
    settings = b"".join(struct.pack(">HI", chance.randrange(9), chance.choice((0, 1, 2**31, 2**32 - 1))) for _ in range(8))
    pings = _frame(6, 0, 0, word.encode()[:8]) * chance.randrange(100)
    return PREFACE + _frame(4, 0, 0, settings) + pings + _frame(3, 0, 5, struct.pack(">I", 8)) * chance.randrange(100)


HTTP2: tuple[Callable[[random.Random, str], bytes], ...] = (_noise, _other_protocol, _frames, _headers, _settings)
"""Makers of nonsense that holds a word."""


def unlock_garbage(chance: random.Random, word: str) -> bytes:
    """Returns a message for the unlock socket: noise, a lie about its lengths, JSON of the wrong shape."""
    shape = chance.randrange(4)
    if shape == 0:
        return chance.randbytes(chance.randrange(1, 100)) + word.encode()
    values: tuple[Any, ...] = (None, True, -1, 2**70, word, [word], {word: word}, 1.5e308, "\0", [[[[]]]])
    header = {
        "op": chance.choice(("status", "slot-list", "slot-add", "initialize", "unlock", word, None, ["lock"])),
        "secrets": chance.choice(([], [5], [len(word)], [0], [-1], [2**70], word, None)),
        chance.choice(("slot", "kind", "kdf", "administrator", "with", "label")): chance.choice(values),
    }
    text = json.dumps(header).encode()
    secret = word.encode() if shape == 2 else b""
    lie = chance.choice((0, 0, 0, 1, -1, 2**20))
    return struct.pack(">II", max(0, len(text) + lie), len(secret)) + text + secret
