"""Backup files: what their header says, and whether the vault signed it. vaultd/crypto/FORMAT.md draws the bytes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from vaultd_api.v1.backup_pb2 import BackupManifest
from vaultd_client.errors import InvalidError, UntrustedVaultError
from vaultd_client.keys import Pin

MAGIC = b"vaultd-backup-v1"
SIGNATURE_BYTES = 64
MAX_MANIFEST_BYTES = 65536


class Readable(Protocol):
    """What a backup is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Returns at most so many bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself, signed by the vault `pin`.

    `generation` is how far the store had come at `time`: the sequence of the last audit entry. `key_pairs` counts
    versions, those without ciphertext too. `slots` are those that open the backup, as (number, kind, label);
    `machine_slots_left_out` those that the vault has and the backup has not.
    """

    pin: Pin
    generation: int
    time: datetime
    schema_version: int
    format_version: int
    store_bytes: int
    store_sha256: bytes
    exchanges: int
    key_pairs: int
    clients: int
    grants: int
    slots: tuple[tuple[int, str, str], ...]
    machine_slots_left_out: int


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a backup file: its bytes as they are, and what they say."""

    raw: bytes
    manifest: Manifest


@dataclass(frozen=True, slots=True, repr=False)
class Begun:
    """A copy of the store that the vault has made and that waits to be read, with the token that reads it."""

    header: Header
    token: bytes


def make_header(manifest: bytes, signature: bytes) -> Header:
    """Returns the header of a serialized BackupManifest; InvalidError where it is not signed."""
    raw = MAGIC + len(manifest).to_bytes(4, "big") + manifest + signature
    return Header(raw, _checked(manifest, signature))


def read_header(stream: Readable) -> Header:
    """Reads the header and leaves the stream at the first byte of the store.

    Raises:
        InvalidError: It is not a backup, is cut off, or was not signed by the vault that it names.
    """
    head = _exactly(stream, len(MAGIC) + 4, "it is not a backup of vaultd")
    length = int.from_bytes(head[len(MAGIC) :], "big")
    if not head.startswith(MAGIC):
        raise invalid("it is not a backup of vaultd")
    if length > MAX_MANIFEST_BYTES:
        raise invalid("its header is damaged")
    manifest = _exactly(stream, length, "it is cut off")
    signature = _exactly(stream, SIGNATURE_BYTES, "it is cut off")
    return Header(head + manifest + signature, _checked(manifest, signature))


def whole(header: Header, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields header and store, and makes sure that the store is the one that the header names.

    Raises:
        InvalidError: After the last piece: too much, too little or something else has come.
    """
    yield header.raw
    hashed, length = hashlib.sha256(), 0
    for piece in pieces:
        hashed.update(piece)
        length += len(piece)
        yield piece
    if length < header.manifest.store_bytes:
        raise invalid(f"it is cut off: {header.manifest.store_bytes - length} bytes of the store are missing")
    if length > header.manifest.store_bytes:
        raise invalid("there is something after its end")
    if hashed.digest() != header.manifest.store_sha256:
        raise invalid("it is damaged: its bytes are not those that its header names")


def require_pinned(header: Header, pin: Pin) -> None:
    """Raises UntrustedVaultError where a backup is not of the pinned vault."""
    if header.manifest.pin != pin:
        raise UntrustedVaultError(
            f"the backup is of the vault {header.manifest.pin.fingerprint}, the key file pins {pin.fingerprint}"
        )


def invalid(text: str) -> InvalidError:
    """Returns the error of a file that is not a whole backup."""
    return InvalidError(f"the file is not a whole backup: {text}", reason="BACKUP_INVALID")


def _exactly(stream: Readable, length: int, otherwise: str) -> bytes:
    received = bytearray()
    while len(received) < length:
        piece = stream.read(length - len(received))
        if not piece:
            raise invalid(otherwise)
        received += piece
    return bytes(received)


def _checked(raw: bytes, signature: bytes) -> Manifest:
    try:
        message = BackupManifest.FromString(raw)
        Ed25519PublicKey.from_public_bytes(message.identity).verify(signature, MAGIC + raw)
        return _manifest(message)
    except (DecodeError, InvalidSignature, ValueError, OverflowError):
        raise invalid("its header is damaged") from None


def _manifest(message: BackupManifest) -> Manifest:
    return Manifest(
        pin=Pin(message.vault_id, message.identity),
        generation=message.generation,
        time=message.time.ToDatetime(tzinfo=UTC),
        schema_version=message.schema_version,
        format_version=message.format_version,
        store_bytes=message.store_bytes,
        store_sha256=message.store_sha256,
        exchanges=message.exchanges,
        key_pairs=message.credentials,
        clients=message.clients,
        grants=message.grants,
        slots=tuple((each.slot, each.kind, each.label) for each in message.slots),
        machine_slots_left_out=message.machine_slots_left_out,
    )
