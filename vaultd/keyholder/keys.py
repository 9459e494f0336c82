"""The keys of one unlocked vault, all in one secret buffer. Dies with the process, or with `close`."""

import secrets

from vaultd.crypto import envelope, kdf, requests
from vaultd.keyholder.secretmem import SecretMemory, wipe_bytes
from vaultd.limits import KEY_BYTES

_NAMES = ("master", "wrapping", "row", "integrity", "identity", "audit", "fingerprint", "seal")


class Keys:
    """Views of 32 bytes each.

    master: random; wrapping, row, integrity: HKDF of it; identity, audit, fingerprint: random, wrapped under
    wrapping; seal: X25519, random per unlock, never stored.
    """

    def __init__(self, memory: SecretMemory) -> None:
        self.memory = memory
        self._buffer = memory.allocate(KEY_BYTES * len(_NAMES))
        view = self._buffer.view
        parts = [view[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at in range(len(_NAMES))]
        self.master, self.wrapping, self.row, self.integrity = parts[:4]
        self.identity, self.audit, self.fingerprint, self.seal = parts[4:]
        self.lasting = view[4 * KEY_BYTES : 7 * KEY_BYTES]
        self._parts = [*parts, self.lasting]

    def draw_master(self) -> None:
        """Draws a new master key."""
        _draw(self.master)

    def draw_lasting(self) -> None:
        """Draws identity, audit and fingerprint key of a new vault."""
        _draw(self.lasting)

    def draw_seal(self) -> bytes:
        """Draws the seal key of this unlock and returns its public half, 32 bytes."""
        _draw(self.seal)
        return requests.seal_public(self.seal)

    def derive(self, vault_id: bytes) -> None:
        """Derives what hangs on the master key."""
        kdf.derive(self.master, vault_id, b"vaultd-wrapping-v1", self.wrapping)
        kdf.derive(self.master, vault_id, b"vaultd-row-v1", self.row)
        kdf.derive(self.master, vault_id, b"vaultd-integrity-v1", self.integrity)

    def unwrap_lasting(self, wrapped: bytes, vault_id: bytes) -> None:
        """Opens the keys that outlast the master key; StoreDamagedError where they do not open."""
        envelope.unwrap_lasting_keys(self.wrapping, wrapped, vault_id, self.lasting)

    def close(self) -> None:
        """Wipes all of them."""
        for part in self._parts:
            part.release()
        self._buffer.close()


def _draw(view: memoryview) -> None:
    drawn = secrets.token_bytes(len(view))
    view[:] = drawn
    wipe_bytes(drawn)
