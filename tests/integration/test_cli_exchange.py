"""`vaultctl exchange`, `kinds` and `reveal`: what is put in comes out again, and no secret is shown on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR, WRITE_PAIR, Daemon
from tests.support.vaultctl import document, person_at, vaultctl

PAIR = {"apiKey": "own-key-0123456789abcdef", "apiSecret": "own-secret-canary-1f2e"}
SHAPED = {"apiKey": "ownKey01" * 8, "apiSecret": "ownSec01" * 8}
"""As Binance's are, so that nothing is said of their form."""
OTHER = {"apiKey": "new-key-0123456789abcdef", "apiSecret": "new-secret-canary-3d4c"}


def revealed(daemon: Daemon, name: str, half: str, *more: str) -> dict[str, str]:
    fields: dict[str, str] = document(daemon, "reveal", name, "--configuration", half, *more)["fields"]
    return fields


# --- add --------------------------------------------------------------------------------------------------------------


def test_a_person_adds_an_exchange_and_no_secret_is_shown(vault: Daemon) -> None:
    with person_at(vault, "exchange", "add") as person:
        person.answer("Name of the exchange: ", "my okx")
        person.answer("Kind, such as binance: ", "okx")
        person.answer("API key: ", "read-key-0123456789abcdef")
        person.answer("Secret: ", "read-secret-canary")
        person.answer("Passphrase of the key: ", "read-pass-canary")
        person.answer("Add a write key pair too? [y/N]: ", "y")
        person.answer("API key: ", "write-key-0123456789abcdef")
        person.answer("Secret: ", "write-secret-canary")
        person.answer("Passphrase of the key: ", "write-pass-canary")
        person.expect("my okx")
        assert person.leave() == 0
        assert "canary" not in person.shown
    fields = revealed(vault, "my okx", "write")
    assert fields == {
        "api_key": "write-key-0123456789abcdef",
        "secret": "write-secret-canary",
        "passphrase": "write-pass-canary",
    }
    assert revealed(vault, "my okx", "read")["secret"] == "read-secret-canary"


def test_a_required_field_is_asked_for_again(vault: Daemon) -> None:
    with person_at(vault, "exchange", "add", "b2", "--kind", "binance", "--configuration", "read") as person:
        person.answer("API key: ", "")
        person.expect("api_key is required for binance.")
        person.answer("API key: ", "read-key-0123456789abcdef")
        person.answer("Secret: ", "s")
        assert person.leave() == 0


def test_what_cannot_be_stored_is_said_before_a_secret_is_asked_for(vault: Daemon, tmp_path: Path) -> None:
    for arguments, key, code in (
        (("binance-main", "--kind", "binance"), None, 9),
        (("other", "--kind", "no-such-kind"), None, 8),
        (("other", "--kind", "binance"), tmp_path / "missing.key", 7),
    ):
        with person_at(vault, "exchange", "add", *arguments, key=key) as person:
            assert person.leave() == code
            assert "Secret" not in person.shown


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ({"venue": "BINANCE", "type": "EXCHANGE", "name": "x", **PAIR}, (), {"read": "own-secret-canary-1f2e"}),
        (PAIR, ("x", "--kind", "binance", "--configuration", "write"), {"write": "own-secret-canary-1f2e"}),
        (
            {"kind": "Binance", "name": "x", "readConfiguration": PAIR, "writeConfiguration": OTHER},
            (),
            {"read": "own-secret-canary-1f2e", "write": "new-secret-canary-3d4c"},
        ),
        (
            {"type": "binance", "name": "x", "api_key": "k" * 20, "secret": "s", "types_to_create": ["spot"]},
            (),
            {"read": "s"},
        ),
    ],
)
def test_json_of_other_services_is_taken(
    vault: Daemon, given: object, options: tuple[str, ...], expected: dict[str, str]
) -> None:
    made = document(vault, "exchange", "add", *options, "--from-stdin", given=json.dumps(given))
    assert made["exchange"]["kind"] == "binance"
    for half, secret in expected.items():
        assert revealed(vault, "x", half)["secret"] == secret
    assert {each["configuration"] for each in made["exchange"]["configurations"]} == set(expected)


def test_one_pair_in_both_halves_is_stored_with_a_notice(vault: Daemon) -> None:
    halves = ("--configuration", "read", "--configuration", "write")
    made = document(vault, "exchange", "add", "x", "--kind", "binance", *halves, "--from-stdin", given=json.dumps(SHAPED))
    assert len(made["notices"]) == 1


