"""Fixtures that several modules share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import imports
from tests.support.bots import tree
from tests.support.daemon import Daemon

# --- imports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_found(house: Daemon) -> Iterator[None]:
    """Every test finds the vault of its module without what others have imported: forty starts would take minutes."""
    yield
    imports.restore(house)


# --- a bot of `vaultctl run` ------------------------------------------------------------------------------------------


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
