"""`vaultctl exchange verify`: asks exchanges about keys that are stored, and records what they say."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import click

from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import HALVES
from vaultd_client.cli.session import Command, Session, plain
from vaultd_client.cli.terminal import table
from vaultd_client.cli.verify_options import url_option
from vaultd_client.cli.views import rights_text
from vaultd_client.client import VaultClient
from vaultd_client.errors import ConflictError, NotFoundError, RefusedError
from vaultd_client.key_checks import KeyCheck
from vaultd_client.models import Exchange
from vaultd_client.verify import Credential, Policy, ask, need_ccxt
from vaultd_client.verify.policy import FILE

AT_ONCE: Final = 4
"""Children at a time: each is a Python with ccxt, 80 MB and a second of a core; the rest is waiting."""
NOBODY_TO_ASK: Final = {"not-in-ccxt", "no-environment"}


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of one half. `check` is what was recorded, None where the exchange has not judged the key.

    `problem` is a word, `detail` a sentence, `hint` what to do; all empty where the key works. `faults` are rights that a
    key of this half should not have.
    """

    exchange: str
    configuration: str
    version: int
    check: KeyCheck | None
    problem: str
    detail: str
    hint: str
    faults: tuple[str, ...]


@click.command(cls=Command)
@click.argument("names", metavar="[EXCHANGE]...", nargs=-1, type=EXCHANGE)
@click.option("--all", "everything", is_flag=True, help="Every exchange, hidden ones too.")
@click.option("--configuration", type=click.Choice(HALVES), help="Only this half.")
@url_option
@click.pass_obj
def verify(
    session: Session, *, names: Sequence[str], everything: bool, configuration: str | None, exchange_url: str | None
) -> ExitCode:
    """Ask exchanges whether stored keys work and what they may do.

    Reveals each active key to this process (in the audit), hands it to a short-lived child with ccxt, and stores what the
    exchange says beside the masked key. Ends with 7 where a key does not work, with 14 where an exchange was not reached.
    """
    from vaultd_client.cli.exchange import look_up

    if bool(names) == everything:
        raise Failure("name the exchanges, or say --all", "vaultctl exchange verify --all")
    need_ccxt()
    policy = Policy.load(session.key_path().with_name(FILE))
    with session.client() as client:
        found = client.list(everything=True) if everything else [look_up(client, name) for name in names]
        waiting = [each for each in found if not everything or each.state == "ACTIVE"]
        with session.terminal.working(f"asking about {len(waiting)} exchanges"), ThreadPoolExecutor(AT_ONCE) as pool:
            # One exchange after the other in each thread: venues with a rising nonce take no two requests of a key at once.
            futures = [pool.submit(_verify, client, each, configuration, policy, exchange_url or "") for each in waiting]
            results = [half for future in futures for half in future.result()]
    if not results and configuration:
        raise Failure(f"there is no active {configuration} key to ask about", "vaultctl exchange list", code=ExitCode.NOT_FOUND)
    _show(session, results)
    return _exit_code(results, everything=everything)


def _verify(
    client: VaultClient, exchange: Exchange, configuration: str | None, policy: Policy, url: str
) -> list[Verified]:
    return [
        _one(client, exchange, half, version, policy, url)
        for half, version in _active(exchange)
        if configuration in (None, half)
    ]


def _active(exchange: Exchange) -> Iterator[tuple[str, int]]:
    for half in exchange.configurations:
        if half.active is not None:
            yield half.configuration, half.active.version


def _one(client: VaultClient, exchange: Exchange, half: str, version: int, policy: Policy, url: str) -> Verified:
    try:
        # By id and version: what is recorded below is of exactly this key, whatever is renamed or rotated meanwhile.
        revealed = client.reveal(exchange.id, half, version)
        found = ask(Credential(revealed.ccxt_id, revealed.ccxt_config(), revealed.environment, revealed.ccxt_switch), url=url)
        if found.check is not None:
            client.record_key_check(revealed.exchange, half, version, found.check)
    except (ConflictError, NotFoundError, RefusedError) as error:
        return Verified(exchange.name, half, version, None, error.reason.lower(), error.message, error.hint, ())
    why = found.why
    faults = policy.faults(half, found.check) if found.check is not None and why is None else {}
    useless = half == "write" and found.check is not None and found.check.trade == "NO"
    said = (*faults.values(), *(["it cannot trade, and is for writing"] if useless and why is None else []))
    return Verified(
        exchange.name, half, version, found.check, found.problem, why.text if why else "", why.hint if why else "", said
    )


def _show(session: Session, results: Sequence[Verified]) -> None:
    rows = [
        (
            each.exchange,
            each.configuration,
            each.version,
            "not asked" if each.check is None else "OK" if each.check.works == "YES" else "INVALID",
            each.detail or (rights_text(each.check) if each.check else ""),
            "-" if each.check is None else {"YES": "yes", "NO": "any", "UNKNOWN": "?"}.get(each.check.ip_bound, "?"),
        )
        for each in results
    ]
    shown = table(("EXCHANGE", "CONFIGURATION", "VERSION", "KEY", "RIGHTS", "IP-BOUND"), rows) if rows else "No key to ask about."
    for each in results:
        for fault in each.faults:
            session.terminal.warn(f"{each.exchange} {each.configuration}: {fault}")
    for hint in dict.fromkeys(each.hint for each in results if each.hint):
        session.terminal.note(f"hint: {hint}")
    session.terminal.result({"checks": plain(results)}, shown)


def _exit_code(results: Sequence[Verified], *, everything: bool) -> ExitCode:
    if any(each.check is not None and each.check.works == "NO" for each in results):
        return ExitCode.INVALID
    # With --all, kinds that nobody can ask about are no reason to fail every night.
    ignored = NOBODY_TO_ASK if everything else set()
    if any(each.check is None and each.problem not in ignored for each in results):
        return ExitCode.NOT_ASKED
    return ExitCode.OK
