"""A grant that names a systemd unit counts in that unit alone; `who` tells processes apart by pid and start."""

from datetime import UTC, datetime, timedelta

import pytest

from vaultd.keyholder import policy
from vaultd.keyholder.rates import Rates
from vaultd.model import ClientRow, ClientState, GrantRow
from vaultd_client.cli.who import callers
from vaultd_client.models import AuditEntry

CLIENT = ClientRow("key", "bot", bytes(32), 1000, "", ClientState.ACTIVE, "[]", 0, 0)
GRANT = GrantRow("gr-0", "key", "reveal", "*", "read", 0, 0, 0, 0, "bot.service")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "allowed", "rule"),
    [
        ("bot.service", True, "grant gr-0"),
        (None, True, "grant gr-0"),
        ("other.service", False, "grant gr-0 unit"),
        ("", False, "grant gr-0 unit"),
        ("bot.servic", False, "grant gr-0 unit"),
    ],
)
def test_a_grant_that_names_a_unit_counts_there_alone(unit: str | None, *, allowed: bool, rule: str) -> None:
    decision = policy.may_reveal(CLIENT, [GRANT], "ex", "read", 1, Rates(), 1, unit)
    assert (decision.allowed, decision.rule) == (allowed, rule)


def test_another_grant_still_allows_what_the_unit_of_one_does_not() -> None:
    anywhere = GrantRow("gr-1", "key", "reveal", "*", "read", 0, 0, 0, 0)
    decision = policy.may_reveal(CLIENT, [GRANT, anywhere], "ex", "read", 1, Rates(), 1, "other.service")
    assert (decision.allowed, decision.rule) == (True, "grant gr-1")


def entry(sequence: int, pid: int, decision: str = "allow", *, count: int = 1, started: int = 0) -> AuditEntry:
    began = NOW + timedelta(seconds=started)
    time = NOW + timedelta(seconds=100 + sequence)
    where = ("", "", 0, "")
    return AuditEntry(
        sequence, time, "RevealCredential", decision, "rule", "bot", 1000, pid, "bot.service", *where, count, began
    )


def test_a_pid_that_was_given_again_is_another_caller() -> None:
    found = callers([entry(4, 7, started=60), entry(3, 8), entry(2, 7, "deny", count=5), entry(1, 7)])
    assert [(each.pid, each.allowed, each.denied) for each in found] == [(7, 1, 0), (8, 1, 0), (7, 1, 5)]
    assert [each.started_at for each in found] == [NOW + timedelta(seconds=60), NOW, NOW]
