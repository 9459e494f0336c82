"""A vault whose write grants are suspended, as after a restore, in the daemon that runs."""

from collections.abc import Callable

from tests.support.daemon import Daemon
from tests.support.processes import until
from vaultd.crypto.integrity import RESTORE_MAGIC, anchor_generation


def suspend(daemon: Daemon, mark: int, unlock: Callable[[], object]) -> None:
    """Locks, leaves in the anchor's place what a restore leaves there, and unlocks.

    Args:
        daemon: Unlocked.
        mark: Its last audit entry.
        unlock: Unlocks it.
    """
    daemon.lock()
    # The anchor of the lock's entry follows within a second; before it has come, it would replace what is written here.
    until(lambda: anchor_generation(daemon.anchor.read_bytes()) == mark + 1)
    daemon.anchor.write_bytes(RESTORE_MAGIC + bytes(8) + daemon.anchor.read_bytes())
    unlock()
