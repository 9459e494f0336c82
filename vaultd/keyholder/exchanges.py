"""What signed requests do with exchanges and credentials."""

from typing import Any

from vaultd import limits, messages
from vaultd.crypto import envelope
from vaultd.errors import (
    CredentialNotFoundError,
    EtagMismatchError,
    ExchangeExistsError,
    ExchangeNotActiveError,
    ExchangeNotFoundError,
    RecordInvalidError,
)
from vaultd.keyholder import checks, pairs, records
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.loop import Task
from vaultd.keyholder.vault import Keyholder, Unlocked, canonical_json
from vaultd.kinds import Kind
from vaultd.model import (
    CredentialRow,
    CredentialState,
    ExchangeRow,
    ExchangeState,
    KeyState,
    Row,
)
from vaultd_api.v1 import exchange_service_pb2 as pb
from vaultd_api.v1 import resources_pb2

USABLE = (CredentialState.STAGED, CredentialState.ACTIVE, CredentialState.PREVIOUS)


# --- reading ----------------------------------------------------------------------------------------------------


def find(holder: Keyholder, unlocked: Unlocked, given: str) -> Task:
    """Returns the exchange that a resource name, id or name refers to; ExchangeNotFoundError otherwise."""
    reference = messages.reference(given, "exchanges")
    if not 0 < len(reference) <= limits.MAX_NAME_CHARS:
        raise ExchangeNotFoundError
    row = yield from holder.fetch_one(unlocked, ExchangeRow, "exchange", reference, reference)
    # The server found it; whether it is the one that was asked for is checked here.
    if row is None or reference.casefold() not in (row.exchange, row.name.casefold()):
        raise ExchangeNotFoundError
    return row


def credentials_of(holder: Keyholder, unlocked: Unlocked, exchange: str) -> Task:
    """Returns every version of both halves, newest first."""
    rows = yield from holder.fetch(
        unlocked, CredentialRow, "credential", {"exchange": exchange, "configuration": "", "version": 0}
    )
    return [row for row in rows if row.exchange == exchange]


def _answer(holder: Keyholder, unlocked: Unlocked, row: ExchangeRow) -> Task:
    return _shown(holder, row, (yield from credentials_of(holder, unlocked, row.exchange)))


def _shown(holder: Keyholder, row: ExchangeRow, credentials: list[CredentialRow]) -> resources_pb2.Exchange:
    return messages.exchange(row, credentials, holder.catalogue.expiry_rules(row.kind))


def list_all(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.ListAllExchangesRequest) -> Task:  # noqa: ARG001  one shape for the table
    """Lists the exchanges, hidden ones too."""
    size = messages.page_size(request.page_size, limits.MAX_SEALED_PAGE, limits.MAX_SEALED_PAGE)
    rows = yield from holder.fetch(
        unlocked, ExchangeRow, "exchanges", {"after": messages.page_after(request.page_token), "limit": size + 1}
    )
    answer = pb.ListAllExchangesResponse()
    for row in rows[:size]:
        answer.exchanges.append((yield from _answer(holder, unlocked, row)))
    if len(rows) > size:
        answer.next_page_token = messages.page_token(rows[size - 1].name)
    return answer


# --- writing ----------------------------------------------------------------------------------------------------


