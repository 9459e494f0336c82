"""What the services would run is looked at file by file before it is installed."""

import os
from pathlib import Path

import pytest

from vaultd_client.cli import units

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which root alone may")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A directory with a package in it, root's alone."""
    (tmp_path / "site-packages" / "vaultd").mkdir(parents=True)
    (tmp_path / "site-packages" / "vaultd" / "run.py").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.py").write_text("")
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    (tmp_path / "site-packages" / "lib").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "site-packages"


def test_what_is_roots_alone_is_no_trouble(packages: Path) -> None:
    assert units._below([packages]) == ""


@pytest.mark.parametrize("path", [".", "vaultd", "vaultd/run.py", "lib/other.py"])
def test_a_file_that_another_could_change_is_trouble_however_deep(packages: Path, path: str) -> None:
    os.chown(packages / path, 4711, 4711)
    assert "belongs to uid 4711" in units._below([packages])
    os.chown(packages / path, 0, 0)
    (packages / path).chmod(0o1777)
    assert "is writable by others than root (mode 1777)" in units._below([packages])
