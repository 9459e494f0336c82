"""RevealCredential: the one request that plaintext answers."""

import json
from functools import lru_cache
from typing import Any

from vaultd import limits
from vaultd.crypto import aead, envelope
from vaultd.errors import (
    CredentialNotFoundError,
    EtagMismatchError,
    ExchangeNotActiveError,
    ExchangeNotFoundError,
    PermissionDeniedError,
    RateLimitedError,
)
from vaultd.keyholder import exchanges, policy, records
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.clock import boot_ns
from vaultd.keyholder.loop import Task
from vaultd.keyholder.secretmem import SecretBuffer
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.kinds import Catalogue, Kind
from vaultd.model import CredentialRow, CredentialState, ExchangeRow, ExchangeState
from vaultd_api.v1 import exchange_service_pb2 as pb

_FIELDS_TAG = b"\x42"
"""Field 8 of RevealCredentialResponse, length-delimited; a test compares it with the descriptor."""
_TRIES = 3
"""An exchange that is changed each time that it is read is being changed by a loop."""


def reveal(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RevealCredentialRequest) -> Task:
    """Returns a serialized RevealCredentialResponse in a secret buffer."""
    exchange, row, entry = yield from _allowed(holder, unlocked, caller, request)
    # On its way to the disk while the answer is made, which leaves only once the entry is there.
    holder.begin_commit(unlocked, entry, caller.number)
    return _decrypt(holder, unlocked, exchange, row)


def reveal_here(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RevealCredentialRequest) -> Task:
    """Returns the same for what leaves from here, not through the server: the entry is on the disk already."""
    exchange, row, entry = yield from _allowed(holder, unlocked, caller, request)
    # Opened under the keys that were looked at, which may be others after the wait.
    plain = _decrypt(holder, unlocked, exchange, row)
    try:
        yield from holder.commit(unlocked, entry)
    except BaseException:
        plain.close()
        raise
    return plain


def _allowed(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.RevealCredentialRequest) -> Task:
    """Returns exchange, credential and the audit entry that must be made at once; raises what denies it."""
    records.configuration(request.configuration)
    exchange = yield from _find(holder, unlocked, request)
    for _ in range(_TRIES):
        _may_reveal(holder, unlocked, caller, exchange, request.configuration)
        if exchange is None:
            raise ExchangeNotFoundError
        try:
            row = yield from _credential(holder, unlocked, exchange, request)
        except CredentialNotFoundError:
            where = {"exchange": exchange.exchange, "configuration": request.configuration}
            holder.calls.deny(caller, "no-credential", **where)
            raise
        # It may have been changed while the server was asked for its credential.
        before, exchange = exchange, (yield from _find(holder, unlocked, request))
        if exchange == before:
            break
    else:
        raise EtagMismatchError
    # Once more, and nothing is waited for from here to the entry: what was allowed may have been taken back, or its rate
    # used up, while the server was asked.
    decision = _may_reveal(holder, unlocked, caller, exchange, request.configuration)
    if decision.grant is not None:
        unlocked.rates.use(decision.grant, boot_ns())
    where = {"exchange": exchange.exchange, "configuration": request.configuration}
    return exchange, row, caller.entry(rule=decision.rule, version=row.version, **where)


def _find(holder: Keyholder, unlocked: Unlocked, request: pb.RevealCredentialRequest) -> Task:
    """Returns the exchange, or None: who may reveal nothing is not told which exchanges there are."""
    try:
        return (yield from exchanges.find(holder, unlocked, request.exchange))
    except ExchangeNotFoundError:
        return None


def _may_reveal(
    holder: Keyholder, unlocked: Unlocked, caller: Caller, exchange: ExchangeRow | None, configuration: str
) -> policy.Decision:
    """Returns the decision that allows; writes one that denies to the audit and raises it."""
    exchange_id = exchange.exchange if exchange else ""
    # As it is now: it may have been disabled while the server was asked.
    client = unlocked.allowlist.now(caller.client)
    decision = policy.may_reveal(
        client,
        unlocked.allowlist.grants_of(caller.client.client),
        exchange_id,
        configuration,
        unlocked.clock.now_ms(),
        unlocked.rates,
        boot_ns(),
        caller.peer.unit,
    )
    if not decision.allowed:
        holder.calls.deny(caller, decision.rule, exchange=exchange_id, configuration=configuration)
        raise RateLimitedError if decision.rate_limited else PermissionDeniedError
    if exchange is not None and exchange.state != ExchangeState.ACTIVE:
        state = exchange.state.lower()
        holder.calls.deny(caller, f"exchange-{state}", exchange=exchange_id, configuration=configuration)
        raise ExchangeNotActiveError(f"the exchange is {state}")
    return decision


@lru_cache(maxsize=limits.RECENT_ROWS)
def _head(catalogue: Catalogue, exchange: ExchangeRow, configuration: str, version: int) -> bytes:
    """Returns all of the answer that is no secret."""
    kind = catalogue.stored(exchange.kind)
    return pb.RevealCredentialResponse(
        exchange=exchange.exchange,
        name=exchange.name,
        kind=exchange.kind,
        environment=exchange.environment,
        configuration=configuration,
        version=version,
        market_types=json.loads(exchange.market_types),
        **(use_of(kind, exchange.environment) if kind else {}),
    ).SerializeToString()


def use_of(kind: Kind, environment: str) -> dict[str, Any]:
    """Returns what the catalogue knows of the use of the key: in the answer that is sealed and signed, not the open one."""
    return {
        "ccxt_names": kind.ccxt_names,
        "ccxt_id": kind.kind if kind.in_ccxt else "",
        "ccxt_switch": kind.ccxt_switches.get(environment, ""),
        "notices": [f"{kind.display_name}: {kind.tombstone.note}"] if kind.tombstone else [],
    }


def _credential(
    holder: Keyholder, unlocked: Unlocked, exchange: ExchangeRow, request: pb.RevealCredentialRequest
) -> Task:
    wanted = {"exchange": exchange.exchange, "configuration": request.configuration, "version": request.version}
    row = yield from holder.fetch_one(unlocked, CredentialRow, "credential", wanted, tuple(wanted.values()))
    if row is None or (row.exchange, row.configuration) != (exchange.exchange, request.configuration):
        version = f"version {request.version} of its" if request.version else "active"
        raise CredentialNotFoundError(f"{exchange.name} has no {version} {request.configuration} key pair")
    good = row.version == request.version if request.version else row.state == CredentialState.ACTIVE
    if not good or row.state not in exchanges.USABLE:
        raise CredentialNotFoundError(f"version {row.version} is {row.state.lower()}")
    return row


def _decrypt(
    holder: Keyholder, unlocked: Unlocked, exchange: ExchangeRow, row: CredentialRow
) -> SecretBuffer:
    """Appends the plaintext to the rest of the answer: serialized messages can be put together, in any order of fields."""
    length = aead.plaintext_length(row.ciphertext)
    head = _head(holder.catalogue, exchange, row.configuration, row.version) + _FIELDS_TAG + _varint(length)
    buffer = holder.memory.allocate(len(head) + length)
    try:
        buffer.view[: len(head)] = head
        with holder.memory.allocate(limits.KEY_BYTES) as data_key, buffer.view[len(head) :] as plain:
            envelope.unwrap_data_key(unlocked.keys.wrapping, unlocked.vault.vault_id, exchange, row, data_key.view)
            envelope.decrypt_credential(data_key.view, unlocked.vault.vault_id, exchange, row, plain)
    except BaseException:
        buffer.close()
        raise
    return buffer


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
