"""Turns the JSON files of `data/` into kinds. An unknown key, word or reference in them is a defect: ValueError.

Layout: `ccxt.json`, `gone.json` and `others.json` map a kind's id to its entry; keys that have their default are left
out. `fields.json` has what is the same for a field on every kind. `formats.json`, `permissions.json` and `expiry.json`
are lists whose entries name the kinds they are of.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from vaultd.kinds.kind import (
    Algorithm,
    CountsFrom,
    Encoding,
    Evidence,
    Expiry,
    Field,
    KeyFormat,
    Kind,
    Need,
    PermissionsEndpoint,
    ReadablePath,
    Shape,
    Tombstone,
    TombstoneState,
)
from vaultd.model import ENVIRONMENTS

Entry = Mapping[str, Any]

KIND_FILES: Final = ("ccxt.json", "gone.json", "others.json")
DIRECTORY: Final = os.path.join(os.path.dirname(__file__), "data")
KIND_KEYS: Final = {
    *("name", "website", "aliases", "old_names", "guide", "tombstone"),
    *("required", "expected", "optional", "help", "notice_when_given", "not_for_ccxt", "free_fields"),
    *("market_types", "environments", "rising_nonce", "passphrase_in_clear", "readable_path"),
}


def read(name: str) -> Any:
    """Returns the parsed content of one file of `data/`."""
    # Not importlib.resources: it draws in tempfile, shutil, zip and compression, which the keyholder does without.
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        return json.load(file)


def tuples(entry: Entry) -> dict[str, Any]:
    """Returns a copy of an entry with tuples for its lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def kinds() -> Iterator[Kind]:
    """Yields every kind of the catalogue."""
    fields = read("fields.json")
    formats = _by_kind("formats.json", _format)
    permissions = _by_kind("permissions.json", _permissions)
    expiries = _by_kind("expiry.json", _expiry)
    seen: set[str] = set()
    for file in KIND_FILES:
        for kind, entry in read(file).items():
            try:
                endpoints = permissions.pop(kind, [])
                if kind in seen or len(endpoints) > 1:
                    raise ValueError("twice in the catalogue")
                seen.add(kind)
                yield _kind(
                    kind,
                    entry,
                    fields,
                    in_ccxt=file == "ccxt.json",
                    key_formats=tuple(formats.pop(kind, ())),
                    permissions_endpoint=endpoints[0] if endpoints else None,
                    expiry=tuple(expiries.pop(kind, ())),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{file}: {kind}: {error!r}") from error
    if left := {*formats, *permissions, *expiries}:
        raise ValueError(f"kinds that the catalogue does not have: {sorted(left)}")


def _kind(kind: str, entry: Entry, fields: Entry, **more: Any) -> Kind:
    if unknown := entry.keys() - KIND_KEYS:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    switches = entry.get("environments", {})
    if unknown := switches.keys() - set(ENVIRONMENTS[1:]):
        raise ValueError(f"unknown environments {sorted(unknown)}")
    return Kind(
        kind=kind,
        display_name=entry["name"],
        website=entry["website"],
        fields=tuple(_fields(entry, fields)),
        market_types=tuple(entry["market_types"]),
        environments=(ENVIRONMENTS[0], *switches),
        guide=entry["guide"],
        readable_path=ReadablePath(entry["readable_path"]),
        ccxt_switches=MappingProxyType(switches),
        aliases=tuple(entry.get("aliases", ())),
        old_names=tuple(entry.get("old_names", ())),
        free_fields=entry.get("free_fields", False),
        rising_nonce=entry.get("rising_nonce", False),
        passphrase_in_clear=entry.get("passphrase_in_clear", False),
        tombstone=_tombstone(entry["tombstone"]) if "tombstone" in entry else None,
        **more,
    )


def _fields(entry: Entry, fields: Entry) -> Iterator[Field]:
    needs: dict[str, Need] = {}
    for need in Need:
        for name in entry.get(need, ()):
            if name in needs:
                raise ValueError(f"field {name} has two needs")
            needs[name] = need
    help_texts = {**entry.get("help", {}), **entry.get("expected", {}), **entry.get("optional", {})}
    notices, not_for_ccxt = entry.get("notice_when_given", {}), entry.get("not_for_ccxt", ())
    if unknown := {*needs, *help_texts, *notices, *not_for_ccxt} - fields.keys():
        raise ValueError(f"unknown fields {sorted(unknown)}")
    if unknown := {*help_texts, *notices, *not_for_ccxt} - needs.keys():
        raise ValueError(f"fields without a need {sorted(unknown)}")
    for name, common in fields.items():
        if name in needs:
            yield Field(
                name=name,
                need=needs[name],
                ccxt_name="" if name in not_for_ccxt else common["ccxt_name"],
                aliases=tuple(common["aliases"]),
                maskable=common["maskable"],
                verbatim=common.get("verbatim", False),
                help=help_texts.get(name) or common["help"],
                notice_when_given=notices.get(name, ""),
            )


def _by_kind(file: str, parse: Callable[[Entry], object]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for number, entry in enumerate(read(file)):
        try:
            value = parse({key: item for key, item in entry.items() if key != "kinds"})
            for kind in entry["kinds"]:
                found.setdefault(kind, []).append(value)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file}: entry {number}: {error!r}") from error
    return found


def _format(entry: Entry) -> KeyFormat:
    return KeyFormat(**{**entry, "any_of": tuple(_shape(shape) for shape in entry["any_of"])})


def _shape(entry: Entry) -> Shape:
    encoding = Encoding(entry.get("encoding", Encoding.TEXT))
    algorithm = Algorithm(entry["algorithm"]) if "algorithm" in entry else None
    if (algorithm is not None) != (encoding is Encoding.PEM):
        raise ValueError("PEM, and nothing else, has an algorithm")
    return Shape(**{**entry, "encoding": encoding, "algorithm": algorithm})


def _permissions(entry: Entry) -> PermissionsEndpoint:
    return PermissionsEndpoint(**{**tuples(entry), "evidence": Evidence(entry["evidence"])})


def _expiry(entry: Entry) -> Expiry:
    return Expiry(**{**tuples(entry), "counts_from": CountsFrom(entry["counts_from"])})


def _tombstone(entry: Entry) -> Tombstone:
    replaced_by = tuple(entry.get("replaced_by", ()))
    return Tombstone(**{**entry, "state": TombstoneState(entry["state"]), "replaced_by": replaced_by})
