"""The ledger: a change that did not happen leaves no trace, and the sum knows no order."""

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultd.errors import StoreDamagedError
from vaultd.keyholder.ledger import Entry, Ledger
from vaultd.model import AuditRow, GrantRow, IntegrityRow, PeerFacts, Row
from vaultd.packing import pack_row

VAULT_ID = bytes(range(16))
ENTRY = Entry("test", PeerFacts(1000, 1000, 4711, ""))
GRANT = GrantRow("gr-0", "client", "reveal", "*", "read", 0, 0, 0, 0)
NUMBERS = st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True)


def ledger() -> Ledger:
    return Ledger(VAULT_ID, 1, *(memoryview(bytes([number]) * 32) for number in (1, 2, 3)))


def grant(number: int, **changes: Any) -> GrantRow:
    return dataclasses.replace(GRANT, grant=f"gr-{number}", **changes)


def state(of: Ledger) -> tuple[object, ...]:
    return of.generation, of.head, of._total, dict(of.counts), set(of._current)


def with_rows(numbers: list[int]) -> Ledger:
    made = ledger()
    made.change(ENTRY, 1, [(None, grant(number)) for number in numbers])
    made.committed(made.changes)
    return made


def test_a_change_counts_at_once_and_for_good() -> None:
    made = with_rows([1])
    assert made.holds(grant(1))
    made.change(ENTRY, 2, [(grant(1), grant(1, rate_count=5))])
    assert not made.holds(grant(1))
    assert made.holds(grant(1, rate_count=5))
    made.committed(made.changes)
    assert not made.failed(made.changes)
    assert made.holds(grant(1, rate_count=5))


@given(NUMBERS, st.data())
def test_a_change_undone_restores_sum_counts_head_and_rows(numbers: list[int], data: st.DataObject) -> None:
    made = with_rows(numbers)
    before = state(made)
    kept = data.draw(st.lists(st.sampled_from(numbers), unique=True))
    puts: list[tuple[Row | None, Row]] = [(grant(number), grant(number, rate_count=9)) for number in kept]
    puts += [(None, grant(number + 100)) for number in numbers]
    made.change(ENTRY, 2, puts, [grant(number) for number in numbers if number not in kept])
    assert state(made) != before
    made.failed(made.changes)
    assert state(made) == before


@given(NUMBERS, st.integers(1, 6), st.integers(1, 6))
def test_a_failure_undoes_every_later_change_too_and_their_own_failures_find_nothing(
    numbers: list[int], good: int, bad: int
) -> None:
    made = with_rows(numbers)
    for number in range(good):
        made.change(ENTRY, 2, [(None, grant(200 + number))])
    before, first = state(made), made.changes + 1
    for number in range(bad):
        made.change(ENTRY, 3, [(None, grant(300 + number))])
    last = made.changes
    for number in range(first, last + 1):
        made.failed(number)
        assert state(made) == before
    made.committed(made.changes)
    made.change(ENTRY, 4, [(None, grant(400))])
    made.failed(last)
    assert made.holds(grant(400))


@given(NUMBERS, st.data())
def test_the_sum_knows_no_order(numbers: list[int], data: st.DataObject) -> None:
    other_order = data.draw(st.permutations(numbers))
    one, other = ledger(), ledger()
    for number in numbers:
        one.change(ENTRY, 1, [(None, grant(number))])
    for number in other_order:
        other.change(ENTRY, 1, [(None, grant(number))])
    assert (one._total, one.counts) == (other._total, other.counts)


@given(NUMBERS)
def test_what_was_changed_loads_with_the_integrity_row_of_its_last_change(numbers: list[int]) -> None:
    made = ledger()
    rows: dict[str, tuple[list[Any], bytes]] = {}
    payload: dict[str, Any] = {}
    for number in numbers:
        payload = made.change(ENTRY, 1, [(None, grant(number)), (None, grant(number + 100))])
        rows |= {values[0]: (values, tag) for _, values, tag in payload["puts"]}
    payload = made.change(ENTRY, 2, deletes=[grant(numbers[0])])
    del rows[f"gr-{numbers[0]}"]
    packed = [pack_row("grants", values) for values, _ in rows.values()]
    tags = [tag for _, tag in rows.values()]
    tail = AuditRow.of(payload["audit"])
    stored = IntegrityRow.of(payload["integrity"])
    loaded = ledger()
    loaded.load_page("grants", packed, tags)
    loaded.open_at(stored, tail, made.generation)
    assert state(loaded) == state(made)
    lacking = ledger()
    lacking.load_page("grants", packed[1:], tags[1:])
    with pytest.raises(StoreDamagedError):
        lacking.open_at(stored, tail, made.generation)


def test_a_row_that_is_there_already_is_not_loaded_again() -> None:
    made = with_rows([1])
    ((_, values, tag),) = ledger().change(ENTRY, 1, [(None, grant(1))])["puts"]
    with pytest.raises(StoreDamagedError):
        made.load_page("grants", [pack_row("grants", values)], [tag])


REFUSED: dict[str, tuple[list[tuple[Row | None, Row]], list[Row]]] = {
    "an old row that was never written": ([(grant(9), grant(9, rate_count=1))], []),
    "an old row that is out of date": ([(grant(1, rate_count=1), grant(1, rate_count=2))], []),
    "a new row that is there already": ([(None, grant(2))], []),
    "a deleted row that is not there": ([], [grant(9)]),
}


@pytest.mark.parametrize(("puts", "deletes"), REFUSED.values(), ids=REFUSED)
def test_a_change_that_is_refused_changes_nothing(puts: list[tuple[Row | None, Row]], deletes: list[Row]) -> None:
    made = with_rows([1, 2])
    before = state(made)
    with pytest.raises(StoreDamagedError):
        made.change(ENTRY, 2, [(None, grant(3)), (grant(1), grant(1, rate_count=7)), *puts], deletes)
    assert state(made) == before
    made.change(ENTRY, 2, [(None, grant(3))])
    assert made.generation == 2


def test_each_change_has_its_own_place_in_the_audit() -> None:
    made = ledger()
    entries = [AuditRow.of(made.change(ENTRY, 1)["audit"]) for _ in range(5)]
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    for before, after in itertools.pairwise(entries):
        assert made.check_entry(before.mac, after)
        assert not made.check_entry(after.mac, before)
