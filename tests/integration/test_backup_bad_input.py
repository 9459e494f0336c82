"""Files that are no whole backup of this vault: each is refused for what it is, and nothing is changed."""

import io
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import backed_up
from tests.support.daemon import PASSPHRASE, Daemon, new_daemon
from tests.support.vaultctl import document
from vaultd import config as settings
from vaultd import limits, restore
from vaultd.errors import BackupInvalidError, StoreFullError, StoreTooNewError, VaultError
from vaultd.store.migrations import SCHEMA_VERSION
from vaultd_api.v1.backup_pb2 import BackupManifest
from vaultd_client import backups
from vaultd_client.errors import InvalidError


@pytest.fixture(scope="module")
def vault() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        yield backed_up.settled(daemon)


@pytest.fixture(scope="module")
def path(vault: Daemon) -> Path:
    return backed_up.make(vault)


@pytest.fixture(scope="module")
def whole(path: Path) -> bytes:
    return path.read_bytes()


@pytest.fixture
def host(daemon: Daemon) -> settings.Config:
    return settings.load(system=False, environment=daemon.environment)


def header_length(content: bytes) -> int:
    return len(backups.read_header(io.BytesIO(content)).raw)


def lengths(content: bytes) -> list[int]:
    """Every length that ends in the header or just after it, and then every so many bytes, up to the last."""
    at = header_length(content) + 512
    return [*range(at), *range(at, len(content), 1009), len(content) - 1]


def client_reads(content: bytes) -> None:
    stream = io.BytesIO(content)
    header = backups.read_header(stream)
    for _ in backups.whole(header, iter(lambda: stream.read(1 << 16), b"")):
        pass


def daemon_restores(host: settings.Config, content: bytes) -> restore.Report:
    return restore.restore(host, io.BytesIO(content))


def files(host: settings.Config) -> dict[str, bytes]:
    return backed_up.tree(host.database.parent, host.anchor.parent)


def test_a_whole_one_is_taken(host: settings.Config, whole: bytes) -> None:
    client_reads(whole)
    assert daemon_restores(host, whole).replaced == 0
    assert host.database.exists()


def test_one_that_is_cut_off_anywhere_is_refused_and_changes_nothing(host: settings.Config, whole: bytes) -> None:
    for length in lengths(whole):
        with pytest.raises(BackupInvalidError):
            daemon_restores(host, whole[:length])
        with pytest.raises(InvalidError):
            client_reads(whole[:length])
    assert files(host) == {}


def test_one_with_a_flipped_bit_is_refused(host: settings.Config, whole: bytes) -> None:
    end = header_length(whole)
    for at in [*range(end), *range(end, len(whole), 499)]:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(InvalidError):
            client_reads(bytes(flipped))
        if at >= end:
            with pytest.raises(BackupInvalidError):
                daemon_restores(host, bytes(flipped))
    assert files(host) == {}


