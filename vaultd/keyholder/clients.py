"""What signed requests do with clients and grants."""

from typing import Any

from vaultd import limits, messages
from vaultd.crypto import requests
from vaultd.errors import (
    ClientExistsError,
    ClientNotFoundError,
    GrantNotFoundError,
    LastAdministratorError,
    PermissionDeniedError,
    RecordInvalidError,
)
from vaultd.keyholder import audits, exchanges, policy, records, sharing
from vaultd.keyholder.allowlist import unit_client
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.clock import boot_ns
from vaultd.keyholder.credential_ids import CLIENT_KEY
from vaultd.keyholder.loop import Task
from vaultd.keyholder.vault import Keyholder, Unlocked, canonical_json
from vaultd.model import CONFIGURATIONS, EVERYTHING, REVEAL, UNIT_PREFIX, ClientRow, ClientState, GrantRow
from vaultd_api.v1 import client_service_pb2 as pb
from vaultd_api.v1 import resources_pb2


def find(unlocked: Unlocked, given: str) -> ClientRow:
    """Returns the client that a resource name or name refers to; ClientNotFoundError otherwise."""
    row = unlocked.allowlist.named(messages.reference(given, "clients"))
    if row is None:
        raise ClientNotFoundError
    return row


def grantee(unlocked: Unlocked, given: str) -> ClientRow:
    """Returns the client or, by `unit:` and its name, the unit that a grant is for; ClientNotFoundError otherwise."""
    name = messages.reference(given, "clients")
    if not name.startswith(UNIT_PREFIX):
        return find(unlocked, given)
    unit = records.checked_unit(name.removeprefix(UNIT_PREFIX))
    if not 0 < len(unit) <= limits.MAX_CREDENTIAL_UNIT_CHARS:
        text = f"must be at most {limits.MAX_CREDENTIAL_UNIT_CHARS} characters, for systemd to ask for its credentials"
        raise RecordInvalidError(fields={"unit": text})
    return unit_client(unit)


def allow(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.AllowClientRequest) -> Task:
    """Puts a client on the allowlist."""
    given = request.client
    new = records.client(given.name, given.public_key, given.uid, given.unit, given.permissions)
    _no_more_than_own(caller, new.permissions)
    key_id = requests.key_id(new.public_key).hex()
    known = unlocked.allowlist.client(key_id)
    if known is not None:
        raise ClientExistsError(f"that key is already {known.name}'s", fields={"public_key": "is taken"})
    if unlocked.allowlist.named(new.name) is not None:
        raise ClientExistsError(fields={"name": "is taken"})
    if len(unlocked.allowlist) >= limits.MAX_CLIENTS:
        raise RecordInvalidError(fields={"name": f"at most {limits.MAX_CLIENTS} clients"})
    now = unlocked.clock.now_ms()
    row = ClientRow(
        key_id,
        new.name,
        new.public_key,
        new.uid,
        new.unit,
        ClientState.ACTIVE,
        canonical_json(list(new.permissions)),
        now,
        now,
    )
    yield from holder.commit(unlocked, caller.entry(detail=f"client {row.name}, uid {row.uid}"), [(None, row)])
    return pb.AllowClientResponse(client=messages.client(row, []))


def list_clients(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.ListClientsRequest) -> Task:  # noqa: ARG001  one shape for the table
    """Lists the clients, and the units that have a grant, with their grants."""
    yield from ()
    size = messages.page_size(request.page_size, limits.MAX_SEALED_PAGE, limits.MAX_SEALED_PAGE)
    after = messages.page_after(request.page_token)
    everybody = (*unlocked.allowlist, *unlocked.allowlist.units())
    rows = sorted((row for row in everybody if row.name > after), key=lambda row: row.name)
    answer = pb.ListClientsResponse(
        clients=[messages.client(row, unlocked.allowlist.grants_of(row.client)) for row in rows[:size]]
    )
    if len(rows) > size:
        answer.next_page_token = messages.page_token(rows[size - 1].name)
    return answer


