"""passivbot's `api-keys.json`: account -> {exchange, key, secret, ...}."""

from typing import Any

from vaultd_client.bots import names
from vaultd_client.errors import InvalidError
from vaultd_client.fields import FieldValues
from vaultd_client.imports import shapes
from vaultd_client.imports.found import Entry, LeftOut, Reading, given, sorted_out

_FIELDS = {bot: field for field, bot in names.FIELDS["passivbot"].items()}
_CCXT = {"apiKey": "api_key", "password": "passphrase", "walletAddress": "address", "privateKey": "private_key"}
_KINDS = {bot: kind for kind, bot in names.EXCHANGES["passivbot"].items()}
_SWITCHES = ("is_vault",)
_NUMBERS = ("account_index", "api_key_index")
"""Not secret, but part of the account: kept as free entries, but for the first, which is Lighter's account_id."""


def fits(document: Any) -> bool:
    """Says whether this is what `api-keys.json` looks like."""
    return isinstance(document, dict) and any(_is_account(each) for each in document.values())


def read(document: Any) -> Reading:
    """Returns the accounts of `api-keys.json`.

    Raises:
        InvalidError: No value in it is an account.
    """
    if not fits(document):
        raise InvalidError("that is no api-keys.json of passivbot: it has no account", hint=shapes.OTHER)
    found = [_account(name, each) for name, each in document.items() if _is_account(each)]
    known = {"exchange", *_FIELDS, *_CCXT, *_SWITCHES, *_NUMBERS}
    return sorted_out(found, only_keys=all(_is_account(each) and {*each} <= known for each in document.values()))


def _is_account(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("exchange"), str)


def _account(name: str, account: dict[str, Any]) -> Entry | LeftOut:
    fields: dict[str, str] = given(shapes.texts(account, {**_CCXT, **_FIELDS}))
    if not fields:
        return shapes.empty(name, name)
    venue = account["exchange"].strip()
    extra = {each: str(account[each]).lower() for each in _SWITCHES if account.get(each)}
    extra |= {each: number for each in _NUMBERS if (number := shapes.text(account.get(each)))}  # jsons.py reads them as text
    if venue == "lighter" and "account_index" in extra:
        fields["account_id"] = extra.pop("account_index")
    pair: FieldValues = {**fields, "extra": extra} if extra else fields
    # passivbot trades perpetual swaps only: its `binance` is what has a kind of its own here.
    venues = [_KINDS[venue], venue] if venue in _KINDS else [venue]
    return Entry(where=name, name=name, venues=venues, pairs={"": pair})
