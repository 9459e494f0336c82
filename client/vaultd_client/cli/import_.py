"""`vaultctl import`: takes what people have today, says what it found, asks once, writes, and can be undone."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from vaultd_client.cli import prompts
from vaultd_client.cli.completion import KIND
from vaultd_client.cli.exchange_add import require_ready
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.import_offer import Consumed, offer
from vaultd_client.cli.import_plan import Item, Status, Wishes, plan
from vaultd_client.cli.import_undo import list_imports, undo
from vaultd_client.cli.import_views import found_table, item_document, remarks, sums
from vaultd_client.cli.import_write import Stopped, write
from vaultd_client.cli.parsing import DESCRIPTOR, HALVES
from vaultd_client.cli.secrets_in import line_from, wiped
from vaultd_client.cli.session import Command, Group, Session
from vaultd_client.imports import formats, record
from vaultd_client.imports.source import Source, sources

OPEN_TO_OTHERS = 0o077


class DefaultGroup(Group):
    """A group in which what is no command is the argument of `file`: `vaultctl import FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts `file` in front where a person left it out."""
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = ["file", *args]
        return super().parse_args(ctx, args)


@click.group("import", cls=DefaultGroup)
def import_() -> None:
    """Take keys over from a bot's files: vaultctl import FILE.

    `vaultctl import FILE` is short for `vaultctl import file FILE`; a file called `undo` is `./undo`.
    """


import_.add_command(undo)
import_.add_command(list_imports)


def wanted_names(_ctx: click.Context, _param: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """Returns found name to wanted name; "" for a name without `=`."""
    names = {}
    for each in given:
        found, equals, wanted = each.rpartition("=")
        if not wanted.strip() or (equals and not found):
            raise click.BadParameter("type NAME, or FOUND=NAME where there are several")
        if found in names:
            raise click.BadParameter("two names for one entry")
        names[found] = wanted
    return names


@import_.command("file", cls=Command)
@click.argument("file", type=click.Path())
@click.option("--from", "wanted", type=click.Choice(formats.NAMES), help="Format; found out where left out.")
@click.option("--kind", type=KIND, default="", help="Kind of the exchange, instead of what the file says.")
@click.option("--environment", type=click.Choice(["live", "testnet", "demo"]), help="Instead of what the file says.")
@click.option(
    "--configuration",
    "halves",
    multiple=True,
    type=click.Choice(HALVES),
    help="Half that a pair is for whose file does not say; write where left out, as bots trade with it.",
)
@click.option("--name", "names", multiple=True, callback=wanted_names, help="Name of the exchange, or FOUND=NAME.")
@click.option("--hidden", is_flag=True, help="Leave them out of the open list.")
@click.option("--password-fd", type=DESCRIPTOR, help="Read Hummingbot's password from this descriptor.")
@click.option("--dry-run", is_flag=True, help="Only say what was found.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--shred", is_flag=True, help="Overwrite and remove the file when all of it is in the vault.")
@click.pass_obj
def file(
    session: Session,
    *,
    file: str,
    wanted: str | None,
    kind: str,
    environment: str | None,
    halves: Sequence[str],
    names: dict[str, str],
    hidden: bool,
    password_fd: int | None,
    dry_run: bool,
    yes: bool,
    shred: bool,
) -> int:
    """Import the key pairs of a file, a directory or stdin (-).

    Takes configurations of freqtrade, Hummingbot, OctoBot, passivbot and Gunbot (Hummingbot's as a directory too), .env files, CSV (Jesse's too), the key
    file of Coinbase, and JSON in the shapes of 3Commas, Dfns and Cadenza. Says what it found, asks once, and writes each
    exchange by itself: an import that is broken off has whole exchanges in the vault, and may be repeated.
    """
    with session.client() as client:
        require_ready(session, client)
        read = sources(file)
        form, reading = formats.read(read, wanted, _password(session, password_fd))
        wishes = Wishes(kind, environment or "", halves, names, hidden)
        with session.terminal.working("Asking the vault"):
            items = plan(client, reading, wishes)
        _show(session, file, form, read, items)
        new = [item for item in items if item.status is Status.NEW]
        if new and not dry_run and not yes:
            prompts.must_confirm(f"Import {len(new)} of {len(items)}{' and shred ' + file if shred else ''}?")
        stopped: Stopped | None = None
        made = record.new(client.vault().vault_id, file, form, {str(each.path): each.stamp for each in read if each.stamp})
        if new and not dry_run:
            with session.terminal.working("Importing"):
                stopped = write(client, new, made)
    document: dict[str, Any] = {
        "source": file,
        "format": form,
        "dry_run": dry_run,
        "import": made.id if made.made else "",
        "entries": [item_document(item) for item in items],
    }
    if stopped:
        document |= stopped.document()
    if not dry_run and not session.terminal.json:
        session.terminal.result({}, *sums(items, made))
    if not dry_run and not stopped:
        source = Consumed(file, read, reading, items, made)
        document["shredded"] = offer(session, source, wanted=shred, asked=bool(new), yes=yes)
    session.terminal.result(document)
    if stopped:
        if not session.terminal.json:
            session.terminal.error(stopped.message, stopped.hint)
        return stopped.code
    return ExitCode.INVALID if any(item.status is Status.REFUSED for item in items) else ExitCode.OK


def _show(session: Session, file: str, form: str, read: Sequence[Source], items: Sequence[Item]) -> None:
    """Says what was found, before anything is written."""
    for source in read:
        if source.mode & OPEN_TO_OTHERS:
            session.terminal.warn(f"{source.name} can be read by others (mode {source.mode:04o}): make new keys")
    if not session.terminal.json:
        head = f"{file}, format {form}: {len(items)} found."
        session.terminal.result({}, head, "", found_table(items), *remarks(items))


def _password(session: Session, descriptor: int | None) -> Callable[[], bytes]:
    def ask() -> bytes:
        typed = (
            prompts.secret("Hummingbot's password", instead="--password-fd")
            if descriptor is None
            else line_from("--password-fd", descriptor)
        )
        session.terminal.note("Opening what Hummingbot has encrypted, about half a second a field.")
        with wiped(typed):
            return bytes(typed)

    return ask
