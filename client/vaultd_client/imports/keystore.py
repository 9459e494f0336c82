"""Opens an Ethereum v3 keystore ("Web3 Secret Storage"), of which Hummingbot makes one for every field.

PBKDF2-HMAC-SHA256 of the password gives 32 bytes: 16 are the key of AES-128-CTR, 16 go before the ciphertext into
Keccak-256, whose hash must be the one that is stored. scrypt, which wallets use and Hummingbot does not, is not read. The
primitives are hashlib's, cryptography's and pycryptodome's. https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from vaultd_client.errors import InvalidError

MAX_ROUNDS = 10_000_000
"""PBKDF2: Hummingbot writes a million; ten million take about three seconds."""
_KEY_BYTES = 32


class WrongPasswordError(Exception):
    """The password is another one, or the keystore is damaged: the two cannot be told apart."""


class BrokenKeystoreError(Exception):
    """It is no keystore of version 3, or asks for too much work. The text says which."""


def opened(keystore: Mapping[str, Any], password: bytes) -> bytes:
    """Returns what a keystore holds.

    Raises:
        WrongPasswordError: The MAC does not fit.
        BrokenKeystoreError: It cannot be opened with any password.
        InvalidError: pycryptodome is not installed.
    """
    try:
        box: Mapping[str, Any] = {str(name).lower(): value for name, value in keystore.items()}["crypto"]
        if str(keystore["version"]) != "3" or box["cipher"] != "aes-128-ctr":
            raise BrokenKeystoreError("is no keystore of version 3 with aes-128-ctr")
        ciphertext, stored = bytes.fromhex(box["ciphertext"]), bytes.fromhex(box["mac"])
        iv = bytes.fromhex(box["cipherparams"]["iv"])
        derived = _derived(box["kdf"], box["kdfparams"], password)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BrokenKeystoreError("is a broken keystore") from None
    if not hmac.compare_digest(_keccak256(derived[16:] + ciphertext), stored):
        raise WrongPasswordError
    if len(iv) != 16:
        raise BrokenKeystoreError("is a broken keystore")
    return Cipher(AES(derived[:16]), CTR(iv)).decryptor().update(ciphertext)


def _derived(kdf: str, parameters: Mapping[str, Any], password: bytes) -> bytes:
    salt = bytes.fromhex(parameters["salt"])
    if int(parameters["dklen"]) != _KEY_BYTES:
        raise BrokenKeystoreError("asks for a key of another length")
    rounds = int(parameters["c"])
    if kdf != "pbkdf2" or parameters["prf"] != "hmac-sha256":
        raise BrokenKeystoreError("asks for another key derivation than Hummingbot's")
    if not 1 <= rounds <= MAX_ROUNDS:
        raise BrokenKeystoreError(f"asks for more than {MAX_ROUNDS} rounds")
    return hashlib.pbkdf2_hmac("sha256", password, salt, rounds, _KEY_BYTES)


def _keccak256(content: bytes) -> bytes:
    # Keccak as it was before NIST changed the padding for SHA-3: neither hashlib nor cryptography has it.
    try:
        from Crypto.Hash import keccak
    except ImportError:
        hint = "pip install 'vaultd-client[import]'"
        raise InvalidError("Hummingbot's files need pycryptodome, which is not installed", hint=hint) from None
    return keccak.new(digest_bits=256, data=content).digest()
