"""What can be measured of the server, as Prometheus text (exposition format 0.0.4).

Ours, not prometheus_client: counting one request takes 0.9 us here and 14 us there, and the library would load ssl and
three HTTP servers into the process that talks to strangers. Its parser judges our text in the tests.

No label names an exchange (but where the setting metrics_names asks for it), a client or a user: who reads metrics sees how the vault does, not whose keys it holds.
"""

import os
import platform
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from vaultd import limits
from vaultd.errors import VaultError
from vaultd.model import VaultState
from vaultd.server.custody import Custody
from vaultd.server.expiries import Expiries, KeyEnd
from vaultd.server.gate import Gate
from vaultd.server.open_methods import OpenMethods
from vaultd.store import queries
from vaultd.store.migrations import SCHEMA_VERSION
from vaultd.store.store import Store

DENIALS = ("REQUEST_REFUSED", "PERMISSION_DENIED", "RATE_LIMITED", "VAULT_LOCKED")
"""Outcomes that are a no to a caller."""
Sample = tuple[Mapping[str, str], float]


class Requests:
    """Counts requests by method and outcome, and how long they took. The hot path: two increments and a search."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.durations: dict[str, list[float]] = {}
        """Method to the count of each bucket, of those above the last, and the sum of all seconds."""

    def note(self, method: str, outcome: str, seconds: float) -> None:
        """Counts one request. `outcome` is OK, CANCELLED or the reason of an error."""
        self.outcomes[method, outcome] += 1
        buckets = self.durations.get(method)
        if buckets is None:
            buckets = self.durations[method] = [0.0] * (len(limits.LATENCY_BUCKETS) + 2)
        buckets[bisect_left(limits.LATENCY_BUCKETS, seconds)] += 1
        buckets[-1] += seconds


class Metrics:
    """Renders everything that is measured; with `names`, the days left of each key as well."""

    def __init__(
        self,
        requests: Requests,
        gate: Gate,
        custody: Custody,
        open_methods: OpenMethods,
        store: Store,
        expiries: Expiries,
        *,
        names: bool,
    ) -> None:
        self._requests = requests
        self._gate = gate
        self._custody = custody
        self._open = open_methods
        self._store = store
        self._expiries = expiries
        self._names = names
        self._backed_up_ms, self._looked_to = 0, 0
        self._version = version("vaultd")
        self._started = time.time()

    async def text(self) -> str:
        """Returns the text."""
        try:
            facts: queries.Sizes | None = await self._store.read(queries.sizes)
            key_ends = await self._expiries.all()
            await self._look_for_backups()
        except VaultError:
            facts, key_ends = None, ()  # the rest is all the more worth knowing
        return "".join(f"{line}\n" for line in self._lines(facts, key_ends))

    async def _look_for_backups(self) -> None:
        """Reads what the audit has gained: the whole of it once, and then some entries at a time."""
        made_ms, self._looked_to = await self._store.read(lambda connection: queries.backed_up(connection, self._looked_to))
        self._backed_up_ms = max(made_ms, self._backed_up_ms)

    def _lines(self, facts: queries.Sizes | None, key_ends: Sequence[KeyEnd]) -> Iterator[str]:
        view = self._custody.view
        labels = {
            "version": self._version,
            "schema": str(SCHEMA_VERSION),
            "format": str(limits.FORMAT_VERSION),
            "python": platform.python_version(),
        }
        yield from gauge("vaultd_up", "Always 1: vaultd answers.", [({}, 1)])
        yield from gauge("vaultd_build_info", "Always 1: what runs.", [(labels, 1)])
        states = [({"state": state.value}, float(state == view.state)) for state in VaultState]
        yield from gauge("vaultd_state", "1 for the state that the vault is in.", states)
        unlocked = view.unlocked_ms / 1000
        yield from gauge("vaultd_unlocked_timestamp_seconds", "When it was unlocked; 0 while it is not.", [({}, unlocked)])
        checks = [({"check": check.name}, float(check.ok)) for check in (*view.checks, *self._open.checks)]
        yield from gauge("vaultd_check_ok", "1 where a protection or self-test holds, 0 for its fallback.", checks)
        yield from self._request_lines()
        yield from self._connection_lines()
        yield from gauge("vaultd_store_readable", "1 while the store can be read.", [({}, float(facts is not None))])
        if facts is not None:
            yield from gauge("vaultd_store_bytes", "Size of the database.", [({}, facts.bytes)])
            yield from gauge("vaultd_audit_entries", "Entries of the audit.", [({}, facts.audit_entries)])
            yield from gauge("vaultd_exchanges", "Exchanges, but for hidden ones.", [({}, facts.exchanges)])
            yield from gauge("vaultd_clients", "Clients that are not revoked.", [({}, facts.clients)])
            yield from self._expiry_lines(key_ends)
            backed_up = self._backed_up_ms / 1000
            age: list[Sample] = [({}, time.time() - backed_up)] if backed_up else []
            yield from gauge("vaultd_last_backup_timestamp_seconds", "When the last was made; 0 for never.", [({}, backed_up)])
            yield from gauge("vaultd_backup_age_seconds", "How old the last backup is; absent where there is none.", age)
        yield from self._process_lines()

    def _expiry_lines(self, key_ends: Sequence[KeyEnd]) -> Iterator[str]:
        earliest: list[Sample] = [({}, min(each.days() for each in key_ends))] if key_ends else []
        yield from gauge("vaultd_earliest_key_expiry_days", "Days until the first key ends; negative once it has.", earliest)
        if self._names:
            each_key = [
                ({"exchange": each.exchange, "configuration": each.configuration}, each.days())
                for each in sorted(key_ends, key=lambda each: (each.exchange, each.configuration))
                if not each.hidden
            ]
            yield from gauge("vaultd_key_expiry_days", "Days until this key ends.", each_key)

    def _request_lines(self) -> Iterator[str]:
        requests = self._requests
        counted = [({"method": name, "outcome": outcome}, n) for (name, outcome), n in sorted(requests.outcomes.items())]
        yield from counter("vaultd_requests", "Requests by method and outcome.", counted)
        denied = Counter(dict.fromkeys(DENIALS, 0))
        for (_, outcome), count in requests.outcomes.items():
            if outcome in denied:
                denied[outcome] += count
        yield from counter("vaultd_denials", "Requests that were denied.", [({"reason": r}, n) for r, n in denied.items()])
        unaudited = self._open.unaudited_denials
        yield from counter("vaultd_unaudited_denials", "Signed requests while locked, which no audit has.", [({}, unaudited)])
        yield from histogram(
            "vaultd_request_duration_seconds", "How long requests took in the server.", "method", requests.durations
        )

    def _connection_lines(self) -> Iterator[str]:
        gate = self._gate
        yield from gauge("vaultd_connections", "Callers connected now.", [({}, gate.open_connections)])
        yield from gauge("vaultd_connections_max", "Callers who may be connected at once.", [({}, gate.total)])
        dropped = {"refused": gate.refused, "silent": gate.silent, "unreached": gate.unreached}
        text = "Connections dropped: above a cap or not identified, silent, or not taken by gRPC."
        yield from counter("vaultd_dropped_connections", text, [({"reason": r}, n) for r, n in dropped.items()])

    def _process_lines(self) -> Iterator[str]:
        yield from gauge("process_start_time_seconds", "When the server was started.", [({}, self._started)])
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
        yield from gauge("process_resident_memory_bytes", "Resident memory of the server.", [({}, resident)])
        descriptors = len(os.listdir("/proc/self/fd"))
        yield from gauge("process_open_fds", "Open descriptors of the server.", [({}, descriptors)])


def gauge(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """Yields the lines of a gauge."""
    yield from _head(name, "gauge", text)
    yield from (_sample(name, labels, value) for labels, value in samples)


def counter(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """Yields the lines of a counter, whose name ends with _total."""
    yield from _head(f"{name}_total", "counter", text)
    yield from (_sample(f"{name}_total", labels, value) for labels, value in samples)


def histogram(name: str, text: str, label: str, series: Mapping[str, list[float]]) -> Iterator[str]:
    """Yields the lines of a histogram: for each value of `label` what `Requests.durations` has."""
    yield from _head(name, "histogram", text)
    for value, (*buckets, total) in sorted(series.items()):
        below = 0.0
        for bound, count in zip((*limits.LATENCY_BUCKETS, float("inf")), buckets, strict=True):
            below += count
            yield _sample(f"{name}_bucket", {label: value, "le": "+Inf" if bound == float("inf") else str(bound)}, below)
        yield _sample(f"{name}_sum", {label: value}, total)
        yield _sample(f"{name}_count", {label: value}, below)


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
