"""Errors become words of our own table; the policy says which keys are taken; nothing foreign gets through."""

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ccxt
import pytest
import requests

from vaultd_client.cli.verify_options import LoopbackUrl
from vaultd_client.errors import InvalidError
from vaultd_client.key_checks import KeyCheck
from vaultd_client.verify import Credential, Policy
from vaultd_client.verify.asking import _answer, _environment
from vaultd_client.verify.refusals import _CLASSES, _UNSAID, CODES, FAMILIES, problem_of
from vaultd_client.verify.words import PROBLEMS

CANARY = "canary-9d1e"


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "error", "word"),
    [
        ("binance", ccxt.AuthenticationError('binance {"code":-2015,"msg":"Invalid API-key, IP"}'), "key-address-or-right"),
        ("binanceusdm", ccxt.AuthenticationError('binanceusdm {"code":-1022}'), "wrong-secret"),
        ("binance", ccxt.InvalidNonce('binance {"code":-1021}'), "clock"),
        ("kraken", ccxt.ExchangeError('kraken {"error":["EAPI:Invalid signature"]}'), "wrong-secret"),
        ("kraken", ccxt.InvalidNonce('kraken {"error":["EAPI:Invalid nonce"]}'), "nonce"),
        ("bybit", ccxt.PermissionDenied('bybit {"retCode":10010}'), "wrong-address"),
        ("bybit", ccxt.AuthenticationError('bybit {"retCode":33004}'), "expired"),
        ("okx", ccxt.AuthenticationError('okx {"code":"50101"}'), "wrong-environment"),
        ("kucoin", ccxt.AuthenticationError('kucoin {"code":"400004"}'), "passphrase-or-secret"),
        ("gate", ccxt.PermissionDenied('gate {"label":"FORBIDDEN","message":"Request IP not in whitelist"}'), "wrong-address"),
        ("coinbase", ccxt.AuthenticationError("coinbase GET https://x 401 Unauthorized"), "key-secret-or-address"),
        ("luno", ccxt.AuthenticationError("luno 401"), "refused"),
        ("luno", ccxt.AccountSuspended("luno"), "suspended"),
        ("luno", ccxt.RequestTimeout("luno"), "timeout"),
        ("luno", ccxt.RateLimitExceeded("luno"), "rate-limited"),
        ("luno", ccxt.OnMaintenance("luno"), "unavailable"),
        ("luno", ccxt.NetworkError("luno"), "unreachable"),
        ("luno", ccxt.ExchangeError("luno what is this"), "garbled"),
        ("luno", ccxt.AuthenticationError("luno 401 <!DOCTYPE html><html>"), "garbled"),
        ("luno", KeyError("balance"), "garbled"),
    ],
)
def test_an_error_becomes_a_word(kind: str, error: Exception, word: str) -> None:
    assert problem_of(kind, error) == word


def test_a_certificate_that_nobody_trusts_is_told_from_a_dead_line() -> None:
    error = ccxt.ExchangeError("luno GET https://x")
    error.__cause__ = requests.exceptions.SSLError("certificate verify failed")
    assert problem_of("luno", error) == "untrusted"


def test_every_word_is_in_the_table_and_every_venue_in_ccxt() -> None:
    words = {word for rows in CODES.values() for _, word in rows} | {*_UNSAID.values()} | {word for _, word in _CLASSES}
    assert words <= PROBLEMS.keys()
    assert {*CODES, *FAMILIES, *_UNSAID} <= set(ccxt.exchanges)
    assert all(problem.text and problem.hint for problem in PROBLEMS.values())


# --- what comes out of the child --------------------------------------------------------------------------------------


def answered(**document: Any) -> Any:
    return _answer(json.dumps({"problem": "", "means": "ENDPOINT", **document}).encode())


def test_an_answer_of_the_childs_tables_is_taken() -> None:
    found = answered(read="YES", trade="NO", expires="YES", expires_ms=1_700_000_000_000)
    assert found.problem == ""
    assert (found.check.read, found.check.trade, found.check.withdraw) == ("YES", "NO", "UNKNOWN")
    assert found.check.expires_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert answered(problem="wrong-key").check.problem == PROBLEMS["wrong-key"].text
    assert answered(problem="timeout").check is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"{}", b"\xff", CANARY.encode(), b'{"problem":', b'{"problem":"","means":"x"}',
        json.dumps({"problem": CANARY, "means": "ENDPOINT"}).encode(),
        json.dumps({"problem": "", "means": "ENDPOINT", "read": CANARY}).encode(),
        json.dumps({"problem": "", "means": "ENDPOINT", "expires_ms": CANARY}).encode(),
        json.dumps({"problem": "", "means": "ENDPOINT", "expires_ms": 10**30}).encode(),
        json.dumps({"problem": [], "means": "ENDPOINT"}).encode(),
        b" " * 10_000 + b"{}",
    ],
)  # fmt: skip
def test_anything_else_that_a_child_may_say_is_dropped(content: bytes) -> None:
    found = _answer(content)
    assert (found.check, found.problem) == (None, "broken")
    assert CANARY not in repr(found)


