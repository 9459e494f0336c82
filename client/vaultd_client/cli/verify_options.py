"""What `exchange add`, `rotate` and `verify` share: the options, and a check turned into a result or a failure.

`--exchange-url` sends a key to another address than the exchange's, for tests. Threat: what redirects keys steals them.
Measures: an option of one command, hidden, never a variable or a setting, so it stands in the command that was typed; and
it takes addresses of this host's loopback alone, so no key leaves the host by it.
"""

import functools
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from vaultd_client.cleaning import cleaned
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure, invalid
from vaultd_client.cli.session import Session
from vaultd_client.cli.vouched import check_kind
from vaultd_client.fields import FieldValues, credential_fields
from vaultd_client.key_checks import KeyCheck
from vaultd_client.kinds import Kind
from vaultd_client.models import Exchange
from vaultd_client.revealed import FIELD_NAMES
from vaultd_client.verify import Asked, Credential, Policy, ask, need_ccxt
from vaultd_client.verify.policy import FILE

_URL = re.compile(r"http://(\[[0-9a-f:]+\]|[0-9.]+):\d{1,5}")


class LoopbackUrl(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """`http://127.0.0.1:PORT`: an address of this host and no other."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the address."""
        matched = _URL.fullmatch(str(value))
        try:
            loopback = matched is not None and ipaddress.ip_address(matched[1].strip("[]")).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            self.fail("takes an address of this host alone, such as http://127.0.0.1:8080: it is for tests", param, ctx)
        return str(value)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say. `url` is empty but in tests."""

    verify: bool
    allow_trade: bool
    allow_withdraw: bool
    url: str

    def policy(self, session: Session) -> Policy:
        """Returns the rules: the settings beside the client key, and these flags."""
        path = session.key_path().with_name(FILE)
        return Policy.load(path, allow_trade=self.allow_trade, allow_withdraw=self.allow_withdraw)

    def check_ready(self, session: Session) -> None:
        """Refuses before a person has typed a secret that could not be checked.

        Raises:
            Failure: A flag is given that would do nothing.
            UnsupportedError: ccxt is missing.
            InvalidError: The settings are wrong.
        """
        if not self.verify:
            for flag, given in (("--allow-trade", self.allow_trade), ("--allow-withdraw", self.allow_withdraw)):
                if given:
                    raise Failure(f"{flag} goes with --verify: without it nothing is refused", "add --verify")
            return
        need_ccxt()
        self.policy(session)


def verify_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --verify and what belongs to it; the command gets one `wish`."""

    @functools.wraps(command)
    def wished(*arguments: Any, verify: bool, allow_trade: bool, allow_withdraw: bool, exchange_url: str | None, **rest: Any) -> Any:
        return command(*arguments, wish=Wish(verify, allow_trade, allow_withdraw, exchange_url or ""), **rest)

    made: Callable[..., Any] = wished
    for option in (
        url_option,
        click.option("--allow-withdraw", is_flag=True, help="With --verify: take a key that can withdraw."),
        click.option("--allow-trade", is_flag=True, help="With --verify: take a read key that can trade."),
        click.option("--verify", is_flag=True, help="Ask the exchange first; refuse a key that fails or can do too much."),
    ):
        made = option(made)
    return made


def url_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the hidden option of the tests."""
    help_text = "For tests: ask this address of this host instead of the exchange."
    return click.option("--exchange-url", type=LoopbackUrl(), hidden=True, help=help_text)(command)


def verified(
    session: Session, kind: Kind, vouched: Exchange, pairs: Mapping[str, FieldValues], wish: Wish
) -> dict[str, KeyCheck]:
    """Asks the exchange about key pairs that are to be stored; one pair in both halves is asked about once.

    Args:
        session: Whose settings and terminal these are.
        kind: What the catalogue says of the kind.
        vouched: The exchange, from a signed answer.
        pairs: Half to key pair.
        wish: What the options say.

    Returns:
        Half to what to store beside it.

    Raises:
        Failure: A pair does not work, may do too much, or the exchange could not be asked.
        UntrustedVaultError: The catalogue says something else than the signed answer.
    """
    check_kind(kind, vouched)
    policy = wish.policy(session)
    environment = vouched.environment
    ccxt_id, switch = kind.kind if kind.in_ccxt else "", kind.ccxt_switches.get(environment, "")
    asked: list[tuple[dict[str, str], Asked]] = []
    checks: dict[str, KeyCheck] = {}
    for half, given in pairs.items():
        values = _ccxt_values(kind, given)
        found = next((each for before, each in asked if before == values), None)
        if found is None:
            with session.terminal.working(f"asking {kind.display_name}"):
                found = ask(Credential(ccxt_id, values, environment, switch), url=wish.url)
            asked.append((values, found))
        checks[half] = _accepted(kind, half, found, policy)
    return checks


def _accepted(kind: Kind, half: str, found: Asked, policy: Policy) -> KeyCheck:
    if found.check is None:
        assert found.why is not None
        text = f"{kind.display_name} was not asked or did not answer: {found.why.text}. Nothing is stored"
        raise Failure(text, f"{found.why.hint}; or store it without --verify", code=ExitCode.NOT_ASKED, reason="not_verified")
    if found.why is not None:
        raise Failure(
            "Invalid credentials",
            found.why.hint,
            code=ExitCode.INVALID,
            reason="invalid_credentials",
            fields={half: f"{kind.display_name}: {found.why.text}"},
        )
    faults = policy.faults(half, found.check)
    if faults:
        raise Failure(
            f"{kind.display_name} accepts the {half} key, and it can do too much. Nothing is stored",
            _too_much_hint(faults, policy),
            code=ExitCode.INVALID,
            reason="key_rights",
            fields={f"{half}.{right}": said for right, said in faults.items()},
        )
    return found.check


def _too_much_hint(faults: Mapping[str, str], policy: Policy) -> str:
    flags = [f"--allow-{right}" for right in faults if right == "trade" or (right == "withdraw" and not policy.require_no_withdraw)]
    better = "make a key with fewer rights" if {"trade", "withdraw"} & faults.keys() else "bind the key to IP addresses"
    return better + (f", or add {' '.join(flags)}" if flags else "")


def _ccxt_values(kind: Kind, given: FieldValues) -> dict[str, str]:
    """Returns a key pair under the names of ccxt's constructors, cleaned as the vault will clean it."""
    fields = credential_fields(given, kind)
    as_given = {field.name for field in kind.fields if field.verbatim}
    given_values = {name: value for name in FIELD_NAMES if (value := getattr(fields, name))}
    values = {name: cleaned(value, verbatim=name in as_given) for name, value in given_values.items()}
    missing = [field.name for field in kind.fields if field.need == "REQUIRED" and not values.get(field.name)]
    if missing:
        raise invalid(missing[0], f"is required by {kind.display_name}")
    return {field.ccxt_name: values[field.name] for field in kind.fields if field.ccxt_name and field.name in values}
