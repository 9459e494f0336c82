"""`vaultctl import`: what people have today comes in as it is, and only after they were told and asked."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.daemon import READ_PAIR, Daemon
from tests.support.imports import (
    DATA,
    HUMMINGBOT,
    exchanges,
    fields,
    flat,
    imported,
    own,
    records,
    statuses,
)
from tests.support.vaultctl import document, person_at, vaultctl

pytestmark = pytest.mark.usefixtures("as_found")


# --- every format -----------------------------------------------------------------------------------------------------


def test_freqtrade_with_its_comments_and_its_old_name_of_the_key(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "freqtrade.json"))
    assert (found["format"], statuses(found)) == ("freqtrade", {"exchange": "imported"})
    (entry,) = found["entries"]
    assert (entry["name"], entry["kind"], entry["exchange"]["market_types"]) == ("binance", "binance", ["swap"])
    assert fields(house, "binance") == {
        "api_key": "freqtrade-key-canary-0123456789",
        "secret": "freqtrade-secret-canary-0123456789",
    }


def test_hummingbots_connectors_open_with_its_password(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "hummingbot")
    found = imported(house, path, "--password-fd", "{password}", fds={"password": HUMMINGBOT + b"\n"})
    assert found["format"] == "hummingbot"
    kinds = {each["where"]: (each["kind"], each["environment"]) for each in found["entries"]}
    assert kinds == {
        "binance.yml": ("binance", "live"),
        "bybit_perpetual_testnet.yml": ("bybit", "testnet"),
        "kucoin.yml": ("kucoin", "live"),
    }
    assert fields(house, "kucoin") == {
        "api_key": "hb-kucoin-key-canary-01234567890",
        "secret": "hb-kucoin-secret-canary-98765432",
        "passphrase": "hb-kucoin-passphrase-canary-9876",
    }
    assert fields(house, "bybit_perpetual_testnet")["secret"] == "hb-bybit-secret-canary-987654321"


def test_hummingbots_password_is_asked_for_without_echo_and_a_wrong_one_is_said(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "hummingbot_old")
    with person_at(house, "import", str(path)) as person:
        person.answer("Hummingbot's password: ", HUMMINGBOT.decode())
        person.expect("the password opens none of these files")
        assert person.leave() == 10
        assert HUMMINGBOT.decode() not in person.shown
    done = vaultctl(house, "import", str(path), "--yes")
    assert (done.returncode, "--password-fd" in done.stderr) == (2, True)
    assert exchanges(house) == ["binance-main"]


def test_a_connector_from_before_the_password_was_changed_is_left_out_and_the_rest_goes_on(
    house: Daemon, tmp_path: Path
) -> None:
    path = own(tmp_path, "hummingbot")
    shutil.copy(DATA / "hummingbot_old/gate_io.yml", path)
    found = imported(house, path, "--password-fd", "{password}", code=7, fds={"password": HUMMINGBOT + b"\n"})
    assert statuses(found) == {
        "binance.yml": "imported", "bybit_perpetual_testnet.yml": "imported", "kucoin.yml": "imported",
        "gate_io.yml": "refused",
    }  # fmt: skip
    assert "before a change" in next(each["reason"] for each in found["entries"] if each["status"] == "refused")


def test_octobot_plain_and_in_its_public_encryption_and_not_half_of_each(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "octobot.json"), code=7)
    assert statuses(found) == {
        "exchanges.binance": "imported",
        "exchanges.okx": "imported",
        "exchanges.kraken": "refused",
        "exchanges.mexc": "no_key",
    }
    assert "half encrypted: api-secret" in next(each["reason"] for each in found["entries"] if each["name"] == "kraken")
    assert fields(house, "binance")["secret"] == "octobot-binance-secret-canary-0001"
    okx = next(each for each in found["entries"] if each["kind"] == "okx")
    assert (okx["name"], okx["environment"]) == ("okx-demo", "demo")
    assert "has no testnet" in " ".join(okx["notices"])


def test_passivbots_accounts_with_their_switches(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "passivbot.json"))
    kinds = {each["name"]: each["kind"] for each in found["entries"] if each["status"] == "imported"}
    assert kinds == {"binance_01": "binanceusdm", "bitget_01": "bitget", "hyperliquid_01": "hyperliquid"}
    assert fields(house, "hyperliquid_01")["is_vault"] == "true"


def test_gunbots_master_pair_is_the_read_half_and_gone_venues_say_so(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "gunbot.js"))
    assert fields(house, "kraken", "read")["api_key"] == "gunbot-master-key-canary-0001"
    assert fields(house, "kraken", "write")["api_key"] == "gunbot-trading-key-canary-0001"
    said = {each["name"]: " ".join(each["notices"]) for each in found["entries"]}
    assert "closed" in said["bittrex"]
    assert "one pair, which trades" in said["bittrex"]
    assert "htx" in said["huobi"]


def test_env_files_and_what_in_them_is_no_key_pair(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "dot.env"))
    assert {each["name"]: each["status"] for each in found["entries"]} == {
        "binance": "imported", "bybit-testnet": "imported", "kraken": "imported", "my_okx_2": "imported",
        "openai": "skipped", "db": "skipped",
    }  # fmt: skip
    assert fields(house, "kraken", "read")["api_key"] == "env-key-canary-0003"
    assert fields(house, "kraken", "write")["api_key"] == "env-key-canary-0004"
    assert fields(house, "my_okx_2")["passphrase"] == "env-pass-canary-0005"
    assert next(each["kind"] for each in found["entries"] if each["name"] == "my_okx_2") == "okx"


def test_jesses_csv_and_a_line_that_is_cut_off(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "jesse.csv"), code=7)
    assert statuses(found) == {"line 2": "imported", "line 3": "imported", "line 4": "imported", "line 5": "refused"}
    kinds = [(each["kind"], each["environment"]) for each in found["entries"][:3]]
    assert kinds == [("binanceusdm", "live"), ("bybit", "testnet"), ("kucoin", "live")]


def test_any_csv_with_a_header_and_what_it_has_twice(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "generic.csv"), code=7)
    assert statuses(found) == {
        "line 2, line 3": "imported", "line 4": "repeated", "line 5": "refused", "line 6": "imported",
    }  # fmt: skip
    assert fields(house, "main", "read")["secret"] == "csv-secret-canary-0001"
    venue = next(each for each in found["entries"] if each["where"] == "line 6")
    assert (venue["kind"], venue["exchange"]["labels"]) == ("custom", {"venue": "Some Exchange"})


def test_the_shapes_of_three_services(house: Daemon, tmp_path: Path) -> None:
    found = imported(house, own(tmp_path, "3commas.json"), code=7)
    assert statuses(found) == {"entry 1": "imported", "entry 2": "refused"}
    assert "secret" in found["entries"][1]["reason"]
    assert imported(house, own(tmp_path, "dfns.json"))["format"] == "dfns"
    assert fields(house, "Binance 1", "read")["secret"] == "dfns-secret-canary-0001"
    assert imported(house, own(tmp_path, "cadenza.json"))["format"] == "cadenza"
    assert fields(house, "My Binance API Key")["secret"] == "cadenza-secret-canary-0001"


def test_the_key_file_of_coinbase(house: Daemon, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()
    key = "organizations/0b1c2d3e-0000-4000-8000-000000000001/apiKeys/0b1c2d3e-0000-4000-8000-000000000002"
    found = imported(house, own(tmp_path, "cdp_api_key.json", {"name": key, "privateKey": pem.replace("\n", "\\n")}))
    assert (found["format"], found["entries"][0]["name"], found["entries"][0]["kind"]) == (*["coinbase"] * 3,)
    assert fields(house, "coinbase") == {"api_key": key, "secret": pem}


def test_stdin_is_a_source(house: Daemon) -> None:
    done = vaultctl(house, "import", "-", "--yes", "--json", given=json.dumps(flat("piped")))
    assert (done.returncode, exchanges(house)) == (0, ["binance-main", "piped"])


def test_a_passphrase_stays_to_the_letter(house: Daemon, tmp_path: Path) -> None:
    account = {"exchange": "okx", "key": " okx-key-canary-0001\n", "secret": "okx-secret-canary ", "passphrase": " a canary "}
    imported(house, own(tmp_path, "api-keys.json", {"okx_01": account}))
    assert fields(house, "okx_01") == {
        "api_key": "okx-key-canary-0001", "secret": "okx-secret-canary", "passphrase": " a canary ",
    }  # fmt: skip


# --- saying it first --------------------------------------------------------------------------------------------------


def test_what_was_found_is_said_before_anything_is_written(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "gunbot.js")
    with person_at(house, "import", str(path)) as person:
        person.expect("format gunbot: 3 found.")
        person.expect("gunb…0001")
        person.expect("Bittrex")
        assert exchanges(house) == ["binance-main"]
        person.answer("Import 3 of 3? [y/N]: ", "n")
        assert person.leave() == 130
        assert "canary" not in person.shown
    assert (exchanges(house), records(house)) == (["binance-main"], [])


def test_a_dry_run_says_all_and_writes_nothing(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "list.json", [flat("again", **READ_PAIR), flat("new"), flat("twin")])
    with house.admin() as admin:
        before = admin.audit(limit=1)
    done = vaultctl(house, "import", str(path), "--dry-run", "--json")
    assert statuses(json.loads(done.stdout)) == {
        "entry 1": "already_connected", "entry 2": "new", "entry 3": "repeated",
    }  # fmt: skip
    with house.admin() as admin:
        assert admin.audit(limit=1) == before
    assert (exchanges(house), records(house)) == (["binance-main"], [])


def test_the_masks_are_those_that_the_vault_shows_afterwards(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "one.json", flat("one"))
    dry = document(house, "import", str(path), "--dry-run")["entries"][0]["exchange"]
    imported(house, path)
    shown = document(house, "exchange", "show", "one")
    found, stored = (
        [each["masks"] for half in exchange["configurations"] for each in half["credentials"]] for exchange in (dry, shown)
    )
    assert found == stored == [{"api_key": "impo…6789", "secret": ""}]


def test_names_kinds_and_halves_can_be_chosen(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "passivbot.json")
    imported(house, path, "--name", "binance_01=futures", "--configuration", "read", "--hidden")
    assert exchanges(house) == ["binance-main", "bitget_01", "futures", "hyperliquid_01"]
    assert fields(house, "futures", "read")["api_key"] == "passivbot-key-canary-0001"
    done = vaultctl(house, "import", str(path), "--name", "one", "--dry-run")
    assert (done.returncode, "--name FOUND=NEW" in done.stderr) == (7, True)
    nameless = own(tmp_path, "overlay.json", {"exchange": {"key": "overlay-key-canary-01", "secret": "s-canary"}})
    assert "use --kind" in imported(house, nameless, code=7)["entries"][0]["reason"]
    imported(house, nameless, "--kind", "bybit", "--name", "overlay")
    assert document(house, "exchange", "show", "overlay")["kind"] == "bybit"


def test_a_name_that_is_taken_gets_a_number_but_not_one_that_was_asked_for(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "one.json", flat("binance-main"))
    refused = imported(house, path, "--name", "binance-main", code=7)
    assert "is taken" in refused["entries"][0]["reason"]
    assert imported(house, path)["entries"][0]["name"] == "binance-main-2"


def test_a_file_that_others_can_read_is_said(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "one.json", flat("one"))
    assert "can be read by others" not in vaultctl(house, "import", str(path), "--dry-run").stderr
    path.chmod(0o644)
    assert "can be read by others" in vaultctl(house, "import", str(path), "--dry-run").stderr


def test_a_locked_vault_is_said_before_a_password_is_asked_for(house: Daemon, tmp_path: Path) -> None:
    path = own(tmp_path, "hummingbot")
    house.lock()
    with person_at(house, "import", str(path)) as person:
        assert person.leave() == 4
        assert "password" not in person.shown
