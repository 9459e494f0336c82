"""Clients and grants of an unlocked vault, found by what requests name them by."""

from collections.abc import Iterable, Iterator

from vaultd.model import ClientRow, GrantRow


class Allowlist:
    """All clients and grants. Look-ups cost the same with one client and with ten thousand."""

    def __init__(self, clients: Iterable[ClientRow] = (), grants: Iterable[GrantRow] = ()) -> None:
        self._clients: dict[str, ClientRow] = {}
        self._names: dict[str, str] = {}
        self._grants: dict[str, GrantRow] = {}
        self._of_client: dict[str, dict[str, GrantRow]] = {}
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
        return self._clients.get(key_id)

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
        """Returns the grants of a client, in the order of their ids."""
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
