"""Key pairs: what is shown of them, when they are the same, how versions live and die, and what no field may hold."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.support.daemon import READ_PAIR, WRITE_PAIR, Daemon
from tests.support.exchanges import pair
from tests.support.refusals import refused
from tests.support.stores import everything
from vaultd.model import CredentialRow
from vaultd_client import VaultClient
from vaultd_client.models import Exchange

CONNECTED = "This account is already connected!"
SHARED = "read and write share one key pair: a bot that may only read could trade with it"


def create(admin: VaultClient, name: str, fields: Any, kind: str = "binance", **options: Any) -> Exchange:
    return admin.create_exchange(name, kind, {"read": fields}, **options)[0]


def versions(exchange: Exchange, half: str = "read") -> dict[int, str]:
    configuration = exchange.configuration(half)
    assert configuration is not None
    return {credential.version: credential.state for credential in configuration.credentials}


# --- masks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "mask"),
    [
        ("abcdefghijklmnopqrstuvwxyz", "abcd…wxyz"),
        ("abcdefghijklmnop", "abcd…mnop"),
        ("abcdefghijklmno", "…no"),
        ("abcdefgh", "…gh"),
        ("abcdefg", "…"),
        ("a", "…"),
    ],
)
def test_a_mask_shows_less_of_a_shorter_key(admin: VaultClient, key: str, mask: str) -> None:
    made = create(admin, f"mask {len(key)}", {"api_key": key, "secret": "irrelevant"})
    active = made.configurations[0].active
    assert active is not None
    assert active.masks == {"api_key": mask, "secret": ""}
    assert active.key_state == "UNKNOWN"


def test_nothing_of_a_secret_is_ever_shown(house: Daemon, admin: VaultClient) -> None:
    hidden = {"secret": "Qx7Zk2Wm9Vt4Rp1L", "passphrase": "Hn5Jd8Fs3Gb6Kc0M", "token": "Ty2Ue9Io4Pa7Sd1Q"}
    hidden |= {"private_key": "Zm3Xn8Cb5Vl1Kj6H", "password": "Lw4Eq9Rt2Yu7Io5P", "two_fa": "Dk8Fj3Gh6Sa1Ql4W"}
    extra = {"note": "Mx5Nc8Vb2Za7Ls4K"}
    shown = {"api_key": "AAAAbbbbccccDDDD", "customer_id": "EEEEffffggggHHHH"}
    create(admin, "all of it", {**hidden, **shown, "extra": extra}, "custom")
    with house.client() as stranger:
        seen = repr(stranger.list()) + repr(stranger.get("all of it")) + repr(admin.audit()) + house.log()
    assert all(mask in seen for mask in ("AAAA…DDDD", "EEEE…HHHH")), "the control: what may be seen is seen"
    for value in (*hidden.values(), *extra.values()):
        assert not [value[at : at + 4] for at in range(len(value) - 3) if value[at : at + 4] in seen]
    assert dict(admin.reveal("all of it").fields) == {**hidden, **shown}
    assert dict(admin.reveal("all of it").extra) == extra


# --- the same key ---------------------------------------------------------------------------------------------------


def test_the_same_key_is_connected_once_per_kind_and_environment(admin: VaultClient) -> None:
    same = pair("the same")
    create(admin, "same one", same)
    for call in (
        lambda: create(admin, "same two", same),
        lambda: create(admin, "same two", {**same, "secret": "another-secret"}),
        lambda: create(admin, "same two", {**same, "api_key": f"  {same['api_key']}\n"}),
        lambda: create(admin, "same two", same, hidden=True),
    ):
        error = refused(call)
        assert (error.reason, str(error)) == ("RECORD_INVALID", f"Invalid parameters; api_key: {CONNECTED}")
        assert error.fields == {"api_key": CONNECTED}
    create(admin, "same testnet", same, environment="testnet")
    create(admin, "same okx", {**same, "passphrase": "p"}, "okx")
    create(admin, "same two", pair("not the same"))
    assert refused(lambda: admin.rotate_credential("same two", "read", same)).fields == {"api_key": CONNECTED}
    admin.update_exchange("same one", state="DISABLED")
    assert refused(lambda: create(admin, "same three", same)).fields == {"api_key": CONNECTED}
    admin.revoke_exchange("same one")
    create(admin, "same three", same)


def test_what_tells_a_pair_without_api_key_from_others_is_what_the_error_names(admin: VaultClient) -> None:
    wallet = {"address": "0x" + "ab" * 20, "private_key": "0x" + "11" * 32}
    create(admin, "wallet one", wallet, "hyperliquid")
    error = refused(lambda: create(admin, "wallet two", {**wallet, "private_key": "0x" + "22" * 32}, "hyperliquid"))
    assert error.fields == {"address": CONNECTED}


def test_two_halves_may_share_a_pair_and_a_person_is_told(admin: VaultClient) -> None:
    both = {"read": pair("halves"), "write": pair("halves")}
    made, notices = admin.create_exchange("halves", "binance", both)
    assert notices == (SHARED,)
    assert [versions(made, half) for half in ("read", "write")] == [{1: "ACTIVE"}, {1: "ACTIVE"}]
    _, _, notices = admin.rotate_credential("halves", "write", pair("halves apart"))
    assert notices == ()
    _, _, notices = admin.rotate_credential("halves", "read", pair("halves apart"))
    assert notices == (SHARED,)


# --- versions -------------------------------------------------------------------------------------------------------


def test_versions_become_previous_then_are_destroyed(admin: VaultClient) -> None:
    create(admin, "versions", pair("v1"))
    seen = []
    for number in (2, 3, 4):
        exchange, version, _ = admin.rotate_credential("versions", "read", pair(f"v{number}"))
        assert version == number
        seen.append(versions(exchange))
    assert seen == [{2: "ACTIVE", 1: "PREVIOUS"}, {3: "ACTIVE", 2: "PREVIOUS"}, {4: "ACTIVE", 3: "PREVIOUS"}]
    assert admin.reveal("versions").version == 4
    assert admin.reveal("versions", "read", 3).secret == pair("v3")["secret"]
    for version, words in (
        (1, "version 1 is destroyed"),
        (2, "version 2 is destroyed"),
        (5, "versions has no version 5 of its read key pair"),
    ):
        error = refused(admin.reveal, "versions", "read", version)
        assert (error.reason, error.message) == ("CREDENTIAL_NOT_FOUND", words)
    # A destroyed key is free again, one that is still revealed is not.
    create(admin, "heir", pair("v1"))
    assert refused(lambda: create(admin, "no heir", pair("v3"))).fields == {"api_key": CONNECTED}


def test_a_half_that_was_not_there_begins_with_version_one(admin: VaultClient) -> None:
    made = create(admin, "one half", pair("one half"))
    assert made.configuration("write") is None
    assert refused(lambda: admin.reveal("one half", "write")).message == "one half has no active write key pair"
    exchange, version, _ = admin.rotate_credential("one half", "write", pair("other half"))
    assert (version, versions(exchange, "write"), versions(exchange)) == (1, {1: "ACTIVE"}, {1: "ACTIVE"})


def test_a_revoked_version_is_gone_for_good_and_the_other_half_is_not(admin: VaultClient) -> None:
    admin.create_exchange("one revoked", "binance", {"read": pair("rv read"), "write": pair("rv write")})
    exchange = admin.revoke_credential("one revoked", "read")
    assert versions(exchange) == {1: "REVOKED"}
    assert refused(lambda: admin.reveal("one revoked")).reason == "CREDENTIAL_NOT_FOUND"
    assert refused(lambda: admin.reveal("one revoked", "read", 1)).message == "version 1 is revoked"
    assert admin.revoke_credential("one revoked", "read", 1) == exchange, "to revoke twice is to revoke once"
    assert refused(lambda: admin.revoke_credential("one revoked", "read", 9)).reason == "CREDENTIAL_NOT_FOUND"
    assert admin.reveal("one revoked", "write").secret == pair("rv write")["secret"]
    exchange, version, _ = admin.rotate_credential("one revoked", "read", pair("rv read again"))
    assert (version, versions(exchange)) == (2, {2: "ACTIVE", 1: "REVOKED"})


def test_a_revoked_exchange_stays_revoked_and_keeps_its_masks(admin: VaultClient) -> None:
    create(admin, "all revoked", pair("all revoked"))
    gone = admin.revoke_exchange("all revoked", "key found on a forum")
    assert (gone.state, gone.lock_reason, versions(gone)) == ("REVOKED", "key found on a forum", {1: "REVOKED"})
    key = pair("all revoked")["api_key"]
    assert gone.configurations[0].credentials[0].masks["api_key"] == f"{key[:4]}…{key[-4:]}"
    assert admin.revoke_exchange("all revoked", "again") == gone
    for call in (
        lambda: admin.reveal("all revoked"),
        lambda: admin.reveal("all revoked", "read", 1),
        lambda: admin.update_exchange("all revoked", state="ACTIVE"),
        lambda: admin.rotate_credential("all revoked", "read", pair("all revoked two")),
    ):
        assert refused(call).reason == "EXCHANGE_NOT_ACTIVE"


ERASURES: dict[str, Callable[[VaultClient], object]] = {
    "revoke the exchange": lambda admin: admin.revoke_exchange("binance-main"),
    "delete the exchange": lambda admin: admin.delete_exchange("binance-main"),
    "revoke the versions": lambda admin: [admin.revoke_credential("binance-main", half) for half in ("read", "write")],
    "rotate twice": lambda admin: [
        admin.rotate_credential("binance-main", half, pair(f"{half} {number}"))
        for half in ("read", "write")
        for number in (1, 2)
    ],
}


@pytest.mark.parametrize("how", ERASURES)
def test_what_is_never_revealed_again_is_in_no_file_any_more(vault: Daemon, how: str) -> None:
    def held() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(vault.data.iterdir()))

    vault.stop()
    rows = everything(vault.database)["credentials"]
    data_key, ciphertext = map(CredentialRow.columns().index, ("wrapped_data_key", "ciphertext"))
    blobs = [value for row in rows for value in (row[data_key], row[ciphertext])]
    assert len(blobs) == 4
    assert all(blob in held() for blob in blobs), "the control: they are there before"  # type: ignore[operator]
    vault.start()
    vault.unlock()
    with vault.admin() as admin:
        assert admin.reveal("binance-main", "write").secret == WRITE_PAIR["secret"]
        ERASURES[how](admin)
    while_running = held()
    assert vault.stop() == 0
    for left in (while_running, held()):
        assert not [blob for blob in blobs if blob in left]  # type: ignore[operator]
        assert not [value for value in (*READ_PAIR.values(), *WRITE_PAIR.values()) if value.encode() in left]


def test_what_was_made_and_revoked_in_one_life_is_not_left_in_the_log_by_a_kill(vault: Daemon) -> None:
    log = vault.database.with_name("vault.db-wal")
    with vault.admin() as admin:
        create(admin, "short-lived", pair("short-lived"))
        with closing(sqlite3.connect(":memory:")) as connection:
            # The log as it is, beside a copy of the file: what a thief of the disk would open.
            copy = vault.home / "copy.db"
            copy.write_bytes(vault.database.read_bytes())
            copy.with_name("copy.db-wal").write_bytes(log.read_bytes())
            connection.execute("ATTACH ? AS thief", (str(copy),))
            blobs = connection.execute("SELECT ciphertext, wrapped_data_key FROM thief.credentials").fetchall()
        blobs = [blob for row in blobs for blob in row]
        assert len(blobs) == 6
        assert all(blob in log.read_bytes() for blob in blobs), "the control: they are there before"
        for name in ("short-lived", "binance-main"):
            admin.revoke_exchange(name)
    vault.kill()
    left = vault.database.read_bytes() + log.read_bytes()
    assert not [blob for blob in blobs if blob in left]


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "faults"),
    [
        ("kraken", {"api_key": "k" * 20}, {"secret": "is required by Kraken"}),
        ("kraken", {"secret": "s" * 20}, {"api_key": "is required by Kraken"}),
        ("kraken", {"api_key": "k" * 20, "secret": ""}, {"secret": "is required by Kraken"}),
        ("kraken", {"api_key": "k" * 20, "secret": " \n "}, {"secret": "is required by Kraken"}),
        ("okx", {"api_key": "k" * 20, "secret": "s"}, {"passphrase": "is required by OKX"}),
        ("binance", {"api_key": "k" * 20, "secret": "s", "token": "t"}, {"token": "is not a field of Binance"}),
        ("binance", {"token": "t"}, {"token": "is not a field of Binance", "api_key": "", "secret": ""}),
        ("binance", {}, {"api_key": "is required"}),
        ("custom", {}, {"api_key": "is required"}),
    ],
)
def test_a_missing_or_unknown_field_names_itself(
    admin: VaultClient, kind: str, fields: dict[str, str], faults: dict[str, str]
) -> None:
    error = refused(lambda: create(admin, "field faults", fields, kind))
    assert (error.reason, set(error.fields)) == ("RECORD_INVALID", set(faults))
    assert all(words in error.fields[field] for field, words in faults.items())


@pytest.mark.parametrize("halves", [{}, {"trade": pair("trade")}, {"read": pair("r"), "admin": pair("a")}])
def test_an_exchange_needs_read_or_write_and_nothing_else(
    admin: VaultClient, halves: dict[str, dict[str, str]]
) -> None:
    error = refused(lambda: admin.create_exchange("no halves", "binance", halves))
    assert len(error.fields) == 1
    assert set(error.fields) <= {"configuration", "configurations"}
    assert refused(lambda: admin.get("no halves")).reason == "EXCHANGE_NOT_FOUND"


def test_names_of_other_programs_are_understood(admin: VaultClient) -> None:
    seed = {"publicApiKey": "seed-key-0123456789", "privateApiKey": "seed-secret", "apiPassphrase": "seed-passphrase"}
    admin.create_exchange("seed", "okx", {"readConfiguration": seed})
    assert dict(admin.reveal("seed", "readConfiguration").fields) == {
        "api_key": "seed-key-0123456789",
        "secret": "seed-secret",
        "passphrase": "seed-passphrase",
    }
    twice = refused(lambda: create(admin, "seed twice", {**seed, "api_key": "again"}, "okx"))
    assert list(twice.fields) == ["api_key"]
    unknown = refused(lambda: create(admin, "seed unknown", {**seed, "colour": "red"}, "okx"))
    assert list(unknown.fields) == ["colour"]


PEM = """-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49
AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8
maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==
-----END EC PRIVATE KEY-----
"""  # RFC 6979, appendix A.2.5
FORMS = {
    "as it is": PEM,
    "with CRLF": PEM.replace("\n", "\r\n"),
    "with CR": PEM.replace("\n", "\r"),
    "with literal line ends": PEM.replace("\n", "\\n"),
    "with literal CRLF": PEM.replace("\n", "\\r\\n"),
    "without the last line end": PEM.strip(),
    "with blanks around": f"\n  {PEM}\n\n",
    "with blanks for line ends": PEM.replace("\n", " "),
    "in one long line": "\n".join([PEM[:30], PEM[31:-30].replace("\n", ""), PEM[-29:]]),
    "with the curve before it": f"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{PEM}",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_in_pem_comes_back_with_real_line_ends_whatever_it_came_with(admin: VaultClient, form: str) -> None:
    fields = {"api_key": f"organizations/{form.replace(' ', '-')}/apiKeys/1", "secret": FORMS[form]}
    create(admin, f"pem {form}", fields, "coinbase")
    assert admin.reveal(f"pem {form}").secret == PEM


@pytest.mark.parametrize("field", ["api_key", "secret"])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x1bb", "a\x7fb", "a\x9bb", "a\tb"])
def test_a_control_character_in_a_field_is_refused_without_showing_the_value(
    admin: VaultClient, field: str, value: str
) -> None:
    given = {**pair("control"), field: f"cafebabe{value}cafebabe"}
    error = refused(lambda: create(admin, "control", given))
    assert error.fields == {field: "must not hold control characters"}
    assert "cafebabe" not in repr(error) + str(error) + repr(error.metadata)


def test_a_field_is_at_most_sixteen_kib_and_a_pair_twenty_four(admin: VaultClient) -> None:
    for fields, faults in (
        ({"secret": "s" * (16 * 1024 + 1)}, {"secret": "must be at most 16384 bytes"}),
        ({"secret": "ü" * (8 * 1024 + 1)}, {"secret": "must be at most 16384 bytes"}),
        ({"api_key": "k" * 9_000, "secret": "s" * 16_000}, {"read": "must be at most 24576 bytes"}),
    ):
        assert refused(create, admin, "too large", pair("large") | fields).fields == faults
    huge = {**pair("large"), "secret": "s" * 10_000_000}
    assert refused(lambda: create(admin, "too large", huge)).reason == "REQUEST_TOO_LARGE"
    create(admin, "large enough", {**pair("large"), "secret": "s" * 16 * 1024})
    assert len(admin.reveal("large enough").secret) == 16 * 1024


def test_a_kind_of_ones_own_takes_free_entries(admin: VaultClient) -> None:
    extra = {f"entry {number}": f"value {number}" for number in range(16)}
    made = create(admin, "own", {"login": "me@example.org", "extra": extra}, "custom")
    assert dict(admin.reveal("own").extra) == extra
    active = made.configurations[0].active
    assert active is not None
    assert active.masks == {"login": "…rg", **{f"extra.{name}": "" for name in extra}}
    for entries, faults in (
        ({**extra, "one more": "x"}, ["extra"]),
        ({"x" * 65: "x"}, ["extra"]),
        ({"bell\a": "x"}, ["extra"]),
        ({"": "x"}, ["extra"]),
        ({"key": "line\nline"}, ["extra.key"]),
        ({"key": "x" * 16 * 1024 + "x"}, ["extra.key"]),
    ):
        error = refused(create, admin, "own two", {"login": "you@example.org", "extra": entries}, "custom")
        assert list(error.fields) == faults
