"""What may leave the memory: swap and core files.

The daemon's keys are in memfd_secret and it leaves no core (`kernel.py` says where that does not hold). What is left is
what the daemon cannot help: buffers of Python that are swapped, and the bots, which have plaintext in their memory.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from vaultd_client.doctor.finding import Finding, error, ok, skipped, warning
from vaultd_client.doctor.places import Places

KEYHOLDER_UNIT = "vaultd-keyholder.service"
_OFF = "sudo swapoff --all, and its line out of /etc/fstab; or encrypt it: crypttab(5), option swap"
_HONOURS_LIMIT = ("systemd-coredump", "apport")
"""Handlers of core files that leave none where the limit is 0, which the kernel itself does not see to for a pipe."""


def swap(places: Places) -> Iterator[Finding]:
    """No swap, or an encrypted one, or a keyholder that is never swapped."""
    try:
        lines = (places.proc / "swaps").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        yield skipped("swap", f"{places.proc}/swaps cannot be read")
        return
    used = [line.split()[0].replace("\\040", " ") for line in lines if line.strip()]
    open_ = [each for each in used if not _encrypted(places, Path(each))]
    if not used:
        yield ok("swap", "there is none")
    elif not open_:
        yield ok("swap", f"{', '.join(used)}: encrypted, or memory itself")
    elif places.system and _swap_max(places) == "0":
        yield ok("swap", f"{', '.join(open_)} is not encrypted, but the keyholder is never swapped (MemorySwapMax=0)")
    else:
        reason = f"{', '.join(open_)} is not encrypted: memory of vaultd and of bots may be on the disk"
        yield warning("swap", reason, _OFF)


def unit_swap(places: Places) -> Iterator[Finding]:
    """The keyholder's unit has MemorySwapMax=0, and the kernel has the controller that sees to it."""
    if not places.system:
        yield ok("unit memory", "vaultd is no system service here; its keys are in memory that is never swapped")
        return
    found = _swap_max(places)
    fix = "sudo vaultctl system install; a drop-in may have changed it: systemctl cat vaultd-keyholder"
    if found is None:
        yield warning(
            "unit memory",
            f"the kernel does not limit the swap of {KEYHOLDER_UNIT}: it does not run, or there is no memory controller",
            "systemctl status vaultd-keyholder; cat /sys/fs/cgroup/cgroup.controllers",
        )
    elif found != "0":
        yield error("unit memory", f"{KEYHOLDER_UNIT} may be swapped (memory.swap.max is {found})", fix)
    else:
        yield ok("unit memory", f"{KEYHOLDER_UNIT} is never swapped")


def core_files(places: Places) -> Iterator[Finding]:
    """Programs of this user leave no core files: a bot's holds the keys that it has revealed."""
    try:
        pattern = (places.proc / "sys/kernel/core_pattern").read_text(encoding="utf-8").strip()
        # Of the shell that started us: vaultctl itself has set its own to 0 already.
        limits = (places.proc / str(os.getppid()) / "limits").read_text(encoding="utf-8")
    except OSError:
        yield skipped("core files", f"{places.proc} does not say")
        return
    limit = next((line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size")), "0")
    handler = Path(pattern[1:].split()[0]).name if pattern.startswith("|") and pattern[1:].split() else ""
    if limit == "0" and (not pattern.startswith("|") or handler in _HONOURS_LIMIT):
        yield ok("core files", "programs started from here leave none")
        return
    where = f"go to {handler or 'a program'}" if pattern.startswith("|") else f"are written as {pattern or 'core'}"
    fix = "ulimit -c 0 before a bot starts, or LimitCORE=0 in its unit"
    if limit == "0":
        fix = "have the handler honour the limit: sudo sysctl kernel.core_pattern=core"
    yield warning("core files", f"core files of bots {where}, with the keys that they have revealed in them", fix)


def _swap_max(places: Places) -> str | None:
    group = places.sys / "fs/cgroup/system.slice" / KEYHOLDER_UNIT
    try:
        return (group / "memory.swap.max").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _encrypted(places: Places, path: Path) -> bool:
    """Says whether a swap device, or the device below a swap file, is memory or dm-crypt, itself or all the way down."""
    if path.name.startswith("zram") and path.parent == Path("/dev"):
        backing = places.sys / "class/block" / path.name / "backing_dev"
        try:
            return backing.read_text(encoding="ascii").strip() == "none"
        except OSError:
            return True
    try:
        facts = path.stat()
    except OSError:
        return False
    number = facts.st_rdev or facts.st_dev
    return _crypt(places.sys / "dev/block" / f"{os.major(number)}:{os.minor(number)}")


def _crypt(device: Path) -> bool:
    try:
        if (device / "dm/uuid").read_text(encoding="ascii").startswith("CRYPT-"):
            return True
    except OSError:
        pass  # no device-mapper
    below = list((device / "slaves").iterdir()) if (device / "slaves").is_dir() else []
    return bool(below) and all(_crypt(each) for each in below)
