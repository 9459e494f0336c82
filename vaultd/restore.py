"""Puts the store of a backup in place of the one that is there. `vaultctl backup restore` runs it, as the store's owner.

Nothing is replaced before every byte has come and fits: length, SHA-256, schema, pages, and that it is the vault and the
generation that the manifest names. What was there is kept beside it. A power cut at any moment leaves the old store or
the new one, whole. The new one starts locked, and the file of the anchor says that it was restored: the next unlock
suspends the write grants (keyholder/confirming.py).

Threat: whoever can write store and anchor makes an old backup look restored. Measure: none here, for he could as well
put back an older anchor (crypto/FORMAT.md); but write grants are suspended and the audit says so. The signature of
the manifest is for `vaultctl` to check, which has the primitives; whether the rows are the vault's, the unlock finds out.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError

from vaultd import limits
from vaultd.config import Config
from vaultd.errors import (
    BackupInvalidError,
    RestoreRefusedError,
    StoreDamagedError,
    StoreFullError,
    StoreTooNewError,
    StoreUnavailableError,
    VaultError,
)
from vaultd.store import anchor, database, queries
from vaultd.store.migrations import SCHEMA_VERSION
from vaultd_api.v1.backup_pb2 import BackupManifest

MAGIC = b"vaultd-backup-v1"
RESTORE_MAGIC = b"vaultd-rest-v1\0\0"
_ANCHOR_BYTES = 104
_PREFIX = ".restore-"


@dataclass(frozen=True, slots=True)
class Present:
    """What is in the way: vault id and generation; both empty where the store cannot be read."""

    vault_id: bytes
    generation: int
    readable: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What was done. `kept`: paths of what was there; `replaced`: its generation, 0 where there was none."""

    manifest: BackupManifest
    replaced: int
    kept: tuple[Path, ...]


def restore(config: Config, stream: BinaryIO, *, over_newer: bool = False, replace_vault: bool = False) -> Report:
    """Restores the backup that `stream` holds, decrypted.

    Args:
        config: Whose store.
        stream: From its first byte to its end.
        over_newer: Whether it may replace a store that has gone on since.
        replace_vault: Whether it may replace the store of another vault, or one that cannot be read.

    Raises:
        StoreInUseError: vaultd is running.
        BackupInvalidError: It is no whole backup.
        StoreTooNewError: A newer vaultd made it.
        RestoreRefusedError: One of the two flags is needed.
        StoreFullError, StoreUnavailableError: The disk says no. Whatever is raised, nothing was changed.
    """
    lock = database.lock_file(config.database)
    try:
        manifest = _header(stream)
        with _scratch(config.database.parent) as scratch:
            _receive(stream, manifest, scratch)
            _check(scratch, manifest)
            present = _present(config.database)
            _judge(present, manifest, over_newer=over_newer, replace_vault=replace_vault)
            with database.foreign_errors():
                kept = _swap(config, scratch, manifest, present)
    finally:
        os.close(lock)
    return Report(manifest, present.generation if present else 0, kept)


def _header(stream: BinaryIO) -> BackupManifest:
    head = stream.read(len(MAGIC) + 4)
    if not head.startswith(MAGIC):
        raise BackupInvalidError("it is not a backup of vaultd" if len(head) >= len(MAGIC) else "it is cut off")
    length = int.from_bytes(head[len(MAGIC) :], "big")
    if len(head) < len(MAGIC) + 4 or length > limits.MAX_MANIFEST_BYTES:
        raise BackupInvalidError("its header is damaged")
    raw = stream.read(length)
    signature = stream.read(limits.SIGNATURE_BYTES)
    if len(raw) + len(signature) != length + limits.SIGNATURE_BYTES:
        raise BackupInvalidError("it is cut off")
    try:
        manifest = BackupManifest.FromString(raw)
    except DecodeError:
        raise BackupInvalidError("its header is damaged") from None
    newest = (("schema", manifest.schema_version, SCHEMA_VERSION), ("format", manifest.format_version, limits.FORMAT_VERSION))
    for name, found, supported in newest:
        if found > supported:
            facts = {"found": str(found), "supported": str(supported)}
            text = f"the backup was made by a newer vaultd ({name} {found}, this one knows {supported})"
            raise StoreTooNewError(text, metadata=facts)
    if len(manifest.anchor) != _ANCHOR_BYTES or len(manifest.store_sha256) != 32 or not manifest.generation:
        raise BackupInvalidError("its header is damaged")
    return manifest


@contextlib.contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """Yields the path of the store to be; removes what is left of it, and what a killed restore left."""
    with database.foreign_errors():
        for old in directory.glob(f"{_PREFIX}*"):
            old.unlink()
    path = directory / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _receive(stream: BinaryIO, manifest: BackupManifest, path: Path) -> None:
    hashed = hashlib.sha256()
    left = manifest.store_bytes
    with database.foreign_errors():
        if shutil.disk_usage(path.parent).free < left + limits.COPY_ROOM_BYTES:
            raise StoreFullError("the disk of the store has no room for the backup")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            while left and (piece := stream.read(min(left, limits.BACKUP_CHUNK_BYTES))):
                hashed.update(piece)
                file.write(piece)
                left -= len(piece)
            if left:
                raise BackupInvalidError(f"it is cut off: {left} of {manifest.store_bytes} bytes of the store are missing")
            if stream.read(1):
                raise BackupInvalidError("there is something after its end")
            if hashed.digest() != manifest.store_sha256:
                raise BackupInvalidError("it is damaged: its bytes are not those that its header names")
            file.flush()
            os.fsync(file.fileno())


