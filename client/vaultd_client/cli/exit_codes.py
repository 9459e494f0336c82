"""Exit codes of `vaultctl`: what a script may rely on. `vaultctl --help` ends with this table.

`BY_REASON` maps every reason of `proto/vaultd/v1/errors.proto`, and the library's own, to one code.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Status with which `vaultctl` ends. The numbers never change; new ones are added at the end."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOT_RUNNING = 3
    LOCKED = 4
    UNINITIALIZED = 5
    REFUSED = 6
    INVALID = 7
    NOT_FOUND = 8
    CONFLICT = 9
    WRONG_PASSPHRASE = 10
    STORE = 11
    WRONG_VAULT = 12
    TIMED_OUT = 13
    NOT_ASKED = 14
    UNHEALTHY = 15
    NOT_EXECUTABLE = 126
    NO_COMMAND = 127
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "internal error, or the result cannot be written",
    ExitCode.USAGE: "wrong usage of the command line",
    ExitCode.NOT_RUNNING: "vaultd is not running",
    ExitCode.LOCKED: "the vault is locked",
    ExitCode.UNINITIALIZED: "the vault was never initialized",
    ExitCode.REFUSED: "refused: unknown client, no grant, no permission, or rate used up",
    ExitCode.INVALID: "invalid: a field, key or key file is missing, unknown, malformed, refused or too large",
    ExitCode.NOT_FOUND: "not found",
    ExitCode.CONFLICT: "conflict: it exists, was changed meanwhile, is not active, or is the last one",
    ExitCode.WRONG_PASSPHRASE: "wrong passphrase, or too many of them and the wait is not over",
    ExitCode.STORE: "the store, the audit or memory: damaged, full, rolled back, in use or unreadable",
    ExitCode.WRONG_VAULT: "who answers is not the vault that the key file pins, or may not hear a secret",
    ExitCode.TIMED_OUT: "timed out",
    ExitCode.NOT_ASKED: "the exchange was not reached, or did not judge the key",
    ExitCode.UNHEALTHY: "vaultctl doctor found an error",
    ExitCode.NOT_EXECUTABLE: "run: the command cannot be executed; otherwise run ends as the command ends",
    ExitCode.NO_COMMAND: "run: the command is not there",
    ExitCode.INTERRUPTED: "interrupted, or not confirmed",
}

BY_REASON: dict[str, ExitCode] = {
    "UNSPECIFIED": ExitCode.INTERNAL,
    "INTERNAL": ExitCode.INTERNAL,
    "PROTOCOL_VIOLATION": ExitCode.INTERNAL,
    "NOT_RUNNING": ExitCode.NOT_RUNNING,
    "KEYHOLDER_UNAVAILABLE": ExitCode.NOT_RUNNING,
    "VAULT_LOCKED": ExitCode.LOCKED,
    "VAULT_UNINITIALIZED": ExitCode.UNINITIALIZED,
    "REQUEST_REFUSED": ExitCode.REFUSED,
    "PERMISSION_DENIED": ExitCode.REFUSED,
    "RATE_LIMITED": ExitCode.REFUSED,
    "RECORD_INVALID": ExitCode.INVALID,
    "REQUEST_TOO_LARGE": ExitCode.INVALID,
    "KDF_OUT_OF_BOUNDS": ExitCode.INVALID,
    "CONFIG_INVALID": ExitCode.INVALID,
    "BACKUP_INVALID": ExitCode.INVALID,
    "KEY_FILE": ExitCode.INVALID,
    "UNSUPPORTED": ExitCode.INVALID,
    "NOT_INSTALLED": ExitCode.INVALID,
    "KIND_NOT_FOUND": ExitCode.NOT_FOUND,
    "EXCHANGE_NOT_FOUND": ExitCode.NOT_FOUND,
    "CREDENTIAL_NOT_FOUND": ExitCode.NOT_FOUND,
    "CLIENT_NOT_FOUND": ExitCode.NOT_FOUND,
    "GRANT_NOT_FOUND": ExitCode.NOT_FOUND,
    "SLOT_NOT_FOUND": ExitCode.NOT_FOUND,
    "BACKUP_NOT_FOUND": ExitCode.NOT_FOUND,
    "VAULT_INITIALIZED": ExitCode.CONFLICT,
    "EXCHANGE_EXISTS": ExitCode.CONFLICT,
    "EXCHANGE_NOT_ACTIVE": ExitCode.CONFLICT,
    "CLIENT_EXISTS": ExitCode.CONFLICT,
    "LAST_ADMINISTRATOR": ExitCode.CONFLICT,
    "LAST_SLOT": ExitCode.CONFLICT,
    "ETAG_MISMATCH": ExitCode.CONFLICT,
    "UNLOCK_BUSY": ExitCode.CONFLICT,
    "SOCKET_OCCUPIED": ExitCode.CONFLICT,
    "RESTORE_REFUSED": ExitCode.CONFLICT,
    "WRONG_PASSPHRASE": ExitCode.WRONG_PASSPHRASE,
    "UNLOCK_DELAYED": ExitCode.WRONG_PASSPHRASE,
    "STORE_FULL": ExitCode.STORE,
    "STORE_UNAVAILABLE": ExitCode.STORE,
    "STORE_DAMAGED": ExitCode.STORE,
    "STORE_ROLLED_BACK": ExitCode.STORE,
    "STORE_TOO_NEW": ExitCode.STORE,
    "STORE_IN_USE": ExitCode.STORE,
    "OUT_OF_MEMORY": ExitCode.STORE,
    "UNTRUSTED_VAULT": ExitCode.WRONG_VAULT,
    "TIMED_OUT": ExitCode.TIMED_OUT,
}


def exit_code(reason: str) -> ExitCode:
    """Returns the exit code of an error's reason; a reason of a newer daemon is INTERNAL."""
    return BY_REASON.get(reason, ExitCode.INTERNAL)


def epilog() -> str:
    """Returns the table of exit codes that ends `vaultctl --help`."""
    return "\n".join(["\b", "Exit codes:", *(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())])