def update(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.UpdateClientRequest) -> Task:
    """Changes what the mask names."""
    old = find(unlocked, request.client)
    if old.state == ClientState.REVOKED:
        raise RecordInvalidError(fields={"client": "is revoked for good"})
    changes: dict[str, Any] = {}
    given = request.update
    for path in request.update_mask.paths:
        match path:
            case "state":
                name = resources_pb2.Client.State.Name(given.state).removeprefix("STATE_")
                if name not in (ClientState.ACTIVE, ClientState.DISABLED):
                    raise RecordInvalidError(fields={"state": "must be ACTIVE or DISABLED; to revoke, use revoke"})
                if old.state == ClientState.SUSPENDED:
                    # Only who may grant ends a suspension (confirming.py), not by way of DISABLED either.
                    raise RecordInvalidError(fields={"state": "is SUSPENDED: vaultctl client confirm ends that, or revoke"})
                changes["state"] = ClientState(name)
            case "uid":
                changes["uid"] = records.checked_uid(given.uid)
            case "unit":
                changes["unit"] = records.checked_unit(given.unit)
            case "permissions":
                permissions = records.checked_permissions(given.permissions)
                _no_more_than_own(caller, permissions)
                changes["permissions"] = canonical_json(list(permissions))
            case _:
                raise RecordInvalidError(fields={"update_mask": f"{records.quoted(path)} cannot be changed"})
    if not changes:
        raise RecordInvalidError(fields={"update_mask": "names nothing to change"})
    new = records.replaced(old, updated_ms=unlocked.clock.now_ms(), **changes)
    _keep_an_administrator(unlocked, old, new)
    detail = f"client {old.name}: {', '.join(sorted(changes))}"
    yield from holder.commit(unlocked, caller.entry(detail=detail), [(old, new)])
    return pb.UpdateClientResponse(client=messages.client(new, unlocked.allowlist.grants_of(new.client)))


def revoke(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RevokeClientRequest) -> Task:
    """Revokes a client for good; its row stays, so that its key can never be allowed again."""
    old = find(unlocked, request.client)
    if old.state == ClientState.REVOKED:
        return pb.RevokeClientResponse(client=messages.client(old, []))
    new = records.replaced(
        old, state=ClientState.REVOKED, permissions=canonical_json([]), updated_ms=unlocked.clock.now_ms()
    )
    _keep_an_administrator(unlocked, old, new)
    grants = unlocked.allowlist.grants_of(old.client)
    yield from holder.commit(unlocked, caller.entry(detail=f"client {old.name}"), [(old, new)], deletes=grants)
    return pb.RevokeClientResponse(client=messages.client(new, []))


def create_grant(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.CreateGrantRequest) -> Task:
    """Grants a client or a unit an operation on an exchange."""
    client = grantee(unlocked, request.client)
    if client.state == ClientState.REVOKED:
        raise RecordInvalidError(fields={"client": "is revoked for good"})
    given = request.grant
    if given.operation != REVEAL:
        raise RecordInvalidError(fields={"operation": f"must be {REVEAL}"})
    if given.configuration not in (*CONFIGURATIONS, EVERYTHING):
        raise RecordInvalidError(fields={"configuration": "must be read, write or *"})
    if bool(given.rate_count) != bool(given.rate_seconds):
        raise RecordInvalidError(fields={"rate_count": "rate_count and rate_seconds go together"})
    if given.rate_count > limits.MAX_RATE_COUNT or given.rate_seconds > limits.MAX_RATE_SECONDS:
        raise RecordInvalidError(
            fields={"rate_count": f"at most {limits.MAX_RATE_COUNT} uses in at most {limits.MAX_RATE_SECONDS} s"}
        )
    if given.unit and client.client.startswith(UNIT_PREFIX):
        raise RecordInvalidError(fields={"unit": "the grant is to a unit already"})
    _require_room(unlocked, client)
    now = unlocked.clock.now_ms()
    not_after_ms = _end(given, now)
    exchange = EVERYTHING
    if given.exchange != EVERYTHING:
        exchange = (yield from exchanges.find(holder, unlocked, given.exchange)).exchange
    row = GrantRow(
        records.grant_id(),
        client.client,
        REVEAL,
        exchange,
        given.configuration,
        not_after_ms,
        given.rate_count,
        given.rate_seconds,
        now,
        records.checked_unit(given.unit),
    )
    entry = caller.entry(
        exchange="" if exchange == EVERYTHING else exchange,
        configuration=given.configuration,
        detail=f"{row.grant} to {client.name}",
    )
    yield from holder.commit(unlocked, entry, [(None, row)])
    notices = yield from sharing.notices(holder, unlocked, client.client, exchange, given.configuration)
    return pb.CreateGrantResponse(grant=messages.grant(row, client.name), notices=notices)