def _check(path: Path, manifest: BackupManifest) -> None:
    """Raises BackupInvalidError unless the file is a sound store of that vault and generation."""
    try:
        with (
            database.foreign_errors(),
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection,
        ):
            if connection.execute("PRAGMA application_id").fetchone()[0] != database.APPLICATION_ID:
                raise StoreDamagedError
            if connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
                database.check_pages(connection)
            vault, integrity = queries.vault(connection), queries.integrity(connection)
    except StoreDamagedError:
        raise BackupInvalidError("the store in it is damaged") from None
    found = [(each.row.vault_id, each.row.identity) for each in vault]
    if found != [(manifest.vault_id, manifest.identity)] or [each.generation for each in integrity] != [manifest.generation]:
        raise BackupInvalidError("the store in it is not the one that its header names")


def _present(path: Path) -> Present | None:
    """Returns what is in the way; None where there is nothing to lose. The lock is ours."""
    with database.foreign_errors():
        if not os.path.lexists(path) or not path.stat().st_size:
            return None
    try:
        opened = database.open_database(path)
    except (StoreDamagedError, StoreTooNewError):
        return Present(b"", 0, readable=False)
    try:
        with database.foreign_errors():
            vault, integrity = queries.vault(opened.conn), queries.integrity(opened.conn)
    except StoreDamagedError:
        return Present(b"", 0, readable=False)
    finally:
        database.close_database(opened)
    if not vault and not integrity:
        return None
    if len(vault) != 1 or len(integrity) != 1:
        return Present(b"", 0, readable=False)
    return Present(vault[0].row.vault_id, integrity[0].generation, readable=True)


def _judge(present: Present | None, manifest: BackupManifest, *, over_newer: bool, replace_vault: bool) -> None:
    if present is None:
        return
    facts = {"generation": str(present.generation), "backup": str(manifest.generation)}
    if not present.readable:
        if not replace_vault:
            text = "the store that is there cannot be read, so nobody knows whether it is older: --replace-vault puts it aside"
            raise RestoreRefusedError(text, metadata=facts)
        return
    if present.vault_id != manifest.vault_id:
        if not replace_vault:
            raise RestoreRefusedError("another vault is there: --replace-vault puts it aside", metadata=facts)
        return
    if present.generation > manifest.generation and not over_newer:
        lost = present.generation - manifest.generation
        text = f"the store that is there is newer, by {lost} changes: --over-newer puts it aside"
        raise RestoreRefusedError(text, metadata=facts)


def _swap(config: Config, scratch: Path, manifest: BackupManifest, present: Present | None) -> tuple[Path, ...]:
    """Keeps what is there, then the anchor, then the store: cut off in between, the old store still opens."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = []
    for suffix in ("", "-wal", "-shm"):
        path = config.database.with_name(config.database.name + suffix)
        if path.exists():
            aside = _aside(path, stamp)
            if suffix:
                path.rename(aside)  # it must not be taken for that of the new store
            else:
                os.link(path, aside)
            kept.append(aside)
    if config.anchor.exists():
        aside = _aside(config.anchor, stamp)
        os.link(config.anchor, aside)
        kept.append(aside)
    replaced = present.generation if present else 0
    anchor.write(config.anchor, RESTORE_MAGIC + replaced.to_bytes(8, "big") + manifest.anchor)
    scratch.rename(config.database)
    directory = os.open(config.database.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return tuple(kept)


def _aside(path: Path, stamp: str) -> Path:
    """Returns a name beside a file that nothing has yet."""
    for number in range(100):
        aside = path.with_name(f"{path.name}.before-restore-{stamp}" + (f"-{number}" if number else ""))
        if not os.path.lexists(aside):
            return aside
    raise StoreUnavailableError(f"too many {path.name}.before-restore-{stamp} in {path.parent}")


def become_owner(config: Config, user: int | None) -> None:
    """Has root go on as the owner of the store, so that every file is his; makes the directories where there are none.

    Args:
        config: Whose store.
        user: The uid that the daemon runs as in system mode; None in user mode.
    """
    if os.geteuid() != 0:
        return
    with database.foreign_errors():
        for directory in (config.database.parent, config.anchor.parent):
            if not directory.exists():
                directory.mkdir(mode=0o700, parents=True)
                if user is not None:
                    os.chown(directory, user, user)
        facts = config.database.parent.stat()
        if facts.st_uid != 0:
            os.setgroups([])
            os.setresgid(facts.st_gid, facts.st_gid, facts.st_gid)
            os.setresuid(facts.st_uid, facts.st_uid, facts.st_uid)


def document(report: Report) -> dict[str, object]:
    """Returns what `vaultd restore` prints."""
    return {
        "vault_id": report.manifest.vault_id.hex(),
        "generation": report.manifest.generation,
        "replaced": report.replaced,
        "kept": [str(path) for path in report.kept],
    }


def failure(error: VaultError) -> dict[str, object]:
    """Returns what `vaultd restore` prints of an error."""
    return {"error": error.to_wire()}
