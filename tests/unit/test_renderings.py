"""Key pairs as files: each form is read back by what reads it in earnest, whatever the secret holds."""

import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import ccxt
import dotenv
import pytest

from vaultd import limits
from vaultd.errors import RecordInvalidError
from vaultd.keyholder.renderings import render
from vaultd.keyholder.secretmem import SecretMemory
from vaultd_api.v1.exchange_service_pb2 import RevealCredentialResponse
from vaultd_api.v1.resources_pb2 import CredentialFields

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw/+==\n-----END PRIVATE KEY-----\n"
NASTY = "it's \"quoted\" \\ back\\nslash $HOME `id` #no 'é漢🔑 \t end"
NAMES = {"api_key": "apiKey", "secret": "secret", "passphrase": "password", "label": ""}


@pytest.fixture
def memory() -> Iterator[SecretMemory]:
    """Room for the largest."""
    made = SecretMemory(8 * limits.MIB)
    yield made
    made.close()


def rendered(memory: SecretMemory, form: str, fields: dict[str, Any], **about: Any) -> str:
    """Returns the file of a key pair."""
    known: dict[str, Any] = {
        "exchange": "ex-1",
        "name": "main",
        "kind": "okx",
        "environment": "live",
        "configuration": "read",
        "version": 300,
        "market_types": ["spot"],
        "ccxt_names": NAMES,
        "ccxt_id": "okx",
    }
    # The fields last, as the keyholder puts an answer together.
    answer = RevealCredentialResponse(**{**known, **about}).SerializeToString()
    answer += RevealCredentialResponse(fields=CredentialFields(**fields)).SerializeToString()
    with memory.allocate(len(answer)) as buffer:
        buffer.view[:] = answer
        with render(memory, buffer.view, form) as file:
            return bytes(file.view).decode()


FIELDS = {"api_key": "KEY-1", "secret": PEM, "passphrase": NASTY}


def test_json_is_the_document_that_reveal_prints(memory: SecretMemory) -> None:
    fields = {**FIELDS, "extra": {"label": NASTY, "empty": ""}}
    found = json.loads(rendered(memory, "json", fields))
    assert found == {
        "exchange": "ex-1",
        "name": "main",
        "kind": "okx",
        "environment": "live",
        "configuration": "read",
        "version": 300,
        "fields": fields,
    }


def test_one_field_is_its_value_to_the_letter(memory: SecretMemory) -> None:
    assert rendered(memory, "passphrase", FIELDS) == NASTY
    assert rendered(memory, "secret", FIELDS) == PEM


def test_a_field_that_the_pair_lacks_is_refused_by_name(memory: SecretMemory) -> None:
    with pytest.raises(RecordInvalidError, match="no token; it has api_key, secret, passphrase"):
        rendered(memory, "token", FIELDS)


def test_ccxt_takes_its_file(memory: SecretMemory) -> None:
    exchange = ccxt.okx(json.loads(rendered(memory, "ccxt.json", FIELDS)))
    assert (exchange.apiKey, exchange.secret, exchange.password) == ("KEY-1", PEM, NASTY)
    assert exchange.check_required_credentials()


def test_a_test_keys_file_switches_ccxt_to_the_test_venue(memory: SecretMemory) -> None:
    about = {"environment": "testnet", "kind": "binance", "ccxt_id": "binance", "ccxt_switch": "set_sandbox_mode"}
    config = json.loads(rendered(memory, "ccxt.json", FIELDS, **about))
    assert "testnet" in json.dumps(ccxt.binance(config).urls["api"])
    assert "testnet" not in json.dumps(ccxt.binance({"apiKey": "KEY-1"}).urls["api"])
    assert json.loads(rendered(memory, "freqtrade.json", FIELDS, **about))["exchange"]["ccxt_config"] == {
        "options": {"sandbox": True}
    }


@pytest.mark.parametrize(
    "about", [{"environment": "demo", "ccxt_switch": "enable_demo_trading"}, {"environment": "testnet"}, {"ccxt_id": ""}]
)
@pytest.mark.parametrize("form", ["ccxt.json", "freqtrade.json"])
def test_what_a_file_cannot_switch_is_not_handed_out(memory: SecretMemory, form: str, about: dict[str, str]) -> None:
    with pytest.raises(RecordInvalidError):
        rendered(memory, form, FIELDS, **about)
    assert rendered(memory, "json", FIELDS, **about)


def test_freqtrades_overlay_has_its_own_names(memory: SecretMemory) -> None:
    assert json.loads(rendered(memory, "freqtrade.json", FIELDS)) == {
        "exchange": {"name": "okx", "key": "KEY-1", "secret": PEM, "password": NASTY}
    }


def test_a_shell_and_dotenv_read_the_env_file_alike(memory: SecretMemory) -> None:
    text = rendered(memory, "env", FIELDS, name="my main-1")
    script = text + 'printf "%s\\0" "$MY_MAIN_1_API_KEY" "$MY_MAIN_1_SECRET" "$MY_MAIN_1_PASSPHRASE"'
    said = subprocess.run(["sh", "-e"], input=script.encode(), capture_output=True, check=True).stdout.decode()
    assert said.split("\0") == ["KEY-1", PEM, NASTY, ""]
    plain = {"api_key": "KEY-1", "secret": PEM}
    read = dotenv.dotenv_values(stream=io.StringIO(rendered(memory, "env", plain)), interpolate=False)
    assert read == {"MAIN_API_KEY": "KEY-1", "MAIN_SECRET": PEM}


@pytest.mark.parametrize("name", ["1st", "漢字"])
def test_a_name_that_makes_no_variable_is_refused_for_env_alone(memory: SecretMemory, name: str) -> None:
    with pytest.raises(RecordInvalidError, match=r"take \.json"):
        rendered(memory, "env", FIELDS, name=name)
    assert json.loads(rendered(memory, "json", FIELDS, name=name))["name"] == name


def test_two_extras_that_would_be_one_variable_are_refused(memory: SecretMemory) -> None:
    with pytest.raises(RecordInvalidError, match=r"take \.json"):
        rendered(memory, "env", {"extra": {"a b": "1", "a-b": "2"}})


def test_a_file_of_more_than_1_mib_is_refused(memory: SecretMemory) -> None:
    with pytest.raises(RecordInvalidError, match="larger than systemd takes"):
        rendered(memory, "secret", {"secret": "x" * (limits.MIB + 1)})
    assert len(rendered(memory, "secret", {"secret": "x" * limits.MIB})) == limits.MIB
    with pytest.raises(RecordInvalidError, match="larger than systemd takes"):
        rendered(memory, "json", {"secret": "\x01" * (limits.MIB // 5)})  # six bytes each once they are escaped
