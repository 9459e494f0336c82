"""What each bot calls our fields and our kinds of exchange.

The one home of those words, read by whoever feeds a bot and by whoever reads its files.

`FIELDS` has the bots that use the same names at every exchange: bot -> our field -> the bot's name. Hummingbot has names
of its own for every connector (`HUMMINGBOT`), NautilusTrader for every adapter and environment (`NAUTILUS`). A field that
is missing has no place in that bot. What none of our fields is called passes by its own name, as a free entry of the
credential (`extra`), where the bot has a place for it: Hummingbot's `account_type`, NautilusTrader's `API_KEY_INDEX`.
"""

from collections.abc import Mapping

Names = Mapping[str, str]
"""Our field to the bot's name."""

FIELDS: Mapping[str, Names] = {
    # https://www.freqtrade.io/en/stable/configuration/ and config_schema.py, under `exchange`
    "freqtrade": {
        "api_key": "api_key",
        "secret": "secret",
        "passphrase": "password",
        "customer_id": "uid",
        "account_id": "account_id",
        "address": "wallet_address",
        "private_key": "private_key",
    },
    # user/config.json, under `exchanges.<id>`: octobot_commons/constants.py
    "octobot": {
        "api_key": "api-key",
        "secret": "api-secret",
        "passphrase": "api-password",
        "customer_id": "api-uid",
        "token": "access_token",
    },
    # The header of the CSV file: jesse/modes/data_provider.py, import_api_keys_from_csv
    "jesse": {
        "api_key": "API Key",
        "secret": "API Secret",
        "passphrase": "api_passphrase",
        "address": "wallet_address",
        "private_key": "stark_private_key",
    },
    # api-keys.json, under the name of the account: api-keys.json.example
    "passivbot": {
        "api_key": "key",
        "secret": "secret",
        "passphrase": "passphrase",
        "address": "wallet_address",
        "private_key": "private_key",
    },
    # config.js, under `exchanges.<name>`; the write half, which trades
    "gunbot": {"api_key": "key", "secret": "secret", "passphrase": "passphrase", "customer_id": "clientId"},
    # What a constructor takes: ccxt/base/exchange.py, requiredCredentials
    "ccxt": {
        "api_key": "apiKey",
        "secret": "secret",
        "passphrase": "password",
        "customer_id": "uid",
        "address": "walletAddress",
        "private_key": "privateKey",
        "account_id": "accountId",
        "login": "login",
        "password": "password",
        "two_fa": "twofa",
        "token": "token",
    },
}

GUNBOT_MASTER: Names = {"api_key": "masterkey", "secret": "mastersecret"}
"""The read half of a Gunbot exchange: the pair that looks but need not trade."""

FREQTRADE_OLD: Names = {
    "api_key": "key",
    "account_id": "accountId",
    "address": "walletAddress",
    "private_key": "privateKey",
}
"""Names that freqtrade still reads, for files that people have; `apiKey` too."""

EXCHANGES: Mapping[str, Names] = {
    "passivbot": {"binanceusdm": "binance", "gate": "gateio", "kucoinfutures": "kucoin"},
    "gunbot": {
        "binanceusdm": "binanceFutures",
        "binancecoinm": "binanceFutures",
        "coinbaseexchange": "gdax",
        "coinbasepro": "gdax",
        "htx": "huobi",
        "okx": "okex5",
    },
}
"""Bot -> our kind -> the bot's name of the exchange, where it is another word than the kind."""

JESSE_EXCHANGES: Mapping[str, Names] = {
    "apex": {"swap": "Apex Omni Perpetual"},
    "binance": {"spot": "Binance Spot", "swap": "Binance Perpetual Futures"},
    "binanceus": {"spot": "Binance US Spot"},
    "binanceusdm": {"swap": "Binance Perpetual Futures"},
    "bitfinex": {"spot": "Bitfinex Spot"},
    "bitget": {"spot": "Bitget Spot", "swap": "Bitget USDT Perpetual"},
    "bybit": {"spot": "Bybit Spot", "swap": "Bybit USDT Perpetual"},
    "coinbase": {"spot": "Coinbase Spot"},
    "dydx": {"swap": "Dydx Perpetual"},
    "gate": {"spot": "Gate Spot", "swap": "Gate USDT Perpetual"},
    "hyperliquid": {"swap": "Hyperliquid Perpetual"},
    "kraken": {"spot": "Kraken Pro Spot"},
    "krakenfutures": {"swap": "Kraken Pro Futures"},
    "kucoin": {"spot": "KuCoin Spot"},
    "kucoinfutures": {"swap": "KuCoin USDT Perpetual"},
    "lighter": {"swap": "Lighter Perpetual"},
}
"""Our kind -> market type -> Jesse's name (jesse/enums); ` Testnet` follows it on the test network."""


