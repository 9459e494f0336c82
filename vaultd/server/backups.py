"""Copies of the store that wait to be read: at most one, for the uid that asked for it.

Threat: a backup has metadata of hidden exchanges, the audit, and slots whose passphrases can be guessed at. Measure:
the keyholder decides who may have one (permission Vault:Backup) and gives only him, sealed, the token that reads it;
the token is good for calls of his uid, as the kernel reports it. Limit: so it is for other processes of that uid.
"""

import asyncio
import hmac
import os
import secrets
import time
from dataclasses import dataclass
from typing import Any

from vaultd import limits
from vaultd.errors import BackupNotFoundError, RateLimitedError
from vaultd.model import IntegrityRow
from vaultd.store import copying
from vaultd.store.store import Store


@dataclass(slots=True)
class _Waiting:
    copy: copying.Finished
    token: bytes
    uid: int


class Backups:
    """Makes copies for the keyholder, and hands out their bytes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._raw: copying.Raw | None = None
        self._making = False
        self._waiting: _Waiting | None = None
        self._touched = 0.0
        self._expiry: asyncio.TimerHandle | None = None
        copying.remove_old(store.path.parent)

    async def copy(self, _payload: Any) -> dict[str, Any]:
        """Copies the store; returns generation and slots of the copy.

        Raises:
            RateLimitedError: Another copy is being made or read.
        """
        if self._making or self._waiting is not None:
            raise RateLimitedError("another backup is being made; try again when it is done")
        self._drop_raw()  # The keyholder that had asked for it died before it finished it.
        self._making = True
        try:
            self._raw = raw = await copying.copy(self._store)
        finally:
            self._making = False
        self._expire_later()
        slots = [row.values() for row in raw.slots]
        return {"generation": raw.generation, "slots": slots}

    async def finish(self, payload: Any) -> dict[str, Any]:
        """Makes the copy one that can be read; returns its size, SHA-256 and token."""
        raw, self._raw = self._raw, None
        if raw is None:
            raise BackupNotFoundError
        self._making = True
        try:
            integrity = IntegrityRow.of(payload["integrity"])
            made = await asyncio.to_thread(copying.finish, raw, integrity, payload["without"])
        finally:
            self._making = False
        self._waiting = _Waiting(made, secrets.token_bytes(limits.BACKUP_TOKEN_BYTES), payload["uid"])
        self._expire_later()
        return {"size": made.size, "sha256": made.sha256, "token": self._waiting.token}

    def read(self, token: bytes, offset: int, uid: int | None) -> bytes:
        """Returns bytes of the copy; after the last one it is dropped.

        Raises:
            BackupNotFoundError: There is none of that token for that uid.
        """
        found = self._waiting
        if found is None or found.uid != uid or not hmac.compare_digest(found.token, token):
            raise BackupNotFoundError
        self._touched = time.monotonic()
        data = copying.read(found.copy, offset)
        if not data:
            self._drop()
        return data

    def close(self) -> None:
        """Drops every copy."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._drop()
        self._drop_raw()

    def _expire_later(self) -> None:
        self._touched = time.monotonic()
        if self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(limits.BACKUP_IDLE_SECONDS, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        left = self._touched + limits.BACKUP_IDLE_SECONDS - time.monotonic()
        if left > 0:
            self._expiry = asyncio.get_running_loop().call_later(left, self._expire)
        else:
            self.close()

    def _drop(self) -> None:
        dropped, self._waiting = self._waiting, None
        if dropped is not None:
            os.close(dropped.copy.descriptor)

    def _drop_raw(self) -> None:
        dropped, self._raw = self._raw, None
        if dropped is not None:
            copying.drop(dropped)
