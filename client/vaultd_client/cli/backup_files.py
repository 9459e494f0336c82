"""Files of backups: written whole or not at all, never over another, and the old ones of a directory put away."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vaultd_client.backups import Manifest
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.files import sync_directory

_NAME = "vaultd-{vault}-{time}-{generation}.backup{age}"


def name_of(manifest: Manifest, *, encrypted: bool) -> str:
    """Returns the name of a backup in a directory of backups; by name is by time."""
    return _NAME.format(
        vault=manifest.pin.vault_id.hex()[:8],
        time=manifest.time.strftime("%Y%m%dT%H%M%SZ"),
        generation=manifest.generation,
        age=".age" if encrypted else "",
    )


def of_vault(directory: Path, manifest: Manifest) -> list[Path]:
    """Returns the backups of a vault that `name_of` has named, oldest first."""
    vault = manifest.pin.vault_id.hex()[:8]
    pattern = re.compile(rf"vaultd-{vault}-(\d{{8}}T\d{{6}}Z)-(\d+)\.backup(\.age)?")
    found = [(match[1], int(match[2]), path) for path in directory.iterdir() if (match := pattern.fullmatch(path.name))]
    return [path for _, _, path in sorted(found)]


def prune(made: Path, manifest: Manifest, keep: int) -> list[Path]:
    """Removes all backups of a vault beside `made` but that one and the newest others, `keep` in all; returns what it removed.

    `made` is not looked for by its name: others are of a later time where the clock was ahead once.
    """
    others = [path for path in of_vault(made.parent, manifest) if path.name != made.name]
    old = others[: max(0, len(others) - (keep - 1))]
    for path in old:
        path.unlink()
    return old


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Yields a file that stands at `path` when the body has ended well, synced, 0600; nothing of it stays otherwise.

    Raises:
        Failure: There is a file already, or the disk says no.
    """
    if not overwrite:
        require_new(path)
    scratch = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                scratch.replace(path)
            else:
                _move_new(scratch, path)
        finally:
            with suppress(FileNotFoundError):
                scratch.unlink()
        sync_directory(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        text = f"{path}: {os.strerror(error.errno or 0)}"
        raise Failure(text, "choose a place that you may write and that has room", code=ExitCode.STORE, reason="no_file") from None


def _move_new(scratch: Path, path: Path) -> None:
    """Gives a file its name; FileExistsError where somebody was faster."""
    try:
        os.link(scratch, path)
    except PermissionError:
        # What link(2) says where the file system has no links: FAT and exFAT, so most sticks. An empty file holds the name.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        scratch.replace(path)


def require_new(path: Path) -> None:
    """Raises Failure where there is something at a path."""
    if os.path.lexists(path):
        raise _exists(path)


def is_directory(path: Path) -> bool:
    """Says whether a path is a directory, whose backups get names of their own."""
    with suppress(OSError):
        return stat.S_ISDIR(path.stat().st_mode)
    return False


def _exists(path: Path) -> Failure:
    return Failure(f"{path} exists", "choose another name, a directory, or add --force", code=ExitCode.CONFLICT, reason="exists")
