"""What a file holds: key pairs that can be imported, and those that cannot, each with the reason."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vaultd_client.errors import InvalidError
from vaultd_client.fields import FieldValues

READ, WRITE = "read", "write"
MAX_ENTRIES = 500
"""More than anyone has accounts; each costs two signed requests."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One account of a file.

    Args:
        where: Its place in the file, such as `exchanges.binance` or `line 3`.
        name: What the file calls it; empty where it does not.
        venues: What its exchange may be called, the most certain name first; empty where the file does not say.
        pairs: `read` and `write` to fields; the empty string is a pair of which the file does not say what it is for.
        environment: `live`, `testnet` or `demo`; empty where the file does not say.
        certain: False where `venues` are guessed from a name: when none is in the catalogue, it was no exchange.
    """

    where: str
    name: str
    venues: Sequence[str]
    pairs: Mapping[str, FieldValues]
    environment: str = ""
    labels: Mapping[str, str] | None = None
    market_types: Sequence[str] = ()
    notices: Sequence[str] = ()
    hidden: bool = False
    certain: bool = True

    def __repr__(self) -> str:
        return f"<Entry {self.where}: fields hidden>"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What cannot be imported. `refused`: there was a key, and something is wrong with it; else there was none."""

    where: str
    name: str
    why: str
    refused: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """All that one source holds. `only_keys` says that nothing in it but the key pairs would be lost with it."""

    entries: Sequence[Entry]
    left_out: Sequence[LeftOut] = ()
    only_keys: bool = False


def sorted_out(found: Iterable[Entry | LeftOut], *, only_keys: bool) -> Reading:
    """Returns what was found as a reading."""
    entries: list[Entry] = []
    left_out: list[LeftOut] = []
    for each in found:
        if isinstance(each, Entry):
            entries.append(each)
        else:
            left_out.append(each)
    return Reading(entries, left_out, only_keys)


def joined(readings: Sequence[Reading]) -> Reading:
    """Returns the readings of several files as one.

    Raises:
        InvalidError: There are more than 500 entries.
    """
    made = Reading(
        [entry for reading in readings for entry in reading.entries],
        [each for reading in readings for each in reading.left_out],
        all(reading.only_keys for reading in readings),
    )
    if len(made.entries) + len(made.left_out) > MAX_ENTRIES:
        raise InvalidError(f"that are more than {MAX_ENTRIES} entries", hint="split the file and import its parts")
    return made


def with_comments(reading: Reading, comments: Iterable[str]) -> Reading:
    """Returns a reading of a file that has these comments too: a key that somebody put aside in one is only there."""
    kept = any(_LIKE_A_KEY.search(comment) for comment in comments)
    return replace(reading, only_keys=False) if kept else reading


def comments_of_lines(text: str) -> Iterator[str]:
    """Yields what stands behind a `#`, as .env files and YAML have it."""
    return (found[1] for found in _LINE_COMMENT.finditer(text))


def is_placeholder(value: str) -> bool:
    """Says whether a value is what a sample file has where the key belongs."""
    word = "".join(letter for letter in value.casefold() if letter.isalnum())
    return word in PLACEHOLDERS or bool(_SAMPLE.fullmatch(word))


_LINE_COMMENT = re.compile(r"(?:^|(?<=\s))#(.*)", re.MULTILINE)
_LETTERS = "A-Za-z0-9+/=_-"
_LIKE_A_KEY = re.compile(rf"(?<![{_LETTERS}])(?=[{_LETTERS}]*(?:[0-9]|[A-Z][a-z]|[a-z][A-Z]))[{_LETTERS}]{{16}}")
"""The shortest keys have 16 letters; `binance_perpetual_testnet` is none."""
_SAMPLE = re.compile("(your|my|insert|enter)[a-z]*(key|secret|passphrase|password|here|uid|address)[a-z]*")
PLACEHOLDERS = {
    "", "key", "secret", "apikey", "apisecret", "passphrase", "password", "none", "null", "nokey", "empty", "changeme",
    "todo", "xxx", "0x", "masterkey", "mastersecret", "privatekey", "walletaddress",
}  # fmt: skip
"""In the sample files of freqtrade, OctoBot, passivbot and Gunbot, without case and punctuation."""


def given(fields: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields that have a value of their own."""
    return {name: value for name, value in fields.items() if not is_placeholder(value)}
