"""The catalogue as programs get it, and what it means for the key pairs that come in, through all processes."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import vaultd
from tests.support.daemon import Daemon, new_daemon
from tests.support.refusals import refused
from tests.support.vaultctl import document, vaultctl
from vaultd.kinds import Catalogue, guide_for
from vaultd_client import Kind, VaultClient

GONE = ("bittrex", "bitmex", "coinbasepro", "nash")
CODED = {"coinbasepro": {"secret": "c2VjcmV0", "passphrase": "two words "}}
ED25519 = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""  # RFC 8410, section 10.3
ED25519_PUBLIC = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="  # RFC 8410, section 10.1
FINGERPRINT = "a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f"
P256 = """-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49
AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8
maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==
-----END EC PRIVATE KEY-----
"""  # RFC 6979, appendix A.2.5
COINBASE_NAME = "organizations/01234567-89ab-cdef-0123-456789abcdef/apiKeys/fedcba98-7654-3210-fedc-ba9876543210"
COINBASE = {"name": COINBASE_NAME, "privateKey": P256.replace("\n", "\\n")}
"""With line ends written out, which is how Coinbase's page shows them."""


def fields_of(kind: str) -> dict[str, str]:
    return {"api_key": f"key-of-{kind}-0123456789", "secret": f"secret-of-{kind}", **CODED.get(kind, {})}


# --- the API --------------------------------------------------------------------------------------------------------


def test_the_api_serves_all_that_the_catalogue_knows_of_every_kind_to_anyone(house: Daemon) -> None:
    with house.client() as stranger:
        served = {kind.kind: kind for kind in stranger.kinds()}
        assert stranger.kind("kraken") == served["kraken"]
    catalogue = {kind.kind: kind for kind in Catalogue.load().all()}
    assert served.keys() == catalogue.keys()
    for name, kind in catalogue.items():
        shown = served[name]
        assert (shown.display_name, shown.website) == (kind.display_name, kind.website)
        assert (shown.aliases, shown.old_names) == (kind.aliases, kind.old_names)
        assert (shown.in_ccxt, shown.free_fields) == (kind.in_ccxt, kind.free_fields)
        assert (shown.market_types, shown.environments) == (kind.market_types, kind.environments)
        assert dict(shown.ccxt_switches) == dict(kind.ccxt_switches)
        assert (shown.rising_nonce, shown.passphrase_in_clear) == (kind.rising_nonce, kind.passphrase_in_clear)
        assert shown.readable_path == kind.readable_path.name
        assert shown.notice == kind.tombstone_notice
        assert bool(shown.tombstone) == bool(kind.tombstone)
        if shown.tombstone and kind.tombstone:
            assert shown.tombstone.note == kind.tombstone.note
            assert shown.tombstone.replaced_by == kind.tombstone.replaced_by
        guide = guide_for(kind)
        for part in guide.__slots__:
            assert getattr(shown.guide, part) == getattr(guide, part)
        for rule, known in zip(shown.expiry, kind.expiry, strict=True):
            assert rule.counts_from == known.counts_from.name
            parts = [part for part in known.__slots__ if part != "counts_from"]
            assert [getattr(rule, part) for part in parts] == [getattr(known, part) for part in parts]
        assert_same_fields(shown, kind)
        assert_same_endpoint(shown, kind)


def assert_same_fields(shown: Kind, kind: Any) -> None:
    forms = {form.field: form for form in kind.key_formats}
    for field, known in zip(shown.fields, kind.fields, strict=True):
        assert (field.name, field.need, field.ccxt_name) == (known.name, known.need.name, known.ccxt_name)
        assert (field.aliases, field.maskable, field.verbatim) == (known.aliases, known.maskable, known.verbatim)
        assert (field.help, field.notice_when_given) == (known.help, known.notice_when_given)
        form = forms.get(field.name)
        assert bool(field.forms) == bool(form)
        if form:
            assert (field.must_decode, field.forms_source) == (form.refuse, form.source)
            for one, shape in zip(field.forms, form.any_of, strict=True):
                assert (one.text, one.pattern, one.encoding) == (shape.text, shape.pattern, shape.encoding.name)
                assert one.algorithm == (shape.algorithm or "")


