"""The link between server and keyholder: frames, message names, and what each side may ask.

A frame is `u32 length || MessagePack [kind, number, name, payload]`. Both sides ask and answer. What the server may ask
of the keyholder is SERVER_REQUESTS; what the keyholder may ask of the server is KEYHOLDER_REQUESTS. Anything else ends the process that receives it.

Connections (SCM_RIGHTS) do not travel between frames: the server's hello brings a socket along (SOCK_SEQPACKET), and
each `credential` has one message on it, of one byte and one descriptor, sent before the request.
"""

from collections.abc import Iterator
from typing import Any

import msgpack

from vaultd.errors import ProtocolViolationError
from vaultd.limits import MAX_LINK_FRAME
from vaultd.packing import PACK_BUFFER

REQUEST, RESULT, ERROR, EVENT = range(4)

VERSION = 2
"""Of the link: the first thing that hello compares, for a keyholder of its own unit outlives an upgrade of the server."""

SERVER_REQUESTS = frozenset({"hello", "call", "settings", "credential", "unit-ended"})
"""Whatever the state: the refusal of a locked vault is the keyholder's answer, not its death, for a request may cross a lock on
its way. `credential` passes a connection of credentials.sock on, `unit-ended` tells of the end of a unit that was given a key."""
KEYHOLDER_REQUESTS = frozenset(
    {
        "open",
        "failures",
        "page",
        "pages-sound",
        "audit-facts",
        "commit",
        "stage",
        "exchange",
        "exchange-by-name",
        "exchanges",
        "credential",
        "fingerprint",
        "audit-after",
        "audit-before",
        "copy",
        "copy-finish",
    }
)
EVENTS = frozenset({"state", "locking"})


def encode(kind: int, number: int, name: str, payload: Any) -> bytes:
    """Returns one frame; ProtocolViolationError where it would be longer than `limits.MAX_LINK_FRAME`."""
    body: bytes = msgpack.packb([kind, number, name, payload], buf_size=PACK_BUFFER)
    if len(body) > MAX_LINK_FRAME:
        raise ProtocolViolationError("a link frame would be too long")
    return len(body).to_bytes(4, "big") + body


class Decoder:
    """Takes frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[int, int, str, Any]]:
        """Yields kind, number, name and payload of every whole frame; ProtocolViolationError on any defect."""
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > MAX_LINK_FRAME:
                raise ProtocolViolationError
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            yield _frame(body)


def _frame(body: bytes) -> tuple[int, int, str, Any]:
    try:
        frame = msgpack.unpackb(body, use_list=True, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError):
        raise ProtocolViolationError from None
    match frame:
        case [int(kind), int(number), str(name), payload] if REQUEST <= kind <= EVENT:
            return kind, number, name, payload
    raise ProtocolViolationError
