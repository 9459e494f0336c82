"""The bot and the stranger of `vaultctl quickstart`: programs of their own, each with a key of its own (VAULTD_KEY).

    python -m vaultd_client.cli.demo_bot stranger EXCHANGE
    python -m vaultd_client.cli.demo_bot bot EXCHANGE

Prints one line per attempt, `WHAT -> RESULT`. The bot tries once more for every line on its stdin.
"""

import json
import sys

from vaultd_client import VaultClient, VaultClientError


def stranger(vault: VaultClient, name: str) -> None:
    """Lists what anybody may see, and asks for plaintext."""
    for exchange in vault.list():
        masks = {half.configuration: dict(half.active.masks) for half in exchange.configurations if half.active}
        tell(f"list {exchange.name}", json.dumps(masks, ensure_ascii=False))
    attempt(vault, name, "read")


def bot(vault: VaultClient, name: str) -> None:
    """Asks for both halves, builds a ccxt exchange of what it got, and asks again whenever it is told to."""
    attempt(vault, name, "read")
    attempt(vault, name, "write")
    build(vault, name)
    for _ in sys.stdin:
        attempt(vault, name, "read")


def attempt(vault: VaultClient, name: str, half: str) -> None:
    """Asks for one half and tells what came."""
    try:
        tell(f"reveal {name} {half}", json.dumps(dict(vault.reveal(name, half).fields)))
    except VaultClientError as error:
        tell(f"reveal {name} {half}", error.reason)


def build(vault: VaultClient, name: str) -> None:
    """Builds the exchange object that a bot trades with."""
    exchange = vault.ccxt(name, "read")
    exchange.check_required_credentials()
    tell(f"vault.ccxt({name!r})", f"{exchange!r}, check_required_credentials() passes")


def tell(what: str, result: str) -> None:
    """Prints one line at once."""
    print(f"{what} -> {result}", flush=True)  # noqa: T201 - a program of its own


if __name__ == "__main__":
    with VaultClient(timeout=30) as client:
        {"stranger": stranger, "bot": bot}[sys.argv[1]](client, sys.argv[2])
