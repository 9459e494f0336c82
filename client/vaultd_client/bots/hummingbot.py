"""Hummingbot, in two ways.

* `hummingbot`: the bot itself. It finds `conf` with one file for each connector, encrypted under a password that was made
  up for this run, and nothing but the bot ever sees either. Its own `conf` stays as it is, its own connectors and
  password are hidden from it: Hummingbot has one password for all.
* `hummingbot-connect`: `hbot connect CONNECTOR --keys-stdin`, which stores the keys under Hummingbot's own password, on
  its own disk. The vault knows nothing of them afterwards.

A field of a connector file is, in hexadecimal, the JSON of a version 3 keystore of Ethereum without an address
(https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/): PBKDF2-HMAC-SHA256,
AES-128-CTR, and Keccak-256 over the second half of the key and the ciphertext. hummingbot/client/config/config_crypt.py
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from itertools import pairwise

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from vaultd_client.bots.launcher import Environment, Feed, Shadow, Stdin, Way
from vaultd_client.bots.names import HUMMINGBOT, HUMMINGBOT_CONNECTORS, Names
from vaultd_client.bots.order import Order, document, misfit, of_market, only, unusable
from vaultd_client.errors import InvalidError
from vaultd_client.revealed import RevealedCredential

DIRECTORY = "conf"
ROUNDS = 1000
"""Hummingbot's own million takes two seconds a field and slows down who guesses a person's password. This one has 256
random bits and lives as long as the bot."""
PASSWORD_STDIN = "--password-stdin"  # noqa: S105 - an option
KEYS_STDIN = "--keys-stdin"
_VERIFICATION_WORD = "HummingBot"
_PASSWORD_VARIABLES = ("CONFIG_PASSWORD", "HBOT_PASSWORD")
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "hyperliquid": {"hyperliquid_mode": "arb_wallet", "use_vault": "no"},
    "hyperliquid_perpetual": {"hyperliquid_perpetual_mode": "arb_wallet", "use_vault": "no"},
    "okx": {"okx_registration_sub_domain": "www"},
}
"""Fields that `hbot connect` asks for and that are no secrets; a free entry of the credential says otherwise."""
_NOT_ENCRYPTED = ("_mode", "use_vault", "_sub_domain", "_l1_address", "_account_index", "_api_key_index")
"""Ends of the names of the fields that a connector file has in clear."""


def check_connect(command: Sequence[str]) -> None:
    """Refuses anything but `hbot connect CONNECTOR`."""
    _connector_of(command)


def feed_connect(order: Order) -> Feed:
    """Hands the fields to `hbot connect` as JSON on stdin."""
    credential, connector = only(order, "hbot connect"), _connector_of(order.command)
    command = order.command if KEYS_STDIN in order.command else (*order.command, KEYS_STDIN)
    return Feed(command, [Stdin(document(_fields(credential, connector)))])


def in_environment(command: Sequence[str]) -> bool:
    """Says whether the password has no other way to the bot."""
    return PASSWORD_STDIN not in command


def feed(order: Order) -> Feed:
    """Shadows `conf`, and hands over the password that was made up for it."""
    conf = order.directory / DIRECTORY
    if not conf.is_dir():
        raise unusable(f"there is no {DIRECTORY} in {order.directory}", "start it in Hummingbot's directory")
    password = secrets.token_hex(32)
    files = {"connectors/": b"", ".password_verification": _encrypted(_VERIFICATION_WORD, password).encode()}
    for credential in order.credentials:
        connector = of_market(credential, HUMMINGBOT_CONNECTORS, order.market, "Hummingbot")
        if credential.environment != "live":
            connector += "_testnet"
        file = f"connectors/{connector}.yml"
        if file in files:
            raise unusable(f"two exchanges would both be {connector}", "Hummingbot has one account for each connector")
        files[file] = _connector_file(connector, _fields(credential, connector), password)
    handed: Way = Environment(dict.fromkeys(_PASSWORD_VARIABLES, password))
    if PASSWORD_STDIN in order.command:
        handed = Stdin(f"{password}\n".encode())
    return Feed(order.command, [Shadow(conf, files), handed])


def _connector_of(command: Sequence[str]) -> str:
    after = dict(pairwise(command)).get("connect", "")
    if _names(after) is None:
        raise unusable(
            f"{after or 'this'} is no connector of hbot connect that is known",
            "such as: vaultctl run --for hummingbot-connect --exchange NAME:write -- hbot connect binance",
        )
    return after


def _names(connector: str) -> Names | None:
    """Returns our field to the connector's name of it, on its test network too; None where it is unknown."""
    live = connector.removesuffix("_testnet")
    names = HUMMINGBOT.get(live)
    if names is None or live == connector:
        return names
    return {field: name.replace(live, connector, 1) for field, name in names.items()}


def _fields(credential: RevealedCredential, connector: str) -> dict[str, str]:
    names = _names(connector)
    assert names is not None  # both ways here have looked the connector up
    missing = [field for field in names if field not in credential.fields and field != "account_id"]
    if missing:
        raise misfit(credential, missing[0], f"Hummingbot's {connector} asks for it", "vaultctl exchange rotate --help")
    live = connector.removesuffix("_testnet")
    defaults = {name.replace(live, connector, 1): value for name, value in _DEFAULTS.get(live, {}).items()}
    given = {name: credential.fields[field] for field, name in names.items() if field in credential.fields}
    return {**defaults, **credential.extra, **given}


def _connector_file(connector: str, fields: Mapping[str, str], password: str) -> bytes:
    lines = [f"connector: {connector}"]
    for name, value in fields.items():
        shown = json.dumps(value) if name.endswith(_NOT_ENCRYPTED) else _encrypted(value, password)
        lines.append(f"{name}: {shown}")
    return "".join(f"{line}\n" for line in lines).encode()


def _encrypted(value: str, password: str) -> str:
    try:
        from Crypto.Hash import keccak
    except ImportError:
        raise InvalidError(
            "Hummingbot's files need Keccak-256, which is not installed", hint="pip install 'vaultd-client[hummingbot]'"
        ) from None
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS, dklen=32)
    encryptor = Cipher(algorithms.AES(key[:16]), modes.CTR(iv)).encryptor()
    ciphertext = encryptor.update(value.encode()) + encryptor.finalize()
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": iv.hex()},
        "ciphertext": ciphertext.hex(),
        "kdf": "pbkdf2",
        "kdfparams": {"c": ROUNDS, "dklen": 32, "prf": "hmac-sha256", "salt": salt.hex()},
        "mac": keccak.new(data=key[16:32] + ciphertext, digest_bits=256).hexdigest(),
    }
    return json.dumps({"crypto": crypto, "version": 3, "alias": ""}).encode().hex()
