"""Everything side by side in one go; prints one table.

    python -m tests.benchmarks [--quick] [--plot FILE.svg] [--json FILE]

Ratios are to a bare grpcio echo (grpc.aio server, synchronous client) measured in turns in the same run. `--quick` takes
a minute and fewer exchanges; the full run goes to 100,000. The peers come from Debian (gnome-keyring, pass, age) and from PyPI
(extra `bench`); those that are missing are named. Run under `dbus-run-session` for gnome-keyring.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.benchmarks import echo, peers, vault
from tests.benchmarks.load import operation, throughput
from tests.benchmarks.timing import Latency, in_turns
from tests.support.daemon import Daemon, new_daemon

TARGETS = {
    "masked get": "1.4 x",
    "reveal, audit durable": "2.5 x",
    "reveal, 8 clients": "0.4 x",
}


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds, at most 1,000 exchanges, no slow peers.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write the plot of the growth here.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write every figure here.")
def main(*, quick: bool, plot: Path | None, json_path: Path | None) -> None:
    """Measure vaultd beside a bare echo and beside what a user would pick instead."""
    console = Console(width=110)
    figures: dict[str, object] = {}
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        daemon.add_exchange()
        console.print(_latencies(daemon, figures, quick=quick))
        console.print(_throughput(daemon, figures, quick=quick))
        console.print(_daemon(daemon, figures, quick=quick))
    sizes = [vault.at_size(count, 5 if quick else 25) for count in ((100, 1000) if quick else (100, 1000, 10_000, 100_000))]
    figures["growth"] = [vault.as_dict(size) for size in sizes]
    console.print(_growth(sizes))
    if plot:
        from tests.benchmarks.plot import draw

        draw(sizes, plot)
    if json_path:
        json_path.write_text(json.dumps(figures, indent=1) + "\n")


def _latencies(daemon: Daemon, figures: dict[str, object], *, quick: bool) -> Table:
    socket, key = str(daemon.runtime / "vaultd.sock"), str(daemon.home / "admin.key")
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="vaultd-bench-") as name:
        home = Path(name)
        with echo.echo_server(home, "aio") as aio, echo.echo_server(home, "sync") as sync:
            ours: dict[str, Callable[[], object]] = {
                "grpcio echo, aio server": operation("echo", str(aio)),
                "grpcio echo, sync server": operation("echo", str(sync)),
                "masked get": operation("get", socket),
                "reveal, audit durable": operation("reveal", socket, key),
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
    table = Table(title="Time to get one secret", title_justify="left")
    for heading in ("", "p50 us", "p99 us", "x echo", "to reach"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, each in taken.items():
        table.add_row(name, f"{each.p50:,.0f}", f"{each.p99:,.0f}", f"{each.p50 / floor:.2f}", TARGETS.get(name, ""))
    for peer, why in missing.items():
        table.add_row(peer, "-", "-", "-", why)
    figures["latency_us"] = {name: _pair(each) for name, each in taken.items()}
    return table


def _pair(each: Latency) -> dict[str, float]:
    return {"p50": round(each.p50, 1), "p99": round(each.p99, 1)}


def _throughput(daemon: Daemon, figures: dict[str, object], *, quick: bool) -> Table:
    seconds = 1.0 if quick else 5.0
    socket, key = daemon.runtime / "vaultd.sock", daemon.home / "admin.key"
    with tempfile.TemporaryDirectory(prefix="vaultd-bench-") as name, echo.echo_server(Path(name), "aio") as aio:
        rates = {
            "grpcio echo, 8 clients": throughput("echo", 8, seconds, aio),
            "masked get, 8 clients": throughput("get", 8, seconds, socket),
            "reveal, 8 clients": throughput("reveal", 8, seconds, socket, key),
        }
    table = Table(title="Throughput", title_justify="left")
    for heading in ("", "calls/s", "x echo", "to reach"):
        table.add_column(heading, justify="left" if not heading else "right")
    floor = rates["grpcio echo, 8 clients"]
    for name_, rate in rates.items():
        table.add_row(name_, f"{rate:,.0f}", f"{rate / floor:.2f}", TARGETS.get(name_, ""))
    figures["throughput_per_s"] = {name_: round(rate) for name_, rate in rates.items()}
    return table


def _daemon(daemon: Daemon, figures: dict[str, object], *, quick: bool) -> Table:
    rows = {
        "server, resident": (vault.resident_mb(daemon.pid), "MB", "90"),
        "keyholder, resident": (vault.resident_mb(daemon.keyholder_pid), "MB", "40"),
        "start to first answer": (vault.start_ms(), "ms", ""),
        "unlock beyond Argon2id": (vault.unlock_beyond_ms(daemon, 3 if quick else 9), "ms", "100 at 1,000 exchanges"),
        "lock, to the end of the keyholder": (min(vault.lock_ms(_unlocked(daemon)) for _ in range(5)), "ms", "50"),
    }
    table = Table(title="The daemon", title_justify="left")
    for heading in ("", "figure", "", "to reach"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, (figure, unit, target) in rows.items():
        table.add_row(name, f"{figure:,.1f}", unit, target)
    figures["daemon"] = {f"{name}, {unit}": round(figure, 1) for name, (figure, unit, _) in rows.items()}
    return table


def _unlocked(daemon: Daemon) -> Daemon:
    with daemon.unlocker() as unlocker:
        state = unlocker.status().state
    if state != "UNLOCKED":
        daemon.unlock()
    return daemon


def _growth(sizes: list[vault.Size]) -> Table:
    table = Table(title="Growth", title_justify="left")
    headings = ("exchanges", "get us", "list 100 us", "write us", "reveal us", "unlock beyond Argon2id ms", "server MB", "keyholder MB")
    for heading in headings:
        table.add_column(heading, justify="right")
    for size in sizes:
        figures = [size.get_us, size.list_us, size.write_us, size.reveal_us, size.unlock_beyond_ms, size.server_mb, size.keyholder_mb]
        table.add_row(f"{size.exchanges:,}", *(f"{figure:,.0f}" for figure in figures))
    first, last = sizes[0], sizes[-1]
    table.add_row(
        "last / first",
        f"{last.get_us / first.get_us:.2f}",
        f"{last.list_us / first.list_us:.2f}",
        f"{last.write_us / first.write_us:.2f}",
        f"{last.reveal_us / first.reveal_us:.2f}",
    )
    return table


if __name__ == "__main__":
    sys.exit(main())
