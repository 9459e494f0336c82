"""Key slots: many ways to unlock one vault, none of which can be weakened, and never the last one lost."""

import resource
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.daemon import CHEAP, PASSPHRASE, READ_PAIR, RECOVERY, WRITE_PAIR, Daemon, new_daemon
from tests.support.processes import status_of
from tests.support.refusals import refused
from tests.support.stores import MACHINE_KEY, Files, editing, everything, history
from vaultd.model import CredentialRow
from vaultd_client.slots import Slot

SECOND = b"a second passphrase of another person"
CHANGED = b"what the passphrase was changed to"


def secret(value: bytes) -> bytearray:
    return bytearray(value)


def slots(daemon: Daemon) -> dict[int, Slot]:
    with daemon.unlocker() as unlocker:
        return {slot.slot: slot for slot in unlocker.slots()}


def add(daemon: Daemon, new: bytes, **options: str) -> int:
    with daemon.unlocker() as unlocker:
        return unlocker.slot_add(secret(PASSPHRASE), secret(new), **options)


def opened(daemon: Daemon, value: bytes, kind: str = "passphrase", **options: object) -> int:
    """Locks the vault, unlocks it with a secret, and returns the slot that took it."""
    daemon.lock()
    with daemon.unlocker() as unlocker:
        return unlocker.unlock(secret(value), kind=kind, **options).slot  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def standing() -> Iterator[Daemon]:
    """Such a vault for the whole module, which every test leaves as it found it."""
    with new_daemon() as daemon:
        history().new.put(daemon).start()
        daemon.unlock(MACHINE_KEY, kind="machine")
        yield daemon
        assert len(slots(daemon)) == 3


# --- what opens -----------------------------------------------------------------------------------------------------


def test_every_slot_opens_the_vault_by_its_own_secret_and_no_other(kept: Daemon) -> None:
    assert add(kept, SECOND, label=" the other person ") == 4
    known = slots(kept)
    assert [known[n].kind for n in (1, 2, 3, 4)] == ["passphrase", "recovery", "machine", "passphrase"]
    assert [known[n].label for n in (2, 3, 4)] == ["recovery code", "machine", "the other person"]
    assert opened(kept, PASSPHRASE) == 1
    assert opened(kept, RECOVERY, "recovery") == 2
    assert opened(kept, MACHINE_KEY, "machine") == 3
    assert opened(kept, SECOND) == 4
    assert opened(kept, SECOND, slot=4) == 4
    for value, kind, slot in (
        (RECOVERY, "passphrase", None),
        (PASSPHRASE, "recovery", None),
        (SECOND, "passphrase", 1),
    ):
        assert refused(opened, kept, value, kind, slot=slot).reason == "WRONG_PASSPHRASE"
        kept.unlock(MACHINE_KEY, kind="machine")
    kept.lock()
    assert slots(kept) == known


def test_costs_are_the_chosen_one_the_floor_and_none(kept: Daemon) -> None:
    known = slots(kept)
    costs = {slot.kind: (slot.memory_kib, slot.passes, slot.lanes) for slot in known.values()}
    floor = (CHEAP.memory_kib, CHEAP.passes, CHEAP.lanes)
    assert costs == {"passphrase": floor, "recovery": floor, "machine": (0, 0, 0)}


def test_a_removed_slot_opens_nothing_and_its_number_is_free(kept: Daemon) -> None:
    number = add(kept, SECOND)
    with kept.unlocker() as unlocker:
        assert refused(lambda: unlocker.slot_remove(number, secret(b"not a passphrase"))).reason == "WRONG_PASSPHRASE"
        assert (
            refused(lambda: unlocker.slot_remove(7, secret(MACHINE_KEY), secret_kind="machine")).reason
            == "SLOT_NOT_FOUND"
        )
        assert number in slots(kept)
        unlocker.slot_remove(number, secret(MACHINE_KEY), secret_kind="machine")
    assert number not in slots(kept)
    kept.lock()
    assert refused(lambda: kept.unlock(SECOND)).reason == "WRONG_PASSPHRASE"
    kept.unlock()
    assert add(kept, SECOND) == number


