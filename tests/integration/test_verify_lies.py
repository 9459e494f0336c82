"""Promise: `--verify` sends a new key pair where the keyholder says, not where a server that was taken over says."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon
from tests.support.lying_catalogue import IN_THE_OPEN, start
from tests.support.taken_over import lying
from tests.support.vaultctl import vaultctl
from tests.support.venue_keys import Venue
from tests.support.venues import venue_of
from vaultd.kinds import Catalogue
from vaultd_client.bots.names import FIELDS


@pytest.fixture
def taken_over(daemon: Daemon) -> Daemon:
    start(daemon)
    daemon.initialize()
    return daemon


@pytest.fixture
def okx() -> Iterator[Venue]:
    with venue_of("okx") as venue:
        yield venue


def given(daemon: Daemon, venue: Venue, *command: str) -> "subprocess.CompletedProcess[str]":
    options = ("--verify", "--exchange-url", venue.url, "--from-stdin", "--json")
    return vaultctl(daemon, "exchange", *command, *options, given=json.dumps(venue.new_key().fields()))


@pytest.mark.parametrize("lie", ["bybit", IN_THE_OPEN])
def test_a_lie_about_the_kind_sends_a_new_key_nowhere(taken_over: Daemon, okx: Venue, lie: str) -> None:
    add = ("add", "main", "--kind", "okx")
    with lying(taken_over, lie):
        refused = given(taken_over, okx, *add)
        assert (refused.returncode, okx.calls) == (12, [])
        assert json.loads(refused.stdout)["error"] == "untrusted_vault"
    assert given(taken_over, okx, *add).returncode == 0  # told no lie, it asks
    assert okx.calls


def test_a_lie_about_an_exchange_sends_its_next_key_nowhere_else(taken_over: Daemon, okx: Venue) -> None:
    assert given(taken_over, okx, "add", "main", "--kind", "okx").returncode == 0
    okx.calls.clear()
    rotate = ("rotate", "main", "--configuration", "read")
    with lying(taken_over, "bybit"):
        assert given(taken_over, okx, *rotate).returncode == 12
        assert okx.calls == []
    assert given(taken_over, okx, *rotate).returncode == 0
    assert okx.calls


def test_the_catalogue_has_ccxts_own_words_for_every_field() -> None:
    named = {(field.name, field.ccxt_name) for kind in Catalogue.load().all() for field in kind.fields if field.ccxt_name}
    assert len(named) > 5
    assert named <= set(FIELDS["ccxt"].items())
