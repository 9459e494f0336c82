"""`.env` files: the names that NautilusTrader, freqtrade and passivbot read, and `BINANCE_API_KEY` and the like.

A name is taken apart from its end: what it is (`API_SECRET`), the environment (`TESTNET`), the half (`READ`), and the
rest names the exchange. What names no exchange in the catalogue, such as `OPENAI_API_KEY`, is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO

from vaultd_client.bots import names
from vaultd_client.bots.freqtrade import PREFIX as FREQTRADE
from vaultd_client.errors import InvalidError
from vaultd_client.imports import shapes
from vaultd_client.imports.found import Entry, LeftOut, Reading, is_placeholder, sorted_out
from vaultd_client.imports.words import ENVIRONMENTS, FIELDS, HALVES

_PASSIVBOT = {
    "PB_API_KEY": "api_key",
    "PB_API_SECRET": "secret",
    "PB_API_PASSPHRASE": "passphrase",
    "PB_WALLET_ADDRESS": "address",
    "PB_PRIVATE_KEY": "private_key",
}
_NAMING = ("EXCHANGE", "EXCHANGE_NAME", "EXCHANGE_ID")
"""Variables that say which exchange the nameless `API_KEY` is for."""
_OWNERS = {"my", "our", "bot", "account", "acc", "exchange", "cex", "ccxt", "trader"}
"""Words that say whose it is; MY_OKX is not the venue MyOKX."""
_LONGEST_END = 3
"""Words of the longest name of a field: `API_SECRET_KEY`."""
_SCARCE = {"key", "login", "username", "token", "password", "address", "uid", "memo", "pk"}
"""Ends that mean a key pair only together with others: DB_PASSWORD is none."""


@dataclass(slots=True)
class _Account:
    """What variables with one beginning say."""

    name: str
    venues: tuple[str, ...]
    environment: str
    lines: list[int] = field(default_factory=list)
    pairs: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Name:
    name: str
    venues: tuple[str, ...]
    environment: str
    half: str
    field: str


def fits(text: str) -> bool:
    """Says whether this is what a `.env` file looks like."""
    lines = [line.strip() for line in text.splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    name = first.removeprefix("export ").partition("=")[0].strip()
    return "=" in first and name.isascii() and name.replace("_", "").replace(".", "").isalnum() and "," not in name


def read(name: str, text: str) -> Reading:
    """Returns one entry for each exchange that variables are for.

    Raises:
        InvalidError: A line is none of a `.env` file.
    """
    accounts: dict[tuple[str, str], _Account] = {}
    variables = list(_variables(name, text))
    naming = _named({variable: value for _, variable, value in variables})
    others = False
    for line, variable, value in variables:
        if variable in (*_NAMING, FREQTRADE + "NAME", "PB_EXCHANGE", "PB_USER"):
            continue
        meant = _meaning(variable, naming)
        if meant is None:
            others = True
            continue
        new = _Account(meant.name, meant.venues, meant.environment)
        account = accounts.setdefault((meant.name, meant.environment), new)
        account.lines.append(line)
        pair = account.pairs.setdefault(meant.half, {})
        if meant.field in pair and pair[meant.field] != value:
            account.why = f"{variable}: {meant.field} is given twice and differs"
        elif "${" in value:
            account.why = f"{variable} refers to another variable: write the value itself"
        elif not is_placeholder(value):
            pair[meant.field] = value
    _share(accounts)
    keys = [account for account in accounts.values() if account.venues != ("",) or _has_key(account)]
    found = [_entry(account) for account in keys]
    return sorted_out(found, only_keys=not others and len(keys) == len(accounts))


def _share(accounts: dict[tuple[str, str], _Account]) -> None:
    """Gives fields without a key to the networks of the same exchange that have one.

    NautilusTrader has one HYPERLIQUID_ACCOUNT_ADDRESS for both networks; people write one passphrase.
    """
    for place, account in [*accounts.items()]:
        others = [each for each in accounts.values() if each.name == account.name and _has_key(each)]
        if _has_key(account) or not others or account.why or {*account.pairs} != {""}:
            continue
        for other in others:
            other.lines = sorted((*other.lines, *account.lines))
            for pair in other.pairs.values():
                pair.update({**account.pairs[""], **pair})
        del accounts[place]


def _has_key(account: _Account) -> bool:
    """Says whether variables without an exchange's name are a key pair: SECRET_KEY alone is Django's."""
    return any({"api_key", "private_key"} & {*pair} for pair in account.pairs.values())


def _variables(name: str, text: str) -> Iterator[tuple[int, str, str]]:
    try:
        from dotenv.parser import parse_stream
    except ImportError:
        hint = "pip install 'vaultd-client[import]'"
        raise InvalidError(".env files need python-dotenv, which is not installed", hint=hint) from None
    for each in parse_stream(StringIO(text)):
        if each.error:
            hint = "write NAME=VALUE; a value with blanks or line ends needs quotes"
            raise InvalidError(f"{name}: line {each.original.line}, column 1: is no NAME=VALUE", hint=hint)
        if each.key is not None and each.value is not None:
            yield each.original.line, each.key, each.value


def _named(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns which exchange the names without one are for, by what they begin with."""
    return {
        "freqtrade": variables.get(FREQTRADE + "NAME", ""),
        "passivbot": variables.get("PB_EXCHANGE", ""),
        "": next((variables[each] for each in _NAMING if variables.get(each)), ""),
    }


