"""A bot on asyncio: several accounts at once, each with its own key, none of them kept.

    python async_bot.py EXCHANGE... [--settings FILE]

FILE is JSON: name of the exchange to what ccxt's constructor takes besides the credentials. The bot prints what each
account holds in all, in the order in which the venues answer, and ends.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ccxt

from vaultd_client import AsyncVaultClient, VaultClientError


async def show(vault: AsyncVaultClient, name: str, settings: Mapping[str, Any]) -> bool:
    """Prints what one account holds, or why that cannot be said; returns whether it could."""
    try:
        exchange = await vault.ccxt(name, "read", **settings)
    except VaultClientError as error:
        print(f"{name}: {error} ({error.hint})", flush=True)
        return False
    try:
        total = (await exchange.fetch_balance())["total"]
        print(f"{name}: {json.dumps({asset: amount for asset, amount in total.items() if amount})}", flush=True)
    except ccxt.BaseError as error:
        print(f"{name}: {type(error).__name__}", flush=True)
        return False
    finally:
        await exchange.close()
    return True


async def run(names: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> bool:
    """Shows all accounts at once; returns whether all could be shown."""
    async with AsyncVaultClient() as vault:
        return all(await asyncio.gather(*(show(vault, name, settings.get(name, {})) for name in names)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exchanges", nargs="+")
    parser.add_argument("--settings", type=Path)
    given = parser.parse_args()
    whole = asyncio.run(run(given.exchanges, json.loads(given.settings.read_text()) if given.settings else {}))
    sys.exit(0 if whole else 1)