def test_the_last_human_slot_stays_although_a_machine_could_unlock(kept: Daemon) -> None:
    with kept.unlocker() as unlocker:
        unlocker.slot_remove(1, secret(MACHINE_KEY), secret_kind="machine")
        assert (
            refused(lambda: unlocker.slot_remove(2, secret(MACHINE_KEY), secret_kind="machine")).reason == "LAST_SLOT"
        )
        unlocker.slot_remove(3, secret(RECOVERY), secret_kind="recovery")
    assert [slot.kind for slot in slots(kept).values()] == ["recovery"]


def test_there_are_at_most_eight_slots(kept: Daemon) -> None:
    with kept.unlocker() as unlocker:
        keys = [bytes((number,)) * 32 for number in range(4, 10)]
        added = [
            unlocker.slot_add(secret(MACHINE_KEY), secret(key), kind="machine", secret_kind="machine")
            for key in keys[:5]
        ]
        assert added == [4, 5, 6, 7, 8]
        error = refused(
            lambda: unlocker.slot_add(secret(MACHINE_KEY), secret(keys[5]), kind="machine", secret_kind="machine")
        )
    assert error.fields == {"slot": "at most 8 key slots"}
    assert opened(kept, keys[4], "machine") == 8


@pytest.mark.parametrize(
    ("kind", "length", "words"),
    [
        ("passphrase", 7, "must be 8 to 1024 bytes long"),
        ("passphrase", 1025, "must be 8 to 1024 bytes long"),
        ("recovery", 15, "must be 16 to 1024 bytes long"),
        ("machine", 31, "must be 32 to 1024 bytes long"),
    ],
)
def test_a_secret_of_the_wrong_length_is_refused_and_the_shortest_right_one_is_taken(
    standing: Daemon, kind: str, length: int, words: str
) -> None:
    with standing.unlocker() as unlocker:

        def offer(size: int) -> int:
            return unlocker.slot_add(secret(MACHINE_KEY), secret(b"x" * size), kind=kind, secret_kind="machine")

        assert refused(lambda: offer(length)).fields == {kind: words}
        assert len(slots(standing)) == 3
        assert offer(length + 1 if length < 1000 else length - 1) == 4
        unlocker.slot_remove(4, secret(MACHINE_KEY), secret_kind="machine")


def test_a_short_first_passphrase_makes_no_vault(daemon: Daemon) -> None:
    daemon.start()
    with daemon.unlocker() as unlocker:
        whom: dict[str, Any] = {"name": "admin", "public_key": daemon.stranger().public_key, "uid": 0, "kdf": CHEAP}
        error = refused(lambda: unlocker.initialize(secret(b"seven77"), None, **whom))
        assert error.fields == {"passphrase": "must be 8 to 1024 bytes long"}
        assert unlocker.status().state == "UNINITIALIZED"
        unlocker.initialize(secret(b"eight888"), None, **whom)
        assert unlocker.status().state == "UNLOCKED"
        assert refused(lambda: unlocker.initialize(secret(b"eight888"), None, **whom)).reason == "VAULT_INITIALIZED"


@pytest.mark.parametrize("label", ["x" * 65, "two\nlines", "turned \u202e round", "bell\a"])
def test_a_label_that_would_lie_in_a_terminal_is_refused(standing: Daemon, label: str) -> None:
    options = {"kind": "machine", "secret_kind": "machine"}
    with standing.unlocker() as unlocker:
        error = refused(lambda: unlocker.slot_add(secret(MACHINE_KEY), secret(b"y" * 32), label=label, **options))
        assert list(error.fields) == ["label"]
        number = unlocker.slot_add(secret(MACHINE_KEY), secret(b"y" * 32), label="x" * 64, **options)
        assert slots(standing)[number].label == "x" * 64
        unlocker.slot_remove(number, secret(MACHINE_KEY), secret_kind="machine")


