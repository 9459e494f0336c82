"""The catalogue of kinds agrees with the installed ccxt in all that ccxt can tell, and each difference is named."""

import base64
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vaultd.keyholder.cleaning import cleaned
from vaultd.kinds import Catalogue, Kind, ReadablePath, judge
from vaultd.kinds import Encoding as Form

CANARY = "CANARY PASSPHRASE"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="module")
def ccxt() -> Any:
    return pytest.importorskip("ccxt", reason="ccxt is not installed: the catalogue was NOT compared with it")


def facts_of_catalogue(kinds: tuple[Kind, ...]) -> dict[str, dict[str, Any]]:
    """What ccxt can confirm or deny, by kind."""
    return {
        kind.kind: {
            "name": kind.display_name,
            "required": {kind.ccxt_names.get(name, name) for name in kind.required},
            "market types": set(kind.market_types),
            "environments": set(kind.ccxt_switches.values()),
            "rising nonce": kind.rising_nonce,
            "passphrase in clear": kind.passphrase_in_clear,
            "readable path": kind.readable_path,
        }
        for kind in kinds
        if kind.in_ccxt
    }


def facts_of_ccxt(ccxt: Any) -> dict[str, dict[str, Any]]:
    return {kind: facts_of_exchange(ccxt, kind) for kind in ccxt.exchanges}


def facts_of_exchange(ccxt: Any, kind: str) -> dict[str, Any]:
    exchange = getattr(ccxt, kind)()
    switches = set()
    if exchange.urls.get("demo") or exchange.urls.get("demotrading"):
        switches.add("enable_demo_trading")
    if exchange.urls.get("test") or "set_sandbox_mode" in type(exchange).__dict__:
        switches.add("set_sandbox_mode")
    codes = [vars(ancestor).values() for ancestor in type(exchange).__mro__ if ancestor.__module__.count(".") == 1]
    calls = {name for code in codes for item in code if hasattr(item, "__code__") for name in item.__code__.co_names}
    path, clear = signing_of(ccxt, kind)
    return {
        "name": exchange.name,
        "required": {name for name, needed in exchange.requiredCredentials.items() if needed},
        "market types": {name for name in ("spot", "margin", "swap", "future", "option") if exchange.has.get(name)},
        "environments": switches,
        "rising nonce": "incrementing_nonce" in calls,
        "passphrase in clear": clear,
        "readable path": path,
    }


def endpoints(api: Mapping[str, Any], trail: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str], str]]:
    for key, value in api.items():
        if key in ("get", "post", "put", "delete", "patch"):
            yield from ((key.upper(), list(trail), path) for path in value)
        elif isinstance(value, dict):
            yield from endpoints(value, (*trail, key))


def signing_of(ccxt: Any, kind: str) -> tuple[ReadablePath, bool]:
    """Signs a request to every endpoint: is the path in what is signed, and the passphrase in what is sent?"""
    pem = Ed25519PrivateKey.from_private_bytes(b"p" * 32).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    # ccxt decodes these before it signs: base64 on most, base58, PEM and short text on some.
    secret = {"lbank": "s" * 32, "modetrade": "4w" * 22, "woofipro": "4w" * 22}.get(
        kind, base64.b64encode(b"s" * 32).decode()
    )
    exchange = getattr(ccxt, kind)(
        {
            "apiKey": "account-" + "a" * 20,
            "secret": secret,
            "password": CANARY,
            "privateKey": pem.decode() if kind == "revolutx" else "0x" + "11" * 32,
            "walletAddress": "0x" + "22" * 20,
            **dict.fromkeys(("uid", "login", "accountId"), "424242"),
        }
    )
    texts: list[str] = []

    def spy(name: str) -> None:
        primitive = getattr(exchange, name)

        def record(text: Any, *rest: Any, **named: Any) -> Any:
            given = text.decode("latin1") if isinstance(text, bytes) else text
            plain = given if isinstance(given, str) else json.dumps(given)
            texts.append(urllib.parse.unquote(plain))
            return primitive(text, *rest, **named)

        setattr(exchange, name, record)

    for primitive in ("hmac", "eddsa", "rsa", "ecdsa", "jwt"):
        spy(primitive)
    signed = plain = encoded = 0
    clear = False
    for method, trail, path in endpoints(exchange.api):
        texts.clear()
        try:
            request = exchange.sign(path, trail, method, {})
        except Exception:  # noqa: BLE001 - needs parameters or a session: not counted
            continue
        clear = clear or CANARY in str(request)
        wanted = path.split("{")[0].strip("/")
        if texts and len(wanted) >= 4:
            signed += 1
            plain += any(wanted in text for text in texts)
            encoded += any(wanted in unbase64(text) for text in texts)
    if not signed:
        return ReadablePath.UNKNOWN, clear
    if plain == signed:
        return ReadablePath.PLAIN, clear
    if encoded == signed:
        return ReadablePath.BASE64, clear
    # A tenth: a few short paths are found by chance in a query, as `order` in `orderId`.
    return (ReadablePath.NONE if (plain + encoded) / signed < 0.1 else ReadablePath.PARTIAL), clear


def unbase64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("latin1")
    except ValueError:
        return ""


