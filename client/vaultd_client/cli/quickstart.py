"""`vaultctl quickstart`: the main job of the vault on real processes, and nothing left behind."""

import importlib.util
import json
import os
import secrets
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.session import Command, Session
from vaultd_client.cli.terminal import Terminal
from vaultd_client.cli.throwaway import COMMAND_SECONDS, Ran, ThrowAwayVault, failed, throw_away_vault

NAME, KIND = "main", "binance"
DEMO = "vaultd_client.cli.demo_bot"
NEXT = """For a vault that stays:
  vaultd                     the daemon, in the foreground; leave it running
  vaultctl init              in another terminal: passphrase, recovery code, first administrator
  vaultctl exchange add      your first exchange"""


@click.command(cls=Command)
@click.pass_obj
def quickstart(session: Session) -> None:
    """Show everything on a throw-away vault.

    Real processes, made-up keys, nothing left behind.

    Ends with 0 only where every step really did what it says.
    """
    if importlib.util.find_spec("ccxt") is None:
        raise failed("ccxt is not installed, and the bot builds a ccxt exchange", "pip install 'vaultd-client[ccxt]'")
    show = Show(session.terminal)
    show.title("A throw-away vault: a real daemon in a temporary directory")
    show.command("vaultd")
    with throw_away_vault() as vault:
        show.output(vault.ready)
        keys = {half: _made_up() for half in ("read", "write")}
        _make(show, vault)
        _add(show, vault, keys)
        _stranger(show, vault, keys)
        _bot(show, vault, keys["read"])
    show.title("The vault and everything in it is removed")
    session.terminal.say(f"\n{NEXT}")
    session.terminal.result({"ok": True, "steps": show.titles})


class Show:
    """Prints titles, commands and what they print.

    Args:
        terminal: Where to.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.titles: list[str] = []

    def title(self, text: str) -> None:
        """Begins a step."""
        self.titles.append(text)
        self.terminal.say(f"\n{len(self.titles)}. {text}", style="bold")

    def command(self, text: str) -> None:
        """Shows what a person would type."""
        self.terminal.say(f"$ {text}", style="cyan")

    def output(self, text: str) -> None:
        """Shows what a program printed."""
        for line in text.splitlines():
            self.terminal.say(f"  {line}", style="dim")

    def run(self, vault: ThrowAwayVault, *arguments: str, given: str | None = None, shown: str = "") -> Ran:
        """Runs a command that must end well, and returns what it printed.

        Raises:
            Failure: It did not.
        """
        self.command(f"vaultctl {shlex.join(arguments)}{shown}")
        ran = vault.vaultctl(arguments, given)
        self.output(ran.stdout)
        self.require(ran.code == ExitCode.OK, f"vaultctl {arguments[0]} ended with {ran.code}: {ran.stderr.strip()}")
        return ran

    def require(self, truth: object, otherwise: str) -> None:
        """Ends the demonstration where something is not as the step says.

        Raises:
            Failure: `truth` is false.
        """
        if not truth:
            raise failed(f"step {len(self.titles)}, {self.titles[-1]}: {otherwise}", "vaultctl status")


class Program:
    """The bot or the stranger: a running process whose lines are read one by one."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout = process, process.stdin, process.stdout

    def expect(self, show: Show, what: str) -> str:
        """Returns the result of the attempt that its next line tells.

        Raises:
            Failure: It tells something else.
        """
        line = self.stdout.readline()
        show.output(line if " -> " in line else line + self.stdout.read())  # a traceback ends with the program
        said, _, result = line.strip().partition(" -> ")
        show.require(said == what, f"the program did not tell of {what}")
        return result

    def again(self) -> None:
        """Makes the bot ask once more."""
        self.stdin.write("\n")
        self.stdin.flush()


