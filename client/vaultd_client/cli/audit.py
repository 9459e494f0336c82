"""`vaultctl audit` and `who`: who asked for what, and whether the record is whole."""

import click

from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.session import Command, Group, Session, plain
from vaultd_client.cli.views import audit_table, callers_table, exchange_names
from vaultd_client.cli.who import callers


@click.group(cls=Group)
def audit() -> None:
    """The record of every request."""


@audit.command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most this many.")
@click.option("--client", default="", help="Only those of this client.")
@click.option("--exchange", default="", type=EXCHANGE, help="Only those of this exchange.")
@click.option("--decision", type=click.Choice(["allow", "deny"]), help="Only these.")
@click.pass_obj
def show(session: Session, *, limit: int, client: str, exchange: str, decision: str | None) -> None:
    """Show the latest entries, newest first."""
    with session.client() as vault:
        entries = vault.audit(limit=limit, client=client, exchange=exchange, decision=decision or "")
        names = exchange_names(vault)
    session.terminal.result({"entries": plain(entries)}, audit_table(entries, names) if entries else "No such entry.")


@audit.command()
@click.pass_context
def verify(ctx: click.Context) -> None:
    """Check that no entry is missing or was changed.

    Names the first bad one, and ends with 11 where there is one.
    """
    session = ctx.ensure_object(Session)
    with session.client() as vault, session.terminal.working("Checking every entry"):
        report = vault.verify_audit()
    if report.ok:
        text = f"{report.checked} entries, every one in its place and unchanged."
    else:
        text = f"Entry {report.first_bad} is the first bad one: {report.detail}"
    session.terminal.result({"ok": report.ok, **plain(report)}, text)
    if not report.ok:
        ctx.exit(ExitCode.STORE)


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(min=1), default=500, show_default=True, help="Look at so many entries.")
@click.option("--client", default="", help="Only callers with this client's key.")
@click.pass_obj
def who(session: Session, *, limit: int, client: str) -> None:
    """Show the processes that called lately.

    Unit, uid, pid and start of each are the kernel's; the client is proved by its key. Of who used the unlock socket
    the kernel says uid and pid.
    """
    with session.client() as vault:
        found = callers(vault.audit(limit=limit, client=client))
    session.terminal.result({"callers": plain(found)}, callers_table(found) if found else "Nobody yet.")
