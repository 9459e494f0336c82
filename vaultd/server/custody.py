"""Custody of the keyholder: starts it, relays to it, replaces it when it dies. Knows its state, never a key."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from vaultd.errors import (
    KeyholderUnavailableError,
    VaultLockedError,
    VaultUninitializedError,
)
from vaultd.keyholder.process import Process, spawn
from vaultd.keyholder.stub import Stub
from vaultd.limits import KEYHOLDER_START_SECONDS
from vaultd.model import Check, KdfParameters, VaultState
from vaultd.server.rows import Rows
from vaultd.store import queries
from vaultd.store.migrations import SCHEMA_VERSION
from vaultd.store.store import Store

log = logging.getLogger(__name__)
_QUICK_DEATH_SECONDS = 5.0
_RESPAWN_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class View:
    """What the server knows of the vault; bytes empty where there is nothing to know."""

    state: VaultState = VaultState.LOCKED
    vault_id: bytes = b""
    identity: bytes = b""
    epoch: bytes = b""
    seal_key: bytes = b""
    seal_key_signature: bytes = b""
    unlocked_ms: int = 0
    lock_cause: str = ""
    checks: tuple[Check, ...] = field(default=())


class Custody:
    """Owns the one live keyholder. All methods run on the main thread's event loop."""

    def __init__(
        self, store: Store, rows: Rows, unlock_listener: socket.socket, kdf_floor: KdfParameters | None
    ) -> None:
        self.view = View()
        self._store = store
        self._rows = rows
        self._unlock_listener = unlock_listener
        self._kdf_floor = kdf_floor
        self._stub: Stub | None = None
        self._closing = False
        self._started = 0.0
        self._cause = ""
        self._respawning: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.changed: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def start(self, process: Process) -> None:
        """Takes charge of a keyholder that was started before the event loop."""
        await self._adopt(process)

    async def call(self, payload: dict[str, Any]) -> dict[str, bytes]:
        """Relays one signed request; its answer, or its error."""
        if self.view.state != VaultState.UNLOCKED:
            raise VaultLockedError if self.view.state == VaultState.LOCKED else VaultUninitializedError
        stub = self._stub
        if stub is None:
            raise KeyholderUnavailableError
        answer: dict[str, bytes] = await stub.request("call", payload)
        return answer

    async def stop(self) -> None:
        """Ends the keyholder for good."""
        self._closing = True
        if self._respawning is not None:
            self._respawning.cancel()
        if self._stub is not None:
            self._stub.close()
            self._stub.process.kill()

    # --- life and death ---------------------------------------------------------------------------------------

    def _tell(self) -> None:
        if self.changed is not None:
            task = asyncio.get_running_loop().create_task(self.changed())
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _adopt(self, process: Process) -> None:
        self._started = time.monotonic()
        self._cause = ""
        stub = Stub(process, self._rows, self._event, self._gone)
        try:
            await stub.start()
            vault, failures = await self._store.read(
                lambda connection: (queries.vault(connection), queries.failures(connection))
            )
            floor = self._kdf_floor
            hello = await asyncio.wait_for(
                stub.request(
                    "hello",
                    {
                        "initialized": bool(vault),
                        "failures": failures,
                        "schema_version": SCHEMA_VERSION,
                        "kdf_floor": [floor.memory_kib, floor.passes, floor.lanes] if floor else None,
                    },
                ),
                KEYHOLDER_START_SECONDS,
            )
            if stub.closed:
                raise KeyholderUnavailableError
        except BaseException:
            stub.close()
            raise
        self._stub = stub
        self.view = replace(
            self.view,
            state=VaultState.LOCKED if vault else VaultState.UNINITIALIZED,
            vault_id=vault[0].row.vault_id if vault else b"",
            identity=vault[0].row.identity if vault else b"",
            checks=tuple(Check(*check) for check in hello["checks"]),
        )

    def _event(self, name: str, payload: Any) -> None:
        if name == "locking":
            # Sent before the reply to the lock: who has that reply never finds the vault unlocked.
            self._cause = str(payload["cause"])
            self._locked(self._cause)
            return
        self.view = replace(
            self.view,
            state=VaultState(payload["state"]),
            vault_id=payload["vault_id"],
            identity=payload["identity"],
            epoch=payload["epoch"],
            seal_key=payload["seal_key"],
            seal_key_signature=payload["seal_key_signature"],
            unlocked_ms=payload["unlocked_ms"],
            lock_cause="",
        )
        log.info("unlocked")
        self._tell()

    def _gone(self, stub: Stub) -> None:
        """The death of the keyholder, for whatever reason, is the locked state."""
        stub.process.kill()
        if self._closing or stub is not self._stub:
            return  # One that died before it was in charge: `_adopt` raises, and who called it starts the next.
        self._stub = None
        cause = self._cause or "the keyholder died"
        self._locked(cause)
        log.info("locked: %s", cause)
        self._tell()
        self._respawning = asyncio.get_running_loop().create_task(self._respawn())

    def _locked(self, cause: str) -> None:
        was_unlocked = self.view.state == VaultState.UNLOCKED
        self.view = replace(
            self.view,
            state=VaultState.LOCKED if self.view.vault_id else VaultState.UNINITIALIZED,
            epoch=b"",
            seal_key=b"",
            seal_key_signature=b"",
            unlocked_ms=0,
            lock_cause=cause if was_unlocked or self._cause else self.view.lock_cause,
        )

    async def _respawn(self) -> None:
        while not self._closing:
            if time.monotonic() - self._started < _QUICK_DEATH_SECONDS and not self._cause:
                # It died at once and unasked: a pause keeps a defect from spinning.
                await asyncio.sleep(_RESPAWN_PAUSE_SECONDS)
            try:
                await self._adopt(spawn(self._unlock_listener))
            except Exception as error:  # noqa: BLE001  without a keyholder nothing can ever be unlocked again
                log.warning("a new keyholder could not be started (%s); trying again", type(error).__name__)
                await asyncio.sleep(_RESPAWN_PAUSE_SECONDS)
            else:
                return
