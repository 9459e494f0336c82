"""A bot of the tests, started by `vaultctl run`: it tells what it got, and waits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.processes import children
from tests.support.vaultctl import MODULE, environment

SECRETS = {"api_key": READ_PAIR["api_key"].encode(), "secret": READ_PAIR["secret"].encode()}
"""What a bot is fed, by field."""
CCXT = ("--for", "ccxt", "--exchange", "binance-main")
ENV = ("--for", "env", "--exchange", "binance-main", "--allow-env")
PASSIVBOT = ("--for", "passivbot", "--exchange", "binance-main")
BOT = r"""
import json, os, signal, sys, time
heard = []
for name in sys.argv[2].split(","):
    if name:
        signal.signal(getattr(signal, "SIG" + name), lambda number, _: os.write(1, (json.dumps({"heard": signal.Signals(number).name}) + "\n").encode()))
fed = {path: open(path).read() for path in sys.argv[3:] if not path.startswith("-")}
again = {path: open(path).read() for path in fed}
told = {
    "pid": os.getpid(), "parent": os.getppid(), "arguments": sys.argv[3:], "fed": fed, "same": fed == again,
    "fds": [each for each in range(1000) if os.path.exists(f"/proc/self/fd/{each}")],
    "ignored": [each.name for each in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT) if signal.getsignal(each) is signal.SIG_IGN],
    "uid": os.getuid(), "cwd": os.getcwd(), "mask": [each.name for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "status": open("/proc/self/status").read(),
}
os.write(1, (json.dumps(told) + "\n").encode())
if sys.argv[1] == "wait":
    while True:
        signal.pause()
if sys.argv[1] == "read":
    print(json.dumps({"stdin": sys.stdin.read()}), flush=True)
"""


def command(doing: str, *arguments: str, hears: Sequence[str] = ()) -> list[str]:
    """Returns the command of a bot: it tells what the files of its arguments hold, then does what it should.

    Args:
        doing: `wait` for a signal, `read` stdin, or `end`.
        arguments: Those that are no options are files to read.
        hears: Signals that it tells of.
    """
    return [sys.executable, "-I", "-c", BOT, doing, ",".join(hears), *arguments]


class Running:
    """`vaultctl run` and the bot below it. `told` is what the bot said of itself."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.told: dict[str, Any] = {}

    def line(self) -> Any:
        """Returns the next line of the bot."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.error()
        return json.loads(line)

    def error(self) -> str:
        """Returns what was said on stderr, after the end."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def end(self) -> int:
        """Waits for the end of `vaultctl run`; returns its status."""
        return self.process.wait(30)


@contextmanager
def running(
    daemon: Daemon,
    key: Path,
    options: Sequence[str],
    bot: Sequence[str],
    *,
    cwd: Path | None = None,
    more: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    ready: bool = True,
    **popen: Any,
) -> Iterator[Running]:
    """Runs `vaultctl run OPTIONS -- BOT`, and waits until the bot has told of itself."""
    process = subprocess.Popen(
        [*prefix, sys.executable, *MODULE, "run", *options, "--", *bot],
        env={**environment(daemon, key), **(more or {})},
        cwd=cwd,
        stdin=popen.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **{"start_new_session": True, **popen},
    )
    made = Running(process)
    try:
        if ready:
            made.told = made.line()
        yield made
    finally:
        for pid in [process.pid, *([made.told["pid"]] if made.told else [])]:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.communicate()


def tree(pid: int) -> list[int]:
    """Returns a process and all below it."""
    return [pid, *(each for child in children(pid) for each in tree(child))]
