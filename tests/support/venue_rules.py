"""How nine exchanges check a signature, what they say of a key, and in which words they refuse.

Signatures are computed from each exchange's documentation: this and ccxt meet at nothing but HTTP. What differs from the
real thing is plain HTTP, so Bitstamp and Coinbase, which sign the address without `https://`, have `http://` in it.
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.support.venue_keys import Call, Venue

Reply = tuple[int, Any]


def _hmac(secret: str | bytes, text: str | bytes, digest: str, *, b64: bool = False) -> str:
    raw = hmac.new(
        secret.encode() if isinstance(secret, str) else secret, text.encode() if isinstance(text, str) else text, digest
    ).digest()
    return base64.b64encode(raw).decode() if b64 else raw.hex()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


# --- one function per exchange: None where it is not signed by the key, else the answer --------------------------


def _binance(venue: Venue, call: Call) -> Reply:
    refused = (400, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})
    key = venue.keys.get(call.headers.get("X-MBX-APIKEY", ""))
    if key is None or not key.address_ok or not key.rights:
        return refused
    signed, _, signature = call.query.rpartition("&signature=")
    if not _same(signature, _hmac(key.secret, signed, "sha256")):
        return 400, {"code": -1022, "msg": "Signature for this request is not valid."}
    if call.path != "/sapi/v1/account/apiRestrictions":
        return 404, {"code": -1, "msg": "none"}
    trade, withdraw = "trade" in key.rights, "withdraw" in key.rights
    document: dict[str, Any] = {
        "ipRestrict": key.bound,
        "createTime": 1_698_645_219_000,
        "enableReading": "read" in key.rights,
        "enableWithdrawals": withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": "transfer" in key.rights,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": trade,
        "enablePortfolioMarginTrading": False,
    }
    if key.expires_ms:
        document["tradingAuthorityExpirationTime"] = key.expires_ms
    return 200, document


def _bybit(venue: Venue, call: Call) -> Reply:
    def error(code: int, text: str) -> Reply:
        return 200, {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": 1}

    key = venue.keys.get(call.headers.get("X-BAPI-API-KEY", ""))
    if key is None:
        return error(10003, "API key is invalid.")
    stamp, window = call.headers["X-BAPI-TIMESTAMP"], call.headers["X-BAPI-RECV-WINDOW"]
    if not _same(call.headers["X-BAPI-SIGN"], _hmac(key.secret, stamp + key.api_key + window + call.query, "sha256")):
        return error(10004, "error sign! please check your signature generation algorithm.")
    if not key.address_ok:
        return error(10010, "Unmatched IP, please check your API key's bound IP addresses.")
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(key.expires_ms / 1000))
    permissions = {
        "ContractTrade": ["Order", "Position"] if "trade" in key.rights else [],
        "Spot": ["SpotTrade"] if "trade" in key.rights else [],
        "Wallet": [
            *(["AccountTransfer"] if "transfer" in key.rights else []),
            *(["Withdraw"] if "withdraw" in key.rights else []),
        ],
        "Options": [],
        "Derivatives": [],
    }
    result = {
        "id": "13770661",
        "apiKey": key.api_key,
        "readOnly": 0 if key.rights - {"read"} else 1,
        "secret": "",
        "permissions": permissions,
        "ips": ["127.0.0.1"] if key.bound else ["*"],
        "deadlineDay": 83,
        "expiredAt": until,
    }
    return 200, {"retCode": 0, "retMsg": "", "result": result, "retExtInfo": {}, "time": 1}


def _okx(venue: Venue, call: Call) -> Reply:
    def error(code: str, text: str) -> Reply:
        return 401, {"code": code, "data": [], "msg": text}

    key = venue.keys.get(call.headers.get("OK-ACCESS-KEY", ""))
    if key is None:
        return error("50111", "Invalid OK-ACCESS-KEY")
    signed = call.headers["OK-ACCESS-TIMESTAMP"] + call.method + call.target + call.body
    if not _same(call.headers["OK-ACCESS-PASSPHRASE"], key.passphrase):
        return error("50105", "Request header OK-ACCESS-PASSPHRASE incorrect.")
    if not _same(call.headers["OK-ACCESS-SIGN"], _hmac(key.secret, signed, "sha256", b64=True)):
        return error("50113", "Invalid Sign")
    if not key.address_ok:
        return error("50110", "Your IP 127.0.0.1 is not included in your API key's IP whitelist.")
    names = {"read": "read_only", "trade": "trade", "withdraw": "withdraw"}
    perm = ",".join(names[right] for right in sorted(key.rights & names.keys()))
    return 200, {"code": "0", "data": [{"uid": "1", "perm": perm, "ip": "127.0.0.1" if key.bound else ""}], "msg": ""}


def _kucoin(venue: Venue, call: Call) -> Reply:
    def error(code: str, text: str) -> Reply:
        return 401, {"code": code, "msg": text}

    key = venue.keys.get(call.headers.get("KC-API-KEY", ""))
    if key is None:
        return error("400003", "KC-API-KEY not exists")
    if not _same(call.headers["KC-API-PASSPHRASE"], _hmac(key.secret, key.passphrase, "sha256", b64=True)):
        return error("400004", "Invalid KC-API-PASSPHRASE")
    signed = call.headers["KC-API-TIMESTAMP"] + call.method + call.target + call.body
    if not _same(call.headers["KC-API-SIGN"], _hmac(key.secret, signed, "sha256", b64=True)):
        return error("400005", "Signature error")
    if not key.address_ok:
        return error("400006", "The IP address is not in the API whitelist")
    names = {"read": "General", "trade": "Spot", "withdraw": "Transfer", "transfer": "InnerTransfer"}
    permission = ",".join(names[right] for right in sorted(key.rights))
    data = {"apiKey": key.api_key, "apiVersion": 3, "permission": permission, "uid": 1, "isMaster": True}
    return 200, {"code": "200000", "data": {**data, "ipWhitelist": "127.0.0.1" if key.bound else ""}}


def _kraken(venue: Venue, call: Call) -> Reply:
    if call.path.startswith("/0/public/"):
        return 200, {"error": [], "result": {}}
    key = venue.keys.get(call.headers.get("API-Key", ""))
    if key is None:
        return 200, {"error": ["EAPI:Invalid key"]}
    nonce = dict(urllib.parse.parse_qsl(call.body))["nonce"]
    signed = call.path.encode() + hashlib.sha256((nonce + call.body).encode()).digest()
    if not _same(call.headers["API-Sign"], _hmac(base64.b64decode(key.secret), signed, "sha512", b64=True)):
        return 200, {"error": ["EAPI:Invalid signature"]}
    if not key.address_ok:
        return 200, {"error": ["EGeneral:Permission denied"]}
    names = {
        "read": ["query-funds", "query-open-trades"],
        "trade": ["modify-trades", "close-trades"],
        "withdraw": ["add-withdraw-address"],
        "transfer": ["earn-funds"],
    }
    result = {
        "apiKeyName": "bot",
        "permissions": [name for right in key.rights for name in names[right]],
        "ipAllowlist": ["127.0.0.1"] if key.bound else [],
        "validUntil": str(key.expires_ms // 1000),
    }
    return 200, {"error": [], "result": result}


def _gate(venue: Venue, call: Call) -> Reply:
    key = venue.keys.get(call.headers.get("KEY", ""))
    if key is None:
        return 401, {"label": "INVALID_KEY", "message": "Invalid key provided"}
    body = hashlib.sha512(call.body.encode()).hexdigest()
    signed = "\n".join([call.method, call.path, call.query, body, call.headers["Timestamp"]])
    if not _same(call.headers["SIGN"], _hmac(key.secret, signed, "sha512")):
        return 401, {"label": "INVALID_SIGNATURE", "message": "Signature mismatch"}
    if not key.address_ok:
        return 403, {"label": "FORBIDDEN", "message": "Request IP not in whitelist: 127.0.0.1"}
    perms = [{"name": "spot", "read_only": "trade" not in key.rights}]
    perms += [{"name": "withdraw", "read_only": False}] if "withdraw" in key.rights else []
    perms += [{"name": "wallet", "read_only": "transfer" not in key.rights}]
    own = {"state": 1, "name": "bot", "key": key.api_key, "user_id": 1, "perms": perms}
    other = {"state": 1, "name": "other", "key": "other", "perms": [{"name": "withdraw", "read_only": False}]}
    return 200, [other, {**own, "ip_whitelist": ["127.0.0.1"] if key.bound else []}]


def _bitfinex(venue: Venue, call: Call) -> Reply:
    key = venue.keys.get(call.headers.get("bfx-apikey", ""))
    if key is None or not key.address_ok:
        return 500, ["error", 10100, "apikey: invalid"]
    signed = "/api" + call.path + call.headers["bfx-nonce"] + call.body
    if not _same(call.headers["bfx-signature"], _hmac(key.secret, signed, "sha384")):
        return 500, ["error", 10100, "apikey: digest invalid"]
    flags = {"orders": "trade", "withdraw": "withdraw", "wallets": "transfer"}
    rows = [[scope, 1, int(right in key.rights)] for scope, right in flags.items()]
    return 200, [["account", 1, 0], *rows, ["positions", 1, 0], ["funding", 1, 0], ["ui_withdraw", 0, 0]]


def _bitstamp(venue: Venue, call: Call) -> Reply:
    if call.method == "GET":
        return 200, []  # markets and currencies: public
    name = call.headers.get("X-Auth", "").removeprefix("BITSTAMP ")
    key = venue.keys.get(name)
    if key is None:
        return 403, {"status": "error", "reason": "API key not found", "code": "API0001"}
    head = call.headers
    address = f"http://{call.host}{call.target}"
    parts = [head["X-Auth"], call.method, address, head.get("Content-Type", ""), head["X-Auth-Nonce"]]
    signed = "".join([*parts, head["X-Auth-Timestamp"], head["X-Auth-Version"], call.body])
    if not _same(head["X-Auth-Signature"], _hmac(key.secret, signed, "sha256")):
        return 403, {"status": "error", "reason": "Invalid signature", "code": "API0005"}
    if not key.address_ok:
        return 403, {"status": "error", "reason": "IP address not allowed", "code": "API0006"}
    return 200, [{"currency": "usdt", "total": "7.0", "available": "7.0", "reserved": "0.0"}]


def _coinbase(venue: Venue, call: Call) -> Reply:
    refused = (401, "Unauthorized\n")
    token = call.headers.get("Authorization", "").removeprefix("Bearer ")
    head, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    if not signature:
        return refused
    key = venue.keys.get(json.loads(_url64(head))["kid"])
    claims = json.loads(_url64(body))
    if key is None or not key.address_ok or claims["uri"] != f"{call.method} http://{call.host}{call.path}":
        return refused
    raw = _url64(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.public.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return refused
    may = {f"can_{name}": right in key.rights for name, right in (("view", "read"), ("trade", "trade"), ("transfer", "withdraw"))}
    return 200, {**may, "portfolio_uuid": "p", "portfolio_type": "DEFAULT"}


def _url64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


VENUES: dict[str, Callable[[Venue, Call], Reply]] = {
    "binance": _binance, "bybit": _bybit, "okx": _okx, "kucoin": _kucoin, "kraken": _kraken, "gate": _gate,
    "bitfinex": _bitfinex, "bitstamp": _bitstamp, "coinbase": _coinbase,
}  # fmt: skip
