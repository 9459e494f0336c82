"""`vault.ccxt(...)` gives a working exchange: a real vault, real ccxt, and venues that verify every signature."""

import asyncio
import base64
import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support import mock_venues
from tests.support.daemon import Daemon
from tests.support.mock_venues import Account, Venues
from vaultd_client import AsyncVaultClient, ClientKey, RefusedError, UnsupportedError, VaultClient
from vaultd_client.integrations import ccxt as integration

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: the integration was NOT tried")

BALANCE = {"free": 1.25, "used": 0.25, "total": 1.5}


class Pair(NamedTuple):
    """A key as its venue gave it, and what the venue kept of it."""

    kind: str
    fields: dict[str, str]
    kept: Account
    environment: str = "live"


def pem_pair(name: str, private: Any) -> Pair:
    """A key whose secret is a PEM block that was made on the user's own machine."""
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Pair("binance", {"api_key": f"KEY-{name}", "secret": secret}, Account("binance", public))


KRAKEN_SECRET = base64.b64encode(bytes(range(64))).decode()
PAIRS = {
    "binance": Pair("binance", {"api_key": "KEY-b", "secret": "SECRET-b"}, Account("binance", "SECRET-b")),
    "binance-ed25519": pem_pair("ed25519", Ed25519PrivateKey.generate()),
    "binance-rsa": pem_pair("rsa", generate_private_key(65537, 2048)),
    "kraken": Pair("kraken", {"api_key": "KEY-k", "secret": KRAKEN_SECRET}, Account("kraken", KRAKEN_SECRET)),
    "okx": Pair(
        "okx",
        {"api_key": "KEY-o", "secret": "SECRET-o", "passphrase": "Pass phrase!"},
        Account("okx", "SECRET-o", "Pass phrase!"),
    ),
}
TESTNET = Pair("binance", {"api_key": "KEY-t", "secret": "SECRET-t"}, Account("binance", "SECRET-t"), "testnet")
SWAP = Pair("binance", {"api_key": "KEY-s", "secret": "SECRET-s"}, Account("binance", "SECRET-s"))
OLD_NAME = Pair("huobi", {"api_key": "KEY-h", "secret": "SECRET-h"}, Account("htx", "SECRET-h"))
GONE = Pair("bittrex", {"api_key": "KEY-g", "secret": "SECRET-g"}, Account("bittrex", ""))


@pytest.fixture(scope="module")
def bot(shared: Daemon) -> ClientKey:
    """A client that may reveal the read half of everything that this file stores; nothing else of it."""
    key = shared.stranger()
    with shared.admin() as admin:
        admin.allow_client("ccxt-bot", key.public_key, os.geteuid())
        for name, pair in {**PAIRS, "testnet": TESTNET, "gone": GONE, "old-name": OLD_NAME}.items():
            admin.create_exchange(name, pair.kind, {"read": pair.fields}, environment=pair.environment)
        admin.create_exchange("swap", SWAP.kind, {"read": SWAP.fields}, market_types=["swap"], hidden=True)
        for name in (*PAIRS, "testnet", "gone", "old-name", "swap"):
            admin.create_grant("ccxt-bot", name, "read")
    return key


@pytest.fixture
def venues() -> Iterator[Venues]:
    """Venues that know every live key."""
    with mock_venues.running() as running:
        for pair in (*PAIRS.values(), SWAP):
            running.accounts[pair.fields["api_key"]] = pair.kept
        yield running


@pytest.fixture
def vault(shared: Daemon, bot: ClientKey) -> Iterator[VaultClient]:
    with shared.client(bot) as client:
        yield client


# --- it works ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_the_venue_accepts_what_the_sync_object_signs(vault: VaultClient, venues: Venues, name: str) -> None:
    kind = PAIRS[name].kind
    with contextlib.closing(vault.ccxt(name, "read", **venues.options(ccxt, kind))) as exchange:
        assert type(exchange) is getattr(ccxt, kind)
        assert exchange.fetch_balance()["BTC"] == BALANCE
    assert {key for _, key, _ in venues.signed} == {PAIRS[name].fields["api_key"]}


@pytest.mark.parametrize("name", PAIRS)
def test_the_venue_accepts_what_the_async_object_signs(
    shared: Daemon, bot: ClientKey, venues: Venues, name: str
) -> None:
    async def ask() -> Any:
        async with AsyncVaultClient(shared.runtime / "vaultd.sock", bot) as vault:
            exchange = await vault.ccxt(name, **venues.options(ccxt, PAIRS[name].kind))
            try:
                assert type(exchange).__module__.startswith("ccxt.async_support.")
                return await exchange.fetch_balance()
            finally:
                await exchange.close()

    assert asyncio.run(ask())["BTC"] == BALANCE


def test_the_venue_accepts_what_the_pro_object_signs(shared: Daemon, bot: ClientKey, venues: Venues) -> None:
    async def ask() -> Any:
        async with AsyncVaultClient(shared.runtime / "vaultd.sock", bot) as vault:
            exchange = await vault.ccxt("okx", "read", flavour="pro", **venues.options(ccxt, "okx"))
            try:
                assert type(exchange).__module__.startswith("ccxt.pro.")
                return await exchange.fetch_balance()
            finally:
                await exchange.close()

    assert asyncio.run(ask())["BTC"] == BALANCE


