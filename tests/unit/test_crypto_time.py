"""Clock, nonces and rates: what a changed wall clock, a replay or a burst cannot do."""

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultd.errors import RateLimitedError
from vaultd.keyholder import nonces
from vaultd.keyholder.clock import Clock, boot_ns
from vaultd.keyholder.nonces import Nonces
from vaultd.keyholder.rates import Rates
from vaultd.model import GrantRow

SECOND = 1_000_000_000
GRANT = GrantRow("gr-0", "client", "reveal", "*", "read", 0, 3, 10, 0)
NONCE = st.binary(min_size=16, max_size=16)


def test_the_clock_starts_with_the_wall_clock() -> None:
    assert abs(Clock(0).now_ms() - time.time_ns() // 1_000_000) < 1_000


def test_the_clock_never_starts_before_the_last_audit_entry() -> None:
    later = time.time_ns() // 1_000_000 + 86_400_000
    assert later <= Clock(later).now_ms() < later + 1_000


@pytest.mark.parametrize("wall_ns", [0, 2**62])
def test_setting_the_wall_clock_moves_nothing_after_the_unlock(wall_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0)
    before = clock.now_ms()
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns)
    monkeypatch.setattr(time, "time", lambda: wall_ns / SECOND)
    assert before <= clock.now_ms() < before + 1_000
    assert abs(Clock(0).now_ms() - wall_ns // 1_000_000) < 1_000


def test_the_clock_goes_on_with_the_time_since_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0)
    start, now = clock.now_ms(), boot_ns()
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: now + 3_600 * SECOND)
    assert start + 3_600_000 - 1 <= clock.now_ms() <= start + 3_600_000 + 1


@given(st.lists(st.tuples(st.sampled_from("ab"), NONCE, st.integers(0, 60)), max_size=30), st.integers(0, 60))
def test_a_nonce_is_new_once_for_each_client_and_remembered_until_it_has_expired(
    uses: list[tuple[str, bytes, int]], sweep_at: int
) -> None:
    seen = Nonces()
    known: dict[tuple[str, bytes], int] = {}
    for client, nonce, expires in uses:
        assert seen.add(client, nonce, expires, 0) == ((client, nonce) not in known)
        known.setdefault((client, nonce), expires)
    seen.sweep(sweep_at)
    for (client, nonce), expires in known.items():
        assert seen.add(client, nonce, expires, sweep_at) == (expires < sweep_at)


def test_a_full_cache_refuses_its_client_and_forgets_no_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonces, "NONCES_PER_CLIENT", 3)
    seen = Nonces()
    for number in range(3):
        assert seen.add("a", bytes([number]) * 16, 10, 0)
    with pytest.raises(RateLimitedError):
        seen.add("a", b"\x09" * 16, 10, 0)
    assert not seen.add("a", bytes(16), 10, 0)
    assert seen.add("b", bytes(16), 10, 0)
    assert seen.add("a", b"\x09" * 16, 20, 11)


@given(st.lists(st.sampled_from([0, 1, SECOND, 5 * SECOND, 10 * SECOND]) | st.integers(0, 5 * SECOND), max_size=60))
def test_no_window_ever_has_more_uses_than_the_grant_allows_and_none_is_refused_too_much(pauses: list[int]) -> None:
    rates, now = Rates(), 0
    used: list[int] = []
    window = GRANT.rate_seconds * SECOND
    for pause in pauses:
        now += pause
        lately = [each for each in used if each > now - window]
        assert rates.left(GRANT, now) == (len(lately) < GRANT.rate_count)
        if rates.left(GRANT, now):
            rates.use(GRANT, now)
            used.append(now)
    for start in used:
        assert sum(start <= each < start + window for each in used) <= GRANT.rate_count


def test_a_use_counts_until_its_window_is_over_to_the_nanosecond() -> None:
    rates, window = Rates(), GRANT.rate_seconds * SECOND
    for _ in range(GRANT.rate_count):
        rates.use(GRANT, 0)
    assert not rates.left(GRANT, window - 1)
    assert rates.left(GRANT, window)


def test_a_grant_without_a_rate_is_never_used_up() -> None:
    rates, free = Rates(), dataclasses.replace(GRANT, rate_count=0, rate_seconds=0)
    for _ in range(1_000):
        assert rates.left(free, 0)
        rates.use(free, 0)


def test_the_uses_of_one_grant_are_not_those_of_another_and_go_with_it() -> None:
    rates, other = Rates(), dataclasses.replace(GRANT, grant="gr-1")
    for _ in range(GRANT.rate_count):
        rates.use(GRANT, 0)
    assert not rates.left(GRANT, 0)
    assert rates.left(other, 0)
    rates.forget(GRANT.grant)
    assert rates.left(GRANT, 0)
