"""`vaultctl doctor`: what is wrong with this host and its vault, and how to mend it."""

import click

from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.session import Command, Session, plain
from vaultd_client.cli.terminal import table
from vaultd_client.doctor.checks import look
from vaultd_client.doctor.finding import Level
from vaultd_client.doctor.places import find
from vaultd_client.doctor.vault import ask


@click.command(cls=Command)
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Say what is wrong with host or vault, and how to mend it.

    Modes, owners, swap, core files, kernel, clock, disk, key slots, audit, versions. It changes nothing, and works
    without the daemon as far as it can. Ends with 15 where it finds an error; warnings alone end with 0.
    """
    session = ctx.ensure_object(Session)
    places = find(session.socket, session.unlock_socket, session.key_path())
    with session.client() as client, session.unlock_client() as keyholder, session.terminal.working("Looking"):
        found = list(look(places, ask(client, keyholder)))
    counts = {level.value: sum(each.level == level for each in found) for level in Level}
    document = {"ok": not counts[Level.ERROR], "counts": counts, "findings": plain(found)}
    rows = []
    for each in found:
        rows.append((each.check, each.level.value, each.reason))
        if each.fix:
            rows.append(("", "fix", each.fix))
    summary = f"{counts['error']} errors, {counts['warning']} warnings, {counts['skipped']} skipped, {counts['ok']} ok"
    session.terminal.result(document, table(("CHECK", "RESULT", "DETAIL"), rows), "", summary)
    if counts[Level.ERROR]:
        ctx.exit(ExitCode.UNHEALTHY)
