"""What a vault must do, as dicts: the model that the state machine of tests/sweeps compares the real daemon with.

Every method takes what a caller asks for and returns the outcome: `OK`, or the reason of the error, as proto/README.md
and the service's comments promise it. Nothing here is shared with the daemon but the words.
"""

import copy
from dataclasses import dataclass, field, replace

OK = "ok"
ADMIN = "admin"
HALVES = ("read", "write")
_REVEALABLE = ("ACTIVE", "PREVIOUS")

Masked = dict[str, tuple[str, dict[str, dict[int, tuple[str, dict[str, str]]]]]]
"""Name to state and halves; a half: version to its state and masks."""


@dataclass
class Version:
    """One version of one half; `fields` is what was handed over."""

    state: str
    fields: dict[str, str]

    def masks(self) -> dict[str, str]:
        """Returns what anyone may see: four and four characters of the key, nothing of the secret."""
        key = self.fields["api_key"]
        return {"api_key": f"{key[:4]}…{key[-4:]}", "secret": ""}


@dataclass
class Exchange:
    """One exchange; `number` tells it from an earlier one of the same name."""

    number: int
    hidden: bool
    state: str = "ACTIVE"
    halves: dict[str, dict[int, Version]] = field(default_factory=dict)

    def active(self, half: str) -> Version | None:
        """Returns the version that is revealed when none is asked for."""
        return next((each for each in self.halves.get(half, {}).values() if each.state == "ACTIVE"), None)


@dataclass(frozen=True)
class Grant:
    """`exchange` is the number of one, or None for all; `half` is one or `*`. A suspended one gives no write half."""

    client: str
    exchange: int | None
    half: str
    suspended: bool = False


