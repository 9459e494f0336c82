"""Starts the child that asks an exchange, and believes nothing of its answer but the words of the tables."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from vaultd_client.errors import UnsupportedError
from vaultd_client.key_checks import RIGHTS, KeyCheck
from vaultd_client.verify.answers import Answer
from vaultd_client.verify.words import PROBLEMS, Problem

DEADLINE_SECONDS: Final = 30.0
"""For the whole check: importing ccxt takes one, an answer at most ten (child.py)."""
MAX_ANSWER_BYTES: Final = 4096
_LAST_MS: Final = 253_402_300_799_999
"""The year 9999."""


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """What is asked about. `values` maps the names of ccxt's constructors to plaintext; its repr hides them.

    `ccxt_id` is ccxt's id of the kind, empty where it has none; `switch` the method that switches to the environment.
    """

    ccxt_id: str
    values: Mapping[str, str]
    environment: str = "live"
    switch: str = ""

    def __repr__(self) -> str:
        return f"<Credential {self.ccxt_id} {self.environment}: hidden>"

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        raise TypeError("a credential cannot be pickled or copied")


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it. `check` is what may be recorded; None where the exchange has not judged the key.

    `problem` is a word of `words.PROBLEMS`, empty where the key works.
    """

    check: KeyCheck | None
    problem: str = ""

    @property
    def why(self) -> Problem | None:
        """The problem in words; None where the key works."""
        return PROBLEMS[self.problem] if self.problem else None


def need_ccxt() -> None:
    """Refuses where ccxt is not installed; its reason has the command that installs it as a hint.

    Raises:
        UnsupportedError: It is not.
    """
    if importlib.util.find_spec("ccxt") is None:
        raise UnsupportedError("exchanges are asked through ccxt, which is not installed", reason="NOT_INSTALLED")


def ask(credential: Credential, *, url: str = "", seconds: float = DEADLINE_SECONDS) -> Asked:
    """Asks the exchange of a credential what it may do.

    Args:
        credential: It travels over a pipe to a child of this process.
        url: An address of this host that stands in for the exchange, in tests; see `cli/verify_options.py`.
        seconds: After that the child is killed.

    Raises:
        UnsupportedError: The extra `ccxt` of vaultd-client is not installed.
    """
    need_ccxt()
    question = {
        "ccxt_id": credential.ccxt_id,
        "environment": credential.environment,
        "switch": credential.switch,
        "credential": dict(credential.values),
        "url": url,
        "deadline": seconds,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "vaultd_client.verify.child"],
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd="/",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Asked(None, "timeout")
    return _answer(done.stdout)


def _environment() -> dict[str, str]:
    """Returns the child's environment: where modules are found, nothing else.

    Threat: a variable (HTTPS_PROXY, REQUESTS_CA_BUNDLE, SSL_CERT_FILE, a library's debug switch) that sends a key to another
    host or writes it down. Limit: who sets this process's own environment could load code into it.
    """
    path = os.pathsep.join(entry for entry in sys.path if os.path.isabs(entry))
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _answer(content: bytes) -> Asked:
    try:
        found = json.loads(content[:MAX_ANSWER_BYTES])
        problem, means = found["problem"], found["means"]
        rights = {name: str(Answer(found.get(name, "UNKNOWN"))) for name in RIGHTS}
        expires_ms = found.get("expires_ms", 0)
        known = (problem == "" or problem in PROBLEMS) and means in {"ENDPOINT", "BALANCE"}
        if not known or type(expires_ms) is not int or not 0 <= expires_ms <= _LAST_MS:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        return Asked(None, "broken")
    if problem and not PROBLEMS[problem].refused:
        return Asked(None, problem)
    check = KeyCheck(
        works="NO" if problem else "YES",
        means=means,
        read=rights["read"],
        trade=rights["trade"],
        withdraw=rights["withdraw"],
        transfer=rights["transfer"],
        ip_bound=rights["ip_bound"],
        expires=rights["expires"],
        expires_at=datetime.fromtimestamp(expires_ms / 1000, UTC) if expires_ms else None,
        problem=PROBLEMS[problem].text if problem else "",
    )
    return Asked(check, problem)
