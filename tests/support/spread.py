"""Latencies of causes, measured by turns through one channel, and whether they differ by more than noise.

What differs is said by three things together, for the machine is shared and any one of them happens by chance:

1. The median differs from that of the twins (the same cause under several names) by more than three times the largest
   difference between two twins, and by more than `FLOOR_NS`.
2. The ranks differ: Mann and Whitney's U (1947) against all twins has |z| > 5, one chance in a million.
3. Both hold in each half of the rounds, in the same direction.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

FLOOR_NS = 20_000
"""Less than a fiftieth of the call that it is part of: nothing that a stranger could tell in as many tries as he has."""
Samples = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Spread:
    """A cause beside the twins: medians in nanoseconds, and z of the ranks."""

    median: float
    difference: float
    z: float


def by_turns(
    calls: Mapping[str, Callable[[], Callable[[], object]]], rounds: int, *, seed: int = 1, warm_up: int = 3
) -> dict[str, list[int]]:
    """Times every call once per round, in an order drawn anew each round.

    Args:
        calls: Name to a function that prepares a call, which is not timed, and returns it.
    """
    order, chosen = list(calls), random.Random(seed)
    samples: dict[str, list[int]] = {name: [] for name in calls}
    for number in range(-warm_up, rounds):
        chosen.shuffle(order)
        for name in order:
            call = calls[name]()
            before = time.perf_counter_ns()
            call()
            if number >= 0:
                samples[name].append(time.perf_counter_ns() - before)
    return samples


def rank_z(left: Sequence[int], right: Sequence[int]) -> float:
    """Returns z of Mann and Whitney's U by its normal approximation; positive where `left` is larger."""
    both = sorted([(value, 0) for value in left] + [(value, 1) for value in right])
    total = sum(rank for rank, (_, side) in enumerate(both, 1) if side == 0)
    n, m = len(left), len(right)
    return (total - n * (n + m + 1) / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def compare(samples: Samples, twins: Sequence[str]) -> tuple[dict[str, Spread], float]:
    """Returns each cause beside the twins, and the largest difference between the medians of two twins."""
    pooled = [value for twin in twins for value in samples[twin]]
    middle = statistics.median(pooled)
    medians = [statistics.median(samples[twin]) for twin in twins]
    found = {
        name: Spread(statistics.median(values), statistics.median(values) - middle, rank_z(values, pooled))
        for name, values in samples.items()
        if name not in twins
    }
    return found, max(medians) - min(medians)


def different(samples: Samples, twins: Sequence[str]) -> list[str]:
    """Returns the causes that differ measurably."""
    count = min(len(values) for values in samples.values())
    halves = [{name: values[part] for name, values in samples.items()} for part in (slice(count // 2), slice(count // 2, count))]
    found: list[set[tuple[str, bool]]] = []
    for half in (samples, *halves):
        spreads, noise = compare(half, twins)
        found.append(
            {
                (name, each.difference > 0)
                for name, each in spreads.items()
                if abs(each.difference) > max(FLOOR_NS, 3 * noise) and abs(each.z) > 5 and (each.z > 0) == (each.difference > 0)
            }
        )
    return sorted(name for name, _ in set.intersection(*found))


def show(title: str, samples: Samples, twins: Sequence[str]) -> None:
    """Prints the figures."""
    spreads, noise = compare(samples, twins)
    rounds = min(len(values) for values in samples.values())
    middle = statistics.median(value for twin in twins for value in samples[twin])
    print(f"\nsweep {title}: {rounds:,} rounds of {len(samples)}; twins {middle / 1e3:.0f} us, {noise / 1e3:.1f} us apart")
    for name, each in sorted(spreads.items(), key=lambda item: item[1].difference):
        print(f"  {name}: {each.difference / 1e3:+.1f} us, z {each.z:+.1f}")
