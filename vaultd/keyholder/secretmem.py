"""Memory for keys and decrypted plaintext, and the wiping of it.

Threat: secrets in ordinary memory are read through /proc/PID/mem or process_vm_readv, written to swap, to a core file
or to a hibernation image, and stay behind in freed blocks. Measure: one memfd_secret(2) mapping, which the kernel takes
out of its own direct map, so not even root reads it from outside, and clears when it goes; a buffer in it is wiped when
it is closed. Limit: root can still run code inside the process; whatever a library copies out of a buffer is outside;
a processor register or cache is beyond reach. Where the kernel lacks memfd_secret, the fallback is anonymous memory
that is locked and kept out of core files and forks: then root can read it.
"""

import ctypes
import errno
import functools
import mmap
import os
import sys
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self

from vaultd.errors import OutOfMemoryError
from vaultd.keyholder.seccomp import syscall
from vaultd.limits import KIB, SECRET_ALIGNMENT
from vaultd.model import Check

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.mlock.restype = ctypes.c_int
_libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_MAP_FIXED: Final = 0x10
_BYTES_HEADER: Final = bytes.__basicsize__ - 1
"""Offset of the content in a bytes object; the last byte of the basic size is the closing NUL."""
_BYTES_HOLDERS: Final = 3
"""References to an argument that the caller alone holds: its variable, the parameter, getrefcount's own."""


def wipe(buffer: "WriteableBuffer") -> None:
    """Zeroes a writable, contiguous buffer in place.

    Raises:
        TypeError: The buffer is read-only or not contiguous; nothing was wiped.
    """
    with memoryview(buffer) as view:
        if view.nbytes:
            with view.cast("B") as flat:
                flat[:] = bytes(flat.nbytes)


def wipe_bytes(value: bytes) -> None:
    """Zeroes a bytes object, which Python holds to be immutable, in place.

    Danger: whoever else holds the object sees it change, and a dict or set that has it as a key breaks. Therefore only
    for what a library just returned, held in one variable of the caller. Objects of length 0 and 1 are left alone:
    there is one of each in the whole interpreter.

    Raises:
        TypeError: Not exactly a bytes object.
        ValueError: Somebody else holds it as well, as a code object holds its constants; nothing was wiped.
    """
    if type(value) is not bytes:
        raise TypeError("wipe_bytes takes bytes")
    if len(value) <= 1:
        return
    if sys.getrefcount(value) > _BYTES_HOLDERS:
        raise ValueError("the bytes have another holder")
    ctypes.memset(id(value) + _BYTES_HEADER, 0, len(value))


