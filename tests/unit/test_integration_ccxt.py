"""A revealed credential becomes the right ccxt object, or a clear refusal; ccxt itself is the judge."""

import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from vaultd.keyholder.reveal import use_of
from vaultd.kinds import Catalogue, Kind
from vaultd_api.v1 import exchange_service_pb2, resources_pb2
from vaultd_client.errors import InvalidError, UnsupportedError
from vaultd_client.integrations import ccxt as integration
from vaultd_client.integrations.ccxt import Flavour, build
from vaultd_client.revealed import FIELD_NAMES, RevealedCredential

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: the integration was NOT tried")
CATALOGUE = Catalogue.load()
KINDS = [kind for kind in CATALOGUE.all() if kind.in_ccxt]

SAME_ADDRESS = {"bitget", "myokx", "okx", "okxus", "weex"}
"""Their demo accounts live at the live address; ccxt tells them apart by a header or the path of each request."""


def revealed(
    kind: str, environment: str = "live", market_types: tuple[str, ...] = (), **changes: str
) -> RevealedCredential:
    """A credential with a value in every field of its kind, as the keyholder hands it out."""
    entry, _ = CATALOGUE.get(kind)
    values: dict[str, Any] = {each.name: secret(each.name) for each in entry.fields if each.name in FIELD_NAMES}
    named: dict[str, Any] = {**use_of(entry, environment), **changes}
    return RevealedCredential(
        exchange_service_pb2.RevealCredentialResponse(
            name="main",
            kind=entry.kind,
            environment=environment,
            configuration="read",
            version=1,
            market_types=market_types,
            fields=resources_pb2.CredentialFields(**values),
            **named,
        )
    )


def secret(field: str) -> str:
    return f"CANARY-of-{field}"


@pytest.fixture
def made() -> Iterator[list[Any]]:
    """Objects to close in the end."""
    found: list[Any] = []
    yield found
    for each in found:
        each.close()


# --- the right class --------------------------------------------------------------------------------------------


def test_every_kind_that_ccxt_knows_becomes_an_object_that_has_all_that_it_requires(made: list[Any]) -> None:
    assert len(KINDS) >= 104
    for kind in KINDS:
        exchange = build(revealed(kind.kind))
        made.append(exchange)
        assert type(exchange) is getattr(ccxt, kind.kind)
        assert exchange.check_required_credentials(), kind.kind
        # The control: without one of them, ccxt says so.
        needed = [name for name, wanted in exchange.requiredCredentials.items() if wanted]
        if needed:
            setattr(exchange, needed[0], None)
            with pytest.raises(ccxt.AuthenticationError):
                exchange.check_required_credentials()


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("okx", "password", "passphrase"),
        ("coinmate", "uid", "customer_id"),
        ("woofipro", "accountId", "account_id"),
        ("hyperliquid", "walletAddress", "address"),
        ("hyperliquid", "privateKey", "private_key"),
        ("ndax", "login", "login"),
        ("ndax", "password", "password"),
        ("ndax", "twofa", "two_fa"),
        ("ndax", "uid", "customer_id"),
    ],
)
def test_a_field_arrives_under_the_name_that_ccxt_has_for_it(
    made: list[Any], kind: str, name: str, field: str
) -> None:
    made.append(build(revealed(kind)))
    assert getattr(made[0], name) == secret(field)


def test_the_list_of_credentials_is_ccxts_own() -> None:
    assert set(ccxt.Exchange().requiredCredentials) == integration.CREDENTIALS


@pytest.mark.parametrize("flavour", ["sync", "async", "pro"])
def test_a_flavour_is_a_class_of_its_module(flavour: Flavour) -> None:
    module = integration.load(flavour)
    exchange = build(revealed("binance"), flavour)
    assert type(exchange) is module.binance
    assert exchange.apiKey == secret("api_key")


def test_an_unknown_flavour_is_refused_by_name() -> None:
    with pytest.raises(InvalidError, match="flavour: must be one of sync, async, pro"):
        build(revealed("binance"), "rest")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("coinbasepro", "kind coinbaseexchange"), ("bittrex", "kraken, coinbase and binance"), ("bitmex", "bybit, okx")],
)
def test_a_venue_that_is_gone_is_refused_with_what_took_its_place(kind: str, said: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        build(revealed(kind))
    assert said in str(refused.value)
    assert "vaultctl reveal" in refused.value.hint


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUE.all() if not kind.in_ccxt], ids=lambda kind: kind.kind)
def test_no_kind_that_ccxt_does_not_know_becomes_an_object(kind: Kind) -> None:
    with pytest.raises(UnsupportedError) as refused:
        build(revealed(kind.kind))
    assert refused.value.metadata["kind"] == kind.kind