def test_guessing_while_unlocked_is_delayed_like_guessing_while_locked(kept: Daemon) -> None:
    with kept.unlocker() as unlocker:
        for _ in range(5):
            guess = secret(b"\1" * 32)
            assert refused(unlocker.slot_remove, 2, guess, secret_kind="machine").reason == "WRONG_PASSPHRASE"
        right = secret(MACHINE_KEY)
        assert refused(lambda: unlocker.slot_remove(2, right, secret_kind="machine")).reason == "UNLOCK_DELAYED"
        assert unlocker.status().retry_after_ms > 1000
    assert len(slots(kept)) == 3


# --- what changes ---------------------------------------------------------------------------------------------------


def differences(old: Files, new: Files) -> dict[str, tuple[list[tuple[object, ...]], list[tuple[object, ...]]]]:
    """Returns, for each table but audit and integrity, the rows that went and the rows that came."""
    before, after = everything(old.database), everything(new.database)
    return {
        table: (sorted(set(before[table]) - set(after[table])), sorted(set(after[table]) - set(before[table])))
        for table in before
        if table not in ("audit", "integrity") and before[table] != after[table]
    }


def test_changing_a_passphrase_writes_one_row_and_nothing_else(kept: Daemon) -> None:
    with kept.unlocker() as unlocker:
        assert refused(lambda: unlocker.passphrase_change(secret(SECOND), secret(CHANGED))).reason == "WRONG_PASSPHRASE"
        assert refused(lambda: unlocker.passphrase_change(secret(PASSPHRASE), secret(b"short"))).fields
        wrapped = [row[7] for row in everything(history().new.database)["slots"] if row[0] == 1]
        assert wrapped[0] in history().new.database  # type: ignore[operator]
        assert unlocker.passphrase_change(secret(PASSPHRASE), secret(CHANGED)) == 1
        held = b"".join(path.read_bytes() for path in kept.data.iterdir())
        assert wrapped[0] not in held, "the old passphrase still opens what is on the disk"  # type: ignore[operator]
    kept.stop()
    changed = differences(history().new, Files.of(kept))
    assert list(changed) == ["slots"]
    (gone,), (come,) = changed["slots"]
    assert gone[:3] == come[:3]
    kept.start()
    assert refused(kept.unlock).reason == "WRONG_PASSPHRASE"
    kept.unlock(CHANGED)


def test_rotating_the_master_key_wraps_every_key_anew_in_one_transaction(kept: Daemon) -> None:
    bot = kept.add_bot("late-bot")
    secrets = {1: secret(PASSPHRASE), 2: secret(RECOVERY), 3: secret(MACHINE_KEY)}
    kept.stop()
    before = Files.of(kept)
    kept.start()
    kept.unlock()
    with kept.unlocker() as unlocker:
        assert refused(lambda: unlocker.master_key_rotate({1: secrets[1], 2: secrets[2]})).fields
        wrong = refused(lambda: unlocker.master_key_rotate({**secrets, 2: secret(b"z" * 20)}))
        assert (wrong.reason, wrong.message) == ("WRONG_PASSPHRASE", "slot 2: wrong recovery code")
        revealed: list[str] = []
        ready, done = threading.Event(), threading.Event()

        def go_on_revealing() -> None:
            with kept.client(bot) as client:
                while not done.is_set():
                    revealed.append(client.reveal("binance-main", "read").ccxt_config()["secret"])
                    ready.set()

        reader = threading.Thread(target=go_on_revealing)
        reader.start()
        assert ready.wait(10)
        so_far = len(revealed)
        assert unlocker.master_key_rotate(secrets) == 4
        done.set()
        reader.join()
    assert len(revealed) > so_far + 1, "reveals were to go on meanwhile"
    assert set(revealed) == {"NEW-secret-canary-0002"}
    with kept.admin() as admin:
        assert admin.reveal("binance-main", "read", 1).ccxt_config()["secret"] == READ_PAIR["secret"]
        assert admin.reveal("binance-main", "write").ccxt_config()["secret"] == WRITE_PAIR["secret"]
        assert [entry.method for entry in admin.audit()].count("master-key-rotate") == 1
        assert admin.verify_audit().ok
    assert opened(kept, PASSPHRASE) == 1
    assert opened(kept, RECOVERY, "recovery") == 2
    kept.stop()
    after = Files.of(kept)
    old, new = everything(before.database), everything(after.database)
    data_key, ciphertext = map(CredentialRow.columns().index, ("wrapped_data_key", "ciphertext"))
    assert {row[ciphertext] for row in old["credentials"]} == {row[ciphertext] for row in new["credentials"]}
    assert not {row[data_key] for row in old["credentials"]} & {row[data_key] for row in new["credentials"]}
    for table in ("vault", "slots", "exchanges", "clients", "grants"):
        assert not {row[-1] for row in old[table]} & {row[-1] for row in new[table]}, "a tag of the old key is left"
    Files(before.database, after.anchor, after.admin_key).put(kept).start()
    assert refused(lambda: kept.unlock(MACHINE_KEY, kind="machine")).reason == "STORE_ROLLED_BACK"


