"""Rows of the store to messages of the API. Shared by the server (open RPCs) and the keyholder (signed ones)."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from vaultd.errors import RecordInvalidError
from vaultd.kinds.expiry import ends
from vaultd.kinds.kind import Expiry
from vaultd.model import RIGHTS, AuditRow, ClientRow, CredentialRow, CredentialState, ExchangeRow, GrantRow, KeyState
from vaultd_api.v1 import resources_pb2 as pb


def timestamp(milliseconds: int) -> Timestamp:
    """Returns a protobuf time of milliseconds since the epoch."""
    return Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def reference(given: str, collection: str) -> str:
    """Returns what a resource name, an id or a name refers to: `exchanges/x` and `x` are the same."""
    return given.removeprefix(collection + "/")


def page_token(after: str) -> str:
    """Returns the token of the page that follows a key."""
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def page_after(token: str) -> str:
    """Returns the key that a page token stands for; RecordInvalidError where it is none of ours."""
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise RecordInvalidError(fields={"page_token": "is not one that a list returned"}) from None


def page_size(asked: int, default: int, largest: int) -> int:
    """Returns how many to return."""
    return min(asked or default, largest)


def exchange(row: ExchangeRow, credentials: Sequence[CredentialRow], rules: Sequence[Expiry]) -> pb.Exchange:
    """Returns an exchange, masked, with every credential that is not destroyed; `rules` are those of its kind."""
    made = pb.Exchange(
        resource_name=f"exchanges/{row.exchange}",
        id=row.exchange,
        name=row.name,
        kind=row.kind,
        environment=row.environment,
        labels=json.loads(row.labels),
        market_types=json.loads(row.market_types),
        hidden=bool(row.hidden),
        state=f"STATE_{row.state}",
        lock_reason=row.lock_reason,
        created_at=timestamp(row.created_ms),
        updated_at=timestamp(row.updated_ms),
        etag=str(row.revision),
    )
    for half in sorted({each.configuration for each in credentials}):
        shown = [
            credential(each, rules)
            for each in credentials
            if each.configuration == half and each.state != CredentialState.DESTROYED
        ]
        made.configurations.append(pb.Configuration(configuration=half, credentials=shown))
    return made


def credential(row: CredentialRow, rules: Sequence[Expiry]) -> pb.Credential:
    """Returns one version, masked, with its last check and when it ends."""
    check = json.loads(row.key_check)
    end = ends(check, row.expires_ms, row.created_ms, rules)
    return pb.Credential(
        resource_name=f"exchanges/{row.exchange}/configurations/{row.configuration}/credentials/{row.version}",
        version=row.version,
        state=f"STATE_{row.state}",
        key_state=f"KEY_STATE_{row.key_state}",
        masks=json.loads(row.masks),
        created_at=timestamp(row.created_ms),
        check=_key_check(row.key_state, check) if check else None,
        expires_at=timestamp(end.at_ms) if end.at_ms else None,
        expiry_source=f"EXPIRY_SOURCE_{end.source}",
        expiry_rule=end.rule,
    )


def _key_check(key_state: str, check: Mapping[str, Any]) -> pb.KeyCheck:
    return pb.KeyCheck(
        works="ANSWER_YES" if key_state == KeyState.OK else "ANSWER_NO",
        means=f"MEANS_{check['means']}",
        problem=check["problem"],
        checked_at=timestamp(check["checked_ms"]),
        expires_at=timestamp(check["expires_ms"]) if check["expires_ms"] else None,
        **{name: f"ANSWER_{check[name]}" for name in RIGHTS},
    )


def client(row: ClientRow, grants: Sequence[GrantRow]) -> pb.Client:
    """Returns a client with its grants."""
    return pb.Client(
        resource_name=f"clients/{row.name}",
        name=row.name,
        public_key=row.public_key,
        uid=row.uid,
        unit=row.unit,
        state=f"STATE_{row.state}",
        permissions=json.loads(row.permissions),
        grants=[grant(each, row.name) for each in grants],
        created_at=timestamp(row.created_ms),
        key_id=row.client,
    )


def grant(row: GrantRow, client_name: str) -> pb.Grant:
    """Returns a grant."""
    made = pb.Grant(
        resource_name=f"clients/{client_name}/grants/{row.grant}",
        id=row.grant,
        operation=row.operation,
        exchange=row.exchange,
        configuration=row.configuration,
        rate_count=row.rate_count,
        rate_seconds=row.rate_seconds,
        unit=row.unit,
        state=f"STATE_{row.state}",
    )
    if row.not_after_ms:
        made.not_after.CopyFrom(timestamp(row.not_after_ms))
    return made


def audit_entry(row: AuditRow) -> pb.AuditEntry:
    """Returns an audit entry."""
    made = pb.AuditEntry(
        sequence=row.sequence,
        time=timestamp(row.time_ms),
        method=row.method,
        decision=row.decision,
        rule=row.rule,
        client=row.client,
        uid=row.uid,
        pid=row.pid,
        unit=row.unit,
        exchange=row.exchange,
        configuration=row.configuration,
        version=row.version,
        detail=row.detail,
        count=row.count,
    )
    if row.started_ms:
        made.started_at.CopyFrom(timestamp(row.started_ms))
    return made
