"""Listening unix sockets: bound safely at a path, or taken over from systemd.

The threats are a planted entry at the path (file, symlink, directory, another owner's socket), a swap between a check
and the use of what was checked, and a second daemon. The measures: every step works on descriptors or on fresh random
names in a directory that nobody else may write; nothing is ever followed; an entry is only replaced after it was found
to be a dead socket of ours *and* was found again to be that very one once out of the way. The limit: root, and
processes of our own uid, may write the directory; they can stop us, but not make us touch what is not ours.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from vaultd import limits
from vaultd.errors import ConfigInvalidError, SocketOccupiedError

_HANDLE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
"""rename(2), flags of renameat2."""
_Identity = tuple[int, int]
"""Device and inode number: which entry it is, for as long as a descriptor keeps it from being reused."""
_LISTEN_FDS_START: Final = 3
"""sd_listen_fds(3)."""


class BoundSocket(socket.socket):
    """A socket bound by `bind_public`. As long as it is open, it holds the lock of its path."""

    lock: FileIO

    def close(self) -> None:
        """Closes the socket and gives up the lock. The path stays; the next `bind_public` replaces it."""
        super().close()
        self.lock.close()


def bind_public(path: Path, mode: int, *, gid: int | None = None) -> BoundSocket:
    """Returns a stream socket bound at `path`, not yet listening, with exactly `mode` whatever the umask.

    The parent directory is created (0755) where it is missing; it must belong to us or to root and be writable by
    nobody else, so /tmp itself is refused. A dead socket of ours at `path` is replaced; nothing else is.
    `path`.lock is held with flock as long as the socket is open, so that two daemons never both replace. getsockname()
    names the entry it was bound at before it was moved to `path`: never stat or unlink what it says.

    Args:
        path: Where clients connect; at most `limits.MAX_SOCKET_PATH_BYTES` bytes.
        mode: Permission bits of the socket.
        gid: Group of the socket; None leaves it to the directory.

    Raises:
        SocketOccupiedError: Another daemon has the path, or what is there is not a socket of ours. It was not touched.
        ConfigInvalidError: The path is too long, or the directory is not safe.
        OSError: The directory cannot be written, or there is no /proc.
    """
    if len(os.fsencode(path)) > limits.MAX_SOCKET_PATH_BYTES:
        raise ConfigInvalidError(f"{path} is longer than the {limits.MAX_SOCKET_PATH_BYTES} bytes a socket may have")
    with _directory(path.parent, 0o755) as directory:
        lock = _take_lock(directory, path)
        sock = BoundSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.lock = lock
        try:
            with _dead_socket(directory, path) as dead:
                _bind_at(sock, directory, path, dead, mode, gid)
        except BaseException:
            sock.close()
            raise
    return sock


def private_directory(path: Path) -> None:
    """Creates `path` for our uid alone (0700), or makes sure that it is so.

    Raises:
        ConfigInvalidError: It exists, and others may enter it or own it.
    """
    with _directory(path, 0o700) as directory:
        found = os.fstat(directory)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ConfigInvalidError(f"{path} must belong to this user alone (mode 0700)")


def adopt_systemd(name: str) -> socket.socket | None:
    """Returns the listening socket that systemd passed as FileDescriptorName=`name`, None where it passed none.

    sd_listen_fds(3). The environment is left as it is: a child process is not meant, its pid is not LISTEN_PID.

    Raises:
        ConfigInvalidError: The variables are malformed, two descriptors have the name, or the one that has it is not
            a listening stream unix socket.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    if not (count.isascii() and count.isdigit()) or int(count) != len(names):
        raise ConfigInvalidError("LISTEN_FDS and LISTEN_FDNAMES do not agree")
    if name not in names:
        return None
    if names.count(name) > 1:
        raise ConfigInvalidError(f"systemd passed more than one socket named {name}")
    descriptor = _LISTEN_FDS_START + names.index(name)
    refusal = ConfigInvalidError(f"what systemd passed as {name} is not a listening stream unix socket")
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise refusal from error
    kind = (sock.family, sock.type, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if kind != (socket.AF_UNIX, socket.SOCK_STREAM, 1):
        sock.detach()
        raise refusal
    return sock


@contextmanager
def _directory(path: Path, mode: int) -> Iterator[int]:
    """Opens the directory `path`, created with `mode` where it is missing; a handle on it is all that is used after.

    Its own parent must be safe as well if it is to be created there, or what was created could be swapped for another
    directory before it is opened. A sticky parent such as /tmp will do: it does not let others rename what is ours.
    """
    ours = (0, os.geteuid())
    try:
        parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigInvalidError(f"{path.parent} is not a directory") from error
    try:
        above = os.fstat(parent)
        swappable = above.st_mode & _WRITABLE_BY_OTHERS and not above.st_mode & stat.S_ISVTX
        created = False
        if above.st_uid in ours and not swappable:
            created = _make_directory(path.name, parent)
        try:
            directory = os.open(path.name or ".", _HANDLE | os.O_DIRECTORY, dir_fd=parent)
        except OSError as error:
            raise ConfigInvalidError(f"{path} is not a directory, and none can safely be created") from error
    finally:
        os.close(parent)
    try:
        found = os.fstat(directory)
        if found.st_uid not in ours or found.st_mode & _WRITABLE_BY_OTHERS:
            raise ConfigInvalidError(f"{path} must belong to this user or root, and nobody else may write it")
        if created:
            Path(f"/proc/self/fd/{directory}").chmod(mode)
        yield directory
    finally:
        os.close(directory)


def _make_directory(name: str, parent: int) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _take_lock(directory: int, path: Path) -> FileIO:
    name = f"{path.name}.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a planted FIFO must not hold us up
    try:
        lock = FileIO(os.open(name, flags, 0o600, dir_fd=directory), "r+")
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        raise SocketOccupiedError(f"{path}.lock is not a lock file of ours") from error
    found = os.fstat(lock.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        lock.close()
        raise SocketOccupiedError(f"{path}.lock is not a lock file of ours")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise SocketOccupiedError(f"{path} belongs to another running vaultd") from error
    os.fchmod(lock.fileno(), 0o600)
    return lock


@contextmanager
def _dead_socket(directory: int, path: Path) -> Iterator[_Identity | None]:
    """Finds a dead socket of ours at `path`; None where nothing is there.

    The entry stays open meanwhile, or else its inode number could be given to another entry, which would then pass for
    it. The probe is a datagram socket on purpose: it is refused (ECONNREFUSED) exactly where no socket at all is bound
    to the entry. A live stream socket answers otherwise even before it listens, and gets no connection from us.

    A live one is waited for a moment: the lock of the path is ours, so it is no other daemon's, but a keyholder that was
    just being started when its server was killed keeps it until it looks for its parent.
    """
    try:
        handle = os.open(path.name, _HANDLE, dir_fd=directory)
    except FileNotFoundError:
        yield None
        return
    try:
        found = os.fstat(handle)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise SocketOccupiedError(f"{path} is not a socket of ours")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            given_up = time.monotonic() + limits.ORPHAN_SECONDS
            while probe.connect_ex(f"/proc/self/fd/{handle}") != errno.ECONNREFUSED:
                if time.monotonic() > given_up:
                    raise SocketOccupiedError(f"{path} is in use by a running process")
                time.sleep(limits.ORPHAN_RETRY_SECONDS)
        yield found.st_dev, found.st_ino
    finally:
        os.close(handle)


def _bind_at(
    sock: socket.socket, directory: int, path: Path, dead: _Identity | None, mode: int, gid: int | None
) -> None:
    fresh = f".vaultd-{secrets.token_hex(8)}"
    os.fchmod(sock.fileno(), 0)  # the entry is born with the mode of the socket: nobody may connect until it is placed
    sock.bind(f"/proc/self/fd/{directory}/{fresh}")
    handle = os.open(fresh, _HANDLE, dir_fd=directory)
    try:
        found = os.fstat(handle)
        if not stat.S_ISSOCK(found.st_mode):
            raise SocketOccupiedError(f"{path.parent} is being changed by another process")
        if gid is not None:
            os.chown(f"/proc/self/fd/{handle}", -1, gid)
        Path(f"/proc/self/fd/{handle}").chmod(mode)
        _place(directory, fresh, path, dead)
    finally:
        left = _identity(directory, fresh)
        if left is not None and left in ((found.st_dev, found.st_ino), dead):
            os.unlink(fresh, dir_fd=directory)
        os.close(handle)


def _place(directory: int, fresh: str, path: Path, dead: _Identity | None) -> None:
    """Moves `fresh` to `path`, in place of `dead`, which then is at `fresh`; and in place of nothing else."""
    try:
        if dead is None:
            _renameat2(directory, fresh, path.name, _RENAME_NOREPLACE)
            return
        _renameat2(directory, fresh, path.name, _RENAME_EXCHANGE)
    except (FileExistsError, FileNotFoundError) as error:
        raise SocketOccupiedError(f"{path} is not a socket of ours") from error
    if _identity(directory, fresh) != dead:
        _renameat2(directory, fresh, path.name, _RENAME_EXCHANGE)
        raise SocketOccupiedError(f"{path} is not a socket of ours")


def _identity(directory: int, name: str) -> _Identity | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _renameat2(directory: int, source: str, target: str, flags: int) -> None:
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if rename(directory, os.fsencode(source), directory, os.fsencode(target), flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)