def create(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.CreateExchangeRequest) -> Task:
    """Stores an exchange with its key pairs; only checks it where `validate_only` is set."""
    wanted = request.exchange
    kind, notice = holder.catalogue.get(wanted.kind)
    now = unlocked.clock.now_ms()
    exchange = ExchangeRow(
        records.exchange_id(),
        kind.kind,
        records.required_name(wanted.name),
        records.environment(wanted.environment, kind.environments),
        canonical_json(records.labels(wanted.labels)),
        canonical_json(records.market_types(wanted.market_types)),
        int(wanted.hidden),
        ExchangeState.ACTIVE,
        "",
        now,
        now,
        1,
    )
    halves = [given.configuration for given in request.configurations]
    if not halves or len(set(halves)) != len(halves):
        raise RecordInvalidError(fields={"configurations": "a read pair, a write pair, or one of each"})
    yield from _free_name(holder, unlocked, exchange.name)
    rows: list[CredentialRow] = []
    notices = [notice] if notice else []
    for given in request.configurations:
        row, said = yield from _new_credential(
            holder, unlocked, caller, exchange, kind, given, version=1, known=rows
        )
        rows.append(row)
        notices += said
    shown = _shown(holder, exchange, rows)
    if request.validate_only:
        for stored in ("resource_name", "id", "etag", "created_at", "updated_at"):
            shown.ClearField(stored)
        return pb.CreateExchangeResponse(exchange=shown, notices=notices)
    entry = caller.entry(exchange=exchange.exchange, detail=f"{kind.kind} {exchange.environment}, {'+'.join(halves)}")
    new: list[Row] = [exchange, *rows]
    yield from holder.commit(unlocked, entry, [(None, row) for row in new])
    return pb.CreateExchangeResponse(exchange=shown, notices=notices)


def update(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.UpdateExchangeRequest) -> Task:
    """Changes what the mask names."""
    old = yield from find(holder, unlocked, request.exchange)
    _check_etag(old, request.update.etag)
    changes = {path: _changed(old, request.update, path) for path in request.update_mask.paths}
    if not changes:
        raise RecordInvalidError(fields={"update_mask": "names nothing to change"})
    if changes.get("state") == ExchangeState.ACTIVE:
        changes.setdefault("lock_reason", "")
    if changes.get("name", old.name).casefold() != old.name.casefold():
        yield from _free_name(holder, unlocked, changes["name"])
    new = _touched(unlocked, old, **changes)
    yield from holder.commit(
        unlocked, caller.entry(exchange=old.exchange, detail=", ".join(sorted(changes))), [(old, new)]
    )
    return pb.UpdateExchangeResponse(exchange=(yield from _answer(holder, unlocked, new)))


def _changed(old: ExchangeRow, given: resources_pb2.Exchange, path: str) -> Any:
    """Returns the new value of the column that a path of the mask names."""
    match path:
        case "name":
            return records.required_name(given.name)
        case "labels":
            return canonical_json(records.labels(given.labels))
        case "market_types":
            return canonical_json(records.market_types(given.market_types))
        case "hidden":
            return int(given.hidden)
        case "lock_reason":
            return records.text(given.lock_reason, "lock_reason", limits.MAX_REASON_CHARS)
        case "state":
            return _new_state(old, given)
    raise RecordInvalidError(fields={"update_mask": f"{records.quoted(path)} cannot be changed"})


def rotate(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RotateCredentialRequest) -> Task:
    """Stores a new version of one half; the one before stays as PREVIOUS, the one before that is destroyed."""
    half = records.configuration(request.configuration.configuration)
    old = yield from find(holder, unlocked, request.exchange)
    if old.state == ExchangeState.REVOKED:
        raise ExchangeNotActiveError("the exchange is revoked")
    kind, _ = holder.catalogue.get(old.kind)
    known = yield from credentials_of(holder, unlocked, old.exchange)
    version = 1 + max((row.version for row in known if row.configuration == half), default=0)
    row, notices = yield from _new_credential(
        holder, unlocked, caller, old, kind, request.configuration, version=version, known=known
    )
    new = _touched(unlocked, old)
    puts: list[tuple[Row | None, Row]] = [(old, new), (None, row)]
    for before in (each for each in known if each.configuration == half):
        if before.state == CredentialState.ACTIVE:
            puts.append((before, _moved(unlocked, before, CredentialState.PREVIOUS)))
        elif before.state == CredentialState.PREVIOUS:
            puts.append((before, _moved(unlocked, before, CredentialState.DESTROYED)))
    entry = caller.entry(exchange=old.exchange, configuration=half, version=version)
    yield from holder.commit(unlocked, entry, puts)
    answer = yield from _answer(holder, unlocked, new)
    return pb.RotateCredentialResponse(exchange=answer, version=version, notices=notices)


