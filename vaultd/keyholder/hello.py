"""The first request of the link: what the server tells a fresh keyholder, and what that reports of itself."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from vaultd.keyholder.loop import Task
from vaultd.keyholder.vault import Keyholder
from vaultd.model import Check, KdfParameters, VaultState


def hello(holder: Keyholder, payload: Any, checks: Sequence[Check]) -> Task:
    """Takes state, failures, schema version and settings in; returns pid and checks."""
    yield from ()
    holder.state = VaultState.LOCKED if payload["initialized"] else VaultState.UNINITIALIZED
    holder.schema_version = payload["schema_version"]
    holder.kdf_floor = KdfParameters(*payload["kdf_floor"]) if payload["kdf_floor"] else None
    holder.set_failures(payload["failures"])
    return {"pid": os.getpid(), "checks": [dataclasses.astuple(check) for check in checks]}
