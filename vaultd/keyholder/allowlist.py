"""Clients and grants of an unlocked vault, found by what requests name them by."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from vaultd.model import ANY_UID, UNIT_PREFIX, ClientRow, ClientState, GrantRow


def unit_client(unit: str) -> ClientRow:
    """Returns the client that a systemd unit is: nothing of it is stored but its grants.

    It has no key, so it signs nothing; it is whom systemd starts (units.py).
    """
    name = UNIT_PREFIX + unit
    return ClientRow(name, name, b"", ANY_UID, unit, ClientState.ACTIVE, "[]", 0, 0)


class Allowlist:
    """All clients and grants. Look-ups cost the same with one client and with ten thousand."""

    def __init__(self, clients: Iterable[ClientRow] = (), grants: Iterable[GrantRow] = ()) -> None:
        self._clients: dict[str, ClientRow] = {}
        self._names: dict[str, str] = {}
        self._grants: dict[str, GrantRow] = {}
        self._of_client: dict[str, dict[str, GrantRow]] = {}
        self._unit_keys: dict[str, ClientRow] = {}
        for client in clients:
            self.put_client(client)
        for grant in grants:
            self.put_grant(grant)

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[ClientRow]:
        return iter(self._clients.values())

    def client(self, key_id: str) -> ClientRow | None:
        """Returns the client of a key id, in hex."""
        return self._clients.get(key_id) or self._unit_keys.get(key_id)

    def now(self, client: ClientRow) -> ClientRow:
        """Returns a client as it is at this moment; the key of a unit that has stopped is revoked."""
        if client.client.startswith(UNIT_PREFIX):
            return client
        return self.client(client.client) or replace(client, state=ClientState.REVOKED)

    def named(self, name: str) -> ClientRow | None:
        """Returns the client of a name, without regard to case."""
        return self._clients.get(self._names.get(name.casefold(), ""))

    def put_client(self, row: ClientRow) -> None:
        """Takes a client in, or its change. A client never changes its name."""
        self._clients[row.client] = row
        self._names[row.name.casefold()] = row.client

    def grant(self, grant: str) -> GrantRow | None:
        """Returns a grant by id."""
        return self._grants.get(grant)

    def grants_of(self, client: str) -> list[GrantRow]:
        """Returns the grants of a client, in the order of their ids; of the key of a unit, those of the unit."""
        if client in self._unit_keys:
            client = self._unit_keys[client].name
        return [row for _, row in sorted(self._of_client.get(client, {}).items())]

    def grants_on(self, exchange: str) -> list[GrantRow]:
        """Returns the grants that name an exchange."""
        return [row for row in self._grants.values() if row.exchange == exchange]

    def put_grant(self, row: GrantRow) -> None:
        """Takes a grant in."""
        self._grants[row.grant] = row
        self._of_client.setdefault(row.client, {})[row.grant] = row

    def drop_grant(self, row: GrantRow) -> None:
        """Takes a grant back."""
        del self._grants[row.grant]
        del self._of_client[row.client][row.grant]

    # --- units ------------------------------------------------------------------------------------------------

    def units(self) -> list[ClientRow]:
        """Returns the units that have a grant, as clients."""
        names = [name for name, grants in self._of_client.items() if grants and name.startswith(UNIT_PREFIX)]
        return [unit_client(name.removeprefix(UNIT_PREFIX)) for name in sorted(names)]

    def put_unit_key(self, row: ClientRow) -> None:
        """Takes in the key of a unit that starts, in the place of the one it had. It is never stored."""
        self.drop_unit_key(row.unit)
        self._unit_keys[row.client] = row

    def drop_unit_key(self, unit: str) -> None:
        """Takes the key of a unit back."""
        for row in [row for row in self._unit_keys.values() if row.unit == unit]:
            del self._unit_keys[row.client]

    def keep_unit_keys(self, other: "Allowlist") -> None:
        """Takes over the keys that another allowlist has."""
        self._unit_keys = other._unit_keys  # noqa: SLF001  of the same class
