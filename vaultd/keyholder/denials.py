"""Audit entries of denials: every one counts, none can fill the disk.

The first denial of a kind gets its entry within a second; those like it within `limits.DENIAL_WINDOW_MS` after it are
counted into one more. For strangers, who can go on for as long as they like, the window doubles up to
`limits.DENIAL_WINDOW_MAX_MS` while they do.

Threat: a first denial that took the time of an entry would tell which denial it was, and so whether a key is on the
allowlist. Measure: a request only counts; entries are made at the tick, or when somebody reads the audit. Limits: who
asks without pause may feel that something was written at a tick, not for which request; what was counted since the last
entry is lost when the keyholder is killed.
"""

import dataclasses

from vaultd import limits
from vaultd.errors import VaultLockedError
from vaultd.keyholder.clock import boot_ns
from vaultd.keyholder.ledger import Entry
from vaultd.keyholder.loop import log
from vaultd.keyholder.vault import Keyholder


class _Bucket:
    __slots__ = ("count", "entry", "until_ns", "window_ns")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.window_ns = limits.DENIAL_WINDOW_MS * 1_000_000
        self.until_ns = 0  # no window yet: the first entry waits to be written
        self.count = 1

    def begin(self) -> None:
        """Begins a window."""
        self.until_ns = boot_ns() + self.window_ns
        self.count = 0

    def widen(self) -> None:
        """Begins a window twice as long."""
        self.window_ns = min(2 * self.window_ns, limits.DENIAL_WINDOW_MAX_MS * 1_000_000)
        self.begin()


class Denials:
    """Denials of one unlocked session."""

    def __init__(self, holder: Keyholder) -> None:
        self._holder = holder
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def add(self, entry: Entry) -> None:
        """Counts a denial. Takes the same time for each."""
        uid, method = str(entry.peer.uid), entry.method if entry.client else ""
        detail = entry.detail if entry.client else ""
        key: tuple[str, ...] = (uid, method, entry.rule, entry.client, entry.exchange, entry.configuration, detail)
        if key not in self._buckets and len(self._buckets) >= limits.DENIAL_BUCKETS:
            key = ("many",)
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.count += 1
        else:
            self._buckets[key] = _Bucket(entry)

    def write_first(self) -> None:
        """Writes the first denials that wait: whoever reads the audit next finds them."""
        for bucket in self._buckets.values():
            if not bucket.until_ns:
                self._write(bucket)
                bucket.begin()

    def tick(self) -> None:
        """Writes first denials, and what was counted in windows that are over."""
        self.write_first()
        now = boot_ns()
        for key, bucket in list(self._buckets.items()):
            if now < bucket.until_ns:
                continue
            if bucket.count:
                self._write(bucket)
            if bucket.count and not bucket.entry.client:
                bucket.widen()
            else:
                del self._buckets[key]

    def flush(self) -> None:
        """Writes all that was counted, before a lock."""
        for bucket in self._buckets.values():
            if bucket.count:
                self._write(bucket)
        self._buckets.clear()

    def _write(self, bucket: _Bucket) -> None:
        entry = dataclasses.replace(bucket.entry, count=bucket.count)
        try:
            unlocked = self._holder.require_unlocked()
        except VaultLockedError:
            return
        self._holder.loop.start(self._holder.commit(unlocked, entry), _written)


def _written(_result: object, error: BaseException | None) -> None:
    if error is not None:
        log.warning("a denial could not be written to the audit")
