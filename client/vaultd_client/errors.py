"""The error tree of the client library.

Every error has a `reason` (proto/vaultd/v1/errors.proto, or one of the library's own below), a message for a person,
and a `hint`: what to type next. `BY_REASON` is the one place that says which reason is which class.

No error holds a secret, request bytes or the text of a foreign exception.
"""

from collections.abc import Mapping
from typing import ClassVar


class VaultClientError(Exception):
    """Base of all errors of this library.

    Args:
        message: Text for a person.
        reason: Word for programs; the class's own when empty.
        fields: Field name to what is wrong with it.
        metadata: Facts for programs.
        hint: What to type next; the one of the reason when empty.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.fields = dict(fields or {})
        self.metadata = dict(metadata or {})
        self.hint = hint or HINTS.get(self.reason) or HINTS[self.default_reason]

    @property
    def hint(self) -> str:
        """What to type next. A traceback ends with it, as a note of PEP 678."""
        return self._hint

    @hint.setter
    def hint(self, text: str) -> None:
        self._hint = text
        self.__notes__ = [f"hint: {text}"]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r}, reason={self.reason!r})"

    def __str__(self) -> str:
        return "; ".join([self.message, *(f"{name}: {text}" for name, text in self.fields.items())])


class NotRunningError(VaultClientError):
    """Nobody answers at the socket, or the keyholder is just being replaced."""

    default_reason = "NOT_RUNNING"


class LockedError(VaultClientError):
    """The vault is locked."""

    default_reason = "VAULT_LOCKED"


class UninitializedError(VaultClientError):
    """The vault was never initialized."""

    default_reason = "VAULT_UNINITIALIZED"


class RefusedError(VaultClientError):
    """The vault knows no such client, or nothing allows it this."""

    default_reason = "PERMISSION_DENIED"


class RateLimitedError(RefusedError):
    """The client, the grant or the host has used up its rate."""

    default_reason = "RATE_LIMITED"


class NotFoundError(VaultClientError):
    """No such kind, exchange, credential, client, grant or key slot."""

    default_reason = "EXCHANGE_NOT_FOUND"


class ExistsError(VaultClientError):
    """It exists already."""

    default_reason = "EXCHANGE_EXISTS"


class InvalidError(VaultClientError):
    """Something handed over is missing, unknown, malformed or too large; `fields` names it."""

    default_reason = "RECORD_INVALID"


class ConflictError(VaultClientError):
    """The state of the vault forbids it: changed meanwhile, not active, busy, or the last one."""

    default_reason = "ETAG_MISMATCH"


class UnlockError(VaultClientError):
    """The passphrase, recovery code or machine key opens no key slot."""

    default_reason = "WRONG_PASSPHRASE"

    @property
    def retry_after_ms(self) -> int:
        """Milliseconds to wait before the next attempt is considered; 0 where the daemon did not say."""
        text = self.metadata.get("retry_after_ms", "")
        return int(text) if text.isascii() and text.isdigit() else 0


class UnlockDelayedError(UnlockError):
    """Too many wrong passphrases, and the wait is not over."""

    default_reason = "UNLOCK_DELAYED"


class StoreError(VaultClientError):
    """The daemon's disk or memory: full, damaged, rolled back, in use, unreadable, or not enough of it."""

    default_reason = "STORE_UNAVAILABLE"


class UntrustedVaultError(VaultClientError):
    """Who answers is not the vault that the key file pins, or not allowed to hear a secret."""

    default_reason = "UNTRUSTED_VAULT"


class KeyFileError(VaultClientError):
    """The key file is missing, broken, readable by others, or pins no vault."""

    default_reason = "KEY_FILE"


class UnsupportedError(VaultClientError):
    """The library that should use the key cannot: it is not installed, or does not know the kind or environment."""

    default_reason = "UNSUPPORTED"


class TimedOutError(VaultClientError):
    """No answer in time. Whether the daemon did it is unknown."""

    default_reason = "TIMED_OUT"


class InternalError(VaultClientError):
    """A defect of the daemon or of this library."""

    default_reason = "INTERNAL"


BY_REASON: dict[str, type[VaultClientError]] = {
    "UNSPECIFIED": InternalError,
    "INTERNAL": InternalError,
    "VAULT_UNINITIALIZED": UninitializedError,
    "VAULT_INITIALIZED": ExistsError,
    "VAULT_LOCKED": LockedError,
    "KEYHOLDER_UNAVAILABLE": NotRunningError,
    "REQUEST_REFUSED": RefusedError,
    "PERMISSION_DENIED": RefusedError,
    "RATE_LIMITED": RateLimitedError,
    "RECORD_INVALID": InvalidError,
    "REQUEST_TOO_LARGE": InvalidError,
    "KIND_NOT_FOUND": NotFoundError,
    "EXCHANGE_NOT_FOUND": NotFoundError,
    "EXCHANGE_EXISTS": ExistsError,
    "EXCHANGE_NOT_ACTIVE": ConflictError,
    "CREDENTIAL_NOT_FOUND": NotFoundError,
    "CLIENT_NOT_FOUND": NotFoundError,
    "CLIENT_EXISTS": ExistsError,
    "GRANT_NOT_FOUND": NotFoundError,
    "LAST_ADMINISTRATOR": ConflictError,
    "ETAG_MISMATCH": ConflictError,
    "STORE_FULL": StoreError,
    "STORE_UNAVAILABLE": StoreError,
    "STORE_DAMAGED": StoreError,
    "STORE_ROLLED_BACK": StoreError,
    "STORE_TOO_NEW": StoreError,
    "STORE_IN_USE": StoreError,
    "WRONG_PASSPHRASE": UnlockError,
    "UNLOCK_DELAYED": UnlockDelayedError,
    "UNLOCK_BUSY": ConflictError,
    "KDF_OUT_OF_BOUNDS": InvalidError,
    "OUT_OF_MEMORY": StoreError,
    "SLOT_NOT_FOUND": NotFoundError,
    "LAST_SLOT": ConflictError,
    "SOCKET_OCCUPIED": ConflictError,
    "CONFIG_INVALID": InvalidError,
    "PROTOCOL_VIOLATION": InternalError,
    "BACKUP_NOT_FOUND": NotFoundError,
    "BACKUP_INVALID": InvalidError,
    "RESTORE_REFUSED": ConflictError,
    # the library's own
    "NOT_RUNNING": NotRunningError,
    "UNTRUSTED_VAULT": UntrustedVaultError,
    "KEY_FILE": KeyFileError,
    "TIMED_OUT": TimedOutError,
    "UNSUPPORTED": UnsupportedError,
    "NOT_INSTALLED": UnsupportedError,
}
"""Every reason of errors.proto without its prefix, then those that only this library raises."""