_ENDINGS: Names = {
    "api_key": "api_key",
    "api_secret": "secret",
    "secret_key": "secret",
    "passphrase": "passphrase",
    "memo": "customer_id",
    "uid": "customer_id",
    "user_id": "customer_id",
    "account_name": "login",
}
"""How the names of most connectors end, to our field."""


def _begins(prefix: str, *endings: str) -> Names:
    """Returns the names of a connector that begins them all with the same word."""
    return {_ENDINGS[ending]: f"{prefix}_{ending}" for ending in endings}


HUMMINGBOT: Mapping[str, Names] = {
    # hummingbot/connector/{exchange,derivative}/*/*_utils.py, release 2026-09-22; on a test network `_testnet` follows
    # the connector's name, and what its fields begin with.
    "aevo_perpetual": {
        "api_key": "aevo_perpetual_api_key",
        "secret": "aevo_perpetual_api_secret",
        "private_key": "aevo_perpetual_signing_key",
        "address": "aevo_perpetual_account_address",
    },
    "architect_perpetual": {"api_key": "api_key", "secret": "api_secret"},
    "backpack": _begins("backpack", "api_key", "api_secret"),
    "backpack_perpetual": _begins("backpack", "api_key", "api_secret"),
    "binance": _begins("binance", "api_key", "api_secret"),
    "binance_perpetual": _begins("binance_perpetual", "api_key", "api_secret"),
    "bing_x": _begins("bingx", "api_key", "api_secret"),
    "bitget": _begins("bitget", "api_key", "secret_key", "passphrase"),
    "bitget_perpetual": _begins("bitget_perpetual", "api_key", "secret_key", "passphrase"),
    "bitmart": _begins("bitmart", "api_key", "secret_key", "memo"),
    "bitmart_perpetual": _begins("bitmart_perpetual", "api_key", "api_secret", "memo"),
    "bitrue": _begins("bitrue", "api_key", "api_secret"),
    "bitstamp": _begins("bitstamp", "api_key", "api_secret"),
    "btc_markets": _begins("btc_markets", "api_key", "api_secret"),
    "bybit": _begins("bybit", "api_key", "api_secret"),
    "bybit_perpetual": _begins("bybit_perpetual", "api_key", "secret_key"),
    "coinbase_advanced_trade": _begins("coinbase_advanced_trade", "api_key", "api_secret"),
    "decibel_perpetual": {
        "api_key": "decibel_perpetual_api_key",
        "address": "decibel_perpetual_main_wallet_public_key",
        "private_key": "decibel_perpetual_api_wallet_private_key",
    },
    "derive": {"address": "derive_wallet_address", "private_key": "session_private_key", "account_id": "subacct_id"},
    "derive_perpetual": {
        "address": "derive_perpetual_wallet_address",
        "private_key": "session_private_key",
        "account_id": "subacct_id",
    },
    "dexalot": _begins("dexalot", "api_key", "api_secret"),
    "dydx_v4_perpetual": {
        "address": "dydx_v4_perpetual_chain_address",
        "private_key": "dydx_v4_perpetual_secret_phrase",
    },
    "evedex_perpetual": {"api_key": "evedex_perpetual_api_key", "private_key": "evedex_perpetual_private_key"},
    "foxbit": _begins("foxbit", "api_key", "api_secret", "user_id"),
    "gate_io": _begins("gate_io", "api_key", "secret_key"),
    "gate_io_perpetual": _begins("gate_io_perpetual", "api_key", "secret_key", "user_id"),
    "gemini": _begins("gemini", "api_key", "api_secret"),
    "grvt_perpetual": {
        "api_key": "grvt_perpetual_api_key",
        "private_key": "grvt_perpetual_private_key",
        "account_id": "grvt_perpetual_trading_account_id",
    },
    "htx": _begins("htx", "api_key", "secret_key"),
    "hyperliquid": {"address": "hyperliquid_address", "private_key": "hyperliquid_secret_key"},
    "hyperliquid_perpetual": {
        "address": "hyperliquid_perpetual_address",
        "private_key": "hyperliquid_perpetual_secret_key",
    },
    "kalshi_perpetual": {"api_key": "kalshi_perpetual_api_key", "private_key": "kalshi_perpetual_private_key"},
    "kraken": _begins("kraken", "api_key", "secret_key"),
    "kucoin": _begins("kucoin", "api_key", "secret_key", "passphrase"),
    "kucoin_hft": _begins("kucoin_hft", "api_key", "secret_key", "passphrase"),
    "kucoin_perpetual": _begins("kucoin_perpetual", "api_key", "secret_key", "passphrase"),
    "lambdaplex": {"api_key": "lambdaplex_api_key", "private_key": "lambdaplex_private_key"},
    "lighter": {
        "address": "lighter_l1_address",
        "account_id": "lighter_account_index",
        "private_key": "lighter_api_private_key",
    },
    "lighter_perpetual": {
        "address": "lighter_perpetual_l1_address",
        "private_key": "lighter_perpetual_api_private_key",
    },
    "mexc": _begins("mexc", "api_key", "api_secret"),
    "ndax": _begins("ndax", "api_key", "secret_key", "uid", "account_name"),
    "okx": _begins("okx", "api_key", "secret_key", "passphrase"),
    "okx_perpetual": _begins("okx_perpetual", "api_key", "secret_key", "passphrase"),
    "pacifica_perpetual": {
        "api_key": "pacifica_perpetual_api_config_key",
        "address": "pacifica_perpetual_user_wallet_public_key",
        "private_key": "pacifica_perpetual_agent_wallet_private_key",
    },
    "xrpl": {"private_key": "xrpl_secret_key"},
}
"""Connector -> our field -> the connector's name of it."""

