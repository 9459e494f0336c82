"""`vaultctl unit`: systemd units that get a key pair as a file when they start, with no client in them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from vaultd_client import paths
from vaultd_client.cli import units
from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import HALVES, Rate, Until
from vaultd_client.cli.session import Group, Session, moment, plain
from vaultd_client.cli.terminal import table
from vaultd_client.cli.views import audit_table, exchange_names, grant_text
from vaultd_client.client import VaultClient
from vaultd_client.models import AuditEntry, Client, Grant

_PREFIX = "unit:"
_SOCKET = paths.SYSTEM_RUNTIME_DIR / "credentials.sock"
_SHOWN = 5


class _Unit(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """Name of a service: `bot` is `bot.service`."""

    name = "unit"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the whole name."""
        if not value:
            self.fail("type the name of a unit, such as bot.service", param, ctx)
        return value if value.endswith(".service") else f"{value}.service"


@dataclass(frozen=True, slots=True)
class _Access:
    """What a unit would be told of one half of an exchange that it is granted."""

    credential: str
    allowed: bool
    rule: str
    steps: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Said:
    """The last refusal that the journal has."""

    time: datetime
    credential: str
    reason: str
    text: str


@click.group(cls=Group)
def unit() -> None:
    """Services that get key pairs from systemd when they start."""


@unit.command()
@click.argument("unit", type=_Unit())
@click.argument("exchange", type=EXCHANGE)
@click.option("--configuration", type=click.Choice([*HALVES, "*"]), default="read", show_default=True, help="Which half.")
@click.option("--until", type=Until(), help="End: 2027-01-01 or 2027-01-01T12:00 (UTC), or from now: 30d, 12h.")
@click.option("--rate", type=Rate(), help="At most so many uses in so much time: 10/60s, 100/1h.")
@click.pass_obj
def grant(
    session: Session, *, unit: str, exchange: str, configuration: str, until: datetime | None, rate: tuple[int, int] | None
) -> None:
    """Let a unit have one half of an exchange.

    Root writes the unit's file, and in it what the unit asks for: LoadCredential=ID:/run/vaultd/credentials.sock, where
    ID is EXCHANGE.json, EXCHANGE.env, EXCHANGE.ccxt.json, EXCHANGE.freqtrade.json, EXCHANGE.api_key, or with the half:
    EXCHANGE.read.json. EXCHANGE may be '*' for every one.
    """
    with session.client() as vault:
        is_of_host = vault.socket.parent == paths.SYSTEM_RUNTIME_DIR
        made = vault.create_grant(_PREFIX + unit, exchange, configuration, not_after=until, rate=rate)
        names = exchange_names(vault)
    for notice in made.notices:
        session.terminal.warn(notice)
    lines = [f"[Service] of {unit}:", *(f"  {line}" for line in _directives(f"{names.get(made.exchange, exchange)}.json"))]
    session.terminal.result(plain(made), grant_text(made, names), *([] if exchange == "*" else lines))
    if not is_of_host:
        session.terminal.warn("units are served by the vault of the host, and this is a user's: sudo vaultctl system install")


@unit.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """Show the units that may have something."""
    with session.client() as vault:
        found = [(each.unit, each.grants) for each in vault.clients() if each.name.startswith(_PREFIX)]
        names = exchange_names(vault)
    rows = [(name, "; ".join(grant_text(grant, names) for grant in grants)) for name, grants in found]
    document = {"units": [{"unit": name, "grants": plain(grants)} for name, grants in found]}
    session.terminal.result(document, table(("UNIT", "GRANTS"), rows) if rows else "No unit is granted anything.")


@unit.command()
@click.argument("unit", type=_Unit())
@click.argument("grant", required=False)
@click.pass_obj
def revoke(session: Session, *, unit: str, grant: str | None) -> None:
    """Take a grant of a unit back, or all of them.

    What a running unit was given at its start it has until it stops.
    """
    with session.client() as vault:
        wanted = [grant] if grant else [each.id for each in _grants(vault, unit)]
        for each in wanted:
            vault.delete_grant(_PREFIX + unit, each)
    session.terminal.result({"deleted": wanted}, f"{', '.join(wanted) or 'Nothing'} of {unit} is taken back.")


