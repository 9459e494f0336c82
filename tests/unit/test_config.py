"""Where the daemon finds its settings, and what it says where it cannot."""

from pathlib import Path

import pytest

from vaultd import config
from vaultd.errors import ConfigInvalidError


@pytest.fixture(autouse=True)
def squatted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user has made the directory that takes the place of XDG_RUNTIME_DIR."""

    def refuse(_name: str) -> str:
        raise PermissionError

    monkeypatch.setattr("platformdirs.user_runtime_dir", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_directory_for_the_sockets_that_another_user_made_is_named_with_the_way_out() -> None:
    with pytest.raises(ConfigInvalidError, match=r"another user has made .* set VAULTD_RUNTIME_DIR"):
        config.load(system=False, environment={})


def test_it_is_no_obstacle_where_another_directory_is_set(tmp_path: Path) -> None:
    found = config.load(system=False, environment={"VAULTD_RUNTIME_DIR": str(tmp_path)})
    assert found.socket == tmp_path / "vaultd.sock"
