"""A sweep that fails, is stopped or runs out of its time says how far it came."""

from collections.abc import Iterator

import pytest

from tests.support.sweep import Report


@pytest.fixture(autouse=True)
def figures_of_a_sweep_that_was_broken_off() -> Iterator[None]:
    yield
    Report.show_unfinished()
