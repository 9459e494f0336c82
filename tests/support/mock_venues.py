"""Three exchanges on 127.0.0.1 that truly verify what they are sent: Binance, Kraken and OKX.

Signatures are checked after the venues' own documentation, with Python's standard library and `cryptography`; refusals
have the venues' own words. `options` makes ccxt (or any program that takes addresses) speak to them.
"""

import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

CLOCK_MS = 30_000
"""How far a request's time may be from the venue's."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a venue keeps of a key: the secret it shares, or the public key in PEM that was uploaded to it."""

    venue: str
    secret: str
    passphrase: str = ""


class RefusalError(Exception):
    """A venue's own refusal: HTTP status and JSON."""

    def __init__(self, status: int, document: Any) -> None:
        super().__init__(status, document)
        self.status = status
        self.document = document


@dataclass(slots=True)
class Venues:
    """A running server. `signed` is every request whose signature was good: venue, API key and path."""

    port: int
    accounts: dict[str, Account] = field(default_factory=dict)
    signed: list[tuple[str, str, str]] = field(default_factory=list)
    nonces: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def options(self, ccxt: Any, kind: str, *places: str) -> dict[str, Any]:
        """Returns options of a ccxt constructor that send requests here.

        Args:
            places: Which addresses of the class: `api` (live, where none is named), `test`, `demo`.
        """
        urls = getattr(ccxt, kind)().urls
        return {
            "urls": {place: self._here(urls[place]) for place in places or ("api",)},
            "hostname": f"127.0.0.1:{self.port}",
            "enableRateLimit": False,
        }

    def _here(self, urls: Any) -> Any:
        if isinstance(urls, dict):
            return {name: self._here(each) for name, each in urls.items()}
        return self.address + urlsplit(urls.replace("{hostname}", "host")).path if isinstance(urls, str) else urls

    def account(self, key: str | None, venue: str, unknown: RefusalError) -> Account:
        found = self.accounts.get(key or "")
        if found is None or found.venue != venue:
            raise unknown
        return found


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


# --- Binance: developers.binance.com, "Signed endpoint security" -------------------------------------------------


