"""Overwrites a file and takes it away.

Threat: the keys are in the vault, and still in the file. Measure: the file that was read, and no other, is overwritten
and unlinked. Limit: what a journaling or copy-on-write file system, an SSD, a backup or a repository keeps of it is out
of reach. `PROMISE` says so to the person.
"""

import os
import secrets
import stat

from vaultd_client.errors import InvalidError
from vaultd_client.imports.source import Source, Stamp

PROMISE = (
    "It was overwritten and removed. That is no promise: journaling and copy-on-write file systems, SSDs, backups and "
    "git may keep what it held. Sure are only new keys from the exchange."
)
_PIECE_BYTES = 64 * 1024


def obstacle(source: Source) -> str:
    """Returns why a file is not to be shredded; empty where it may be."""
    if source.path is None or source.stamp is None:
        return "it came over a pipe"
    if os.path.islink(source.path):
        return f"{source.path} is a link; the file itself is {os.path.realpath(source.path)}"
    try:
        status = os.lstat(source.path)
    except OSError:
        return f"{source.path} is not there any more"
    if Stamp.of(status) != source.stamp:
        return f"{source.path} was changed since it was read"
    if status.st_nlink > 1:
        return f"{source.path} has {status.st_nlink} names (hard links), and all would lose what it holds"
    return ""


def shred(source: Source) -> None:
    """Overwrites the file that was read with random bytes, truncates it and unlinks it.

    Raises:
        InvalidError: `obstacle` says no, or the system does. It says how far it came.
    """
    reason = obstacle(source)
    if reason or source.path is None:
        raise InvalidError(f"not shredded: {reason}", hint="remove it yourself")
    done = "it is unchanged"
    try:
        descriptor = os.open(source.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if Stamp.of(status) != source.stamp or not stat.S_ISREG(status.st_mode):
                raise InvalidError(f"not shredded: {source.path} was exchanged meanwhile", hint="remove it yourself")
            done = "it may be overwritten in part"
            for start in range(0, status.st_size, _PIECE_BYTES):
                _write(descriptor, secrets.token_bytes(min(_PIECE_BYTES, status.st_size - start)))
            os.fsync(descriptor)
            done = "it is overwritten, and still there"
            os.ftruncate(descriptor, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.unlink(source.path)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InvalidError(f"{source.path} could not be shredded: {reason}; {done}", hint="remove it yourself") from None


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
