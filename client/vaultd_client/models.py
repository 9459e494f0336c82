"""What the vault answers, as frozen values. Nothing here holds a secret; that is `revealed.py`. `kinds.py` has the catalogue's.

Times are aware datetimes in UTC, or None. States are the names of errors.proto's neighbours in resources.proto without
their prefix, such as `ACTIVE`; a state of a newer daemon is its number in text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vaultd_api.v1 import audit_service_pb2, client_service_pb2, resources_pb2, vault_service_pb2
from vaultd_client.key_checks import KeyCheck
from vaultd_client.messages import enum_name, moment


@dataclass(frozen=True, slots=True)
class Check:
    """One self-test or optional protection of the daemon; where not `ok`, `detail` says the fallback in force."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Vault:
    """State, identity and health. `state` is UNINITIALIZED, LOCKED or UNLOCKED.

    `vault_id` (16 bytes) and `identity` (32) are empty before init; `epoch` (16), `seal_key` (32) and
    `seal_key_signature` (64) are empty unless UNLOCKED. None of it is authenticated: compare it with a pin.
    """

    state: str
    vault_id: bytes
    epoch: bytes
    identity: bytes
    seal_key: bytes
    seal_key_signature: bytes
    version: str
    schema_version: int
    format_version: int
    started_at: datetime | None
    unlocked_at: datetime | None
    checks: tuple[Check, ...]
    unaudited_denials: int
    lock_cause: str

    @classmethod
    def from_proto(cls, message: vault_service_pb2.Vault) -> "Vault":
        """Builds it from the message of that name."""
        return cls(
            state=enum_name(vault_service_pb2.Vault.State, message.state),
            vault_id=message.vault_id,
            epoch=message.epoch,
            identity=message.identity,
            seal_key=message.seal_key,
            seal_key_signature=message.seal_key_signature,
            version=message.version,
            schema_version=message.schema_version,
            format_version=message.format_version,
            started_at=moment(message, "started_at"),
            unlocked_at=moment(message, "unlocked_at"),
            checks=tuple(Check(check.name, check.ok, check.detail) for check in message.checks),
            unaudited_denials=message.unaudited_denials,
            lock_cause=message.lock_cause,
        )