def test_a_kind_that_the_installed_ccxt_lacks_asks_for_another_ccxt() -> None:
    with pytest.raises(UnsupportedError, match=f"installed ccxt {ccxt.__version__} does not know tomorrow") as refused:
        build(revealed("binance", ccxt_id="tomorrow"))
    assert refused.value.hint == "pip install --upgrade ccxt"


def test_a_kind_without_websockets_points_to_the_flavour_without_them() -> None:
    module = integration.load("pro")
    kind = next(each for each in ccxt.exchanges if each not in module.exchanges)
    with pytest.raises(UnsupportedError, match="has no WebSockets") as refused:
        build(revealed(kind), "pro")
    assert 'flavour="async"' in refused.value.hint


# --- environment and market type --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "environment"),
    [(kind.kind, environment) for kind in KINDS for environment in kind.environments if environment != "live"],
)
def test_an_environment_that_is_not_live_is_switched_to(made: list[Any], kind: str, environment: str) -> None:
    made += [build(revealed(kind)), build(revealed(kind, environment))]
    live, test = made
    if kind in SAME_ADDRESS:
        assert test.options["sandboxMode"] is True
        assert live.options.get("sandboxMode") in {None, False}
    else:
        assert test.urls["api"] != live.urls["api"]


def test_an_environment_that_ccxt_cannot_reach_is_never_handed_out_as_live() -> None:
    for kind in ("zaif", "cryptomus", "luno"):
        for switch in ("", "set_sandbox_mode", "enable_demo_trading", "no_such_method"):
            with pytest.raises(UnsupportedError, match=f"belongs to the testnet of {kind}, which ccxt cannot reach"):
                build(revealed(kind, "testnet", ccxt_switch=switch))


@pytest.mark.parametrize(
    ("market_types", "options", "wanted"),
    [
        (("swap",), {}, "swap"),
        (("binance_margin", "future"), {}, "future"),
        ((), {}, "spot"),
        (("spot", "swap"), {}, "spot"),
        (("option", "swap"), {}, "spot"),
        (("swap",), {"options": {"defaultType": "option"}}, "option"),
        (("swap",), {"options": {"recvWindow": 3}}, "swap"),
    ],
)
def test_one_market_type_is_the_default_type_and_the_caller_has_the_last_word(
    made: list[Any], market_types: tuple[str, ...], options: dict[str, Any], wanted: str
) -> None:
    made.append(build(revealed("binance", market_types=market_types), **options))
    assert made[0].options["defaultType"] == wanted
    assert made[0].options["recvWindow"] == options.get("options", {}).get("recvWindow", 10000)


# --- nothing more is shown than ccxt shows ----------------------------------------------------------------------


def test_the_object_is_ccxts_own_and_shows_itself_as_such(made: list[Any]) -> None:
    made += [build(revealed("okx")), ccxt.okx()]
    ours, plain = made
    assert (repr(ours), str(ours)) == (repr(plain), str(plain)) == ("ccxt.okx()", "OKX")
    assert vars(ours).keys() - vars(plain).keys() == {"apiKey", "password", "secret"}
    held = [name for name, value in vars(ours).items() if "CANARY" in str(value)]
    assert sorted(held) == ["apiKey", "password", "secret"]


@pytest.mark.parametrize("options", [{"ccxt_switch": "no_such_method"}, {"ccxt_id": ""}, {"ccxt_id": "tomorrow"}])
def test_a_refusal_has_no_plaintext_in_its_traceback(options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError) as refused:
        build(revealed("binance", "testnet", **options))
    whole = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    text = "".join(whole.format())
    assert "credential = RevealedCredential(main/read v1, hidden)" in text
    assert "CANARY" not in text


def test_a_constructor_that_fails_has_no_plaintext_in_its_traceback() -> None:
    with pytest.raises(TypeError) as failed:
        build(revealed("binance"), options=5)
    text = "".join(traceback.TracebackException.from_exception(failed.value, capture_locals=True).format())
    assert "config" in text
    assert "CANARY" not in text


def test_a_credential_among_the_options_is_refused_without_its_value() -> None:
    with pytest.raises(InvalidError) as refused:
        build(revealed("binance"), secret="CANARY of the caller", apiKey="CANARY", timeout=5)
    assert str(refused.value) == "Invalid parameters; apiKey: comes from the vault; secret: comes from the vault"


def test_without_ccxt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert integration.load("sync") is ccxt
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(UnsupportedError, match="ccxt is not installed") as refused:
        integration.load("sync")
    assert refused.value.reason == "NOT_INSTALLED"
    assert refused.value.hint == "pip install 'vaultd-client[ccxt]'"