def test_the_same_key_twice_is_refused_with_the_words_of_the_api(vault: Daemon) -> None:
    arguments = ("exchange", "add", "x", "--kind", "binance", "--from-stdin", "--json")
    done = vaultctl(vault, *arguments, given=json.dumps(READ_PAIR))
    assert done.returncode == 7
    error = json.loads(done.stdout)
    assert error["error"] == "record_invalid"
    assert error["error_attributes"] == {"api_key": ["This account is already connected!"]}


@pytest.mark.parametrize(("given", "field"), [({"api_key": "k"}, "secret"), ({**PAIR, "colour": "red"}, "colour")])
def test_a_missing_or_unknown_field_names_itself(vault: Daemon, given: object, field: str) -> None:
    arguments = ("exchange", "add", "x", "--kind", "binance", "--from-stdin", "--json")
    done = vaultctl(vault, *arguments, given=json.dumps(given))
    assert done.returncode == 7
    assert field in " ".join(json.loads(done.stdout)["error_attributes"])


def test_fields_come_over_a_descriptor_too(vault: Daemon) -> None:
    arguments = ("exchange", "add", "x", "--kind", "binance", "--fields-fd", "{pair}", "--environment", "testnet")
    made = document(vault, *arguments, fds={"pair": json.dumps(PAIR).encode()})
    assert made["exchange"]["environment"] == "testnet"


# --- list, show, update -----------------------------------------------------------------------------------------------


def test_lists_are_masked_and_hold_no_secret(shared: Daemon, tmp_path: Path) -> None:
    for arguments in (("exchange", "list"), ("exchange", "show", "binance-main")):
        for more in ((), ("--json",)):
            done = vaultctl(shared, *arguments, *more, key=tmp_path / "none.key")
            assert done.returncode == 0
            assert "READ" in done.stdout
            shown = done.stdout + done.stderr
            assert not any(value in shown for pair in (READ_PAIR, WRITE_PAIR) for value in pair.values())


def test_a_hidden_exchange_is_seen_by_administrators_only(vault: Daemon, tmp_path: Path) -> None:
    document(vault, "exchange", "update", "binance-main", "--hidden")
    assert document(vault, "exchange", "list")["exchanges"] == []
    assert [each["name"] for each in document(vault, "exchange", "list", "--all")["exchanges"]] == ["binance-main"]
    assert document(vault, "exchange", "show", "binance-main")["hidden"] is True
    assert vaultctl(vault, "exchange", "show", "binance-main", key=tmp_path / "none.key").returncode == 8
    document(vault, "exchange", "update", "binance-main", "--no-hidden")
    assert len(document(vault, "exchange", "list")["exchanges"]) == 1


def test_everything_that_may_change_is_changed(vault: Daemon) -> None:
    arguments = ("--name", "main", "--label", "a=1", "--label", "b=2", "--market-type", "spot")
    changed = document(vault, "exchange", "update", "binance-main", *arguments)
    assert (changed["name"], changed["labels"], changed["market_types"]) == ("main", {"a": "1", "b": "2"}, ["spot"])
    changed = document(vault, "exchange", "update", "main", "--remove-label", "a", "--label", "c=3")
    assert changed["labels"] == {"b": "2", "c": "3"}
    changed = document(vault, "exchange", "update", "main", "--state", "disabled", "--lock-reason", "on holiday")
    assert (changed["state"], changed["lock_reason"]) == ("DISABLED", "on holiday")
    assert vaultctl(vault, "reveal", "main", "--configuration", "read").returncode == 9
    document(vault, "exchange", "update", "main", "--state", "active")
    assert vaultctl(vault, "reveal", "main", "--configuration", "read").returncode == 0


def test_another_etag_refuses_the_change(vault: Daemon) -> None:
    etag = document(vault, "exchange", "show", "binance-main")["etag"]
    document(vault, "exchange", "update", "binance-main", "--label", "a=1", "--etag", etag)
    done = vaultctl(vault, "exchange", "update", "binance-main", "--label", "a=2", "--etag", etag)
    assert done.returncode == 9


# --- rotate, revoke, delete -------------------------------------------------------------------------------------------


def test_a_key_pair_is_rotated_and_the_old_version_revoked(vault: Daemon) -> None:
    arguments = ("exchange", "rotate", "binance-main", "--configuration", "read", "--from-stdin")
    assert document(vault, *arguments, given=json.dumps(PAIR))["version"] == 2
    assert revealed(vault, "binance-main", "read")["secret"] == PAIR["apiSecret"]
    assert revealed(vault, "binance-main", "read", "--version", "1") == READ_PAIR
    document(vault, "exchange", "revoke", "binance-main", "--configuration", "read", "--version", "1", "--yes")
    done = vaultctl(vault, "reveal", "binance-main", "--configuration", "read", "--version", "1")
    assert done.returncode == 8
    assert revealed(vault, "binance-main", "read")["secret"] == PAIR["apiSecret"]