HUMMINGBOT_OLD: Mapping[str, Names] = {
    # Releases up to 2026-07
    "derive": {"address": "derive_api_key", "private_key": "derive_api_secret", "account_id": "sub_id"},
    "derive_perpetual": {
        "address": "derive_perpetual_api_key",
        "private_key": "derive_perpetual_api_secret",
        "account_id": "sub_id",
    },
}
"""As `HUMMINGBOT`, for files that people have."""

HUMMINGBOT_CONNECTORS: Mapping[str, Names] = {
    "backpack": {"spot": "backpack", "swap": "backpack_perpetual"},
    "binance": {"spot": "binance", "swap": "binance_perpetual"},
    "binanceusdm": {"swap": "binance_perpetual"},
    "bingx": {"spot": "bing_x"},
    "bitget": {"spot": "bitget", "swap": "bitget_perpetual"},
    "bitmart": {"spot": "bitmart", "swap": "bitmart_perpetual"},
    "bitrue": {"spot": "bitrue"},
    "bitstamp": {"spot": "bitstamp"},
    "btcmarkets": {"spot": "btc_markets"},
    "bybit": {"spot": "bybit", "swap": "bybit_perpetual"},
    "coinbase": {"spot": "coinbase_advanced_trade"},
    "derive": {"spot": "derive", "swap": "derive_perpetual"},
    "dydx": {"swap": "dydx_v4_perpetual"},
    "foxbit": {"spot": "foxbit"},
    "gate": {"spot": "gate_io", "swap": "gate_io_perpetual"},
    "gemini": {"spot": "gemini"},
    "grvt": {"swap": "grvt_perpetual"},
    "htx": {"spot": "htx"},
    "hyperliquid": {"spot": "hyperliquid", "swap": "hyperliquid_perpetual"},
    "kraken": {"spot": "kraken"},
    "kucoin": {"spot": "kucoin"},
    "kucoinfutures": {"swap": "kucoin_perpetual"},
    "lighter": {"spot": "lighter", "swap": "lighter_perpetual"},
    "mexc": {"spot": "mexc"},
    "ndax": {"spot": "ndax"},
    "okx": {"spot": "okx", "swap": "okx_perpetual"},
    "pacifica": {"swap": "pacifica_perpetual"},
}
"""Our kind -> market type -> connector. A connector that no kind has is named by the person."""

