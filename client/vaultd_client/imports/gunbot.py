"""Gunbot's `config.js`: `exchanges.<name>.{masterkey, mastersecret, key, secret, passphrase, clientId, ...}`.

The master pair looks, and need not trade; the other pair trades: our two halves. Often they are one and the same pair.
"""

from collections.abc import Mapping
from typing import Any

from vaultd_client.bots import names
from vaultd_client.fields import FieldValues
from vaultd_client.imports import shapes
from vaultd_client.imports.found import READ, WRITE, Entry, LeftOut, Reading, given, sorted_out

_TRADING = {bot: field for field, bot in names.FIELDS["gunbot"].items()}
_MASTER = {bot: field for field, bot in names.GUNBOT_MASTER.items()}
_KINDS: dict[str, str] = {}
for _kind, _bot in names.EXCHANGES["gunbot"].items():
    _KINDS.setdefault(_bot, _kind)
_SHARED = ("passphrase", "customer_id")
"""Written once for both pairs."""


def fits(document: Any) -> bool:
    """Says whether this is what a configuration of Gunbot looks like."""
    exchanges = shapes.mapping(shapes.mapping(document).get("exchanges"))
    return any({*_TRADING, *_MASTER} & {*shapes.mapping(each)} for each in exchanges.values())


def read(document: Any) -> Reading:
    """Returns the accounts of a configuration.

    Raises:
        InvalidError: There are no `exchanges` in it.
    """
    accounts = shapes.exchanges(document, "Gunbot")
    known = {*_TRADING, *_MASTER}
    only_keys = {*document} == {"exchanges"} and all({*each} <= known for each in accounts.values())
    return sorted_out((_account(name, each) for name, each in accounts.items()), only_keys=only_keys)


def _account(name: str, account: Mapping[str, Any]) -> Entry | LeftOut:
    where = f"exchanges.{name}"
    trading, master = given(shapes.texts(account, _TRADING)), given(shapes.texts(account, _MASTER))
    shared = {field: trading.pop(field) for field in _SHARED if field in trading}
    if not trading and not master:
        return shapes.empty(where, name)
    pairs: dict[str, FieldValues] = {}
    notices: list[str] = []
    if trading:
        pairs[WRITE] = {**trading, **shared}
    if master and master != trading:
        pairs[READ] = {**master, **shared}
    elif master:
        notices.append("masterkey and key are one pair, which trades: it becomes the write half")
    venues = [name, _KINDS[name]] if name in _KINDS else [name]
    return Entry(where=where, name=name, venues=venues, pairs=pairs, notices=notices)
