"""`vaultctl exchange`: list, show, update, revoke, delete. `exchange_add.py` has add and rotate."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from vaultd_client.cli import prompts
from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exchange_add import add, rotate
from vaultd_client.cli.exchange_verify import verify
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.expiry import warnings
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import HALVES, Label, Until
from vaultd_client.cli.session import Group, Session, plain
from vaultd_client.cli.views import credential_table, exchange_facts, exchange_table
from vaultd_client.client import VaultClient
from vaultd_client.errors import NotFoundError, VaultClientError
from vaultd_client.models import Exchange


@click.group(cls=Group)
def exchange() -> None:
    """Exchanges and their key pairs."""


exchange.add_command(add)
exchange.add_command(rotate)
exchange.add_command(verify)


@exchange.command("list")
@click.option("--all", "everything", is_flag=True, help="Hidden ones too; a signed request.")
@click.pass_obj
def list_exchanges(session: Session, *, everything: bool) -> None:
    """List the exchanges, masked. Works while the vault is locked, for everybody."""
    with session.client() as client:
        found = client.list(everything=everything)
    shown = exchange_table(found) if found else "No exchange yet. Add one: vaultctl exchange add"
    session.terminal.result({"exchanges": plain(found), "warnings": list(warnings(found))}, shown)
    _warn(session, found)


@exchange.command()
@click.argument("name", metavar="EXCHANGE", type=EXCHANGE)
@click.pass_obj
def show(session: Session, *, name: str) -> None:
    """Show one exchange with the versions of its key pairs, masked."""
    with session.client() as client:
        found = look_up(client, name)
    session.terminal.result(plain(found), exchange_facts(found), "", credential_table(found))
    _warn(session, [found])


@exchange.command()
@click.argument("name", metavar="EXCHANGE", type=EXCHANGE)
@click.option("--name", "new_name", help="New name.")
@click.option("--label", "labels", multiple=True, type=Label(), help="Set a label; may be repeated.")
@click.option("--remove-label", "removed", multiple=True, metavar="KEY", help="Take a label off; may be repeated.")
@click.option("--market-type", "market_types", multiple=True, help="Replace the market types; may be repeated.")
@click.option("--hidden/--no-hidden", default=None, help="Leave it out of the open list, or take it in again.")
@click.option("--state", type=click.Choice(["active", "disabled"]), help="Switch it off, or on again.")
@click.option("--lock-reason", help="Why it is switched off.")
@click.option("--expires", type=Until(), help="When the active key of --configuration ends, such as 2027-01-01 or 90d.")
@click.option("--configuration", type=click.Choice(HALVES), help="The half that --expires is about.")
@click.option("--etag", default="", help="Refuse the change if the stored etag is another one.")
@click.pass_obj
def update(
    session: Session,
    *,
    name: str,
    new_name: str | None,
    labels: Sequence[tuple[str, str]],
    removed: Sequence[str],
    market_types: Sequence[str],
    hidden: bool | None,
    state: str | None,
    lock_reason: str | None,
    expires: datetime | None,
    configuration: str | None,
    etag: str,
) -> None:
    """Change name, labels, market types, visibility, state or expiry."""
    if bool(expires) != bool(configuration):
        raise Failure("--expires and --configuration go together", "such as --configuration read --expires 2027-01-01")
    wanted: dict[str, Any] = {
        "name": new_name,
        "market_types": list(market_types) or None,
        "hidden": hidden,
        "state": state.upper() if state else None,
        "lock_reason": lock_reason,
    }
    changes = {field: value for field, value in wanted.items() if value is not None}
    if not changes and not labels and not removed and not expires:
        raise Failure("nothing to change", "vaultctl exchange update --help")
    with session.client() as client:
        if labels or removed:
            before = look_up(client, name)
            changes["labels"] = _merged(before.labels, labels, removed)
            etag = etag or before.etag  # another's change of labels in between must not be lost
        if expires and configuration:
            changed = _say_when_it_ends(client, name, configuration, expires)
            etag = changed.etag if etag else ""
        if changes:
            changed = client.update_exchange(name, etag=etag, **changes)
    session.terminal.result(plain(changed), exchange_facts(changed))


@exchange.command()
@click.argument("name", metavar="EXCHANGE", type=EXCHANGE)
@click.option("--configuration", type=click.Choice(HALVES), help="Only this half.")
@click.option("--version", type=click.IntRange(min=1), help="Only this version of it; the active one where left out.")
@click.option("--reason", default="", help="Why; shown to everybody who may see the exchange.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def revoke(
    session: Session, *, name: str, configuration: str | None, version: int | None, reason: str, yes: bool
) -> None:
    """Revoke an exchange, or one version of one half, for good."""
    if version is not None and not configuration:
        raise Failure("--version needs --configuration", "such as --configuration read --version 1")
    if reason and configuration:
        raise Failure("--reason goes with a whole exchange", "leave --reason or --configuration out")
    half = f" {configuration}" + (f" version {version}" if version else "") if configuration else ""
    if not yes:
        prompts.must_confirm(f"Revoke {name}{half} for good?")
    with session.client() as client:
        if configuration:
            revoked = client.revoke_credential(name, configuration, version or 0)
        else:
            revoked = client.revoke_exchange(name, reason)
    session.terminal.result(plain(revoked), exchange_facts(revoked), "", credential_table(revoked))


@exchange.command()
@click.argument("name", metavar="EXCHANGE", type=EXCHANGE)
@click.option("--etag", default="", help="Refuse if the stored etag is another one.")
@click.option("--yes", is_flag=True, help="Do not ask for the name to be typed.")
@click.pass_obj
def delete(session: Session, *, name: str, etag: str, yes: bool) -> None:
    """Erase an exchange, its key pairs and the grants that name it."""
    with session.client() as client:
        if not yes:
            found = look_up(client, name)
            typed = prompts.ask(f"This erases {found.name} and its keys. Type its name to go on", instead="--yes")
            if typed != found.name:
                raise Failure("that is not its name; nothing was erased", f"vaultctl exchange delete '{found.name}'")
            etag = etag or found.etag
        client.delete_exchange(name, etag)
    session.terminal.result({"deleted": name}, f"{name} is erased.")


def look_up(client: VaultClient, name: str) -> Exchange:
    """Returns an exchange, masked; a hidden one where the key may see it.

    Raises:
        NotFoundError: There is none that this caller may see.
    """
    try:
        return client.get(name)
    except NotFoundError as missing:
        try:
            everything = client.list(everything=True)
        except VaultClientError:
            raise missing from None  # who may not see hidden ones need not hear of them
        for each in everything:
            if name in {each.id, each.resource_name} or name.casefold() == each.name.casefold():
                return each
        raise


def _say_when_it_ends(client: VaultClient, name: str, configuration: str, expires: datetime) -> Exchange:
    found = look_up(client, name)
    half = found.configuration(configuration)
    if half is None or half.active is None:
        raise Failure(f"{name} has no active {configuration} key", f"vaultctl exchange show '{name}'", code=ExitCode.NOT_FOUND)
    return client.record_key_check(found.id, configuration, half.active.version, expires_at=expires)


def _warn(session: Session, exchanges: Sequence[Exchange]) -> None:
    """Says which keys are about to end; a program finds it in the document."""
    if not session.terminal.json:
        for line in warnings(exchanges):
            session.terminal.note(line, style="red" if line.startswith("URGENT") else "yellow")


def _merged(
    before: Mapping[str, str], labels: Sequence[tuple[str, str]], removed: Sequence[str]
) -> dict[str, str]:
    missing = [key for key in removed if key not in before]
    if missing:
        raise Failure(f"there is no label {missing[0]}", "vaultctl exchange show EXCHANGE")
    return {key: value for key, value in before.items() if key not in removed} | dict(labels)
