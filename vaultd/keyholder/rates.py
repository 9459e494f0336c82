"""How often a grant was used lately."""

from collections import deque

from vaultd.model import GrantRow


class Rates:
    """Per grant, the times of its uses within its window, on CLOCK_BOOTTIME in nanoseconds."""

    def __init__(self) -> None:
        self._uses: dict[str, deque[int]] = {}

    def left(self, grant: GrantRow, now_ns: int) -> bool:
        """Says whether the grant may be used once more."""
        if not grant.rate_count:
            return True
        uses = self._uses.setdefault(grant.grant, deque())
        while uses and uses[0] <= now_ns - grant.rate_seconds * 1_000_000_000:
            uses.popleft()
        return len(uses) < grant.rate_count

    def use(self, grant: GrantRow, now_ns: int) -> None:
        """Counts one use."""
        if grant.rate_count:
            self._uses.setdefault(grant.grant, deque()).append(now_ns)

    def forget(self, grant: str) -> None:
        """Drops a grant that was taken back."""
        self._uses.pop(grant, None)
