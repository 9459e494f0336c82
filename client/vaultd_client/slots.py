"""What the keyholder answers at the unlock socket, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vaultd_client.errors import InternalError, VaultClientError, error_for
from vaultd_client.keys import Pin


@dataclass(frozen=True, slots=True)
class Reply:
    """A result object, read with types: every method raises InternalError where the keyholder sent something else."""

    values: Mapping[str, Any]

    @classmethod
    def of(cls, document: object) -> "Reply":
        """Wraps a parsed JSON document."""
        if not isinstance(document, dict):
            raise _violation()
        return cls(document)

    def error(self) -> VaultClientError | None:
        """Returns the error that the keyholder answered with, if it did."""
        if "error" not in self.values:
            return None
        told = Reply.of(self.values["error"])
        fields, metadata = told.texts("fields"), told.texts("metadata")
        return error_for(told.text("reason"), told.text("message"), fields=fields, metadata=metadata)

    def number(self, name: str) -> int:
        """Returns a whole number of 0 or more."""
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _violation()
        return value

    def text(self, name: str) -> str:
        """Returns a text."""
        value = self.values.get(name)
        if not isinstance(value, str):
            raise _violation()
        return value

    def truth(self, name: str) -> bool:
        """Returns true or false."""
        value = self.values.get(name)
        if not isinstance(value, bool):
            raise _violation()
        return value

    def texts(self, name: str) -> dict[str, str]:
        """Returns an object of texts and numbers, the numbers as text; empty where there is none."""
        value = self.values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(each, str | int) for each in value.values()):
            raise _violation()
        return {str(key): str(each) for key, each in value.items()}

    def pin(self) -> Pin:
        """Returns `vault_id` and `identity`."""
        try:
            return Pin(bytes.fromhex(self.text("vault_id")), bytes.fromhex(self.text("identity")))
        except ValueError:
            raise _violation() from None

    def slots(self) -> "tuple[Slot, ...]":
        """Returns the list of key slots."""
        value = self.values.get("slots")
        if not isinstance(value, list):
            raise _violation()
        return tuple(Slot.of(Reply.of(each)) for each in value)


@dataclass(frozen=True, slots=True)
class KdfParameters:
    """Cost of a passphrase slot (Argon2id, RFC 9106); memory in KiB."""

    memory_kib: int
    passes: int
    lanes: int

    def to_header(self) -> dict[str, int]:
        """Returns what a request's header carries."""
        return {"memory_kib": self.memory_kib, "passes": self.passes, "lanes": self.lanes}


@dataclass(frozen=True, slots=True)
class UnlockStatus:
    """State of the vault at the unlock socket.

    `state` is UNINITIALIZED, LOCKED or UNLOCKED; `retry_after_ms` is 0 where an attempt is welcome; `failures` counts
    wrong ones since the last right one; `busy` is true while another unlock is tried; `pid` is the keyholder's.
    """

    state: str
    retry_after_ms: int
    failures: int
    busy: bool
    pid: int

    @classmethod
    def of(cls, reply: Reply) -> "UnlockStatus":
        """Reads the result of `status`."""
        return cls(
            state=reply.text("state"),
            retry_after_ms=reply.number("retry_after_ms"),
            failures=reply.number("failures"),
            busy=reply.truth("busy"),
            pid=reply.number("pid"),
        )


@dataclass(frozen=True, slots=True)
class Unlocked:
    """What an unlock found.

    Args:
        pin: Id and identity of the vault; compare it with the one in a key file.
        generation: Number of the last change.
        time_ms: The vault's time at the unlock, milliseconds since the epoch.
        integrity: Short text that names the state of the store that was checked.
        exchanges: How many there are.
        clients: How many there are.
        slot: The slot that was opened.
        upgraded: True where the slot's cost was raised.
        restored: True where this is the first unlock after the restore of a backup, or of an older store by hand.
        suspended: How many grants and clients that suspended, until they are confirmed.
    """

    pin: Pin
    generation: int
    time_ms: int
    integrity: str
    exchanges: int
    clients: int
    slot: int
    upgraded: bool
    restored: bool = False
    suspended: int = 0

    @classmethod
    def of(cls, reply: Reply) -> "Unlocked":
        """Reads the result of `unlock`."""
        return cls(
            pin=reply.pin(),
            generation=reply.number("generation"),
            time_ms=reply.number("time_ms"),
            integrity=reply.text("integrity"),
            exchanges=reply.number("exchanges"),
            clients=reply.number("clients"),
            slot=reply.number("slot"),
            upgraded=reply.truth("upgraded"),
            restored=reply.truth("restored"),
            suspended=reply.number("suspended"),
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of every record found: counts. `key_pairs` were decrypted; `without_key` have none left."""

    exchanges: int
    key_pairs: int
    without_key: int
    clients: int
    grants: int
    audit_entries: int
    generation: int

    @classmethod
    def of(cls, reply: Reply) -> "Checked":
        """Reads the result of `records-check`."""
        return cls(**{name: reply.number(name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Slot:
    """One way to unlock. A machine slot has no cost: memory, passes and lanes are 0."""

    slot: int
    kind: str
    label: str
    memory_kib: int
    passes: int
    lanes: int
    created_at: datetime

    @classmethod
    def of(cls, reply: Reply) -> "Slot":
        """Reads one element of `slots`."""
        return cls(
            slot=reply.number("slot"),
            kind=reply.text("kind"),
            label=reply.text("label"),
            memory_kib=reply.number("memory_kib"),
            passes=reply.number("passes"),
            lanes=reply.number("lanes"),
            created_at=_moment(reply.number("created_ms")),
        )


def _moment(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise _violation() from None


def _violation() -> InternalError:
    return InternalError("the keyholder's answer does not follow the protocol", reason="PROTOCOL_VIOLATION")
