"""What the profiles make is read by the bots' own code, installed from PyPI into environments of their own.

Measured: freqtrade 80 s and 770 MB, NautilusTrader 80 s and 670 MB, the others 10 s each: too much for every run, so
these are `full`. The formats themselves are tested in `tests/unit/test_bot_profiles.py`. passivbot and Gunbot are not on
PyPI.
"""

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.vaultctl import MODULE, environment

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]
_EC = serialization.PrivateFormat.TraditionalOpenSSL
NAME = "organizations/11111111-2222-3333-4444-555555555555/apiKeys/66666666-7777-8888-9999-000000000000"
PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(serialization.Encoding.PEM, _EC, serialization.NoEncryption())
    .decode()
    .strip()
)


@pytest.fixture(scope="module")
def key(shared: Daemon) -> Path:
    """A client that may have both halves of everything."""
    path = shared.home / "real.key"
    shared.add_bot("real", grants=False).save(path)
    with shared.admin() as admin:
        okx = {"api_key": "12345678901234567890", "secret": "okx-secret\"quoted\"'x'", "passphrase": "1234"}
        admin.create_exchange("okx-main", "okx", {"read": okx})
        admin.create_exchange("coinbase-main", "coinbase", {"read": {"api_key": NAME, "secret": PEM}})
        admin.create_grant("real", "*", "*")
    return path


def installed(home: Path, *options: str) -> str:
    """Makes an environment with packages from PyPI; returns its Python."""
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", *options], check=True, capture_output=True)
    return python


