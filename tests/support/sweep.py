"""What every sweep does: counts what it tried and found, prints it, and runs its cases on all cores."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

_CHUNK = 64


class Report:
    """A line in the output of the run, for the figures of vaultd/THREAT_MODEL.md."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: Counter[str] = Counter()

    def add(self, outcome: str, count: int = 1) -> None:
        """Counts an outcome."""
        self.found[outcome] += count

    @property
    def tried(self) -> int:
        """How many cases there were."""
        return self.found.total()

    def show(self) -> None:
        """Prints the line; pytest shows it with -s, and the full sweeps always do."""
        found = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(self.found.items()))
        print(f"\nsweep {self.name}: {self.tried:,} tried: {found}")


def on_all_cores(work: Callable[[Any], Any], cases: Iterable[Any]) -> Iterator[Any]:
    """Yields the outcome of each case, in their order; `work` and the cases must pickle.

    Spawned, not forked: secret memory is not inherited (MADV_DONTFORK).
    """
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, cases, chunksize=_CHUNK)