def _require_room(unlocked: Unlocked, client: ClientRow) -> None:
    known = len(unlocked.allowlist.grants_of(client.client))
    if known >= limits.MAX_GRANTS_PER_CLIENT:
        raise RecordInvalidError(fields={"grant": f"at most {limits.MAX_GRANTS_PER_CLIENT} grants for one client"})
    if not known and client.client.startswith(UNIT_PREFIX) and len(unlocked.allowlist.units()) >= limits.MAX_CLIENTS:
        raise RecordInvalidError(fields={"unit": f"at most {limits.MAX_CLIENTS} units"})


def _end(given: resources_pb2.Grant, now_ms: int) -> int:
    """Returns when a grant ends, 0 for never."""
    if not given.HasField("not_after"):
        return 0
    try:
        not_after_ms = given.not_after.ToMilliseconds()
    except ValueError:
        raise RecordInvalidError(fields={"not_after": "is not between the years 1 and 9999"}) from None
    if not_after_ms <= now_ms:
        raise RecordInvalidError(fields={"not_after": "is in the past"})
    return not_after_ms


def delete_grant(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.DeleteGrantRequest) -> Task:
    """Takes a grant back."""
    client = grantee(unlocked, request.client)
    row = unlocked.allowlist.grant(request.grant.rpartition("/")[2])
    if row is None or row.client != client.client:
        raise GrantNotFoundError
    yield from holder.commit(unlocked, caller.entry(detail=f"{row.grant} of {client.name}"), deletes=[row])
    unlocked.rates.forget(row.grant)
    return pb.DeleteGrantResponse()


def explain(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.ExplainAccessRequest) -> Task:  # noqa: ARG001  one shape for the table
    """Says which rule decides, with the code that decides."""
    client = grantee(unlocked, request.client)
    records.configuration(request.configuration)
    exchange = yield from exchanges.find(holder, unlocked, request.exchange)
    decision = policy.may_reveal(
        client,
        unlocked.allowlist.grants_of(client.client),
        exchange.exchange,
        request.configuration,
        unlocked.clock.now_ms(),
        unlocked.rates,
        boot_ns(),
        None,
    )
    steps = [_from_whom(client), *decision.steps]
    allowed, rule = decision.allowed, decision.rule
    if allowed and exchange.state != "ACTIVE":
        allowed, rule = False, f"exchange-{exchange.state.lower()}"
        steps.append(f"exchange {exchange.name} is {exchange.state}")
    elif allowed:
        steps.append(f"exchange {exchange.name} is {exchange.state}")
        known = yield from exchanges.credentials_of(holder, unlocked, exchange.exchange)
        if not any(row.configuration == request.configuration and row.state == "ACTIVE" for row in known):
            allowed, rule = False, "no-credential"
            steps.append(f"exchange {exchange.name} has no active {request.configuration} key pair")
    if allowed:
        steps += yield from sharing.notices(
            holder, unlocked, client.client, exchange.exchange, request.configuration
        )
    found = yield from audits.newest(holder, unlocked, audits.Wanted(0, 5, client=client.name, decision="deny"))
    denials = [messages.audit_entry(row) for row in found]
    return pb.ExplainAccessResponse(allowed=allowed, rule=rule, steps=steps, denials=denials)


def _from_whom(client: ClientRow) -> str:
    if client.client.startswith(UNIT_PREFIX):
        return f"systemd must ask for it while it starts {client.unit}, or {client.unit} with its {CLIENT_KEY}"
    where = f"uid {client.uid}" + (f", unit {client.unit}" if client.unit else "")
    return f"the request must come from {where} and be signed with key {client.client[:16]}…"


def _no_more_than_own(caller: Caller, permissions: tuple[str, ...]) -> None:
    """Nobody can give what they do not have; so nobody climbs by enrolling a second self."""
    own = policy.permissions(caller.client)
    if EVERYTHING not in own and not set(permissions) <= own:
        raise PermissionDeniedError("you cannot give a permission that you do not have")


def _keep_an_administrator(unlocked: Unlocked, old: ClientRow, new: ClientRow) -> None:
    """Whoever is moved to another user or unit does not count: a slip there shuts the last one out for good."""
    stays = (new.uid, new.unit) == (old.uid, old.unit)
    rest = [row for row in unlocked.allowlist if row is not old]
    if not any(policy.is_administrator(row) for row in (*rest, new) if row is not new or stays):
        raise LastAdministratorError
