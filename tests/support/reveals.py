"""Bots that reveal all the while, and know what they got."""

import threading
from collections import Counter
from collections.abc import Callable

from tests.support.daemon import Daemon
from vaultd_client import ClientKey, VaultClientError

Place = tuple[str, str]
"""Exchange and half."""


class Bots:
    """Threads that reveal until nobody answers, and note every plaintext they got."""

    places: tuple[Place, ...] = (("binance-main", "read"), ("binance-main", "write"), ("kraken", "read"))

    def __init__(self, daemon: Daemon, key: ClientKey) -> None:
        self.daemon, self.key = daemon, key
        self.got: Counter[Place] = Counter()
        self._changed = threading.Condition()
        self._working = 0

    def run_until(self, reveals: int, kill: Callable[[], object]) -> None:
        """Starts them, kills when they got so many (or none can get more), and waits until each has noticed."""
        wanted = self.got.total() + reveals
        threads = [threading.Thread(target=self._reveal, args=(place,)) for place in self.places]
        self._working = len(threads)
        for thread in threads:
            thread.start()
        with self._changed:
            assert self._changed.wait_for(lambda: self.got.total() >= wanted or self._working == 0, 30)
        kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()

    def _reveal(self, place: Place) -> None:
        with self.daemon.client(self.key) as client:
            while True:
                try:
                    assert client.reveal(*place).secret
                except VaultClientError:
                    with self._changed:
                        self._working -= 1
                        self._changed.notify_all()
                    return
                with self._changed:
                    self.got[place] += 1
                    self._changed.notify_all()
