"""How to create a key at each kind of exchange: least rights, never withdrawal, bound to an address.

Read from `data/guides.json` when first asked for: validation, and so the keyholder, does without.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from vaultd.kinds import source
from vaultd.kinds.kind import Kind


@dataclass(frozen=True, slots=True)
class Guide:
    """How to create a key for a `read` and for a `write` configuration, each line a sentence or a right by its name.

    `page` is where keys are made. `read` and `write` are the least rights that do; `never` are those no bot's key
    should have; `ip` is about binding the key to an address. For a venue that is gone these are empty, `steps` says
    what became of it and `instead` names kinds to look at. `sources` are the pages that were consulted.
    """

    title: str
    steps: tuple[str, ...]
    page: str = ""
    before: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    ip: str = ""
    after: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def guide_for(kind: Kind) -> Guide:
    """Returns the guide of a kind, with the kind's name and website filled in."""
    guide = _guides()[kind.guide]

    def filled(text: str) -> str:
        return text.replace("{name}", kind.display_name).replace("{website}", kind.website)

    values: dict[str, Any] = {}
    for entry in fields(guide):
        value = getattr(guide, entry.name)
        values[entry.name] = filled(value) if isinstance(value, str) else tuple(filled(line) for line in value)
    return Guide(**values)


@cache
def _guides() -> Mapping[str, Guide]:
    return {name: Guide(**source.tuples(entry)) for name, entry in source.read("guides.json").items()}
