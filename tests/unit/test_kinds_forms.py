"""The forms of fields: what fits is silent, what looks wrong is said, what could not be used is refused."""

import base64
import json

import pytest

from vaultd.kinds import Catalogue, Encoding, Verdict, judge

SEED = base64.b64encode(bytes(range(32))).decode()
SECRET_64 = base64.b64encode(bytes(range(64))).decode()


def verdict(kind: str, field: str, value: str, algorithm: str = "") -> Verdict:
    return judge(Catalogue.load().get(kind)[0], {field: value}, {field: algorithm} if algorithm else {})


@pytest.mark.parametrize(
    ("kind", "field", "value", "algorithm"),
    [
        ("binance", "secret", "aB3" * 21 + "x", ""),
        ("binance", "secret", "-----BEGIN", "Ed25519"),
        ("binance", "secret", "-----BEGIN", "RSA"),
        ("bybit", "secret", "any text", ""),
        ("coinbase", "secret", SECRET_64, ""),
        ("coinbase", "secret", "-----BEGIN", "EC P-256"),
        ("kraken", "secret", SECRET_64, ""),
        ("backpack", "secret", SEED, ""),
        ("woofipro", "secret", "ed25519:" + "4w" * 22, ""),
        ("pacifica", "private_key", "4w" * 40, ""),
        ("hyperliquid", "private_key", "0x" + "1F" * 32, ""),
        ("hyperliquid", "private_key", "1F" * 32, ""),
        ("revolutx", "private_key", "-----BEGIN", "Ed25519"),
        ("htx", "secret", "of no known form", ""),
        ("custom", "secret", "anything", "EC secp256k1"),
    ],
)
def test_a_value_that_fits_is_nothing_to_talk_of(kind: str, field: str, value: str, algorithm: str) -> None:
    assert verdict(kind, field, value, algorithm) == Verdict({}, ())


@pytest.mark.parametrize(
    ("kind", "field", "value", "algorithm"),
    [
        ("binance", "api_key", "short-canary", ""),
        ("binance", "secret", "short-canary", ""),
        ("kucoin", "passphrase", "canary", ""),
        ("kraken", "secret", base64.b64encode(b"canary canary").decode(), ""),
        ("hyperliquid", "private_key", "0xabcdef", ""),
        ("hyperliquid", "address", "canary", ""),
        ("lbank", "secret", "canary canary canary canary canary", ""),
    ],
)
def test_a_value_that_looks_wrong_is_stored_with_a_notice_that_says_what_is_right(
    kind: str, field: str, value: str, algorithm: str
) -> None:
    found = verdict(kind, field, value, algorithm)
    assert not found.problems
    (notice,) = found.notices
    assert notice.startswith(f"{field} does not look right: {Catalogue.load().get(kind)[0].display_name} has ")
    assert value not in notice


@pytest.mark.parametrize(
    ("kind", "field", "value", "algorithm", "says"),
    [
        ("kraken", "secret", "no-base64-canary!", "", "cannot be decoded"),
        ("kraken", "secret", SECRET_64.rstrip("="), "", "cannot be decoded"),
        ("kraken", "secret", "-----BEGIN", "RSA", "cannot be decoded"),
        ("coinbaseexchange", "secret", "canary_-", "", "cannot be decoded"),
        ("woofipro", "secret", "0OIl-canary", "", "cannot be decoded"),
        ("hyperliquid", "private_key", "0xcanary", "", "cannot be decoded"),
        ("hyperliquid", "private_key", "seed words canary", "", "cannot be decoded"),
        ("revolutx", "private_key", "canary", "", "cannot be decoded"),
        ("revolutx", "private_key", "-----BEGIN", "RSA", "is a private key for RSA, which nothing could use here"),
        ("binance", "secret", "-----BEGIN", "EC P-256", "is a private key for EC P-256"),
        ("bybit", "secret", "-----BEGIN", "Ed25519", "is a private key for Ed25519"),
        ("coinbase", "secret", "-----BEGIN", "EC secp256k1", "is a private key for EC secp256k1"),
        ("coinbase", "secret", "-----BEGIN", "Ed25519", "EC P-256 private key in PEM"),
    ],
)
def test_a_value_that_could_not_be_used_is_refused(
    kind: str, field: str, value: str, algorithm: str, says: str
) -> None:
    found = verdict(kind, field, value, algorithm)
    assert list(found.problems) == [field]
    assert says in found.problems[field]
    assert value not in json.dumps(dict(found.problems))


def test_the_forms_of_one_field_say_nothing_of_another() -> None:
    binance = Catalogue.load().get("binance")[0]
    found = judge(binance, {"api_key": "a1" * 32, "secret": "short"}, {})
    assert [notice.split()[0] for notice in found.notices] == ["secret"]


def test_only_what_a_library_must_decode_is_refused() -> None:
    refusing = {kind.kind: form for kind in Catalogue.load().all() for form in kind.key_formats if form.refuse}
    assert {"kraken", "coinbaseexchange", "backpack", "woofipro", "revolutx", "hyperliquid"} <= refusing.keys()
    assert all("ccxt" in form.source for form in refusing.values())
    assert all(shape.encoding is not Encoding.TEXT for form in refusing.values() for shape in form.any_of)
