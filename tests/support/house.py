"""A vault, what it must hold by what it has acknowledged, and every command that changes it."""

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.daemon import PASSPHRASE, RECOVERY, Daemon, new_daemon
from tests.support.suspended import suspend
from vaultd_client import ClientKey
from vaultd_client.errors import UnlockError

MACHINE_KEY = bytes(range(100, 132))
State = dict[str, Any]


def pair(name: str) -> dict[str, str]:
    """Returns a key pair that no other name has."""
    return {"api_key": f"KEY-{name}-0123456789abcdef", "secret": f"SECRET-of-{name}"}


class House:
    """One daemon. `state` is what it has acknowledged; `seen` asks it what it holds."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.number = 0
        self.passphrase = PASSPHRASE
        self.state: State = {}
        self.revoked: set[str] = set()

    def settle(self) -> None:
        """Starts the daemon and makes its vault: one exchange, one client, three slots."""
        self.daemon.start()
        self.daemon.initialize()
        self.daemon.add_exchange()
        self.daemon.add_bot()
        with self.daemon.unlocker() as unlocker:
            unlocker.slot_add(bytearray(PASSPHRASE), bytearray(MACHINE_KEY), kind="machine")
        self.state = self.seen()

    @property
    def name(self) -> str:
        """What this point's exchange is called."""
        return f"x{self.number}"

    @property
    def client(self) -> str:
        """What this point's client is called."""
        return f"c{self.number}"

    @property
    def next_passphrase(self) -> bytes:
        """What the passphrase is changed to at this point."""
        return f"passphrase number {self.number} of many".encode()

    def slot_secrets(self) -> dict[int, bytearray]:
        """Returns the secret of every slot."""
        secrets = {"passphrase": self.passphrase, "recovery": RECOVERY, "machine": MACHINE_KEY}
        with self.daemon.unlocker() as unlocker:
            return {slot.slot: bytearray(secrets[slot.kind]) for slot in unlocker.slots()}

    def unlock(self) -> None:
        """Unlocks with the machine key: Argon2id is another test's."""
        self.daemon.unlock(MACHINE_KEY, kind="machine")

    def opens(self, passphrase: bytes) -> bool:
        """Says whether a passphrase is one of the vault's."""
        with self.daemon.unlocker() as unlocker:
            try:
                slot = unlocker.slot_add(bytearray(passphrase), bytearray(MACHINE_KEY), kind="machine", label="proof")
            except UnlockError:
                return False
            unlocker.slot_remove(slot, bytearray(MACHINE_KEY), secret_kind="machine")
        return True

    def seen(self) -> State:
        """Returns all that the vault shows of itself, every active key pair in plaintext included."""
        state: State = {"exchanges": {}, "clients": {}, "bulk": 0}
        with self.daemon.admin() as admin:
            for exchange in admin.list(everything=True):
                if exchange.name.startswith("bulk-"):
                    state["bulk"] += 1
                    continue
                active = {each.configuration: each.active for each in exchange.configurations if each.active}
                halves = {
                    half: dict(admin.reveal(exchange.name, half).fields) for half in active if exchange.state == "ACTIVE"
                }
                ends = [half for half, each in active.items() if each.expiry_source == "PERSON"]
                state["exchanges"][exchange.name] = {
                    "labels": dict(exchange.labels), "state": exchange.state, "hidden": exchange.hidden, **halves
                } | ({"ends": ends} if ends else {})
            for client in admin.clients():
                if client.name not in self.revoked:
                    grants = sorted(grant.configuration + "?" * (grant.state == "SUSPENDED") for grant in client.grants)
                    state["clients"][client.name] = {"state": client.state, "grants": grants}
            assert admin.verify_audit().ok
        with self.daemon.unlocker() as unlocker:
            state["slots"] = {slot.slot: (slot.kind, slot.label) for slot in unlocker.slots()}
        return state

    def mark(self) -> int:
        """Returns the number of the last audit entry."""
        with self.daemon.admin() as admin:
            return admin.audit(limit=1)[0].sequence

    def audited_since(self, mark: int) -> tuple[str, ...]:
        """Returns the methods of the audit entries after a mark, oldest first."""
        with self.daemon.admin() as admin:
            return tuple(entry.method for entry in reversed(admin.audit(limit=50)) if entry.sequence > mark)

    def sweep_up(self) -> None:
        """Takes away what the last point has left, so that every point meets the same vault."""
        with self.daemon.admin() as admin:
            for name in [each for each in self.state["exchanges"] if each.startswith("x")]:
                admin.delete_exchange(name)
                del self.state["exchanges"][name]
            for name in [each for each in self.state["clients"] if each.startswith("c")]:
                if self.state["clients"][name]["state"] != "REVOKED":
                    admin.revoke_client(name)
                self.revoked.add(name)
                del self.state["clients"][name]
        with self.daemon.unlocker() as unlocker:
            for slot in [number for number, (_, label) in self.state["slots"].items() if label.startswith("s-")]:
                unlocker.slot_remove(slot, bytearray(MACHINE_KEY), secret_kind="machine")
                del self.state["slots"][slot]


