"""The client library of vaultd: ask a local vault for exchange keys.

from vaultd_client import VaultClient

with VaultClient() as vault:
    exchange = vault.ccxt("main", "read")
    print(exchange.fetch_balance())
"""

from vaultd_client.aio import AsyncVaultClient
from vaultd_client.client import VaultClient
from vaultd_client.errors import (
    ConflictError,
    ExistsError,
    InternalError,
    InvalidError,
    KeyFileError,
    LockedError,
    NotFoundError,
    NotRunningError,
    RateLimitedError,
    RefusedError,
    StoreError,
    TimedOutError,
    UninitializedError,
    UnlockDelayedError,
    UnlockError,
    UnsupportedError,
    UntrustedVaultError,
    VaultClientError,
)
from vaultd_client.key_checks import KeyCheck
from vaultd_client.keys import ClientKey, Pin
from vaultd_client.kinds import Expiry, Form, Guide, Kind, KindField, PermissionsEndpoint, Tombstone
from vaultd_client.models import (
    Access,
    AuditEntry,
    AuditReport,
    Check,
    Client,
    Configuration,
    Credential,
    Exchange,
    Grant,
    Vault,
)
from vaultd_client.revealed import RevealedCredential
from vaultd_client.slots import KdfParameters, Slot, Unlocked, UnlockStatus
from vaultd_client.unlock import UnlockClient

__all__ = [
    "Access",
    "AsyncVaultClient",
    "AuditEntry",
    "AuditReport",
    "Check",
    "Client",
    "ClientKey",
    "Configuration",
    "ConflictError",
    "Credential",
    "Exchange",
    "ExistsError",
    "Expiry",
    "Form",
    "Grant",
    "Guide",
    "InternalError",
    "InvalidError",
    "KdfParameters",
    "KeyCheck",
    "KeyFileError",
    "Kind",
    "KindField",
    "LockedError",
    "NotFoundError",
    "NotRunningError",
    "PermissionsEndpoint",
    "Pin",
    "RateLimitedError",
    "RefusedError",
    "RevealedCredential",
    "Slot",
    "StoreError",
    "TimedOutError",
    "Tombstone",
    "UninitializedError",
    "UnlockClient",
    "UnlockDelayedError",
    "UnlockError",
    "UnlockStatus",
    "Unlocked",
    "UnsupportedError",
    "UntrustedVaultError",
    "Vault",
    "VaultClient",
    "VaultClientError",
]
