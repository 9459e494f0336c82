"""The program that starts a bot, by itself: whatever its starter did to signals, it ends as the bot has ended."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vaultd_client

LAUNCH = Path(vaultd_client.__file__).with_name("bots") / "launch.py"
IGNORING = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"


def launched(script: str, *before: str) -> subprocess.CompletedProcess[str]:
    plan = os.memfd_create("plan", 0)
    try:
        os.write(plan, json.dumps({"steps": [], "supervise": True}).encode())
        os.lseek(plan, 0, os.SEEK_SET)
        command = [*before, sys.executable, "-I", "-S", str(LAUNCH), str(plan), "sh", "-c", script]
        return subprocess.run(command, pass_fds=[plan], capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(plan)


@pytest.mark.parametrize("before", [(), (sys.executable, "-c", IGNORING)], ids=["as usual", "ends of children ignored"])
def test_it_ends_as_the_bot_whether_or_not_its_starter_ignored_the_ends_of_children(before: tuple[str, ...]) -> None:
    done = launched("exit 7", *before)
    assert (done.returncode, "exit code 7" in done.stderr) == (7, True)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGUSR1, "SIGUSR1"), (40, "signal 40")])
def test_a_signal_without_a_name_is_told_by_its_number(number: int, name: str) -> None:
    done = launched(f"kill -{int(number)} $$")
    assert done.returncode == -number
    assert f"was ended by {name} after" in done.stderr
    assert "Traceback" not in done.stderr
