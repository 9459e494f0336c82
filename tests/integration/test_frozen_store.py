"""A store that was written by hand, after FORMAT.md and the dump of schema 1, opens in a real daemon and reveals its keys.

Nothing of the project wrote it: tests/vectors/make_format_v1.py did. As long as this passes, vaults of version 1 open.
"""

import os
import sqlite3

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.daemon import Daemon
from tests.support.formats import generator
from tests.support.schemas import make
from vaultd_client import ClientKey, VaultClient
from vaultd_client.errors import StoreError
from vaultd_client.keys import Pin

PAGE = generator()


def write(daemon: Daemon) -> None:
    """Puts the vault of the vectors where the daemon looks for its store; its administrator is whoever runs this."""
    vault = PAGE.build(os.getuid())
    for directory in (daemon.data, daemon.anchor_dir):
        directory.mkdir(mode=0o700)
    make(daemon.database, 1)
    connection = sqlite3.connect(daemon.database)
    rows = [(table, [*row.values(), vault.tag(table, row)[1]]) for table, row in vault.rows]
    rows += [("audit", [*row.values()]) for row in vault.audit]
    rows.append(("integrity", [*vault.integrity.values()]))
    for table, values in rows:
        connection.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(values))})', values)
    connection.commit()
    connection.close()
    daemon.anchor.write_bytes(vault.anchor)


def admin(daemon: Daemon) -> VaultClient:
    identity = Ed25519PrivateKey.from_private_bytes(PAGE.IDENTITY).public_key().public_bytes_raw()
    key = ClientKey(Ed25519PrivateKey.from_private_bytes(PAGE.CLIENT))
    return daemon.client(key.with_pin(Pin(PAGE.VAULT_ID, identity)))


@pytest.mark.parametrize(
    ("kind", "secret"), [("passphrase", PAGE.PASSPHRASE), ("recovery", PAGE.RECOVERY), ("machine", PAGE.MACHINE)]
)
def test_a_vault_of_version_1_opens_with_each_kind_of_slot(daemon: Daemon, kind: str, secret: bytes) -> None:
    write(daemon)
    daemon.start()
    daemon.unlock(secret, kind=kind)
    with admin(daemon) as client:
        assert client.reveal("binance-main", "read").fields["api_key"] == "READ-key-abcdefgh-0002"


def test_a_vault_of_version_1_reveals_every_key_and_goes_on_with_its_audit(daemon: Daemon) -> None:
    write(daemon)
    daemon.start()
    daemon.unlock(PAGE.PASSPHRASE)
    with admin(daemon) as client:
        found = [
            dict(client.reveal("binance-main", *which).fields) for which in (("read", 1), ("read", 2), ("write", 1))
        ]
        keys = ["READ-key-abcdefgh-0001", "READ-key-abcdefgh-0002", "WRITE-key-abcdefgh-0001"]
        assert found == [{"api_key": key, "secret": f"SECRET-of-{key}"} for key in keys]
        assert [grant.id for each in client.clients() for grant in each.grants] == ["gr-abcdefghij"]
        report = client.verify_audit()
        assert report.ok
        assert [entry.method for entry in client.audit()][-3:] == ["RevealCredential", "CreateExchange", "initialize"]
    daemon.stop()
    daemon.start()
    daemon.unlock(PAGE.PASSPHRASE)


CHANGES: dict[str, tuple[str, str]] = {
    "a column": ("UPDATE exchanges SET name = 'binance-other'", "STORE_DAMAGED"),
    "a row less": ("DELETE FROM grants", "STORE_DAMAGED"),
    "a swapped ciphertext": (
        "UPDATE credentials SET ciphertext = (SELECT ciphertext FROM credentials WHERE configuration = 'write')",
        "STORE_DAMAGED",
    ),
    "a newer format": ("UPDATE vault SET format_version = 2", "STORE_TOO_NEW"),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
def test_the_same_vault_with_one_change_does_not_open(daemon: Daemon, change: str, reason: str) -> None:
    write(daemon)
    connection = sqlite3.connect(daemon.database)
    connection.execute(change)
    connection.commit()
    connection.close()
    daemon.start()
    with pytest.raises(StoreError) as refused:
        daemon.unlock(PAGE.PASSPHRASE)
    assert refused.value.reason == reason


def test_a_newer_format_is_refused_before_the_passphrase_is_tried(daemon: Daemon) -> None:
    write(daemon)
    connection = sqlite3.connect(daemon.database)
    connection.execute("UPDATE vault SET format_version = 2")
    connection.commit()
    connection.close()
    daemon.start()
    with pytest.raises(StoreError) as refused:
        daemon.unlock(b"a wrong passphrase")
    assert refused.value.metadata == {"found": "2", "supported": "1"}
    with daemon.unlocker() as unlocker:
        assert unlocker.status().failures == 0
