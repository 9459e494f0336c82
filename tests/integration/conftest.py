"""Fixtures that several modules share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import imports
from tests.support.bots import tree
from tests.support.daemon import Daemon
from tests.support.split import Split, split
from tests.support.stores import history, unlock
from tests.support.unit_scene import UnitScene, unit_scene, unlocked

# --- imports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_found(house: Daemon) -> Iterator[None]:
    """Every test finds the vault of its module without what others have imported: forty starts would take minutes."""
    yield
    imports.restore(house)


# --- a bot of `vaultctl run` and `vaultctl render` --------------------------------------------------------------------


@pytest.fixture(scope="session")
def bot_key(shared: Daemon) -> Path:
    """The bot's own key file: it may have the read half."""
    path = shared.home / "run-bot.key"
    shared.add_bot("run-bot").save(path)
    return path


@pytest.fixture
def bot_home(tmp_path: Path) -> Path:
    """The directory of a bot that wants a file at a fixed path."""
    (tmp_path / "api-keys.json").write_text('{"other": {"exchange": "bybit"}}')
    return tmp_path


@pytest.fixture
def no_bot_outlives_its_test() -> Iterator[None]:
    yield
    assert [pid for pid in tree(os.getpid()) if "heard" in Path(f"/proc/{pid}/cmdline").read_text()] == []


# --- a keyholder that is a unit of its own ----------------------------------------------------------------------------


@pytest.fixture
def apart() -> Iterator[Split]:
    """An unlocked vault whose keyholder is apart."""
    with split() as made:
        yield made


@pytest.fixture(scope="module")
def lasting() -> Iterator[Split]:
    """One for tests that leave it unlocked: whatever they do to the server, it costs no unlock."""
    with split() as made:
        yield made


# --- credentials of units ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lasting_scene() -> Iterator[UnitScene]:
    with unit_scene() as made:
        yield made


@pytest.fixture
def scene(lasting_scene: UnitScene) -> UnitScene:
    """The scene of the module, unlocked."""
    return unlocked(lasting_scene)


# --- a vault with every kind of slot ----------------------------------------------------------------------------------


@pytest.fixture
def kept(daemon: Daemon) -> Daemon:
    """The vault of `history`, unlocked: slot 1 passphrase, 2 recovery code, 3 machine key."""
    history().new.put(daemon).start()
    unlock(daemon)
    return daemon
