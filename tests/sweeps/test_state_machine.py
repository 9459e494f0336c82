"""A daemon that is used, locked, killed and restored at random does in every step what a model of dicts says.

Steps: add, rotate, update, revoke, delete an exchange; allow, disable, enable, revoke a client; grant, take back and
confirm; reveal by several clients; lock, unlock, restart, kill -9, and an older copy of the files put back. After every
run the audit's chain is walked, and lists, masks, clients and grants are compared.
"""

import os
from collections import Counter
from collections.abc import Iterator
from multiprocessing.util import Finalize

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.model_house import House, new_house
from tests.support.model_machine import VaultMachine
from tests.support.model_vault import VaultModel
from tests.support.sweep import Report, on_all_cores
from vaultd_client import VaultClient
from vaultd_client.revealed import RevealedCredential

STEPS = 50
PORTION = 50
"""Runs of the full form that one process makes at once; their figures are there when they are done."""
NO_STEP = ("steps", "audit walked", "entries walked", "rollback accepted")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with new_house() as made:
        yield made


def run(house: House, runs: int, steps: int, seed: int, **changed: object) -> Counter[str]:
    """Runs the machine so often; returns how often each step ended in each way, and raises where the two differ."""
    house.found = Counter()
    machine = type("Machine", (VaultMachine,), {"house": house, **changed})
    machine._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]  # what hypothesis.seed() sets
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            # A step takes a second where the daemon starts: what fails is printed as it was found.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
        _min_steps=steps - 1,  # or the first run of each would end at once
    )
    return house.found


def count(report: Report, found: Counter[str]) -> None:
    report.add_all({what: often for what, often in found.items() if what not in NO_STEP})


def show(report: Report, found: Counter[str]) -> None:
    report.show()
    print(f"sweep {report.name}: {', '.join(f'{found[what]:,} {what}' for what in NO_STEP)}")


def test_the_daemon_does_what_the_model_says(house: House) -> None:
    report = Report("state machine, quick")
    found = run(house, runs=10, steps=15, seed=20_251_121, most_lives=1, most_locks=1)
    count(report, found)
    show(report, found)
    assert found["audit walked"] >= 10
    assert report.tried >= 100
    assert report.found["reveal to admin: ok"] > 0


_house: list[House] = []


def _own_house() -> House:
    """Returns the house of this process, which ends with it."""
    if not _house:
        opened = new_house()
        _house.append(opened.__enter__())
        Finalize(None, opened.__exit__, (None, None, None), exitpriority=1)
    return _house[0]


def _portion(seed: int) -> Counter[str]:
    # Every other portion has a second start and a second lock in a run: they take more time than all other steps.
    most = 1 + seed % 2
    return run(_own_house(), PORTION, STEPS, seed, most_lives=most, most_locks=most)


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_the_daemon_does_what_the_model_says_full() -> None:
    """2,000 runs of 50 steps. VAULTD_SWEEP_RUNS makes it fewer, for a sample."""
    runs = int(os.environ.get("VAULTD_SWEEP_RUNS", "2000"))
    report = Report("state machine, full")
    found: Counter[str] = Counter()
    for each in on_all_cores(_portion, range(1, 1 + -(-runs // PORTION)), chunk=1):
        found += each
        count(report, each)
    show(report, found)
    assert found["audit walked"] >= runs
    assert found["steps"] >= runs * STEPS
    # Each way a step can end was met: a machine that is refused everything proves nothing.
    assert report.found["reveal: ok"] > 0
    if runs < 200:
        return  # a sample
    for way in ("reveal: PERMISSION_DENIED", "reveal: REQUEST_REFUSED", "restore: STORE_ROLLED_BACK", "confirm: ok"):
        assert report.found[way] > 0, way


# --- positive controls ----------------------------------------------------------------------------------------------


class ForgetsRotations(VaultModel):
    """Of a vault that goes on to show the key of before."""

    def rotate(self, name: str, half: str, fields: dict[str, str]) -> str:
        return VaultModel.rotate(self.copy(), name, half, fields)


class NeverDisables(VaultModel):
    """Of a vault that goes on to serve a client that was disabled."""

    def set_client(self, client: str, state: str) -> str:
        return super().set_client(client, "ACTIVE")


class KeepsGrants(VaultModel):
    """Of a vault that goes on to obey a grant that was taken back."""

    def ungrant(self, client: str, key: str) -> str:
        return VaultModel.ungrant(self.copy(), client, key)


class NeverSuspends(VaultModel):
    """Of a vault that goes on to give write halves after an older one was put in its place."""

    def put_back(self) -> None:
        pass


@pytest.mark.parametrize("model", [ForgetsRotations, NeverDisables, KeepsGrants])
def test_the_machine_finds_a_vault_that_differs_from_its_model(house: House, model: type[VaultModel]) -> None:
    with pytest.raises(AssertionError, match=r"differs? from|the vault says|another version"):
        run(house, runs=100, steps=30, seed=6, model_type=model, most_lives=0, most_locks=0)


def test_the_machine_finds_grants_that_a_put_back_vault_has_suspended(house: House) -> None:
    with pytest.raises(AssertionError, match="the vault says PERMISSION_DENIED, the model ok"):
        run(house, runs=50, steps=30, seed=7, model_type=NeverSuspends, most_lives=1, most_locks=0)


def test_the_machine_finds_an_answer_that_is_not_the_present_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    reveal = VaultClient.reveal
    kept: dict[tuple[str, str], RevealedCredential] = {}

    def stale(self: VaultClient, exchange: str, configuration: str = "read", version: int = 0) -> RevealedCredential:
        return kept.setdefault((exchange, configuration), reveal(self, exchange, configuration, version))

    monkeypatch.setattr(VaultClient, "reveal", stale)
    with pytest.raises(AssertionError, match="another version"):
        run(house, runs=100, steps=30, seed=5, most_lives=0, most_locks=0)