@dataclass(frozen=True, slots=True)
class Command:
    """One way to change a vault.

    Args:
        audited: The audit entries that it leaves, oldest first; the last is the command's own, the others `prepare`'s.
        run: The command.
        effect: What it does to the state.
        prepare: What must be there before; it changes `house.state` itself.
        lingers: True where the anchor follows the acknowledgement, within a second.
        best_effort: True where it is acknowledged even if its audit entry could not be written.
    """

    audited: tuple[str, ...]
    run: Callable[[House], None]
    effect: Callable[[House, State], None] = field(default=lambda _house, _state: None)
    prepare: Callable[[House], None] = field(default=lambda _house: None)
    lingers: bool = False
    best_effort: bool = False

    def after(self, house: House) -> State:
        """Returns the state that the command leads to."""
        state = copy.deepcopy(house.state)
        self.effect(house, state)
        return state


def _create(house: House) -> None:
    with house.daemon.admin() as admin:
        halves = {"read": pair(house.name), "write": pair(house.name + "-write")}
        admin.create_exchange(house.name, "binance", halves, hidden=house.number % 2 == 1)


def _created(house: House, state: State) -> None:
    state["exchanges"][house.name] = {
        "labels": {},
        "state": "ACTIVE",
        "hidden": house.number % 2 == 1,
        "read": pair(house.name),
        "write": pair(house.name + "-write"),
    }


def _prepare_exchange(house: House) -> None:
    _create(house)
    _created(house, house.state)


def _prepare_versions(house: House) -> None:
    _prepare_exchange(house)
    _admin("rotate_credential", lambda house: (house.name, "read", pair(house.name + "-2")))(house)
    house.state["exchanges"][house.name]["read"] = pair(house.name + "-2")


def _allow(house: House) -> None:
    with house.daemon.admin() as admin:
        admin.allow_client(house.client, ClientKey.generate().public_key, os.getuid())


def _allowed(house: House, state: State) -> None:
    state["clients"][house.client] = {"state": "ACTIVE", "grants": []}


def _prepare_client(house: House) -> None:
    _allow(house)
    _allowed(house, house.state)


def _grant(house: House) -> None:
    with house.daemon.admin() as admin:
        admin.create_grant(house.client, "binance-main", "read")


def _prepare_grant(house: House) -> None:
    _prepare_client(house)
    _grant(house)
    house.state["clients"][house.client]["grants"] = ["read"]


def _prepare_suspended(house: House) -> None:
    _prepare_client(house)
    with house.daemon.admin() as admin:
        admin.create_grant(house.client, "binance-main", "write")
    house.state["clients"][house.client]["grants"] = ["write?"]
    suspend(house.daemon, house.mark(), house.unlock)


def _ungrant(house: House) -> None:
    with house.daemon.admin() as admin:
        grants = next(each.grants for each in admin.clients() if each.name == house.client)
        admin.delete_grant(house.client, grants[0].id)


def _slot_add(house: House) -> None:
    new = bytearray(house.number.to_bytes(32, "big"))
    with house.daemon.unlocker() as unlocker:
        unlocker.slot_add(bytearray(MACHINE_KEY), new, kind="machine", label=f"s-{house.number}", secret_kind="machine")


def _slot_added(house: House, state: State) -> None:
    number = next(each for each in range(1, 9) if each not in state["slots"])
    state["slots"][number] = ("machine", f"s-{house.number}")


def _prepare_slot(house: House) -> None:
    _slot_add(house)
    _slot_added(house, house.state)


def _new_slot(house: House, state: State) -> int:
    slots: dict[int, tuple[str, str]] = state["slots"]
    return next(slot for slot, (_, label) in slots.items() if label == f"s-{house.number}")


def _slot_remove(house: House) -> None:
    with house.daemon.unlocker() as unlocker:
        unlocker.slot_remove(_new_slot(house, house.state), bytearray(MACHINE_KEY), secret_kind="machine")


def _passphrase_change(house: House) -> None:
    with house.daemon.unlocker() as unlocker:
        unlocker.passphrase_change(bytearray(house.passphrase), bytearray(house.next_passphrase))


def _rotate_master_key(house: House) -> None:
    secrets = house.slot_secrets()
    with house.daemon.unlocker() as unlocker:
        unlocker.master_key_rotate(secrets)


