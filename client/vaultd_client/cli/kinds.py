"""`vaultctl kinds`: the exchanges that the vault knows, and the fields of their key pairs."""

import click

from vaultd_client.cli.completion import KIND
from vaultd_client.cli.session import Group, Session, plain
from vaultd_client.cli.terminal import facts, table
from vaultd_client.kinds import Kind


@click.group(cls=Group)
def kinds() -> None:
    """The catalogue of exchanges."""


@kinds.command("list")
@click.pass_obj
def list_kinds(session: Session) -> None:
    """List the kinds with the fields that they need."""
    with session.client() as client:
        found = client.kinds()
    rows = [(each.kind, each.display_name, _fields(each, "REQUIRED"), _fields(each, "EXPECTED")) for each in found]
    session.terminal.result({"kinds": plain(found)}, table(("KIND", "EXCHANGE", "REQUIRED", "EXPECTED"), rows))


@kinds.command()
@click.argument("kind", type=KIND)
@click.pass_obj
def show(session: Session, *, kind: str) -> None:
    """Show the fields, names and market types of one kind."""
    with session.client() as client:
        found = client.kind(kind)
    about = {
        "kind": found.kind,
        "exchange": found.display_name,
        "also called": ", ".join(found.aliases),
        "environments": ", ".join(found.environments),
        "market types": ", ".join(found.market_types) or "any",
    }
    rows = [
        (
            field.name,
            field.need.lower(),
            field.ccxt_name or "-",
            "yes" if field.maskable else "never",
            ", ".join(field.aliases),
        )
        for field in found.fields
    ]
    fields = table(("FIELD", "NEED", "CCXT", "SHOWN MASKED", "ALSO CALLED"), rows)
    session.terminal.result(plain(found), facts({name: text for name, text in about.items() if text}), "", fields)


def _fields(kind: Kind, need: str) -> str:
    return ", ".join(field.name for field in kind.fields if field.need == need)
