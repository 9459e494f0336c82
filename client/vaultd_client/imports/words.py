"""Words that files without a fixed form use for our fields: columns of a CSV file, ends of environment variables."""

from collections.abc import Mapping

from vaultd_client.kinds import folded

_WORDS: Mapping[str, tuple[str, ...]] = {
    "api_key": ("api_key", "key", "public_api_key", "access_key", "api_key_id", "public_key"),
    "secret": ("secret", "api_secret", "secret_key", "api_secret_key", "private_api_key", "key_secret"),
    "passphrase": ("passphrase", "api_passphrase", "password", "api_password"),
    "customer_id": ("customer_id", "client_id", "uid", "user_id", "api_uid", "memo"),
    "address": ("address", "wallet_address", "account_address", "wallet"),
    "private_key": ("private_key", "wallet_private_key", "stark_private_key", "pk"),
    "account_id": ("account_id", "sub_account", "portfolio_id"),
    "login": ("login", "username"),
    "two_fa": ("two_fa", "twofa", "2fa", "totp_secret"),
    "token": ("token", "access_token", "api_token"),
}
ENVIRONMENTS: Mapping[str, str] = {
    "live": "live", "prod": "live", "production": "live", "main": "live", "mainnet": "live",
    "testnet": "testnet", "test": "testnet", "sandbox": "testnet",
    "demo": "demo", "paper": "demo",
}  # fmt: skip
"""Words for an environment to ours."""
HALVES: Mapping[str, str] = {
    "read": "read", "readonly": "read", "ro": "read", "view": "read",
    "write": "write", "trade": "write", "trading": "write", "rw": "write",
}  # fmt: skip
"""Words for a half to ours."""
MARKETS: Mapping[str, str] = {
    "spot": "spot", "margin": "margin", "future": "swap", "futures": "swap", "swap": "swap", "perpetual": "swap",
    "option": "option", "options": "option",
}  # fmt: skip
"""Words for a market type to ours: what bots call futures are perpetual swaps."""


FIELDS: Mapping[str, str] = {folded(word): field for field, words in _WORDS.items() for word in words}
"""Folded word to our field."""


def spelled(environment: object) -> str:
    """Returns our word for an environment; empty where it says nothing that is known."""
    if environment is True:
        return "testnet"
    return ENVIRONMENTS.get(folded(environment), "") if isinstance(environment, str) else ""


def without_markets(name: str) -> tuple[str, ...]:
    """Returns a name, then the name with ever fewer words for a market at its end: `Bybit USDT Perpetual`, `Bybit`."""
    found = [name]
    parts = name.replace("_", " ").replace("-", " ").split()
    while len(parts) > 1 and folded(parts[-1]) in {*MARKETS, "usdt", "usdc", "coin", "exchange", "unified"}:
        parts.pop()
        found.append(" ".join(parts))
    return tuple(found)
