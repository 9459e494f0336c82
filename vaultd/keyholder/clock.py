"""Two clocks that a changed wall clock cannot move."""

import time


def boot_ns() -> int:
    """Returns CLOCK_BOOTTIME in nanoseconds: one clock for the host, runs through suspend, never set."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """Wall time that never jumps within a session nor falls behind the audit.

    Threat: setting the wall clock back would revive grants that ended. Measure: the wall clock is read once, at unlock,
    raised to the time of the last audit entry, and carried on by CLOCK_BOOTTIME. Limit: a clock that is
    behind at an unlock stays so until the next; one that is ahead stays ahead, for the audit was there: grants with an
    end then end early, never late, until whoever has a slot's secret says that the host is right (`accept_clock`).
    """

    def __init__(self, not_before_ms: int) -> None:
        self._start_ms = max(time.time_ns() // 1_000_000, not_before_ms)
        self._start_boot_ns = boot_ns()

    def now_ms(self) -> int:
        """Returns milliseconds since the epoch."""
        return self._start_ms + (boot_ns() - self._start_boot_ns) // 1_000_000
