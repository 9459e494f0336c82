"""What `vaultctl run` writes for a bot, `vaultctl import` reads from that bot's file: every field, half and exchange.

Writers and readers share the words of `bots/names.py` and nothing else; each knows the shape of the file by itself.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.revealed import credential
from vaultd.errors import KindNotFoundError
from vaultd.kinds import Catalogue
from vaultd_client.bots import names
from vaultd_client.bots.launcher import Cover, Descriptor, Environment, Feed, Shadow, Stdin
from vaultd_client.bots.order import Order
from vaultd_client.bots.profiles import PROFILES
from vaultd_client.imports import formats
from vaultd_client.imports.found import Entry
from vaultd_client.imports.source import Source
from vaultd_client.revealed import RevealedCredential

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA0123456789+/=\n-----END EC PRIVATE KEY-----"
VALUES: Mapping[str, str] = {
    "api_key": "organizations/1-2/apiKeys/3 \"quoted\" 'key'",
    "secret": PEM,
    "passphrase": "Ünïcode, with; blanks # and $igns \\ too",
    "customer_id": "012345",
    "address": "0x00AbCdEf",
    "private_key": "0x" + "1f" * 32,
    "account_id": "7",
    "login": "someone@example.com",
    "password": "another word",
    "token": "tok-123",
}
"""What breaks a format that quotes carelessly; numbers that must stay text."""
CATALOGUE = Catalogue.load()
TAKEN_FOR: Mapping[tuple[str, str, str], str] = {
    ("gunbot", "binancecoinm", ""): "binanceusdm",
    ("gunbot", "coinbaseexchange", ""): "coinbasepro",
    ("hummingbot", "binance", "swap"): "binanceusdm",
    ("jesse", "binance", "swap"): "binanceusdm",
    ("nautilus", "binanceusdm", "live"): "binance",
    ("nautilus", "binanceusdm", "demo"): "binance",
}
"""Bot, kind and market (or environment) to another kind that has the same name in that bot: its file does not say which it was."""


def of(kind: str, fields: Iterable[str], half: str = "write", **more: Any) -> RevealedCredential:
    given: dict[str, Any] = {field: VALUES[field] for field in fields}
    return credential(kind, half, name=kind, **given, **more)


def fed(bot: str, *given: RevealedCredential, command: tuple[str, ...] = ("bot", "{feed}"), **more: Any) -> Feed:
    return PROFILES[bot].feed(Order(command, given, environment={}, **more))


def content(made: Feed) -> str:
    """Returns the one file of a feed."""
    (way,) = made.ways
    assert isinstance(way, (Descriptor, Cover))
    return way.content.decode()


def dotenv(made: Feed) -> str:
    """Returns variables as a person writes them into a `.env` file."""
    (way,) = made.ways
    assert isinstance(way, Environment)
    quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in way.variables.items()}
    return "".join(f"{name}='{value}'\n" for name, value in quoted.items())


def entries(form: str, *files: tuple[str, str], password: bytes = b"") -> list[Entry]:
    """Reads files, whose format nobody names, and returns all that they hold; nothing is left out."""
    found, reading = formats.read([Source(name, text, Path(name)) for name, text in files], None, lambda: password)
    assert (found, list(reading.left_out)) == (form, [])
    return list(reading.entries)


def kind_of(entry: Entry) -> str:
    """Returns the kind that an import takes it for: the first of its names that the catalogue knows."""
    for venue in entry.venues:
        try:
            return CATALOGUE.get(venue)[0].kind
        except KindNotFoundError:
            continue
    raise AssertionError(entry.venues)


def same(bot: str, entry: Entry, given: RevealedCredential, half: str = "", market: str = "") -> None:
    """Fails where an import would store something else than what was fed."""
    assert kind_of(entry) == TAKEN_FOR.get((bot, given.kind, market), given.kind)
    pair = dict(entry.pairs[half])
    extra = pair.pop("extra", {})
    assert (pair, extra) == (dict(given.fields), dict(given.extra))
    assert (entry.environment or "live") == given.environment


# --- JSON ---------------------------------------------------------------------------------------------------------------


def test_freqtrade() -> None:
    given = of("okx", names.FIELDS["freqtrade"])
    own = {"exchange": {"name": "okx", "pair_whitelist": []}, "trading_mode": "futures"}
    keys = json.loads(content(fed("freqtrade", given, command=("freqtrade", "-c", "config.json"))))
    merged = {**own, "exchange": {**own["exchange"], **keys["exchange"]}}  # type: ignore[dict-item]  # as freqtrade does
    (entry,) = entries("freqtrade", ("config.json", json.dumps(merged)))
    same("freqtrade", entry, given)


def test_octobot(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "config.json").write_text('{"exchanges": {}}')
    fields: dict[str, Any] = {field: VALUES[field].strip("'") for field in names.FIELDS["octobot"]}  # others are refused, as it strips them
    given = [credential(kind, name=kind, **fields) for kind in ("binance", "okx", "coinbase")]
    found = entries("octobot", ("config.json", content(fed("octobot", *given, directory=tmp_path))))
    assert len(found) == len(given)
    for entry, each in zip(found, given, strict=True):
        same("octobot", entry, each)


@pytest.mark.parametrize("kind", ["bybit", "hyperliquid", *names.EXCHANGES["passivbot"]])
def test_passivbot(kind: str, tmp_path: Path) -> None:
    (tmp_path / "api-keys.json").write_text("{}")
    given = of(kind, names.FIELDS["passivbot"], extra={"is_vault": "true"} if kind == "hyperliquid" else {})
    (entry,) = entries("passivbot", ("api-keys.json", content(fed("passivbot", given, directory=tmp_path))))
    same("passivbot", entry, given)


def test_passivbots_numbers_of_an_account(tmp_path: Path) -> None:
    (tmp_path / "api-keys.json").write_text("{}")
    given = of("lighter", ("private_key", "account_id"), extra={"api_key_index": "3"})
    (entry,) = entries("passivbot", ("api-keys.json", content(fed("passivbot", given, directory=tmp_path))))
    same("passivbot", entry, given)


@pytest.mark.parametrize("kind", ["kraken", *names.EXCHANGES["gunbot"]])
def test_gunbot(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.js").write_text('{"exchanges": {}}')
    write = of(kind, names.FIELDS["gunbot"])
    shared: dict[str, Any] = {field: VALUES[field] for field in ("passphrase", "customer_id")}
    read = credential(kind, "read", name=kind, api_key="another key", secret="another secret", **shared)
    (entry,) = entries("gunbot", ("config.js", content(fed("gunbot", write, read, directory=tmp_path))))
    same("gunbot", entry, write, "write")
    same("gunbot", entry, read, "read")


SETTINGS: Mapping[str, Mapping[str, str]] = {
    "hyperliquid": {"{}_mode": "api_wallet", "use_vault": "yes"},
    "okx": {"{}_registration_sub_domain": "eea"},
}
"""What a connector asks for beside the key, and takes the usual for where a free entry says nothing."""


# --- Hummingbot ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "market", "environment"),
    [
        (kind, market, environment)
        for kind, markets in names.HUMMINGBOT_CONNECTORS.items()
        for market in markets
        for environment in ("live", "testnet")
    ],
)
def test_hummingbot(kind: str, market: str, environment: str, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    connector = names.HUMMINGBOT_CONNECTORS[kind][market]
    own = connector if environment == "live" else f"{connector}_testnet"
    settings = {name.format(own): value for name, value in SETTINGS.get(kind, {}).items() if connector != "okx_perpetual"}
    given = of(kind, names.HUMMINGBOT[connector], environment=environment, extra=settings)
    made = fed("hummingbot", given, command=("hbot", "start", "--password-stdin"), directory=tmp_path, market=market)
    (shadow,) = [way for way in made.ways if isinstance(way, Shadow)]
    (stdin,) = [way for way in made.ways if isinstance(way, Stdin)]
    files = [(name, text.decode()) for name, text in shadow.files.items() if name.endswith(".yml")]
    (entry,) = entries("hummingbot", *files, password=stdin.content.rstrip(b"\n"))
    same("hummingbot", entry, given, market=market)


# --- variables and CSV --------------------------------------------------------------------------------------------------


def test_freqtrades_variables() -> None:
    fields = [each for each in names.FIELDS["freqtrade"] if not VALUES[each].isdigit()]  # it would make numbers of them
    given = of("okx", fields)
    text = f"FREQTRADE__EXCHANGE__NAME=okx\n{dotenv(fed('freqtrade-env', given))}"
    (entry,) = entries("env", (".env", text))
    same("freqtrade", entry, given)


@pytest.mark.parametrize(
    ("kind", "environment"),
    [
        (kind, environment)
        for kind, each in names.NAUTILUS.items()
        for environment in each
        if (kind, environment) != ("okx", "demo")  # has the variables of the live one
    ],
)
def test_nautilus(kind: str, environment: str) -> None:
    given = of(kind, names.NAUTILUS[kind][environment], environment=environment)
    (entry,) = entries("env", (".env", dotenv(fed("nautilus", given))))
    same("nautilus", entry, given, market=environment)


@pytest.mark.parametrize("kind", ["binance", "okx", "gate", "krakenfutures", "coinbaseexchange"])
def test_env(kind: str) -> None:
    given = of(kind, ("api_key", "secret", "passphrase", "customer_id", "address", "private_key", "account_id"))
    (entry,) = entries("env", (".env", dotenv(fed("env", given))))
    same("env", entry, given)


@pytest.mark.parametrize(
    ("kind", "market", "environment"),
    [
        (kind, market, environment)
        for kind, markets in names.JESSE_EXCHANGES.items()
        for market in markets
        for environment in ("live", "testnet")
    ],
)
def test_jesse(kind: str, market: str, environment: str) -> None:
    given = of(kind, names.FIELDS["jesse"], environment=environment)
    (entry,) = entries("csv", ("keys.csv", content(fed("jesse", given, market=market))))
    same("jesse", entry, given, market=market)
