"""A change that doubles a cost is noticed here; `python -m tests.benchmarks` says what the costs are.

Each is compared with something measured in turns with it, by the fastest tenth: other work on the machine stretches both
and does not touch that tenth. The bounds are about twice what was measured when they were set.
"""

import tempfile
from pathlib import Path

import pytest

from tests.benchmarks import echo, growth
from tests.benchmarks.load import operation
from tests.benchmarks.timing import in_turns
from tests.support.daemon import new_daemon


def test_a_masked_get_and_a_reveal_stay_near_a_bare_echo() -> None:
    with (
        new_daemon() as daemon,
        tempfile.TemporaryDirectory() as home,
        echo.echo_server(Path(home), "aio") as bare,
    ):
        daemon.start()
        daemon.initialize()
        daemon.add_exchange()
        socket, key = str(daemon.runtime / "vaultd.sock"), str(daemon.home / "admin.key")
        calls = {
            "echo": operation("echo", str(bare)),
            "get": operation("get", socket),
            "reveal": operation("reveal", socket, key),
        }
        taken = in_turns(calls, 15, 20)
    assert taken["get"].p10 < 2.2 * taken["echo"].p10
    assert taken["reveal"].p10 < 9 * taken["echo"].p10


@pytest.fixture(scope="module")
def sizes() -> list[growth.Size]:
    return growth.measure((50, 2_000), 5, lambda _: None)


@pytest.mark.parametrize("name", growth.OPERATIONS)
def test_a_vault_of_forty_times_the_size_costs_the_same(sizes: list[growth.Size], name: str) -> None:
    small, large = sizes
    # Of the smaller one there are only fifty to list.
    bound = 4 if name == "list of 100" else 2
    assert large.taken[name].p10 < bound * small.taken[name].p10


def test_unlocking_two_thousand_exchanges_takes_little_beyond_argon2id(sizes: list[growth.Size]) -> None:
    small, large = sizes
    assert large.unlock.p10 - small.unlock.p10 < 500