def fed(daemon: Daemon, key: Path, home: Path, options: Sequence[str], command: Sequence[str]) -> str:
    """Runs `vaultctl run` in a directory; returns what the bot said on stdout."""
    done = subprocess.run(
        [sys.executable, *MODULE, "run", *options, "--", *command],
        env=environment(daemon, key), cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for secret in ("okx-secret", PEM.splitlines()[1], READ_PAIR["secret"]):
        assert secret not in done.stderr  # where bots log
    return done.stdout


# --- freqtrade --------------------------------------------------------------------------------------------------------

CONFIG = {
    "stake_currency": "USDT", "stake_amount": 10, "dry_run": True, "max_open_trades": 1,
    "exchange": {"name": "okx", "pair_whitelist": ["BTC/USDT"]}, "pairlists": [{"method": "StaticPairList"}],
    "entry_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
    "exit_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
}  # fmt: skip
FREQTRADE = """
import json, sys
from freqtrade.commands.arguments import Arguments
from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode
from freqtrade.exchange import Exchange
arguments = Arguments(sys.argv[1:]).get_parsed_arg()
for _ in range(2):  # a reload reads the files again
    exchange = Configuration(arguments, RunMode.DRY_RUN).get_config()["exchange"]
print("CONFIG", json.dumps({name: exchange.get(name) for name in ("name", "api_key", "secret", "password")}))
"""


@pytest.fixture(scope="module")
def freqtrade(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """freqtrade, and a directory with a configuration without keys where it looks by itself."""
    home = tmp_path_factory.mktemp("freqtrade")
    (home / "user_data").mkdir()
    (home / "user_data" / "config.json").write_text(json.dumps(CONFIG))
    return installed(home / "venv", "freqtrade"), home


@pytest.mark.parametrize(
    "options", [("--for", "freqtrade"), ("--for", "freqtrade-env", "--allow-env")], ids=["file", "environment"]
)
@pytest.mark.parametrize("named", [(), ("--config", "user_data/config.json")], ids=["usual", "named"])
def test_freqtrade_merges_the_keys_into_its_configuration(
    shared: Daemon, key: Path, freqtrade: tuple[str, Path], options: tuple[str, ...], named: tuple[str, ...]
) -> None:
    python, home = freqtrade
    exchange = "okx-main" if "--allow-env" not in options else "binance-main"
    (home / "freqtrade").write_text(FREQTRADE)
    command = [python, "freqtrade", "show-config", *named]
    said = fed(shared, key, home, [*options, "--exchange", exchange], command)
    found = json.loads(next(line for line in said.splitlines() if line.startswith("CONFIG ")).removeprefix("CONFIG "))
    if exchange == "okx-main":
        assert found == {
            "name": "okx", "api_key": "12345678901234567890", "secret": "okx-secret\"quoted\"'x'", "password": "1234"
        }  # fmt: skip
    else:
        assert (found["api_key"], found["secret"]) == (READ_PAIR["api_key"], READ_PAIR["secret"])


RETYPED = """
import json, sys
from freqtrade.configuration.environment_vars import _get_var_typed
print(json.dumps([isinstance(_get_var_typed(value), str) for value in json.load(sys.stdin)]))
"""


def test_what_freqtrade_would_retype_is_what_is_refused(freqtrade: tuple[str, Path]) -> None:
    from vaultd_client.bots.freqtrade import _retyped

    values = [
        "424242", "12345e67", "1.5", "nan", "-inf", "t", "TRUE", "false", "[1, 2]", "[1,", "1_000", " 7 ", "0x10", "1e",
        "yes", "null", "{}", '"x"', "٣", "1٣", "abc", "-", "Infinity", "+5", "1__0", "[]", " [1] ", "5f",
    ]  # fmt: skip
    given = json.dumps(values)
    done = subprocess.run(
        [freqtrade[0], "-c", RETYPED], input=given, capture_output=True, text=True, check=True, cwd=freqtrade[1]
    )
    kept = dict(zip(values, json.loads(done.stdout), strict=True))
    assert {value: not _retyped(value) for value in values if not kept[value]} == {
        value: False for value in values if not kept[value]
    }


# --- Hummingbot -------------------------------------------------------------------------------------------------------

HUMMINGBOT = """
import importlib.util, json, pathlib, sys, types
settings = types.ModuleType("hummingbot.client.settings")
settings.CONF_DIR_PATH = pathlib.Path("conf")
sys.modules |= {name: types.ModuleType(name) for name in ("hummingbot", "hummingbot.client")}
sys.modules["hummingbot.client.settings"] = settings
spec = importlib.util.spec_from_file_location("config_crypt", sys.argv[1])
crypt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(crypt)
manager = crypt.ETHKeyFileSecretManger(sys.stdin.readline().rstrip("\\n"))
lines = dict(line.split(": ", 1) for line in pathlib.Path("conf/connectors/okx.yml").read_text().splitlines())
names = ("okx_api_key", "okx_secret_key", "okx_passphrase")
print(json.dumps([
    crypt.validate_password(manager), *[manager.decrypt_secret_value(name, lines[name]) for name in names],
    lines["okx_registration_sub_domain"], sorted(path.name for path in pathlib.Path("conf/connectors").iterdir()),
]))
"""


def test_hummingbots_own_code_decrypts_what_it_finds(shared: Daemon, key: Path, tmp_path: Path) -> None:
    python = installed(tmp_path / "venv", "eth-account")
    only_source = ["--no-deps", "--no-binary", "hummingbot", "-d", str(tmp_path)]
    fetch = [python, "-m", "pip", "download", "-q", *only_source, "hummingbot"]
    subprocess.run(fetch, check=True, capture_output=True)
    (archive,) = tmp_path.glob("hummingbot-*.tar.gz")
    subprocess.run(["tar", "xzf", archive, "-C", tmp_path], check=True)
    (source,) = tmp_path.glob("hummingbot-*/hummingbot/client/config/config_crypt.py")
    (tmp_path / "conf" / "connectors").mkdir(parents=True)
    (tmp_path / "conf" / "connectors" / "kraken.yml").write_text("hidden from this run")
    options = ("--for", "hummingbot", "--exchange", "okx-main", "--market", "spot")
    said = fed(shared, key, tmp_path, options, [python, "-c", HUMMINGBOT, str(source), "--password-stdin"])
    assert json.loads(said) == [
        True, "12345678901234567890", "okx-secret\"quoted\"'x'", "1234", '"www"', ["okx.yml"]
    ]  # fmt: skip


# --- OctoBot ----------------------------------------------------------------------------------------------------------

OCTOBOT = """
import json
from octobot_commons import configuration
from octobot_commons.configuration import config_file_manager as manager
path = manager.get_user_config()
config = manager.load(path)
manager.dump(path, config)  # obscures the keys, by way of a copy beside the file
exchange = manager.load(path)["exchanges"]["coinbase"]
print(json.dumps([configuration.decrypt(exchange[name]) for name in ("api-key", "api-secret")] + [exchange["sandboxed"]]))
"""


def test_octobot_reads_and_rewrites_its_configuration(shared: Daemon, key: Path, tmp_path: Path) -> None:
    python = installed(tmp_path / "venv", "--no-deps", "octobot-commons")
    needs = ["cryptography", "sortedcontainers", "requests", "jsonschema", "numpy", "aiohttp", "aiosqlite"]
    subprocess.run([python, "-m", "pip", "install", "-q", *needs], check=True, capture_output=True)
    (tmp_path / "user").mkdir()
    own = json.dumps({"exchanges": {"coinbase": {"exchange-type": "spot"}}})
    (tmp_path / "user" / "config.json").write_text(own)
    options = ("--for", "octobot", "--exchange", "coinbase-main")
    said = fed(shared, key, tmp_path, options, [python, "-c", OCTOBOT])
    assert json.loads(said.splitlines()[-1]) == [NAME, f"{PEM}\n", False]
    assert (tmp_path / "user" / "config.json").read_text() == own
    assert [each.name for each in (tmp_path / "user").iterdir()] == ["config.json"]


# --- Jesse ------------------------------------------------------------------------------------------------------------

JESSE = """
import ast, csv, importlib.util, io, json, pathlib, sys, types
from typing import Dict
source = pathlib.Path(importlib.util.find_spec("jesse").submodule_search_locations[0]) / "modes" / "data_provider.py"
wanted = {"validate_csv_content", "import_api_keys_from_csv"}
tree = ast.parse(source.read_text())
tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
made = []
class ExchangeApiKeys:  # the table
    name = "name"
    select = staticmethod(lambda *_: [])
    create = staticmethod(lambda **row: made.append(row) or types.SimpleNamespace(**row))
database = types.SimpleNamespace(open_connection=lambda: None, close_connection=lambda: None)
for name, content in {"jesse.models.ExchangeApiKeys": {"ExchangeApiKeys": ExchangeApiKeys}, "jesse.services.db": {"database": database}}.items():
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module
for name in ("jesse", "jesse.models", "jesse.services"):
    sys.modules[name] = types.ModuleType(name)
jh = types.SimpleNamespace(generate_unique_id=lambda: "id", now_to_datetime=lambda: None)
space = {"csv": csv, "io": io, "json": json, "jh": jh, "Dict": Dict}
exec(compile(tree, "data_provider", "exec"), space)
content = open(sys.argv[1]).read().strip()
assert space["validate_csv_content"](content)
result = space["import_api_keys_from_csv"](content)
assert result == {"success": True, "imported_count": 2}, result
print(json.dumps([[row[name] for name in ("name", "exchange_name", "api_key", "api_secret")] for row in made]))
"""


def test_jesses_import_takes_the_csv(shared: Daemon, key: Path, tmp_path: Path) -> None:
    python = installed(tmp_path / "venv", "--no-deps", "jesse")
    options = ("--for", "jesse", "--market", "spot", "--exchange", "binance-main", "--exchange", "coinbase-main")
    assert json.loads(fed(shared, key, tmp_path, options, [python, "-c", JESSE, "{feed}"])) == [
        ["binance-main", "Binance Spot", READ_PAIR["api_key"], READ_PAIR["secret"]],
        ["coinbase-main", "Coinbase Spot", NAME, PEM],
    ]


# --- NautilusTrader ---------------------------------------------------------------------------------------------------

NAUTILUS = """
import json
from nautilus_trader.adapters.binance.common.credentials import get_api_key, get_api_secret
from nautilus_trader.adapters.binance.common.enums import BinanceAccountType
spot = BinanceAccountType.SPOT
print(json.dumps([get_api_key(spot, False), get_api_secret(spot, False)]))
"""


def test_nautilus_trader_finds_its_variables(shared: Daemon, key: Path, tmp_path: Path) -> None:
    python = installed(tmp_path / "venv", "nautilus_trader")
    options = ("--for", "nautilus", "--allow-env", "--exchange", "binance-main")
    assert json.loads(fed(shared, key, tmp_path, options, [python, "-c", NAUTILUS])) == [
        READ_PAIR["api_key"], READ_PAIR["secret"]
    ]  # fmt: skip


# --- ccxt -------------------------------------------------------------------------------------------------------------

CCXT = """
import ccxt, json, sys
exchange = ccxt.okx(json.load(open(sys.argv[1])))
exchange.check_required_credentials()
print(exchange.password)
"""


def test_ccxts_constructor_takes_the_json(shared: Daemon, key: Path, tmp_path: Path) -> None:
    options = ("--for", "ccxt", "--exchange", "okx-main")
    assert fed(shared, key, tmp_path, options, [sys.executable, "-c", CCXT, "{feed}"]) == "1234\n"
