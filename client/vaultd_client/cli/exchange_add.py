"""`vaultctl exchange add` and `rotate`: the two commands that take key pairs in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import click

from vaultd_client.cli import key_pairs, prompts
from vaultd_client.cli.completion import EXCHANGE, KIND
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.known_kind import known_kind
from vaultd_client.cli.parsing import HALVES, Label, Until
from vaultd_client.cli.session import Command, Session, plain
from vaultd_client.cli.verify_options import Wish, verified, verify_options
from vaultd_client.cli.views import credential_table, exchange_facts
from vaultd_client.cli.vouched import signed_exchange
from vaultd_client.client import VaultClient
from vaultd_client.drafts import Draft
from vaultd_client.errors import ExistsError, LockedError, NotFoundError, UninitializedError
from vaultd_client.fields import FieldValues
from vaultd_client.key_checks import KeyCheck
from vaultd_client.keys import ClientKey
from vaultd_client.kinds import Kind


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--kind", type=KIND, help="Kind of the exchange: vaultctl kinds list.")
@click.option("--environment", type=click.Choice(["live", "testnet", "demo"]), help="Live where left out.")
@click.option(
    "--configuration",
    "halves",
    multiple=True,
    type=click.Choice(HALVES),
    help="Half that a key pair is for; twice for one pair in both.",
)
@click.option("--label", "labels", multiple=True, type=Label(), help="Label; may be repeated.")
@click.option("--market-type", "market_types", multiple=True, help="Market type, such as spot; may be repeated.")
@click.option("--hidden", is_flag=True, help="Leave it out of the open list.")
@click.option("--expires", type=Until(), help="When the keys end, where you know it, such as 2027-01-01 or 90d.")
@verify_options
@key_pairs.document_options
@click.pass_obj
def add(
    session: Session,
    *,
    name: str | None,
    kind: str | None,
    environment: str | None,
    halves: Sequence[str],
    labels: Sequence[tuple[str, str]],
    market_types: Sequence[str],
    hidden: bool,
    expires: datetime | None,
    wish: Wish,
    given: key_pairs.Given | None,
) -> None:
    """Add an exchange with a read key pair, a write key pair, or both.

    Asks for what is not given, field by field as the kind needs. As JSON, a key pair alone or the whole exchange is
    taken in the shapes that other services use:

    \b
      {"api_key": "...", "secret": "..."}
      {"kind": "binance", "name": "main", "readConfiguration": {...}, "writeConfiguration": {...}}

    What is given as an option wins over the document. A key pair alone is the read half unless --configuration says
    otherwise.
    """  # noqa: D301 - the backspace is click's
    wish.check_ready(session)
    with session.client() as client:
        document = key_pairs.document(given)
        draft = document or key_pairs.empty()
        if document is None:
            require_ready(session, client)
        name = name or draft.name or prompts.ask("Name of the exchange", instead="NAME")
        if document is None:
            require_new(client, name)
        kind = kind or draft.kind or prompts.ask("Kind, such as binance", instead="--kind")
        known = known_kind(client, kind)
        if document is None:
            configurations: Mapping[str, FieldValues] = _asked(session, known, halves)
        else:
            configurations = _documented(draft, halves)
        checks: Mapping[str, KeyCheck] = {}
        create = partial(
            client.create_exchange,
            name,
            kind,
            configurations,
            environment=environment or draft.environment,
            labels={**draft.labels, **dict(labels)},
            market_types=list(market_types) or draft.market_types,
            hidden=hidden or draft.hidden,
            expires_at=dict.fromkeys(configurations, expires) if expires else None,
        )
        if wish.verify:
            vouched, _ = create(validate_only=True)
            checks = verified(session, known, vouched, configurations, wish)
        created, notices = create(checks=checks)
    for notice in notices:
        session.terminal.warn(notice)
    document_shown = {"exchange": plain(created), "notices": list(notices)}
    session.terminal.result(document_shown, exchange_facts(created), "", credential_table(created))


@click.command(cls=Command)
@click.argument("name", metavar="EXCHANGE", type=EXCHANGE)
@click.option("--configuration", required=True, type=click.Choice(HALVES), help="Half that gets a new key pair.")
@click.option("--expires", type=Until(), help="When the new key ends, where you know it, such as 2027-01-01 or 90d.")
@verify_options
@key_pairs.document_options
@click.pass_obj
def rotate(
    session: Session,
    *,
    name: str,
    configuration: str,
    expires: datetime | None,
    wish: Wish,
    given: key_pairs.Given | None,
) -> None:
    """Store a new key pair for one half and make it the active one.

    The one before stays as PREVIOUS, revealed only when asked for by its number, until it is revoked.
    """
    from vaultd_client.cli.exchange import look_up

    wish.check_ready(session)
    with session.client() as client:
        document = key_pairs.document(given)
        if document is None:
            require_ready(session, client)
            kind = client.kind(look_up(client, name).kind)
            fields: FieldValues = key_pairs.ask_pair(session.terminal, kind, configuration)
        else:
            fields = key_pairs.single(document, configuration)
        checks: Mapping[str, KeyCheck] = {}
        if wish.verify:
            vouched = signed_exchange(client, name)
            checks = verified(session, client.kind(vouched.kind), vouched, {configuration: fields}, wish)
        changed, version, notices = client.rotate_credential(
            name, configuration, fields, check=checks.get(configuration), expires_at=expires
        )
    for notice in notices:
        session.terminal.warn(notice)
    shown = {"exchange": plain(changed), "version": version, "notices": list(notices)}
    text = f"{changed.name} {configuration} is at version {version}."
    session.terminal.result(shown, text, credential_table(changed))


def require_ready(session: Session, client: VaultClient) -> None:
    """Refuses before a person has typed a secret that could not be stored.

    Raises:
        LockedError, UninitializedError: The vault cannot take it.
        KeyFileError: There is no key to sign with.
    """
    state = client.vault().state
    if state == "UNINITIALIZED":
        raise UninitializedError("the vault was never initialized")
    ClientKey.load(session.key_path())
    if state != "UNLOCKED":
        raise LockedError("the vault is locked")


def require_new(client: VaultClient, name: str) -> None:
    """Refuses a name that is taken, for the same reason.

    Raises:
        ExistsError: It is taken.
    """
    try:
        client.get(name)
    except NotFoundError:
        return
    raise ExistsError(f"an exchange of the name {name} exists")


def _asked(session: Session, known: Kind, halves: Sequence[str]) -> Mapping[str, FieldValues]:
    if halves:
        return {half: key_pairs.ask_pair(session.terminal, known, half) for half in halves}
    pairs: dict[str, FieldValues] = {"read": key_pairs.ask_pair(session.terminal, known, "read")}
    if prompts.confirm("Add a write key pair too?", instead="--configuration"):
        pairs["write"] = key_pairs.ask_pair(session.terminal, known, "write")
    return pairs


def _documented(draft: Draft, halves: Sequence[str]) -> Mapping[str, FieldValues]:
    pairs = dict(draft.configurations)
    if "" in pairs:
        alone = pairs.pop("")
        return dict.fromkeys(halves or ("read",), alone)
    unknown = [half for half in halves if half not in pairs]
    if unknown:
        raise Failure(f"the document has no key pair for {unknown[0]}", "leave --configuration out")
    return {half: pair for half, pair in pairs.items() if not halves or half in halves}
