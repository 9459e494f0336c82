"""Writes what was planned: each entry is one transaction of the vault, and is in the record as soon as it is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vaultd_client.cli.exit_codes import ExitCode, exit_code
from vaultd_client.cli.import_plan import Item, Status, is_connected, store
from vaultd_client.client import VaultClient
from vaultd_client.errors import ExistsError, InvalidError, TimedOutError, VaultClientError
from vaultd_client.imports.record import Made, Record


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why an import ended before its last entry."""

    reason: str
    message: str
    hint: str
    code: ExitCode

    def document(self) -> dict[str, Any]:
        """Returns it as `--json` prints an error."""
        return {"error": self.reason, "error_description": self.message, "error_attributes": {}, "hint": self.hint}


def write(client: VaultClient, items: Sequence[Item], record: Record) -> Stopped | None:
    """Stores the items one after the other and says of each what became of it.

    Returns:
        Why it ended early; None where every item was tried.
    """
    stopped = None
    for item in items:
        try:
            record.pending = item.name
            record.save()  # before, so that what is stored is never without a trace
        except (InvalidError, KeyboardInterrupt) as error:
            record.pending = ""
            stopped = _stopped(error)
            break
        stopped = _store(client, item, record)
        if stopped:
            break
    for item in items:
        if item.status is Status.NEW:
            item.status = Status.NOT_TRIED
    try:
        if record.made or record.pending:
            record.save()
        else:
            record.forget()
    except InvalidError as error:
        return stopped or _stopped(error)
    return stopped


def _store(client: VaultClient, item: Item, record: Record) -> Stopped | None:
    try:
        item.shown, _ = store(client, item)
    except (ExistsError, InvalidError) as error:
        _refuse(item, error)
    except (TimedOutError, KeyboardInterrupt) as error:
        item.status, item.why = Status.UNKNOWN, f"look: vaultctl exchange show '{item.name}'"
        return _stopped(error)  # it stays pending in the record
    except VaultClientError as error:
        record.pending = ""
        return _stopped(error)
    else:
        item.status = Status.IMPORTED
        shown = item.shown
        record.made.append(Made(item.where, shown.id, shown.name, shown.kind, shown.etag))
    record.pending = ""
    return None


def _refuse(item: Item, error: VaultClientError) -> None:
    if isinstance(error, InvalidError) and is_connected(error):
        item.status = Status.CONNECTED
    else:
        item.status, item.why = Status.REFUSED, str(error)


def _stopped(error: BaseException) -> Stopped:
    hint = "what is not in can be imported again: what is in is skipped"
    if isinstance(error, VaultClientError):
        return Stopped(error.reason.lower(), error.message, f"{error.hint}; {hint}", exit_code(error.reason))
    return Stopped("interrupted", "interrupted", hint, ExitCode.INTERRUPTED)
