"""Calls of one uid wait for one another before they make another uid's wait.

Threat: one uid asks for the longest list from a hundred connections at once, and everybody's calls queue behind it.
Measure: of each uid only so many are worked on at a time; the others wait in that uid's own queue, none is refused.
Limit: uids that work together have as many turns as there are of them.
"""

import asyncio
from collections import Counter
from collections.abc import Hashable


class Turns:
    """So many turns for everyone; `take` waits for one of theirs, `give_back` must follow.

    Args:
        each: Turns that one has at the same time.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._semaphores: dict[Hashable, asyncio.Semaphore] = {}
        self._present: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._semaphores)

    async def take(self, who: Hashable) -> None:
        """Waits until `who` has a turn; where that is cancelled, there is none to give back."""
        semaphore = self._semaphores.get(who)
        if semaphore is None:
            semaphore = self._semaphores[who] = asyncio.Semaphore(self._each)
        self._present[who] += 1
        try:
            await semaphore.acquire()
        except BaseException:
            self._leave(who)
            raise

    def give_back(self, who: Hashable) -> None:
        """Ends a turn."""
        self._semaphores[who].release()
        self._leave(who)

    def _leave(self, who: Hashable) -> None:
        self._present[who] -= 1
        if not self._present[who]:
            del self._semaphores[who], self._present[who]
