"""Landlock: the second fence around a sealed keyholder, for what a seccomp filter cannot see.

Threat: a path, an address or a signal reaches the kernel through a call the allowlist has to let pass, or the filter
has a defect. Measure: an empty Landlock ruleset: every right it knows is handled and none granted, so nothing can be
opened, made, removed or executed, no port bound or connected, no abstract socket outside reached and no process outside
signalled (landlock(7), include/uapi/linux/landlock.h). Limit: descriptors that are open keep working, it does not cover
socket(), stat() or fork(), and it binds the calling thread and what comes from it only.
"""

import ctypes
import os
import struct
from dataclasses import dataclass
from typing import Final

from vaultd.keyholder.seccomp import syscall

_CREATE_RULESET_VERSION: Final = 1
_FILESYSTEM: Final = {1: 0x1FFF, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15, 9: 1 << 16}
"""LANDLOCK_ACCESS_FS_*: EXECUTE to MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV, RESOLVE_UNIX; by the ABI that brought them."""
_NETWORK: Final = {4: 0x3, 10: 0xC}
"""LANDLOCK_ACCESS_NET_*: BIND_TCP and CONNECT_TCP, then BIND_UDP and CONNECT_SEND_UDP."""
_SCOPE: Final = {6: 0x3}
"""LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET and LANDLOCK_SCOPE_SIGNAL."""


@dataclass(frozen=True)
class Ruleset:
    """What an empty ruleset refuses at one ABI level of the kernel; 0 where the level does not know the kind."""

    abi: int
    filesystem: int
    network: int
    scope: int


def ruleset_for(abi: int) -> Ruleset:
    """Returns all rights known at the kernel's ABI level `abi`; a kernel refuses a ruleset with rights it lacks."""

    def known(rights: dict[int, int]) -> int:
        return sum(bits for level, bits in rights.items() if level <= abi)

    return Ruleset(abi, known(_FILESYSTEM), known(_NETWORK), known(_SCOPE))


def restrict() -> Ruleset:
    """Puts the calling thread, and threads it starts later, under an empty ruleset for good. Needs no_new_privs.

    Returns:
        What is refused from now on.

    Raises:
        OSError: ENOSYS, EOPNOTSUPP: the kernel has no Landlock or it is switched off at boot.
    """
    ruleset = ruleset_for(syscall("landlock_create_ruleset", 0, 0, _CREATE_RULESET_VERSION))
    # An older kernel accepts the longer struct landlock_ruleset_attr as long as what it does not know is zero.
    attributes = struct.pack("=QQQ", ruleset.filesystem, ruleset.network, ruleset.scope)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    descriptor = syscall("landlock_create_ruleset", ctypes.addressof(buffer), len(attributes), 0)
    try:
        syscall("landlock_restrict_self", descriptor, 0)
    finally:
        os.close(descriptor)
    return ruleset
