"""`vaultctl client grant`, `ungrant` and `why`: what a client may do, and which rule says so."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import HALVES, Rate, Until
from vaultd_client.cli.session import Command, Session, plain
from vaultd_client.cli.views import audit_table, client_table, exchange_names, grant_text
from vaultd_client.models import Client


@click.command(cls=Command)
@click.argument("client")
@click.argument("exchange", type=EXCHANGE)
@click.option(
    "--configuration",
    type=click.Choice([*HALVES, "*"]),
    default="read",
    show_default=True,
    help="Half that it may have.",
)
@click.option("--until", type=Until(), help="End: 2027-01-01 or 2027-01-01T12:00 (UTC), or from now: 30d, 12h.")
@click.option("--rate", type=Rate(), help="At most so many uses in so much time: 10/60s, 100/1h.")
@click.option("--unit", default="", help="systemd unit that the caller must run in, such as bot.service.")
@click.pass_obj
def grant(
    session: Session,
    *,
    client: str,
    exchange: str,
    configuration: str,
    until: datetime | None,
    rate: tuple[int, int] | None,
    unit: str,
) -> None:
    """Let a client have plaintext of one half of an exchange. EXCHANGE may be '*' for every one."""
    with session.client() as vault:
        made = vault.create_grant(client, exchange, configuration, not_after=until, rate=rate, unit=unit)
        names = exchange_names(vault)
    for notice in made.notices:
        session.terminal.warn(notice)
    session.terminal.result(plain(made), grant_text(made, names))


@click.command(cls=Command)
@click.argument("client")
@click.argument("grant")
@click.pass_obj
def ungrant(session: Session, *, client: str, grant: str) -> None:
    """Take a grant back, by its id."""
    with session.client() as vault:
        vault.delete_grant(client, grant)
    session.terminal.result({"deleted": grant}, f"{grant} is taken back.")


@click.command(cls=Command)
@click.argument("client")
@click.argument("exchange", type=EXCHANGE)
@click.argument("configuration", type=click.Choice(HALVES))
@click.option("--exit-code", is_flag=True, help="End with 6 where it would be refused.")
@click.pass_context
def why(ctx: click.Context, *, client: str, exchange: str, configuration: str, exit_code: bool) -> None:
    """Explain what allows or denies a client.

    Names the rule that decides for one half of an exchange, and every step before it.
    """
    session = ctx.ensure_object(Session)
    with session.client() as vault:
        access = vault.why(client, exchange, configuration)
        names = exchange_names(vault)
    verdict = f"{'allowed' if access.allowed else 'denied'}: {access.rule}"
    steps = [f"  {number}. {step}" for number, step in enumerate(access.steps, 1)]
    denials: list[Any] = ["", "Latest denials:", audit_table(access.denials, names)] if access.denials else []
    session.terminal.result(plain(access), verdict, *steps, *denials)
    if exit_code and not access.allowed:
        ctx.exit(ExitCode.REFUSED)


@click.command(cls=Command)
@click.argument("clients", nargs=-1, metavar="CLIENT...")
@click.option("--all", "everyone", is_flag=True, help="Confirm every client that the restore suspended something of.")
@click.pass_obj
def confirm(session: Session, *, clients: Sequence[str], everyone: bool) -> None:
    """Confirm what the restore of a backup suspended.

    The backup may have brought back grants and clients that were taken back after it was made. Look at them first:
    vaultctl client list. What should be gone: vaultctl client ungrant, vaultctl client revoke.
    """
    if bool(clients) == everyone:
        raise Failure("name the clients, or --all", "vaultctl client list shows what is suspended")
    with session.client() as vault:
        wanted = [each.name for each in vault.clients() if _is_suspended(each)] if everyone else clients
        done = [vault.confirm_client(name) for name in wanted]
        names = exchange_names(vault)
    session.terminal.result({"clients": plain(done)}, client_table(done, names) if done else "Nothing is suspended.")


def _is_suspended(client: Client) -> bool:
    return client.state == "SUSPENDED" or any(grant.state == "SUSPENDED" for grant in client.grants)