@dataclass(frozen=True, slots=True)
class Credential:
    """One version of a key pair, masked. `masks`: field name to mask, empty for fields that are never shown.

    `state` is STAGED, ACTIVE, PREVIOUS, REVOKED or DESTROYED; `key_state` is UNKNOWN, OK or INVALID. `expires_at` is when
    the key ends, None where nobody knows; `expiry_source` who says so: EXCHANGE, PERSON or RULE, whose words are in
    `expiry_rule`.
    """

    resource_name: str
    version: int
    state: str
    key_state: str
    masks: Mapping[str, str]
    created_at: datetime | None
    check: KeyCheck | None = None
    expires_at: datetime | None = None
    expiry_source: str = ""
    expiry_rule: str = ""

    @classmethod
    def from_proto(cls, message: resources_pb2.Credential) -> "Credential":
        """Builds it from the message of that name."""
        return cls(
            resource_name=message.resource_name,
            version=message.version,
            state=enum_name(resources_pb2.Credential.State, message.state),
            key_state=enum_name(resources_pb2.Credential.KeyState, message.key_state, "KEY_STATE_"),
            masks=dict(message.masks),
            created_at=moment(message, "created_at"),
            check=KeyCheck.from_proto(message.check) if message.HasField("check") else None,
            expires_at=moment(message, "expires_at"),
            expiry_source=enum_name(resources_pb2.Credential.ExpirySource, message.expiry_source, "EXPIRY_SOURCE_")
            if message.expiry_source
            else "",
            expiry_rule=message.expiry_rule,
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """The `read` or the `write` half of an exchange; its versions, newest first."""

    configuration: str
    credentials: tuple[Credential, ...]

    @property
    def active(self) -> Credential | None:
        """The version that is revealed, if any."""
        return next((each for each in self.credentials if each.state == "ACTIVE"), None)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One account at one venue, masked. `state` is ACTIVE, DISABLED, SUSPENDED or REVOKED."""

    resource_name: str
    id: str
    name: str
    kind: str
    environment: str
    labels: Mapping[str, str]
    market_types: tuple[str, ...]
    hidden: bool
    state: str
    lock_reason: str
    configurations: tuple[Configuration, ...]
    created_at: datetime | None
    updated_at: datetime | None
    etag: str

    @classmethod
    def from_proto(cls, message: resources_pb2.Exchange) -> "Exchange":
        """Builds it from the message of that name."""
        return cls(
            resource_name=message.resource_name,
            id=message.id,
            name=message.name,
            kind=message.kind,
            environment=message.environment,
            labels=dict(message.labels),
            market_types=tuple(message.market_types),
            hidden=message.hidden,
            state=enum_name(resources_pb2.Exchange.State, message.state),
            lock_reason=message.lock_reason,
            configurations=tuple(
                Configuration(each.configuration, tuple(Credential.from_proto(version) for version in each.credentials))
                for each in message.configurations
            ),
            created_at=moment(message, "created_at"),
            updated_at=moment(message, "updated_at"),
            etag=message.etag,
        )

    def configuration(self, name: str) -> Configuration | None:
        """Returns the half of that name (`read` or `write`), if it exists."""
        return next((each for each in self.configurations if each.configuration == name), None)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client may do. `exchange` is an id or `*`. `rate_count` uses in `rate_seconds`; 0 means no limit.

    `state` is SUSPENDED where it gives no write half, because a backup was restored and nobody has confirmed the client.

    `notices` is what a person should hear of a grant that was just made; empty at any other time.
    """

    resource_name: str
    id: str
    operation: str
    exchange: str
    configuration: str
    not_after: datetime | None
    rate_count: int
    rate_seconds: int
    notices: tuple[str, ...] = ()
    unit: str = ""
    state: str = "ACTIVE"

    @classmethod
    def from_proto(cls, message: resources_pb2.Grant, notices: Sequence[str] = ()) -> "Grant":
        """Builds it from the message of that name."""
        return cls(
            resource_name=message.resource_name,
            id=message.id,
            operation=message.operation,
            exchange=message.exchange,
            configuration=message.configuration,
            not_after=moment(message, "not_after"),
            rate_count=message.rate_count,
            rate_seconds=message.rate_seconds,
            notices=tuple(notices),
            unit=message.unit,
            state=enum_name(resources_pb2.Grant.State, message.state),
        )


@dataclass(frozen=True, slots=True)
class Client:
    """An allowlisted program. `public_key` has 32 bytes; `state` is ACTIVE, DISABLED or REVOKED."""

    resource_name: str
    name: str
    public_key: bytes
    key_id: str
    uid: int
    unit: str
    state: str
    permissions: tuple[str, ...]
    grants: tuple[Grant, ...]
    created_at: datetime | None

    @classmethod
    def from_proto(cls, message: resources_pb2.Client) -> "Client":
        """Builds it from the message of that name."""
        return cls(
            resource_name=message.resource_name,
            name=message.name,
            public_key=message.public_key,
            key_id=message.key_id,
            uid=message.uid,
            unit=message.unit,
            state=enum_name(resources_pb2.Client.State, message.state),
            permissions=tuple(message.permissions),
            grants=tuple(Grant.from_proto(grant) for grant in message.grants),
            created_at=moment(message, "created_at"),
        )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the audit. `decision` is allow or deny; `count` is how many alike it stands for.

    `started_at` is when the calling process began; with the pid it names one process.
    """

    sequence: int
    time: datetime | None
    method: str
    decision: str
    rule: str
    client: str
    uid: int
    pid: int
    unit: str
    exchange: str
    configuration: str
    version: int
    detail: str
    count: int
    started_at: datetime | None = None

    @classmethod
    def from_proto(cls, message: resources_pb2.AuditEntry) -> "AuditEntry":
        """Builds it from the message of that name."""
        return cls(
            sequence=message.sequence,
            time=moment(message, "time"),
            method=message.method,
            decision=message.decision,
            rule=message.rule,
            client=message.client,
            uid=message.uid,
            pid=message.pid,
            unit=message.unit,
            exchange=message.exchange,
            configuration=message.configuration,
            version=message.version,
            detail=message.detail,
            count=message.count or 1,
            started_at=moment(message, "started_at"),
        )


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Finding of a walk over the audit's chain. `first_bad` is 0 where all `checked` entries are good."""

    checked: int
    first_bad: int
    detail: str

    @property
    def ok(self) -> bool:
        """True where every entry is there and unchanged."""
        return self.first_bad == 0

    @classmethod
    def from_proto(cls, message: audit_service_pb2.VerifyAuditResponse) -> "AuditReport":
        """Builds it from the response."""
        return cls(message.checked, message.first_bad, message.detail)


@dataclass(frozen=True, slots=True)
class Access:
    """Whether a client may have one half of an exchange now, by which rule, and every step in words."""

    allowed: bool
    rule: str
    steps: tuple[str, ...]
    denials: tuple[AuditEntry, ...]

    @classmethod
    def from_proto(cls, message: client_service_pb2.ExplainAccessResponse) -> "Access":
        """Builds it from the response."""
        denials = tuple(AuditEntry.from_proto(entry) for entry in message.denials)
        return cls(message.allowed, message.rule, tuple(message.steps), denials)
