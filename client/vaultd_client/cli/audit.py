"""`vaultctl audit`: who asked for what, and whether the record is whole."""

import click

from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.session import Group, Session, plain
from vaultd_client.cli.views import audit_table, exchange_names


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
