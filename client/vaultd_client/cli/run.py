"""`vaultctl run`: a bot gets its keys, as a client of its own."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import click
import platformdirs

from vaultd_client import references
from vaultd_client.bots import launcher
from vaultd_client.bots.launcher import Descriptor, Environment, Feed
from vaultd_client.bots.order import Order, Profile, has_place, need_place
from vaultd_client.bots.profiles import PROFILES
from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import Half, HalfType
from vaultd_client.cli.revealing import Revealer, template
from vaultd_client.cli.session import Command, Session

TEMPLATE, ENV = "template", "env"
_FORMATS = click.Choice(references.FORMATS)
_BOTS = "\n".join(["\b", "Bots:", *(f"  {name:<18}  {profile.text}" for name, profile in PROFILES.items())])


@click.command(
    cls=Command,
    context_settings={"allow_interspersed_args": False},
    epilog=f"{_BOTS}\n  {TEMPLATE:<18}  any file, from --template, at {launcher.PLACE}",
)
@click.option("--for", "bot", required=True, metavar="BOT", help="How it takes its keys; see below.")
@click.option(
    "--exchange",
    "halves",
    multiple=True,
    type=HalfType(),
    shell_complete=EXCHANGE.shell_complete,
    help="Whose keys: binance-main or binance-main:read is the read half, binance-main:write the write half. May be repeated.",
)
@click.option("--market", type=click.Choice(["spot", "swap"]), default=None, help="Where the bot has a name for each.")
@click.option("--template", "path", help="A template with vaultd:// references, for --for template.")
@click.option("--format", "form", type=_FORMATS, help="How its values are quoted; its name says it where left out.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="The bot's key file; BOT.key beside the usual one if left out."
)
@click.option(
    "--allow-env", is_flag=True, help="Allow keys in the environment, which every process of this user can read."
)
@click.option("--exec", "execute", is_flag=True, help="Become the bot: no parent stays, as for ExecStart= of systemd.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run(
    session: Session,
    *,
    bot: str,
    halves: Sequence[Half],
    market: str | None,
    path: str | None,
    form: str | None,
    key: Path | None,
    allow_env: bool,
    execute: bool,
    command: Sequence[str],
) -> None:
    """Start a bot with its keys.

    \b
      vaultctl run --for freqtrade --exchange binance-main:write -- freqtrade trade -c config.json
      vaultctl run --for ccxt --exchange binance-main -- python bot.py --keys {feed}

    The bot is a client of its own: BOT.key beside the usual key file, allowed and granted like any client. It is fed the
    way that exposes least: a sealed memory file, stdin, a file that only the bot sees; the environment only with
    --allow-env. Nothing is left behind, whatever is killed.

    Signals are passed on, and the exit code is the bot's; 125 where it could not be fed, 126 where it cannot be run, 127
    where it is not there.
    """  # noqa: D301 - the backspace is click's
    profile = _profile(bot, halves, path)
    _check(profile, bot, halves, command, allow_env=allow_env)
    text = template(path, form) if path is not None else ("", "")
    inherited = launcher.inheritable()
    session.key = _key(session, key, bot)
    with session.client() as client:
        revealer = Revealer(client)
        variables = _referenced(revealer, allow_env=allow_env) if bot == ENV else {}
        order = Order(command, [revealer.half(half) for half in halves], market or "")
        if path is not None:
            feed = Feed(command, [Descriptor(revealer.rendered(path, *text).encode())])
        else:
            feed = profile.feed(order)
    if variables:
        feed = Feed(feed.command, [*feed.ways, Environment(variables)])
    launcher.become(feed, inherited, supervise=not execute)


def _profile(bot: str, halves: Sequence[Half], path: str | None) -> Profile:
    if bot == TEMPLATE:
        if path is None or halves:
            raise Failure(
                "--for template takes --template, and no --exchange: its references name them",
                "vaultctl run --for template --template FILE -- COMMAND {feed}",
            )
        return Profile("", lambda order: Feed(order.command, ()), need_place)
    if bot not in PROFILES:
        raise Failure(f"no bot is called {bot}", f"one of {', '.join([*PROFILES, TEMPLATE])}")
    if path is not None:
        raise Failure("--template is for --for template", "leave it out, or change --for")
    if not halves and bot != ENV:
        raise Failure("no --exchange says whose keys", "name one: vaultctl exchange list")
    return PROFILES[bot]


def _check(profile: Profile, bot: str, halves: Sequence[Half], command: Sequence[str], *, allow_env: bool) -> None:
    """Refuses what can be refused before anything is revealed."""
    if shutil.which(command[0]) is None:
        missing = not os.path.lexists(command[0])
        raise Failure(
            f"{command[0]} {'is not there' if missing else 'is no program that you may run'}",
            "look at the command, and at your PATH",
            code=ExitCode.NO_COMMAND if missing else ExitCode.NOT_EXECUTABLE,
            reason="no_command",
        )
    profile.check(command)
    if not allow_env and profile.environment(command) and (halves or bot != ENV):
        raise Failure(
            f"{bot} would get its keys in the environment, where every process of this user can read them",
            "use --password-stdin after hbot, or allow it: --allow-env"
            if bot == "hummingbot"
            else "allow it: --allow-env",
        )
    if profile.mounts and not has_place(command) and (fault := launcher.private_mounts_fault()):
        raise Failure(
            f"{bot} needs a file at a fixed path, and this user may have no mounts of its own: {fault}",
            "allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), start it as root, "
            "or write the file yourself: vaultctl render",
            code=ExitCode.REFUSED,
            reason="no_private_mounts",
        )


def _key(session: Session, given: Path | None, bot: str) -> Path:
    """Returns the bot's key file: the one named on the command line or in the environment, else one of its own."""
    named = given or session.key or (Path(os.environ["VAULTD_KEY"]) if os.environ.get("VAULTD_KEY") else None)
    if named is not None:
        return named
    name = bot.partition("-")[0]  # freqtrade is one client, however it is fed
    usual = Path(platformdirs.user_config_dir("vaultd")) / f"{name}.key"
    if not usual.exists():
        raise Failure(
            f"{name} has no key of its own at {usual}",
            f"vaultctl client keygen {usual}; then: vaultctl client allow {name} PUBLIC_KEY --uid {os.geteuid()}",
            code=ExitCode.INVALID,
            reason="key_file",
        )
    return usual


def _referenced(revealer: Revealer, *, allow_env: bool) -> dict[str, str]:
    """Returns the variables that hold a reference, with its value."""
    found = {}
    for name, value in os.environ.items():
        if value.startswith(references.SCHEME):
            if not allow_env:
                raise Failure(f"{name} would hold a key, where every process of this user can read it", "--allow-env")
            found[name] = revealer.rendered(name, value, "raw")
    return found
