"""Calls of one uid wait for one another before they make another uid's wait.

Threat: one uid asks for the longest list from a hundred connections at once, and everybody's calls queue behind it.
Measure: of each uid only so many are worked on at a time; the others wait in that uid's own queue, none is refused.
Limit: uids that work together have as many turns as there are of them.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """So many turns for everyone; `of` waits for one of theirs.

    Args:
        each: Turns that one has at the same time.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._semaphores: dict[Hashable, asyncio.Semaphore] = {}
        self._present: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._semaphores)

    @asynccontextmanager
    async def of(self, who: Hashable) -> AsyncIterator[None]:
        """Holds a turn of `who` within the context."""
        semaphore = self._semaphores.setdefault(who, asyncio.Semaphore(self._each))
        self._present[who] += 1
        try:
            async with semaphore:
                yield
        finally:
            self._present[who] -= 1
            if not self._present[who]:
                del self._semaphores[who], self._present[who]
