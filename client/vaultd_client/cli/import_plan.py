"""What an import would do: each entry as the vault would show it, or why it stays out. Nothing is written.

The vault itself is asked, with creations that are only checked: it alone knows the fingerprints, the catalogue and the
masks. What it cannot know, that two entries of one file share a key, is found here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from vaultd_client import Kind
from vaultd_client.client import VaultClient
from vaultd_client.errors import ExistsError, InvalidError, NotFoundError, invalid
from vaultd_client.fields import EXTRA
from vaultd_client.imports.found import WRITE, Entry, LeftOut, Reading
from vaultd_client.kinds import folded
from vaultd_client.models import Exchange
from vaultd_client.revealed import FIELD_NAMES

CUSTOM = "custom"
CONNECTED = "This account is already connected!"
"""The daemon's words for a key that it has (vaultd/keyholder/exchanges.py)."""
MAX_NAME_CHARS = 64
_NAMES_TRIED = 100
_IDENTIFYING = ("api_key", "account_id", "address", "customer_id", "login", "private_key", "token", "secret")
"""The first of these that a pair has tells it from others, as in vaultd/keyholder/pairs.py."""

Pair = dict[str, str | dict[str, str]]


class Status(StrEnum):
    """What becomes of an entry."""

    NEW = "new"
    CONNECTED = "already connected"
    REPEATED = "repeated"
    EMPTY = "no key"
    SKIPPED = "skipped"
    REFUSED = "refused"
    IMPORTED = "imported"
    UNKNOWN = "unknown"
    NOT_TRIED = "not tried"


@dataclass(slots=True)
class Item:
    """One entry and what becomes of it. `shown` is the exchange as the vault shows it or would; `pairs` are secrets."""

    where: str
    name: str
    status: Status
    why: str = ""
    venue: str = ""
    kind: str = ""
    environment: str = ""
    pairs: Mapping[str, Pair] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    market_types: Sequence[str] = ()
    hidden: bool = False
    notices: list[str] = field(default_factory=list)
    shown: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person said on the command line. `names` maps a found name to the wanted one; "" is for the only entry."""

    kind: str = ""
    environment: str = ""
    halves: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    hidden: bool = False


def plan(client: VaultClient, reading: Reading, wishes: Wishes) -> list[Item]:
    """Returns an item for everything that was found.

    Raises:
        InvalidError: A name was given for an entry that is not there.
        LockedError: And the library's other errors of the vault as a whole.
    """
    _check_names(reading, wishes.names)
    taken = {each.name.casefold() for each in client.list()}
    seen: dict[tuple[str, str, str], tuple[str, Pair]] = {}
    items = []
    for entry in reading.entries:
        item = _drawn(client, entry, wishes)
        if item.status is Status.NEW:
            _find_repeated(item, seen)
        if item.status is Status.NEW:
            _check(client, item, taken, free=entry.name not in wishes.names and "" not in wishes.names)
        if item.status is Status.NEW:
            taken.add(item.name.casefold())
        items.append(item)
    return [*items, *(_left_out(each) for each in reading.left_out)]


def store(client: VaultClient, item: Item, *, validate_only: bool = False) -> tuple[Exchange, tuple[str, ...]]:
    """Stores an entry, or only has it checked. Raises the library's errors."""
    return client.create_exchange(
        item.name,
        item.venue,
        item.pairs,
        environment=item.environment,
        labels=item.labels,
        market_types=item.market_types,
        hidden=item.hidden,
        validate_only=validate_only,
    )


def is_connected(error: InvalidError) -> bool:
    """Says whether the vault refused a key because it has it."""
    return CONNECTED in error.fields.values()


def _check_names(reading: Reading, names: Mapping[str, str]) -> None:
    there = [entry.name for entry in reading.entries]
    for name in names:
        if name and name not in there:
            raise InvalidError(f"--name: nothing in the file is called {name}", hint="look first: --dry-run")
        if not name and len(there) != 1:
            hint = "name each as --name FOUND=NEW"
            raise InvalidError(f"--name: there are {len(there)} entries, and one name", hint=hint)


def _left_out(found: LeftOut) -> Item:
    return Item(found.where, found.name, Status.REFUSED if found.refused else Status.EMPTY, found.why)


def _drawn(client: VaultClient, entry: Entry, wishes: Wishes) -> Item:
    """Returns an entry in the vault's words: kind, environment, fields, name."""
    item = Item(entry.where, entry.name, Status.NEW, notices=[*entry.notices])
    kind = _kind(client, entry, wishes, item)
    if kind is None:
        return item
    item.kind = kind.kind
    item.environment = _environment(kind, wishes.environment or entry.environment, item)
    item.labels = {**(entry.labels or {}), **({"venue": entry.venues[0][:64]} if item.venue == CUSTOM else {})}
    item.market_types = [each for each in entry.market_types if each in kind.market_types or not kind.market_types]
    item.hidden = entry.hidden or wishes.hidden
    try:
        pairs = {half: _fields(kind, given, item) for half, given in entry.pairs.items()}
    except InvalidError as error:
        item.status, item.why = Status.REFUSED, _reason(error)
        return item
    if "" in pairs:
        alone = pairs.pop("")
        pairs.update(dict.fromkeys(wishes.halves or (WRITE,), alone))
    item.pairs = pairs
    wanted = wishes.names.get(entry.name) or wishes.names.get("")
    suffix = "" if item.environment in {"", "live"} else f"-{item.environment}"
    item.name = wanted or _printable(entry.name) or item.kind + suffix
    if entry.name and suffix and not wanted and folded(item.environment) not in folded(entry.name):
        item.name = _printable(entry.name)[: MAX_NAME_CHARS - len(suffix)] + suffix
    return item