NAUTILUS: Mapping[str, Mapping[str, Names]] = {
    # nautilus_trader/adapters/*/credentials.py and the adapters' pages: kind -> environment -> field -> variable
    "binance": {
        "live": {"api_key": "BINANCE_API_KEY", "secret": "BINANCE_API_SECRET"},
        "testnet": {"api_key": "BINANCE_TESTNET_API_KEY", "secret": "BINANCE_TESTNET_API_SECRET"},
        "demo": {"api_key": "BINANCE_DEMO_API_KEY", "secret": "BINANCE_DEMO_API_SECRET"},
    },
    "binanceusdm": {
        "live": {"api_key": "BINANCE_API_KEY", "secret": "BINANCE_API_SECRET"},
        "testnet": {"api_key": "BINANCE_FUTURES_TESTNET_API_KEY", "secret": "BINANCE_FUTURES_TESTNET_API_SECRET"},
        "demo": {"api_key": "BINANCE_DEMO_API_KEY", "secret": "BINANCE_DEMO_API_SECRET"},
    },
    "bitmex": {
        "live": {"api_key": "BITMEX_API_KEY", "secret": "BITMEX_API_SECRET"},
        "testnet": {"api_key": "BITMEX_TESTNET_API_KEY", "secret": "BITMEX_TESTNET_API_SECRET"},
    },
    "bybit": {
        "live": {"api_key": "BYBIT_API_KEY", "secret": "BYBIT_API_SECRET"},
        "testnet": {"api_key": "BYBIT_TESTNET_API_KEY", "secret": "BYBIT_TESTNET_API_SECRET"},
        "demo": {"api_key": "BYBIT_DEMO_API_KEY", "secret": "BYBIT_DEMO_API_SECRET"},
    },
    "coinbase": {"live": {"api_key": "COINBASE_API_KEY", "secret": "COINBASE_API_SECRET"}},
    "coinbaseinternational": {
        "live": {
            "api_key": "COINBASE_INTX_API_KEY",
            "secret": "COINBASE_INTX_API_SECRET",
            "passphrase": "COINBASE_INTX_API_PASSPHRASE",
            "account_id": "COINBASE_INTX_PORTFOLIO_ID",
        },
    },
    "deribit": {
        "live": {"api_key": "DERIBIT_API_KEY", "secret": "DERIBIT_API_SECRET"},
        "testnet": {"api_key": "DERIBIT_TESTNET_API_KEY", "secret": "DERIBIT_TESTNET_API_SECRET"},
    },
    "derive": {
        "live": {"private_key": "DERIVE_SESSION_PRIVATE_KEY", "address": "DERIVE_WALLET_ADDRESS"},
        "testnet": {"private_key": "DERIVE_TESTNET_SESSION_PRIVATE_KEY", "address": "DERIVE_TESTNET_WALLET_ADDRESS"},
    },
    "dydx": {
        "live": {"private_key": "DYDX_PRIVATE_KEY", "address": "DYDX_WALLET_ADDRESS"},
        "testnet": {"private_key": "DYDX_TESTNET_PRIVATE_KEY", "address": "DYDX_TESTNET_WALLET_ADDRESS"},
    },
    "hyperliquid": {
        "live": {"private_key": "HYPERLIQUID_PK", "address": "HYPERLIQUID_ACCOUNT_ADDRESS"},
        "testnet": {"private_key": "HYPERLIQUID_TESTNET_PK", "address": "HYPERLIQUID_ACCOUNT_ADDRESS"},
    },
    "kraken": {"live": {"api_key": "KRAKEN_SPOT_API_KEY", "secret": "KRAKEN_SPOT_API_SECRET"}},
    "krakenfutures": {
        "live": {"api_key": "KRAKEN_FUTURES_API_KEY", "secret": "KRAKEN_FUTURES_API_SECRET"},
        "demo": {"api_key": "KRAKEN_FUTURES_DEMO_API_KEY", "secret": "KRAKEN_FUTURES_DEMO_API_SECRET"},
    },
    "lighter": {
        "live": {"private_key": "LIGHTER_API_SECRET", "account_id": "LIGHTER_ACCOUNT_INDEX"},
        "testnet": {"private_key": "LIGHTER_TESTNET_API_SECRET", "account_id": "LIGHTER_TESTNET_ACCOUNT_INDEX"},
    },
    "okx": {
        environment: {
            "api_key": "OKX_API_KEY",
            "secret": "OKX_API_SECRET",
            "passphrase": "OKX_API_PASSPHRASE",
        }
        for environment in ("live", "demo")
    },
    "polymarket": {
        "live": {
            "private_key": "POLYMARKET_PK",
            "address": "POLYMARKET_FUNDER",
            "api_key": "POLYMARKET_API_KEY",
            "secret": "POLYMARKET_API_SECRET",
            "passphrase": "POLYMARKET_PASSPHRASE",
        },
    },
}
"""Our kind -> environment -> our field -> environment variable."""
