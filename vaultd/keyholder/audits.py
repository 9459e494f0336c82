"""What signed requests read of the audit."""

from dataclasses import asdict, dataclass

from vaultd import limits, messages
from vaultd.crypto import integrity
from vaultd.errors import ExchangeNotFoundError, RecordInvalidError, StoreDamagedError
from vaultd.keyholder import exchanges
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.loop import Ask, Task
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import AuditRow
from vaultd_api.v1 import audit_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Wanted:
    """Entries with a sequence below `before`, 0 for no bound; an empty filter matches all."""

    before: int
    limit: int
    client: str = ""
    exchange: str = ""
    decision: str = ""


def newest(holder: Keyholder, unlocked: Unlocked, wanted: Wanted) -> Task:
    """Returns entries, newest first.

    Threat: the server makes up or edits what an administrator is shown, and the keyholder signs it. Measure: every
    entry has its MAC, which the keyholder alone can make, and is what was asked for. Limit: the server can leave
    entries out; only `verify`, which walks the whole chain, finds a gap.

    Raises:
        StoreDamagedError: An entry was changed, or is not one that was asked for.
    """
    holder.calls.denials.write_first()
    found = yield Ask("audit-before", asdict(wanted))
    rows: list[AuditRow] = []
    bound = wanted.before or unlocked.ledger.generation + 1
    for values, previous in found:
        row = AuditRow.of(values)
        if row.sequence == 1:
            previous = integrity.first_audit_head(unlocked.vault.vault_id)  # noqa: PLW2901  there is none before it
        if not unlocked.ledger.check_entry(previous, row):
            raise StoreDamagedError(
                f"entry {row.sequence} of the audit, or the one before it, was changed outside vaultd", metadata={"sequence": str(row.sequence)}
            )
        filters = ((wanted.client, row.client), (wanted.exchange, row.exchange), (wanted.decision, row.decision))
        if row.sequence >= bound or any(want and want != has for want, has in filters):
            raise StoreDamagedError("the server handed in entries of the audit that were not asked for")
        bound = row.sequence
        rows.append(row)
    return rows


def list_entries(
    holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.ListAuditEntriesRequest  # noqa: ARG001  one shape for the table
) -> Task:
    """Lists entries, newest first."""
    if request.decision not in ("", "allow", "deny"):
        raise RecordInvalidError(fields={"decision": "must be allow or deny"})
    size = messages.page_size(request.page_size, limits.DEFAULT_PAGE, limits.MAX_AUDIT_PAGE)
    token = messages.page_after(request.page_token)
    if token and not (token.isascii() and token.isdigit() and len(token) < 19):
        raise RecordInvalidError(fields={"page_token": "is not one that a list returned"})
    exchange = messages.reference(request.exchange, "exchanges")
    if exchange:
        try:
            exchange = (yield from exchanges.find(holder, unlocked, exchange)).exchange
        except ExchangeNotFoundError:
            pass  # A deleted exchange has entries still, under its id.
    wanted = Wanted(int(token or 0), size + 1, request.client, exchange, request.decision)
    rows = yield from newest(holder, unlocked, wanted)
    answer = pb.ListAuditEntriesResponse(entries=[messages.audit_entry(row) for row in rows[:size]])
    if len(rows) > size:
        answer.next_page_token = messages.page_token(str(rows[size - 1].sequence))
    return answer


def verify(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.VerifyAuditRequest) -> Task:  # noqa: ARG001  one shape for the table
    """Walks the chain from its first entry to the head that the keyholder holds."""
    return (yield from walk(unlocked))


def walk(unlocked: Unlocked) -> Task:
    """Walks the chain from its first entry to the head; returns a VerifyAuditResponse."""
    last, head = unlocked.ledger.generation, unlocked.ledger.head
    previous = integrity.first_audit_head(unlocked.vault.vault_id)
    checked = 0
    while checked < last:
        rows = [AuditRow.of(values) for values in (yield Ask("audit-after", checked))]
        if not rows:
            return _bad(checked, checked + 1, "the entry is missing")
        for row in rows:
            if row.sequence != checked + 1:
                return _bad(checked, checked + 1, "the entry is missing")
            # Not one ledger for the whole walk: a new master key brings a new one, and takes the keys of the old.
            if not unlocked.ledger.check_entry(previous, row):
                return _bad(checked, row.sequence, "the entry was changed, or the one before it was")
            previous = row.mac
            checked += 1
            if checked == last and not integrity.same(previous, head):
                return _bad(checked, row.sequence, "the chain does not end where it should")
            if checked == last:
                break
    return pb.VerifyAuditResponse(checked=checked)


def _bad(checked: int, sequence: int, detail: str) -> pb.VerifyAuditResponse:
    return pb.VerifyAuditResponse(checked=checked, first_bad=sequence, detail=detail)
