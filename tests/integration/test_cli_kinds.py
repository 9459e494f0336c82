"""`vaultctl kinds`, and what a person hears of a kind while adding an exchange."""


import pytest

from tests.support.daemon import Daemon
from tests.support.vaultctl import document, person_at, vaultctl


def shown(house: Daemon, *arguments: str) -> str:
    done = vaultctl(house, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_kind_is_shown_with_fields_forms_flags_and_the_way_to_a_key(house: Daemon) -> None:
    page = shown(house, "kinds", "show", "Binance")
    for words in (
        "64 letters and digits, or Ed25519 private key in PEM",
        "cannot be read in what is signed",
        "GET /sapi/v1/account/apiRestrictions tells them",
        "withdraw: enableWithdrawals",
        "after 30 days, when no IP address is bound",
        "How to create a key: Binance API key",
        "https://www.binance.com/en/my/settings/api-management",
        "Restrict access to trusted IPs only",
        "Enable Spot & Margin Trading",
        "Enable Withdrawals",
        "vaultctl exchange add NAME --kind binance",
    ):
        assert words in page
    kraken = shown(house, "kinds", "show", "kraken")
    assert "must rise with each request of a key: give every program a key pair of its own" in kraken
    assert "base64 (else refused)" in kraken
    okx = shown(house, "kinds", "show", "okx")
    assert "travels in clear with each request" in okx
    assert "can be read in every signed request: a rule on paths can be enforced" in okx
    assert "the answer holds secrets and must not be logged" in shown(house, "kinds", "show", "deribit")
    assert "a check says unknown, never safe" in shown(house, "kinds", "show", "bitstamp")


@pytest.mark.parametrize(
    ("venue", "words"),
    [
        ("bittrex", "kraken, coinbase, binance"), ("bitmex", "bybit, okx, deribit"),
        ("coinbase pro", "coinbase, coinbaseexchange"), ("nash", "kraken, coinbase, binance"),
    ],
)  # fmt: skip
def test_a_venue_that_is_gone_says_where_to_go(house: Daemon, venue: str, words: str) -> None:
    done = vaultctl(house, "kinds", "show", venue)
    assert f"in its place  {words}" in done.stdout
    assert "exchange add" not in done.stdout
    assert done.stderr.startswith("warning: ")
    assert "can be read, exported and deleted" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "there", "away"),
    [
        ((), {"binance", "custom", "bittrex"}, set()),
        (("okex",), {"okx"}, {"binance"}),
        (("Binance Fut",), {"binanceusdm"}, {"binance"}),
        (("--gone",), {"bittrex", "nash"}, {"binance"}),
        (("--living",), {"binance", "custom"}, {"bittrex"}),
        (("--market-type", "option"), {"deribit", "custom"}, {"bitstamp"}),
        (("--environment", "testnet", "coin"), {"coinbaseexchange"}, {"coinbase", "binance"}),
        (("no such venue",), set(), {"binance"}),
    ],
)
def test_the_list_is_searched_and_filtered(
    house: Daemon, arguments: tuple[str, ...], there: set[str], away: set[str]
) -> None:
    found = {kind["kind"] for kind in document(house, "kinds", "list", *arguments)["kinds"]}
    assert there <= found
    assert not away & found
    if not there:
        assert not found
        assert "vaultctl kinds show custom" in vaultctl(house, "kinds", "list", *arguments).stderr


def test_the_list_marks_what_is_gone_and_what_may_stay_empty(house: Daemon) -> None:
    lines = {line.split()[0]: line for line in shown(house, "kinds", "list").splitlines()}
    assert lines["coinbasepro"].endswith("closed, see coinbase, coinbaseexchange")
    assert lines["bitmart"].endswith("dropped by ccxt")
    assert lines["binance"].endswith("ok")
    assert "customer_id?" in lines["bitstamp"]


def test_a_mistyped_kind_is_answered_with_the_one_that_was_meant(house: Daemon) -> None:
    done = vaultctl(house, "kinds", "show", "krakn")
    assert done.returncode == 8
    assert "hint: vaultctl kinds show kraken" in done.stderr
    assert "--kind custom" in vaultctl(house, "kinds", "show", "qqqq").stderr


def test_a_person_hears_that_a_venue_is_gone_before_a_secret_is_asked_for(house: Daemon) -> None:
    with person_at(house, "exchange", "add", "ancient", "--kind", "bittrex", "--configuration", "read") as person:
        person.expect("Stored keys can be read, exported and deleted")
        person.answer("API key: ", "bittrex-key-0123456789")
        person.answer("Secret: ", "bittrex-secret")
        assert person.leave() == 0


def test_a_person_who_pastes_an_encrypted_or_public_key_is_asked_again_at_once(house: Daemon) -> None:
    with person_at(house, "exchange", "add", "pasted", "--kind", "coinbase", "--configuration", "read") as person:
        person.answer("API key: ", "01234567-89ab-cdef-0123-456789abcdef")
        for label, says in (("ENCRYPTED PRIVATE KEY", "is encrypted"), ("PUBLIC KEY", "is a public key")):
            person.answer("Secret: ", f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----")
            person.expect(says)
        person.answer("Secret: ", "A" * 86 + "==")
        assert person.leave() == 0


def test_a_passphrase_is_stored_as_it_was_typed(house: Daemon) -> None:
    with person_at(house, "exchange", "add", "typed", "--kind", "okx", "--configuration", "read") as person:
        person.answer("API key: ", "  typed-key-0123456789  ")
        person.answer("Secret: ", " typed-secret ")
        person.answer("Passphrase of the key: ", " two  words ")
        assert person.leave() == 0
    with house.admin() as admin:
        fields = dict(admin.reveal("typed").fields)
    assert fields == {"api_key": "typed-key-0123456789", "secret": "typed-secret", "passphrase": " two  words "}


def test_the_json_of_a_kind_has_everything(house: Daemon) -> None:
    kind = document(house, "kinds", "show", "kraken")
    assert kind["rising_nonce"] is True
    assert kind["permissions_endpoint"]["ccxt_methods"] == ["privatePostGetApiKeyInfo"]
    assert kind["guide"]["steps"]
    assert kind["fields"][1]["forms"][0]["encoding"] == "BASE64"
