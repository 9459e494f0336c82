"""What a person types on the command line, as click parameter types."""

import pwd
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

HALVES = ("read", "write")
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d|w)", re.ASCII)
_RATE = re.compile(r"(\d{1,9})/(\d{0,9})(s|sec|m|min|h|hour|d|day)", re.ASCII)


class Descriptor(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """Number of a file descriptor; 0 is stdin."""

    name = "fd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Returns the number."""
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"\d{1,6}", value, re.ASCII):
            self.fail("type the number of a file descriptor; 0 is stdin", param, ctx)
        return int(value)


DESCRIPTOR = Descriptor()


class Until(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """A time in the future: `30d`, `12h`, or `2027-01-01`, `2027-01-01T12:00`, UTC where it names no zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Returns an aware datetime in UTC."""
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            if matched := _DURATION.fullmatch(value):
                until = now + timedelta(seconds=int(matched[1]) * _UNITS[matched[2]])
            else:
                until = datetime.fromisoformat(value)
                until = (until if until.tzinfo else until.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("type a date such as 2027-01-01, or a time from now such as 30d or 12h", param, ctx)
        if until <= now:
            self.fail(f"{value} is in the past", param, ctx)
        return until


class Rate(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """So many uses in so much time: `10/60s`, `5/min`, `100/1h`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Returns count and seconds."""
        if isinstance(value, tuple):
            return value
        matched = _RATE.fullmatch(value)
        count, seconds = (int(matched[1]), int(matched[2] or "1") * _UNITS[matched[3]]) if matched else (0, 0)
        if not count or not seconds:
            self.fail("type a count and a time, such as 10/60s or 100/1h", param, ctx)
        return count, seconds


class Label(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """`KEY=VALUE`."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Returns key and value."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = str(value).partition("=")
        if not key or not equals:
            self.fail("type KEY=VALUE", param, ctx)
        return key, rest


class User(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """A user name or uid of this host."""

    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Returns the uid."""
        if isinstance(value, int):
            return value
        if re.fullmatch(r"\d{1,10}", value, re.ASCII) and int(value) < 2**32 - 1:
            return int(value)
        try:
            return pwd.getpwnam(value).pw_uid
        except (KeyError, ValueError):
            self.fail(f"no user {value!r} on this host", param, ctx)


@dataclass(frozen=True, slots=True)
class Half:
    """One half of an exchange."""

    exchange: str
    configuration: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.configuration}"


class HalfType(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """`NAME`, `NAME:read` or `NAME:write`; the read half where it says none. A name may hold a colon."""

    name = "name[:half]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Half:
        """Returns the half."""
        if isinstance(value, Half):
            return value
        exchange, colon, half = str(value).rpartition(":")
        found = Half(exchange, half) if colon and half in HALVES else Half(str(value), "read")
        if not found.exchange:
            self.fail("type the name of an exchange, such as binance-main or binance-main:write", param, ctx)
        return found
