"""Promises of the unit files: systemd finds nothing wrong with them, they are tight, and a wheel carries them."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd" / "system"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
EXPOSURE = 1.5
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
NEEDS_NO_REASON = re.compile(r"(Description|ExecStart|User|Group|Service|ListenStream|FileDescriptorName|WantedBy|Type)=")


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """The units as they are installed, for programs that exist."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("vaultd", "vaultctl"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for path in UNITS.iterdir():
        text = path.read_text().replace("@BIN@", str(programs)).replace("@EXEC_PATHS@", str(tmp_path))
        (tmp_path / path.name).write_text(text)
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def exposed(service: Path) -> tuple[int, str]:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", "--no-pager", str(service))
    return done.returncode, done.stdout[-200:] + done.stderr


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(rendered: Path) -> None:
    paths = [str(rendered / path.name) for path in UNITS.iterdir()]
    done = analyze("verify", "--man=no", *paths)
    ours = [line for line in done.stderr.splitlines() if "vaultd" in line]
    assert (done.returncode, ours) == (0, [])
    (rendered / "vaultd.service").write_text("[Service]\nExecStart=/nowhere\nProtectSytem=strict\n")
    assert "ProtectSytem" in analyze("verify", "--man=no", str(rendered / "vaultd.service")).stderr


@needs_systemd
@pytest.mark.parametrize("service", SERVICES)
def test_the_exposure_of_each_service_is_1_5_or_less(rendered: Path, service: str) -> None:
    code, said = exposed(rendered / service)
    assert code == 0, said
    loose = rendered / "loose.service"
    loose.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposed(loose)[0] != 0


@pytest.mark.parametrize("path", sorted(UNITS.iterdir()), ids=lambda path: path.name)
def test_each_group_of_directives_has_its_reason_above_it(path: Path) -> None:
    """A block, up to the next blank line, starts with a comment, unless it holds nothing that needs a reason."""
    for section in re.split(r"\n(?=\[)", path.read_text()):
        for block in section.split("\n\n"):
            lines = [line for line in block.splitlines() if line and not line.startswith("[")]
            asking = [line for line in lines if not line.startswith("#") and not NEEDS_NO_REASON.match(line)]
            if asking:
                assert any(line.startswith("#") for line in lines), (path.name, block)


def test_no_caller_is_hidden_from_the_server() -> None:
    directives = [line for line in (UNITS / "vaultd.service").read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in directives if line.startswith(("PrivateUsers=", "ProtectProc=", "ProcSubset="))]


def test_a_wheel_carries_the_units(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("vaultd-*.whl"))) as wheel:
        names = set(wheel.namelist())
    files = [path.relative_to(ROOT / "systemd") for path in (ROOT / "systemd").rglob("*") if path.is_file()]
    assert {f"vaultd/systemd/{path}" for path in files} <= names
