"""The sealed answer of a reveal waits in the server until its audit entry is on the disk."""

import time

import pytest

from tests.support import strace
from tests.support.daemon import READ_PAIR, Daemon
from vaultd_client import VaultClient
from vaultd_client.errors import VaultClientError

SLOW_SECONDS = 0.4
pytestmark = strace.NEEDED


def revealed_after(client: VaultClient) -> float:
    began = time.perf_counter()
    assert client.reveal("binance-main", "read").secret == READ_PAIR["secret"]
    return time.perf_counter() - began


def test_plaintext_comes_no_sooner_than_a_slow_disk_has_the_entry(vault: Daemon) -> None:
    with vault.admin() as client:
        assert min(revealed_after(client) for _ in range(5)) < SLOW_SECONDS / 2  # control: else the disk is quick
        slow = f"inject=fdatasync:delay_enter={int(SLOW_SECONDS * 1e6)}"
        with strace.attached(vault, ["fdatasync"], "-e", slow):
            assert revealed_after(client) >= SLOW_SECONDS
            # Masked metadata waits for no entry.
            began = time.perf_counter()
            client.get("binance-main")
            assert time.perf_counter() - began < SLOW_SECONDS


def test_an_entry_that_the_disk_refuses_is_answered_by_its_error_and_no_plaintext(vault: Daemon) -> None:
    with vault.admin() as client:
        with strace.attached(vault, ["pwrite64"], "-e", "inject=pwrite64:error=ENOSPC"):
            with pytest.raises(VaultClientError) as refused:
                client.reveal("binance-main", "read")
            assert refused.value.reason == "STORE_FULL"
        assert client.reveal("binance-main", "read").secret == READ_PAIR["secret"]  # control: room again, and it goes on
        assert client.verify_audit().ok
