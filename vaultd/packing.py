"""The one encoding of a row for its tag: a MessagePack array of the table's name and the columns in order."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgpack

PACK_BUFFER = 1024
"""First size of a buffer to pack into. msgpack's own, 256 KiB, is taken from the system and given back on every call."""


def pack_row(table: str, values: Sequence[Any]) -> bytes:
    """Returns the bytes that a row's tag covers."""
    return cast(bytes, msgpack.packb([table, *values], buf_size=PACK_BUFFER))


def row_packer() -> Callable[[Sequence[Any]], bytes]:
    """Returns what packs many rows, each already headed by its table's name: one buffer for all of them."""
    return cast("Callable[[Sequence[Any]], bytes]", msgpack.Packer().pack)


def unpack_row(packed: bytes) -> tuple[str, list[Any]]:
    """Returns table and columns of a packed row that its tag has vouched for."""
    table, *values = msgpack.unpackb(packed)
    return table, values