@unit.command()
@click.argument("unit", type=_Unit())
@click.option("--exit-code", is_flag=True, help="End with 6 where there is nothing that it would get.")
@click.pass_context
def check(ctx: click.Context, *, unit: str, exit_code: bool) -> None:
    """Explain what a unit would get and why it was refused.

    Names the last refusal, of the journal where you may read it, and what would have allowed it.
    """
    session = ctx.ensure_object(Session)
    with session.client() as vault:
        names = exchange_names(vault)
        access = list(_access(vault, unit, names))
        refusals = vault.audit(limit=_SHOWN, client=_PREFIX + unit, decision="deny")
    said = _journal(unit)
    fixes = list(dict.fromkeys([*_journal_fix(said), *(_fix(unit, each, names) for each in refusals[:1])]))
    document = {
        "unit": unit,
        "credentials": plain(access),
        "refusals": plain(refusals),
        "journal": plain(said),
        "fixes": fixes,
    }
    lines = [f"{each.credential}: {'allowed' if each.allowed else 'denied'}: {each.rule}" for each in access]
    shown: list[Any] = [*(lines or [f"{unit} is granted nothing: denied by default."])]
    if said is not None:
        shown += ["", f"Last refusal in the journal, {moment(said.time)}: {said.credential}: {said.text}"]
    shown += ["", "Latest refusals:", audit_table(refusals, names)] if refusals else []
    shown += ["", "What would allow it:", *(f"  {fix}" for fix in fixes)] if fixes else []
    session.terminal.result(document, *shown)
    if exit_code and not any(each.allowed for each in access):
        ctx.exit(ExitCode.REFUSED)


def _directives(credential: str) -> tuple[str, str]:
    return f"LoadCredential={credential}:{_SOCKET}", f"ExecStartPre=test -s %d/{credential}"


def _client(vault: VaultClient, unit: str) -> Client | None:
    return next((each for each in vault.clients() if each.name == _PREFIX + unit), None)


def _grants(vault: VaultClient, unit: str) -> Sequence[Grant]:
    found = _client(vault, unit)
    if found is None:
        raise Failure(f"{unit} is granted nothing", "vaultctl unit list", code=ExitCode.NOT_FOUND, reason="not_found")
    return found.grants


def _access(vault: VaultClient, unit: str, names: Mapping[str, str]) -> Iterator[_Access]:
    found = _client(vault, unit)
    for each in found.grants if found else ():
        for exchange in names if each.exchange == "*" else (each.exchange,):
            for half in HALVES if each.configuration == "*" else (each.configuration,):
                answer = vault.why(_PREFIX + unit, exchange, half)
                credential = f"{names.get(exchange, exchange)}.{half}.json"
                yield _Access(credential, answer.allowed, answer.rule, answer.steps)


def _journal(unit: str) -> _Said | None:
    """Returns the last refusal that the server has written; None where there is none, or the journal is closed to us."""
    # _SYSTEMD_UNIT is the journal's own: another program can write UNIT=, but not that.
    printed = units.answer("journalctl", "--lines=1", "--output=json", "_SYSTEMD_UNIT=vaultd.service", f"UNIT={unit}")
    try:
        entry = json.loads(printed.splitlines()[-1])
        when = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000, UTC)
        return _Said(when, str(entry["CREDENTIAL"]), str(entry["VAULTD_REASON"]), str(entry["VAULTD_TEXT"]))
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _journal_fix(said: _Said | None) -> Iterator[str]:
    """Yields what helps against refusals that no audit has: nothing is written to it while the vault is locked."""
    if said is not None and said.reason == "VAULT_LOCKED":
        yield "vaultctl unlock, before the unit starts or within credentials_wait_seconds of vaultd.toml"
    elif said is not None and said.reason == "KEYHOLDER_UNAVAILABLE":
        yield "systemctl status vaultd-keyholder"


def _fix(unit: str, denied: AuditEntry, names: Mapping[str, str]) -> str:
    """Returns what would have allowed a refused credential."""
    exchange, half = names.get(denied.exchange, denied.exchange), denied.configuration
    grant_it = f"vaultctl unit grant {unit} {exchange or 'EXCHANGE'} --configuration={half or 'read'}"
    fixes = {
        "bad-id": f"an id that there is, such as EXCHANGE.json: vaultctl unit grant --help; it asked for {denied.detail}",
        "bad-form": f"another form, such as EXCHANGE.json: the key pair has no such field or form; it asked for {denied.detail}",
        "no-exchange": f"the name of an exchange that there is: vaultctl exchange list; it asked for {denied.detail}",
        "other-unit": f"nothing: a process of root that is not in {unit} has asked in its name",
        "no-credential": f"vaultctl exchange rotate {exchange} --configuration={half}",
        "no-cgroup": "a host with control groups of version 2, for the end of the unit to be noticed",
        "exchange-disabled": f"vaultctl exchange update {exchange} --state=active",
        "grant-suspended": f"vaultctl client confirm {_PREFIX}{unit}: the restore of a backup suspended it",
        "exchange-revoked": "another exchange: this one is revoked for good",
    }
    if denied.rule.endswith(" rate"):
        return f"time, or a higher rate: {denied.rule}"
    return fixes.get(denied.rule, grant_it)
