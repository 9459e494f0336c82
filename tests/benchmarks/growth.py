"""How the cost of get, list, write, reveal and unlock grows: vaults of every size at once, asked in turns."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, cycle

from tests.benchmarks import echo, vault
from tests.benchmarks.load import GET
from tests.benchmarks.timing import Latency, in_turns
from tests.support.bulk import fill
from tests.support.daemon import CHEAP, Daemon, new_daemon
from vaultd_api.v1.exchange_service_pb2 import GetExchangeRequest
from vaultd_client.slots import KdfParameters

LIST = "/vaultd.v1.ExchangeService/ListExchanges"
OPERATIONS = ("masked get", "list of 100", "write", "reveal")
_BATCH = 20


@dataclass(frozen=True, slots=True)
class Size:
    """Figures at one number of exchanges: operations in microseconds, unlock in milliseconds beyond bare Argon2id."""

    exchanges: int
    taken: dict[str, Latency]
    unlock: Latency
    memory_mb: dict[str, float]


def measure(sizes: Sequence[int], rounds: int, say: Callable[[str], object]) -> list[Size]:
    """Returns the figures of vaults of those sizes, smallest first."""
    with ExitStack() as stack:
        daemons = {}
        for size in sizes:
            say(f"a vault of {size:,} exchanges ...")
            daemons[size] = stack.enter_context(_filled(size))
        say("growth ...")
        calls = {
            (name, size): call for size, daemon in daemons.items() for name, call in _calls(daemon, size, stack).items()
        }
        taken = in_turns(calls, rounds, _BATCH)
        say("unlocking ...")
        return [
            Size(
                size,
                {name: taken[name, size] for name in OPERATIONS},
                vault.latency_ms(vault.unlock_beyond_ms(daemon, 5)),
                {
                    "server": vault.resident_mb(daemon.pid),
                    "keyholder": vault.resident_mb(daemon.keyholder_pid),
                },
            )
            for size, daemon in daemons.items()
        ]


def unlock_of_own_cost(size: int) -> Latency:
    """Returns the times of unlock beyond bare Argon2id, in milliseconds, at the cost that vaultd chooses for a passphrase.

    It hides more of the rest than the cheapest does: SQLite looks over its pages meanwhile.
    """
    with _filled(size, None) as daemon:
        return vault.latency_ms(vault.unlock_beyond_ms(daemon, 5))


@contextmanager
def _filled(size: int, kdf: KdfParameters | None = CHEAP) -> Iterator[Daemon]:
    """Yields an unlocked vault with `size` exchanges, of which one is binance-main."""
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize(kdf)
        daemon.add_exchange()
        daemon.stop()
        fill(daemon, size - 1)
        daemon.start(timeout=120)
        daemon.unlock()
        yield daemon


def _calls(daemon: Daemon, size: int, stack: ExitStack) -> dict[str, Callable[[], object]]:
    socket = daemon.runtime / "vaultd.sock"
    get, listed = echo.caller(socket, GET), echo.caller(socket, LIST)
    # From all over the vault, each once in a batch: the write before has emptied the server's cache.
    spread = range(1, size, max(1, (size - 1) // _BATCH))
    requests = cycle([GetExchangeRequest(exchange=f"bulk-{number:06}").SerializeToString() for number in spread])
    admin = stack.enter_context(daemon.admin())
    numbers = count()
    return {
        "masked get": lambda: get(next(requests)),
        "list of 100": lambda: listed(b""),
        "reveal": lambda: admin.reveal("binance-main", "read"),
        "write": lambda: admin.update_exchange("binance-main", labels={"n": str(next(numbers))}),
    }


def draw_values(sizes: Sequence[Size]) -> dict[str, list[float]]:
    """Returns the lines of the plot, in milliseconds."""
    lines = {name: [size.taken[name].p50 / 1e3 for size in sizes] for name in OPERATIONS}
    lines["unlock beyond Argon2id"] = [max(size.unlock.p50, 0.1) for size in sizes]
    return lines
