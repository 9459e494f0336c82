"""A vault that lives as long as `vaultctl quickstart` runs: a real daemon, a directory that is removed at the end."""

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vaultd_client.cli.children import Children
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.unlock import UnlockClient

READY = "vaultd: ready"
START_SECONDS = 60.0
"""A cold start on a slow disk; usually below one."""
COMMAND_SECONDS = 120.0
"""Argon2id on a slow host takes seconds; this is for what hangs."""
MAX_DIRECTORY_CHARACTERS = 60
"""A socket's path has 107 bytes (unix(7)), and the daemon adds its own names."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    code: int
    stdout: str
    stderr: str


class ThrowAwayVault:
    """The directory, and the environment in which programs find the vault.

    Args:
        directory: Owned by this user alone.
        children: Ends what is started here.
    """

    def __init__(self, directory: Path, children: Children) -> None:
        self.directory = directory
        self._children = children
        self.ready = ""
        """What the daemon said when it served."""
        (directory / "vaultd.toml").touch()  # the user's own settings are for his own vault
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("VAULTD_")}
        self.environment |= {
            "VAULTD_RUNTIME_DIR": str(directory / "run"),
            "VAULTD_DATA_DIR": str(directory / "data"),
            "VAULTD_ANCHOR_DIR": str(directory / "anchor"),
            "VAULTD_CONFIG": str(directory / "vaultd.toml"),
            "VAULTD_KEY": str(directory / "admin.key"),
            "PYTHONIOENCODING": "utf-8",
        }

    def state(self) -> str:
        """Returns the state that the keyholder itself reports."""
        with UnlockClient(self.directory / "run" / "unlock.sock") as keyholder:
            return keyholder.status().state

    def vaultctl(self, arguments: Sequence[str], given: str | None = None) -> Ran:
        """Runs a command of this very installation in the directory.

        Args:
            arguments: What follows `vaultctl`.
            given: Its stdin.
        """
        process = self._python("vaultd_client.cli", arguments, self.environment, subprocess.PIPE)
        try:
            out, err = process.communicate(given, COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            raise failed(f"vaultctl {arguments[0]} did not end in {COMMAND_SECONDS:.0f} s", "vaultctl status") from None
        return Ran(process.returncode, out, err)

    def program(self, module: str, arguments: Sequence[str], key: str) -> "subprocess.Popen[str]":
        """Starts a program with a key of its own, as any process of this host would be started."""
        environment = {**self.environment, "VAULTD_KEY": str(self.directory / key)}
        return self._python(module, arguments, environment, subprocess.STDOUT)

    def _python(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], stderr: int
    ) -> "subprocess.Popen[str]":
        return self._children.start(
            [sys.executable, "-P", "-m", module, *arguments],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )


def failed(text: str, hint: str) -> Failure:
    """Returns the failure of a demonstration that does not show what it should."""
    return Failure(text, hint, code=ExitCode.INTERNAL, reason="quickstart_failed")


@contextlib.contextmanager
def throw_away_vault(prepare: Callable[[ThrowAwayVault], None] | None = None) -> Iterator[ThrowAwayVault]:
    """Starts a daemon and returns when it serves; ends it and removes everything it wrote.

    Args:
        prepare: Called before the daemon is started.

    Raises:
        Failure: There is no daemon to start, or it did not come up.
    """
    program = daemon()
    with _directory() as directory, Children() as children:
        vault = ThrowAwayVault(directory, children)
        if prepare is not None:
            prepare(vault)
        vault.ready = _started(children, program, vault)
        yield vault


def daemon() -> str:
    """Returns the path of the daemon's program; Failure where it is not installed."""
    beside = Path(sys.executable).parent / "vaultd"
    found = str(beside) if beside.exists() else shutil.which("vaultd")
    if found is None:
        raise failed("the daemon is not installed: there is no program vaultd", "pip install vaultd")
    return found


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    parent = tempfile.gettempdir()
    short = parent if len(parent) < MAX_DIRECTORY_CHARACTERS else "/tmp"  # noqa: S108 - mkdtemp makes it 0700
    made = tempfile.mkdtemp(prefix="vaultd-", dir=short)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made)


def _started(children: Children, program: str, vault: ThrowAwayVault) -> str:
    """Starts the daemon and returns what it says when it serves."""
    process = children.start(
        [program],
        cwd=vault.directory,
        env=vault.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_forward, args=(process.stderr, lines), daemon=True).start()
    return _await_ready(lines)


def _forward(stream: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    """Passes on every line, so that the daemon never waits for a full pipe; an empty one is the end."""
    for line in stream:
        lines.put(line)
    lines.put("")


def _await_ready(lines: "queue.SimpleQueue[str]") -> str:
    until, said = time.monotonic() + START_SECONDS, ""
    while not said.startswith(READY):
        try:
            line = lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            line = ""
        if not line:
            text = f"vaultd did not come up; the last it said was: {said.strip() or 'nothing'}"
            raise failed(text, "run it alone to see all it says: vaultd")
        said = line
    return said
