"""An old store is refused unless a person accepts it; a damaged one stays locked; the audit names its first bad entry."""

import sqlite3
from collections.abc import Callable

import pytest

from tests.support.daemon import PASSPHRASE, READ_PAIR, Daemon
from tests.support.refusals import refused
from tests.support.stores import (
    FORMER_PASSPHRASE,
    MACHINE_KEY,
    NEW_PAIR,
    Files,
    editing,
    everything,
    history,
)
from vaultd_client import VaultClientError

ENDS_WITHIN = 10


def refusal(daemon: Daemon, passphrase: bytes = PASSPHRASE, **options: object) -> VaultClientError:
    return refused(daemon.unlock, passphrase, **options)


def edit(daemon: Daemon, *statements: str) -> None:
    with editing(daemon.database) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0


def revealed(daemon: Daemon) -> dict[str, str]:
    with daemon.admin() as admin:
        return admin.reveal("binance-main", "read").ccxt_config()


@pytest.fixture
def now(daemon: Daemon) -> Daemon:
    """The vault of `history` as it is now, not started."""
    return history().new.put(daemon)


# --- refused, and nothing lost --------------------------------------------------------------------------------------


def test_a_damaged_store_stays_locked_and_still_serves_what_is_public(now: Daemon) -> None:
    edit(now, "DELETE FROM grants")
    now.start()
    error = refusal(now)
    assert (error.reason, str(error)) == ("STORE_DAMAGED", "rows of the store are missing, added or out of date")
    assert "backup" in error.hint
    with now.client() as client, now.unlocker() as unlocker:
        assert client.vault().state == "LOCKED"
        assert client.vault().lock_cause == "unlock failed: rows of the store are missing, added or out of date"
        assert [exchange.name for exchange in client.list()] == ["binance-main", "kraken-main"]
        assert unlocker.status().failures == 0
    assert refusal(now, b"not the passphrase").reason == "WRONG_PASSPHRASE"
    assert "Traceback" not in now.log()


def test_a_damaged_store_that_is_repaired_unlocks_again(now: Daemon) -> None:
    edit(now, "UPDATE exchanges SET hidden = 1 WHERE kind = 'kraken'")
    now.start()
    assert refusal(now, MACHINE_KEY, kind="machine").reason == "STORE_DAMAGED"
    now.stop()
    edit(now, "UPDATE exchanges SET hidden = 0 WHERE kind = 'kraken'")
    now.start()
    now.unlock()
    assert revealed(now)["secret"] == NEW_PAIR["secret"]


def test_a_wrong_passphrase_on_damaged_pages_says_nothing_but_wrong_passphrase(now: Daemon) -> None:
    with editing(now.database) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'credentials_fingerprint'"
        ).fetchone()
    content = bytearray(now.database.read_bytes())
    content[page * 4096 - 100 : page * 4096] = bytes(100)
    now.database.write_bytes(content)
    now.start()
    assert refusal(now, b"not the passphrase").reason == "WRONG_PASSPHRASE"
    assert refusal(now).reason == "STORE_DAMAGED"
    now.stop()
    assert "Traceback" not in now.log()


def test_a_row_that_makes_no_answer_is_a_typed_error_of_the_open_list(now: Daemon) -> None:
    edit(now, "UPDATE exchanges SET labels = '{' WHERE kind = 'kraken'")
    now.start()
    with now.client() as client:
        assert client.get("binance-main").state == "ACTIVE"
        for call in (client.list, lambda: client.get("kraken-main")):
            with pytest.raises(VaultClientError) as caught:
                call()
            assert caught.value.reason == "STORE_DAMAGED"


def test_a_passphrase_that_was_taken_back_stays_useless_when_its_slot_is_put_back(now: Daemon) -> None:
    now.start()
    assert refusal(now, FORMER_PASSPHRASE).reason == "WRONG_PASSPHRASE"
    now.stop()
    with editing(now.database) as connection:
        old = now.home / "old.db"
        old.write_bytes(history().old.database)
        connection.execute("ATTACH ? AS old", (str(old),))
        missing = "SELECT * FROM old.slots WHERE slot NOT IN (SELECT slot FROM main.slots)"
        assert connection.execute(f"INSERT INTO main.slots {missing}").rowcount == 1
    now.start()
    assert refusal(now, FORMER_PASSPHRASE).reason == "STORE_DAMAGED"


START_REFUSALS: dict[str, tuple[str, str, str]] = {
    "tomorrow": ("PRAGMA user_version = 2", "the store was written by a newer vaultd", "install the newer vaultd again"),
    "foreign": ("PRAGMA application_id = 7", "the file is not a store of vaultd", "restore a backup"),
    "planted": ("CREATE TRIGGER t AFTER DELETE ON audit BEGIN SELECT 1; END", "the schema of the store is not vaultd's", "restore a backup"),
    "beheaded": ("DELETE FROM vault", "rows of the store are missing", "restore a backup"),
}  # fmt: skip