@pytest.mark.parametrize("numbers", [[], [1, 2, "3"], [1, 1, 2, 3], [1, 2, 9], "123", [1.5, 2, 3], None])
def test_a_rotation_for_slots_that_are_none_names_the_field(standing: Daemon, numbers: object) -> None:
    with standing.unlocker() as unlocker:
        header = {"op": "master-key-rotate", "slots": numbers}
        error = refused(lambda: unlocker._ask(header, [secret(PASSPHRASE), secret(RECOVERY), secret(MACHINE_KEY)]))
    assert (error.reason, list(error.fields)) == ("RECORD_INVALID", ["slots"])


# --- what it costs --------------------------------------------------------------------------------------------------


def demand(daemon: Daemon, memory_kib: int, passes: int = 3, lanes: int = 4) -> None:
    """Sets the floor in vaultd.toml; takes effect with the next start."""
    config = daemon.home / "vaultd.toml"
    config.write_text(f"[kdf]\nmemory_kib = {memory_kib}\npasses = {passes}\nlanes = {lanes}\n")
    daemon.environment["VAULTD_CONFIG"] = str(config)


def test_a_weak_slot_is_upgraded_by_the_unlock_that_shows_it_to_be_weak(kept: Daemon) -> None:
    kept.stop()
    demand(kept, 80 * 1024)
    kept.start()
    assert kept.unlock().upgraded  # type: ignore[attr-defined]
    assert {number: slot.memory_kib for number, slot in slots(kept).items()} == {1: 80 * 1024, 2: 64 * 1024, 3: 0}
    with kept.admin() as admin:
        assert admin.audit(limit=1)[0].detail == "slot 1 (passphrase), upgraded"
    kept.lock()
    assert not kept.unlock().upgraded  # type: ignore[attr-defined]


def test_new_passphrases_cost_what_is_demanded(kept: Daemon) -> None:
    kept.stop()
    demand(kept, 72 * 1024, passes=4, lanes=2)
    kept.start()
    kept.unlock(MACHINE_KEY, kind="machine")
    number = add(kept, SECOND)
    slot = slots(kept)[number]
    assert (slot.memory_kib, slot.passes, slot.lanes) == (72 * 1024, 4, 2)


@pytest.mark.parametrize(
    "cost", [(65535, 3, 4), (1048577, 3, 4), (65536, 2, 4), (65536, 11, 4), (65536, 3, 0), (65536, 3, 9)]
)
def test_a_demand_out_of_bounds_is_refused_at_start_and_not_at_unlock(
    daemon: Daemon, cost: tuple[int, int, int]
) -> None:
    demand(daemon, *cost)
    assert daemon.spawn().wait(10) == 1
    assert "vaultd: [kdf]" in daemon.log()
    assert "Traceback" not in daemon.log()


