"""Custody of the keyholder: takes it up, relays to it, finds the next when it dies. Knows its state, never a key.

`begin` is what the two modes differ in: it starts a keyholder, or connects to the one that is a unit of its own.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from vaultd.errors import (
    KeyholderUnavailableError,
    VaultError,
    VaultLockedError,
    VaultUninitializedError,
)
from vaultd.keyholder import protocol
from vaultd.keyholder.process import Held
from vaultd.keyholder.stub import Stub
from vaultd.limits import KEYHOLDER_START_SECONDS, KEYHOLDER_WAIT_SECONDS
from vaultd.model import Check, KdfParameters, VaultState
from vaultd.server.peer import Peer
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
        self, store: Store, rows: Rows, begin: Callable[[], Held], kdf_floor: KdfParameters | None
    ) -> None:
        self.view = View()
        self.units: dict[str, str] = {}
        """Units that were given a client key for this run, and the control group of the run."""
        self._store = store
        self._rows = rows
        self._begin = begin
        self._kdf_floor = kdf_floor
        self._stub: Stub | None = None
        self._closing = False
        self._started = 0.0
        self._cause = ""
        self._unreached = False
        self._tried = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.changed: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def start(self, process: Held | None) -> None:
        """Takes charge of a keyholder: of `process`, started before the event loop, or of the unit's.

        That one may be missing, foreign or silent. Masks are served without it then, and it is tried for all the same.
        """
        if process is not None:
            await self._adopt(process)
            return
        self._renewing = asyncio.get_running_loop().create_task(self._renew())
        try:
            await asyncio.wait_for(self._tried.wait(), KEYHOLDER_WAIT_SECONDS)
        except TimeoutError:
            self._unreachable("it does not answer; systemctl status vaultd-keyholder")

    async def set_kdf_floor(self, floor: KdfParameters | None) -> None:
        """Has the keyholder upgrade weaker slots from the next unlock on."""
        self._kdf_floor = floor
        if self._stub is not None:
            await self._stub.request("settings", _wire(floor))

    async def call(self, payload: dict[str, Any]) -> dict[str, bytes]:
        """Relays one signed request; its answer, or its error."""
        if self.view.state != VaultState.UNLOCKED:
            raise VaultLockedError if self.view.state == VaultState.LOCKED else VaultUninitializedError
        stub = self._stub
        if stub is None:
            raise KeyholderUnavailableError
        answer: dict[str, bytes] = await stub.request("call", payload)
        return answer

    async def pass_on(self, connection: socket.socket, peer: Peer, cgroup: str) -> None:
        """Hands a connection of credentials.sock over, and remembers a unit that was given a client key.

        Raises:
            VaultError: Why the keyholder refuses it, for the administrator's eyes.
        """
        stub = self._stub
        if stub is None:
            raise KeyholderUnavailableError
        payload = {"peer": [peer.uid, peer.gid, peer.pid, peer.unit, peer.started_ms], "cgroup": cgroup}
        answer = await stub.request("credential", payload, passed=connection)
        if answer["minted"]:
            self.units[peer.unit] = cgroup

    async def unit_ended(self, unit: str) -> None:
        """Has the key of a unit taken back: it has stopped."""
        cgroup = self.units.get(unit)
        if cgroup is None:
            return  # The keyholder died while another unit's end was told, and its keys with it.
        if self._stub is not None:
            await self._stub.request("unit-ended", {"unit": unit, "cgroup": cgroup})
        if self.units.get(unit) == cgroup:
            del self.units[unit]

    async def stop(self) -> None:
        """Is done with the keyholder, which ends it where it is our child."""
        self._closing = True
        if self._renewing is not None:
            self._renewing.cancel()
        if self._stub is not None:
            self._stub.close()
            self._stub.process.kill()

    # --- life and death ---------------------------------------------------------------------------------------

    def _tell(self) -> None:
        if self.changed is not None:
            task = asyncio.get_running_loop().create_task(self.changed())
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _adopt(self, process: Held) -> None:
        self._started = time.monotonic()
        self._cause = ""
        stub = Stub(process, self._rows, self._rows.commit, self._event, self._gone)
        try:
            await stub.start()
            vault, failures = await self._store.read(
                lambda connection: (queries.vault(connection), queries.failures(connection))
            )
            # Before hello: a keyholder that is unlocked says so, and what it says must stand.
            self.view = replace(
                self.view,
                state=VaultState.LOCKED if vault else VaultState.UNINITIALIZED,
                vault_id=vault[0].row.vault_id if vault else b"",
                identity=vault[0].row.identity if vault else b"",
            )
            floor = self._kdf_floor
            hello = await asyncio.wait_for(
                stub.hello(
                    {
                        "link_version": protocol.VERSION,
                        "initialized": bool(vault),
                        "failures": failures,
                        "schema_version": SCHEMA_VERSION,
                        "kdf_floor": _wire(floor),
                    }
                ),
                KEYHOLDER_START_SECONDS,
            )
            while floor != self._kdf_floor:  # The settings were read again meanwhile.
                floor = self._kdf_floor
                await stub.request("settings", _wire(floor))
            if stub.closed:
                raise KeyholderUnavailableError
        except BaseException:
            stub.close()
            raise
        self._stub = stub
        self.units = dict(hello["units"])
        self.view = replace(self.view, checks=tuple(Check(*check) for check in hello["checks"]))
        if self._unreached:
            self._unreached = False
            self.view = replace(self.view, lock_cause="")
        self._tell()

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
        self.units = {}
        cause = self._cause or "the keyholder died"
        self._locked(cause)
        log.info("locked: %s", cause)
        self._tell()
        self._renewing = asyncio.get_running_loop().create_task(self._renew())

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

    async def _renew(self) -> None:
        while not self._closing:
            if time.monotonic() - self._started < _QUICK_DEATH_SECONDS and self._started and not self._cause:
                # It died at once and unasked: a pause keeps a defect from spinning.
                await asyncio.sleep(_RESPAWN_PAUSE_SECONDS)
            try:
                await self._adopt(self._begin())
            except Exception as error:  # noqa: BLE001  without a keyholder nothing can ever be unlocked again
                self._unreachable(error.message if isinstance(error, VaultError) else type(error).__name__)
                self._tried.set()
                await asyncio.sleep(_RESPAWN_PAUSE_SECONDS)
            else:
                self._tried.set()
                return

    def _unreachable(self, why: str) -> None:
        log.warning("no keyholder: %s; trying again", why)
        self._locked(self._cause or "the keyholder died")
        if not self._cause:
            self._unreached = True
            self.view = replace(self.view, lock_cause=f"no keyholder: {why}")
        self._tell()


def _wire(floor: KdfParameters | None) -> list[int] | None:
    return [floor.memory_kib, floor.passes, floor.lanes] if floor else None
