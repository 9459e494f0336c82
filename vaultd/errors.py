"""The error tree of the daemon.

Every error has a `reason` (proto/vaultd/v1/errors.proto) and a fixed message; `fields` names the fields at fault,
`metadata` carries numbers and names for programs. No error ever holds a secret, request bytes or a message object.
Foreign exceptions are turned into these once, at the edge of the package that called the foreign library.
"""

from collections.abc import Mapping
from typing import ClassVar


class VaultError(Exception):
    """Base of all errors of the daemon.

    Args:
        message: Text for a person, instead of the class's own. Never derived from a request or a foreign exception.
        fields: Field name to what is wrong with it.
        metadata: Facts for programs.
    """

    reason: ClassVar[str] = "INTERNAL"
    default: ClassVar[str] = "vaultd met a defect of its own"

    def __init__(
        self,
        message: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or self.default)
        self.message = message or self.default
        self.fields = dict(fields or {})
        self.metadata = dict(metadata or {})

    def to_wire(self) -> dict[str, object]:
        """Returns what crosses the link and the unlock socket."""
        return {"reason": self.reason, "message": self.message, "fields": self.fields, "metadata": self.metadata}


class InternalError(VaultError):
    """A defect of the daemon; the message holds no detail."""

    reason = "INTERNAL"
    default = "vaultd met a defect of its own"


class VaultUninitializedError(VaultError):
    """The vault was never initialized."""

    reason = "VAULT_UNINITIALIZED"
    default = "the vault was never initialized"


class VaultInitializedError(VaultError):
    """The vault was initialized already."""

    reason = "VAULT_INITIALIZED"
    default = "the vault is initialized already"


class VaultLockedError(VaultError):
    """The vault is locked."""

    reason = "VAULT_LOCKED"
    default = "the vault is locked"


class KeyholderUnavailableError(VaultError):
    """The keyholder is starting or has just died; try again."""

    reason = "KEYHOLDER_UNAVAILABLE"
    default = "the keyholder is not there; try again"


class RequestRefusedError(VaultError):
    """The request is not from an allowlisted client. One reason for every authentication failure."""

    reason = "REQUEST_REFUSED"
    default = "request refused"


class PermissionDeniedError(VaultError):
    """The client is known, but no grant or permission allows this. Also returned where the resource does not exist."""

    reason = "PERMISSION_DENIED"
    default = "no grant or permission allows this"


class RateLimitedError(VaultError):
    """The client or grant has used up its rate."""

    reason = "RATE_LIMITED"
    default = "the rate is used up"


class RecordInvalidError(VaultError):
    """One or more fields are missing, unknown or malformed; `google.rpc.BadRequest` names each."""

    reason = "RECORD_INVALID"
    default = "Invalid parameters"


class RequestTooLargeError(VaultError):
    """The request is larger than a limit."""

    reason = "REQUEST_TOO_LARGE"
    default = "the request is too large"


class KindNotFoundError(VaultError):
    """No such kind in the catalogue."""

    reason = "KIND_NOT_FOUND"
    default = "no such kind of exchange"


class ExchangeNotFoundError(VaultError):
    """No such exchange."""

    reason = "EXCHANGE_NOT_FOUND"
    default = "no such exchange"


class ExchangeExistsError(VaultError):
    """An exchange of that name exists."""

    reason = "EXCHANGE_EXISTS"
    default = "an exchange of that name exists"


class ExchangeNotActiveError(VaultError):
    """The exchange is disabled or revoked."""

    reason = "EXCHANGE_NOT_ACTIVE"
    default = "the exchange is not active"


class CredentialNotFoundError(VaultError):
    """The configuration has no credential in a usable state."""

    reason = "CREDENTIAL_NOT_FOUND"
    default = "no usable credential there"


class ClientNotFoundError(VaultError):
    """No such client."""

    reason = "CLIENT_NOT_FOUND"
    default = "no such client"


class ClientExistsError(VaultError):
    """A client of that name or key exists."""

    reason = "CLIENT_EXISTS"
    default = "a client of that name or key exists"


class GrantNotFoundError(VaultError):
    """No such grant."""

    reason = "GRANT_NOT_FOUND"
    default = "no such grant"


class LastAdministratorError(VaultError):
    """The last client with every permission cannot be disabled, revoked, stripped of one or moved to another user."""

    reason = "LAST_ADMINISTRATOR"
    default = "the last administrator must stay"


