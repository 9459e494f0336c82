"""One generator per method of the clients; see `session.py` for what a call yields.

The parameters are those of `VaultClient`'s methods, where they are described.
"""
# ruff: noqa: D103 - see above

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from vaultd_api.v1 import audit_service_pb2, client_service_pb2, exchange_service_pb2, resources_pb2, vault_service_pb2
from vaultd_client import backups, keys, methods
from vaultd_client.errors import InternalError, NotFoundError, RefusedError, invalid
from vaultd_client.fields import FieldValues, build, configuration_name, credential_fields, need_aliases
from vaultd_client.key_checks import KeyCheck, sealed_facts
from vaultd_client.kinds import Kind
from vaultd_client.messages import timestamp
from vaultd_client.methods import Method, Response
from vaultd_client.models import Access, AuditEntry, AuditReport, Client, Exchange, Grant, Vault
from vaultd_client.revealed import RevealedCredential
from vaultd_client.session import Binding, Call, Session, open_call, signed_call
from vaultd_client.updates import changed

OPEN_PAGE = 500
SEALED_PAGE = 20
AUDIT_PAGE = 200
MAX_PAGES = 10_000
"""More than any vault has; a daemon that never ends its list must not hang a bot."""

_EXCHANGE_PATHS = ("name", "labels", "market_types", "hidden", "state", "lock_reason")
_CLIENT_PATHS = ("state", "uid", "unit", "permissions")

Item = TypeVar("Item")


def vault() -> Call[Vault]:
    response = yield from open_call(methods.GET_VAULT, vault_service_pb2.GetVaultRequest())
    return Vault.from_proto(response.vault)


def lock(session: Session) -> Call[None]:
    yield from _signed(session, methods.LOCK_VAULT, vault_service_pb2.LockVaultRequest())
    session.facts = None


def begin_backup(session: Session) -> Call[backups.Begun]:
    response = yield from _signed(session, methods.BACKUP_VAULT, vault_service_pb2.BackupVaultRequest())
    return backups.Begun(backups.make_header(response.manifest, response.signature), response.token)


def read_backup(token: bytes, offset: int) -> Call[bytes]:
    request = build(vault_service_pb2.ReadBackupRequest, token=token, offset=offset)
    response = yield from open_call(methods.READ_BACKUP, request)
    return response.data


def kinds() -> Call[tuple[Kind, ...]]:
    def page(token: str) -> Call[tuple[Sequence[Kind], str]]:
        request = exchange_service_pb2.ListKindsRequest(page_size=OPEN_PAGE, page_token=token)
        response = yield from open_call(methods.LIST_KINDS, request)
        return [Kind.from_proto(each) for each in response.kinds], response.next_page_token

    return (yield from _pages(page))


def kind(name: str) -> Call[Kind]:
    response = yield from open_call(methods.GET_KIND, build(exchange_service_pb2.GetKindRequest, kind=name))
    return Kind.from_proto(response.kind)


def list_exchanges(session: Session, *, everything: bool) -> Call[tuple[Exchange, ...]]:
    def open_page(token: str) -> Call[tuple[Sequence[Exchange], str]]:
        request = exchange_service_pb2.ListExchangesRequest(page_size=OPEN_PAGE, page_token=token)
        response = yield from open_call(methods.LIST_EXCHANGES, request)
        return [Exchange.from_proto(each) for each in response.exchanges], response.next_page_token

    def sealed_page(token: str) -> Call[tuple[Sequence[Exchange], str]]:
        request = exchange_service_pb2.ListAllExchangesRequest(page_size=SEALED_PAGE, page_token=token)
        response = yield from _signed(session, methods.LIST_ALL_EXCHANGES, request)
        return [Exchange.from_proto(each) for each in response.exchanges], response.next_page_token

    return (yield from _pages(sealed_page if everything else open_page))


def get(exchange: str) -> Call[Exchange]:
    request = build(exchange_service_pb2.GetExchangeRequest, exchange=exchange)
    response = yield from open_call(methods.GET_EXCHANGE, request)
    return Exchange.from_proto(response.exchange)


def reveal(session: Session, exchange: str, configuration: str, version: int) -> Call[RevealedCredential]:
    request = build(
        exchange_service_pb2.RevealCredentialRequest,
        exchange=exchange,
        configuration=configuration_name(configuration),
        version=version,
    )
    try:
        return RevealedCredential((yield from _signed(session, methods.REVEAL_CREDENTIAL, request)))
    except RefusedError as error:
        if error.reason == "PERMISSION_DENIED":
            error.hint = f"ask an administrator: vaultctl client why CLIENT {shlex.quote(exchange)} {configuration}"
        raise


