"""The key that a client signs with, its file, and the vault that the file pins.

The file is what `vaultd-client` writes and reads::

    # vaultd client key, made 2026-01-31. Whoever reads it is this client.
    # public key: vaultd-client:<base64url, 43 characters>
    # vault: <vault id, 32 hex digits> <identity, 64 hex digits>
    -----BEGIN PRIVATE KEY-----

The third line pins the vault (absent until then); the block is PKCS #8 (RFC 5958) without a passphrase.

Threat: another user reads the key, or swaps it for one of his. Measure: the file is 0600 in a 0700 directory, and
`load` refuses one that group or others can read, or that another user owns. Limit: a process of the same user reads it.
"""

import base64
import binascii
import hashlib
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InternalError as OpenSSLError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vaultd_client.errors import KeyFileError, invalid
from vaultd_client.files import write_whole

PUBLIC_PREFIX = "vaultd-client:"
PUBLIC_KEY_BYTES = 32
VAULT_ID_BYTES = 16
MAX_FILE_BYTES = 4096
"""A key file is about 350 bytes."""

_BEGIN, _END = b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----"
_PUBLIC_LINE = re.compile(r"# public key: (\S+)")
_OTHER_FILE = "choose a key file that you may read, or make one: vaultctl client keygen"
_VAULT_LINE = re.compile(r"# vault: ([0-9a-f]{32}) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """The vault that a client trusts.

    Args:
        vault_id: 16 bytes.
        identity: Ed25519 public key of the vault, 32 bytes.
    """

    vault_id: bytes
    identity: bytes

    def __post_init__(self) -> None:
        if len(self.vault_id) != VAULT_ID_BYTES or len(self.identity) != PUBLIC_KEY_BYTES:
            raise ValueError("a pin is a vault id of 16 bytes and an identity of 32 bytes")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the identity as OpenSSH writes fingerprints: `SHA256:` and base64 without padding."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.identity).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ClientKey:
    """An Ed25519 key pair (RFC 8032) and the vault it is for. Its repr shows the public half; it cannot be pickled.

    Args:
        private: The private key. Use `generate` or `load`.
        vault: The pinned vault, if any.
    """

    private: Ed25519PrivateKey
    vault: Pin | None = None

    @classmethod
    def generate(cls) -> "ClientKey":
        """Returns a new key that pins no vault."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ClientKey":
        """Reads a key file.

        Raises:
            KeyFileError: It is missing, too large, broken, readable by others, or another user's.
        """
        content = bytearray()
        try:
            content = _read(path)
            return _parse(content, path)
        finally:
            content[:] = bytes(len(content))

    @property
    def public_key(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the public key, 32 bytes."""
        return hashlib.sha256(self.public_key).digest()

    @property
    def public_text(self) -> str:
        """The public key as text for people: `vaultd-client:` and base64url without padding."""
        return PUBLIC_PREFIX + base64.urlsafe_b64encode(self.public_key).decode().rstrip("=")

    def with_pin(self, pin: Pin) -> "ClientKey":
        """Returns the same key with `pin` as its vault."""
        return ClientKey(self.private, pin)

    def sign(self, data: bytes) -> bytes:
        """Returns the Ed25519 signature of `data`, 64 bytes."""
        return self.private.sign(data)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes the key file, 0600, synced, in a directory that is made 0700 where it is missing.

        Args:
            path: Path of the file.
            overwrite: True replaces a file that is there, in one step.

        Raises:
            KeyFileError: The file exists (and `overwrite` is false) or cannot be written.
        """
        target = Path(path)
        content = bytearray(self._file_text())
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(target, content, overwrite=overwrite)
        except FileExistsError as error:
            raise KeyFileError(f"{target} exists", hint="make another one: vaultctl client keygen PATH; keys of bots have files of their own") from error
        except OSError as error:
            raise KeyFileError(
                f"{target} cannot be written: {os.strerror(error.errno or 0)}", hint="choose a path that you may write"
            ) from error
        finally:
            content[:] = bytes(len(content))

    def _file_text(self) -> bytes:
        lines = [
            f"# vaultd client key, made {time.strftime('%Y-%m-%d', time.gmtime())}. Whoever reads it is this client.",
            f"# public key: {self.public_text}",
        ]
        if self.vault is not None:
            lines.append(f"# vault: {self.vault.vault_id.hex()} {self.vault.identity.hex()}")
        plain = serialization.NoEncryption()
        pem = self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        return "\n".join([*lines, ""]).encode() + pem

    def __repr__(self) -> str:
        return f"ClientKey({self.public_text}, vault={self.vault.fingerprint if self.vault else None})"

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        raise TypeError("a ClientKey cannot be pickled or copied: load the key file where it is needed")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a ClientKey has no state to hand out: load the key file where it is needed")


def parse_public(text: str) -> bytes:
    """Returns the 32 bytes of a public key that `ClientKey.public_text` wrote.

    Raises:
        InvalidError: It does not have that form.
    """
    encoded = text.strip().removeprefix(PUBLIC_PREFIX)
    try:
        raw = base64.b64decode(encoded + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    canonical = PUBLIC_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    if len(raw) != PUBLIC_KEY_BYTES or canonical != text.strip():
        fields = {"public_key": f"must be {PUBLIC_PREFIX} and 43 characters of base64url"}
        raise invalid(fields, hint="vaultctl client keygen prints it")
    return raw


def _read(path: str | os.PathLike[str]) -> bytearray:
    try:
        # O_NONBLOCK: a FIFO at the path must not hang the caller; it is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise KeyFileError(f"no key file at {os.fspath(path)}") from error
    except OSError as error:
        raise _unusable(path, f"cannot be opened: {os.strerror(error.errno or 0)}", _OTHER_FILE) from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise _unusable(path, "is not a file", _OTHER_FILE)
        if facts.st_uid != os.geteuid() and os.geteuid() != 0:
            raise _unusable(path, f"belongs to uid {facts.st_uid}", "make one of your own: vaultctl client keygen")
        if facts.st_mode & 0o077:
            raise _unusable(path, "can be read by other users", f"chmod 600 {os.fspath(path)}")
        if facts.st_size > MAX_FILE_BYTES:
            raise _unusable(path, "is too large to be a key file", _OTHER_FILE)
        content = bytearray(facts.st_size)
        del content[os.readv(descriptor, [content]) :]
    except OSError as error:
        raise _unusable(path, f"cannot be read: {os.strerror(error.errno or 0)}", _OTHER_FILE) from error
    finally:
        os.close(descriptor)
    return content


def _parse(content: bytearray, path: str | os.PathLike[str]) -> ClientKey:
    broken = _unusable(path, "is broken", "restore it from a backup, or make a new key: vaultctl client keygen")
    begin, end = content.find(_BEGIN), content.find(_END)
    if begin < 0 or end < begin or content[end + len(_END) :].strip():
        raise broken
    try:
        lines = content[:begin].decode("ascii").splitlines()
        private = serialization.load_pem_private_key(memoryview(content)[begin : end + len(_END)], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, OpenSSLError):  # the last: what it reads as a key of another kind
        raise broken from None
    if not isinstance(private, Ed25519PrivateKey) or any(line.strip() and not line.startswith("#") for line in lines):
        raise broken
    key = ClientKey(private)
    named = [match[1] for line in lines if (match := _PUBLIC_LINE.fullmatch(line.rstrip()))]
    if any(text != key.public_text for text in named):
        raise broken
    pins = [line.rstrip() for line in lines if line.startswith("# vault:")]
    if not pins:
        return key
    match = _VAULT_LINE.fullmatch(pins[0])
    if match is None or len(pins) > 1:
        raise broken
    return key.with_pin(Pin(bytes.fromhex(match[1]), bytes.fromhex(match[2])))


def _unusable(path: str | os.PathLike[str], what: str, hint: str) -> KeyFileError:
    return KeyFileError(f"the key file {os.fspath(path)} {what}", hint=hint)
