"""What a client says of a key pair after asking the exchange, as the columns of its row.

The vault believes the client, as it believes it about the key pair itself; it bounds what is stored, and takes the
time from its own clock.
"""

from google.protobuf.timestamp_pb2 import Timestamp

from vaultd import limits
from vaultd.errors import RecordInvalidError
from vaultd.keyholder import records
from vaultd.keyholder.vault import canonical_json
from vaultd.model import RIGHTS, KeyState
from vaultd_api.v1.resources_pb2 import KeyCheck

UNCHECKED = (KeyState.UNKNOWN, "{}")
_LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z, the last that a protobuf time may have."""
_STATES = {KeyCheck.ANSWER_YES: KeyState.OK, KeyCheck.ANSWER_NO: KeyState.INVALID}


def columns(check: KeyCheck, now_ms: int) -> tuple[KeyState, str]:
    """Returns `key_state` and `key_check` of a check that was made now.

    Raises:
        RecordInvalidError: It does not say whether the key works or how that was learned, or contradicts itself.
    """
    if check.works not in _STATES:
        raise RecordInvalidError(fields={"check.works": "must be yes or no"})
    if check.means not in (KeyCheck.MEANS_ENDPOINT, KeyCheck.MEANS_BALANCE):
        raise RecordInvalidError(fields={"check.means": "must be endpoint or balance"})
    problem = records.text(check.problem, "check.problem", limits.MAX_REASON_CHARS)
    if problem and check.works == KeyCheck.ANSWER_YES:
        raise RecordInvalidError(fields={"check.problem": "goes with a key that does not work"})
    expires_ms = moment_ms(check.expires_at, "check.expires_at") if check.HasField("expires_at") else 0
    if expires_ms and check.expires != KeyCheck.ANSWER_YES:
        raise RecordInvalidError(fields={"check.expires": "must be yes where expires_at is given"})
    stored = {name: _word(check, name) for name in RIGHTS}
    means = KeyCheck.Means.Name(check.means).removeprefix("MEANS_")
    told = {"checked_ms": now_ms, "expires_ms": expires_ms, "means": means, "problem": problem}
    return _STATES[check.works], canonical_json({**stored, **told})


def moment_ms(moment: Timestamp, field: str) -> int:
    """Returns a protobuf time in milliseconds since the epoch; the epoch itself means none."""
    if not 0 <= moment.seconds <= _LAST_SECOND or not 0 <= moment.nanos < 1_000_000_000:
        raise RecordInvalidError(fields={field: "must be a time between 1970 and 9999"})
    return moment.seconds * 1000 + moment.nanos // 1_000_000


def _word(check: KeyCheck, name: str) -> str:
    answer = getattr(check, name)
    if answer == KeyCheck.ANSWER_UNSPECIFIED:
        return "UNKNOWN"
    if answer not in KeyCheck.Answer.values():
        raise RecordInvalidError(fields={f"check.{name}": "must be yes, no or unknown"})
    return KeyCheck.Answer.Name(answer).removeprefix("ANSWER_")