def _make(show: Show, vault: ThrowAwayVault) -> None:
    passphrase = secrets.token_urlsafe(16)
    show.title("Create it; the passphrase is made up, and comes over a file descriptor")
    cheap = ("--no-recovery", "--kdf-memory-mib", "64")
    show.run(vault, "init", "--passphrase-fd", "0", *cheap, given=passphrase, shown=" < passphrase")
    show.require(vault.state() == "UNLOCKED", "the vault is not unlocked")
    show.title("Lock and unlock it")
    show.run(vault, "lock")
    show.require(vault.state() == "LOCKED", "the vault is not locked")
    show.run(vault, "unlock", "--passphrase-fd", "0", given=passphrase, shown=" < passphrase")
    show.require(vault.state() == "UNLOCKED", "the vault is not unlocked")


def _add(show: Show, vault: ThrowAwayVault, keys: Mapping[str, Mapping[str, str]]) -> None:
    show.title("Add an exchange with a read and a write key pair; both are made up")
    document = json.dumps({"readConfiguration": keys["read"], "writeConfiguration": keys["write"]})
    ran = show.run(vault, "exchange", "add", NAME, "--kind", KIND, "--from-stdin", given=document, shown=" < keys.json")
    show.require(not _leaks(ran.stdout + ran.stderr, keys), "a secret was shown")


def _stranger(show: Show, vault: ThrowAwayVault, keys: Mapping[str, Mapping[str, str]]) -> None:
    show.title("A stranger, with a key that nobody allowed: sees masks, gets no plaintext")
    show.run(vault, "client", "keygen", "stranger.key")
    with _program(show, vault, "stranger") as stranger:
        listed = stranger.expect(show, f"list {NAME}")
        show.require(keys["read"]["api_key"][-4:] in listed, "the stranger does not see the masked key")
        show.require(not _leaks(listed, keys), "the stranger sees a key")
        refused = stranger.expect(show, f"reveal {NAME} read")
        show.require(refused == "REQUEST_REFUSED", "the stranger was not refused")


def _bot(show: Show, vault: ThrowAwayVault, read: Mapping[str, str]) -> None:
    show.title("A bot, with a key of its own, is allowed the read half")
    public = show.run(vault, "client", "keygen", "bot.key").stdout.strip()
    show.run(vault, "client", "allow", "bot", public, "--uid", str(os.getuid()))
    show.run(vault, "client", "grant", "bot", NAME, "--configuration", "read")
    show.title("The bot, in its own process: gets the read half, is refused the write half")
    with _program(show, vault, "bot") as bot:
        revealed = bot.expect(show, f"reveal {NAME} read")
        show.require(revealed == json.dumps(read), "the bot did not get the read half")
        show.require(bot.expect(show, f"reveal {NAME} write") == "PERMISSION_DENIED", "the bot was not refused")
        built = bot.expect(show, f"vault.ccxt({NAME!r})")
        whole = f"ccxt.{KIND}(), check_required_credentials() passes"
        show.require(built == whole, "ccxt does not take what the bot got")
        show.title("Lock the vault: the same bot, still running, is refused")
        show.run(vault, "lock")
        bot.again()
        show.require(bot.expect(show, f"reveal {NAME} read") == "VAULT_LOCKED", "the bot was not refused")


@contextmanager
def _program(show: Show, vault: ThrowAwayVault, role: str) -> Iterator[Program]:
    arguments = (role, NAME)
    show.command(f"VAULTD_KEY={role}.key python -m {DEMO} {shlex.join(arguments)}")
    process = vault.program(DEMO, arguments, f"{role}.key")
    # What hangs is killed; the line that is waited for is then empty, and the step fails.
    watchdog = threading.Timer(COMMAND_SECONDS, process.kill)
    watchdog.start()
    try:
        yield Program(process)
        process.communicate()
        show.require(process.returncode == 0, f"the {role} ended with {process.returncode}")
    finally:
        watchdog.cancel()


def _made_up() -> dict[str, str]:
    return {"api_key": secrets.token_hex(32), "secret": secrets.token_hex(32)}


def _leaks(text: str, keys: Mapping[str, Mapping[str, str]]) -> bool:
    return any(value in text for pair in keys.values() for value in pair.values())