def test_a_credential_shows_nothing_and_is_not_pickled() -> None:
    credential = Credential("binance", {"apiKey": CANARY, "secret": CANARY})
    assert CANARY not in repr(credential)
    with pytest.raises(TypeError):
        pickle.dumps(credential)


def test_the_child_gets_no_variable_but_where_modules_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CCXT_URL", "LD_PRELOAD"):
        monkeypatch.setenv(name, CANARY)
    assert {"PYTHONPATH", "PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE"} == _environment().keys()
    assert CANARY not in str(_environment())


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9:1", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080", False),  # a name may be anybody's
        ("http://10.0.0.1:8080", False),
        ("http://127.0.0.1.evil.example:80", False),
        ("http://127.0.0.1:80@evil.example", False),
        ("http://evil.example/http://127.0.0.1:80", False),
        ("https://api.binance.com", False),
        ("http://2130706433:80", False),
        ("", False),
    ],
)
def test_a_stand_in_for_an_exchange_is_on_this_host_or_refused(url: str, taken: bool) -> None:
    if taken:
        assert LoopbackUrl().convert(url, None, None) == url
    else:
        with pytest.raises(Exception, match="this host alone"):
            LoopbackUrl().convert(url, None, None)


# --- policy -----------------------------------------------------------------------------------------------------------

READS = KeyCheck("YES", "ENDPOINT", "YES", "NO", "NO", "NO", "YES")
TRADES = KeyCheck("YES", "ENDPOINT", "YES", "YES", "NO", "NO", "NO")
WITHDRAWS = KeyCheck("YES", "ENDPOINT", "YES", "YES", "YES", "NO", "NO")
UNSAID = KeyCheck("YES", "BALANCE", "YES")


@pytest.mark.parametrize(
    ("policy", "half", "check", "faults"),
    [
        (Policy(), "read", READS, set()),
        (Policy(), "read", TRADES, {"trade"}),
        (Policy(), "write", TRADES, set()),
        (Policy(allow_trade=True), "read", TRADES, set()),
        (Policy(), "write", WITHDRAWS, {"withdraw"}),
        (Policy(allow_trade=True), "read", WITHDRAWS, {"withdraw"}),
        (Policy(allow_withdraw=True), "read", WITHDRAWS, {"trade"}),
        (Policy(allow_withdraw=True), "write", WITHDRAWS, set()),
        (Policy(allow_withdraw=True, require_no_withdraw=True), "write", WITHDRAWS, {"withdraw"}),
        (Policy(), "read", UNSAID, set()),
        (Policy(refuse_unknown=True), "read", UNSAID, {"trade", "withdraw"}),
        (Policy(refuse_unknown=True), "write", UNSAID, {"withdraw"}),
        (Policy(refuse_unknown=True, require_ip=True), "write", UNSAID, {"withdraw", "ip_bound"}),
        (Policy(refuse_unknown=True, allow_withdraw=True), "write", UNSAID, set()),
        (Policy(require_ip=True), "write", UNSAID, set()),
        (Policy(require_ip=True), "read", READS, set()),
        (Policy(require_ip=True), "write", TRADES, {"ip_bound"}),
    ],
)
def test_which_keys_are_taken(policy: Policy, half: str, check: KeyCheck, faults: set[str]) -> None:
    assert policy.faults(half, check).keys() == faults


def test_the_settings_stand_beside_the_client_key(tmp_path: Path) -> None:
    path = tmp_path / "vaultctl.toml"
    assert Policy.load(path) == Policy()
    path.write_text("[verify]\nrequire-no-withdraw = true\nrequire-ip = true\nrefuse-unknown = true\n")
    assert Policy.load(path, allow_trade=True) == Policy(
        require_no_withdraw=True, require_ip=True, refuse_unknown=True, allow_trade=True
    )


@pytest.mark.parametrize(
    "text",
    ["[verify", "verify = 1", "[other]\n", "[verify]\nrequire_ip = true\n", '[verify]\nrequire-ip = "yes"\n', "\x00"],
)
def test_a_setting_that_is_none_is_refused_and_not_passed_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vaultctl.toml"
    path.write_text(text)
    with pytest.raises(InvalidError, match=r"vaultctl\.toml"):
        Policy.load(path)