@dataclass
class VaultModel:
    """The vault of one run. Names are those that the run gives; ids are numbers of its own."""

    exchanges: dict[str, Exchange] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    made: int = 0

    def copy(self) -> "VaultModel":
        """Returns the vault of this moment, for a restore later on."""
        return copy.deepcopy(self)

    # --- exchanges --------------------------------------------------------------------------------------------

    def create(self, name: str, halves: dict[str, dict[str, str]], *, hidden: bool) -> str:
        """Adds an exchange."""
        if name in self.exchanges:
            return "EXCHANGE_EXISTS"
        if any(self._connected_elsewhere(fields, None) for fields in halves.values()):
            return "RECORD_INVALID"
        self.made += 1
        versions = {half: {1: Version("ACTIVE", fields)} for half, fields in halves.items()}
        self.exchanges[name] = Exchange(self.made, hidden, halves=versions)
        return OK

    def update(self, name: str, *, state: str = "", hidden: bool | None = None) -> str:
        """Disables, enables, hides or shows an exchange."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            return "EXCHANGE_NOT_FOUND"
        if state and exchange.state == "REVOKED":
            return "EXCHANGE_NOT_ACTIVE"
        exchange.state = state or exchange.state
        exchange.hidden = exchange.hidden if hidden is None else hidden
        return OK

    def rotate(self, name: str, half: str, fields: dict[str, str]) -> str:
        """Adds a version."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            return "EXCHANGE_NOT_FOUND"
        if exchange.state == "REVOKED":
            return "EXCHANGE_NOT_ACTIVE"
        if self._connected_elsewhere(fields, name):
            return "RECORD_INVALID"
        versions = exchange.halves.setdefault(half, {})
        for version in versions.values():
            version.state = {"ACTIVE": "PREVIOUS", "PREVIOUS": "DESTROYED"}.get(version.state, version.state)
        versions[1 + max(versions, default=0)] = Version("ACTIVE", fields)
        return OK

    def revoke(self, name: str) -> str:
        """Revokes an exchange."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            return "EXCHANGE_NOT_FOUND"
        exchange.state = "REVOKED"
        for version in (each for versions in exchange.halves.values() for each in versions.values()):
            if version.state in _REVEALABLE:
                version.state = "REVOKED"
        return OK

    def revoke_credential(self, name: str, half: str, number: int) -> str:
        """Revokes a version, or the active one where `number` is 0."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            return "EXCHANGE_NOT_FOUND"
        version = exchange.halves.get(half, {}).get(number) if number else exchange.active(half)
        if version is None or version.state == "DESTROYED":
            return "CREDENTIAL_NOT_FOUND"
        version.state = "REVOKED"
        return OK

    def delete(self, name: str) -> str:
        """Erases an exchange, and the grants that name it."""
        exchange = self.exchanges.pop(name, None)
        if exchange is None:
            return "EXCHANGE_NOT_FOUND"
        self.grants = {key: grant for key, grant in self.grants.items() if grant.exchange != exchange.number}
        return OK

    # --- clients ----------------------------------------------------------------------------------------------

    def allow(self, client: str) -> str:
        """Puts a client on the allowlist."""
        if client in self.clients:
            return "CLIENT_EXISTS"
        self.clients[client] = "ACTIVE"
        return OK

    def set_client(self, client: str, state: str) -> str:
        """Disables or enables a client."""
        if client not in self.clients:
            return "CLIENT_NOT_FOUND"
        if self.clients[client] == "REVOKED":
            return "RECORD_INVALID"
        self.clients[client] = state
        return OK

    def revoke_client(self, client: str) -> str:
        """Revokes a client, and its grants."""
        if client not in self.clients:
            return "CLIENT_NOT_FOUND"
        self.clients[client] = "REVOKED"
        self.grants = {key: grant for key, grant in self.grants.items() if grant.client != client}
        return OK

    def may_grant(self, client: str, exchange: str) -> str:
        """Says what comes of a grant; `exchange` is a name or `*`. `grant` adds it."""
        if client not in self.clients:
            return "CLIENT_NOT_FOUND"
        if self.clients[client] == "REVOKED":
            return "RECORD_INVALID"
        return OK if exchange == "*" or exchange in self.exchanges else "EXCHANGE_NOT_FOUND"

    def grant(self, key: str, client: str, exchange: str, half: str) -> None:
        """Adds a grant under the id that the daemon gave it."""
        self.grants[key] = Grant(client, None if exchange == "*" else self.exchanges[exchange].number, half)

    def ungrant(self, client: str, key: str) -> str:
        """Takes a grant back."""
        if client not in self.clients:
            return "CLIENT_NOT_FOUND"
        if key not in self.grants or self.grants[key].client != client:
            return "GRANT_NOT_FOUND"
        del self.grants[key]
        return OK

    def put_back(self) -> None:
        """An older vault was accepted: what gives a write half is suspended."""
        self.grants = {key: replace(grant, suspended=grant.half != "read") for key, grant in self.grants.items()}

    def confirm(self, client: str) -> str:
        """Ends that for the grants of a client."""
        if client not in self.clients:
            return "CLIENT_NOT_FOUND"
        own = {key: replace(grant, suspended=False) for key, grant in self.grants.items() if grant.client == client}
        self.grants.update(own)
        return OK

    # --- who may see what -------------------------------------------------------------------------------------

    def reveal(self, client: str, name: str, half: str, number: int = 0) -> tuple[str, dict[str, str]]:
        """Returns the outcome of a reveal, and the fields it must show."""
        exchange = self.exchanges.get(name)
        if client != ADMIN:
            if self.clients.get(client) != "ACTIVE":
                return "REQUEST_REFUSED", {}
            if not any(self._allows(grant, client, exchange, half) for grant in self.grants.values()):
                return "PERMISSION_DENIED", {}
        if exchange is None:
            return "EXCHANGE_NOT_FOUND", {}
        if exchange.state != "ACTIVE":
            return "EXCHANGE_NOT_ACTIVE", {}
        version = exchange.halves.get(half, {}).get(number) if number else exchange.active(half)
        if version is None or version.state not in _REVEALABLE:
            return "CREDENTIAL_NOT_FOUND", {}
        return OK, version.fields

    def masked(self, *, hidden: bool) -> Masked:
        """Returns what a list must show, hidden exchanges too where `hidden`. Of a destroyed version nothing is left."""
        return {
            name: (
                exchange.state,
                {
                    half: {
                        number: (each.state, each.masks())
                        for number, each in versions.items()
                        if each.state != "DESTROYED"
                    }
                    for half, versions in exchange.halves.items()
                },
            )
            for name, exchange in self.exchanges.items()
            if hidden or not exchange.hidden
        }

    # --- inside -----------------------------------------------------------------------------------------------

    @staticmethod
    def _allows(grant: Grant, client: str, exchange: Exchange | None, half: str) -> bool:
        on_exchange = grant.exchange is None or (exchange is not None and grant.exchange == exchange.number)
        on_half = grant.half in ("*", half) and not (grant.suspended and half == "write")
        return grant.client == client and on_exchange and on_half

    def _connected_elsewhere(self, fields: dict[str, str], name: str | None) -> bool:
        return any(
            version.fields["api_key"] == fields["api_key"] and version.state in _REVEALABLE
            for other, exchange in self.exchanges.items()
            if other != name
            for versions in exchange.halves.values()
            for version in versions.values()
        )
