"""Two programs on one key pair: where a venue wants a rising nonce from it, each makes the other's requests invalid.

ccxt counts per object and so per program; the loser hears "invalid nonce" at a moment that nobody can foresee. The
vault knows who may use what, so it says so when the second grant is made, and again in `why`.
"""

from collections.abc import Iterator

from vaultd import limits
from vaultd.errors import ExchangeNotFoundError
from vaultd.keyholder import exchanges, policy
from vaultd.keyholder.loop import Task
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import CONFIGURATIONS, EVERYTHING, UNIT_PREFIX, ClientState, CredentialState, ExchangeRow, GrantRow


def notices(holder: Keyholder, unlocked: Unlocked, client: str, exchange: str, configuration: str) -> Task:
    """Returns what to say of one client's use of an exchange: a list of sentences, mostly empty.

    Args:
        client: Key id.
        exchange: Id, or `*`: then those exchanges are looked at that a grant of another client names.
        configuration: `read`, `write` or `*`.
    """
    others = list(_others(unlocked, client))
    said = []
    named = {grant.exchange for grant in others} - {EVERYTHING} if exchange == EVERYTHING else {exchange}
    for each in sorted(named)[: limits.MAX_SHARED_EXCHANGES] if others else ():
        try:
            row = yield from exchanges.find(holder, unlocked, each)
        except ExchangeNotFoundError:  # deleted meanwhile
            continue
        said += yield from _of_exchange(holder, unlocked, row, configuration, others)
    if exchange == EVERYTHING and (names := _names(unlocked, [each for each in others if each.exchange == EVERYTHING])):
        said.append(
            f"{names} may use every exchange too: at venues that want a rising nonce, such as Kraken, two programs that"
            " share a key pair make each other's requests invalid. Grant them one by one"
        )
    return said


def _of_exchange(
    holder: Keyholder, unlocked: Unlocked, exchange: ExchangeRow, configuration: str, others: list[GrantRow]
) -> Task:
    kind = holder.catalogue.stored(exchange.kind)
    if kind is None or not kind.rising_nonce:
        return []
    halves = set(CONFIGURATIONS) if configuration == EVERYTHING else {configuration}
    known = yield from exchanges.credentials_of(holder, unlocked, exchange.exchange)
    active = [row.fingerprint for row in known if row.state == CredentialState.ACTIVE]
    if len(active) == len(CONFIGURATIONS) and len(set(active)) == 1:  # one pair in both halves
        halves = set(CONFIGURATIONS)
    now_ms = unlocked.clock.now_ms()
    sharing = [
        grant for grant in others if any(policy.covers(grant, exchange.exchange, half, now_ms) for half in halves)
    ]
    if not sharing:
        return []
    notice = (
        f"{_names(unlocked, sharing)} may use this key pair of {exchange.name} too, and {kind.display_name} wants a"
        " rising nonce from it: two programs that share it make each other's requests invalid. Give each a key of its own"
    )
    return [notice]


def _others(unlocked: Unlocked, client: str) -> Iterator[GrantRow]:
    for each in (*unlocked.allowlist, *unlocked.allowlist.units()):
        if each.client != client and each.state == ClientState.ACTIVE:
            yield from unlocked.allowlist.grants_of(each.client)


def _names(unlocked: Unlocked, grants: list[GrantRow]) -> str:
    rows = (unlocked.allowlist.client(grant.client) for grant in grants)
    units = {grant.client for grant in grants if grant.client.startswith(UNIT_PREFIX)}
    names = sorted({row.name for row in rows if row is not None} | units)
    shown = ", ".join(names[: limits.MAX_SHARERS_SHOWN])
    more = len(names) - limits.MAX_SHARERS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