def assert_same_endpoint(shown: Kind, kind: Any) -> None:
    assert bool(shown.permissions_endpoint) == bool(kind.permissions_endpoint)
    if shown.permissions_endpoint:
        known = kind.permissions_endpoint
        names = {"ccxt": "ccxt_methods"}
        for part in set(known.__slots__) - {"evidence"}:
            assert getattr(shown.permissions_endpoint, names.get(part, part)) == getattr(known, part)
        assert shown.permissions_endpoint.evidence == known.evidence.name


@pytest.mark.parametrize(("name", "kind"), [("huobi", "htx"), ("Gate.io", "gate"), ("okex", "okx")])
def test_an_old_name_is_answered_with_the_kind_and_a_notice(house: Daemon, name: str, kind: str) -> None:
    with house.client() as stranger:
        found = stranger.kind(name)
        assert found.kind == kind
        assert "is an old name of" in found.notice
        assert stranger.kind(kind).notice == ""


# --- the gone -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GONE)
def test_keys_of_a_venue_that_is_gone_are_stored_read_exported_and_deleted(admin: VaultClient, kind: str) -> None:
    fields = fields_of(kind)
    made, notices = admin.create_exchange(f"old {kind}", kind, {"read": fields})
    assert [notice for notice in notices if "Stored keys can be read, exported and deleted" in notice]
    assert made.kind == kind
    found = admin.reveal(made.name)
    assert dict(found.fields) == fields
    assert found.ccxt_config()["apiKey"] == fields["api_key"]
    assert admin.rotate_credential(made.name, "read", {**fields, "api_key": "another-key-0123456789"})[1] == 2
    admin.delete_exchange(made.name)
    assert refused(admin.get, made.name).reason == "EXCHANGE_NOT_FOUND"


def test_keys_of_a_kind_that_a_later_catalogue_has_dropped_stay_readable_and_deletable(tmp_path: Path) -> None:
    shutil.copytree(Path(vaultd.__file__).parent, tmp_path / "vaultd")
    data = tmp_path / "vaultd" / "kinds" / "data"
    gone = json.loads((data / "gone.json").read_text())
    del gone["bittrex"]
    (data / "gone.json").write_text(json.dumps(gone))
    formats = json.loads((data / "formats.json").read_text())
    (data / "formats.json").write_text(json.dumps([each for each in formats if each["kinds"] != ["bittrex"]]))
    with new_daemon() as daemon:
        daemon.start()
        daemon.initialize()
        with daemon.admin() as admin:
            admin.create_exchange("ancient", "bittrex", {"read": fields_of("bittrex")})
        daemon.stop()
        daemon.environment["PYTHONPATH"] = str(tmp_path)
        daemon.start()
        daemon.unlock()
        with daemon.admin() as admin:
            assert refused(admin.kind, "bittrex").reason == "KIND_NOT_FOUND", "the control: it is dropped"
            assert admin.kind("bitmex").tombstone
            assert [each.kind for each in admin.list()] == ["bittrex"]
            assert dict(admin.reveal("ancient").fields) == fields_of("bittrex")
            assert json.loads(vaultctl(daemon, "reveal", "ancient", "--configuration", "read").stdout)["fields"]
            assert admin.update_exchange("ancient", labels={"old": "yes"}).labels == {"old": "yes"}
            assert admin.create_grant(daemon_bot(daemon), "ancient", "read").notices == ()
            assert admin.revoke_exchange("ancient").state == "REVOKED"
            admin.delete_exchange("ancient")
            assert admin.list() == ()


def daemon_bot(daemon: Daemon) -> str:
    daemon.add_bot("bot", grants=False)
    return "bot"