def create_exchange(
    session: Session,
    name: str,
    kind_name: str,
    configurations: Mapping[str, FieldValues],
    *,
    environment: str,
    labels: Mapping[str, str],
    market_types: Sequence[str],
    hidden: bool,
    validate_only: bool = False,
    checks: Mapping[str, KeyCheck] = MappingProxyType({}),
    expires_at: Mapping[str, datetime] = MappingProxyType({}),
) -> Call[tuple[Exchange, tuple[str, ...]]]:
    exchange = build(
        resources_pb2.Exchange,
        name=name,
        kind=kind_name,
        environment=environment,
        labels=labels,
        market_types=market_types,
        hidden=hidden,
    )
    wanted = any(need_aliases(given) for given in configurations.values())
    catalogue = (yield from _cached_kind(session, kind_name)) if wanted else None
    halves: dict[str, resources_pb2.CredentialFields] = {}
    facts = {configuration_name(half): sealed_facts(checks.get(half), expires_at.get(half)) for half in configurations}
    for half, given in configurations.items():
        if configuration_name(half) in halves:
            raise invalid({half: "is given twice"})
        halves[configuration_name(half)] = credential_fields(given, catalogue)

    def body(binding: Binding) -> Message:
        sealed = [binding.seal(half, fields) for half, fields in halves.items()]
        for each in sealed:
            each.MergeFrom(facts[each.configuration])
        return exchange_service_pb2.CreateExchangeRequest(
            exchange=exchange, configurations=sealed, validate_only=validate_only
        )

    response = yield from signed_call(session, methods.CREATE_EXCHANGE, body)
    return Exchange.from_proto(response.exchange), tuple(response.notices)


def update_exchange(session: Session, exchange: str, etag: str, changes: Mapping[str, Any]) -> Call[Exchange]:
    update = changed(resources_pb2.Exchange, _EXCHANGE_PATHS, changes, resources_pb2.Exchange.State)
    update.etag = etag
    request = build(
        exchange_service_pb2.UpdateExchangeRequest,
        exchange=exchange,
        update=update,
        update_mask=FieldMask(paths=list(changes)),
    )
    response = yield from _signed(session, methods.UPDATE_EXCHANGE, request)
    return Exchange.from_proto(response.exchange)


def rotate_credential(
    session: Session,
    exchange: str,
    configuration: str,
    given: FieldValues,
    check: KeyCheck | None = None,
    expires_at: datetime | None = None,
) -> Call[tuple[Exchange, int, tuple[str, ...]]]:
    request = build(exchange_service_pb2.RotateCredentialRequest, exchange=exchange)
    catalogue = (yield from _kind_of(session, exchange)) if need_aliases(given) else None
    fields = credential_fields(given, catalogue)
    facts = sealed_facts(check, expires_at)

    def body(binding: Binding) -> Message:
        sealed = binding.seal(configuration_name(configuration), fields)
        sealed.MergeFrom(facts)
        return exchange_service_pb2.RotateCredentialRequest(exchange=request.exchange, configuration=sealed)

    response = yield from signed_call(session, methods.ROTATE_CREDENTIAL, body)
    return Exchange.from_proto(response.exchange), response.version, tuple(response.notices)


def record_key_check(
    session: Session,
    exchange: str,
    configuration: str,
    version: int,
    check: KeyCheck | None,
    expires_at: datetime | None,
) -> Call[Exchange]:
    request = build(
        exchange_service_pb2.RecordKeyCheckRequest,
        exchange=exchange,
        configuration=configuration_name(configuration),
        version=version,
    )
    facts = sealed_facts(check, expires_at)
    if facts.HasField("check"):
        request.check.CopyFrom(facts.check)
    if facts.HasField("expires_at"):
        request.expires_at.CopyFrom(facts.expires_at)
    response = yield from _signed(session, methods.RECORD_KEY_CHECK, request)
    return Exchange.from_proto(response.exchange)


def revoke_exchange(session: Session, exchange: str, reason: str) -> Call[Exchange]:
    request = build(exchange_service_pb2.RevokeExchangeRequest, exchange=exchange, lock_reason=reason)
    response = yield from _signed(session, methods.REVOKE_EXCHANGE, request)
    return Exchange.from_proto(response.exchange)


def revoke_credential(session: Session, exchange: str, configuration: str, version: int) -> Call[Exchange]:
    request = build(
        exchange_service_pb2.RevokeCredentialRequest,
        exchange=exchange,
        configuration=configuration_name(configuration),
        version=version,
    )
    response = yield from _signed(session, methods.REVOKE_CREDENTIAL, request)
    return Exchange.from_proto(response.exchange)


def delete_exchange(session: Session, exchange: str, etag: str) -> Call[None]:
    request = build(exchange_service_pb2.DeleteExchangeRequest, exchange=exchange, etag=etag)
    yield from _signed(session, methods.DELETE_EXCHANGE, request)


def allow_client(
    session: Session, name: str, public_key: bytes | str, uid: int, *, unit: str, permissions: Sequence[str]
) -> Call[Client]:
    raw = keys.parse_public(public_key) if isinstance(public_key, str) else public_key
    client = build(resources_pb2.Client, name=name, public_key=raw, uid=uid, unit=unit, permissions=permissions)
    request = client_service_pb2.AllowClientRequest(client=client)
    response = yield from _signed(session, methods.ALLOW_CLIENT, request)
    return Client.from_proto(response.client)


