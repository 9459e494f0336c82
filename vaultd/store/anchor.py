"""The anchor file: the generation that the store must have reached, kept outside the database.

The keyholder makes and checks the bytes; here they are only kept. Whoever restores database *and* anchor together is not
noticed: keep them on different media, or watch the audit head.
"""

import os
from pathlib import Path

from vaultd.errors import StoreUnavailableError

_MAX_BYTES = 4096


def read(path: Path) -> bytes | None:
    """Returns the content, None where there is no file; StoreUnavailableError where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        raise StoreUnavailableError(f"the anchor {path} cannot be read") from None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MAX_BYTES)


def write(path: Path, content: bytes) -> None:
    """Replaces the file as one step that survives a power cut; OSError where that fails, with the old one in place."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
