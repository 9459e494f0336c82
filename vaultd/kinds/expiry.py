"""When a key ends: what the exchange said, else what a person said, else what the exchange's own rules say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vaultd.kinds.kind import CountsFrom, Expiry

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Ends:
    """When a key ends, in milliseconds since the epoch; 0 where nobody knows.

    `source` is EXCHANGE, PERSON or RULE, the suffix of an `ExpirySource`; `rule` the rule in words.
    """

    at_ms: int = 0
    source: str = "UNSPECIFIED"
    rule: str = ""


def ends(check: Mapping[str, Any], said_ms: int, created_ms: int, rules: Sequence[Expiry]) -> Ends:
    """Returns when a key ends.

    Args:
        check: The stored check, `{}` where there was none: rights and `expires` as YES, NO or UNKNOWN, times in ms.
        said_ms: What a person said, 0 for nothing.
        created_ms: When the key was stored; it was made no later.
        rules: Those of the kind.
    """
    if check.get("expires_ms"):
        return Ends(check["expires_ms"], "EXCHANGE")
    if check.get("expires") == "NO":
        return Ends()
    if said_ms:
        return Ends(said_ms, "PERSON")
    found = [
        Ends(created_ms + rule.days * DAY_MS, "RULE", _words(rule)) for rule in rules if _may_apply(rule, check)
    ]
    first = min(found, key=lambda each: each.at_ms, default=Ends())
    # A key that was accepted after its day has shown that the rule is not for it.
    return Ends() if first.at_ms <= check.get("checked_ms", 0) else first


def _may_apply(rule: Expiry, check: Mapping[str, Any]) -> bool:
    """Says whether a rule may be for this key. What is unknown may be: a warning too many is better than a dead bot."""
    if rule.counts_from != CountsFrom.CREATION:
        return False
    if rule.unless_ip_bound and check.get("ip_bound") == "YES":
        return False
    return not rule.rights or any(check.get(right) != "NO" for right in rule.rights)


def _words(rule: Expiry) -> str:
    said = f"{rule.days} days after it was made, where {rule.when}: {rule.effect}"
    return said if rule.certain else f"{said} (not certain: {rule.source})"
