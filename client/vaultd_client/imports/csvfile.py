"""CSV with a header: Jesse's own export, or columns named by words of `words.py` (`name,exchange,api key,secret`)."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from vaultd_client.bots import names
from vaultd_client.errors import InvalidError
from vaultd_client.imports import shapes
from vaultd_client.imports.found import MAX_ENTRIES, Entry, LeftOut, Reading, given, sorted_out
from vaultd_client.imports.words import FIELDS, HALVES, spelled, without_markets
from vaultd_client.kinds import folded

_COLUMNS: Mapping[str, str] = {
    "name": "name", "account": "name", "accountname": "name", "label": "name",
    "exchange": "venue", "exchangename": "venue", "kind": "venue", "venue": "venue", "type": "venue",
    "marketcode": "venue",
    "environment": "environment", "network": "environment", "testnet": "environment",
    "configuration": "half", "half": "half", "rights": "half", "permission": "half",
}  # fmt: skip
_DELIMITERS = ",;\t"
_JESSE_KINDS = {
    own: kind for kind, markets in reversed([*names.JESSE_EXCHANGES.items()]) for own in markets.values()
}


def fits(text: str) -> bool:
    """Says whether the first line names columns that make a key pair."""
    meanings = {_meaning(column) for column in _header(text)}
    return bool({"api_key", "private_key"} & meanings) and len(meanings) > 1


def read(name: str, text: str) -> Reading:
    """Returns one entry for each line.

    Raises:
        InvalidError: The header is none, or a line is broken.
    """
    rows = _rows(text)
    header = _header(text)
    meanings = [_meaning(column) for column in header]
    if not fits(text):
        hint = "name the columns in the first line, such as: name,exchange,api_key,secret"
        raise InvalidError(f"{name}: line 1: the columns have no names that are known", hint=hint)
    if twice := {each for each in meanings if each and meanings.count(each) > 1}:
        raise InvalidError(f"{name}: line 1: two columns are {min(twice)}", hint="remove one of them")
    found: list[Entry | LeftOut] = []
    try:
        next(rows)
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            where = f"line {rows.line_num}"
            if len(row) != len(header):
                found.append(LeftOut(where, "", f"has {len(row)} columns, the first line names {len(header)}"))
                continue
            found.append(_row(where, dict(zip(meanings, row, strict=True))))
            if len(found) > MAX_ENTRIES:
                raise InvalidError(f"{name} has more than {MAX_ENTRIES} entries", hint="split the file")
    except csv.Error:
        hint = "check the quotes; a quote inside a value is written twice"
        raise InvalidError(f"{name}: line {rows.line_num}, column 1: is not CSV", hint=hint) from None
    return sorted_out(_merged(found), only_keys=all(meanings))


def _row(where: str, row: Mapping[str, str]) -> Entry | LeftOut:
    fields = given({name: value for name, value in row.items() if name in FIELDS.values()})
    name, venue = row.get("name", "").strip(), row.get("venue", "").strip()
    if not fields:
        return shapes.empty(where, name)
    half = row.get("half", "")
    if half and folded(half) not in HALVES:
        return LeftOut(where, name, "the half is neither read nor write")
    testnet = "testnet" in venue.casefold()
    written = row.get("environment", "")
    environment = spelled(written) or ("testnet" if testnet or folded(written) in {"true", "yes", "1"} else "")
    plain = " ".join(word for word in venue.split() if word.casefold() != "testnet")
    whole, *shorter = without_markets(plain)
    venues = [whole, *([_JESSE_KINDS[whole]] if whole in _JESSE_KINDS else []), *shorter]
    return Entry(
        where=where,
        name=name,
        venues=[each for each in venues if each],
        pairs={HALVES.get(folded(half), ""): fields},
        environment=environment,
        notices=("taken for the test network, as its name says",) if testnet else (),
    )


def _merged(found: Sequence[Entry | LeftOut]) -> list[Entry | LeftOut]:
    """Puts the read line and the write line of one account together."""
    made: list[Entry | LeftOut] = []
    for entry in found:
        for place, other in enumerate(made):
            if isinstance(entry, LeftOut) or isinstance(other, LeftOut):
                continue
            alike = entry.name and (entry.name, entry.venues, entry.environment) == (
                other.name, other.venues, other.environment
            )  # fmt: skip
            if alike and "" not in {*entry.pairs, *other.pairs} and not {*entry.pairs} & {*other.pairs}:
                where = f"{other.where}, {entry.where}"
                made[place] = dataclasses.replace(other, where=where, pairs={**other.pairs, **entry.pairs})
                break
        else:
            made.append(entry)
    return made


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _rows(text: str) -> Any:
    return csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)


def _header(text: str) -> list[str]:
    try:
        return next(_rows(text), [])
    except csv.Error:
        return []


def _meaning(column: str) -> str:
    word = folded(column)
    return _COLUMNS.get(word) or FIELDS.get(word, "")