def record_key_check(
    holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RecordKeyCheckRequest
) -> Task:
    """Records what the exchange said of one version, and when it ends to the knowledge of a person."""
    half = records.configuration(request.configuration)
    if not request.version:
        raise RecordInvalidError(fields={"version": "is required: a check holds for one version"})
    changes: dict[str, Any] = {"updated_ms": unlocked.clock.now_ms()}
    if request.HasField("check"):
        changes["key_state"], changes["key_check"] = checks.columns(request.check, changes["updated_ms"])
    if request.HasField("expires_at"):
        changes["expires_ms"] = checks.moment_ms(request.expires_at, "expires_at")
    if len(changes) == 1:
        raise RecordInvalidError(fields={"check": "is required, or expires_at"})
    old = yield from find(holder, unlocked, request.exchange)
    known = yield from credentials_of(holder, unlocked, old.exchange)
    wanted = [row for row in known if (row.configuration, row.version) == (half, request.version)]
    if not wanted or wanted[0].state not in USABLE:
        raise CredentialNotFoundError
    row, new = wanted[0], _touched(unlocked, old)
    detail = str(changes.get("key_state", "expiry"))
    entry = caller.entry(exchange=old.exchange, configuration=half, version=row.version, detail=detail)
    yield from holder.commit(unlocked, entry, [(old, new), (row, records.replaced(row, **changes))])
    return pb.RecordKeyCheckResponse(exchange=(yield from _answer(holder, unlocked, new)))


def revoke(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RevokeExchangeRequest) -> Task:
    """Revokes an exchange for good: its ciphertexts are erased, its masks stay."""
    old = yield from find(holder, unlocked, request.exchange)
    reason = records.text(request.lock_reason, "lock_reason", limits.MAX_REASON_CHARS)
    if old.state != ExchangeState.REVOKED:
        known = yield from credentials_of(holder, unlocked, old.exchange)
        new = _touched(unlocked, old, state=ExchangeState.REVOKED, lock_reason=reason)
        puts: list[tuple[Row | None, Row]] = [(old, new)]
        puts += [(row, _moved(unlocked, row, CredentialState.REVOKED)) for row in known if row.state in USABLE]
        yield from holder.commit(unlocked, caller.entry(exchange=old.exchange, detail=reason), puts)
        old = new
    return pb.RevokeExchangeResponse(exchange=(yield from _answer(holder, unlocked, old)))


def revoke_credential(
    holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RevokeCredentialRequest
) -> Task:
    """Revokes one version for good."""
    half = records.configuration(request.configuration)
    old = yield from find(holder, unlocked, request.exchange)
    known = yield from credentials_of(holder, unlocked, old.exchange)
    wanted = [
        row
        for row in known
        if row.configuration == half
        and (row.version == request.version if request.version else row.state == CredentialState.ACTIVE)
    ]
    if not wanted or wanted[0].state == CredentialState.DESTROYED:
        raise CredentialNotFoundError
    row, new = wanted[0], old
    if row.state != CredentialState.REVOKED:
        new = _touched(unlocked, old)
        entry = caller.entry(exchange=old.exchange, configuration=half, version=row.version)
        yield from holder.commit(
            unlocked, entry, [(old, new), (row, _moved(unlocked, row, CredentialState.REVOKED))]
        )
    return pb.RevokeCredentialResponse(exchange=(yield from _answer(holder, unlocked, new)))


def delete(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.DeleteExchangeRequest) -> Task:
    """Erases an exchange, its credentials and the grants that name it."""
    old = yield from find(holder, unlocked, request.exchange)
    _check_etag(old, request.etag)
    known = yield from credentials_of(holder, unlocked, old.exchange)
    grants = unlocked.allowlist.grants_on(old.exchange)
    entry = caller.entry(exchange=old.exchange, detail=old.name)
    yield from holder.commit(unlocked, entry, deletes=[*known, *grants, old])
    return pb.DeleteExchangeResponse()


