"""`vaultctl import undo` and `list`: what an import made, and only that, is erased again."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from vaultd_client.cli import prompts
from vaultd_client.cli.exchange import look_up
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.session import Command, Session
from vaultd_client.cli.terminal import table
from vaultd_client.client import VaultClient
from vaultd_client.errors import NotFoundError
from vaultd_client.imports.record import LIST, Made, Record, load, of_vault


@click.command("list", cls=Command)
@click.pass_obj
def list_imports(session: Session) -> None:
    """List the imports that can be undone, newest first."""
    with session.client() as client:
        found = of_vault(client.vault().vault_id)
    rows = [
        (each.id, each.format, each.source, ", ".join(made.name for made in each.made), "yes" if each.shredded else "no")
        for each in found
    ]
    shown = table(("ID", "FORMAT", "SOURCE", "EXCHANGES", "SHREDDED"), rows) if rows else "No import by this user yet."
    session.terminal.result({"imports": [asdict(each) for each in found]}, shown)


@click.command(cls=Command)
@click.argument("import_id", metavar="[ID]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def undo(session: Session, *, import_id: str | None, yes: bool) -> None:
    """Erase what an import made: the last one, or that of ID.

    Refused where one of its exchanges was changed since: look at it, and delete it by itself.
    """
    with session.client() as client:
        record = _record(client.vault().vault_id, import_id)
        there, gone = _still_there(client, record)
        if record.shredded:
            session.terminal.warn(
                f"{', '.join(record.shredded)} was shredded: these keys may exist nowhere else, and only new ones from "
                "the exchange would replace them"
            )
        if record.pending:
            session.terminal.warn(
                f"the import was broken off while it stored {record.pending}: look: vaultctl exchange show "
                f"'{record.pending}'"
            )
        if there and not yes:
            names = ", ".join(each.name for each in there)
            prompts.must_confirm(f"Erase {names} with their keys, and the grants that name them?")
        for made in there:
            _erase(client, record, made)
    record.forget()
    erased = [each.name for each in there]
    lines = [f"erased: {name}" for name in erased] + [f"was gone: {each.name}" for each in gone]
    document = {"undone": record.id, "erased": erased, "gone": [each.name for each in gone]}
    session.terminal.result(document, *(lines or ["There was nothing left of it."]))


def _record(vault_id: bytes, name: str | None) -> Record:
    if name is None:
        records = of_vault(vault_id)
        if not records:
            raise Failure("there is no import to undo", LIST, code=ExitCode.NOT_FOUND, reason="import_not_found")
        return records[0]
    found = load(name)
    if found is None:
        raise Failure("there is no import of that id", LIST, code=ExitCode.NOT_FOUND, reason="import_not_found")
    if found.vault_id != vault_id.hex():
        hint = "name that vault: --socket"
        raise Failure("that import was into another vault", hint, code=ExitCode.CONFLICT, reason="other_vault")
    return found


def _still_there(client: VaultClient, record: Record) -> tuple[Sequence[Made], Sequence[Made]]:
    """Returns what is as the import left it, and what is gone; nothing is erased before all were looked at."""
    there: list[Made] = []
    gone: list[Made] = []
    changed: list[Made] = []
    for made in record.made:
        try:
            found = look_up(client, made.exchange)
        except NotFoundError:
            gone.append(made)
            continue
        (there if found.etag == made.etag else changed).append(made)
    if changed:
        raise Failure(
            f"{', '.join(each.name for each in changed)} was changed since the import; nothing was erased",
            f"look at it, then: vaultctl exchange delete '{changed[0].name}'",
            code=ExitCode.CONFLICT,
            reason="etag_mismatch",
        )
    return there, gone


def _erase(client: VaultClient, record: Record, made: Made) -> None:
    """Erases one exchange and takes it off the record, so that an undo that is broken off can go on."""
    client.delete_exchange(made.exchange, made.etag)
    record.made.remove(made)
    record.save()