def _meaning(variable: str, naming: Mapping[str, str]) -> _Name | None:
    if variable.startswith(FREQTRADE):
        word = variable.removeprefix(FREQTRADE)
        own = {bot.upper(): ours for ours, bot in names.FIELDS["freqtrade"].items()} | {"KEY": "api_key"}
        return _Name(naming["freqtrade"], (naming["freqtrade"],), "", "", own[word]) if word in own else None
    if variable in _PASSIVBOT:
        return _Name(naming["passivbot"], (naming["passivbot"],), "", "", _PASSIVBOT[variable])
    for kind, environments in names.NAUTILUS.items():
        for environment, fields in environments.items():
            for known, written in fields.items():
                if written == variable:
                    return _Name(kind, (kind,), "" if environment == "live" else environment, "", known)
    return _by_words(variable, naming[""])


def _by_words(variable: str, nameless: str) -> _Name | None:
    words = variable.casefold().replace("-", "_").split("_")
    for length in range(min(_LONGEST_END, len(words)), 0, -1):
        ours = FIELDS.get("".join(words[-length:]))
        if ours is not None:
            break
    else:
        return None
    rest = words[:-length]
    if length == 1 and words[-1] in _SCARCE and not rest:
        return None
    environment, half, venue = "", "", []
    for word in rest:
        if word in ENVIRONMENTS and not environment:
            environment = ENVIRONMENTS[word]
        elif word in HALVES and not half:
            half = HALVES[word]
        else:
            venue.append(word)
    venues = _venues(venue) if venue else (nameless,)
    name = "_".join(venue) or nameless
    return _Name(name, venues, environment if environment != "live" else "", half, ours)


def _venues(words: list[str]) -> tuple[str, ...]:
    """Returns what a beginning may name, the most certain first: MY_BINANCE_US_2 is Binance US."""
    words = [word for word in words if word not in _OWNERS and not word.isdigit()] or words
    less = [" ".join(words[:length]) for length in range(len(words), 0, -1)]
    return tuple(dict.fromkeys([*less, *words]))


def _entry(account: _Account) -> Entry | LeftOut:
    where = f"line {account.lines[0]}" if len(account.lines) == 1 else f"lines {account.lines[0]} to {account.lines[-1]}"
    name = account.name
    pairs = {half: pair for half, pair in account.pairs.items() if pair}
    if account.why:
        return LeftOut(where, name, account.why)
    if not pairs:
        return shapes.empty(where, name)
    if "" in pairs and len(pairs) > 1:
        pairs = _shared(pairs)
    return Entry(
        where=where,
        name=name,
        venues=[each for each in account.venues if each],
        pairs=pairs,
        environment=account.environment,
        certain=not account.venues[0],
    )


def _shared(pairs: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Gives fields without a half, such as a passphrase, to both; a whole pair without a half stays one."""
    alone = pairs.pop("")
    if "api_key" in alone or "private_key" in alone:
        missing = "write" if "read" in pairs else "read"
        return {**pairs, missing: alone}
    return {half: {**alone, **pair} for half, pair in pairs.items()}