def _admin(method: str, arguments: Callable[[House], tuple[Any, ...]], **options: Any) -> Callable[[House], None]:
    def run(house: House) -> None:
        with house.daemon.admin() as admin:
            getattr(admin, method)(*arguments(house), **options)

    return run


def _set(table: str, name: str, values: Mapping[str, Any], *gone: str) -> Callable[[House, State], None]:
    def effect(house: House, state: State) -> None:
        row = state[table][getattr(house, name)]
        row.update(values)
        for key in gone:
            row.pop(key, None)

    return effect


COMMANDS: dict[str, Command] = {
    "exchange create": Command(("CreateExchange",), _create, _created),
    "exchange update": Command(
        ("CreateExchange", "UpdateExchange"),
        _admin("update_exchange", lambda house: (house.name,), labels={"changed": "yes"}),
        _set("exchanges", "name", {"labels": {"changed": "yes"}}),
        _prepare_exchange,
    ),
    "exchange rotate": Command(
        ("CreateExchange", "RotateCredential", "RotateCredential"),
        _admin("rotate_credential", lambda house: (house.name, "read", pair(house.name + "-3"))),
        lambda house, state: state["exchanges"][house.name].update(read=pair(house.name + "-3")),
        _prepare_versions,
    ),
    "key check": Command(
        ("CreateExchange", "RotateCredential", "RecordKeyCheck"),
        _admin("record_key_check", lambda house: (house.name, "read", 2), expires_at=datetime(2099, 1, 1, tzinfo=UTC)),
        _set("exchanges", "name", {"ends": ["read"]}),
        _prepare_versions,
    ),
    "credential revoke": Command(
        ("CreateExchange", "RotateCredential", "RevokeCredential"),
        _admin("revoke_credential", lambda house: (house.name, "read")),
        _set("exchanges", "name", {}, "read"),
        _prepare_versions,
    ),
    "exchange revoke": Command(
        ("CreateExchange", "RotateCredential", "RevokeExchange"),
        _admin("revoke_exchange", lambda house: (house.name, "leaked")),
        _set("exchanges", "name", {"state": "REVOKED"}, "read", "write"),
        _prepare_versions,
    ),
    "exchange delete": Command(
        ("CreateExchange", "RotateCredential", "DeleteExchange"),
        _admin("delete_exchange", lambda house: (house.name,)),
        lambda house, state: state["exchanges"].pop(house.name),
        _prepare_versions,
    ),
    "client allow": Command(("AllowClient",), _allow, _allowed),
    "client update": Command(
        ("AllowClient", "UpdateClient"),
        _admin("update_client", lambda house: (house.client,), state="DISABLED"),
        _set("clients", "client", {"state": "DISABLED"}),
        _prepare_client,
    ),
    "client revoke": Command(
        ("AllowClient", "CreateGrant", "RevokeClient"),
        _admin("revoke_client", lambda house: (house.client,)),
        _set("clients", "client", {"state": "REVOKED", "grants": []}),
        _prepare_grant,
    ),
    "grant": Command(
        ("AllowClient", "CreateGrant"), _grant, _set("clients", "client", {"grants": ["read"]}), _prepare_client
    ),
    "ungrant": Command(
        ("AllowClient", "CreateGrant", "DeleteGrant"),
        _ungrant,
        _set("clients", "client", {"grants": []}),
        _prepare_grant,
    ),
    "confirm": Command(
        ("AllowClient", "CreateGrant", "lock", "unlock", "ConfirmClient"),
        _admin("confirm_client", lambda house: (house.client,)),
        _set("clients", "client", {"grants": ["write"]}),
        _prepare_suspended,
    ),
    "slot add": Command(("slot-add",), _slot_add, _slot_added),
    "slot remove": Command(
        ("slot-add", "slot-remove"),
        _slot_remove,
        lambda house, state: state["slots"].pop(_new_slot(house, state)),
        _prepare_slot,
    ),
    "passphrase change": Command(("passphrase-change",), _passphrase_change),
    "master key rotate": Command(("master-key-rotate",), _rotate_master_key),
    "reveal": Command(("RevealCredential",), _admin("reveal", lambda house: ("binance-main",)), lingers=True),
    "lock": Command(("lock",), lambda house: house.daemon.lock(), lingers=True, best_effort=True),
    "unlock": Command(("lock", "unlock"), House.unlock, prepare=lambda house: house.daemon.lock(), lingers=True),
}


@contextmanager
def new_house() -> Iterator[House]:
    """Yields a settled house."""
    with new_daemon() as daemon:
        house = House(daemon)
        house.settle()
        yield house
