"""Fixtures: a shared unlocked vault for tests that only ask, a fresh one for tests that break things."""

import compileall
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.daemon import Daemon, new_daemon

# How long an example takes says something of the machine, which others share.
settings.register_profile("vaultd", parent=settings(), deadline=None)
settings.load_profile("vaultd")


def pytest_configure() -> None:
    """Compiles our packages as pip does when it installs them.

    The keyholder writes no files, so in a checkout each one would compile its modules anew: a third of its start.
    """
    for package in ("vaultd", "client"):
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=2)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon of this test's own, not started."""
    with new_daemon() as made:
        yield made


@pytest.fixture
def vault(daemon: Daemon) -> Daemon:
    """A started, initialized, unlocked vault of this test's own with one exchange, binance-main."""
    daemon.start()
    daemon.initialize()
    daemon.add_exchange()
    return daemon


@pytest.fixture(scope="session")
def shared() -> Iterator[Daemon]:
    """A started, unlocked vault with binance-main for tests that leave it as they found it."""
    with new_daemon() as made:
        made.start()
        made.initialize()
        made.add_exchange()
        yield made
