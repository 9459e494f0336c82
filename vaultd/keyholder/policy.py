"""Who may do what. Deny is the default; `explain` and the real decision are the same code.

A permission is for administration, a grant for plaintext: operation x exchange x configuration, with an end and a rate.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from vaultd.keyholder.rates import Rates
from vaultd.model import EVERYTHING, PERMISSIONS, REVEAL, ClientRow, ClientState, GrantRow, GrantState

_OTHER_UNIT = "the caller is not in its unit"
_SUSPENDED = "suspended by the restore of a backup: vaultctl client confirm"


@dataclass(frozen=True, slots=True)
class Decision:
    """Outcome and reason.

    rule: What decided, for the audit. steps: each check in words, for an administrator. grant: the one that allows.
    rate_limited: nothing but a used-up rate denies.
    """

    allowed: bool
    rule: str
    steps: tuple[str, ...] = ()
    grant: GrantRow | None = None
    rate_limited: bool = False


def permissions(client: ClientRow) -> frozenset[str]:
    """Returns the administrative permissions of a client."""
    return _parsed(client.permissions)


@lru_cache(maxsize=256)
def _parsed(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))


def holds(client: ClientRow, permission: str) -> bool:
    """Says whether a client has a permission."""
    return not permissions(client).isdisjoint({permission, EVERYTHING})


def is_administrator(client: ClientRow) -> bool:
    """Says whether a client has every permission, and so can give any: such a one must stay, for nobody gives another."""
    return client.state == ClientState.ACTIVE and all(holds(client, permission) for permission in PERMISSIONS)


def by_permission(client: ClientRow, permission: str) -> Decision:
    """Decides an administrative request."""
    if holds(client, permission):
        return Decision(allowed=True, rule=f"permission {permission}")
    return Decision(allowed=False, rule=f"no-permission {permission}")


def may_reveal(
    client: ClientRow,
    grants: Sequence[GrantRow],
    exchange: str,
    configuration: str,
    now_ms: int,
    rates: Rates,
    boot_ns: int,
    unit: str | None,
) -> Decision:
    """Decides a request for plaintext.

    Args:
        exchange: Id; the empty string stands for one that does not exist, which only `*` grants match.
        now_ms: Wall time that cannot jump (clock.py).
        boot_ns: CLOCK_BOOTTIME, for the rates.
        unit: The systemd unit that the caller runs in; None where nobody calls and the right one is assumed.
    """
    steps = [f"client {client.name} is {client.state}"]
    if client.state != ClientState.ACTIVE:
        return Decision(allowed=False, rule=f"client-{client.state.lower()}", steps=tuple(steps))
    if holds(client, "Exchanges:Reveal"):
        steps.append("permission Exchanges:Reveal allows every exchange")
        return Decision(allowed=True, rule="permission Exchanges:Reveal", steps=tuple(steps))
    denied = "no-grant"
    rate_limited = False
    for grant in grants:
        problem = _problem(grant, exchange, configuration, now_ms, unit)
        if not problem and not rates.left(grant, boot_ns):
            problem, rate_limited = f"its {grant.rate_count} uses in {grant.rate_seconds} s are used up", True
            denied = f"grant {grant.grant} rate"
        elif problem.startswith("it ended"):
            denied = f"grant {grant.grant} ended"
        elif problem == _OTHER_UNIT:
            denied = f"grant {grant.grant} unit"
        elif problem == _SUSPENDED:
            denied = "grant-suspended"
        where = f" in {grant.unit}" if grant.unit else ""
        what = f"{grant.operation} {grant.exchange} {grant.configuration}{where}"
        steps.append(f"grant {grant.grant} ({what}): {problem or 'allows'}")
        if not problem:
            return Decision(allowed=True, rule=f"grant {grant.grant}", steps=tuple(steps), grant=grant)
    steps.append("no grant allows it: denied by default")
    return Decision(allowed=False, rule=denied, steps=tuple(steps), rate_limited=rate_limited)


def covers(grant: GrantRow, exchange: str, configuration: str, now_ms: int) -> bool:
    """Says whether a grant is for this half of this exchange, and has not ended; its rate and its unit are other matters."""
    return not _problem(grant, exchange, configuration, now_ms, None)


def _problem(grant: GrantRow, exchange: str, configuration: str, now_ms: int, unit: str | None) -> str:
    if grant.operation != REVEAL:
        return "for another operation"
    if grant.exchange not in (EVERYTHING, exchange):
        return "for another exchange"
    if grant.configuration not in (EVERYTHING, configuration):
        return "for another configuration"
    if grant.state != GrantState.ACTIVE and configuration != "read":
        return _SUSPENDED
    if unit is not None and grant.unit not in ("", unit):
        return _OTHER_UNIT
    if grant.not_after_ms and now_ms >= grant.not_after_ms:
        return "it ended"
    return ""