def binance(venues: Venues, asked: Asked) -> str:
    """Returns the API key of a request that is truly signed with it."""
    key = asked.headers.get("X-MBX-APIKEY")
    invalid = "Invalid API-key, IP, or permissions for action."
    account = venues.account(key, "binance", RefusalError(401, {"code": -2015, "msg": invalid}))
    text = "&".join(filter(None, (asked.query, asked.body.decode())))
    text, _, signature = text.partition("&signature=")
    given = parse_qs(text)
    if abs(int(given["timestamp"][0]) - time.time() * 1000) > CLOCK_MS:
        raise RefusalError(400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."})
    if not _binance_signed(account.secret, text.encode(), parse_qs("s=" + signature)["s"][0]):
        raise RefusalError(400, {"code": -1022, "msg": "Signature for this request is not valid."})
    return str(key)


def _binance_signed(secret: str, text: bytes, signature: str) -> bool:
    if "PUBLIC KEY" not in secret:
        return hmac.compare_digest(hmac.new(secret.encode(), text, "sha256").hexdigest(), signature)
    public = load_pem_public_key(secret.encode())
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(public, RSAPublicKey):
            public.verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
        else:
            assert isinstance(public, Ed25519PublicKey)
            public.verify(raw, text)
    except (InvalidSignature, binascii.Error):
        return False
    return True


# --- Kraken: docs.kraken.com, "Spot REST authentication" --------------------------------------------------------


def kraken(venues: Venues, asked: Asked) -> str:
    """Returns the API key of a request that is truly signed with it, and with a nonce above the last."""
    key = asked.headers.get("API-Key")
    account = venues.account(key, "kraken", RefusalError(200, {"error": ["EAPI:Invalid key"]}))
    nonce = parse_qs(asked.body.decode())["nonce"][0]
    digest = hashlib.sha256(nonce.encode() + asked.body).digest()
    wanted = hmac.digest(base64.b64decode(account.secret), asked.path.encode() + digest, "sha512")
    if not hmac.compare_digest(base64.b64encode(wanted).decode(), asked.headers.get("API-Sign", "")):
        raise RefusalError(200, {"error": ["EAPI:Invalid signature"]})
    if int(nonce) <= venues.nonces.get(str(key), 0):
        raise RefusalError(200, {"error": ["EAPI:Invalid nonce"]})
    venues.nonces[str(key)] = int(nonce)
    return str(key)


# --- OKX: okx.com/docs-v5, "REST authentication" ----------------------------------------------------------------


def okx(venues: Venues, asked: Asked) -> str:
    """Returns the API key of a request that is truly signed with it, and carries its passphrase."""
    key, sent = asked.headers.get("OK-ACCESS-KEY"), asked.headers.get("OK-ACCESS-TIMESTAMP", "")
    account = venues.account(key, "okx", RefusalError(401, {"code": "50111", "msg": "Invalid OK-ACCESS-KEY"}))
    if asked.headers.get("OK-ACCESS-PASSPHRASE") != account.passphrase:
        raise RefusalError(401, {"code": "50105", "msg": "Request header OK-ACCESS-PASSPHRASE incorrect."})
    target = asked.path + ("?" + asked.query if asked.query else "")
    text = sent.encode() + asked.method.encode() + target.encode() + asked.body
    wanted = base64.b64encode(hmac.digest(account.secret.encode(), text, "sha256")).decode()
    if not hmac.compare_digest(wanted, asked.headers.get("OK-ACCESS-SIGN", "")):
        raise RefusalError(401, {"code": "50113", "msg": "Invalid Sign"})
    return str(key)


# --- what they answer -------------------------------------------------------------------------------------------

_BINANCE_SPOT = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "baseAssetPrecision": 8,
    "quoteAssetPrecision": 8,
    "orderTypes": ["LIMIT"],
    "isSpotTradingAllowed": True,
    "isMarginTradingAllowed": False,
    "permissions": ["SPOT"],
    "filters": [],
}
_KRAKEN_PAIR = {
    "altname": "XBTUSDT",
    "wsname": "XBT/USDT",
    "base": "XXBT",
    "quote": "USDT",
    "pair_decimals": 1,
    "lot_decimals": 8,
    "lot_multiplier": 1,
    "fees": [[0, 0.4]],
    "fees_maker": [[0, 0.25]],
    "ordermin": "0.0001",
    "status": "online",
}
_OKX_PAIR = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "lotSz": "0.00000001",
    "minSz": "0.00001",
    "tickSz": "0.1",
    "state": "live",
}
PUBLIC: dict[str, Any] = {
    "/api/v3/exchangeInfo": {"symbols": [_BINANCE_SPOT]},
    "/fapi/v1/exchangeInfo": {"symbols": []},
    "/dapi/v1/exchangeInfo": {"symbols": []},
    "/0/public/Assets": {
        "error": [],
        "result": {
            "XXBT": {"altname": "XBT", "decimals": 10, "status": "enabled"},
            "USDT": {"altname": "USDT", "decimals": 8, "status": "enabled"},
        },
    },
    "/0/public/AssetPairs": {"error": [], "result": {"XBTUSDT": _KRAKEN_PAIR}},
    "/api/v5/public/instruments": {"code": "0", "data": [_OKX_PAIR]},
}
PRIVATE: dict[str, Any] = {
    "/api/v3/account": {"balances": [{"asset": "BTC", "free": "1.25", "locked": "0.25"}]},
    "/sapi/v1/capital/config/getall": [],
    "/sapi/v1/margin/allPairs": [],
    "/sapi/v1/margin/isolated/allPairs": [],
    "/sapi/v1/margin/allAssets": [],
    "/fapi/v3/account": {"assets": [{"asset": "USDT", "walletBalance": "7", "availableBalance": "7"}]},
    "/0/private/BalanceEx": {"error": [], "result": {"XXBT": {"balance": "1.5", "hold_trade": "0.25"}}},
    "/api/v5/asset/currencies": {"code": "0", "data": []},
    "/api/v5/account/balance": {
        "code": "0",
        "data": [{"uTime": "1", "details": [{"ccy": "BTC", "eq": "1.5", "availBal": "1.25", "availEq": "1.25", "frozenBal": "0.25"}]}],
    },
}  # fmt: skip
CHECKS = {"/api/v3/": binance, "/sapi/": binance, "/fapi/": binance, "/0/private/": kraken, "/api/v5/": okx}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    venues: Venues

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, parts.path, parts.query, dict(self.headers.items()), body)
        try:
            status, document = 200, self._answer(asked)
        except RefusalError as refusal:
            status, document = refusal.status, refusal.document
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - http.server looks it up by this name

    def _answer(self, asked: Asked) -> Any:
        if asked.path in PUBLIC:
            return PUBLIC[asked.path]
        check = next((check for prefix, check in CHECKS.items() if asked.path.startswith(prefix)), None)
        if check is None or asked.path not in PRIVATE:
            raise RefusalError(404, {"unknown": asked.path})
        key = check(self.venues, asked)
        self.venues.signed.append((check.__name__, key, asked.path))
        return PRIVATE[asked.path]

    def log_message(self, *_arguments: object) -> None:
        """Says nothing: what is asked is in `signed`."""


@contextmanager
def running() -> Iterator[Venues]:
    """Yields the venues, on a port of their own."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.venues = Venues(server.server_address[1])  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield handler.venues  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()