HINTS: dict[str, str] = {
    "UNSPECIFIED": "look at the daemon's log, then: vaultctl status",
    "INTERNAL": "look at the daemon's log, then: vaultctl status",
    "VAULT_UNINITIALIZED": "vaultctl init",
    "VAULT_INITIALIZED": "vaultctl status",
    "VAULT_LOCKED": "vaultctl unlock",
    "KEYHOLDER_UNAVAILABLE": "try again; if it stays so: vaultctl status",
    "REQUEST_REFUSED": "ask an administrator to look at: vaultctl audit show, vaultctl client list",
    "PERMISSION_DENIED": "ask an administrator: vaultctl client why CLIENT EXCHANGE CONFIGURATION",
    "RATE_LIMITED": "wait, or ask an administrator for a higher rate: vaultctl client grant",
    "RECORD_INVALID": "correct what is named and try again; fields of a kind: vaultctl kinds show KIND",
    "REQUEST_TOO_LARGE": "shorten what you hand over and try again",
    "KIND_NOT_FOUND": "vaultctl kinds list",
    "EXCHANGE_NOT_FOUND": "vaultctl exchange list",
    "EXCHANGE_EXISTS": "choose another name; taken ones: vaultctl exchange list",
    "EXCHANGE_NOT_ACTIVE": "vaultctl exchange show EXCHANGE",
    "CREDENTIAL_NOT_FOUND": "vaultctl exchange show EXCHANGE",
    "CLIENT_NOT_FOUND": "vaultctl client list",
    "CLIENT_EXISTS": "choose another name or make another key: vaultctl client list, vaultctl client keygen",
    "GRANT_NOT_FOUND": "vaultctl client list",
    "LAST_ADMINISTRATOR": "allow another administrator first: vaultctl client allow",
    "ETAG_MISMATCH": "look at it again, then repeat the change: vaultctl exchange show EXCHANGE",
    "STORE_FULL": "free some space on the disk of the store and try again",
    "STORE_UNAVAILABLE": "look at the daemon's log, then: vaultctl status",
    "STORE_DAMAGED": "restore a backup: vaultctl backup restore FILE --replace-vault; what is known: vaultctl status",
    "STORE_ROLLED_BACK": "if you put an older store back by hand: vaultctl unlock --accept-rollback; backups: vaultctl backup restore FILE",
    "STORE_TOO_NEW": "start the vaultd that wrote the store, or a newer one",
    "STORE_IN_USE": "stop the other vaultd first",
    "WRONG_PASSPHRASE": "vaultctl unlock",
    "UNLOCK_DELAYED": "wait, then: vaultctl unlock",
    "UNLOCK_BUSY": "wait for the other unlock to end, then: vaultctl status",
    "KDF_OUT_OF_BOUNDS": "choose at least 64 MiB and 3 passes, at most 1 GiB and 10 passes",
    "OUT_OF_MEMORY": "free some memory and try again",
    "SLOT_NOT_FOUND": "vaultctl slot list",
    "LAST_SLOT": "add another passphrase or recovery slot first: vaultctl slot add",
    "SOCKET_OCCUPIED": "remove what is at the path, or set VAULTD_RUNTIME_DIR to another directory",
    "CONFIG_INVALID": "correct the setting that is named",
    "BACKUP_NOT_FOUND": "begin it again: vaultctl backup FILE",
    "BACKUP_INVALID": "take another backup; look into it with: vaultctl backup verify FILE",
    "RESTORE_REFUSED": "vaultctl backup restore --help names the flag that does it all the same",
    "PROTOCOL_VIOLATION": "install the same version of vaultd and vaultd-client",
    "NOT_RUNNING": "start it with: vaultd; as a service: sudo systemctl start vaultd",
    "UNTRUSTED_VAULT": "find out who answers at the socket before you go on: vaultctl status",
    "KEY_FILE": "vaultctl client keygen",
    "TIMED_OUT": "vaultctl status",
    "UNSUPPORTED": "take the fields themselves: vaultctl reveal, or VaultClient.reveal",
    "NOT_INSTALLED": "pip install 'vaultd-client[ccxt]'",
}
"""What to type next, for every reason."""


def invalid(fields: Mapping[str, str], *, hint: str = "") -> InvalidError:
    """Returns the error for fields, each with what is wrong with it; the caller raises it."""
    return InvalidError("Invalid parameters", fields=fields, hint=hint)


def error_for(
    reason: str,
    message: str,
    *,
    fields: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> VaultClientError:
    """Builds the error of a reason; a reason of a newer daemon becomes InternalError and keeps its name."""
    kind = BY_REASON.get(reason, InternalError)
    return kind(message, reason=reason, fields=fields, metadata=metadata)
