"""Each bot is fed in its own format, and a value that would not arrive as it was sent is refused by name.

The formats are those that the bots' own loaders read; `tests/integration/test_bots_real.py` asks the loaders themselves.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from eth_keyfile.keyfile import decode_keyfile_json

from tests.support.revealed import credential
from vaultd_client.bots import launcher
from vaultd_client.bots.launcher import Cover, Descriptor, Environment, Feed, Shadow, Stdin
from vaultd_client.bots.names import HUMMINGBOT
from vaultd_client.bots.order import Order
from vaultd_client.bots.profiles import PROFILES
from vaultd_client.errors import InvalidError
from vaultd_client.revealed import RevealedCredential

PAIR: dict[str, Any] = {"api_key": "KEY-0123456789", "secret": "SECRET-9876543210"}
OKX: dict[str, Any] = {**PAIR, "passphrase": "pass phrase"}


def feed(
    bot: str,
    *credentials: RevealedCredential,
    command: Sequence[str] = ("bot",),
    home: Path = Path("/nowhere"),
    market: str = "",
    environment: dict[str, str] | None = None,
) -> Feed:
    given = credentials or (credential(),)
    return PROFILES[bot].feed(Order(command, given, market, home, environment or {}))


def refused(
    bot: str, *credentials: RevealedCredential, home: Path = Path("/nowhere"), market: str = ""
) -> InvalidError:
    with pytest.raises(InvalidError) as error:
        feed(bot, *credentials, home=home, market=market, command=("hbot", "connect", "binance"))
    shown = f"{error.value} {error.value.hint}"
    for each in credentials:
        assert not [value for value in each.fields.values() if len(value) > 4 and value in shown]
    return error.value


# --- freqtrade --------------------------------------------------------------------------------------------------------


def test_freqtrade_gets_its_keys_after_its_own_configuration() -> None:
    made = feed("freqtrade", credential("okx", **OKX), command=("freqtrade", "trade", "-c", "a.json"))
    assert made.command == ("freqtrade", "trade", "-c", "a.json")
    (way,) = made.ways
    assert isinstance(way, Descriptor)
    assert way.options == ("--config",)
    exchange = {"api_key": PAIR["api_key"], "secret": PAIR["secret"], "password": "pass phrase"}
    assert json.loads(way.content) == {"exchange": exchange}


@pytest.mark.parametrize("usual", ["user_data/config.json", "config.json"])
def test_freqtrade_still_reads_the_configuration_that_it_reads_alone(usual: str, tmp_path: Path) -> None:
    (tmp_path / usual).parent.mkdir(exist_ok=True)
    (tmp_path / usual).write_text("{}")
    assert feed("freqtrade", command=("freqtrade", "trade"), home=tmp_path).command[2:] == ("--config", usual)
    for named in (("--config", "b"), ("--config=b",), ("-cb",), ("-c", "b")):
        assert feed("freqtrade", command=("freqtrade", *named), home=tmp_path).command == ("freqtrade", *named)
    interpreter = ("python", "-c", "...", "/opt/bin/freqtrade", "trade")
    assert feed("freqtrade", command=interpreter, home=tmp_path).command[5:] == ("--config", usual)


def test_freqtrades_variables_that_would_win_are_refused() -> None:
    with pytest.raises(InvalidError, match="FREQTRADE__EXCHANGE__SECRET is set") as error:
        feed("freqtrade", environment={"FREQTRADE__EXCHANGE__SECRET": "x", "FREQTRADE__STAKE_CURRENCY": "USDT"})
    assert error.value.hint == "unset FREQTRADE__EXCHANGE__SECRET"
    feed("freqtrade", environment={"FREQTRADE__EXCHANGE__NAME": "okx"})


def test_ccxt_config_is_never_used_for_what_freqtrade_has_no_place_for() -> None:
    error = refused("freqtrade", credential("ndax", **PAIR, login="me"))
    assert "freqtrade has no place for it" in error.fields["login"]


@pytest.mark.parametrize(
    "value", ["424242", "12345e67", "1.5", "nan", "inf", "t", "TRUE", "false", "F", "[1, 2]", "1_000", " 7 "]
)
def test_what_freqtrade_would_take_for_something_else_is_not_put_into_the_environment(value: str) -> None:
    error = refused("freqtrade-env", credential(**PAIR, customer_id=value))
    assert "number, a truth or a list" in error.fields["customer_id"]
    feed("freqtrade", credential(**PAIR, customer_id=value))  # a file keeps it text


def test_freqtrades_variables_have_its_names() -> None:
    (way,) = feed("freqtrade-env", credential("okx", **PAIR, passphrase="1234")).ways  # PASSWORD is not converted
    assert isinstance(way, Environment)
    prefix = "FREQTRADE__EXCHANGE__"
    assert way.variables == {
        f"{prefix}API_KEY": PAIR["api_key"], f"{prefix}SECRET": PAIR["secret"], f"{prefix}PASSWORD": "1234"
    }  # fmt: skip


# --- Hummingbot -------------------------------------------------------------------------------------------------------


def test_hbot_connect_gets_the_fields_of_its_connector() -> None:
    made = feed("hummingbot-connect", credential("okx", **OKX), command=("hbot", "connect", "okx_perpetual"))
    assert made.command == ("hbot", "connect", "okx_perpetual", "--keys-stdin")
    (way,) = made.ways
    assert isinstance(way, Stdin)
    assert json.loads(way.content) == {
        "okx_perpetual_api_key": PAIR["api_key"],
        "okx_perpetual_secret_key": PAIR["secret"],
        "okx_perpetual_passphrase": "pass phrase",
    }


def test_a_test_network_has_connectors_and_fields_of_its_own() -> None:
    given = credential("bybit", environment="testnet")
    made = feed("hummingbot-connect", given, command=("hbot", "connect", "bybit_testnet"))
    (way,) = made.ways
    assert isinstance(way, Stdin)
    assert set(json.loads(way.content)) == {"bybit_testnet_api_key", "bybit_testnet_api_secret"}


def conf_of(made: Feed, password: bytes) -> tuple[dict[str, dict[str, str]], str]:
    """Returns each file of `conf`, decrypted as Hummingbot does, and the word that tests its password."""
    (shadow,) = [way for way in made.ways if isinstance(way, Shadow)]

    def opened(value: str) -> str:
        found: bytes = decode_keyfile_json(json.loads(bytes.fromhex(value)), password)
        return found.decode()

    found = {}
    for name, content in shadow.files.items():
        if name.endswith(".yml"):
            fields = yaml.safe_load(content)
            found[name] = {key: opened(value) if len(str(value)) > 200 else value for key, value in fields.items()}
    return found, opened(shadow.files[".password_verification"].decode())


def test_hummingbot_opens_its_files_with_the_password_that_was_made_up(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    given = [
        credential("binance", name="a"),
        credential("hyperliquid", name="b", address="0xabc", private_key="0x" + "1" * 64, extra={"use_vault": "yes"}),
    ]
    made = feed("hummingbot", *given, command=("hbot", "start", "--password-stdin"), home=tmp_path, market="swap")
    (stdin,) = [way for way in made.ways if isinstance(way, Stdin)]
    files, word = conf_of(made, stdin.content.rstrip(b"\n"))
    assert word == "HummingBot"
    assert files == {
        "connectors/binance_perpetual.yml": {
            "connector": "binance_perpetual",
            "binance_perpetual_api_key": PAIR["api_key"],
            "binance_perpetual_api_secret": PAIR["secret"],
        },
        "connectors/hyperliquid_perpetual.yml": {
            "connector": "hyperliquid_perpetual",
            "hyperliquid_perpetual_mode": "arb_wallet",
            "use_vault": "yes",
            "hyperliquid_perpetual_address": "0xabc",
            "hyperliquid_perpetual_secret_key": "0x" + "1" * 64,
        },
    }
    assert "connectors/" in next(way for way in made.ways if isinstance(way, Shadow)).files  # hides the others
    again = feed("hummingbot", *given, command=("hbot", "start", "--password-stdin"), home=tmp_path, market="swap")
    assert [way for way in again.ways if isinstance(way, Stdin)] != [stdin]  # another password for every run


def test_hummingbot_without_password_stdin_takes_the_environment(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    assert PROFILES["hummingbot"].environment(("bin/hummingbot_quickstart.py",))
    assert not PROFILES["hummingbot"].environment(("hbot", "start", "--password-stdin"))
    made = feed("hummingbot", home=tmp_path, market="spot")
    (way,) = [way for way in made.ways if isinstance(way, Environment)]
    assert set(way.variables) == {"CONFIG_PASSWORD", "HBOT_PASSWORD"}
    conf_of(made, way.variables["CONFIG_PASSWORD"].encode())


def test_what_hummingbot_cannot_take_is_named(tmp_path: Path) -> None:
    assert "no conf in" in refused("hummingbot", home=tmp_path, market="spot").message
    (tmp_path / "conf").mkdir()
    assert "--market spot or --market swap" in refused("hummingbot", credential(), home=tmp_path).hint
    assert "does not know zaif" in str(refused("hummingbot", credential("zaif"), home=tmp_path))
    assert "asks for it" in refused("hummingbot-connect", credential(api_key="k")).fields["secret"]
    twice = refused("hummingbot", credential(name="a"), credential(name="b"), home=tmp_path, market="spot")
    assert "two exchanges would both be binance" in twice.message
    with pytest.raises(InvalidError, match="no connector"):
        PROFILES["hummingbot-connect"].check(("hbot", "connect", "nosuch"))


@pytest.mark.parametrize("connector", sorted(HUMMINGBOT))
def test_every_connector_can_be_fed(connector: str) -> None:
    fields: dict[str, Any] = dict.fromkeys(HUMMINGBOT[connector], "some value")
    given = credential("custom", **fields)
    made = feed("hummingbot-connect", given, command=("hbot", "connect", connector))
    (way,) = made.ways
    assert isinstance(way, Stdin)
    assert set(HUMMINGBOT[connector].values()) <= set(json.loads(way.content))


# --- files at fixed paths ---------------------------------------------------------------------------------------------


def test_octobot_gets_its_configuration_with_the_keys(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    own = {"profile": "x", "exchanges": {"okx": {"exchange-type": "future"}, "bybit": {"api-key": "other"}}}
    (tmp_path / "user" / "config.json").write_text(json.dumps(own))
    (way,) = feed("octobot", credential("okx", environment="demo", **OKX), home=tmp_path).ways
    assert isinstance(way, Shadow)
    assert way.path == tmp_path / "user"
    okx = {
        "exchange-type": "future", "api-key": PAIR["api_key"], "api-secret": PAIR["secret"],
        "api-password": "pass phrase", "sandboxed": True,
    }  # fmt: skip
    exchanges = {"okx": okx, "bybit": {"api-key": "other"}}
    assert json.loads(way.files["config.json"]) == {"profile": "x", "exchanges": exchanges}


@pytest.mark.parametrize(
    "value", ['"quoted"-key', " blank-first", "blank-last ", "'single'-one", "newline-first\n\n x\n\n "]
)
def test_what_octobot_would_strip_is_refused(value: str, tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "config.json").write_text("{}")
    assert "strip" in refused("octobot", credential(api_key="key-0123", secret=value), home=tmp_path).fields["secret"]
    pem = "-----BEGIN X-----\nabc\n-----END X-----\n"
    feed("octobot", credential(api_key="key-0123", secret=pem), home=tmp_path)


def test_passivbot_gets_an_account_called_like_the_exchange(tmp_path: Path) -> None:
    (tmp_path / "api-keys.json").write_text('{"referrals": {}, "other": {"exchange": "bybit"}}')
    given = (
        credential("gate"),
        credential("hyperliquid", name="hl", address="0xa", private_key="0xb", extra={"is_vault": "true"}),
        credential("lighter", name="li", private_key="0xc", account_id="123", extra={"api_key_index": "4"}),
    )
    (way,) = feed("passivbot", *given, home=tmp_path).ways
    assert isinstance(way, Cover)
    assert json.loads(way.content) == {
        "referrals": {},
        "other": {"exchange": "bybit"},
        "main": {"exchange": "gateio", "key": PAIR["api_key"], "secret": PAIR["secret"]},
        "hl": {"exchange": "hyperliquid", "wallet_address": "0xa", "private_key": "0xb", "is_vault": True},
        "li": {"exchange": "lighter", "private_key": "0xc", "account_index": 123, "api_key_index": 4},
    }
    wrong = credential("lighter", private_key="0xc", account_id="12x")
    assert "whole number" in refused("passivbot", wrong, home=tmp_path).fields["account_index"]


def test_gunbot_gets_the_read_half_as_master_and_trades_with_the_write_half(tmp_path: Path) -> None:
    own = {"exchanges": {"huobi": {"delay": 3, "key": "old", "masterkey": "old"}}, "pairs": {}}
    (tmp_path / "config.js").write_text(json.dumps(own))
    read = credential("htx", "read", api_key="READ-KEY", secret="READ-SECRET")
    write = credential("htx", "write", api_key="WRITE-KEY", secret="WRITE-SECRET")
    (way,) = feed("gunbot", read, write, home=tmp_path).ways
    assert isinstance(way, Cover)
    assert json.loads(way.content)["exchanges"]["huobi"] == {
        "delay": 3, "key": "WRITE-KEY", "secret": "WRITE-SECRET", "masterkey": "READ-KEY", "mastersecret": "READ-SECRET"
    }  # fmt: skip
    twice = refused("gunbot", write, credential("htx", api_key="ANOTHER", secret="ANOTHER-SECRET"), home=tmp_path)
    assert "would both fill huobi.key" in twice.message


@pytest.mark.parametrize(
    ("bot", "file"), [("passivbot", "api-keys.json"), ("gunbot", "config.js"), ("octobot", "user/config.json")]
)
def test_a_bots_own_file_that_is_missing_or_broken_is_named(bot: str, file: str, tmp_path: Path) -> None:
    assert f"is not in {(tmp_path / file).parent}" in refused(bot, credential(), home=tmp_path).message
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text('{"secret-of-the-file": ')
    broken = refused(bot, credential(), home=tmp_path)
    assert "is not the JSON" in broken.message
    assert "secret-of-the-file" not in f"{broken} {broken.hint} {broken.__context__}"
    (tmp_path / file).write_text("[]")
    assert "is not a JSON object" in refused(bot, credential(), home=tmp_path).message


@pytest.mark.parametrize(("bot", "file"), [("passivbot", "api-keys.json"), ("gunbot", "config.js")])
def test_a_file_goes_where_the_command_says(bot: str, file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("{}")
    (way,) = feed(bot, home=tmp_path, command=("bot", "--config={feed}")).ways
    assert isinstance(way, Descriptor)


# --- Jesse ------------------------------------------------------------------------------------------------------------


def test_jesse_gets_the_rows_of_its_import() -> None:
    given = (credential("bybit", api_key="k,1", secret='s"2\n'), credential("kucoin", name="ku", **OKX))
    (way,) = feed("jesse", *given, market="spot").ways
    assert isinstance(way, Descriptor)
    rows = list(csv.DictReader(io.StringIO(way.content.decode())))
    assert [list(row.values()) for row in rows] == [
        ["main", "Bybit Spot", "k,1", 's"2\n', "", "", ""],
        ["ku", "KuCoin Spot", PAIR["api_key"], PAIR["secret"], "pass phrase", "", ""],
    ]
    assert way.content.startswith(b"Name,Exchange,API Key,API Secret,api_passphrase,wallet_address,stark_private_key\n")


def test_the_market_types_of_an_exchange_say_its_market() -> None:
    (way,) = feed("jesse", credential("bybit", market_types=["swap", "option"])).ways
    assert isinstance(way, Descriptor)
    assert b"main,Bybit USDT Perpetual," in way.content
    assert "--market" in refused("jesse", credential("bybit", market_types=["spot", "swap"])).hint


@pytest.mark.parametrize(
    ("given", "field", "word"),
    [
        (credential("bybit", api_key="key-01234"), "secret", "skips"),
        (credential("apex", **PAIR, private_key="0x-private"), "private_key", "drops it"),
        (credential("bybit", api_key="key-01234", secret=" blank-secret"), "API Secret", "strip"),
        (credential("bybit", api_key="key-01234", secret="a;--secret"), "API Secret", "SQL"),
        (credential("zaif"), "kind", "does not know"),
    ],
)
def test_what_jesse_would_drop_or_refuse_is_refused(given: RevealedCredential, field: str, word: str) -> None:
    assert word in refused("jesse", given, market="spot" if given.kind == "bybit" else "").fields[field]


# --- environment ------------------------------------------------------------------------------------------------------


def test_nautilus_gets_the_variables_of_its_adapters() -> None:
    given = (
        credential("binance", environment="testnet"),
        credential("okx", name="o", **OKX),
        credential("lighter", name="l", private_key="0xabc", extra={"LIGHTER_API_KEY_INDEX": "4"}),
    )
    (way,) = feed("nautilus", *given).ways
    assert isinstance(way, Environment)
    assert way.variables == {
        "BINANCE_TESTNET_API_KEY": PAIR["api_key"], "BINANCE_TESTNET_API_SECRET": PAIR["secret"],
        "OKX_API_KEY": PAIR["api_key"], "OKX_API_SECRET": PAIR["secret"], "OKX_API_PASSPHRASE": "pass phrase",
        "LIGHTER_API_SECRET": "0xabc", "LIGHTER_API_KEY_INDEX": "4",
    }  # fmt: skip
    assert "both set BINANCE_API_KEY" in refused("nautilus", credential(name="a"), credential(name="b")).message
    assert "no variables for zaif (live)" in refused("nautilus", credential("zaif")).fields["kind"]


def test_env_names_variables_after_exchange_and_field() -> None:
    (way,) = feed("env", credential(name="my-main 2", **PAIR, extra={"user-id": "7"})).ways
    assert isinstance(way, Environment)
    assert way.variables == {
        "MY_MAIN_2_API_KEY": PAIR["api_key"], "MY_MAIN_2_SECRET": PAIR["secret"], "MY_MAIN_2_USER_ID": "7"
    }  # fmt: skip
    assert "would be called A_B_API_KEY" in refused("env", credential(name="a-b"), credential(name="a b")).message
    assert "environment variable" in refused("env", credential(name="1st")).fields["name"]


# --- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bot", sorted(PROFILES))
def test_nothing_that_a_profile_makes_shows_a_secret(bot: str, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "user").mkdir()
    for name in ("api-keys.json", "config.js", "user/config.json"):
        (tmp_path / name).write_text("{}")
    made = feed(bot, home=tmp_path, market="spot", command=("hbot", "connect", "binance"))
    assert "SECRET-9876543210" not in repr(made)
    assert "SECRET-9876543210" not in str(made)
    assert made.ways


def test_a_sealed_memory_file_is_whole_and_cannot_be_changed() -> None:
    import os

    content = bytes(range(256)) * 1000
    descriptor = launcher.sealed(content)
    try:
        assert os.pread(descriptor, len(content) + 1, 0) == content
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
