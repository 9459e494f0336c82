"""What a check finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. An error is what loses keys or lets others at them; a warning is what may, some day."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the check's name, how bad it is, why, and what to type to mend it; empty where nothing is."""

    check: str
    level: Level
    reason: str
    fix: str = ""


def ok(check: str, reason: str) -> Finding:
    """Returns that all is well."""
    return Finding(check, Level.OK, reason)


def warning(check: str, reason: str, fix: str) -> Finding:
    """Returns what should be seen to."""
    return Finding(check, Level.WARNING, reason, fix)


def error(check: str, reason: str, fix: str) -> Finding:
    """Returns what must be seen to."""
    return Finding(check, Level.ERROR, reason, fix)


def skipped(check: str, reason: str, fix: str = "") -> Finding:
    """Returns that it could not be looked at."""
    return Finding(check, Level.SKIPPED, reason, fix)
