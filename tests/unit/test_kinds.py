"""The catalogue of kinds: what it loads, resolves, demands and says."""

import base64
import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vaultd.errors import KindNotFoundError
from vaultd.kinds import Catalogue, Encoding, Kind, TombstoneState, guide_for, source
from vaultd.limits import MAX_MARKET_TYPES, MAX_NAME_CHARS

NAMES = {
    *("api_key", "secret", "passphrase", "customer_id", "address", "private_key"),
    *("account_id", "login", "password", "two_fa", "token"),
}
LOAD_MS = 20.0


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def kind_of(name: str) -> Kind:
    return Catalogue.load().get(name)[0]


# --- loading -------------------------------------------------------------------------------------------------------


def test_the_catalogue_is_read_once_per_process() -> None:
    assert Catalogue.load() is Catalogue.load()


def test_reading_the_catalogue_takes_less_than_20_ms() -> None:
    def once() -> float:
        start = time.thread_time()
        Catalogue(source.kinds())
        return (time.thread_time() - start) * 1000

    assert min(once() for _ in range(5)) < LOAD_MS


def test_loading_imports_nothing_heavy_and_reads_no_guide() -> None:
    script = (
        "import sys, json; from vaultd.kinds import Catalogue, guides; Catalogue.load();"
        "print(json.dumps([sorted(sys.modules), guides._guides.cache_info().currsize]))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules, guides_read = json.loads(run.stdout)
    assert {"vaultd.kinds.kind", "json", "dataclasses"} <= set(modules)
    heavy = {"ccxt", "grpc", "cryptography", "google.protobuf", "msgpack", "sqlite_utils", "asyncio", "socket", "ssl"}
    assert not heavy & set(modules)
    assert guides_read == 0


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data files that `source` reads from now on."""
    copy = tmp_path / "data"
    shutil.copytree(source.DIRECTORY, copy)
    monkeypatch.setattr(source, "DIRECTORY", str(copy))
    return copy


def damage(path: Path, change: Mapping[str, Any] | None, kind: str = "kraken") -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, list):
        content[0] |= change or {}
    elif change is None:
        del content[kind]
    else:
        content[kind] = content.get(kind, {}) | change
    path.write_text(json.dumps(content), encoding="utf-8")


def test_an_undamaged_copy_loads(data: Path) -> None:
    assert len(Catalogue(source.kinds()).all()) == len(Catalogue.load().all())


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("ccxt.json", {"colour": "violet"}, "unknown keys"),
        ("ccxt.json", {"required": ["api_key", "pin"]}, "unknown fields"),
        ("ccxt.json", {"optional": {"secret": "twice"}}, "two needs"),
        ("ccxt.json", {"help": {"login": "for whom"}}, "without a need"),
        ("ccxt.json", {"environments": {"moon": "set_sandbox_mode"}}, "unknown environments"),
        ("ccxt.json", {"readable_path": "perhaps"}, "ReadablePath"),
        ("ccxt.json", {"aliases": ["binance"]}, "binance names binance and kraken"),
        ("ccxt.json", {"tombstone": {"state": "closed", "note": "", "replaced_by": ["nowhere"]}}, "replaced by"),
        ("ccxt.json", {"tombstone": {"state": "asleep", "note": ""}}, "TombstoneState"),
        ("ccxt.json", None, "kinds that the catalogue does not have"),
        ("gone.json", {"name": "Kraken again"}, "twice"),
        ("formats.json", {"kinds": ["nowhere"]}, "kinds that the catalogue does not have"),
        ("formats.json", {"any_of": [{"text": "x", "encoding": "runes"}]}, "Encoding"),
        ("permissions.json", {"evidence": "hearsay"}, "Evidence"),
        ("permissions.json", {"kinds": ["kraken"]}, "twice"),
        ("expiry.json", {"weeks": 2}, "weeks"),
    ],
)
def test_a_damaged_entry_is_refused(data: Path, file: str, change: Mapping[str, Any] | None, says: str) -> None:
    damage(data / file, change)
    with pytest.raises(ValueError, match=says):
        Catalogue(source.kinds())


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("binance", "binance"), ("Binance", "binance"), ("BINANCE", "binance"), ("Binance Futures", "binanceusdm")),
        *(("binance_futures_coin", "binancecoinm"), ("CEX", "cex"), ("CEX.IO", "cex"), ("crypto.com", "cryptocom")),
        *(("KRAKEN_SPOT", "kraken"), ("kraken-futures", "krakenfutures"), ("coinbase_advanced_trade", "coinbase")),
        *(("btc_markets", "btcmarkets"), ("bing_x", "bingx"), ("ethereumwallet", "ethereumwallet")),
    ],
)
def test_a_name_of_a_living_kind_resolves_without_notice(catalogue: Catalogue, name: str, kind: str) -> None:
    found, notice = catalogue.get(name)
    assert (found.kind, notice) == (kind, None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("huobi", "htx"), ("Huobi", "htx"), ("huobipro", "htx"), ("gateio", "gate"), ("Gate.io", "gate")),
        *(("okex", "okx"), ("OKEx5", "okx"), ("gdax", "coinbasepro"), ("bitfinex2", "bitfinex")),
    ],
)
def test_an_old_name_resolves_with_a_notice_that_names_the_new_one(catalogue: Catalogue, name: str, kind: str) -> None:
    found, notice = catalogue.get(name)
    assert found.kind == kind
    assert notice is not None and "old name" in notice and kind in notice


@pytest.mark.parametrize("name", ["", "  ", "...", "binanceX", "b" * (MAX_NAME_CHARS + 1), "kraken" * 1_000_000])
def test_an_unknown_name_is_refused_without_being_repeated(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(KindNotFoundError) as refused:
        catalogue.get(name)
    assert "custom" in refused.value.message
    assert refused.value.fields == {"kind": "is not in the catalogue"}
    assert not name.strip(" .") or name not in json.dumps(refused.value.to_wire())


def test_two_kinds_cannot_share_a_name(catalogue: Catalogue) -> None:
    kraken = kind_of("kraken")
    assert Catalogue([kraken]).get("kraken")[0] is kraken
    with pytest.raises(ValueError, match="kraken"):
        Catalogue([kraken, dataclasses.replace(kind_of("gemini"), aliases=("Kraken!",))])


def test_all_is_sorted_by_identifier_and_has_well_formed_ones(catalogue: Catalogue) -> None:
    ids = [kind.kind for kind in catalogue.all()]
    assert ids == sorted(ids) and len(ids) > 104
    assert all(re.fullmatch(r"[a-z0-9_-]{1,64}", kind) for kind in ids)


# --- fields --------------------------------------------------------------------------------------------------------


def test_a_missing_and_an_unknown_field_name_themselves() -> None:
    kraken = kind_of("kraken")
    assert kraken.check_names({"api_key", "pin"}) == {
        "secret": "is required by Kraken",
        "pin": "is not a field of Kraken",
    }
    assert kraken.check_names({"api_key", "secret"}) == {}


def test_a_field_of_another_kind_is_unknown() -> None:
    assert kind_of("kraken").check_names(["api_key", "secret", "passphrase"]) == {
        "passphrase": "is not a field of Kraken"
    }
    assert kind_of("okx").check_names(["api_key", "secret", "passphrase"]) == {}


def test_every_kind_takes_free_entries_in_extra(catalogue: Catalogue) -> None:
    for kind in catalogue.all():
        assert kind.check_names([*kind.required, "extra", "extra.memo"]) == {}
        assert kind.free_fields or "extras" in kind.check_names([*kind.required, "extras"])


def test_custom_takes_any_field_and_demands_none() -> None:
    assert kind_of("custom").check_names(["api_key", "moon_phase"]) == {}
    assert kind_of("custom").check_names([]) == {}


def test_bitstamp_expects_a_customer_id_but_does_without() -> None:
    bitstamp = kind_of("bitstamp")
    assert bitstamp.check_names(["api_key", "secret"]) == {}
    assert [notice for notice in bitstamp.notices(["api_key", "secret"]) if "customer_id" in notice]
    assert bitstamp.notices(["api_key", "secret", "customer_id"]) == []


def test_an_ethereum_wallet_needs_an_address_and_nothing_else() -> None:
    wallet = kind_of("ethereumwallet")
    assert wallet.check_names([]) == {"address": "is required by Ethereum wallet"}
    assert wallet.check_names(["address"]) == {}
    assert "private_key" in wallet.check_names(["address", "private_key"])


def test_coinbase_with_a_passphrase_is_pointed_to_coinbase_exchange() -> None:
    coinbase = kind_of("coinbase")
    assert coinbase.check_names(["api_key", "secret", "passphrase"]) == {}
    assert "coinbaseexchange" in " ".join(coinbase.notices(["api_key", "secret", "passphrase"]))
    assert coinbase.notices(["api_key", "secret"]) == []
    assert kind_of("coinbaseexchange").required == ("api_key", "secret", "passphrase")


@pytest.mark.parametrize(
    ("kind", "alias", "name"),
    [
        *(("binance", "publicApiKey", "api_key"), ("binance", "apiKey", "api_key"), ("binance", "key", "api_key")),
        *(("binance", "privateApiKey", "secret"), ("binance", "apiSecret", "secret")),
        *(
            ("binance", "api_secret", "secret"),
            ("binance", "api-secret", "secret"),
            ("kucoin", "apiPassphrase", "passphrase"),
        ),
        *(("okx", "password", "passphrase"), ("okx", "api-password", "passphrase"), ("ndax", "password", "password")),
        *(
            ("bitstamp", "clientId", "customer_id"),
            ("bitstamp", "uid", "customer_id"),
            ("bitmart", "memo", "customer_id"),
        ),
        *(("hyperliquid", "walletAddress", "address"), ("hyperliquid", "wallet_address", "address")),
        *(
            ("hyperliquid", "privateKey", "private_key"),
            ("ndax", "twofa", "two_fa"),
            ("hibachi", "accountId", "account_id"),
        ),
        *(("custom", "password", "password"), ("kraken", "extra", "extra"), ("kraken", "extra.memo", "extra.memo")),
        *(("kraken", "passphrase", None), ("kraken", "pin", None)),
    ],
)
def test_the_names_of_other_programs_map_to_ours(kind: str, alias: str, name: str | None) -> None:
    assert kind_of(kind).canonical(alias) == name


def test_no_alias_of_a_kind_means_two_fields(catalogue: Catalogue) -> None:
    for kind in catalogue.all():
        for field in kind.fields:
            others = {name for other in kind.fields if other is not field for name in (*other.aliases, other.name)}
            clash = set(field.aliases) & others
            assert clash <= {"password"}, (kind.kind, clash)
            assert kind.canonical(field.name) == field.name


def test_no_part_of_a_secret_can_be_masked_into_view(catalogue: Catalogue) -> None:
    shown = {field.name for kind in catalogue.all() for field in kind.fields if field.maskable}
    hidden = {field.name for kind in catalogue.all() for field in kind.fields if not field.maskable}
    assert shown == {"api_key", "customer_id", "address", "account_id", "login"}
    assert hidden == {"secret", "passphrase", "private_key", "password", "two_fa", "token"}


def test_ccxt_gets_each_value_under_its_own_name() -> None:
    assert kind_of("okx").ccxt_names == {"api_key": "apiKey", "secret": "secret", "passphrase": "password"}
    ndax = kind_of("ndax").ccxt_names
    assert (ndax["password"], ndax["customer_id"], ndax["two_fa"]) == ("password", "uid", "twofa")
    assert kind_of("hyperliquid").ccxt_names == {"address": "walletAddress", "private_key": "privateKey"}
    assert "api_key" not in kind_of("grvt").ccxt_names, "ccxt refuses a GRVT object that has both kinds of key"


# --- every entry ---------------------------------------------------------------------------------------------------


def test_every_entry_is_well_formed(catalogue: Catalogue) -> None:
    for kind in catalogue.all():
        where = kind.kind
        assert kind.display_name == kind.display_name.strip() and len(kind.display_name) <= MAX_NAME_CHARS, where
        assert kind.website.startswith("https://") or kind.kind == "custom", where
        assert {field.name for field in kind.fields} <= NAMES and kind.fields, where
        assert all(field.help for field in kind.fields), where
        assert kind.environments[0] == "live" and len(set(kind.environments)) == len(kind.environments), where
        assert set(kind.market_types) <= {"spot", "margin", "swap", "future", "option"}, where
        assert len(kind.market_types) <= MAX_MARKET_TYPES, where
        assert all(alias == alias.lower() for alias in (*kind.aliases, *kind.old_names)), where
        assert not kind.passphrase_in_clear or kind.field("passphrase"), where
        assert all(kind.ccxt_switches.values()) or not kind.in_ccxt, where


def test_every_key_format_is_of_a_field_of_its_kind_and_has_a_working_pattern(catalogue: Catalogue) -> None:
    for kind in catalogue.all():
        names = [shape.field for shape in kind.key_formats]
        assert len(set(names)) == len(names), kind.kind
        for entry in kind.key_formats:
            assert kind.field(entry.field), (kind.kind, entry.field)
            assert entry.any_of and entry.source
            for shape in entry.any_of:
                re.compile(shape.pattern)
                assert shape.text, kind.kind
            assert not entry.refuse or all(shape.encoding is not Encoding.TEXT for shape in entry.any_of), kind.kind


@pytest.mark.parametrize(
    ("kind", "field", "value", "fits"),
    [
        *(("binance", "api_key", "a1" * 32, True), ("binance", "api_key", "a1" * 31, False)),
        *(("kraken", "secret", base64.b64encode(b"k" * 64).decode(), True), ("kraken", "secret", "!" * 88, False)),
        *(("hyperliquid", "address", "0x" + "Ab" * 20, True), ("hyperliquid", "address", "0x" + "Ab" * 32, False)),
        *(("aster", "private_key", "0x" + "1f" * 32, True), ("aster", "private_key", "0x" + "1f" * 40, False)),
        *(("kucoin", "passphrase", "correct horse", True), ("kucoin", "passphrase", "short", False)),
        *(
            ("coinbase", "api_key", f"organizations/{'0' * 36}/apiKeys/{'f' * 36}", True),
            ("coinbase", "api_key", "x" * 16, False),
        ),
        *(("poloniex", "api_key", "-".join(["ABCD1234"] * 4), True), ("poloniex", "api_key", "ABCD1234", False)),
    ],
)
def test_a_key_format_tells_a_good_value_from_a_bad_one(kind: str, field: str, value: str, fits: bool) -> None:
    (entry,) = [entry for entry in kind_of(kind).key_formats if entry.field == field]
    patterns = [shape.pattern for shape in entry.any_of if shape.pattern]
    assert any(re.fullmatch(pattern, value) for pattern in patterns) is fits


def test_expiry_and_permission_entries_say_what_they_rest_on(catalogue: Catalogue) -> None:
    rules = [rule for kind in catalogue.all() for rule in kind.expiry]
    assert rules and all(0 < rule.days <= 366 and rule.when and rule.effect and rule.source for rule in rules)
    endpoints = {kind.kind: kind.permissions_endpoint for kind in catalogue.all() if kind.permissions_endpoint}
    assert {"binance", "bybit", "okx", "kucoin", "coinbase", "bitfinex", "kraken", "gate", "htx"} <= endpoints.keys()
    assert all(len(entry.requests) == len(entry.ccxt) > 0 for entry in endpoints.values())
    assert [kind for kind, entry in endpoints.items() if entry.answer_holds_secrets] == ["deribit"]
    assert [kind for kind, entry in endpoints.items() if entry.whole_account] == ["mexc"]


# --- the dead ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Bittrex", "BitMEX", "Coinbase Pro", "Nash"])
def test_a_venue_that_is_gone_keeps_its_fields_and_says_what_became_of_it(catalogue: Catalogue, name: str) -> None:
    kind, notice = catalogue.get(name)
    assert kind.tombstone is not None and not kind.in_ccxt
    assert notice is not None and kind.display_name in notice and "exported and deleted" in notice
    assert kind.check_names(kind.required) == {} and {"api_key", "secret"} <= set(kind.required)
    assert kind.replaced_by or "nothing took its place" in notice


def test_coinbase_pro_names_its_two_successors(catalogue: Catalogue) -> None:
    kind, notice = catalogue.get("coinbasepro")
    assert kind.tombstone is not None and kind.tombstone.state is TombstoneState.CLOSED
    assert kind.replaced_by == ("coinbase", "coinbaseexchange")
    assert notice is not None and all(name in notice for name in kind.replaced_by)


def test_only_what_ccxt_does_not_know_has_a_tombstone(catalogue: Catalogue) -> None:
    assert not [kind.kind for kind in catalogue.all() if kind.tombstone and kind.in_ccxt]
    assert [kind.kind for kind in catalogue.all() if not kind.tombstone and not kind.in_ccxt] == [
        "custom",
        "ethereumwallet",
    ]


# --- guides --------------------------------------------------------------------------------------------------------


GUNBOT = [
    *("Binance", "Binance Futures", "Bitfinex", "BitMEX", "Bittrex", "CEX", "Coinbase Pro", "Huobi"),
    *("Kraken", "KuCoin", "Nash", "Poloniex"),
]


@pytest.mark.parametrize("venue", GUNBOT)
def test_every_venue_of_the_gunbot_page_has_a_guide_of_its_own(catalogue: Catalogue, venue: str) -> None:
    kind, _ = catalogue.get(venue)
    same = {guide_for(catalogue.get(other)[0]).steps for other in GUNBOT if other != venue}
    guide = guide_for(kind)
    assert guide.steps not in same
    assert venue.split(maxsplit=1)[0].lower() in guide.title.lower()
    if kind.tombstone:
        assert guide.instead and all(catalogue.get(name)[1] is None for name in guide.instead)
    else:
        assert guide.read and guide.write and guide.read != guide.write and guide.page.startswith("https://")


def test_every_guide_of_a_living_kind_gives_least_rights_and_forbids_withdrawal(catalogue: Catalogue) -> None:
    for kind in catalogue.all():
        guide = guide_for(kind)
        assert guide.steps and "{" not in repr(guide), kind.kind
        if kind.tombstone:
            assert not guide.read and not guide.write, kind.kind
        else:
            assert guide.read and guide.write and guide.ip, kind.kind
            assert re.search("withdraw|transfer: it", " ".join(guide.never), re.IGNORECASE), kind.kind
            granted = [right for right in (*guide.read, *guide.write) if not right.endswith("No access")]
            assert not re.search("withdraw", " ".join(granted), re.IGNORECASE), kind.kind


def test_every_guide_is_used(catalogue: Catalogue) -> None:
    assert set(source.read("guides.json")) == {kind.guide for kind in catalogue.all()}
