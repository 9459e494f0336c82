"""Who has called lately: the processes behind the latest entries of the audit."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from vaultd_client.models import AuditEntry


@dataclass(frozen=True, slots=True)
class Caller:
    """One process as one client. Pid and start together name it; a pid alone is given again."""

    client: str
    unit: str
    uid: int
    pid: int
    started_at: datetime | None
    allowed: int
    denied: int
    last_method: str
    last_at: datetime | None


def callers(entries: Iterable[AuditEntry]) -> list[Caller]:
    """Returns the callers of audit entries, the latest first.

    Args:
        entries: Newest first.
    """
    found: dict[tuple[object, ...], Caller] = {}
    for entry in entries:
        key = (entry.client, entry.unit, entry.uid, entry.pid, entry.started_at)
        known = found.get(key)
        if known is None:
            last = entry.method.rpartition("/")[2]
            known = Caller(entry.client, entry.unit, entry.uid, entry.pid, entry.started_at, 0, 0, last, entry.time)
        if entry.decision == "deny":
            known = replace(known, denied=known.denied + entry.count)
        else:
            known = replace(known, allowed=known.allowed + entry.count)
        found[key] = known
    return list(found.values())