def test_a_venue_of_no_kind_is_stored_as_custom_with_fields_of_any_name(admin: VaultClient) -> None:
    given: dict[str, Any] = {"apiKey": "moon-key", "moon_phase": "full moon", "extra.tide": "high", "extra": {"wind": "east"}}
    admin.create_exchange("moon", "custom", {"read": given})
    found = admin.reveal("moon")
    assert dict(found.fields) == {"api_key": "moon-key"}
    assert dict(found.extra) == {"moon_phase": "full moon", "tide": "high", "wind": "east"}


# --- the seeds' rules -----------------------------------------------------------------------------------------------


def test_bitstamp_does_without_a_customer_id_and_says_so(admin: VaultClient) -> None:
    pair = {"api_key": "bitstamp-key-0123456789", "secret": "bitstamp-secret"}
    _, notices = admin.create_exchange("stamp", "bitstamp", {"read": pair})
    assert [notice for notice in notices if "customer_id is empty" in notice]
    other = {"api_key": "bitstamp-key-9876543210", "secret": "bitstamp-secret", "customer_id": "424242"}
    assert not [each for each in admin.create_exchange("stamp two", "bitstamp", {"read": other})[1] if "empty" in each]


def test_an_ethereum_wallet_needs_its_address(admin: VaultClient) -> None:
    error = refused(lambda: admin.create_exchange("wallet", "ethereumwallet", {"read": {"extra": {"a": "b"}}}))
    assert error.fields == {"address": "is required by Ethereum wallet"}
    admin.create_exchange("wallet", "ethereumwallet", {"read": {"walletAddress": "0x" + "1f" * 20}})
    assert dict(admin.reveal("wallet").fields) == {"address": "0x" + "1f" * 20}


def test_coinbase_with_a_passphrase_is_pointed_to_coinbase_exchange(admin: VaultClient) -> None:
    pair = {"api_key": "0123456789", "secret": "c2VjcmV0", "passphrase": "p"}
    _, notices = admin.create_exchange("cb", "coinbase", {"read": pair})
    assert [notice for notice in notices if "coinbaseexchange" in notice]
    assert refused(admin.create_exchange, "cbx", "coinbaseexchange", {"read": {"api_key": "k", "secret": "c2Vj"}}).fields


def test_ccxts_own_name_of_a_passphrase_is_understood(admin: VaultClient) -> None:
    pair = {"apiKey": "okx-key-0123456789", "secret": "okx-secret", "password": " two  words "}
    admin.create_exchange("okx by ccxt", "okx", {"read": pair})
    assert admin.reveal("okx by ccxt").fields["passphrase"] == " two  words "


# --- what comes in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "field", "says"),
    [
        ("kraken", {"secret": "not base64!"}, "secret", "must not have a blank inside"),
        ("kraken", {"secret": "not-base64-canary"}, "secret", "cannot be decoded, so nothing could sign with it: Kraken"),
        ("binance", {"api_key": "k\u0435y-0123456789"}, "api_key", "must be plain ASCII"),
        ("binance", {"secret": P256}, "secret", "is a private key for EC P-256"),
        ("binance", {"secret": ED25519.replace("PRIVATE", "PUBLIC")}, "secret", "is a public key, which belongs at"),
        ("binance", {"secret": ED25519.replace("PRIVATE", "ENCRYPTED PRIVATE")}, "secret", "is encrypted"),
        ("binance", {"secret": ED25519[:80]}, "secret", "paste all of it, from -----BEGIN to -----END"),
        ("coinbase", {"secret": ED25519}, "secret", "has EC P-256 private key in PEM"),
        ("okx", {"secret": f"{P256}{P256}", "passphrase": "p"}, "secret", "has more than one block"),
    ],
)
def test_a_value_of_no_use_is_refused_with_words_that_say_what_to_do(
    admin: VaultClient, kind: str, fields: dict[str, str], field: str, says: str
) -> None:
    pair = {"api_key": "api-key-0123456789", "secret": "c2VjcmV0", **fields}
    error = refused(lambda: admin.create_exchange("of no use", kind, {"read": pair}))
    assert list(error.fields) == [field]
    assert says in error.fields[field]
    assert fields[field][30:60] not in repr(error) or len(fields[field]) < 60


