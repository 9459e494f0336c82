"""`vaultctl kinds`: the exchanges that the vault knows, the fields of their key pairs, and how to make a key there."""

import click

from vaultd_client.cli.completion import KIND
from vaultd_client.cli.kind_views import kind_page, kind_table
from vaultd_client.cli.known_kind import known_kind
from vaultd_client.cli.session import Group, Session, plain
from vaultd_client.kinds import Kind


@click.group(cls=Group)
def kinds() -> None:
    """The catalogue of exchanges."""


@kinds.command("list")
@click.argument("search", default="")
@click.option("--market-type", help="Only those that trade it: spot, margin, swap, future or option.")
@click.option("--environment", type=click.Choice(["testnet", "demo"]), help="Only those that have it.")
@click.option("--gone/--living", default=None, help="Only those that are gone, or only those that are not.")
@click.pass_obj
def list_kinds(
    session: Session, *, search: str, market_type: str | None, environment: str | None, gone: bool | None
) -> None:
    """List the kinds with the fields that they need.

    SEARCH is part of any name that an exchange has or had, such as okex. A field with a question mark may stay empty.
    """

    def wanted(kind: Kind) -> bool:
        return (
            kind.called(search)
            and (market_type is None or not kind.market_types or market_type in kind.market_types)
            and (environment is None or environment in kind.environments)
            and (gone is None or (kind.tombstone is not None) == gone)
        )

    with session.client() as client:
        found = [kind for kind in client.kinds() if wanted(kind)]
    if not found:
        session.terminal.note("No kind fits. Any venue can be stored as `custom`: vaultctl kinds show custom")
    session.terminal.result({"kinds": plain(found)}, *([kind_table(found)] if found else []))


@kinds.command()
@click.argument("kind", type=KIND)
@click.pass_obj
def show(session: Session, *, kind: str) -> None:
    """Show one kind, and how to create a key there.

    What to fill in and in which form, what to know of the venue, and the least rights of a key. KIND is any name that
    the exchange has or had.
    """
    with session.client() as client:
        found = known_kind(client, kind)
    if found.notice:
        session.terminal.warn(found.notice)
    session.terminal.result(plain(found), *kind_page(found))