def test_one_with_something_after_its_end_is_refused(host: settings.Config, whole: bytes) -> None:
    with pytest.raises(BackupInvalidError, match="after its end"):
        daemon_restores(host, whole + b"\0")
    with pytest.raises(InvalidError, match="after its end"):
        client_reads(whole + b"\0")


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + bytes(4096), bytes(100_000)])
def test_what_is_not_a_backup_is_called_that(vault: Daemon, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no-backup"
    path.write_bytes(content)
    for command in (("restore",), ("verify", "--passphrase-fd", "0")):
        refused = backed_up.refusal(vault, "backup", command[0], str(path), *command[1:], given=PASSPHRASE)
        assert refused["error"] == "backup_invalid"
        assert "not a backup of vaultd" in refused["error_description"]


def test_a_file_that_is_not_there_is_named(vault: Daemon) -> None:
    refused = backed_up.refusal(vault, "backup", "verify", "/nowhere/backup")
    assert refused["error"] == "no_file"
    assert "/nowhere/backup" in refused["error_description"]


@pytest.mark.parametrize(("name", "newer"), [("schema_version", SCHEMA_VERSION + 1), ("format_version", limits.FORMAT_VERSION + 1)])
def test_one_of_a_newer_vaultd_is_refused_as_that(host: settings.Config, whole: bytes, name: str, newer: int) -> None:
    start = len(backups.MAGIC) + 4
    manifest = BackupManifest.FromString(whole[start : start + int.from_bytes(whole[start - 4 : start], "big")])
    rest = whole[start + manifest.ByteSize() :]
    setattr(manifest, name, newer)
    raw = manifest.SerializeToString()
    with pytest.raises(StoreTooNewError, match="newer vaultd"):
        daemon_restores(host, backups.MAGIC + len(raw).to_bytes(4, "big") + raw + rest)
    assert files(host) == {}


def test_a_store_that_its_header_does_not_name_is_refused(host: settings.Config, whole: bytes, tmp_path: Path) -> None:
    """Somebody who can make a header, such as the server, names a generation that the store in it has not."""
    start = len(backups.MAGIC) + 4
    manifest = BackupManifest.FromString(whole[start : start + int.from_bytes(whole[start - 4 : start], "big")])
    rest = whole[start + manifest.ByteSize() :]
    manifest.generation += 1
    raw = manifest.SerializeToString()
    with pytest.raises(BackupInvalidError, match="not the one that its header names"):
        daemon_restores(host, backups.MAGIC + len(raw).to_bytes(4, "big") + raw + rest)
    assert files(host) == {}


def test_rows_that_were_changed_under_a_new_header_are_found_by_verify(vault: Daemon, whole: bytes, tmp_path: Path) -> None:
    """The signature would give the header away; this is about the rows, so the forged file is opened past it."""
    stream = io.BytesIO(whole)
    header = backups.read_header(stream)
    forged = tmp_path / "forged.db"
    forged.write_bytes(stream.read())
    connection = sqlite3.connect(forged)
    connection.execute("UPDATE grants SET configuration = '*' WHERE configuration = 'read'")
    connection.commit()
    connection.close()
    manifest = BackupManifest.FromString(header.raw[len(backups.MAGIC) + 4 : -64])
    import hashlib

    manifest.store_bytes = forged.stat().st_size
    manifest.store_sha256 = hashlib.sha256(forged.read_bytes()).digest()
    raw = manifest.SerializeToString()
    content = backups.MAGIC + len(raw).to_bytes(4, "big") + raw + bytes(64) + forged.read_bytes()
    with pytest.raises(InvalidError):
        client_reads(content)
    with new_daemon() as host:
        assert backed_up.restore_program(host, content).returncode == 0
        host.start()
        with pytest.raises(Exception, match="changed outside vaultd"):
            host.unlock()


def test_an_encrypted_one_that_is_cut_off_or_flipped_does_not_decrypt(vault: Daemon, tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    recipient = document(vault, "backup", "keygen", str(identity))["recipient"]
    content = backed_up.make(vault, f"{tmp_path.name}.age", "--recipient", recipient).read_bytes()
    damaged = tmp_path / "damaged.age"
    half = len(content) // 2
    for bad in (content[:-1], content[:half], content[:300], content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]):
        damaged.write_bytes(bad)
        options = ("--identity", str(identity), "--passphrase-fd", "0")
        refused = backed_up.refusal(vault, "backup", "verify", str(damaged), *options, given=PASSPHRASE)
        assert refused["error"] == "backup_invalid", refused


def test_no_room_for_a_restore_is_said_before_anything_is_changed(
    host: settings.Config, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, len(whole)))
    with pytest.raises(StoreFullError, match="no room"):
        daemon_restores(host, whole)
    assert files(host) == {}


def test_a_disk_that_says_no_in_the_middle_changes_nothing(host: settings.Config, whole: bytes) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 40_000:
                raise OSError(28, "No space left on device")
            return super().read(min(size or 0, 4096))

    with pytest.raises(VaultError):
        restore.restore(host, Broken(whole))
    assert files(host) == {}


def test_a_wrong_recipient_is_said_before_the_vault_is_asked(vault: Daemon) -> None:
    with vault.admin() as admin:
        before = admin.audit(limit=1)[0].sequence
        refused = backed_up.refusal(vault, "backup", str(vault.home / "never"), "--recipient", "age1nonsense")
        assert "recipient" in refused["error_description"]
        assert admin.audit(limit=1)[0].sequence == before