def _kind(client: VaultClient, entry: Entry, wishes: Wishes, item: Item) -> Kind | None:
    venues = [wishes.kind] if wishes.kind and (entry.certain or not entry.venues) else entry.venues
    for venue in venues:
        try:
            kind = client.kind(venue)
        except (NotFoundError, InvalidError):
            continue
        item.venue = venue
        written = entry.venues[0] if entry.venues else venue
        if folded(written) not in {folded(kind.kind), folded(kind.display_name)} and not kind.notice:
            item.notices.append(f"{written} is taken for {kind.kind}")
        return kind
    if not entry.certain:
        item.status, item.why = Status.SKIPPED, "its name names no exchange of the catalogue"
        return None
    if not venues or wishes.kind:
        item.status, item.why = Status.REFUSED, "does not say which exchange it is for: use --kind, see vaultctl kinds list"
        return None
    item.venue = CUSTOM
    item.notices.append(f"{venues[0]} is not in the catalogue: it is stored as {CUSTOM}")
    return client.kind(CUSTOM)


def _environment(kind: Kind, wanted: str, item: Item) -> str:
    other = {"testnet": "demo", "demo": "testnet"}.get(wanted, "")
    if wanted and wanted not in kind.environments and other in kind.environments:
        item.notices.append(f"{kind.display_name} has no {wanted}: it is taken for {other}")
        return other
    return wanted


def _fields(kind: Kind, given: Mapping[str, object], item: Item) -> Pair:
    """Returns a pair under the catalogue's names. What the kind has no field for is kept as a free entry.

    Raises:
        InvalidError: A name is that of no field, or two are of one.
    """
    known = {each.name for each in kind.fields}
    made: Pair = {}
    extra: dict[str, str] = {}
    for name, value in given.items():
        if name == EXTRA and isinstance(value, Mapping):
            extra |= value
            continue
        own = (name if name in FIELD_NAMES else kind.canonical(name)) or ""
        if own == "passphrase" and own not in known and "password" in known:
            own = "password"  # most bots have one word for both
        if own not in FIELD_NAMES or own in made:
            raise invalid({name: f"is no field of {kind.display_name}, or comes twice"})
        if own in known or kind.free_fields:
            made[own] = str(value)
        else:
            extra[own] = str(value)
            item.notices.append(f"{own} is no field of {kind.display_name}: it is kept as a free entry")
    return {**made, EXTRA: extra} if extra else made


def _printable(name: str) -> str:
    shown = "".join("-" if letter in "/\\*:" or not letter.isprintable() else letter for letter in name)
    return shown.strip()[:MAX_NAME_CHARS]


def _find_repeated(item: Item, seen: dict[tuple[str, str, str], tuple[str, Pair]]) -> None:
    """Finds a key that an entry before it has. The same key with another secret is refused: which one is right?"""
    mine = {}
    for half, pair in item.pairs.items():
        value = next((str(pair[name]).strip() for name in _IDENTIFYING if name in pair), "")
        mine[half] = (item.kind, item.environment or "live", value)
    before = {half: seen[key] for half, key in mine.items() if key in seen}
    if before:
        where = next(iter(before.values()))[0]
        whole = len(before) == len(mine) and all(item.pairs[half] == pair for half, (_, pair) in before.items())
        item.status = Status.REPEATED if whole else Status.REFUSED
        item.why = f"is the same as {where}" if whole else f"has the key of {where}, and differs in the rest"
    for half, key in mine.items():
        seen.setdefault(key, (item.where, item.pairs[half]))


def _check(client: VaultClient, item: Item, taken: set[str], *, free: bool) -> None:
    """Has the vault check an item; finds a name that is free where none was asked for."""
    base = item.name
    for number in range(1, _NAMES_TRIED + 1):
        suffix = f"-{number}" if number > 1 else ""
        item.name = base[: MAX_NAME_CHARS - len(suffix)] + suffix
        if free and item.name.casefold() in taken:
            continue
        try:
            item.shown, notices = store(client, item, validate_only=True)
        except ExistsError:
            if free:
                continue  # a hidden exchange has it
            item.status, item.why = Status.REFUSED, f"the name {item.name} is taken"
        except InvalidError as error:
            _refuse(client, item, error)
            item.name = base
        else:
            item.notices += [each for each in notices if each not in item.notices]
            item.kind, item.environment = item.shown.kind, item.shown.environment
            if suffix:
                item.notices.append(f"the name {base} is taken")
        return
    item.status, item.why = Status.REFUSED, f"{base} and all names like it are taken"


def _refuse(client: VaultClient, item: Item, error: InvalidError) -> None:
    if not is_connected(error):
        item.status, item.why = Status.REFUSED, _reason(error)
        return
    connected = [half for half in item.pairs if _half_is_connected(client, item, half)]
    if len(connected) == len(item.pairs):
        item.status, item.why = Status.CONNECTED, ""
    else:
        item.status = Status.REFUSED
        item.why = f"its {connected[0]} pair is already connected, the other is not: vaultctl exchange rotate"


def _half_is_connected(client: VaultClient, item: Item, half: str) -> bool:
    alone = dataclasses.replace(item, pairs={half: item.pairs[half]})
    try:
        store(client, alone, validate_only=True)
    except InvalidError as error:
        return is_connected(error)
    return False


def _reason(error: InvalidError) -> str:
    return "; ".join(f"{name}: {text}" for name, text in error.fields.items()) or error.message
