"""What signed requests read of the audit."""

from vaultd import limits, messages
from vaultd.crypto import integrity
from vaultd.errors import ExchangeNotFoundError, RecordInvalidError
from vaultd.keyholder import exchanges
from vaultd.keyholder.calls import Caller
from vaultd.keyholder.loop import Ask, Task
from vaultd.keyholder.vault import Keyholder, Unlocked
from vaultd.model import AuditRow
from vaultd_api.v1 import audit_service_pb2 as pb


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
    wanted = {
        "before": int(token or 0),
        "limit": size + 1,
        "client": request.client,
        "exchange": exchange,
        "decision": request.decision,
    }
    holder.calls.denials.write_first()
    rows = [AuditRow.of(values) for values in (yield Ask("audit-before", wanted))]
    answer = pb.ListAuditEntriesResponse(entries=[messages.audit_entry(row) for row in rows[:size]])
    if len(rows) > size:
        answer.next_page_token = messages.page_token(str(rows[size - 1].sequence))
    return answer


def verify(holder: Keyholder, unlocked: Unlocked, caller: Caller, request: pb.VerifyAuditRequest) -> Task:  # noqa: ARG001  one shape for the table
    """Walks the chain from its first entry to the head that the keyholder holds."""
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
