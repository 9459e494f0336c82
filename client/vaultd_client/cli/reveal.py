"""`vaultctl reveal`: the one command whose result is plaintext."""

import json

import click

from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure, invalid
from vaultd_client.cli.parsing import HALVES
from vaultd_client.cli.session import Command, Session
from vaultd_client.revealed import RevealedCredential


@click.command(cls=Command)
@click.argument("exchange", type=EXCHANGE)
@click.option("--configuration", required=True, type=click.Choice(HALVES), help="Which half.")
@click.option("--version", type=click.IntRange(min=0), default=0, help="Which version; the active one where left out.")
@click.option("--field", help="Print the value of this field alone.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "ccxt"]),
    default="json",
    show_default=True,
    help="json: the credential. ccxt: what the constructor of a ccxt exchange takes.",
)
@click.option("--show", is_flag=True, help="Print it even where stdout is a terminal.")
@click.pass_obj
def reveal(
    session: Session, *, exchange: str, configuration: str, version: int, field: str | None, form: str, show: bool
) -> None:
    """Print one half of an exchange in plaintext on stdout. Every use is in the audit.

    Refused where stdout is a terminal, unless --show says so: what is shown there stays in its scroll-back.
    """
    if session.terminal.results_are_seen and not show:
        raise Failure(
            "stdout is a terminal, where plaintext would stay",
            "send it to a program or a file, or add --show",
            code=ExitCode.USAGE,
        )
    with session.client() as client:
        credential = client.reveal(exchange, configuration, version)
    if field is not None:
        value = _one(credential, field)
        session.terminal.plaintext(json.dumps(value) if session.terminal.json else value)
    else:
        document = credential.ccxt_config() if form == "ccxt" else _whole(credential)
        session.terminal.plaintext(json.dumps(document, indent=2))


def _one(credential: RevealedCredential, field: str) -> str:
    values = {**credential.fields, **{f"extra.{name}": value for name, value in credential.extra.items()}}
    if field not in values:
        raise invalid("field", f"the credential has no {field}; it has {', '.join(values)}")
    return values[field]


def _whole(credential: RevealedCredential) -> dict[str, object]:
    return {
        "exchange": credential.exchange,
        "name": credential.name,
        "kind": credential.kind,
        "environment": credential.environment,
        "configuration": credential.configuration,
        "version": credential.version,
        "fields": {**credential.fields, **({"extra": dict(credential.extra)} if credential.extra else {})},
    }
