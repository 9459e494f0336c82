"""What systemd sees of the server: ready, a line of status, the watchdog, and a reload that never sticks.

Ready means that masks are served. Whether the vault is unlocked is another question: a locked vault that waited with
READY for a person would be restarted for ever.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from vaultd.errors import VaultError
from vaultd.model import VaultState
from vaultd.notify import Notifier
from vaultd.server.custody import Custody
from vaultd.store import queries
from vaultd.store.store import Store

log = logging.getLogger(__name__)
_STATUS_SECONDS = 10.0
"""How old the numbers of the status line may be."""


class Supervision:
    """Tells systemd. `reload` applies changed settings, or raises VaultError and leaves the old ones."""

    def __init__(self, notifier: Notifier, custody: Custody, store: Store, apply: Callable[[], Awaitable[str]]) -> None:
        self._notifier = notifier
        self._custody = custody
        self._store = store
        self._apply = apply
        self._last_unlock_ms = 0
        self._note = ""
        self._told = ""
        self._beating: asyncio.Task[None] | None = None
        self._asked = False
        self._reloading: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Says that masks are served, and begins to say how it goes."""
        self._notifier.tell("READY=1", await self._status())
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def changed(self) -> None:
        """Says the new state."""
        text = await self._status()
        if text != self._told:
            self._told = text
            self._notifier.tell(text)

    def reload(self) -> None:
        """Takes the settings in again, as SIGHUP asks."""
        self._asked = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    def stopping(self) -> None:
        """Says that the end has begun."""
        self._notifier.tell("STOPPING=1", "STATUS=stopping")
        for task in (self._beating, self._reloading):
            if task is not None:
                task.cancel()

    async def _reload(self) -> None:
        # Asked again meanwhile, for settings that may have changed since, systemd waits for another READY.
        while self._asked:
            self._asked = False
            await self._reload_once()

    async def _reload_once(self) -> None:
        self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            self._note = await self._apply()
            log.info("settings were read again%s", f"; {self._note}" if self._note else "")
        except VaultError as error:
            self._note = f"settings NOT reloaded, the old ones stay: {error.message}"
            log.warning(self._note)
        finally:
            # Whatever came of it: without READY systemd would wait, and take the service for hanging.
            self._notifier.tell("READY=1")
        await self.changed()

    async def _beat(self) -> None:
        """Answers the watchdog from the event loop: while it turns, calls are answered.

        Not from the store: a disk that hangs is not mended by a restart, which would need the disk to come back.
        """
        interval = self._notifier.watchdog_seconds / 2 or _STATUS_SECONDS
        status_due = time.monotonic() + _STATUS_SECONDS
        reading: asyncio.Task[None] | None = None
        while True:
            self._notifier.tell("WATCHDOG=1")
            if time.monotonic() >= status_due and (reading is None or reading.done()):
                status_due = time.monotonic() + _STATUS_SECONDS
                reading = asyncio.get_running_loop().create_task(self.changed())
            await asyncio.sleep(min(interval, _STATUS_SECONDS))

    async def _status(self) -> str:
        view = self._custody.view
        if view.unlocked_ms:
            self._last_unlock_ms = view.unlocked_ms
        try:
            exchanges, clients = await self._store.read(queries.counts)
            counts = f"{exchanges} exchanges, {clients} clients"
        except VaultError as error:
            counts = f"the store cannot be read: {error.reason}"
        state = view.state.lower()
        if view.state == VaultState.LOCKED:
            state += f" ({view.lock_cause})" if view.lock_cause else ""
            state += "; waits for: vaultctl unlock"
        elif view.state == VaultState.UNINITIALIZED:
            state += "; waits for: vaultctl init"
        last = f"; last unlock {_moment(self._last_unlock_ms)}" if self._last_unlock_ms else ""
        return f"STATUS={state}; {counts}{last}" + (f"; {self._note}" if self._note else "")


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
