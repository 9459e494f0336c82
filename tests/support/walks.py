"""The audit of a copy of a vault's files, walked by the product's own code without a daemon."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tests.support import offline
from tests.support.offline import Offline
from vaultd.errors import VaultError
from vaultd.keyholder import audits
from vaultd.keyholder.keys import Keys
from vaultd.keyholder.loop import Ask
from vaultd.store import database, queries
from vaultd_api.v1 import audit_service_pb2 as pb

REFUSED = "refused"


def walk(opener: Offline, database_path: Path, anchor_path: Path) -> str:
    """Unlocks a copy and walks its audit.

    Returns:
        `refused REASON` where the unlock is; else `ok`, or the number of the first bad entry.
    """
    keys = Keys(opener._memory)
    with contextlib.closing(keys), offline._connection(database_path) as connection:
        try:
            with database.foreign_errors():
                found = offline._found(connection, anchor_path)
            unlocked = opener._unlock(keys, connection, found)
        except VaultError as error:
            return f"{REFUSED} {error.reason}"
        nothing: Any = None
        task = audits.verify(nothing, unlocked, nothing, nothing)
        rows: Any = None
        while True:
            try:
                step = task.send(rows)
            except StopIteration as stop:
                report = cast("pb.VerifyAuditResponse", stop.value)
                return str(report.first_bad) if report.first_bad else "ok"
            assert isinstance(step, Ask) and step.name == "audit-after"
            rows = [row.values() for row in queries.audit_after(connection, step.payload)]


def walk_changed(opener: Offline, files: tuple[bytes, bytes], change: Callable[[Path], None]) -> str:
    """Walks a copy of `files` (database, anchor) after a change of it; as `walk`."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        database_path, anchor_path = Path(scratch) / "vault.db", Path(scratch) / "anchor"
        database_path.write_bytes(files[0])
        anchor_path.write_bytes(files[1])
        change(database_path)
        return walk(opener, database_path, anchor_path)