class SecretMemory:
    """One mapping that buffers for secrets are cut from, first fit, 16-byte aligned.

    Must be made before `seal`. Safe to use from several threads.

    Attributes:
        check: `secret_memory`; not ok where the fallback is in force.

    Args:
        size: Bytes; rounded up to whole pages. Counts against RLIMIT_MEMLOCK.

    Raises:
        ValueError: Size is not positive.
    """

    __slots__ = ("__weakref__", "_buffers", "_lock", "_region", "_size", "_used", "_view", "check")

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("size must be positive")
        self._size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        # Python's own mapping reserves the addresses and counts the views on them, so it refuses to go while one is
        # in use; the secret pages are then put in its place. mmap.mmap of the memfd itself would keep a descriptor,
        # and with that one root could map the pages elsewhere (pidfd_getfd(2)).
        self._region = mmap.mmap(-1, self._size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.check = _protect(ctypes.addressof(ctypes.c_char.from_buffer(self._region)), self._region, self._size)
        self._view = memoryview(self._region)
        self._lock = threading.Lock()
        self._used: dict[int, int] = {}
        self._buffers: weakref.WeakValueDictionary[int, SecretBuffer] = weakref.WeakValueDictionary()

    def allocate(self, length: int) -> "SecretBuffer":
        """Returns a zeroed buffer of `length` bytes.

        Raises:
            ValueError: Length is not positive.
            OutOfMemoryError: No gap is large enough.
        """
        if length < 1:
            raise ValueError("length must be positive")
        rounded = -(-length // SECRET_ALIGNMENT) * SECRET_ALIGNMENT
        with self._lock:
            offset = 0
            # A copy, which is atomic: a buffer that is collected meanwhile takes itself out of the dict.
            for start, taken in sorted(self._used.copy().items()):
                if start - offset >= rounded:
                    break
                offset = start + taken
            if offset + rounded > self._size:
                raise OutOfMemoryError("the secret memory is full")
            give_back = functools.partial(self._used.pop, offset)
            buffer = SecretBuffer(self._view[offset : offset + length], give_back)
            self._used[offset] = rounded
            self._buffers[offset] = buffer
        return buffer

    def close(self) -> None:
        """Closes every buffer, wipes everything and gives the mapping back. Safe to call twice.

        Raises:
            BufferError: A view taken from a buffer is still in use; all is wiped, the mapping stays.
        """
        if self._region.closed:
            return
        wipe(self._region)
        for buffer in list(self._buffers.values()):
            buffer.close()
        self._view.release()
        self._region.close()

    def __repr__(self) -> str:
        return f"<SecretMemory of {self._size} bytes>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SecretMemory is neither copied nor pickled")


class SecretBuffer:
    """A piece of secret memory: wiped, then given back, when closed, left as a context manager, or collected.

    It has a length and a `view`, and nothing that would copy its content by accident.
    """

    __slots__ = ("__weakref__", "_give_back", "_length", "_open", "_view")

    def __init__(self, view: memoryview, give_back: Callable[[], object]) -> None:
        """Made by `SecretMemory.allocate` only."""
        self._give_back = give_back
        self._length = len(view)
        self._open = True
        self._view = view

    @property
    def view(self) -> memoryview:
        """The content, writable; released by `close`. No slice of it may be used after that: its place is reused."""
        return self._view

    def close(self) -> None:
        """Wipes the content, then gives the place back. Safe to call twice.

        Raises:
            BufferError: Another object still exports the view; it is wiped, the place is not given back.
        """
        if not self._open:
            return
        wipe(self._view)
        self._view.release()
        self._open = False
        self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<SecretBuffer of {self._length} bytes>"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("compare the views of secrets with hmac.compare_digest")

    __hash__ = None  # type: ignore[assignment]

    def __bytes__(self) -> NoReturn:
        raise TypeError("bytes() would copy the secret into ordinary memory")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SecretBuffer is neither copied nor pickled")


def _protect(address: int, region: mmap.mmap, size: int) -> Check:
    """Puts the best pages the kernel has in the place of `region`, and touches them so that none is missing later."""
    try:
        _map_secret(address, size)
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "error")
        # A MAP_FIXED that failed may have left a hole.
        _map(address, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
        locked = _libc.mlock(address, size) == 0 or errno.errorcode.get(ctypes.get_errno(), "error")
        region.madvise(mmap.MADV_DONTDUMP)
        detail = f"no memfd_secret ({reason}); anonymous memory, out of core files and forks, "
        check = Check("secret_memory", False, detail + ("locked" if locked is True else f"not locked ({locked})"))
    else:
        check = Check("secret_memory", True, f"memfd_secret, {size // KIB} KiB")
    region.madvise(mmap.MADV_DONTFORK)
    wipe(region)
    return check


def _map_secret(address: int, size: int) -> None:
    # The flag is O_CLOEXEC; FD_CLOEXEC, which the manual names, is refused with EINVAL.
    descriptor = syscall("memfd_secret", os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        _map(address, size, mmap.MAP_SHARED, descriptor)
    finally:
        os.close(descriptor)


def _map(address: int, size: int, flags: int, descriptor: int) -> None:
    found = _libc.mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags | _MAP_FIXED, descriptor, 0)
    if found != address:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
