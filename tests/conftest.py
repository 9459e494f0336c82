"""Fixtures: a shared unlocked vault for tests that only ask, one for a module, a fresh one for tests that break things."""

import compileall
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.daemon import Daemon, new_daemon
from tests.support.forge import Line
from vaultd_client import VaultClient

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


@contextmanager
def _opened() -> Iterator[Daemon]:
    with new_daemon() as made:
        made.start()
        made.initialize()
        made.add_exchange()
        yield made


@pytest.fixture(scope="session")
def shared() -> Iterator[Daemon]:
    """A started, unlocked vault with binance-main for tests that leave it as they found it."""
    with _opened() as made:
        yield made


@pytest.fixture(scope="module")
def house() -> Iterator[Daemon]:
    """A started, unlocked vault with binance-main for the tests of one module, each with names of its own."""
    with _opened() as made:
        yield made


@pytest.fixture
def admin(house: Daemon) -> Iterator[VaultClient]:
    """The administrator of the module's vault."""
    with house.admin() as client:
        yield client


@pytest.fixture
def line(house: Daemon) -> Iterator[Line]:
    """A connection to the module's vault for requests made by hand."""
    with Line(house) as made:
        yield made


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory that everybody may enter, with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="vaultd-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
