"""`vaultctl exchange add --verify`, `rotate --verify` and `verify`: what is stored, what is refused, what is shown."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.vaultctl import document, environment, vaultctl
from tests.support.venue_keys import Key, Venue, unknown_key
from tests.support.venues import CANARY, venue_of


@pytest.fixture
def okx() -> Iterator[Venue]:
    with venue_of("okx") as venue:
        yield venue


def add(vault: Daemon, venue: Venue, key: Key, *options: str, name: str = "new", half: str = "read") -> Any:
    arguments = ("exchange", "add", name, "--kind", venue.kind, "--configuration", half, "--verify", *options)
    done = vaultctl(
        vault, *arguments, "--exchange-url", venue.url, "--from-stdin", "--json", given=json.dumps(key.fields())
    )
    assert key.secret not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


def verify(vault: Daemon, venue: Venue, *arguments: str) -> Any:
    done = vaultctl(vault, "exchange", "verify", *arguments, "--exchange-url", venue.url, "--json")
    return done.returncode, json.loads(done.stdout)


def credential(vault: Daemon, name: str = "new", half: str = "read") -> dict[str, Any]:
    shown = document(vault, "exchange", "show", name)
    found: dict[str, Any] = next(each for each in shown["configurations"] if each["configuration"] == half)
    return dict(found["credentials"][0])


def is_stored(vault: Daemon, name: str = "new") -> bool:
    return vaultctl(vault, "exchange", "show", name).returncode == 0


# --- add and rotate -----------------------------------------------------------------------------------------------------


def test_a_good_key_is_stored_with_what_it_may_do(vault: Daemon, okx: Venue) -> None:
    code, made = add(vault, okx, okx.new_key())
    assert (code, made["notices"]) == (0, [])
    found = credential(vault)
    assert found["key_state"] == "OK"
    check = found["check"]
    assert (check["read"], check["trade"], check["withdraw"], check["ip_bound"]) == ("YES", "NO", "NO", "YES")
    assert check["means"] == "ENDPOINT" and check["checked_at"]


def test_a_key_that_does_not_work_is_refused_in_words_and_nothing_is_stored(vault: Daemon, okx: Venue) -> None:
    okx.new_key()
    code, error = add(vault, okx, unknown_key("okx"))
    assert (code, error["error"], error["error_description"]) == (7, "invalid_credentials", "Invalid credentials")
    assert "knows no such API key" in error["error_attributes"]["read"][0]
    assert not is_stored(vault)


def test_a_read_key_that_trades_is_taken_only_where_a_flag_says_so(vault: Daemon, okx: Venue) -> None:
    key = okx.new_key("trade")
    code, error = add(vault, okx, key)
    assert (code, error["error"], [*error["error_attributes"]]) == (7, "key_rights", ["read.trade"])
    assert "--allow-trade" in error["hint"]
    assert not is_stored(vault)
    assert add(vault, okx, key, "--allow-trade")[0] == 0


def test_a_write_key_trades_and_one_that_withdraws_needs_a_flag(vault: Daemon, okx: Venue) -> None:
    assert add(vault, okx, okx.new_key("trade"), half="write")[0] == 0
    key = okx.new_key("trade", "withdraw")
    code, error = add(vault, okx, key, name="rich", half="write")
    assert (code, [*error["error_attributes"]]) == (7, ["write.withdraw"])
    assert not is_stored(vault, "rich")
    assert add(vault, okx, key, "--allow-withdraw", name="rich", half="write")[0] == 0
    assert credential(vault, "rich", "write")["check"]["withdraw"] == "YES"


def test_settings_demand_more_than_flags_can_allow(vault: Daemon, okx: Venue) -> None:
    settings = vault.home / "vaultctl.toml"
    settings.write_text("[verify]\nrequire-no-withdraw = true\nrequire-ip = true\n")
    code, error = add(vault, okx, okx.new_key("withdraw", bound=False), "--allow-withdraw")
    assert (code, sorted(error["error_attributes"])) == (7, ["read.ip_bound", "read.withdraw"])
    assert add(vault, okx, okx.new_key())[0] == 0
    settings.write_text("[verify]\nrefuse-unknown = true\n")
    with venue_of("bitstamp") as silent_of_rights:
        code, error = add(vault, silent_of_rights, silent_of_rights.new_key(), name="b")
        assert (code, sorted(error["error_attributes"])) == (7, ["read.trade", "read.withdraw"])
        settings.unlink()
        assert add(vault, silent_of_rights, silent_of_rights.new_key(), name="b")[0] == 0
    assert credential(vault, "b")["check"]["trade"] == "UNKNOWN"


def test_what_was_not_judged_is_not_stored(vault: Daemon, okx: Venue) -> None:
    okx.behaviour = "html"
    code, error = add(vault, okx, okx.new_key())
    assert (code, error["error"]) == (14, "not_verified")
    assert CANARY not in json.dumps(error)
    assert error["hint"] == "try again; or store it without --verify"
    assert not is_stored(vault)


def test_a_new_version_is_checked_before_it_takes_the_place_of_the_old(vault: Daemon, okx: Venue) -> None:
    add(vault, okx, okx.new_key())
    rotate = ("exchange", "rotate", "new", "--configuration", "read", "--verify", "--exchange-url", okx.url, "--from-stdin")
    refused = vaultctl(vault, *rotate, given=json.dumps(unknown_key("okx").fields()))
    assert refused.returncode == 7
    assert credential(vault)["version"] == 1
    document(vault, *rotate, given=json.dumps(okx.new_key().fields()))
    found = credential(vault)
    assert (found["version"], found["key_state"]) == (2, "OK")


def test_a_flag_that_would_do_nothing_is_refused(vault: Daemon) -> None:
    done = vaultctl(vault, "exchange", "add", "x", "--kind", "okx", "--allow-withdraw", "--from-stdin", given="{}")
    assert done.returncode == 2
    assert "--verify" in done.stderr


# --- verify -----------------------------------------------------------------------------------------------------------


def test_stored_keys_are_asked_about_and_the_answers_recorded(vault: Daemon, okx: Venue) -> None:
    good, gone = okx.new_key(), okx.new_key()
    for name, key in (("good", good), ("gone", gone)):
        document(vault, "exchange", "add", name, "--kind", "okx", "--hidden", "--from-stdin", given=json.dumps(key.fields()))
    del okx.keys[gone.api_key]
    code, found = verify(vault, okx, "good", "gone")
    assert code == 7
    assert "--verify" not in json.dumps(found)  # these are stored
    assert [(each["exchange"], each["problem"]) for each in found["checks"]] == [("good", ""), ("gone", "wrong-key")]
    assert credential(vault, "good")["key_state"] == "OK"
    bad = credential(vault, "gone")
    assert bad["key_state"] == "INVALID"
    assert "knows no such API key" in bad["check"]["problem"]
    entries = document(vault, "audit", "show", "--limit", "4")["entries"]
    assert sorted(each["method"] for each in entries) == ["RecordKeyCheck"] * 2 + ["RevealCredential"] * 2


def test_all_asks_about_every_half_and_says_what_a_key_should_not_have(vault: Daemon, okx: Venue) -> None:
    document(vault, "exchange", "delete", "binance-main", "--yes")
    key = okx.new_key("trade")
    halves = ("--configuration", "read", "--configuration", "write")
    document(vault, "exchange", "add", "both", "--kind", "okx", *halves, "--from-stdin", given=json.dumps(key.fields()))
    document(vault, "exchange", "add", "own", "--kind", "custom", "--from-stdin", given='{"api_key":"k","token":"t"}')
    code, found = verify(vault, okx, "--all")
    shown = {(each["exchange"], each["configuration"]): each for each in found["checks"]}
    assert [*shown] == [("both", "read"), ("both", "write"), ("own", "read")]
    assert shown["both", "read"]["faults"] == ["it can trade, and is for reading"]
    assert shown["both", "write"]["faults"] == []
    assert shown["own", "read"]["problem"] == "not-in-ccxt"
    assert code == 0  # nobody can be asked about `own`, tonight as every night
    assert verify(vault, okx, "own")[0] == 14


def test_an_exchange_that_is_out_of_reach_leaves_what_was_known(vault: Daemon, okx: Venue) -> None:
    add(vault, okx, okx.new_key())
    before = credential(vault)
    okx.behaviour = "html"
    code, found = verify(vault, okx, "new")
    assert (code, found["checks"][0]["problem"]) == (14, "garbled")
    assert credential(vault) == before


def test_names_or_all_but_not_both_and_not_neither(vault: Daemon) -> None:
    assert vaultctl(vault, "exchange", "verify").returncode == 2
    assert vaultctl(vault, "exchange", "verify", "--all", "binance-main").returncode == 2
    assert vaultctl(vault, "exchange", "verify", "no-such-one").returncode == 8


def test_no_answer_of_an_exchange_reaches_output_log_or_store(vault: Daemon, okx: Venue) -> None:
    add(vault, okx, okx.new_key())
    for behaviour in ("error-with-secrets", "answer-with-secrets", "html-401"):
        okx.behaviour = behaviour
        done = vaultctl(vault, "exchange", "verify", "new", "--exchange-url", okx.url)
        assert CANARY not in done.stdout + done.stderr
        assert len(okx.calls) > 1
    vault.stop()
    for file in [vault.log_path, *vault.data.iterdir()]:
        content = file.read_bytes()
        assert CANARY.encode() not in content
    assert b"https://" not in vault.log_path.read_bytes()


def test_without_ccxt_the_command_that_installs_it_is_said(vault: Daemon) -> None:
    """Hides ccxt from this process as if it were not installed, which an empty site-packages would do too."""
    hide = "import sys; sys.modules['ccxt'] = None\nimport importlib.util as u\nf = u.find_spec\n"
    hide += "u.find_spec = lambda name, *a: None if name == 'ccxt' else f(name, *a)\n"
    hide += "from vaultd_client.cli.main import main\nsys.argv = ['vaultctl', *sys.argv[1:]]\nmain()\n"
    for command in (("verify", "--all"), ("add", "x", "--kind", "okx", "--verify", "--from-stdin")):
        done = subprocess.run(
            [sys.executable, "-c", hide, "exchange", *command], env=environment(vault), capture_output=True, text=True, check=False
        )
        assert done.returncode == 7
        assert "pip install 'vaultd-client[ccxt]'" in done.stderr


# --- when keys end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "word"), [("20d", ""), ("13d", "notice: "), ("6d", "warning: "), ("23h", "URGENT: ")]
)
def test_list_and_show_warn_at_14_7_and_1_days(vault: Daemon, expires: str, word: str) -> None:
    given = json.dumps({"api_key": "a" * 20, "secret": "s"})
    document(vault, "exchange", "add", "x", "--kind", "bitfinex", "--expires", expires, "--from-stdin", given=given)
    for command in (("list",), ("show", "x")):
        done = vaultctl(vault, "exchange", *command)
        assert f"{word}the read key of x ends in" in done.stderr if word else done.stderr == ""
    warned = document(vault, "exchange", "list")["warnings"]
    assert [each.startswith(word) for each in warned] == [True] * bool(word)
    assert all("vaultctl exchange rotate 'x' --configuration read" in each for each in warned)


def test_a_person_says_later_when_a_key_ends(vault: Daemon) -> None:
    document(vault, "exchange", "update", "binance-main", "--configuration", "write", "--expires", "5d")
    assert credential(vault, "binance-main", "write")["expiry_source"] == "PERSON"
    assert "5 d" in vaultctl(vault, "exchange", "list").stdout or "4 d" in vaultctl(vault, "exchange", "list").stdout
    assert vaultctl(vault, "exchange", "update", "binance-main", "--expires", "5d").returncode == 2


def test_list_shows_state_rights_and_days(vault: Daemon, okx: Venue) -> None:
    add(vault, okx, okx.new_key("trade"), "--allow-trade", "--expires", "20d")
    shown = vaultctl(vault, "exchange", "list").stdout
    line = next(each for each in shown.splitlines() if each.startswith("new "))
    assert "OK: read, trade (unknown: transfer), ends in 19 d" in line
    assert "unchecked" in next(each for each in shown.splitlines() if each.startswith("binance-main"))