@pytest.mark.parametrize("name", START_REFUSALS)
def test_a_store_that_cannot_be_served_ends_the_daemon_at_once_and_is_left_as_it_is(now: Daemon, name: str) -> None:
    statement, words, hint = START_REFUSALS[name]
    edit(now, statement)
    before = everything(now.database)
    assert now.spawn().wait(ENDS_WITHIN) == 1
    assert f"vaultd: {words}\n  {hint}" in now.log()
    assert "Traceback" not in now.log()
    assert everything(now.database) == before


# --- rollback -------------------------------------------------------------------------------------------------------


def roll_back(daemon: Daemon) -> None:
    """Puts the whole old database back; the anchor, which is kept elsewhere, stays."""
    files = Files(history().old.database, daemon.anchor.read_bytes(), history().old.admin_key)
    files.put(daemon)


def test_an_old_store_is_refused_and_says_how_to_accept_it(now: Daemon) -> None:
    roll_back(now)
    now.start()
    for _ in range(2):
        error = refusal(now)
        assert error.reason == "STORE_ROLLED_BACK"
        assert int(error.metadata["generation"]) < int(error.metadata["anchor"])
        assert "vaultctl unlock --accept-rollback" in error.hint


def test_an_accepted_rollback_is_audited_and_is_the_new_present(now: Daemon) -> None:
    roll_back(now)
    now.start()
    now.unlock(accept_rollback=True)
    assert revealed(now)["secret"] == READ_PAIR["secret"]
    with now.admin() as admin:
        assert admin.verify_audit().ok
        unlocks = [entry for entry in admin.audit() if entry.method == "unlock"]
        assert unlocks[0].detail.startswith("slot 1 (passphrase), rollback accepted, put back from generation ")
        admin.update_exchange("kraken-main", labels={"desk": "another history"})
    now.stop()
    now.start()
    now.unlock()
    # From now on the store that was newer once is of another history.
    now.stop()
    Files(history().new.database, now.anchor.read_bytes(), history().new.admin_key).put(now)
    now.start()
    error = refusal(now)
    assert (error.reason, error.message) == ("STORE_ROLLED_BACK", "the store and its anchor have parted")


def test_accepting_a_rollback_accepts_no_damage(now: Daemon) -> None:
    roll_back(now)
    edit(now, "UPDATE clients SET uid = 7 WHERE name = 'bot'")
    now.start()
    assert refusal(now, accept_rollback=True).reason == "STORE_DAMAGED"


def test_a_rollback_needs_the_passphrase_all_the_same(now: Daemon) -> None:
    roll_back(now)
    now.start()
    assert refusal(now, b"not the passphrase", accept_rollback=True).reason == "WRONG_PASSPHRASE"


def test_a_killed_daemon_leaves_a_log_that_cannot_be_thrown_away(now: Daemon) -> None:
    now.start()
    now.unlock()
    with now.admin() as admin:
        admin.update_exchange("kraken-main", labels={"desk": "three"})
    now.kill()
    log = now.database.with_name("vault.db-wal")
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 2])
    now.start()
    assert refusal(now).reason == "STORE_ROLLED_BACK"
    now.kill()
    now.database.write_bytes(history().new.database)
    log.write_bytes(whole)
    now.start()
    now.unlock()
    with now.client() as client:
        assert client.get("kraken-main").labels == {"desk": "three"}


# --- the audit ------------------------------------------------------------------------------------------------------


def set_column(column: str, value: object) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(f"UPDATE audit SET {column} = ? WHERE sequence = 3", (value,))


def reordered(connection: sqlite3.Connection) -> None:
    for old, new in ((3, -3), (4, 3), (-3, 4)):
        connection.execute("UPDATE audit SET sequence = ? WHERE sequence = ?", (new, old))


def dropped(connection: sqlite3.Connection) -> None:
    """Drops an entry and makes up the number with one that no walk forward meets."""
    connection.execute("UPDATE audit SET sequence = -3 WHERE sequence = 3")


AUDIT: dict[str, tuple[Callable[[sqlite3.Connection], object], str]] = {
    "time": (set_column("time_ms", 1), "the entry was changed, or the one before it was"),
    "client": (set_column("client", "somebody else"), "the entry was changed, or the one before it was"),
    "detail": (set_column("detail", "nothing to see"), "the entry was changed, or the one before it was"),
    "mac": (set_column("mac", bytes(32)), "the entry was changed, or the one before it was"),
    "reordered": (reordered, "the entry was changed, or the one before it was"),
    "dropped": (dropped, "the entry is missing"),
}


@pytest.mark.parametrize("name", AUDIT)
def test_verifying_the_audit_names_the_first_bad_entry(now: Daemon, name: str) -> None:
    change, words = AUDIT[name]
    with editing(now.database) as connection:
        change(connection)
    now.start()
    now.unlock(MACHINE_KEY, kind="machine")
    with now.admin() as admin:
        report = admin.verify_audit()
    assert (report.ok, report.first_bad, report.checked, report.detail) == (False, 3, 2, words)


def test_an_untouched_audit_verifies_to_its_last_entry(now: Daemon) -> None:
    entries = len(everything(now.database)["audit"])
    now.start()
    now.unlock(MACHINE_KEY, kind="machine")
    with now.admin() as admin:
        report = admin.verify_audit()
    assert (report.ok, report.first_bad, report.checked) == (True, 0, entries + 1)
