"""What a person types for a time, a rate, a label, a user or a descriptor means one thing or is refused."""

import os
import pwd
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from vaultd_client.cli.parsing import Descriptor, Label, Rate, Until, User


def convert(kind: Any, text: str) -> object:
    return kind.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_a_time_from_now(text: str, seconds: int) -> None:
    before = datetime.now(UTC)
    until = Until().convert(text, None, None)
    assert before + timedelta(seconds=seconds) <= until <= datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("2127-01-01", datetime(2127, 1, 1, tzinfo=UTC)),
        ("2127-01-01T12:30", datetime(2127, 1, 1, 12, 30, tzinfo=UTC)),
        ("2127-01-01T12:30:00Z", datetime(2127, 1, 1, 12, 30, tzinfo=UTC)),
        ("2127-01-01T12:30+02:00", datetime(2127, 1, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_utc_unless_it_names_a_zone(text: str, until: datetime) -> None:
    assert convert(Until(), text) == until


@pytest.mark.parametrize("text", ["", "soon", "30", "30y", "-1d", "0s", "1999-01-01", "2127-13-01", "٣d", "999999999w"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        convert(Until(), text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/60s", (10, 60)), ("5/min", (5, 60)), ("100/1h", (100, 3600)), ("7/2d", (7, 172_800)), ("1/day", (1, 86_400))],
)
def test_a_rate(text: str, rate: tuple[int, int]) -> None:
    assert convert(Rate(), text) == rate


@pytest.mark.parametrize("text", ["", "10", "10/", "/60s", "0/60s", "10/0s", "10/60", "10/60w", "-1/60s", "1.5/60s"])
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        convert(Rate(), text)


def test_a_label_is_split_at_its_first_equals_sign() -> None:
    assert convert(Label(), "team=a=b") == ("team", "a=b")
    assert convert(Label(), "team=") == ("team", "")


@pytest.mark.parametrize("text", ["", "team", "=a"])
def test_other_labels_are_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        convert(Label(), text)


def test_a_user_is_a_name_or_a_uid() -> None:
    assert convert(User(), pwd.getpwuid(os.getuid()).pw_name) == os.getuid()
    assert convert(User(), "4242") == 4242


@pytest.mark.parametrize("text", ["", "no-such-user-7f", "-1", "4294967295", "99999999999", "a\x00b"])
def test_other_users_are_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        convert(User(), text)


def test_a_descriptor_is_a_number() -> None:
    assert convert(Descriptor(), "0") == 0
    for text in ("", "-1", "x", "1.0", "٣"):
        with pytest.raises(click.UsageError):
            convert(Descriptor(), text)
