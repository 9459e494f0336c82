"""Latencies taken in turns: absolute times drift on a shared machine, ratios within one run do not."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and 99th percentile, microseconds."""

    p50: float
    p99: float


def in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int, batch: int) -> dict[str, Latency]:
    """Calls each contender `batch` times, one after the other, `rounds` times over."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
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
    """Returns the percentiles of times in microseconds."""
    ordered = sorted(times)
    return Latency(statistics.median(ordered), ordered[math.ceil(len(ordered) * 0.99) - 1])
