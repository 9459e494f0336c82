"""Sockets and key are found without being told, and where one is told, there and nowhere else."""

import stat
from pathlib import Path

import pytest

from vaultd_client import paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VAULTD_SOCKET", "VAULTD_UNLOCK_SOCKET", "VAULTD_KEY", "VAULTD_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(paths, "SYSTEM_RUNTIME_DIR", tmp_path / "system")
    return tmp_path


def test_user_mode_is_expected_where_nothing_exists(home: Path) -> None:
    assert paths.public_socket() == home / "vaultd" / "vaultd.sock"
    assert paths.unlock_socket() == home / "vaultd" / "unlock.sock"
    assert paths.key_file() == home / "config" / "vaultd" / "client.key"


def test_the_system_socket_is_found_where_only_that_exists(home: Path) -> None:
    (home / "system").mkdir()
    (home / "system" / "vaultd.sock").touch()
    assert paths.public_socket() == home / "system" / "vaultd.sock"
    assert paths.unlock_socket() == home / "vaultd" / "unlock.sock"


def test_the_users_socket_wins_over_the_systems(home: Path) -> None:
    for directory in ("system", "vaultd"):
        (home / directory).mkdir()
        (home / directory / "vaultd.sock").touch()
    assert paths.public_socket() == home / "vaultd" / "vaultd.sock"


def test_one_variable_names_the_directory_of_both_sockets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "system").mkdir()
    (home / "system" / "vaultd.sock").touch()
    monkeypatch.setenv("VAULTD_RUNTIME_DIR", "/elsewhere")
    assert paths.public_socket() == Path("/elsewhere/vaultd.sock")
    assert paths.unlock_socket() == Path("/elsewhere/unlock.sock")


@pytest.mark.parametrize(
    ("variable", "find"),
    [
        ("VAULTD_SOCKET", paths.public_socket),
        ("VAULTD_UNLOCK_SOCKET", paths.unlock_socket),
        ("VAULTD_KEY", paths.key_file),
    ],
)
def test_a_variable_names_one_path_and_an_empty_one_names_none(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, find: type[Path]
) -> None:
    found = find()
    monkeypatch.setenv("VAULTD_RUNTIME_DIR", "")
    monkeypatch.setenv(variable, "")
    assert find() == found
    monkeypatch.setenv(variable, "/elsewhere/x")
    assert find() == Path("/elsewhere/x")


def test_no_warning_is_shown_under_cron(
    home: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert paths.public_socket().name == "vaultd.sock"
    assert not recwarn.list


def test_a_directory_that_another_user_prepared_is_passed_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str) -> str:
        raise PermissionError

    monkeypatch.setattr("platformdirs.user_runtime_dir", refuse)
    assert paths.public_socket() == home / "system" / "vaultd.sock"


def test_a_directory_that_may_not_be_searched_holds_no_socket(home: Path) -> None:
    (home / "vaultd").mkdir(mode=0)
    assert stat.S_IMODE((home / "vaultd").stat().st_mode) == 0
    assert paths.public_socket() == home / "vaultd" / "vaultd.sock"
