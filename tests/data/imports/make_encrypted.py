"""Writes the files of this directory that a bot has encrypted, with the bots' own code.

usage: python tests/data/imports/make_encrypted.py

Needs eth-keyfile (0.10.0 was used; Hummingbot writes its fields with it: client/config/config_crypt.py) and
octobot-commons (1.10.6; configuration/fields_utils.py), which the tests do not. Every value holds the word `canary`.
"""

import binascii
import json
from pathlib import Path

from eth_keyfile.keyfile import create_keyfile_json
from octobot_commons.configuration.fields_utils import encrypt

HERE = Path(__file__).parent
PASSWORD, OLD_PASSWORD = b"hummingbot password canary", b"the password before"
KEY_BYTES = 32
"""eth-keyfile checks that what it encrypts could be a wallet's key; Hummingbot has no such check."""


def field(value: str, password: bytes, rounds: int) -> str:
    """Returns a value as Hummingbot writes it: the keystore's JSON in hex."""
    assert len(value) == KEY_BYTES
    return binascii.hexlify(json.dumps(create_keyfile_json(value.encode(), password, iterations=rounds)).encode()).decode()


def connector(directory: str, name: str, fields: dict[str, str], password: bytes, rounds: int) -> None:
    """Writes conf/connectors/NAME.yml as Hummingbot's ClientConfigAdapter does."""
    lines = ["#" * 30, f"###   {name} config   ###", "#" * 30, "", f"connector: {name}", ""]
    for own, value in fields.items():
        lines += [f"{own}: {field(value, password, rounds)}", ""]
    (HERE / directory / f"{name}.yml").write_text("\n".join(lines))


def main() -> None:
    """Writes them all."""
    binance = {"binance_api_key": "hb-binance-key-canary-0123456789", "binance_api_secret": "hb-binance-secret-canary-9876543"}
    connector("hummingbot", "binance", binance, PASSWORD, 1_000_000)
    kucoin = {
        "kucoin_api_key": "hb-kucoin-key-canary-01234567890",
        "kucoin_secret_key": "hb-kucoin-secret-canary-98765432",
        "kucoin_passphrase": "hb-kucoin-passphrase-canary-9876",
    }
    connector("hummingbot", "kucoin", kucoin, PASSWORD, 1_000)
    testnet = {
        "bybit_perpetual_testnet_api_key": "hb-bybit-key-canary-012345678901",
        "bybit_perpetual_testnet_secret_key": "hb-bybit-secret-canary-987654321",
    }
    connector("hummingbot", "bybit_perpetual_testnet", testnet, PASSWORD, 1_000)
    gate = {"gate_io_api_key": "hb-gate-key-canary-0123456789012", "gate_io_secret_key": "hb-gate-secret-canary-9876543210"}
    connector("hummingbot_old", "gate_io", gate, OLD_PASSWORD, 1_000)
    exchanges = {
        "binance": {
            "api-key": encrypt("octobot-binance-key-canary-0001").decode(),
            "api-secret": encrypt("octobot-binance-secret-canary-0001").decode(),
            "api-password": "",
            "enabled": True,
            "sandboxed": False,
            "exchange-type": "spot",
        },
        "okx": {
            "api-key": "octobot-okx-key-canary-0002",
            "api-secret": "octobot-okx-secret-canary-0002",
            "api-password": "octobot-okx-pass-canary-0002",
            "sandboxed": True,
        },
        "kraken": {
            "api-key": encrypt("octobot-kraken-key-canary-0003").decode(),
            "api-secret": "octobot-kraken-secret-canary-0003",
        },
        "mexc": {"api-key": "your-api-key-here", "api-secret": "your-api-secret-here"},
    }
    document = {"backtesting": {"files": []}, "exchanges": exchanges, "trader": {"enabled": False}}
    (HERE / "octobot.json").write_text(json.dumps(document, indent=4) + "\n")


if __name__ == "__main__":
    main()