# --- inside -----------------------------------------------------------------------------------------------------


def _new_credential(
    holder: Keyholder,
    unlocked: Unlocked,
    caller: Caller,
    exchange: ExchangeRow,
    kind: Kind,
    given: pb.SealedFields,
    *,
    version: int,
    known: list[CredentialRow],
) -> Task:
    """Returns the row of a new credential and what a person should know of it."""
    assert caller.request is not None  # A unit has no way here.
    pair = pairs.take(
        holder.memory, unlocked, caller.request, kind, exchange.environment, given.configuration, given.sealed
    )
    with pair.plaintext:
        stored = yield from holder.fetch(unlocked, CredentialRow, "fingerprint", pair.fingerprint)
        alike = [row for row in (*stored, *known) if row.fingerprint == pair.fingerprint and row.state in USABLE]
        if any(row.exchange != exchange.exchange for row in alike):
            raise RecordInvalidError(fields={pair.identifying: "This account is already connected!"})
        notices = list(pair.notices)
        if any(row.configuration != given.configuration for row in alike):
            notices.append("read and write share one key pair: a bot that may only read could trade with it")
        now = unlocked.clock.now_ms()
        key_state, key_check = checks.columns(given.check, now) if given.HasField("check") else checks.UNCHECKED
        expires_ms = checks.moment_ms(given.expires_at, "expires_at") if given.HasField("expires_at") else 0
        with holder.memory.allocate(limits.KEY_BYTES) as data_key:
            wrapped, ciphertext = envelope.encrypt_credential(
                unlocked.keys.wrapping,
                data_key.view,
                unlocked.vault.vault_id,
                exchange,
                given.configuration,
                version,
                pair.plaintext.view,
            )
    row = CredentialRow(
        exchange.exchange,
        given.configuration,
        version,
        CredentialState.ACTIVE,
        key_state,
        key_check,
        expires_ms,
        pair.fingerprint,
        pair.masks,
        wrapped,
        ciphertext,
        now,
        now,
    )
    return row, notices


def _moved(unlocked: Unlocked, row: CredentialRow, state: CredentialState) -> CredentialRow:
    changes: dict[str, Any] = {"state": state, "updated_ms": unlocked.clock.now_ms()}
    if state in (CredentialState.REVOKED, CredentialState.DESTROYED):
        # What may never be revealed again need not exist.
        changes |= {"wrapped_data_key": b"", "ciphertext": b""}
    if state == CredentialState.DESTROYED:
        changes |= {"masks": "{}", "fingerprint": b"", "key_check": "{}", "key_state": KeyState.UNKNOWN, "expires_ms": 0}
    return records.replaced(row, **changes)


def _touched(unlocked: Unlocked, row: ExchangeRow, **changes: Any) -> ExchangeRow:
    return records.replaced(row, updated_ms=unlocked.clock.now_ms(), revision=row.revision + 1, **changes)


def _new_state(old: ExchangeRow, given: resources_pb2.Exchange) -> ExchangeState:
    name = resources_pb2.Exchange.State.Name(given.state).removeprefix("STATE_")
    if name not in (ExchangeState.ACTIVE, ExchangeState.DISABLED):
        raise RecordInvalidError(fields={"state": "must be ACTIVE or DISABLED; to revoke, use revoke"})
    if old.state == ExchangeState.REVOKED:
        raise ExchangeNotActiveError("the exchange is revoked for good")
    return ExchangeState(name)


def _check_etag(row: ExchangeRow, etag: str) -> None:
    if etag and etag != str(row.revision):
        raise EtagMismatchError


def _free_name(holder: Keyholder, unlocked: Unlocked, name: str) -> Task:
    rows = yield from holder.fetch(unlocked, ExchangeRow, "exchange-by-name", name)
    if rows:
        raise ExchangeExistsError(fields={"name": "is taken"})


