"""The words of the bots are words that exist, on both sides."""

import json
from importlib import resources
from pathlib import Path

import ccxt
import pytest

from vaultd_client.bots import names
from vaultd_client.bots.names import FIELDS, HUMMINGBOT, HUMMINGBOT_CONNECTORS, JESSE_EXCHANGES, NAUTILUS
from vaultd_client.revealed import FIELD_NAMES

VECTORS = Path(__file__).parents[1] / "vectors"
TABLES = {
    **FIELDS,
    **{f"hummingbot {name}": table for name, table in [*HUMMINGBOT.items(), *names.HUMMINGBOT_OLD.items()]},
    **{f"nautilus {kind} {where}": table for kind, by in NAUTILUS.items() for where, table in by.items()},
    "gunbot master": names.GUNBOT_MASTER,
    "freqtrade old": names.FREQTRADE_OLD,
}
HUMMINGBOTS = json.loads((VECTORS / "hummingbot_fields.json").read_text())


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_field_is_one_of_ours_and_no_name_stands_for_two(table: str) -> None:
    assert set(TABLES[table]) <= set(FIELD_NAMES)
    theirs = [name for field, name in TABLES[table].items() if not (table == "ccxt" and field == "password")]
    assert len(set(theirs)) == len(theirs)


@pytest.mark.parametrize(
    "kind", sorted({*HUMMINGBOT_CONNECTORS, *JESSE_EXCHANGES, *NAUTILUS, *names.EXCHANGES["gunbot"]})
)
def test_every_kind_is_in_the_catalogue(kind: str) -> None:
    data = resources.files("vaultd.kinds") / "data"
    assert kind in {name for file in ("ccxt", "gone") for name in json.loads((data / f"{file}.json").read_text())}


def test_ccxts_names_are_ccxts() -> None:
    assert set(FIELDS["ccxt"].values()) == set(ccxt.Exchange.requiredCredentials)


@pytest.mark.parametrize("connector", sorted(HUMMINGBOT))
def test_a_connectors_names_are_those_of_hummingbots_source(connector: str) -> None:
    assert set(HUMMINGBOT[connector].values()) <= set(HUMMINGBOTS["connectors"][connector])


@pytest.mark.parametrize(
    "connector", sorted(set(HUMMINGBOTS["connectors"]) - {"injective_v2", "injective_v2_perpetual"})
)
def test_every_connector_of_hummingbots_source_is_known(connector: str) -> None:
    live = connector.removesuffix("_testnet")
    assert live in HUMMINGBOT
    secret = {each for each in HUMMINGBOTS["connectors"][live] if each.endswith(("api_key", "secret", "secret_key"))}
    assert secret - {"decibel_perpetual_gas_station_api_key"} <= {*HUMMINGBOT[live].values()}  # a free entry
