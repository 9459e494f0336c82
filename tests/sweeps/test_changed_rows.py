"""Every bit of the rows that a reveal is made of, changed by a server that was taken over: never a plaintext."""

from collections.abc import Iterator

import pytest

from tests.support import taken_over
from tests.support.daemon import READ_PAIR, Daemon, new_daemon
from tests.support.sweep import Report
from vaultd_client.errors import VaultClientError


@pytest.fixture(scope="module")
def house() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        taken_over.start(daemon)
        daemon.initialize()
        daemon.add_exchange()
        yield daemon


def sweep(house: Daemon, name: str, numbers: range) -> Report:
    report = Report(name)
    house.lock()  # What the keyholder has once vouched for, it remembers and does not ask for.
    house.unlock()
    with house.admin() as admin:
        for row in ("exchange", "credential"):
            for number in numbers:
                with taken_over.lying(house, f"a changed {row} #{number}"):
                    try:
                        found = admin.reveal("binance-main")
                    except VaultClientError as error:
                        report.add(f"{row} refused {error.reason}")
                    else:
                        report.add(f"{row} #{number} GAVE A PLAINTEXT, {'the right one' * (found.secret == READ_PAIR['secret'])}")
        # Positive control: what was refused is the change.
        assert admin.reveal("binance-main").secret == READ_PAIR["secret"]
    report.show()
    assert set(report.found) == {"exchange refused STORE_DAMAGED", "credential refused STORE_DAMAGED"}
    return report


def test_a_changed_row_gives_no_plaintext(house: Daemon) -> None:
    sweep(house, "changed rows, quick", range(0, 4_000, 61))


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_a_changed_row_gives_no_plaintext_full(house: Daemon) -> None:
    sweep(house, "changed rows, full", range(4_000))
