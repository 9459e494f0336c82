"""A client key for one run of a unit, as the file that the client library reads (vaultd_client/keys.py draws it)."""

import base64
import binascii
import secrets
import time
from typing import Final

from vaultd.crypto import requests
from vaultd.keyholder.secretmem import SecretBuffer, SecretMemory, wipe_bytes
from vaultd.limits import KEY_BYTES

_PKCS8: Final = bytes.fromhex("302e020100300506032b657004220420")
"""RFC 8410, section 7: what stands before the 32 bytes of an Ed25519 key."""
_BASE64_LENGTH: Final = 64
_BEGIN, _END = b"-----BEGIN PRIVATE KEY-----\n", b"\n-----END PRIVATE KEY-----\n"


def mint(memory: SecretMemory, vault_id: bytes, identity: bytes, now_ms: int) -> tuple[bytes, SecretBuffer]:
    """Draws a key; returns its public half, 32 bytes, and the key file, which pins the vault."""
    with memory.allocate(len(_PKCS8) + KEY_BYTES) as der:
        der.view[: len(_PKCS8)] = _PKCS8
        drawn = secrets.token_bytes(KEY_BYTES)
        der.view[len(_PKCS8) :] = drawn
        wipe_bytes(drawn)
        public = requests.identity_public(der.view[len(_PKCS8) :])
        head = _head(public, vault_id, identity, now_ms) + _BEGIN
        file = memory.allocate(len(head) + _BASE64_LENGTH + len(_END))
        encoded = binascii.b2a_base64(der.view, newline=False)
        file.view[: len(head)] = head
        file.view[len(head) : len(head) + _BASE64_LENGTH] = encoded
        file.view[len(head) + _BASE64_LENGTH :] = _END
        wipe_bytes(encoded)
    return public, file


def _head(public: bytes, vault_id: bytes, identity: bytes, now_ms: int) -> bytes:
    day = time.strftime("%Y-%m-%d", time.gmtime(now_ms / 1000))
    text = base64.urlsafe_b64encode(public).decode().rstrip("=")
    return (
        f"# vaultd client key, made {day} for one run of a unit. Whoever reads it there is this client.\n"
        f"# public key: vaultd-client:{text}\n"
        f"# vault: {vault_id.hex()} {identity.hex()}\n"
    ).encode()
