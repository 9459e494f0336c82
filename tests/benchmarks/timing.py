"""Latencies taken in turns: absolute times drift on a shared machine, ratios within one run do not."""

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Latency:
    """Median, 99th and 10th percentile, in the unit of what they were taken from."""

    p50: float
    p99: float
    p10: float
    """What it takes while nobody else wants the processor."""


def in_turns(contenders: Mapping[Name, Callable[[], object]], rounds: int, batch: int) -> dict[Name, Latency]:
    """Calls each contender `batch` times, one after the other, `rounds` times over; in microseconds."""
    taken: dict[Name, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(rounds):
        for name, call in contenders.items():
            for _ in range(batch):
                began = time.perf_counter()
                call()
                taken[name].append((time.perf_counter() - began) * 1e6)
    return {name: latency(times) for name, times in taken.items()}


def latency(times: list[float]) -> Latency:
    """Returns the percentiles of times."""
    ordered = sorted(times)
    p10, p99 = (ordered[math.ceil(len(ordered) * part) - 1] for part in (0.1, 0.99))
    return Latency(statistics.median(ordered), p99, p10)