def differences(ours: Mapping[str, Mapping[str, Any]], theirs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = [f"{kind}: only in the catalogue" for kind in sorted(ours.keys() - theirs.keys())]
    found += [f"{kind}: only in ccxt" for kind in sorted(theirs.keys() - ours.keys())]
    for kind in sorted(ours.keys() & theirs.keys()):
        for fact, value in ours[kind].items():
            if value != theirs[kind][fact]:
                found.append(f"{kind}: {fact}: catalogue {value!r}, ccxt {theirs[kind][fact]!r}")
    return found


def test_the_catalogue_agrees_with_the_installed_ccxt(ccxt: Any, catalogue: Catalogue) -> None:
    theirs = facts_of_ccxt(ccxt)
    ours = facts_of_catalogue(catalogue.all())
    assert len(theirs) >= 104
    assert not differences(ours, theirs), f"ccxt {ccxt.__version__}:\n" + "\n".join(differences(ours, theirs))
    # The control: a catalogue that is wrong in each fact has each difference named.
    lame = {kind: facts for kind, facts in ours.items() if kind != "zaif"} | {"nowhere": {}}
    lame["kraken"] = dict.fromkeys(ours["kraken"], "wrong")
    named = differences(lame, theirs)
    assert "nowhere: only in the catalogue" in named and "zaif: only in ccxt" in named
    assert sum(line.startswith("kraken: ") for line in named) == len(ours["kraken"]) == 7


def test_every_field_that_ccxt_gets_is_one_that_it_has(ccxt: Any, catalogue: Catalogue) -> None:
    known = set(ccxt.Exchange().requiredCredentials)
    assert {name for kind in catalogue.all() for name in kind.ccxt_names.values()} == known


def test_every_permission_endpoint_is_a_method_of_its_ccxt_class(ccxt: Any, catalogue: Catalogue) -> None:
    checked = 0
    for kind in catalogue.all():
        for method in kind.permissions_endpoint.ccxt if kind.permissions_endpoint else ():
            assert callable(getattr(getattr(ccxt, kind.kind)(), method)), (kind.kind, method)
            checked += 1
    assert checked > 20
    assert not hasattr(ccxt.kraken(), "privatePostGetApiKeyNonsense")


def test_every_id_of_ccxt_is_a_kind_under_its_own_name_and_no_old_name_is_one(ccxt: Any, catalogue: Catalogue) -> None:
    for name in ccxt.exchanges:
        kind, notice = catalogue.get(name)
        assert (kind.kind, kind.tombstone, notice) == (name, None, None)
    others = {each for kind in catalogue.all() for each in (*kind.aliases, *kind.old_names)}
    others |= {kind.kind for kind in catalogue.all() if not kind.in_ccxt}
    assert {"huobi", "gateio", "okex", "coinbasepro", "bittrex", "bitmex", "nash"} <= others
    assert not others & set(ccxt.exchanges)


# --- what is refused at entry is what ccxt could not use ------------------------------------------------------------


def signed(ccxt: Any, kind: str, **credentials: str) -> int:
    """How many endpoints of a kind can be signed with these credentials."""
    exchange = getattr(ccxt, kind)({"apiKey": "k" * 20, "password": "p", "accountId": "42", "uid": "42", **credentials})
    found = 0
    for method, trail, path in list(endpoints(exchange.api)):
        if "public" in trail:
            continue
        try:
            exchange.sign(path, trail, method, {})
        except Exception:  # noqa: BLE001 - what is counted
            continue
        found += 1
    return found


GOOD = {Form.BASE64: base64.b64encode(b"s" * 32).decode(), Form.BASE58: "4w" * 22}
BAD = "no*encoding*at*all!"


@pytest.mark.parametrize(
    "kind",
    ["kraken", "krakenfutures", "coinbaseexchange", "btcmarkets", "btcturk", "backpack", "modetrade", "woofipro"],
)
def test_a_secret_that_is_refused_is_one_that_ccxt_cannot_sign_with(ccxt: Any, catalogue: Catalogue, kind: str) -> None:
    known = catalogue.get(kind)[0]
    (form,) = [form for form in known.key_formats if form.field == "secret"]
    good = GOOD[form.any_of[0].encoding]
    assert form.refuse
    assert "secret" in judge(known, {"secret": BAD}, {}).problems
    assert "secret" not in judge(known, {"secret": good}, {}).problems
    assert signed(ccxt, kind, secret=good) > signed(ccxt, kind, secret=BAD)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n", " "])
@pytest.mark.parametrize("kind", ["binance", "revolutx"])
def test_a_private_key_signs_in_ccxt_as_the_vault_stores_it_whatever_it_came_in(
    ccxt: Any, kind: str, line_end: str
) -> None:
    pem = Ed25519PrivateKey.from_private_bytes(b"p" * 32).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    given = pem.decode().replace("\n", line_end)
    field = {"binance": "secret", "revolutx": "privateKey"}[kind]
    others = {"revolutx": {"secret": "x"}}.get(kind, {})
    as_is = signed(ccxt, kind, **{**others, field: pem.decode()})
    assert as_is > 10
    assert signed(ccxt, kind, **{**others, field: cleaned(given)}) == as_is
    if line_end == "\\n":
        assert signed(ccxt, kind, **{**others, field: given}) < as_is, "the control: cleaning is needed"
