"""Frozen value types that cross the processes. The rows are the columns of the store, in its order."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Self


class VaultState(StrEnum):
    """Whether requests for plaintext can be served."""

    UNINITIALIZED = "UNINITIALIZED"
    LOCKED = "LOCKED"
    UNLOCKED = "UNLOCKED"


class ExchangeState(StrEnum):
    """Whether the credentials of an exchange may be revealed."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    REVOKED = "REVOKED"


class CredentialState(StrEnum):
    """Life of one version of a credential."""

    STAGED = "STAGED"
    ACTIVE = "ACTIVE"
    PREVIOUS = "PREVIOUS"
    REVOKED = "REVOKED"
    DESTROYED = "DESTROYED"


class KeyState(StrEnum):
    """What the exchange last said of a key."""

    UNKNOWN = "UNKNOWN"
    OK = "OK"
    INVALID = "INVALID"


class ClientState(StrEnum):
    """Whether the requests of a client are considered."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    SUSPENDED = "SUSPENDED"
    REVOKED = "REVOKED"


class GrantState(StrEnum):
    """Whether a grant gives the write half. The restore of a backup suspends it until an administrator confirms it."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class SlotKind(StrEnum):
    """What opens a key slot. The first two are human."""

    PASSPHRASE = "passphrase"  # noqa: S105  a name
    RECOVERY = "recovery"
    MACHINE = "machine"


RIGHTS = ("read", "trade", "withdraw", "transfer", "ip_bound", "expires")
"""What a check of a key at its exchange answers with yes, no or unknown."""
CONFIGURATIONS = ("read", "write")
ENVIRONMENTS = ("live", "testnet", "demo")
ANY_UID = 0xFFFF_FFFF
"""Of a client that is known by its unit alone. (uid_t) -1 is no process's."""
UNIT_PREFIX = "unit:"
"""Begins the name of a client that is a systemd unit and has no key of its own; no other name holds a colon."""
REVEAL = "reveal"
"""The one operation that can be granted so far."""

PERMISSIONS = (
    "Vault:Lock",
    "Vault:Backup",
    "Exchanges:Read",
    "Exchanges:Create",
    "Exchanges:Update",
    "Exchanges:Rotate",
    "Exchanges:Verify",
    "Exchanges:Revoke",
    "Exchanges:Delete",
    "Exchanges:Reveal",
    "Clients:Allow",
    "Clients:Read",
    "Clients:Update",
    "Clients:Revoke",
    "Clients:Grant",
    "Audit:Read",
)
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Check:
    """One self-test or optional protection; where not `ok`, `detail` says the fallback in force."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class KdfParameters:
    """Cost of a slot key. Argon2id version 0x13 (RFC 9106); memory in KiB."""

    memory_kib: int
    passes: int
    lanes: int

    def weaker_than(self, other: "KdfParameters") -> bool:
        """Says whether a slot with these should be upgraded to `other`."""
        return self.memory_kib * self.passes < other.memory_kib * other.passes or self.memory_kib < other.memory_kib


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: `table` names it, the first `keys` columns are its primary key."""

    table: ClassVar[str]
    keys: ClassVar[int] = 1

    def values(self) -> tuple[Any, ...]:
        """Returns the columns in order: str, int or bytes."""
        values: tuple[Any, ...] = self._getter()(self)
        return values

    @classmethod
    @cache
    def _getter(cls) -> "attrgetter[Any]":
        return attrgetter(*cls.columns())

    @classmethod
    @cache
    def columns(cls) -> tuple[str, ...]:
        """Returns the column names in order."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def of(cls, values: Sequence[Any]) -> Self:
        """Builds a row from its columns; TypeError where their number is wrong."""
        return cls(*values)


@dataclass(frozen=True, slots=True)
class VaultRow(Row):
    """The vault itself. `wrapped_keys`: identity, audit and fingerprint key under the wrapping key."""

    table: ClassVar[str] = "vault"

    vault_id: bytes
    format_version: int
    created_ms: int
    identity: bytes
    wrapped_keys: bytes
    kdf_memory_kib: int
    kdf_passes: int
    kdf_lanes: int


@dataclass(frozen=True, slots=True)
class SlotRow(Row):
    """One key slot. A machine slot has no Argon2id cost: its secret is a random 256-bit key."""

    table: ClassVar[str] = "slots"

    slot: int
    kind: str
    label: str
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes
    wrapped_master_key: bytes
    created_ms: int


@dataclass(frozen=True, slots=True)
class ExchangeRow(Row):
    """One exchange. `labels` and `market_types` are canonical JSON; `hidden` is 0 or 1."""

    table: ClassVar[str] = "exchanges"

    exchange: str
    kind: str
    name: str
    environment: str
    labels: str
    market_types: str
    hidden: int
    state: str
    lock_reason: str
    created_ms: int
    updated_ms: int
    revision: int


@dataclass(frozen=True, slots=True)
class CredentialRow(Row):
    """One version of one configuration. `masks` is canonical JSON, field name to mask.

    `key_check` is canonical JSON too, what vaultd/keyholder/checks.py makes of a check; `{}` where there was none.
    `expires_ms` is when the key ends to the knowledge of a person, 0 where nobody said.
    """

    table: ClassVar[str] = "credentials"
    keys: ClassVar[int] = 3

    exchange: str
    configuration: str
    version: int
    state: str
    key_state: str
    key_check: str
    expires_ms: int
    fingerprint: bytes
    masks: str
    wrapped_data_key: bytes
    ciphertext: bytes
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class ClientRow(Row):
    """One allowlisted client. `client` is the key id in hex, of a unit its name; `permissions` is canonical JSON."""

    table: ClassVar[str] = "clients"

    client: str
    name: str
    public_key: bytes
    uid: int
    unit: str
    state: str
    permissions: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class GrantRow(Row):
    """One grant. `exchange` is an id or `*`; `configuration` is one half or `*`; zero and an empty unit mean no limit.

    SUSPENDED, it gives no write half.
    `client` is a key id in hex, or `unit:` and the name of a unit, of which there is no row.
    """

    table: ClassVar[str] = "grants"

    grant: str
    client: str
    operation: str
    exchange: str
    configuration: str
    not_after_ms: int
    rate_count: int
    rate_seconds: int
    created_ms: int
    unit: str = ""
    state: str = GrantState.ACTIVE.value


@dataclass(frozen=True, slots=True)
class AuditRow(Row):
    """One audit entry; its `mac` chains it to the one before."""

    table: ClassVar[str] = "audit"

    sequence: int
    time_ms: int
    method: str
    decision: str
    rule: str
    client: str
    uid: int
    pid: int
    unit: str
    started_ms: int
    exchange: str
    configuration: str
    version: int
    detail: str
    count: int
    mac: bytes


@dataclass(frozen=True, slots=True)
class IntegrityRow(Row):
    """What covers all the rest. `generation` is the sequence of the last audit entry."""

    table: ClassVar[str] = "integrity"

    vault_id: bytes
    generation: int
    time_ms: int
    mac: bytes


TAGGED: tuple[type[Row], ...] = (VaultRow, SlotRow, ExchangeRow, CredentialRow, ClientRow, GrantRow)
"""Tables whose rows carry a tag and are covered by the integrity MAC, in the order they are read at unlock."""
BY_TABLE = {kind.table: kind for kind in TAGGED}


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What the kernel says of a caller, as it crosses the link. `started_ms`: when its process began, 0 for unknown."""

    uid: int
    gid: int
    pid: int
    unit: str
    started_ms: int = 0
