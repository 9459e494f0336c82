"""Nonces of signed requests that have not expired: none is forgotten early, so none can be replayed."""

from vaultd.errors import RateLimitedError
from vaultd.limits import NONCES_PER_CLIENT


class Nonces:
    """Per client, nonce to expiry on CLOCK_BOOTTIME in nanoseconds."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[bytes, int]] = {}

    def add(self, client: str, nonce: bytes, expires_ns: int, now_ns: int) -> bool:
        """Remembers a nonce; False where it was seen before.

        Raises:
            RateLimitedError: The client has too many unexpired ones; the cache never evicts one to make room.
        """
        seen = self._seen.setdefault(client, {})
        if nonce in seen:
            return False
        if len(seen) >= NONCES_PER_CLIENT:
            self._sweep(seen, now_ns)
            if len(seen) >= NONCES_PER_CLIENT:
                raise RateLimitedError("too many requests at once")
        seen[nonce] = expires_ns
        return True

    def sweep(self, now_ns: int) -> None:
        """Forgets what has expired."""
        for seen in self._seen.values():
            self._sweep(seen, now_ns)

    @staticmethod
    def _sweep(seen: dict[bytes, int], now_ns: int) -> None:
        for nonce in [nonce for nonce, expires_ns in seen.items() if expires_ns < now_ns]:
            del seen[nonce]