class EtagMismatchError(VaultError):
    """The etag is not that of the stored resource."""

    reason = "ETAG_MISMATCH"
    default = "it was changed meanwhile"


class StoreFullError(VaultError):
    """The disk is full."""

    reason = "STORE_FULL"
    default = "the disk is full"


class StoreUnavailableError(VaultError):
    """The store cannot be read or written."""

    reason = "STORE_UNAVAILABLE"
    default = "the store cannot be read or written"


class StoreDamagedError(VaultError):
    """The store was changed by something other than vaultd, or is damaged."""

    reason = "STORE_DAMAGED"
    default = "the store was changed by something other than vaultd, or is damaged"


class StoreRolledBackError(VaultError):
    """The store is older than its anchor."""

    reason = "STORE_ROLLED_BACK"
    default = "the store is older than its anchor"


class StoreTooNewError(VaultError):
    """The store was written by a newer vaultd."""

    reason = "STORE_TOO_NEW"
    default = "the store was written by a newer vaultd"


class StoreInUseError(VaultError):
    """Another process has the store open."""

    reason = "STORE_IN_USE"
    default = "another process has the store open"


class WrongPassphraseError(VaultError):
    """The passphrase, recovery code or machine key opens no key slot."""

    reason = "WRONG_PASSPHRASE"
    default = "wrong passphrase"


class UnlockDelayedError(VaultError):
    """Too many wrong passphrases; metadata `retry_after_ms` says how long to wait."""

    reason = "UNLOCK_DELAYED"
    default = "too many wrong passphrases"


class UnlockBusyError(VaultError):
    """Another unlock is being tried."""

    reason = "UNLOCK_BUSY"
    default = "another unlock is being tried"


class KdfOutOfBoundsError(VaultError):
    """Key derivation parameters are outside the bounds."""

    reason = "KDF_OUT_OF_BOUNDS"
    default = "key derivation parameters are outside the bounds"


class OutOfMemoryError(VaultError):
    """Not enough memory for Argon2id."""

    reason = "OUT_OF_MEMORY"
    default = "not enough memory"


class SlotNotFoundError(VaultError):
    """No such key slot."""

    reason = "SLOT_NOT_FOUND"
    default = "no such key slot"


class LastSlotError(VaultError):
    """The last human key slot cannot be removed."""

    reason = "LAST_SLOT"
    default = "the last human key slot cannot be removed"


class SocketOccupiedError(VaultError):
    """A socket path is occupied by something else."""

    reason = "SOCKET_OCCUPIED"
    default = "the socket path is occupied"


class ConfigInvalidError(VaultError):
    """The configuration file or an environment variable is wrong."""

    reason = "CONFIG_INVALID"
    default = "the configuration is wrong"


class ProtocolViolationError(VaultError):
    """A link or unlock message does not follow the protocol."""

    reason = "PROTOCOL_VIOLATION"
    default = "the message does not follow the protocol"


class BackupNotFoundError(VaultError):
    """That copy of the store is not there to be read: it was read whole, or waited too long."""

    reason = "BACKUP_NOT_FOUND"
    default = "that copy of the store is not there: it was read whole, or waited too long"


class BackupInvalidError(VaultError):
    """The file is not a whole backup of vaultd."""

    reason = "BACKUP_INVALID"
    default = "the file is not a whole backup of vaultd"


class RestoreRefusedError(VaultError):
    """The restore would replace what is newer, or another vault."""

    reason = "RESTORE_REFUSED"
    default = "the restore would replace what is newer"


OUT_OF_ORDER = "out_of_order"
"""Metadata of STORE_UNAVAILABLE: the change was not built on the generation that the store holds."""

BY_REASON: dict[str, type[VaultError]] = {kind.reason: kind for kind in VaultError.__subclasses__()}


def from_wire(wire: Mapping[str, object]) -> VaultError:
    """Builds the error that `to_wire` took apart; an unknown or malformed one becomes InternalError."""
    kind = BY_REASON.get(str(wire.get("reason")), InternalError)
    fields, metadata = wire.get("fields"), wire.get("metadata")
    return kind(
        str(wire.get("message") or ""),
        fields={str(key): str(value) for key, value in fields.items()} if isinstance(fields, dict) else None,
        metadata={str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else None,
    )