@pytest.mark.parametrize("name", PAIRS)
def test_the_venue_refuses_the_same_object_with_another_secret(vault: VaultClient, venues: Venues, name: str) -> None:
    pair = PAIRS[name]
    other = pem_pair("other", Ed25519PrivateKey.generate()).kept.secret if "BEGIN" in pair.fields["secret"] else "b3RoZXI="
    venues.accounts[pair.fields["api_key"]] = Account(pair.kind, other, pair.kept.passphrase)
    exchange = vault.ccxt(name, **venues.options(ccxt, pair.kind))
    # Kraken's answer is a plain ExchangeError in ccxt.
    with contextlib.closing(exchange), pytest.raises(ccxt.ExchangeError, match=r"-1022|EAPI:Invalid signature|50113"):
        exchange.fetch_balance()
    assert venues.signed == []


def test_one_line_finds_the_vault_by_itself(
    shared: Daemon, bot: ClientKey, venues: Venues, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot.save(shared.home / "ccxt-bot.key")
    monkeypatch.setenv("VAULTD_RUNTIME_DIR", str(shared.runtime))
    monkeypatch.setenv("VAULTD_KEY", str(shared.home / "ccxt-bot.key"))
    made = integration.exchange("kraken", "read", **venues.options(ccxt, "kraken"))
    with contextlib.closing(made) as exchange:
        assert exchange.fetch_balance()["BTC"] == BALANCE


def test_a_client_that_is_at_hand_is_asked_and_stays_open(vault: VaultClient, venues: Venues) -> None:
    for _ in range(2):
        made = integration.exchange("okx", vault=vault, **venues.options(ccxt, "okx"))
        with contextlib.closing(made) as exchange:
            assert exchange.fetch_balance()["BTC"] == BALANCE


def test_the_configuration_is_what_a_constructor_takes(vault: VaultClient, venues: Venues) -> None:
    config = vault.ccxt_config("okx", "read")
    assert config == {"apiKey": "KEY-o", "secret": "SECRET-o", "password": "Pass phrase!"}
    with contextlib.closing(ccxt.okx({**config, **venues.options(ccxt, "okx")})) as exchange:
        assert exchange.fetch_balance()["BTC"] == BALANCE


# --- where the requests go --------------------------------------------------------------------------------------


def test_a_testnet_key_goes_to_the_testnet_and_never_to_the_live_venue(vault: VaultClient, venues: Venues) -> None:
    with mock_venues.running() as testnet:
        testnet.accounts["KEY-t"] = TESTNET.kept
        addresses = {
            **venues.options(ccxt, "binance")["urls"],
            **testnet.options(ccxt, "binance", "test")["urls"],
        }
        with contextlib.closing(vault.ccxt("testnet", urls=addresses)) as exchange:
            assert exchange.fetch_balance()["BTC"] == BALANCE
        assert {key for _, key, _ in testnet.signed} == {"KEY-t"}
    assert venues.signed == []


def test_the_market_type_of_a_hidden_exchange_decides_where_its_balance_is(vault: VaultClient, venues: Venues) -> None:
    with contextlib.closing(vault.ccxt("swap", **venues.options(ccxt, "binance"))) as exchange:
        assert exchange.fetch_balance()["USDT"]["free"] == 7.0
    paths = [path for _, _, path in venues.signed]
    assert "/fapi/v3/account" in paths
    assert "/api/v3/account" not in paths


def test_a_key_that_was_stored_under_an_old_name_gets_the_class_of_today(vault: VaultClient) -> None:
    with contextlib.closing(vault.ccxt("old-name")) as exchange:
        assert type(exchange) is ccxt.htx


# --- it does not work -------------------------------------------------------------------------------------------


def test_a_venue_that_is_gone_is_said_to_be_gone(vault: VaultClient) -> None:
    with pytest.raises(UnsupportedError, match="Bittrex: it has closed") as refused:
        vault.ccxt("gone")
    assert "SECRET-g" not in str(refused.value)
    assert vault.ccxt_config("gone") == {"apiKey": "KEY-g", "secret": "SECRET-g"}


def test_what_no_grant_names_is_refused(vault: VaultClient) -> None:
    with pytest.raises(RefusedError):
        vault.ccxt("kraken", "write")


def test_without_ccxt_nothing_is_revealed(shared: Daemon, bot: ClientKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def reveals() -> int:
        with shared.admin() as admin:
            return sum(entry.method == "RevealCredential" for entry in admin.audit(limit=1000))

    before = reveals()
    with shared.client(bot) as vault:
        monkeypatch.setitem(sys.modules, "ccxt", None)
        with pytest.raises(UnsupportedError, match="ccxt is not installed"):
            vault.ccxt("kraken")
        assert reveals() == before
        vault.ccxt_config("kraken")
        assert reveals() == before + 1


def test_the_client_is_imported_without_ccxt() -> None:
    code = "import sys, vaultd_client, vaultd_client.integrations.ccxt; print('ccxt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- nothing more is shown than ccxt shows ----------------------------------------------------------------------


def verbose_output(exchange: Any) -> str:
    """What ccxt prints of one signed request, with its changing parts made equal."""
    exchange.verbose = True
    exchange.nonce = lambda: 1_700_000_000_000
    shown = io.StringIO()
    with contextlib.closing(exchange), contextlib.redirect_stdout(shown), contextlib.suppress(ccxt.ExchangeError):
        exchange.private_get_account_balance()
    return "\n".join(line for line in shown.getvalue().splitlines() if "Date" not in line)


def test_verbose_mode_shows_what_it_shows_of_an_object_made_by_hand(vault: VaultClient, venues: Venues) -> None:
    options = venues.options(ccxt, "okx")
    ours = verbose_output(vault.ccxt("okx", **options))
    plain = verbose_output(ccxt.okx({**vault.ccxt_config("okx"), **options}))
    assert "KEY-o" in ours
    assert "SECRET-o" not in ours
    assert ours == plain
