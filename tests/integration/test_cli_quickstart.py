"""`vaultctl quickstart` does what it says, says when it does not, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.person import at_a_terminal

COMMAND = ["-m", "vaultd_client.cli", "quickstart"]


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("q")


def environment(scratch: Path, **more: str) -> Mapping[str, str]:
    return {**os.environ, "TMPDIR": str(scratch), "HOME": str(scratch), **more}


def start(scratch: Path, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *COMMAND],
        env=environment(scratch, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_it_shows_the_main_job_and_ends_with_what_to_type_next(scratch: Path) -> None:
    process = start(scratch)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, out + err
    for shown in (
        "$ vaultctl init",
        "$ vaultctl unlock",
        "$ vaultctl exchange add",
        "-> REQUEST_REFUSED",
        "reveal main read -> {",
        "reveal main write -> PERMISSION_DENIED",
        "check_required_credentials() passes",
        "reveal main read -> VAULT_LOCKED",
        "For a vault that stays:",
    ):
        assert shown in out
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_nothing_behind_when_it_is_stopped_in_the_middle(scratch: Path, number: signal.Signals) -> None:
    with start(scratch) as process:
        assert process.stdout is not None
        shown = iter(process.stdout.readline, "")
        assert any("exchange add" in line for line in shown)
        made = list(scratch.iterdir())
        assert len(made) == 1
        assert made[0].stat().st_mode & 0o077 == 0
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert list(scratch.iterdir()) == []
    assert _processes_with(str(made[0])) == []


def test_ctrl_c_at_a_terminal_leaves_nothing_behind(scratch: Path) -> None:
    with at_a_terminal(COMMAND, environment(scratch)) as person:
        person.expect("$ vaultctl exchange add")
        person.type("", end="\x03")
        assert person.leave() == 130
        assert "Traceback" not in person.shown
    assert list(scratch.iterdir()) == []


def test_without_ccxt_it_says_what_to_install_and_starts_nothing(scratch: Path) -> None:
    body = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'ccxt' else find(name, *more)\n"
        "from vaultd_client.cli.main import run\n"
        "sys.exit(run(['quickstart']))"
    )
    command = [sys.executable, "-c", body]
    done = subprocess.run(command, env=environment(scratch), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "hint: pip install 'vaultd-client[ccxt]'" in done.stderr
    assert done.stdout == ""
    assert list(scratch.iterdir()) == []


def test_a_step_that_is_not_true_ends_it_with_1_and_its_name(scratch: Path) -> None:
    # A bot that is told a lie: its line says that the write half was revealed.
    body = (
        "import sys\n"
        "from vaultd_client.cli import quickstart\n"
        "expect = quickstart.Program.expect\n"
        "quickstart.Program.expect = lambda self, show, what: (\n"
        "    '{}' if what.endswith(' write') and expect(self, show, what) else expect(self, show, what))\n"
        "from vaultd_client.cli.main import run\n"
        "sys.exit(run(['quickstart']))"
    )
    command = [sys.executable, "-c", body]
    done = subprocess.run(command, env=environment(scratch), capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    assert "vaultctl: step 7, The bot, in its own process" in done.stderr
    assert list(scratch.iterdir()) == []


def _processes_with(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in entry.read_bytes():
                found.append((entry.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found
