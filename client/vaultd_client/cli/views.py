"""What a person sees of the vault's values: tables and lines. `--json` prints the values themselves."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from vaultd_client.cli.expiry import left_text
from vaultd_client.cli.session import moment
from vaultd_client.cli.terminal import facts, table
from vaultd_client.cli.who import Caller
from vaultd_client.client import VaultClient
from vaultd_client.key_checks import KeyCheck
from vaultd_client.models import AuditEntry, Client, Configuration, Credential, Exchange, Grant
from vaultd_client.revealed import FIELD_NAMES

_ANY_UID = 0xFFFF_FFFF
"""Of a unit, which is known by its name alone."""


def exchange_table(exchanges: Sequence[Exchange]) -> Table:
    """Returns one row per exchange."""
    rows = [
        (
            each.name,
            each.kind,
            each.environment,
            _mask(each.configuration("read")),
            _mask(each.configuration("write")),
            each.state + (" hidden" if each.hidden else ""),
            each.id,
        )
        for each in exchanges
    ]
    return table(("NAME", "KIND", "ENVIRONMENT", "READ", "WRITE", "STATE", "ID"), rows)


def exchange_facts(exchange: Exchange) -> Table:
    """Returns everything of one exchange but its credentials."""
    shown: dict[str, object] = {
        "name": exchange.name,
        "id": exchange.id,
        "kind": exchange.kind,
        "environment": exchange.environment,
        "state": exchange.state,
        "lock reason": exchange.lock_reason,
        "labels": ", ".join(f"{key}={value}" for key, value in exchange.labels.items()),
        "market types": ", ".join(exchange.market_types),
        "hidden": "yes" if exchange.hidden else "",
        "created": moment(exchange.created_at),
        "updated": moment(exchange.updated_at),
    }
    return facts({name: value for name, value in shown.items() if value})


def credential_table(exchange: Exchange) -> Table:
    """Returns one row per version of each half, newest first."""
    rows = [
        (
            half.configuration,
            each.version,
            each.state,
            each.key_state,
            (each.check.problem or rights_text(each.check)) if each.check else "-",
            _IP_BOUND.get(each.check.ip_bound, "?") if each.check else "-",
            left_text(each),
            masks(each),
            moment(each.created_at),
            moment(each.check.checked_at) if each.check else "never",
        )
        for half in exchange.configurations
        for each in half.credentials
    ]
    columns = ("CONFIGURATION", "VERSION", "STATE", "KEY", "RIGHTS", "IP-BOUND", "ENDS", "FIELDS", "CREATED", "CHECKED")
    return table(columns, rows)


_IP_BOUND = {"YES": "yes", "NO": "any address", "UNKNOWN": "?"}


def rights_text(check: KeyCheck) -> str:
    """Returns what a key may do: `read, trade`; what the exchange does not say is named, never left out."""
    answers = {name: getattr(check, name) for name in ("read", "trade", "transfer", "withdraw")}
    allowed = [name for name, answer in answers.items() if answer == "YES"]
    unknown = [name for name, answer in answers.items() if answer not in {"YES", "NO"}]
    return (", ".join(allowed) or "nothing") + (f" (unknown: {', '.join(unknown)})" if unknown else "")


def masks(credential: Credential) -> str:
    """Returns the fields of a credential as masks, in the order of FIELD_NAMES."""
    names = sorted(credential.masks, key=lambda name: (FIELD_NAMES.index(name) if name in FIELD_NAMES else 99, name))
    return ", ".join(f"{name} {credential.masks[name] or '(set)'}" for name in names)


def exchange_names(vault: VaultClient) -> Mapping[str, str]:
    """Returns id to name of the exchanges in the open list; a person reads names."""
    return {each.id: each.name for each in vault.list()}


def client_table(clients: Sequence[Client], names: Mapping[str, str]) -> Table:
    """Returns one row per client; `names` is what `exchange_names` returned."""
    rows = [
        (
            each.name,
            each.state,
            "any" if each.uid == _ANY_UID else each.uid,
            each.unit or "-",
            ", ".join(each.permissions) or "-",
            "; ".join(grant_text(grant, names) for grant in each.grants) or "-",
        )
        for each in clients
    ]
    return table(("NAME", "STATE", "UID", "UNIT", "PERMISSIONS", "GRANTS"), rows)


def grant_text(grant: Grant, names: Mapping[str, str]) -> str:
    """Returns a grant as one line."""
    text = f"{grant.id}: {grant.operation} {names.get(grant.exchange, grant.exchange)} {grant.configuration}"
    if grant.not_after:
        text += f" until {moment(grant.not_after)}"
    if grant.rate_count:
        text += f", {grant.rate_count} in {grant.rate_seconds} s"
    if grant.unit:
        text += f", from {grant.unit} only"
    if grant.state == "SUSPENDED":
        text += ", suspended"
    return text


def audit_table(entries: Sequence[AuditEntry], names: Mapping[str, str]) -> Table:
    """Returns one row per audit entry."""
    rows = [
        (
            each.sequence,
            moment(each.time),
            each.decision,
            each.method.rpartition("/")[2],
            each.client or "-",
            caller_text(each),
            "/".join(part for part in (names.get(each.exchange, each.exchange), each.configuration) if part) or "-",
            each.rule + (f" (x{each.count})" if each.count > 1 else ""),
            each.detail,
        )
        for each in entries
    ]
    return table(("ENTRY", "TIME", "DECISION", "METHOD", "CLIENT", "CALLER", "EXCHANGE", "RULE", "DETAIL"), rows)


def caller_text(entry: AuditEntry) -> str:
    """Returns unit, uid, pid and start of the process that called."""
    since = f" since {moment(entry.started_at)}" if entry.started_at else ""
    return (f"{entry.unit} " if entry.unit else "") + f"uid {entry.uid} pid {entry.pid}{since}"


def callers_table(callers: Sequence[Caller]) -> Table:
    """Returns one row per caller."""
    rows = [
        (
            each.client or "-",
            each.unit or "-",
            each.uid,
            each.pid,
            moment(each.started_at),
            each.allowed,
            each.denied,
            each.last_method,
            moment(each.last_at),
        )
        for each in callers
    ]
    return table(("CLIENT", "UNIT", "UID", "PID", "STARTED", "ALLOWED", "DENIED", "LAST", "AT"), rows)


def _mask(half: Configuration | None) -> str:
    active = half.active if half else None
    if half is None or not half.credentials:
        return "-"
    if active is None:
        return half.credentials[0].state
    shown = next((mask for mask in active.masks.values() if mask), "(set)")
    known = f"{active.key_state}: {rights_text(active.check)}" if active.check else "unchecked"
    ends = left_text(active)
    facts_known = [f"{shown} v{active.version}", "INVALID" if active.key_state == "INVALID" else known]
    return ", ".join(facts_known + ([f"ends in {ends}"] if ends != "-" else []))
