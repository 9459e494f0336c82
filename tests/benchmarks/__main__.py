"""Everything side by side in one go; prints one table.

    python -m tests.benchmarks [--quick] [--plot FILE.svg] [--json FILE]

Ratios are to a bare grpcio echo (grpc.aio server, synchronous client) measured in turns in the same run, those of the growth
to the smallest vault. `--quick` takes a minute and fewer exchanges; the full run goes to 100,000 and draws growth.svg.
The peers come from Debian and from PyPI (`pip install -e '.[bench]'`); those that are missing are named, with what
installs them. Unlocking is measured with the cheapest Argon2id that vaultd accepts: it hides the least of the rest; for the
largest vault once more with the cost that `vaultctl init` chooses.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from tests.benchmarks import echo, growth, peers, vault
from tests.benchmarks.load import operation, throughput
from tests.benchmarks.table import Line, table
from tests.benchmarks.timing import Latency, in_turns
from tests.support.daemon import Daemon, new_daemon

SIZES = (100, 1_000, 10_000, 100_000)
PLOT = Path(__file__).with_name("growth.svg")


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds, at most 1,000 exchanges, no plot.")
@click.option("--plot", type=click.Path(path_type=Path), help=f"Where to draw the growth; a full run draws {PLOT.name} here.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write every figure here.")
def main(*, quick: bool, plot: Path | None, json_path: Path | None) -> None:
    """Measure vaultd beside a bare echo and beside what a user would pick instead."""
    console, progress = Console(width=120), Console(stderr=True)
    sections: dict[str, list[Line]] = {}
    missing: dict[str, str] = {}
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.add_exchange()
        progress.print("one secret ...")
        sections["time to get one secret"] = _latencies(daemon, missing, quick=quick)
        progress.print("eight clients ...")
        sections["eight clients at once"] = _throughput(daemon, quick=quick)
        progress.print("memory, start, lock ...")
        sections["the daemon"] = _daemon(daemon, quick=quick)
    sizes = growth.measure(SIZES[:2] if quick else SIZES, 5 if quick else 25, progress.print)
    largest = sizes[-1].exchanges
    progress.print(f"unlocking {largest:,} exchanges at the cost that vaultd chooses ...")
    sections["growth with the number of exchanges"] = _growth(sizes, growth.unlock_of_own_cost(largest))
    target = plot or (None if quick else PLOT)
    if target:
        try:
            from tests.benchmarks.plot import draw

            draw(sizes, target)
        except ImportError:
            missing["plot of the growth"] = "pip install -e '.[bench]'"
    console.print(table(sections, missing))
    if json_path:
        figures = {title: [asdict(line) for line in lines] for title, lines in sections.items()}
        json_path.write_text(json.dumps(figures, indent=1) + "\n")


def _latencies(daemon: Daemon, missing: dict[str, str], *, quick: bool) -> list[Line]:
    socket, key = str(daemon.runtime / "vaultd.sock"), str(daemon.home / "admin.key")
    with tempfile.TemporaryDirectory(prefix="vaultd-bench-") as name:
        home = Path(name)
        with echo.echo_server(home, "aio") as aio, echo.echo_server(home, "sync") as sync:
            ours: dict[str, Callable[[], object]] = {
                "grpcio echo, aio server": operation("echo", str(aio)),
                "grpcio echo, sync server": operation("echo", str(sync)),
                "vaultd: masked get": operation("get", socket),
                "vaultd: reveal, audit durable": operation("reveal", socket, key),
            }
            taken = in_turns(ours, 10 if quick else 60, 25)
        theirs: dict[str, Callable[[], object]] = {}
        for number, (peer, make) in enumerate(peers.PEERS.items()):
            place = home / str(number)
            place.mkdir(mode=0o700)
            try:
                theirs[peer] = make(place)
            except peers.Missing as absent:
                missing[peer] = str(absent)
        taken |= in_turns(theirs, 2 if quick else 10, 2)
    floor = taken["grpcio echo, aio server"].p50
    targets = {"vaultd: masked get": 1.4, "vaultd: reveal, audit durable": 2.5}
    return [Line(name, each.p50, "us", each.p99, each.p50 / floor, targets.get(name)) for name, each in taken.items()]


def _throughput(daemon: Daemon, *, quick: bool) -> list[Line]:
    rounds, seconds = (2, 0.5) if quick else (5, 2.0)
    socket, key = daemon.runtime / "vaultd.sock", daemon.home / "admin.key"
    with tempfile.TemporaryDirectory(prefix="vaultd-bench-") as name, echo.echo_server(Path(name), "aio") as aio:
        contenders: dict[str, Callable[[], float]] = {
            "grpcio echo": lambda: throughput("echo", 8, seconds, aio),
            "vaultd: masked get": lambda: throughput("get", 8, seconds, socket),
            "vaultd: reveal": lambda: throughput("reveal", 8, seconds, socket, key),
        }
        taken: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for contender, run in contenders.items():
                taken[contender].append(run())
    rates = {contender: statistics.median(each) for contender, each in taken.items()}
    floor = rates["grpcio echo"]
    targets = {"vaultd: masked get": 0.4, "vaultd: reveal": 0.4}
    return [
        Line(contender, rate, "calls/s", None, rate / floor, targets.get(contender), at_least=True)
        for contender, rate in rates.items()
    ]


def _daemon(daemon: Daemon, *, quick: bool) -> list[Line]:
    times = 3 if quick else 9
    starts = vault.latency_ms(vault.start_ms() for _ in range(times))
    beyond = vault.latency_ms(vault.unlock_beyond_ms(daemon, times))
    locks = vault.latency_ms(vault.unlocked_lock_ms(daemon) for _ in range(times))
    daemon.unlock()
    return [
        Line("memory of the server", vault.resident_mb(daemon.pid), "MB", target=90),
        Line("memory of the keyholder", vault.resident_mb(daemon.keyholder_pid), "MB", target=40),
        _milliseconds("start to first answer", starts),
        _milliseconds("unlock beyond Argon2id, one exchange", beyond),
        _milliseconds("lock, to the end of the keyholder", locks, 50),
    ]


def _milliseconds(name: str, each: Latency, target: float | None = None) -> Line:
    return Line(name, each.p50, "ms", each.p99, target=target)


def _growth(sizes: list[growth.Size], of_own_cost: Latency) -> list[Line]:
    last = {"masked get": 1.15, "write": 1.3}
    lines = []
    for operation_ in growth.OPERATIONS:
        for size in sizes:
            each, base = size.taken[operation_], sizes[0].taken[operation_]
            target = last.get(operation_) if size.exchanges == SIZES[-1] else None
            ratio = each.p50 / base.p50 if size is not sizes[0] else None
            lines.append(Line(f"{operation_}, {size.exchanges:,}", each.p50, "us", each.p99, ratio, target))
    unlock = {1_000: 100.0, 100_000: 1_500.0}
    lines += [
        _milliseconds(f"unlock beyond Argon2id, {size.exchanges:,}", size.unlock, unlock.get(size.exchanges))
        for size in sizes
    ]
    lines.append(_milliseconds(f"the same where init chose the cost, {sizes[-1].exchanges:,}", of_own_cost))
    for process in ("server", "keyholder"):
        lines += [Line(f"memory of the {process}, {each.exchanges:,}", each.memory_mb[process], "MB") for each in sizes]
    return lines


if __name__ == "__main__":
    sys.exit(main())
