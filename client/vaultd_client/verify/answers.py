"""What a check answers: yes, no or unknown for each right, and when the key ends. Values; no input, no output."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """An answer of the exchange. UNKNOWN is never to be read as no."""

    YES = "YES"
    NO = "NO"
    UNKNOWN = "UNKNOWN"


YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN


class GarbledError(Exception):
    """An answer has not the shape that its exchange documents. Holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do. `expires_ms` is milliseconds since the epoch, 0 where the answer names no time."""

    read: Answer = UNKNOWN
    trade: Answer = UNKNOWN
    withdraw: Answer = UNKNOWN
    transfer: Answer = UNKNOWN
    ip_bound: Answer = UNKNOWN
    expires: Answer = UNKNOWN
    expires_ms: int = 0


def answer(value: object) -> Answer:
    """Returns what a flag says: a bool, 0 or 1, "true" or "false"; anything else is UNKNOWN."""
    if isinstance(value, bool):
        return YES if value else NO
    text = str(value).strip().casefold()
    return YES if text in {"true", "1"} else NO if text in {"false", "0"} else UNKNOWN


def any_of(answers: Iterable[Answer]) -> Answer:
    """Returns YES where one is YES, NO where all are NO, else UNKNOWN; UNKNOWN for none."""
    found = set(answers)
    if YES in found:
        return YES
    return NO if found == {NO} else UNKNOWN


def listed(names: Iterable[str], wanted: Iterable[str], known: Iterable[str]) -> Answer:
    """Says whether a list of rights holds one of `wanted`. A name that is not `known` may be any right: then UNKNOWN."""
    names = set(names)
    if not names.isdisjoint(wanted):
        return YES
    return NO if names <= set(known) else UNKNOWN
