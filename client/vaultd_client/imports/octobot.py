"""OctoBot's `user/config.json`: `exchanges.<id>.{api-key, api-secret, api-password, ...}`.

OctoBot "encrypts" them with Fernet under a key that stands in its public source: whoever has the file has the keys. Both
these and plain values, which OctoBot takes as well, are read.
"""

from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from vaultd_client.bots import names
from vaultd_client.imports import shapes
from vaultd_client.imports.found import Entry, LeftOut, Reading, given, sorted_out
from vaultd_client.imports.words import MARKETS, spelled

PUBLIC_KEY = b"uVEw_JJe7uiXepaU_DR4T-ThkjZlDn8Pzl8hYPIv7w0="
"""OCTOBOT_KEY of octobot_commons/__init__.py, the same in every installation."""
_FIELDS = {bot: field for field, bot in names.FIELDS["octobot"].items()}
_MORE = {"wallet_address": "address", "private_key": "private_key", "sub_account": "account_id"}
_COVERED = ("api-key", "api-secret", "api-password")
_STRIPPED = ("api-key", "api-secret")
"""Of quotes and blanks, as OctoBot itself does."""
_TOKEN = "gAAAA"  # noqa: S105 - how every Fernet token begins: version 0x80 and a time before the year 2106
_SETTINGS = {"enabled", "sandboxed", "exchange-type"}


def fits(document: Any) -> bool:
    """Says whether this is what a configuration of OctoBot looks like."""
    exchanges = shapes.mapping(shapes.mapping(document).get("exchanges"))
    return any({*_FIELDS} & {*shapes.mapping(each)} for each in exchanges.values())


def read(document: Any) -> Reading:
    """Returns the accounts of a configuration.

    Raises:
        InvalidError: There are no `exchanges` in it.
    """
    accounts = shapes.exchanges(document, "OctoBot")
    known = {*_FIELDS, *_MORE, *_SETTINGS}
    only_keys = {*document} == {"exchanges"} and all({*each} <= known for each in accounts.values())
    return sorted_out((_account(name, each) for name, each in accounts.items()), only_keys=only_keys)


def _account(name: str, account: Mapping[str, Any]) -> Entry | LeftOut:
    where = f"exchanges.{name}"
    plain: dict[str, str] = {}
    written = given({each: account[each] for each in _FIELDS if shapes.text(account.get(each))})
    covered = {each: written[each].startswith(_TOKEN) for each in _COVERED if each in written}
    if len(set(covered.values())) > 1:
        apart = ", ".join(each for each, encrypted in covered.items() if not encrypted)
        return LeftOut(where, name, f"is half encrypted: {apart} is plaintext, the rest is not; write it anew in OctoBot")
    for each, value in written.items():
        try:
            opened = Fernet(PUBLIC_KEY).decrypt(value).decode() if value.startswith(_TOKEN) else value
        except (InvalidToken, ValueError):
            return LeftOut(where, name, f"{each} is encrypted, and not with OctoBot's key: it may be cut off")
        plain[_FIELDS[each]] = opened.strip("'\" \r\n\t") if each in _STRIPPED else opened
    plain |= given(shapes.texts(account, _MORE))
    plain = given(plain)
    if not plain:
        return shapes.empty(where, name)
    market = MARKETS.get(shapes.text(account.get("exchange-type")))
    return Entry(
        where=where,
        name=name,
        venues=(name,),
        pairs={"": plain},
        environment=spelled(account.get("sandboxed", "")),
        market_types=[market] if market else [],
        notices=["OctoBot's encryption has a public key: the file was as good as plaintext"] if any(covered.values()) else [],
    )
