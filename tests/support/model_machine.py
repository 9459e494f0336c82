"""The state machine: rules that do the same to the real daemon and to the model, and compare what came of it."""

import os
from collections.abc import Callable
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.model_house import Copy, House
from tests.support.model_vault import ADMIN, HALVES, OK, Masked, VaultModel
from vaultd_client import ClientKey, VaultClient, VaultClientError
from vaultd_client.models import Exchange

_KEYS = 6

exchanges = st.sampled_from("abc")
clients = st.sampled_from("xyz")
halves = st.sampled_from(HALVES)
keys = st.integers(0, _KEYS - 1)
indexes = st.integers(0, 7)


class VaultMachine(RuleBasedStateMachine):
    """One run. A subclass says in which house and against which model.

    `most_lives`: restarts, kills and restores of a run together, for a start takes as long as a hundred other steps.
    """

    house: ClassVar[House]
    model_type: ClassVar[type[VaultModel]] = VaultModel
    most_lives: ClassVar[int] = 2
    most_locks: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.prefix = self.house.begin()
        self.model = self.model_type()
        self.unlocked = True
        self.lives = self.locks = self.secrets = 0
        self.sound = True
        self.copies: list[tuple[Copy, int, VaultModel]] = []
        self.granted: list[tuple[str, str, str, str]] = []
        self.keys = {client: ClientKey.generate().with_pin(self.house.daemon.admin_key.vault) for client in "xyz"}  # type: ignore[arg-type]
        self.open: dict[str, VaultClient] = {}

    # --- doing the same to both -------------------------------------------------------------------------------

    def does(self, what: str, real: Callable[[], object], expected: Callable[[], str]) -> bool:
        """Does something; the model is changed where the vault is unlocked. Says whether it was done."""
        self.sound = False
        wanted = expected() if self.unlocked else "VAULT_LOCKED"
        try:
            real()
        except VaultClientError as error:
            outcome = error.reason
        else:
            outcome = OK
        self.house.found[f"{what}: {outcome}"] += 1
        assert outcome == wanted, f"{what}: the vault says {outcome}, the model {wanted}"
        self.sound = True
        return outcome == OK

    def name(self, exchange: str) -> str:
        return f"{self.prefix}-{exchange}"

    def pair(self, key: int) -> dict[str, str]:
        """Returns a key pair: one of a few keys, so that some are connected already, and a secret never seen before."""
        self.secrets += 1
        return {"api_key": f"{key}{self.prefix}-abcdefgh{key}{key}", "secret": f"secret-{self.prefix}-{self.secrets}"}

    def client(self, name: str) -> VaultClient:
        if name == ADMIN:
            return self.house.admin
        if name not in self.open:
            self.open[name] = self.house.client(self.keys[name])
        return self.open[name]

    @property
    def admin(self) -> VaultClient:
        return self.house.admin

    @initialize(hidden=st.booleans(), half=st.sampled_from((*HALVES, "*")))
    def begins(self, hidden: bool, half: str) -> None:
        """A vault in use: most of what can be done to an empty one is refused."""
        self.add("a", 0, 1, both=True, hidden=hidden)
        self.allow("x")
        self.grant("x", "a", half)

    # --- exchanges --------------------------------------------------------------------------------------------

    @rule(exchange=exchanges, key=keys, other=keys, both=st.booleans(), hidden=st.booleans())
    def add(self, exchange: str, key: int, other: int, both: bool, hidden: bool) -> None:
        name, given = self.name(exchange), {"read": self.pair(key)}
        if both:
            given["write"] = self.pair(other)
        self.does(
            "add",
            lambda: self.admin.create_exchange(name, "binance", given, hidden=hidden),
            lambda: self.model.create(name, given, hidden=hidden),
        )
        self.probe(exchange=exchange)

    @precondition(lambda self: self.unlocked)
    @rule(exchange=exchanges, half=halves, key=keys)
    def rotate(self, exchange: str, half: str, key: int) -> None:
        name, given = self.name(exchange), self.pair(key)
        self.does(
            "rotate",
            lambda: self.admin.rotate_credential(name, half, given),
            lambda: self.model.rotate(name, half, given),
        )
        self.probe(exchange=exchange, half=half)

    @precondition(lambda self: self.unlocked)
    @rule(exchange=exchanges, state=st.sampled_from(("ACTIVE", "DISABLED", "")), hidden=st.booleans())
    def update(self, exchange: str, state: str, hidden: bool) -> None:
        name = self.name(exchange)
        changes = {"state": state} if state else {"hidden": hidden}
        self.does(
            "update",
            lambda: self.admin.update_exchange(name, **changes),
            lambda: self.model.update(name, **changes),
        )
        self.probe(exchange=exchange)

    @precondition(lambda self: self.unlocked)
    @rule(exchange=exchanges)
    def revoke(self, exchange: str) -> None:
        name = self.name(exchange)
        self.does("revoke", lambda: self.admin.revoke_exchange(name), lambda: self.model.revoke(name))
        self.probe(exchange=exchange)

    @precondition(lambda self: self.unlocked)
    @rule(exchange=exchanges, half=halves, version=st.integers(0, 3))
    def revoke_credential(self, exchange: str, half: str, version: int) -> None:
        name = self.name(exchange)
        self.does(
            "revoke credential",
            lambda: self.admin.revoke_credential(name, half, version),
            lambda: self.model.revoke_credential(name, half, version),
        )
        self.probe(exchange=exchange, half=half)

    @precondition(lambda self: self.unlocked)
    @rule(exchange=exchanges)
    def delete(self, exchange: str) -> None:
        name = self.name(exchange)
        self.does("delete", lambda: self.admin.delete_exchange(name), lambda: self.model.delete(name))
        self.probe(exchange=exchange)

    # --- clients ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.unlocked)
    @rule(client=clients)
    def allow(self, client: str) -> None:
        key = self.keys[client].public_key
        self.does(
            "allow",
            lambda: self.admin.allow_client(self.name(client), key, os.getuid()),
            lambda: self.model.allow(client),
        )
        self.probe(client=client)

    @precondition(lambda self: self.unlocked)
    @rule(client=clients, state=st.sampled_from(("ACTIVE", "DISABLED")))
    def set_client(self, client: str, state: str) -> None:
        self.does(
            state.lower(),
            lambda: self.admin.update_client(self.name(client), state=state),
            lambda: self.model.set_client(client, state),
        )
        self.probe(client=client)

    @precondition(lambda self: self.unlocked)
    @rule(client=clients)
    def revoke_client(self, client: str) -> None:
        self.does(
            "revoke client",
            lambda: self.admin.revoke_client(self.name(client)),
            lambda: self.model.revoke_client(client),
        )
        self.probe(client=client)

    @precondition(lambda self: self.unlocked)
    @rule(client=clients, exchange=st.sampled_from("abc*"), half=st.sampled_from((*HALVES, "*")))
    def grant(self, client: str, exchange: str, half: str) -> None:
        name = exchange if exchange == "*" else self.name(exchange)
        given: list[str] = []
        if self.does(
            "grant",
            lambda: given.append(self.admin.create_grant(self.name(client), name, half).id),
            lambda: self.model.may_grant(client, name),
        ):
            self.model.grant(given[0], client, name, half)
            self.granted.append((given[0], client, name, half))
        self.probe(client=client)

    @precondition(lambda self: self.unlocked and self.granted)
    @rule(which=indexes)
    def ungrant(self, which: int) -> None:
        key, client, _, _ = self.granted[which % len(self.granted)]
        self.does(
            "ungrant",
            lambda: self.admin.delete_grant(self.name(client), key),
            lambda: self.model.ungrant(client, key),
        )
        self.probe(client=client)

    @precondition(lambda self: self.unlocked and self.model.grants)
    @rule(client=clients)
    def confirm(self, client: str) -> None:
        self.does(
            "confirm", lambda: self.admin.confirm_client(self.name(client)), lambda: self.model.confirm(client)
        )
        self.probe(client=client)

    # --- who may see what -------------------------------------------------------------------------------------

    def reveals(self, client: str, name: str, half: str, version: int) -> None:
        shown: dict[str, str] = {}
        wanted: dict[str, str] = {}

        def expected() -> str:
            outcome, fields = self.model.reveal(client, name, half, version)
            wanted.update(fields)
            return outcome

        who = "reveal to admin" if client == ADMIN else "reveal"
        self.does(who, lambda: shown.update(self.client(client).reveal(name, half, version).fields), expected)
        self.sound = shown == wanted
        assert self.sound, f"{client} sees another version of {name} {half} than the model says"

    @rule(client=st.sampled_from((*"xyz", ADMIN)), exchange=exchanges, half=halves, version=st.integers(0, 3))
    def reveal(self, client: str, exchange: str, half: str, version: int) -> None:
        self.reveals(client, self.name(exchange), half, version)

    @precondition(lambda self: self.granted)
    @rule(which=indexes, exchange=exchanges, half=halves)
    def reveal_what_was_granted_once(self, which: int, exchange: str, half: str) -> None:
        """Among all exchanges, halves and clients at random few reveals would be allowed, or only just not."""
        self.reveal_what_was_granted(which, exchange, half)

    def reveal_what_was_granted(self, which: int, exchange: str, half: str) -> None:
        _, client, name, granted = self.granted[which % len(self.granted)]
        self.reveals(
            client, self.name(exchange) if name == "*" else name, half if granted == "*" else granted, 0
        )

    def probe(self, *, exchange: str = "", half: str = "read", client: str = "") -> None:
        """After a change: who could see something yesterday, and the administrator, see what they may today."""
        if exchange:
            self.reveals(ADMIN, self.name(exchange), half, 0)
        wanted = {self.name(exchange), "*"} if exchange else set()
        for _, who, name, granted in reversed(self.granted):
            if who == client or name in wanted:
                where = self.name(exchange or "a") if name == "*" else name
                self.reveals(who, where, half if granted == "*" else granted, 0)
                break

    # --- lives ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.unlocked and self.locks < self.most_locks)
    @rule(by_socket=st.booleans())
    def lock(self, by_socket: bool) -> None:
        self.locks += 1
        self.does("lock", self.house.daemon.lock if by_socket else self.admin.lock, lambda: OK)
        self.unlocked = False

    @precondition(lambda self: not self.unlocked)
    @rule()
    def unlock(self) -> None:
        self.sound = False
        counted = self.house.unlock().exchanges
        assert counted == len(self.model.exchanges)
        self.house.found["unlock"] += 1
        self.unlocked = self.sound = True

    @precondition(lambda self: self.lives < self.most_lives)
    @rule(how=st.sampled_from(("restart", "kill -9")))
    def restart(self, how: str) -> None:
        self.ends(how)
        self.house.start()
        self.house.found[how] += 1
        self.sound = True

    @precondition(lambda self: len(self.copies) < 3)
    @rule()
    def copy(self) -> None:
        self.copies.append((self.house.copy(), self.house.anchored, self.model.copy()))

    @precondition(lambda self: self.copies and self.lives < self.most_lives)
    @rule(which=indexes, accept=st.booleans())
    def restore(self, which: int, accept: bool) -> None:
        copy, anchored, model = self.copies[which % len(self.copies)]
        self.ends("restart")
        present = self.house.copy()
        older = self.house.anchored > anchored
        assert older or model == self.model
        self.house.put(copy)
        self.house.start()
        refusal = self.house.refusal()
        self.house.found[f"restore: {refusal or OK}"] += 1
        # The copy may be ahead of the anchor of its moment, which mere entries of the audit reach a second later.
        assert refusal == ("STORE_ROLLED_BACK" if older else "") or (refusal == "" and model == self.model)
        self.unlocked = not refusal
        if refusal and accept:
            self.house.unlock(accept_rollback=True)
            self.unlocked, self.model = True, model.copy()
            self.model.put_back()
            self.house.found["rollback accepted"] += 1
            for each in range(len(self.granted)):
                self.reveal_what_was_granted(each, "a", "write")
        elif refusal:
            self.ends("kill -9")
            self.house.put(present)
            self.house.start()
        self.sound = True

    def ends(self, how: str) -> None:
        self.sound = False
        self.lives += 1
        if how == "restart":
            assert self.house.daemon.stop() == 0
        else:
            self.house.daemon.kill()
        self.unlocked = False
        self.forget()

    def forget(self) -> None:
        for each in self.open.values():
            each.close()
        self.open.clear()

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def anyone_sees_the_masks_of_the_model(self) -> None:
        self.house.found["steps"] += 1
        if self.sound:
            self.sound = False
            self.same_list(hidden=False)
            self.sound = True

    def teardown(self) -> None:
        if self.sound:
            if not self.unlocked:
                self.unlock()
            self._everything_is_as_in_the_model()
            for name in self.model.exchanges:
                self.admin.delete_exchange(name)
            for client, state in self.model.clients.items():
                if state != "REVOKED":
                    self.admin.revoke_client(self.name(client))
            self.house.dirty = False
        self.forget()

    def same_list(self, *, hidden: bool) -> None:
        found, wanted = _masked(self.admin.list(everything=hidden)), self.model.masked(hidden=hidden)
        assert found == wanted, f"the list differs from the model: {found} is not {wanted}"

    def _everything_is_as_in_the_model(self) -> None:
        self.same_list(hidden=True)
        known = {each.name: each for each in self.admin.clients() if each.name.startswith(self.prefix)}
        assert {name: each.state for name, each in known.items()} == {
            self.name(client): state for client, state in self.model.clients.items()
        }
        grants = {grant.id: name for name, each in known.items() for grant in each.grants}
        wanted = {key: self.name(grant.client) for key, grant in self.model.grants.items()}
        assert grants == wanted, "the grants differ from the model"
        report = self.admin.verify_audit()
        assert report.ok, f"entry {report.first_bad}: {report.detail}"
        self.house.found["audit walked"] += 1
        self.house.found["entries walked"] += report.checked


def _masked(found: tuple[Exchange, ...]) -> Masked:
    return {
        each.name: (
            each.state,
            {
                half.configuration: {version.version: (version.state, dict(version.masks)) for version in half.credentials}
                for half in each.configurations
            },
        )
        for each in found
    }
