"""A result that cannot be written is told in words: never a traceback, never a success."""

import subprocess
import sys

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.vaultctl import MODULE, environment

COMMANDS = (
    "exchange list",
    "--json exchange list",
    "--json exchange show nothing-of-that-name",
    "reveal binance-main --configuration read",
    "kinds list",  # more than a buffer takes
    "--json kinds list",
    "--help",
    "completion bash",
    "backup -",
)


def shell(daemon: Daemon, line: str) -> "subprocess.CompletedProcess[str]":
    """Runs a line of bash in which `vaultctl` is the command."""
    script = f'vaultctl() {{ "{sys.executable}" {" ".join(MODULE)} "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", script], env=environment(daemon), capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_a_stdout_that_takes_nothing_is_named(shared: Daemon, command: str, where: str, why: str) -> None:
    done = shell(shared, f"vaultctl {command} {where}")
    text = "exchange" if "nothing-of-that-name" in command else f"the result cannot be written: {why}"
    assert text in done.stderr
    assert done.returncode == (8 if "nothing-of-that-name" in command else 1)
    assert READ_PAIR["secret"] not in done.stderr


def test_a_closed_stderr_changes_nothing(shared: Daemon) -> None:
    done = shell(shared, "vaultctl exchange list 2>&-")
    assert (done.returncode, "binance-main" in done.stdout) == (0, True)
    assert shell(shared, "vaultctl exchange show nothing-of-that-name 2>&-").returncode == 8
    assert shell(shared, "vaultctl exchange show nothing-of-that-name 2>/dev/full").returncode == 8


def test_a_closed_stdin_is_named_where_a_secret_should_come_from_it(shared: Daemon) -> None:
    assert shell(shared, "vaultctl exchange list <&-").returncode == 0
    done = shell(shared, "vaultctl slot add --kind passphrase --passphrase-fd 0 --new-passphrase-fd 0 <&-")
    assert (done.returncode, "descriptor 0 is not open to read" in done.stderr) == (2, True)


def test_a_pipe_that_nobody_reads_ends_it_silently(shared: Daemon) -> None:
    done = shell(shared, "vaultctl --json kinds list | true; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (1, "")
