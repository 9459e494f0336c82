"""freqtrade's configuration: `exchange.{name, key, secret, ...}`, in one file or in the last of several.

Comments and a comma too many are allowed, as freqtrade reads it (load_config.py, rapidjson's PM_COMMENTS and
PM_TRAILING_COMMAS). Keys in `ccxt_config`, which freqtrade prints into its log, are found as well.
"""

from collections.abc import Mapping
from typing import Any

from vaultd_client.bots import names
from vaultd_client.errors import InvalidError
from vaultd_client.imports import shapes
from vaultd_client.imports.found import Entry, Reading, given
from vaultd_client.imports.words import MARKETS, spelled

_NAMES = names.FIELDS["freqtrade"]
_OLD = {**{bot: field for field, bot in names.FREQTRADE_OLD.items()}, "apiKey": "api_key"}
_FIELDS = {**_OLD, **{bot: field for field, bot in _NAMES.items()}}
_CCXT = {bot: field for field, bot in names.FIELDS["ccxt"].items() if field != "password"}
_CCXT_PLACES = ("ccxt_config", "ccxt_sync_config", "ccxt_async_config")


def fits(document: Any) -> bool:
    """Says whether this is what a freqtrade configuration looks like."""
    exchange = document.get("exchange") if isinstance(document, dict) else None
    return isinstance(exchange, dict) and bool({*_FIELDS, "name", *_CCXT_PLACES} & {*exchange})


def read(document: Any) -> Reading:
    """Returns the one account of a configuration.

    Raises:
        InvalidError: There is no `exchange` in it.
    """
    if not fits(document):
        raise InvalidError("that is no configuration of freqtrade: it has no `exchange`", hint=shapes.OTHER)
    exchange: Mapping[str, Any] = document["exchange"]
    fields: dict[str, str] = {}
    notices: list[str] = []
    for place in _CCXT_PLACES:
        inside = given(shapes.texts(shapes.mapping(exchange.get(place)), _CCXT))
        if inside:
            notices.append(f"its keys stood in {place}, which freqtrade prints into its log: make new ones")
            fields |= inside
    fields |= given(shapes.texts(exchange, _FIELDS))
    name = shapes.text(exchange.get("name"))
    if not fields:
        return Reading((), [shapes.empty("exchange", name)])
    switch = exchange.get("sandbox", shapes.mapping(exchange.get("ccxt_config")).get("sandbox"))
    entry = Entry(
        where="exchange",
        name=name,
        venues=(name,) if name else (),
        pairs={"": fields},
        environment=spelled(switch),
        market_types=[MARKETS[mode]] if (mode := shapes.text(document.get("trading_mode"))) in MARKETS else [],
        notices=notices,
    )
    return Reading([entry], (), only_keys={*document} == {"exchange"} and {*exchange} <= {*_FIELDS, "name"})
