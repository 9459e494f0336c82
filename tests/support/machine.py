"""A machine slot, so that a sweep can unlock a thousand times without a thousand Argon2id."""

import os

from tests.support.daemon import PASSPHRASE, Daemon


class MachineKey:
    """32 random bytes that open `daemon`, which must be unlocked when this is made."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.key = os.urandom(32)
        with daemon.unlocker() as unlocker:
            self.slot = unlocker.slot_add(bytearray(PASSPHRASE), bytearray(self.key), kind="machine")

    def unlock(self) -> None:
        """Unlocks with it."""
        with self.daemon.unlocker() as unlocker:
            unlocker.unlock(bytearray(self.key), kind="machine", slot=self.slot)
