"""A server that was taken over: run by path it is vaultd, but for one answer to its keyholder while `lying`.

The keyholder is the real one, and so are the store and the gate.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from vaultd.server.rows import Rows

Answer = Callable[[Any], Awaitable[Any]]
Lie = Callable[..., Awaitable[Any]]
SWITCH = "lie"
_PID = 7
"""Where an audit row has its pid."""


async def _one_twice(honest: Answer, payload: Any) -> Any:
    rows, tags, after = await honest(payload)
    if payload["table"] == "credentials" and len(rows) > 1:
        return [rows[0], rows[0], *rows[2:]], [tags[0], tags[0], *tags[2:]], after
    return rows, tags, after


async def _edited(honest: Answer, payload: Any) -> Any:
    (newest, previous), *rest = await honest(payload)
    return [[[*newest[:_PID], newest[_PID] + 1, *newest[_PID + 1 :]], previous], *rest]


async def _unfiltered(honest: Answer, payload: Any) -> Any:
    return await honest({**payload, "client": "", "decision": ""})


async def _repeated(honest: Answer, payload: Any) -> Any:
    found = await honest(payload)
    return [found[0], *found]


async def _other_exchange(honest: Answer, reference: Any) -> Any:
    return await honest({"alpha": "beta"}.get(reference, reference))


async def _changed(honest: Answer, payload: Any, number: int) -> Any:
    (row,) = await honest(payload)
    return [flipped(row, number)]


def flipped(row: Sequence[Any], number: int) -> list[Any]:
    """Returns a row, its tag included, with the bit of that number changed; after the last one it begins anew."""
    lengths = [32 if isinstance(value, int) else 8 * len(value) for value in row]
    number %= sum(lengths)
    at = 0
    while number >= lengths[at]:
        number -= lengths[at]
        at += 1
    value, changed = row[at], list(row)
    if isinstance(value, int):
        changed[at] = value ^ 1 << number
    elif isinstance(value, bytes):
        changed[at] = value[: number // 8] + bytes((value[number // 8] ^ 1 << number % 8,)) + value[number // 8 + 1 :]
    else:
        other = chr(ord(value[number // 8]) ^ 1 << number % 8)
        changed[at] = value[: number // 8] + other + value[number // 8 + 1 :]
    return changed


async def _other_half(honest: Answer, payload: Any) -> Any:
    return await honest({**payload, "configuration": "write"})


async def _other_version(honest: Answer, payload: Any) -> Any:
    return await honest({**payload, "version": 1})


LIES: dict[str, tuple[str, Lie]] = {
    "one row twice": ("page", _one_twice),
    "an edited entry": ("audit-before", _edited),
    "an entry twice": ("audit-before", _repeated),
    "entries of others": ("audit-before", _unfiltered),
    "another exchange": ("exchange", _other_exchange),
    "the other half": ("credential", _other_half),
    "an older version": ("credential", _other_version),
    "a changed exchange": ("exchange", _changed),
    "a changed credential": ("credential", _changed),
}
"""Name of a lie to the request of the link that is answered with it; the last two go on with ` #` and a number."""


@contextmanager
def lying(daemon: Daemon, lie: str) -> Iterator[None]:
    """Has the server tell a lie."""
    switch = daemon.home / SWITCH
    switch.write_text(lie)
    yield
    switch.unlink()


def start(daemon: Daemon) -> None:
    """Starts a daemon whose server was taken over, and which is honest so far."""
    daemon.start(sys.executable, __file__)


def _bent(rows: Rows, asked: str) -> Answer:
    honest, switch = rows._answers[asked], Path(os.environ["HOME"]) / SWITCH

    async def answer(payload: Any) -> Any:
        wanted, _, number = (switch.read_text() if switch.exists() else "").partition(" #")
        if wanted and LIES[wanted][0] == asked:
            return await LIES[wanted][1](honest, payload, *([int(number)] if number else []))
        return await honest(payload)

    return answer


def main() -> None:
    """Runs the daemon. The arguments are the command that this one stands for."""
    made = Rows.__init__

    def take_over(self: Rows, *arguments: Any) -> None:
        made(self, *arguments)
        self._answers |= {asked: _bent(self, asked) for asked, _ in LIES.values()}

    Rows.__init__ = take_over  # type: ignore[method-assign, assignment]
    sys.argv[1:] = []
    from vaultd.__main__ import main as vaultd

    vaultd()


if __name__ == "__main__":
    main()