def clients(session: Session) -> Call[tuple[Client, ...]]:
    def page(token: str) -> Call[tuple[Sequence[Client], str]]:
        request = client_service_pb2.ListClientsRequest(page_size=SEALED_PAGE, page_token=token)
        response = yield from _signed(session, methods.LIST_CLIENTS, request)
        return [Client.from_proto(each) for each in response.clients], response.next_page_token

    return (yield from _pages(page))


def update_client(session: Session, client: str, changes: Mapping[str, Any]) -> Call[Client]:
    update = changed(resources_pb2.Client, _CLIENT_PATHS, changes, resources_pb2.Client.State)
    request = build(
        client_service_pb2.UpdateClientRequest,
        client=client,
        update=update,
        update_mask=FieldMask(paths=list(changes)),
    )
    response = yield from _signed(session, methods.UPDATE_CLIENT, request)
    return Client.from_proto(response.client)


def revoke_client(session: Session, client: str) -> Call[Client]:
    request = build(client_service_pb2.RevokeClientRequest, client=client)
    response = yield from _signed(session, methods.REVOKE_CLIENT, request)
    return Client.from_proto(response.client)


def confirm_client(session: Session, client: str) -> Call[Client]:
    request = build(client_service_pb2.ConfirmClientRequest, client=client)
    response = yield from _signed(session, methods.CONFIRM_CLIENT, request)
    return Client.from_proto(response.client)


def create_grant(
    session: Session,
    client: str,
    exchange: str,
    configuration: str,
    *,
    operation: str,
    not_after: datetime | None,
    rate: tuple[int, int] | None,
    unit: str,
) -> Call[Grant]:
    until = timestamp("not_after", not_after) if not_after is not None else None
    count, seconds = rate or (0, 0)
    grant = build(
        resources_pb2.Grant,
        operation=operation,
        exchange=exchange,
        configuration=configuration_name(configuration),
        not_after=until,
        rate_count=count,
        rate_seconds=seconds,
        unit=unit,
    )
    request = build(client_service_pb2.CreateGrantRequest, client=client, grant=grant)
    response = yield from _signed(session, methods.CREATE_GRANT, request)
    return Grant.from_proto(response.grant, response.notices)


def delete_grant(session: Session, client: str, grant: str) -> Call[None]:
    request = build(client_service_pb2.DeleteGrantRequest, client=client, grant=grant)
    yield from _signed(session, methods.DELETE_GRANT, request)


def why(session: Session, client: str, exchange: str, configuration: str) -> Call[Access]:
    request = build(
        client_service_pb2.ExplainAccessRequest,
        client=client,
        exchange=exchange,
        configuration=configuration_name(configuration),
    )
    return Access.from_proto((yield from _signed(session, methods.EXPLAIN_ACCESS, request)))


def audit(session: Session, *, limit: int, client: str, exchange: str, decision: str) -> Call[tuple[AuditEntry, ...]]:
    if limit < 1:
        raise invalid({"limit": "must be 1 or more"})
    first = build(
        audit_service_pb2.ListAuditEntriesRequest,
        page_size=min(limit, AUDIT_PAGE),
        client=client,
        exchange=exchange,
        decision=decision,
    )

    def page(token: str) -> Call[tuple[Sequence[AuditEntry], str]]:
        request = audit_service_pb2.ListAuditEntriesRequest(page_token=token)
        request.MergeFrom(first)
        response = yield from _signed(session, methods.LIST_AUDIT_ENTRIES, request)
        return [AuditEntry.from_proto(each) for each in response.entries], response.next_page_token

    return (yield from _pages(page, limit))


def verify_audit(session: Session) -> Call[AuditReport]:
    request = audit_service_pb2.VerifyAuditRequest()
    return AuditReport.from_proto((yield from _signed(session, methods.VERIFY_AUDIT, request)))


def _signed(session: Session, method: Method[Response], request: Message) -> Call[Response]:
    return signed_call(session, method, lambda _binding: request)


def _pages(page: Callable[[str], Call[tuple[Sequence[Item], str]]], limit: int | None = None) -> Call[tuple[Item, ...]]:
    items: list[Item] = []
    token = ""
    for _ in range(MAX_PAGES):
        found, token = yield from page(token)
        items.extend(found)
        if not token or (limit is not None and len(items) >= limit):
            return tuple(items[:limit])
    raise InternalError("the list does not end", reason="PROTOCOL_VIOLATION")


def _cached_kind(session: Session, name: str) -> Call[Kind]:
    known = session.kinds.get(name)
    if known is None:
        known = yield from kind(name)
        session.kinds[name] = known
    return known


def _kind_of(session: Session, exchange: str) -> Call[Kind]:
    try:
        found = yield from get(exchange)
    except NotFoundError:
        # A hidden exchange is not in the open list.
        everything = yield from list_exchanges(session, everything=True)
        names = [each for each in everything if _is_named(each, exchange)]
        if not names:
            raise
        found = names[0]
    return (yield from _cached_kind(session, found.kind))


def _is_named(exchange: Exchange, name: str) -> bool:
    return name in {exchange.id, exchange.resource_name} or exchange.name.casefold() == name.casefold()
