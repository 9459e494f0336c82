"""A server that was taken over: `taken_over.py LIE ...` is vaultd but for one answer to its keyholder.

It lies as long as the file `lie` is in its home. The keyholder is the real one, and so are the store and the gate.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from vaultd.server.rows import Rows

Answer = Callable[[Any], Awaitable[Any]]
Lie = Callable[[Rows, Answer, Any], Awaitable[Any]]
_PID = 7
"""Where an audit row has its pid."""


async def _one_twice(_rows: Rows, honest: Answer, payload: Any) -> Any:
    rows, tags, after = await honest(payload)
    if payload["table"] == "credentials" and len(rows) > 1:
        return [rows[0], rows[0], *rows[2:]], [tags[0], tags[0], *tags[2:]], after
    return rows, tags, after


async def _edited(_rows: Rows, honest: Answer, payload: Any) -> Any:
    (newest, previous), *rest = await honest(payload)
    return [[[*newest[:_PID], newest[_PID] + 1, *newest[_PID + 1 :]], previous], *rest]


async def _unfiltered(_rows: Rows, honest: Answer, payload: Any) -> Any:
    return await honest({**payload, "client": "", "decision": ""})


async def _repeated(_rows: Rows, honest: Answer, payload: Any) -> Any:
    found = await honest(payload)
    return [found[0], *found]


async def _other_exchange(_rows: Rows, honest: Answer, reference: Any) -> Any:
    return await honest({"alpha": "beta"}.get(reference, reference))


async def _other_half(_rows: Rows, honest: Answer, payload: Any) -> Any:
    return await honest({**payload, "configuration": "write"})


async def _other_version(_rows: Rows, honest: Answer, payload: Any) -> Any:
    return await honest({**payload, "version": 1})


LIES: dict[str, tuple[str, Lie]] = {
    "one row twice": ("page", _one_twice),
    "an edited entry": ("audit-before", _edited),
    "an entry twice": ("audit-before", _repeated),
    "entries of others": ("audit-before", _unfiltered),
    "another exchange": ("exchange", _other_exchange),
    "the other half": ("credential", _other_half),
    "an older version": ("credential", _other_version),
}
"""Name of a lie to the request of the link that is answered with it."""


def start(daemon: Daemon, lie: str) -> None:
    """Starts a daemon whose server will tell a lie."""
    daemon.start(sys.executable, __file__, lie)


def lying(daemon: Daemon) -> Path:
    """Returns the file that makes it lie."""
    return daemon.home / "lie"


def main() -> None:
    """Runs the daemon. What follows the lie is the command that it stands for."""
    asked, lie = LIES[sys.argv[1]]
    switch = Path(os.environ["HOME"]) / "lie"
    honest_init = Rows.__init__

    def taken_over(self: Rows, *arguments: Any) -> None:
        honest_init(self, *arguments)
        honest = self._answers[asked]

        async def answer(payload: Any) -> Any:
            return await (lie(self, honest, payload) if switch.exists() else honest(payload))

        self._answers[asked] = answer

    Rows.__init__ = taken_over  # type: ignore[method-assign, assignment]
    sys.argv[1:] = []
    from vaultd.__main__ import main as vaultd

    vaultd()


if __name__ == "__main__":
    main()
