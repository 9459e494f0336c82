"""What every sweep does: counts what it tried and found, prints it, and runs its cases on all cores."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from typing import Any, ClassVar

Outcomes = Generator[str, None, None]
"""What came of one case after another; closed, it ends the daemon that they share."""
Job = Callable[[], Outcomes]
_CHUNK = 64
_PROGRESS_SECONDS = 60.0


class Report:
    """A line in the output of the run, for the figures of vaultd/THREAT_MODEL.md.

    A line of how far it is follows every minute, and at the end of a run that was interrupted.
    """

    unfinished: ClassVar[list["Report"]] = []

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._shown_at = self._started_at = time.monotonic()
        self.unfinished.append(self)

    def add(self, outcome: str, count: int = 1) -> None:
        """Counts an outcome; any thread may."""
        self.add_all({outcome: count})

    def add_all(self, found: Mapping[str, int]) -> None:
        """Counts outcomes."""
        with self._lock:
            self.found.update(found)
            if time.monotonic() > self._shown_at + _PROGRESS_SECONDS:
                self._print(", so far")

    @property
    def tried(self) -> int:
        """How many cases there were."""
        return self.found.total()

    def show(self) -> None:
        """Prints the line; pytest shows it with -s."""
        self._print("")
        self.unfinished.remove(self)

    @classmethod
    def show_unfinished(cls) -> None:
        """Prints the line of every sweep that was broken off."""
        for report in cls.unfinished:
            report._print(", broken off")
        cls.unfinished.clear()

    def _print(self, how_far: str) -> None:
        self._shown_at = time.monotonic()
        found = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.found.items()))
        seconds = self._shown_at - self._started_at
        print(f"\nsweep {self.name}{how_far}: {self.tried:,} tried in {seconds:.0f} s: {found}", flush=True)


def on_all_cores(work: Callable[[Any], Any], cases: Iterable[Any], *, chunk: int = _CHUNK) -> Iterator[Any]:
    """Yields the outcome of each case, in their order; `work` and the cases must pickle.

    Spawned, not forked: secret memory is not inherited (MADV_DONTFORK).
    """
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, cases, chunksize=chunk)


def in_lanes(report: Report, jobs: Iterable[Job]) -> None:
    """Runs jobs, one in a lane for each core, and counts every outcome at once."""
    broken_off = threading.Event()

    def run(job: Job) -> None:
        with closing(job()) as outcomes:
            for found in outcomes:
                report.add(found)
                if broken_off.is_set():
                    return

    with ThreadPoolExecutor(os.cpu_count()) as lanes:
        try:
            list(lanes.map(run, jobs))
        except BaseException:
            broken_off.set()
            raise