def test_stored_costs_out_of_bounds_are_refused_before_any_work(kept: Daemon) -> None:
    kept.stop()
    costs = [(65535, 3, 4), (2**20 + 1, 3, 4), (2**40, 3, 4), (0, 3, 4), (65536, 2, 4), (65536, 11, 4), (65536, 3, 9)]
    with editing(kept.database) as connection:
        connection.execute("DELETE FROM slots WHERE kind = 'recovery'")
        connection.execute("UPDATE slots SET slot = slot + 100")
        for number, cost in enumerate(costs, 1):
            copy = (
                "SELECT ?, kind, label, ?, ?, ?, salt, wrapped_master_key, created_ms, tag FROM slots WHERE slot = 101"
            )
            connection.execute(f"INSERT INTO slots {copy}", (number, *cost))
        connection.execute("DELETE FROM slots WHERE slot > 100")
    kept.start()
    with kept.unlocker() as unlocker:
        began = time.perf_counter()
        assert refused(unlocker.unlock, secret(MACHINE_KEY), kind="machine").reason == "WRONG_PASSPHRASE"
        baseline = time.perf_counter() - began
        for number in range(1, len(costs) + 1):
            times = []
            for _ in range(3):
                began = time.perf_counter()
                assert refused(unlocker.unlock, secret(PASSPHRASE), slot=number).reason == "KDF_OUT_OF_BOUNDS"
                times.append(time.perf_counter() - began)
            assert min(times) < baseline + 0.05
        assert unlocker.status().failures == 1, "nothing was tried but the machine key"


@pytest.mark.parametrize(
    ("column", "value", "reason"), [("lanes", 3, "WRONG_PASSPHRASE"), ("salt", b"short", "STORE_DAMAGED")]
)
def test_a_changed_cost_within_bounds_opens_nothing(kept: Daemon, column: str, value: object, reason: str) -> None:
    kept.stop()
    with editing(kept.database) as connection:
        connection.execute(f"UPDATE slots SET {column} = ? WHERE slot = 1", (value,))
    kept.start()
    assert refused(kept.unlock).reason == reason


def leave_memory(daemon: Daemon, mebibytes: int | None) -> None:
    """Lets the keyholder have that much more address space than it has now; None takes the limit away."""
    pid = daemon.keyholder_pid
    present = int(status_of(pid)["VmSize"].split()[0]) * 1024
    soft = resource.RLIM_INFINITY if mebibytes is None else present + mebibytes * 1024 * 1024
    resource.prlimit(pid, resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))


def test_want_of_memory_is_an_error_and_no_death(kept: Daemon) -> None:
    kept.lock()
    pid = kept.keyholder_pid
    leave_memory(kept, 32)
    error = refused(kept.unlock)
    assert (error.reason, error.metadata) == ("OUT_OF_MEMORY", {"needed_kib": str(64 * 1024)})
    with kept.client() as client:
        assert len(client.list()) == 2
    with kept.unlocker() as unlocker:
        assert unlocker.status().failures == 0, "nothing was guessed"
    leave_memory(kept, None)
    kept.unlock()
    assert kept.keyholder_pid == pid
    assert "Traceback" not in kept.log()


def test_want_of_memory_for_an_upgrade_does_not_keep_the_owner_out(kept: Daemon) -> None:
    kept.stop()
    demand(kept, 512 * 1024)
    kept.start()
    leave_memory(kept, 160)
    assert not kept.unlock().upgraded  # type: ignore[attr-defined]
    assert slots(kept)[1].memory_kib == 64 * 1024
    with kept.admin() as admin:
        assert admin.audit(limit=1)[0].detail == "slot 1 (passphrase), not upgraded: not enough memory"
