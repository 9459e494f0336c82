"""Errors of ccxt as words of `words.PROBLEMS`. Looks at the text of an error, never passes it on.

First what the exchange itself says, by its codes: ccxt's classes merge what differs (Binance -2015 is three things) and
miss some (Kraken's "EAPI:Invalid signature" is a plain ExchangeError). Then ccxt's class.
"""

import re
from typing import Any, Final

import ccxt

CODES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "binance": (
        (r"-2015\b", "key-address-or-right"),
        (r"-20(14|08)\b", "wrong-key"),
        (r"-1022\b", "wrong-secret"),
        (r"-1021\b", "clock"),
    ),
    "bybit": (
        (r"\b10003\b", "wrong-key"),
        (r"\b10004\b", "wrong-secret"),
        (r"\b10010\b", "wrong-address"),
        (r"\b33004\b", "expired"),
        (r"\b10005\b", "missing-right"),
        (r"\b10002\b", "clock"),
    ),
    "okx": (
        (r"\b501(11|19)\b", "wrong-key"),
        (r"\b50113\b", "wrong-secret"),
        (r"\b50105\b", "wrong-passphrase"),
        (r"\b50110\b", "wrong-address"),
        (r"\b50101\b", "wrong-environment"),
        (r"\b50120\b", "missing-right"),
        (r"\b50102\b", "clock"),
    ),
    "kucoin": (
        (r"\b400003\b", "wrong-key"),
        # The passphrase is signed with the secret, and looked at first.
        (r"\b400004\b", "passphrase-or-secret"),
        (r"\b400005\b", "wrong-secret"),
        (r"\b400006\b", "wrong-address"),
        (r"\b400007\b", "missing-right"),
        (r"\b400002\b", "clock"),
    ),
    "kraken": (
        (r"EAPI:Invalid key", "wrong-key"),
        (r"EAPI:Invalid signature", "wrong-secret"),
        (r"EGeneral:Permission denied", "missing-right"),
        (r"EAPI:Invalid nonce", "nonce"),
    ),
    "gate": (
        (r"IP_FORBIDDEN|IP not in whitelist", "wrong-address"),
        (r"INVALID_KEY", "wrong-key"),
        (r"INVALID_SIGNATURE", "wrong-secret"),
        (r"REQUEST_EXPIRED", "clock"),
    ),
    "bitfinex": (
        (r"digest invalid", "wrong-secret"),
        (r"apikey: invalid", "wrong-key"),
        (r"nonce: small", "nonce"),
    ),
    "bitstamp": (
        (r"API0001|API key not found|Wrong API key format", "wrong-key"),
        (r"API0005|[Ii]nvalid signature", "wrong-secret"),
        (r"API0006|IP address not allowed", "wrong-address"),
        (r"API0003|No permission found", "missing-right"),
        (r"API0004|Invalid nonce", "nonce"),
        (r"API0017", "clock"),
    ),
    "htx": ((r"api-signature-(check-failed|not-valid)", "wrong-secret"), (r"API key has no permission", "missing-right")),
    "bitget": (
        (r"\b400(06|37)\b", "wrong-key"),
        (r"\b40009\b", "wrong-secret"),
        (r"\b40012\b", "passphrase-or-secret"),
        (r"\b40018\b", "wrong-address"),
        (r"\b40014\b", "missing-right"),
        (r"\b400(04|05|08)\b", "clock"),
    ),
    "mexc": ((r"\b10072\b", "wrong-key"), (r"\b700002\b", "wrong-secret"), (r"\b700006\b", "wrong-address"), (r"\b700003\b", "clock")),
    "bingx": ((r"\b100413\b", "wrong-key"), (r"\b100001\b", "wrong-secret"), (r"\b100419\b", "wrong-address"), (r"\b100421\b", "clock")),
    "coinbase": ((r"PERMISSION_DENIED", "missing-right"), (r"timestamp expired", "clock")),
}
"""Venue to patterns of its error codes, the first that is found wins."""
FAMILIES: Final = {
    "binancecoinm": "binance", "binanceus": "binance", "binanceusdm": "binance", "bybiteu": "bybit", "bybitid": "bybit",
    "okxus": "okx", "myokx": "okx", "kucoinfutures": "kucoin", "gateeu": "gate",
}  # fmt: skip
_UNSAID: Final = {"coinbase": "key-secret-or-address"}
"""What a refusal without a code means."""
_CLASSES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ccxt.AccountSuspended, "suspended"),
    (ccxt.AccountNotEnabled, "suspended"),
    (ccxt.PermissionDenied, "missing-right"),
    (ccxt.AuthenticationError, "refused"),
    (ccxt.InvalidNonce, "clock"),
    (ccxt.RequestTimeout, "timeout"),
    (ccxt.RateLimitExceeded, "rate-limited"),
    (ccxt.DDoSProtection, "rate-limited"),
    (ccxt.ExchangeNotAvailable, "unavailable"),
    (ccxt.NetworkError, "unreachable"),
    (ccxt.BaseError, "garbled"),
    # What ccxt or a library below it does not expect of a secret (base64, PEM) or of an answer.
    (Exception, "garbled"),
)
_WEB_PAGE: Final = re.compile(r"<(!doctype|html|head|body)", re.IGNORECASE)


def problem_of(kind: str, error: BaseException) -> str:
    """Returns the word for an error of ccxt, or of a library below it, at a kind of exchange."""
    if _caused_by(error, "SSLError"):
        return "untrusted"
    text = str(error)
    if _WEB_PAGE.search(text):
        return "garbled"
    family = FAMILIES.get(kind, kind)
    if isinstance(error, ccxt.BaseError):
        for pattern, word in CODES.get(family, ()):
            if re.search(pattern, text):
                return word
    word = next(word for kind_of_error, word in _CLASSES if isinstance(error, kind_of_error))
    return _UNSAID.get(family, word) if word == "refused" else word


def _caused_by(error: BaseException | None, name: str) -> bool:
    seen: list[Any] = []
    while error is not None and error not in seen:
        if type(error).__name__ == name:
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False
