"""The open RPCs: what anyone on the host may see, in every state. Masked metadata only; hidden exchanges left out."""

import time
from collections import OrderedDict
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from vaultd import limits, messages
from vaultd.errors import ExchangeNotFoundError, StoreDamagedError
from vaultd.kinds import Catalogue
from vaultd.model import Check, CredentialRow, ExchangeRow
from vaultd.server.backups import Backups
from vaultd.server.custody import Custody
from vaultd.server.kind_messages import kind_message
from vaultd.store import queries
from vaultd.store.changes import Change
from vaultd.store.migrations import SCHEMA_VERSION
from vaultd.store.store import Store
from vaultd_api.v1 import exchange_service_pb2 as pb
from vaultd_api.v1 import resources_pb2, vault_service_pb2

if TYPE_CHECKING:
    import sqlite3


class OpenMethods:
    """Answers from the store and the keyholder's last word; nothing here waits for the keyholder."""

    def __init__(self, store: Store, custody: Custody, catalogue: Catalogue, backups: Backups) -> None:
        self.checks: list[Check] = []
        self.unaudited_denials = 0
        self._store = store
        self._custody = custody
        self._catalogue = catalogue
        self._backups = backups
        self._kinds = {kind.kind: kind_message(kind) for kind in catalogue.all()}
        self._started_ms = time.time_ns() // 1_000_000
        self._cache: OrderedDict[str, pb.GetExchangeResponse] = OrderedDict()
        self._version = version("vaultd")

    def forget(self, change: Change) -> None:
        """Drops what a change made stale."""
        if change.puts or change.deletes:
            self._cache.clear()

    async def get_vault(self, request: vault_service_pb2.GetVaultRequest) -> vault_service_pb2.GetVaultResponse:  # noqa: ARG002  one shape for the table
        """Returns state, identity and health."""
        view = self._custody.view
        vault = vault_service_pb2.Vault(
            state=f"STATE_{view.state}",
            vault_id=view.vault_id,
            epoch=view.epoch,
            identity=view.identity,
            seal_key=view.seal_key,
            seal_key_signature=view.seal_key_signature,
            version=self._version,
            schema_version=SCHEMA_VERSION,
            format_version=limits.FORMAT_VERSION,
            started_at=messages.timestamp(self._started_ms),
            unaudited_denials=self.unaudited_denials,
            lock_cause=view.lock_cause,
        )
        if view.unlocked_ms:
            vault.unlocked_at.CopyFrom(messages.timestamp(view.unlocked_ms))
        trouble = self._store.anchor_trouble
        anchor = Check("anchor", ok=not trouble, detail=trouble or "written after every change")
        for check in (*view.checks, *self.checks, anchor):
            vault.checks.add(name=check.name, ok=check.ok, detail=check.detail)
        return vault_service_pb2.GetVaultResponse(vault=vault)

    async def read_backup(
        self, request: vault_service_pb2.ReadBackupRequest, uid: int | None
    ) -> vault_service_pb2.ReadBackupResponse:
        """Returns a piece of a copy, to the uid that it was made for."""
        data = self._backups.read(request.token, request.offset, uid)
        return vault_service_pb2.ReadBackupResponse(data=data)

    async def list_kinds(self, request: pb.ListKindsRequest) -> pb.ListKindsResponse:
        """Lists the catalogue."""
        size = messages.page_size(request.page_size, limits.DEFAULT_PAGE, limits.MAX_PAGE)
        after = messages.page_after(request.page_token)
        kinds = [kind for name, kind in self._kinds.items() if name > after]
        answer = pb.ListKindsResponse(kinds=kinds[:size])
        if len(kinds) > size:
            answer.next_page_token = messages.page_token(kinds[size - 1].kind)
        return answer

    async def get_kind(self, request: pb.GetKindRequest) -> pb.GetKindResponse:
        """Returns one kind, by any of its names."""
        kind, notice = self._catalogue.get(messages.reference(request.kind, "kinds"))
        answer = pb.GetKindResponse(kind=self._kinds[kind.kind])
        answer.kind.notice = notice or ""
        return answer

    async def list_exchanges(self, request: pb.ListExchangesRequest) -> pb.ListExchangesResponse:
        """Lists the exchanges, masked."""
        size = messages.page_size(request.page_size, limits.DEFAULT_PAGE, limits.MAX_PAGE)
        after = messages.page_after(request.page_token)

        def query(connection: "sqlite3.Connection") -> list[tuple[ExchangeRow, list[CredentialRow]]]:
            found = queries.exchanges(connection, after, size + 1, hidden=False)
            return [(each.row, _credentials(connection, each.row)) for each in found]

        found = await self._store.read(query)
        answer = pb.ListExchangesResponse(exchanges=[self._shown(*each) for each in found[:size]])
        if len(found) > size:
            answer.next_page_token = messages.page_token(found[size - 1][0].name)
        return answer

    async def get_exchange(self, request: pb.GetExchangeRequest) -> pb.GetExchangeResponse:
        """Returns one exchange, masked."""
        reference = messages.reference(request.exchange, "exchanges")
        answer = self._cache.get(reference)
        if answer is None:
            if not 0 < len(reference) <= limits.MAX_NAME_CHARS:
                raise ExchangeNotFoundError
            row, credentials = await self._store.read(partial(_exchange, reference=reference), quick=True)
            answer = pb.GetExchangeResponse(exchange=self._shown(row, credentials))
            self._cache[reference] = answer
            if len(self._cache) > limits.EXCHANGE_CACHE:
                self._cache.popitem(last=False)
        return answer

    def _shown(self, row: ExchangeRow, credentials: list[CredentialRow]) -> resources_pb2.Exchange:
        """Returns an exchange as the API shows it; StoreDamagedError where a row makes none: a locked vault checks no tags."""
        try:
            return messages.exchange(row, credentials, self._catalogue.expiry_rules(row.kind))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise StoreDamagedError from None


def _credentials(connection: "sqlite3.Connection", row: ExchangeRow) -> list[CredentialRow]:
    return [each.row for each in queries.credentials(connection, row.exchange)]


def _exchange(connection: "sqlite3.Connection", reference: str) -> tuple[ExchangeRow, list[CredentialRow]]:
    row = queries.exchange(connection, reference).row
    if row.hidden:
        raise ExchangeNotFoundError
    return row, _credentials(connection, row)
