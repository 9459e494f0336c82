"""The first request of a link: what the server tells the keyholder, and what that reports of itself."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from vaultd.errors import KeyholderUnavailableError
from vaultd.keyholder import protocol
from vaultd.keyholder.loop import Task
from vaultd.keyholder.resume import resume
from vaultd.keyholder.vault import Keyholder
from vaultd.model import Check, KdfParameters, VaultState


def hello(holder: Keyholder, payload: Any, checks: Sequence[Check]) -> Task:
    """Takes state, failures, schema version and settings in; returns pid and checks."""
    if payload.get("link_version") != protocol.VERSION:
        # An upgrade that changed the link: this process, which has the keys, is of the old version.
        raise KeyholderUnavailableError("the keyholder is of another version: systemctl restart vaultd-keyholder")
    if holder.unlocked is not None and holder.state == VaultState.UNLOCKED:
        yield from resume(holder, holder.unlocked, payload)
    else:
        yield from ()
        holder.state = VaultState.LOCKED if payload["initialized"] else VaultState.UNINITIALIZED
        holder.schema_version = payload["schema_version"]
        if not holder.greeted or payload["failures"] > holder.failures:
            # A later server cannot make a guesser wait less than this process knows.
            holder.set_failures(payload["failures"])
    holder.greeted = True
    settings(holder, payload["kdf_floor"])
    return {"pid": os.getpid(), "checks": [dataclasses.astuple(check) for check in checks]}


def settings(holder: Keyholder, kdf_floor: Sequence[int] | None) -> None:
    """Takes in what may change while the keyholder lives."""
    holder.kdf_floor = KdfParameters(*kdf_floor) if kdf_floor else None
