"""The process that asks one exchange about one credential: JSON in on stdin, JSON out on stdout, nothing else.

1. No core, no ptrace; memory is bounded, since an exchange may answer without end.
2. An alarm ends it at the deadline, should the parent be gone.
3. stdout is moved away and replaced with /dev/null, as stderr is, before ccxt is imported: what a library prints is lost.
4. One answer leaves: words of this package's tables, and one time. Never text of the exchange or of an exception.
"""

import json
import os
import resource
import signal
import sys
import time
from typing import Any, Final

from vaultd_client.dumps import forbid_dumps
from vaultd_client.verify.answers import YES, GarbledError, Rights
from vaultd_client.verify.words import PROBLEMS

MEMORY_BYTES: Final = 2 * 1024**3
"""ccxt takes 0.2 GiB of address space; what is larger is an answer that does not end."""
ANSWER_SECONDS: Final = 10.0
"""For one request; a check makes at most four."""


def main() -> None:
    """Entry point."""
    forbid_dumps()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    question = json.load(sys.stdin)
    signal.setitimer(signal.ITIMER_REAL, question["deadline"])
    try:
        found = check(question)
    except Exception:  # noqa: BLE001  its text may quote the credential or the exchange
        found = _problem("broken")
    with os.fdopen(answers, "w", encoding="ascii") as pipe:
        json.dump(found, pipe)


def check(question: dict[str, Any]) -> dict[str, Any]:
    """Returns what the exchange says of a credential: `problem`, or the rights and how they were learned."""
    from vaultd_client.verify.connection import Connection, NoEnvironmentError, NotInCcxtError

    seconds = min(ANSWER_SECONDS, question["deadline"])
    try:
        connection = Connection(
            question["ccxt_id"],
            question["environment"],
            question["switch"],
            question["credential"],
            seconds,
            question["url"],
        )
    except NotInCcxtError:
        return _problem("not-in-ccxt")
    except NoEnvironmentError:
        return _problem("no-environment")
    rights, problem = _from_endpoint(connection, question)
    if rights is not None:
        return _found(rights, "ENDPOINT")
    if problem not in _ASK_FOR_BALANCE:
        return _problem(problem)
    return _from_balance(connection, question["ccxt_id"])


_ASK_FOR_BALANCE: Final = {"", "missing-right", "garbled", "unavailable"}
"""The request is not there, not allowed, or has changed: none of it says that the key does not work."""


def _from_endpoint(connection: Any, question: dict[str, Any]) -> tuple[Rights | None, str]:
    from vaultd_client.verify.venues import ENDPOINTS

    endpoint = ENDPOINTS.get(question["ccxt_id"])
    if endpoint is None:
        return None, ""
    answers: list[Any] = []
    parameters: dict[str, Any] = {}
    try:
        for method in endpoint.calls:
            answers.append(connection.call(method, parameters))
            if endpoint.first_gives and isinstance(answers[0], dict):
                parameters = {endpoint.first_gives: answers[0].get("data")}
        return endpoint.read(answers, question["credential"].get("apiKey", ""), time.time_ns() // 1_000_000), ""
    except GarbledError:
        return None, "garbled"
    except Exception as error:  # noqa: BLE001  ccxt raises what its libraries raise
        return None, _word(connection, question["ccxt_id"], error)


def _from_balance(connection: Any, kind: str) -> dict[str, Any]:
    try:
        if connection.balance():
            return _found(Rights(read=YES), "BALANCE")
    except Exception as error:  # noqa: BLE001  ccxt raises what its libraries raise
        return _problem(_word(connection, kind, error), "BALANCE")
    return _problem("garbled")


def _word(connection: Any, kind: str, error: Exception) -> str:
    from vaultd_client.verify.refusals import problem_of

    return "malformed" if connection.signing else problem_of(kind, error)


def _found(rights: Rights, means: str) -> dict[str, Any]:
    return {"problem": "", "means": means, **{name: getattr(rights, name) for name in Rights.__slots__}}


def _problem(word: str, means: str = "ENDPOINT") -> dict[str, Any]:
    """Returns a problem. Where an exchange refuses for the address, the key is bound to one."""
    rights = {"ip_bound": "YES"} if word == "wrong-address" else {}
    assert word in PROBLEMS, word
    return {"problem": word, "means": means, **rights}


if __name__ == "__main__":
    main()
