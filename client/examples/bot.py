"""A bot that keeps no key: it asks vaultd for one when it starts, and again when the venue no longer takes it.

    python bot.py EXCHANGE [--settings FILE] [--every SECONDS]

FILE is JSON with what ccxt's constructor takes besides the credentials. Every some seconds the bot prints what is free on
the account; a real one would trade here.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import ccxt

from vaultd_client import LockedError, NotRunningError, VaultClient, VaultClientError

WAIT_SECONDS = 2.0
"""Between two looks at a vault that is still locked."""


def connect(vault: VaultClient, name: str, settings: dict[str, Any]) -> Any:
    """Returns a ccxt exchange with the key as it is now. Waits for a person where the vault is locked."""
    while True:
        try:
            return vault.ccxt(name, "read", **settings)
        except (LockedError, NotRunningError) as error:
            print(f"waiting: {error} ({error.hint})", flush=True)
            time.sleep(WAIT_SECONDS)


def show(exchange: Any) -> None:
    """Prints what is free."""
    free = {asset: amount for asset, amount in exchange.fetch_balance()["free"].items() if amount}
    print(exchange.id, json.dumps(free), flush=True)


def run(vault: VaultClient, name: str, settings: dict[str, Any], every: float) -> None:
    """Runs until it is stopped."""
    exchange = connect(vault, name, settings)
    while True:
        try:
            show(exchange)
        except (ccxt.AuthenticationError, ccxt.DDoSProtection):
            # Perhaps the key was rotated, then the vault has another. The second is what ccxt makes of Binance's "Invalid
            # API-key" when the key was good before.
            fresh = connect(vault, name, settings)
            if fresh.apiKey == exchange.apiKey:
                raise
            exchange = fresh
            continue
        time.sleep(every)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exchange")
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--every", type=float, default=60.0)
    given = parser.parse_args()
    try:
        with VaultClient() as client:
            run(client, given.exchange, json.loads(given.settings.read_text()) if given.settings else {}, given.every)
    except VaultClientError as error:
        sys.exit(f"{error}: {error.hint}")
    except ccxt.BaseError as error:
        sys.exit(f"the venue: {type(error).__name__}")
    except KeyboardInterrupt:
        sys.exit(130)
