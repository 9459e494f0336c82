"""When keys end: days left, and the warnings of `exchange list`, `show`, `add` and `rotate`."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from vaultd_client.models import Credential, Exchange

STEPS: Final = {14: "notice", 7: "warning", 1: "URGENT"}
"""Days left, at most, to how loud the warning is."""


def left(credential: Credential, now: datetime | None = None) -> timedelta | None:
    """Returns how long a key has left, negative where it has ended, None where nobody knows."""
    return None if credential.expires_at is None else credential.expires_at - (now or datetime.now(UTC))


def left_text(credential: Credential, now: datetime | None = None) -> str:
    """Returns the time left for a table: `12 d`, `5 h`, `ended`; `~` where it is the exchange's rule; `-` for unknown."""
    time = left(credential, now)
    if time is None:
        return "-"
    text = "ended" if time <= timedelta() else f"{time.days} d" if time.days else f"{time.seconds // 3600} h"
    return f"~{text}" if credential.expiry_source == "RULE" else text


def warnings(exchanges: Iterable[Exchange], now: datetime | None = None) -> Iterator[str]:
    """Yields a line for each active key that ends within 14, 7 or 1 days, or has ended."""
    now = now or datetime.now(UTC)
    for exchange in exchanges:
        if exchange.state != "ACTIVE":
            continue
        for half in exchange.configurations:
            time = left(half.active, now) if half.active else None
            if half.active is not None and time is not None and time <= timedelta(days=max(STEPS)):
                yield _warning(exchange, half.configuration, half.active, time)


def _warning(exchange: Exchange, half: str, credential: Credential, time: timedelta) -> str:
    step = next(word for days, word in sorted(STEPS.items()) if time <= timedelta(days=days))
    assert credential.expires_at is not None
    day = credential.expires_at.astimezone().strftime("%Y-%m-%d")
    when = f"ended on {day}" if time <= timedelta() else f"ends in {left_text(credential).lstrip('~')}, on {day}"
    rotate = f"vaultctl exchange rotate '{exchange.name}' --configuration {half}"
    if credential.expiry_source == "RULE":
        asked = f"vaultctl exchange verify '{exchange.name}'"
        by_rule = when.replace("ended", "may have ended").replace("ends", "may end")
        return f"{step}: the {half} key of {exchange.name} {by_rule} ({credential.expiry_rule}). Ask: {asked}. Replace it: {rotate}"
    return f"{step}: the {half} key of {exchange.name} {when}. Replace it: {rotate}"
