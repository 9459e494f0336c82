"""Rows that were asked for lately: a bot that asks again costs no question to the server.

A row is used only while the ledger says that it is the one last written, so nothing here can be out of date. Its
element is kept beside it: the row never changes, so neither does what stands for it in the ledger.
"""

from collections import OrderedDict
from collections.abc import Hashable

from vaultd.keyholder.ledger import Ledger
from vaultd.limits import RECENT_ROWS
from vaultd.model import Row


class Recent:
    """Rows by what they were asked for, the least recently used dropped first."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Hashable, tuple[Row, bytes]] = OrderedDict()

    def get(self, wanted: Hashable, ledger: Ledger) -> Row | None:
        """Returns the row, or None where it is not known or was changed."""
        row, element = self._rows.get(wanted, (None, b""))
        if row is None:
            return None
        if not ledger.has(element):
            del self._rows[wanted]
            return None
        self._rows.move_to_end(wanted)
        return row

    def put(self, wanted: Hashable, row: Row, ledger: Ledger) -> None:
        """Remembers a row that the ledger has just vouched for."""
        self._rows[wanted] = row, ledger.element(row)
        if len(self._rows) > RECENT_ROWS:
            self._rows.popitem(last=False)