def test_the_fingerprint_of_a_private_keys_public_half_is_shown_then_and_later(house: Daemon) -> None:
    pair = {"api_key": "aB3dE6" * 10 + "xyz0", "secret": ED25519.replace("\n", "\r\n")}
    arguments = ("exchange", "add", "by signature", "--kind", "binance", "--from-stdin")
    done = vaultctl(house, *arguments, given=json.dumps(pair))
    assert done.returncode == 0
    assert f"page: {ED25519_PUBLIC} (SHA-256 {FINGERPRINT})" in done.stderr
    assert done.stderr.count("warning") == 1, "nothing is wrong with the form"
    shown = vaultctl(house, "exchange", "show", "by signature").stdout
    assert f"secret Ed25519 SHA256:{FINGERPRINT}" in shown
    with house.admin() as admin:
        assert admin.reveal("by signature").secret == ED25519
    command = "openssl pkey -pubout -outform DER | sha256sum"
    told = subprocess.run(command, shell=True, input=ED25519, text=True, capture_output=True, check=True).stdout
    assert told.split()[0] == FINGERPRINT


def test_a_custom_kind_takes_a_key_that_nobody_can_read_and_says_so(admin: VaultClient) -> None:
    locked = ED25519.replace("PRIVATE", "ENCRYPTED PRIVATE")
    _, notices = admin.create_exchange("own", "custom", {"read": {"private_key": locked, "extra": {"ca": "-----BEGIN"}}})
    assert [notice for notice in notices if "private_key is encrypted" in notice]
    assert admin.reveal("own").fields["private_key"] == locked


# --- Coinbase's file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "last"), [("--from-stdin", "1"), ("--fields-fd", "2"), ("--from-file", "3")])
def test_the_file_that_coinbase_hands_out_is_taken(house: Daemon, tmp_path: Path, way: str, last: str) -> None:
    key = {**COINBASE, "name": COINBASE_NAME[:-1] + last}
    content = json.dumps(key)
    file = tmp_path / "cdp_api_key.json"
    file.write_text(content)
    name = f"coinbase {way}"
    ways: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "--from-stdin": ((), {"given": content}),
        "--fields-fd": (("{pair}",), {"fds": {"pair": content.encode()}}),
        "--from-file": ((str(file),), {}),
    }
    done = vaultctl(house, "exchange", "add", name, "--json", way, *ways[way][0], **ways[way][1])
    assert done.returncode == 0, done.stdout
    assert (f"{file} still holds the secret: delete it" in done.stderr) == (way == "--from-file")
    assert json.loads(done.stdout)["exchange"]["kind"] == "coinbase"
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    with house.admin() as admin:
        assert dict(admin.reveal(name).fields) == {"api_key": key["name"], "secret": P256}


def test_coinbases_file_of_an_ed25519_key_rotates_a_pair(house: Daemon, admin: VaultClient) -> None:
    admin.create_exchange("coinbase old", "coinbase", {"read": {"api_key": COINBASE_NAME, "secret": P256}})
    key = {"id": COINBASE_NAME[-36:], "privateKey": "A" * 86 + "=="}
    arguments = ("exchange", "rotate", "coinbase old", "--configuration", "read", "--from-stdin")
    assert document(house, *arguments, given=json.dumps(key))["version"] == 2
    assert dict(admin.reveal("coinbase old").fields) == {"api_key": key["id"], "secret": key["privateKey"]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from-file", "/nowhere/at/all.json"), "no such file"),
        (("--from-file", "/"), "is a directory"),
        (("--from-file", "/dev/null", "--fields-fd", "0"), "exclude each other"),
        (("--from-file", "/dev/null", "--from-stdin"), "exclude each other"),
        (("--from-file", "/dev/null"), "that is not JSON"),
    ],
)
def test_a_file_that_cannot_be_taken_says_why(house: Daemon, options: tuple[str, ...], says: str) -> None:
    done = vaultctl(house, "exchange", "add", "x", "--kind", "binance", *options)
    assert done.returncode != 0
    assert says in done.stderr
    assert "hint:" in done.stderr
