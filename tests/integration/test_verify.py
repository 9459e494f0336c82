"""A child asks nine exchanges, which verify every signature; whatever they answer, only our own words come back."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.venue_keys import Key, Venue, unknown_key
from tests.support.venue_rules import VENUES
from tests.support.venues import BEHAVIOURS, CANARY, venue_of
from vaultd_client.verify import Asked, Credential, ask
from vaultd_client.verify.asking import _answer
from vaultd_client.verify.child import check

UNTIL_MS = 1_900_000_000_000


@pytest.fixture(params=VENUES)
def venue(request: pytest.FixtureRequest) -> Iterator[Venue]:
    with venue_of(request.param) as made:
        yield made


def judged(venue: Venue, key: Key, **changes: str) -> Asked:
    """What a child says, without the second that starting one takes."""
    question = {"ccxt_id": venue.kind, "environment": "live", "switch": "", "credential": {**key.ccxt(), **changes}}
    return _answer(json.dumps(check({**question, "url": venue.url, "deadline": 30.0})).encode())


def asked(venue: Venue, key: Key, seconds: float = 30.0, **changes: str) -> Asked:
    return ask(Credential(venue.kind, {**key.ccxt(), **changes}), url=venue.url, seconds=seconds)


# --- sound exchanges --------------------------------------------------------------------------------------------------

SAYS_NO_MORE = {"bitstamp"}
"""Has no request that tells what a key may do."""
SAYS_NOTHING_OF_ADDRESSES = {"bitfinex", "coinbase", "bitstamp"}


def test_a_key_that_reads_is_told_from_one_that_trades_and_one_that_withdraws(venue: Venue) -> None:
    for rights in ((), ("trade",), ("trade", "withdraw")):
        key = venue.new_key(*rights)
        check = judged(venue, key).check
        assert check is not None and (check.works, check.read) == ("YES", "YES")
        if venue.kind in SAYS_NO_MORE:
            assert (check.means, check.trade, check.withdraw) == ("BALANCE", "UNKNOWN", "UNKNOWN")
        else:
            expected = ["YES" if right in rights else "NO" for right in ("trade", "withdraw")]
            assert [check.means, check.trade, check.withdraw] == ["ENDPOINT", *expected]
        bound = "UNKNOWN" if venue.kind in SAYS_NOTHING_OF_ADDRESSES else "YES"
        assert check.ip_bound == bound


def test_a_key_that_works_from_anywhere_is_told(venue: Venue) -> None:
    check = judged(venue, venue.new_key(bound=False)).check
    assert check is not None
    assert check.ip_bound == ("UNKNOWN" if venue.kind in SAYS_NOTHING_OF_ADDRESSES else "NO")


MERGED_KEY = {"binance": "key-address-or-right", "coinbase": "key-secret-or-address"}
MERGED_SECRET = {"kucoin": "passphrase-or-secret", "coinbase": "key-secret-or-address"}
MERGED_ADDRESS = {**MERGED_KEY, "kraken": "missing-right", "bitfinex": "wrong-key"}


def test_a_wrong_key_secret_or_address_is_refused_in_words(venue: Venue) -> None:
    good, stranger = venue.new_key("trade"), unknown_key(venue.kind)
    assert judged(venue, stranger).problem == MERGED_KEY.get(venue.kind, "wrong-key")
    assert judged(venue, good, secret=stranger.secret).problem == MERGED_SECRET.get(venue.kind, "wrong-secret")
    elsewhere = judged(venue, venue.new_key(address_ok=False))
    assert elsewhere.problem == MERGED_ADDRESS.get(venue.kind, "wrong-address")
    assert elsewhere.check is not None and elsewhere.check.works == "NO"
    assert asked(venue, good).problem == ""  # it was not the server, and a child says the same


@pytest.mark.parametrize(("kind", "word"), [("okx", "wrong-passphrase"), ("kucoin", "passphrase-or-secret")])
def test_a_wrong_passphrase_is_refused_in_words(kind: str, word: str) -> None:
    with venue_of(kind) as venue:
        assert judged(venue, venue.new_key(), password="another").problem == word


@pytest.mark.parametrize("kind", ["binance", "bybit", "kraken"])
def test_the_end_of_a_key_is_the_exchanges_word(kind: str) -> None:
    with venue_of(kind) as venue:
        check = judged(venue, venue.new_key(expires_ms=UNTIL_MS, bound=False)).check
    assert check is not None and check.expires == "YES" and check.expires_at is not None
    assert int(check.expires_at.timestamp() * 1000) == UNTIL_MS


@pytest.mark.parametrize(("kind", "secret"), [("kraken", "not base64 !"), ("coinbase", "-----BEGIN EC PRIVATE KEY-----\nAA\n")])
def test_a_secret_that_cannot_sign_is_refused_before_anything_is_sent(kind: str, secret: str) -> None:
    with venue_of(kind) as venue:
        assert judged(venue, venue.new_key(), secret=secret).problem == "malformed"
        assert [call for call in venue.calls if call.method == "POST" or "Authorization" in call.headers] == []


@pytest.mark.parametrize(
    ("ccxt_id", "environment", "switch", "word"),
    [
        ("", "live", "", "not-in-ccxt"),
        ("__doc__", "live", "", "not-in-ccxt"),
        ("luno", "testnet", "", "no-environment"),
        ("luno", "testnet", "set_sandbox_mode", "no-environment"),
        ("okx", "testnet", "cancel_all_orders", "no-environment"),
    ],
)
def test_whom_nobody_can_ask_is_not_judged(ccxt_id: str, environment: str, switch: str, word: str) -> None:
    found = ask(Credential(ccxt_id, {"apiKey": "k", "secret": "s"}, environment, switch), url="http://127.0.0.1:1")
    assert (found.check, found.problem) == (None, word)


def test_an_exchange_that_is_not_there_is_not_judged() -> None:
    with venue_of("okx") as venue:
        key = venue.new_key()
    assert judged(venue, key).problem == "unreachable"


# --- exchanges that answer anything ------------------------------------------------------------------------------------


def test_garbage_and_secrets_in_it_come_to_nothing(venue: Venue, capfd: pytest.CaptureFixture[str]) -> None:
    key = venue.new_key("trade", "withdraw")
    for behaviour in BEHAVIOURS:
        venue.behaviour = behaviour
        before = len(venue.calls)
        found = asked(venue, key) if behaviour == "error-with-secrets" else judged(venue, key)
        assert len(venue.calls) > before  # it was asked, and the canary sent
        assert found.check is None or (found.check.works, found.check.withdraw) in {("YES", "UNKNOWN"), ("NO", "UNKNOWN")}
        assert CANARY not in repr(found) and key.secret not in repr(found)
    shown = capfd.readouterr()
    assert CANARY not in shown.out + shown.err


@pytest.mark.parametrize("behaviour", ["html", "html-401", "html-403", "text", "nothing"])
def test_a_web_page_is_neither_a_good_key_nor_a_bad_one(venue: Venue, behaviour: str) -> None:
    key = venue.new_key()
    venue.behaviour = behaviour
    found = judged(venue, key)
    assert found.check is None
    assert found.problem in {"garbled", "unavailable"}


@pytest.mark.parametrize("behaviour", ["silent", "drip"])
def test_the_deadline_holds_whatever_the_exchange_does(behaviour: str) -> None:
    with venue_of("binance") as venue:
        key = venue.new_key()
        venue.behaviour = behaviour
        start = time.monotonic()
        found = asked(venue, key, seconds=4.0)
        assert (found.check, found.problem) == (None, "timeout")
        assert time.monotonic() - start < 8
        assert venue.calls  # it was the exchange that took so long


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with venue_of("binance") as venue:
        key = venue.new_key()
        venue.behaviour = "elsewhere"
        assert asked(venue, key).check is None
        assert venue.calls
        assert [call for call in venue.calls if call.path == "/elsewhere"] == []


def test_proxies_of_the_environment_get_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with venue_of("binance") as venue, venue_of("okx") as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert asked(venue, venue.new_key()).problem == ""
        assert proxy.calls == []


def test_the_child_shows_its_credential_neither_in_its_arguments_nor_in_its_environment() -> None:
    with venue_of("binance") as venue:
        key = venue.new_key()
        venue.behaviour = "silent"
        asking = threading.Thread(target=asked, args=(venue, key, 6.0))
        asking.start()
        while asking.is_alive() and not venue.calls:
            asking.join(0.05)
        child = next(each for each in Path("/proc").glob("[0-9]*") if _is_child(each))
        seen = (child / "cmdline").read_bytes()
        try:
            seen += (child / "environ").read_bytes()
        except PermissionError:
            pass  # not dumpable: only root may look
        asking.join()
        assert b"vaultd_client.verify.child" in seen
        assert key.secret.encode() not in seen and key.api_key.encode() not in seen
        assert not child.exists()


def _is_child(process: Path) -> bool:
    try:
        return b"vaultd_client.verify.child" in (process / "cmdline").read_bytes()
    except OSError:
        return False
