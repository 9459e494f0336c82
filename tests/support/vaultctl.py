"""`vaultctl` as a process, against a daemon of the tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.person import Person, at_a_terminal

MODULE = ("-m", "vaultd_client.cli")


def environment(daemon: Daemon, key: Path | None = None) -> Mapping[str, str]:
    """Returns the environment in which the daemon is found; signs with `key`, else with the administrator's."""
    return {**daemon.environment, "VAULTD_KEY": str(key or daemon.home / "admin.key")}


def vaultctl(
    daemon: Daemon,
    *arguments: str,
    given: str | bytes = b"",
    key: Path | None = None,
    fds: Mapping[str, bytes] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Runs a command without a terminal.

    Args:
        daemon: Where.
        arguments: What follows `vaultctl`; `{name}` stands for the number of the descriptor of that name in `fds`.
        given: Its stdin.
        key: Its key file.
        fds: Name to what comes out of a descriptor.
    """
    with ExitStack() as closing:
        numbers = {name: closing.enter_context(_pipe(content)) for name, content in (fds or {}).items()}
        done = subprocess.run(
            [sys.executable, *MODULE, *(each.format(**numbers) for each in arguments)],
            env=environment(daemon, key),
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            pass_fds=tuple(numbers.values()),
            start_new_session=True,  # no controlling terminal: nothing may ask
            timeout=60,
            check=False,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def document(daemon: Daemon, *arguments: str, **options: Any) -> Any:
    """Runs a command with --json that must end well, and returns its document."""
    done = vaultctl(daemon, *arguments, "--json", **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@contextmanager
def person_at(daemon: Daemon, *arguments: str, key: Path | None = None, piped: bool = False) -> Iterator[Person]:
    """Runs a command at a terminal."""
    with at_a_terminal([*MODULE, *arguments], environment(daemon, key), piped=piped) as person:
        yield person


@contextmanager
def _pipe(content: bytes) -> Iterator[int]:
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)
        yield reading
    finally:
        os.close(reading)
