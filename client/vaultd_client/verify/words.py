"""Why a check does not say that a key works: a word for programs, a sentence for people. The only text that is shown.

The sentences are this table's own; none quotes an exchange.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding. `refused`: the exchange has judged the key pair; else it was not asked, or its answer is none."""

    text: str
    hint: str
    refused: bool = True


_AGAIN = "try again"
_LOOK = "look at the key on the exchange's own page"
_PASTE = "paste it again; where it is lost, make a new key at the exchange"

PROBLEMS: Final[dict[str, Problem]] = {
    "wrong-key": Problem(
        "the exchange knows no such API key: it is mistyped, deleted, expired, or of another environment", _PASTE
    ),
    "wrong-secret": Problem(
        "the exchange knows the API key, but the secret is not that of this key", _PASTE
    ),
    "wrong-passphrase": Problem("the passphrase is not that of this key", "it is the one that was chosen with the key"),
    "passphrase-or-secret": Problem(
        "the passphrase or the secret is not that of this key: this exchange gives one answer for both",
        "paste both again; the passphrase is the one that was chosen with the key",
    ),
    "key-address-or-right": Problem(
        "wrong API key, or this host's IP address is not on the key's list, or the key lacks the right to read:"
        " this exchange gives one answer for all three",
        "compare the key, its IP list and its rights at the exchange",
    ),
    "key-secret-or-address": Problem(
        "wrong API key, or wrong secret, or this host's IP address is not on the key's list:"
        " this exchange gives one answer for all three",
        "compare the key and its IP list at the exchange, and paste the secret again",
    ),
    "wrong-address": Problem(
        "the key is bound to IP addresses, and this host's is not among them",
        "add this host's address to the key's list at the exchange, or check it where the bot runs",
    ),
    "wrong-environment": Problem(
        "the key is of another environment: live keys and test keys are not the same", "choose --environment live, testnet or demo"
    ),
    "expired": Problem("the key has expired", "make a new one at the exchange"),
    "missing-right": Problem(
        "the exchange accepts the key, but it lacks the right to read, or may not be used from this IP address",
        "give it the right to read at the exchange",
    ),
    "suspended": Problem("the account or the key is suspended, or was never activated", "log in at the exchange and see"),
    "malformed": Problem(
        "the key pair has not the form that this exchange signs with, so nothing was sent", _PASTE
    ),
    "refused": Problem("the exchange refuses the key pair and does not say why", "compare key and secret with the exchange"),
    "clock": Problem(
        "the clock of this host and that of the exchange differ, so it refused the request and not the key",
        "set the clock (timedatectl), then try again",
        refused=False,
    ),
    "nonce": Problem(
        "another program uses this key with higher nonces, so the exchange refused the request and not the key",
        "stop it, or give it a key of its own, then try again",
        refused=False,
    ),
    "timeout": Problem("the exchange did not answer in time", _AGAIN, refused=False),
    "unreachable": Problem("the exchange cannot be reached from this host", _AGAIN, refused=False),
    "untrusted": Problem(
        "who answers cannot prove to be the exchange (TLS): something sits in between", "try from another network",
        refused=False,
    ),
    "rate-limited": Problem("this host has asked the exchange too often", "wait a few minutes, then try again", refused=False),
    "unavailable": Problem("the exchange is down, or blocks this host", _AGAIN, refused=False),
    "garbled": Problem(
        "the answer is not one of this exchange: a web page, a proxy, or an API that has changed", _AGAIN, refused=False
    ),
    "not-in-ccxt": Problem(
        "this kind of exchange cannot be asked: ccxt does not know it", _LOOK, refused=False
    ),
    "no-environment": Problem(
        "ccxt has no address for this environment of the exchange", _LOOK, refused=False
    ),
    "broken": Problem("the check broke off", _AGAIN, refused=False),
}
