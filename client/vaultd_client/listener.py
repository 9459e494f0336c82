"""Who listens at a unix socket, and whether a secret may be told to him."""

import os
import pwd
import socket
import stat
import struct
from pathlib import Path

from vaultd_client.errors import UntrustedVaultError

_CREDENTIALS = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7))."""


KEYHOLDER_USER = "vaultd-keyholder"
"""Whom the keyholder runs as where it is a unit of its own."""


def listener_uid(connection: socket.socket) -> int:
    """Returns the effective uid of the process that called listen(), by the kernel (SO_PEERCRED, unix(7))."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)


def check_listener(connection: socket.socket, path: Path) -> None:
    """Returns when the listener may hear a secret.

    That is root, this very user, the owner of the vault's runtime directory, or, where that directory is root's alone,
    the user that the keyholder's unit runs as.

    Threat: another user listens where the keyholder should, and is told the passphrase; in system mode, a server that
    was taken over does. Measure: the kernel says who listens, and what the directory says of it counts only where
    nobody but root can have put the directory there. Limit: a process of the same user, or of the vault's user, is not
    told apart from the keyholder.

    Raises:
        UntrustedVaultError: Somebody else listens.
    """
    uid = listener_uid(connection)
    owner = owner_set_by_root(path.parent)
    if uid in {0, os.geteuid()} or uid == owner or (owner == 0 and uid == _keyholder_uid()):
        return
    raise UntrustedVaultError(f"uid {uid} listens at {path}, who is not the vault's owner", metadata={"uid": str(uid)})


def _keyholder_uid() -> int | None:
    try:
        return pwd.getpwnam(KEYHOLDER_USER).pw_uid
    except KeyError:
        return None


def owner_set_by_root(directory: Path) -> int | None:
    """Returns the owner of a directory; None where another user than root can have made, moved or replaced it."""
    try:
        real = directory.resolve(strict=True)
        facts = real.stat()
        above = [parent.stat() for parent in real.parents]
    except OSError:
        return None
    if any(parent.st_uid != 0 or parent.st_mode & (stat.S_IWGRP | stat.S_IWOTH) for parent in above):
        return None
    return None if facts.st_mode & stat.S_IWOTH else facts.st_uid