def test_a_person_rotates_a_key_pair(vault: Daemon) -> None:
    with person_at(vault, "exchange", "rotate", "binance-main", "--configuration", "write") as person:
        person.answer("API key: ", "rotated-key-0123456789")
        person.answer("Secret: ", "rotated-secret-canary")
        person.expect("binance-main write is at version 2.")
        assert person.leave() == 0
        assert "canary" not in person.shown
    assert revealed(vault, "binance-main", "write")["secret"] == "rotated-secret-canary"


def test_delete_wants_the_name_typed(vault: Daemon) -> None:
    with person_at(vault, "exchange", "delete", "binance-main") as person:
        person.answer("Type its name to go on: ", "binance-mian")
        assert person.leave() == 2
    assert vaultctl(vault, "exchange", "delete", "binance-main").returncode == 2  # no terminal, no --yes
    assert vaultctl(vault, "exchange", "show", "binance-main").returncode == 0
    with person_at(vault, "exchange", "delete", "binance-main") as person:
        person.answer("Type its name to go on: ", "binance-main")
        assert person.leave() == 0
    assert vaultctl(vault, "exchange", "show", "binance-main").returncode == 8


def test_revoke_asks_first(vault: Daemon) -> None:
    with person_at(vault, "exchange", "revoke", "binance-main") as person:
        person.answer("Revoke binance-main for good? [y/N]: ", "n")
        assert person.leave() == 130
    assert document(vault, "exchange", "show", "binance-main")["state"] == "ACTIVE"
    revoked = document(vault, "exchange", "revoke", "binance-main", "--reason", "leaked", "--yes")
    assert (revoked["state"], revoked["lock_reason"]) == ("REVOKED", "leaked")


# --- reveal and kinds -------------------------------------------------------------------------------------------------


def test_reveal_prints_plaintext_on_stdout_and_nothing_on_stderr(shared: Daemon) -> None:
    done = vaultctl(shared, "reveal", "binance-main", "--configuration", "read")
    assert json.loads(done.stdout)["fields"] == READ_PAIR
    assert done.stderr == ""
    done = vaultctl(shared, "reveal", "binance-main", "--configuration", "read", "--field", "secret")
    assert done.stdout == READ_PAIR["secret"] + "\n"
    as_ccxt = document(shared, "reveal", "binance-main", "--configuration", "write", "--format", "ccxt")
    assert as_ccxt == {"apiKey": WRITE_PAIR["api_key"], "secret": WRITE_PAIR["secret"]}


def test_reveal_shows_plaintext_on_a_terminal_only_when_told_to(shared: Daemon) -> None:
    with person_at(shared, "reveal", "binance-main", "--configuration", "read") as person:
        assert person.leave() == 2
        assert READ_PAIR["secret"] not in person.shown
    with person_at(shared, "reveal", "binance-main", "--configuration", "read", "--show") as person:
        assert person.leave() == 0
        assert READ_PAIR["secret"] in person.shown
    with person_at(shared, "reveal", "binance-main", "--configuration", "read", piped=True) as person:
        assert person.leave() == 0
        assert READ_PAIR["secret"] in person.piped.decode()
        assert READ_PAIR["secret"] not in person.shown


def test_a_field_that_is_not_there_names_those_that_are(shared: Daemon) -> None:
    done = vaultctl(shared, "reveal", "binance-main", "--configuration", "read", "--field", "passphrase")
    assert done.returncode == 7
    assert "it has api_key, secret" in done.stderr
    assert READ_PAIR["secret"] not in done.stdout + done.stderr


def test_kinds_are_listed_and_shown(shared: Daemon) -> None:
    names = [each["kind"] for each in document(shared, "kinds", "list")["kinds"]]
    assert names == sorted(names)
    shown = document(shared, "kinds", "show", "OKX")
    required = [field["name"] for field in shown["fields"] if field["need"] == "REQUIRED"]
    assert required == ["api_key", "secret", "passphrase"]
    assert "passphrase" in vaultctl(shared, "kinds", "show", "okx").stdout
    assert vaultctl(shared, "kinds", "show", "no-such-kind").returncode == 8


def test_the_shell_completes_names_of_exchanges_and_kinds(shared: Daemon) -> None:
    for words, offered in (("vaultctl exchange show bin", "binance-main"), ("vaultctl kinds show krake", "kraken")):
        completing = {
            **shared.environment, "PATH": os.environ["PATH"], "_VAULTCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": words, "COMP_CWORD": "3",
        }  # fmt: skip
        command = [sys.executable, "-m", "vaultd_client.cli"]
        done = subprocess.run(command, env=completing, capture_output=True, text=True, check=False)
        assert offered in done.stdout
