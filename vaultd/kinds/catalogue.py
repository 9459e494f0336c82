"""The catalogue: finds a kind by any of its names."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from vaultd.errors import KindNotFoundError
from vaultd.kinds import source
from vaultd.kinds.kind import Expiry, Kind, folded
from vaultd.limits import MAX_NAME_CHARS

CUSTOM: Final = "custom"
"""The kind for every venue that has none of its own."""


class Catalogue:
    """All kinds. Immutable; `load` returns one per process.

    Raises:
        ValueError: Two kinds answer to one name, or a reference leads nowhere: a defect of the data.
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {kind.kind: kind for kind in sorted(kinds, key=lambda kind: kind.kind)}
        self._names: dict[str, Kind] = {}
        self._old: dict[str, str] = {}
        for kind in self._kinds.values():
            own = {folded(name) for name in (kind.kind, kind.display_name, *kind.aliases)}
            for name in own | {folded(name) for name in kind.old_names}:
                if name in self._names:
                    raise ValueError(f"{name} names {self._names[name].kind} and {kind.kind}")
                self._names[name] = kind
            self._old |= {folded(name): name for name in kind.old_names if folded(name) not in own}
            if unknown := set(kind.replaced_by) - self._kinds.keys():
                raise ValueError(f"{kind.kind} is replaced by unknown kinds {sorted(unknown)}")

    @staticmethod
    def load() -> "Catalogue":
        """Returns the catalogue that comes with the package; reads files at the first call only."""
        return _loaded()

    def get(self, name: str) -> tuple[Kind, str | None]:
        """Finds a kind by identifier, display name, alias or old name, without regard to case and punctuation.

        Returns:
            The kind, and what a person should hear about it: that the name is an old one, or the venue gone.

        Raises:
            KindNotFoundError: No kind has that name.
        """
        wanted = folded(name) if len(name) <= MAX_NAME_CHARS else ""
        kind = self._names.get(wanted)
        if kind is None:
            raise KindNotFoundError(
                f"no such kind of exchange; `{CUSTOM}` takes any venue that is not in the catalogue",
                fields={"kind": "is not in the catalogue"},
            )
        notices = []
        if wanted in self._old:
            notices.append(f"{self._old[wanted]} is an old name of {kind.display_name}: the kind is {kind.kind}")
        if kind.tombstone:
            notices.append(kind.tombstone_notice)
        return kind, "; ".join(notices) or None

    def stored(self, kind: str) -> Kind | None:
        """Returns the kind of a stored exchange; None where a later catalogue has dropped it, which must not lock it in."""
        return self._names.get(folded(kind))

    def expiry_rules(self, kind: str) -> tuple[Expiry, ...]:
        """Returns the rules by which keys of a kind end; none where the identifier is not in the catalogue."""
        found = self.stored(kind)
        return found.expiry if found else ()

    def all(self) -> tuple[Kind, ...]:
        """Returns every kind, in the order of their identifiers."""
        return tuple(self._kinds.values())


@cache
def _loaded() -> Catalogue:
    return Catalogue(source.kinds())
