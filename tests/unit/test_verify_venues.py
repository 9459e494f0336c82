"""What exchanges say of a key is read as they document it; what they do not say is unknown, never no."""

from collections.abc import Mapping, Sequence
from typing import Any

import ccxt
import pytest

from vaultd.kinds import Catalogue
from vaultd_client.verify.answers import GarbledError, Rights
from vaultd_client.verify.venues import ENDPOINTS

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
KEY = "own-key"


def read(kind: str, *answers: Any) -> str:
    """Returns the rights as six letters (read, trade, withdraw, transfer, IP-bound, expires): y, n or `?`."""
    rights = ENDPOINTS[kind].read(answers, KEY, NOW_MS)
    names = ("read", "trade", "withdraw", "transfer", "ip_bound", "expires")
    return "".join({"YES": "y", "NO": "n", "UNKNOWN": "?"}[getattr(rights, name)] for name in names)


def binance(**changes: Any) -> dict[str, Any]:
    return {
        "ipRestrict": True,
        "enableReading": True,
        "enableWithdrawals": False,
        "enableInternalTransfer": False,
        "permitsUniversalTransfer": False,
        "enableSpotAndMarginTrading": False,
        "enableMargin": False,
        "enableFutures": False,
        "enableVanillaOptions": False,
        **changes,
    }


def bybit(
    read_only: object = 0, wallet: Sequence[str] = (), ips: Sequence[str] = ("1.2.3.4",), **more: Any
) -> dict[str, Any]:
    permissions = {"Spot": ["SpotTrade"], "ContractTrade": [], "Wallet": list(wallet)}
    return {"result": {"readOnly": read_only, "permissions": permissions, "ips": list(ips), **more}}


def kraken(*rights: str, **more: Any) -> dict[str, Any]:
    return {"result": {"permissions": list(rights), "ipAllowlist": [], "validUntil": "0", **more}}


def gate(**perms: bool) -> dict[str, Any]:
    rows = [{"name": name, "read_only": reads_only} for name, reads_only in perms.items()]
    return {"key": KEY, "state": 1, "perms": rows, "ip_whitelist": []}


def okx(perm: str, ip: str = "") -> dict[str, Any]:
    return {"code": "0", "data": [{"perm": perm, "ip": ip}]}


def kucoin(permission: str) -> dict[str, Any]:
    return {"data": {"permission": permission, "ipWhitelist": ""}}


def htx(permission: str, days: object = -1) -> tuple[dict[str, Any], dict[str, Any]]:
    own = {"accessKey": KEY, "permission": permission, "ipAddresses": "", "validDays": days}
    return {"data": 1}, {"data": [{"accessKey": "other", "permission": "withdraw", "validDays": -1}, own]}


def deribit(scope: str) -> dict[str, Any]:
    return {"result": [{"client_id": "x", "max_scope": "wallet:read_write"}, {"client_id": KEY, "max_scope": scope}]}


def bitget(*rights: str) -> dict[str, Any]:
    return {"data": {"authorities": list(rights), "ips": "1.2.3.4"}}


@pytest.mark.parametrize(
    ("kind", "answers", "letters"),
    [
        ("binance", [binance()], "ynnny?"),
        ("binance", [binance(enableFutures=True, ipRestrict=False)], "yynnn?"),
        ("binance", [binance(enableVanillaOptions=True)], "yynny?"),
        ("binance", [binance(enableWithdrawals=True, permitsUniversalTransfer=True)], "ynyyy?"),
        ("binance", [binance(tradingAuthorityExpirationTime=NOW_MS)], "ynnnyy"),
        ("binance", [{"enableReading": True}], "y?????"),
        ("binanceusdm", [{}], "??????"),
        ("bybit", [bybit(1)], "ynnnyn"),
        ("bybit", [bybit(0)], "yynnyn"),
        ("bybit", [bybit(0, ("AccountTransfer", "Withdraw"), ("*",), expiredAt="2027-03-01T00:00:00Z")], "yyyyny"),
        ("bybit", [bybit(0, (), (), expiredAt="1970-01-01T00:00:00Z")], "yynnn?"),
        ("bybit", [bybit(0, ("Teleport",))], "yy??yn"),
        ("bybit", [bybit(None)], "y?nnyn"),
        ("okx", [okx("read_only")], "ynn?n?"),
        ("okx", [okx("read_only,trade", "1.2.3.4")], "yyn?y?"),
        ("okx", [okx("read_only,withdraw,trade")], "yyy?n?"),
        ("okx", [okx("read_only,teleport")], "y???n?"),
        ("kucoin", [kucoin("General")], "ynnnn?"),
        ("kucoin", [kucoin("General,Spot,Futures")], "yynnn?"),
        ("kucoin", [kucoin("General,InnerTransfer")], "ynnyn?"),
        ("kucoin", [kucoin("General,Transfer")], "ynyyn?"),
        ("kucoin", [kucoin("General,Teleport")], "y???n?"),
        ("coinbase", [{"can_view": True, "can_trade": False, "can_transfer": True}], "ynyy??"),
        ("coinbase", [{"can_view": True}], "y?????"),
        ("bitfinex", [[["orders", 1, 0], ["withdraw", 0, 0], ["wallets", 1, 0]]], "ynnn??"),
        ("bitfinex", [[["orders", 1, 1], ["withdraw", 0, 1], ["wallets", 1, 1]]], "yyyy??"),
        ("bitfinex", [[["orders", 1, 0], ["withdraw", 0, 0], ["ui_withdraw", 0, 1], ["wallets", 1, 0]]], "ynyn??"),
        ("bitfinex", [[["orders", 1, 0]]], "yn????"),
        ("kraken", [kraken("query-funds")], "ynnnnn"),
        ("kraken", [kraken("query-funds", "modify-trades", "earn-funds", ipAllowlist=["1.2.3.4"])], "yynyyn"),
        ("kraken", [kraken("query-funds", "add-withdraw-address")], "ynynnn"),
        ("kraken", [kraken("query-funds", "teleport-funds")], "y???nn"),
        ("kraken", [kraken("query-funds", validUntil=str(NOW_MS // 1000 + 5))], "ynnnny"),
        ("kraken", [kraken("query-funds", validUntil=None, ipAllowlist=None)], "ynnn??"),
        ("gate", [[gate(spot=True)]], "ynnnn?"),
        ("gate", [[{**gate(withdraw=False), "key": "other"}, gate(spot=False, wallet=False)]], "yynyn?"),
        ("gate", [gate(futures=False, withdraw=False)], "yyynn?"),
        ("gateeu", [[gate(futures=True, withdraw=True)]], "ynnnn?"),
        ("htx", htx("readOnly"), "ynn?nn"),
        ("htx", htx("readOnly,trade", 12), "yyn?ny"),
        ("htx", htx("readOnly,withdraw", "soon"), "yny?n?"),
        ("bitget", [bitget("stor", "coor")], "ynnny?"),
        ("bitget", [bitget("stow")], "yynny?"),
        ("bitget", [bitget("stow", "wtow", "wwow")], "yyyyy?"),
        ("bitget", [bitget("trade", "readonly")], "yy??y?"),
        ("deribit", [deribit("account:read trade:read wallet:read")], "ynnn??"),
        ("deribit", [deribit("trade:read_write wallet:read_write")], "yyyy??"),
        ("deribit", [deribit("")], "??????"),
        ("lbank", [{"data": {"enableReading": True, "enableSpotTrading": True, "enableWithdrawals": "false"}}], "yyn???"),
        ("mexc", [{"canTrade": True, "canWithdraw": True}], "y?????"),
        ("mexc", [{"canTrade": False, "canWithdraw": False}], "ynn???"),
        ("bitflyer", [["/v1/me/getbalance", "/v1/me/getpermissions"]], "ynn???"),
        ("bitflyer", [["/v1/me/getbalance", "/v1/me/sendchildorder", "/v1/me/withdraw"]], "yyy???"),
    ],
)
def test_an_answer_is_read(kind: str, answers: list[Any], letters: str) -> None:
    assert read(kind, *answers) == letters


def test_times_are_those_of_the_exchange() -> None:
    until = NOW_MS // 1000 + 60
    assert rights("kraken", kraken("query-funds", validUntil=until)).expires_ms == until * 1000
    assert rights("htx", *htx("readOnly", 12)).expires_ms == NOW_MS + 12 * DAY_MS
    assert rights("bybit", bybit(expiredAt="2027-03-01T00:00:00Z")).expires_ms == 1_803_859_200_000
    assert rights("binance", binance(tradingAuthorityExpirationTime=NOW_MS)).expires_ms == NOW_MS


def rights(kind: str, *answers: Any) -> Rights:
    return ENDPOINTS[kind].read(answers, KEY, NOW_MS)


NONSENSE: list[Any] = [None, "", "<html>", [], {}, [1], {"data": None}, {"result": []}, {"data": {}, "result": {}}, 7, [["x"]], {"data": [{}]}]


@pytest.mark.parametrize("kind", ENDPOINTS)
@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_nonsense_is_never_read_as_a_harmless_key(kind: str, nonsense: Any) -> None:
    try:
        found = ENDPOINTS[kind].read([nonsense] * len(ENDPOINTS[kind].calls), KEY, NOW_MS)
    except (GarbledError, AttributeError, IndexError, TypeError, ValueError):
        return  # child.py asks for the balance instead
    assert found.withdraw != "NO" or found.trade != "NO"


# --- one source of truth ------------------------------------------------------------------------------------------


def documented() -> Mapping[str, tuple[str, ...]]:
    return {
        kind.kind: kind.permissions_endpoint.ccxt
        for kind in Catalogue.load().all()
        if kind.permissions_endpoint is not None and kind.permissions_endpoint.read + kind.permissions_endpoint.trade
    }


NOT_READ = {"bingx": "numbers whose meaning was not seen in documentation", "weex": "its document was not seen"}
BEYOND = {"privateAccountGetDetail": "nothing in it that the list of keys does not say"}


def test_what_is_asked_is_what_the_catalogue_documents() -> None:
    asked = {kind: endpoint.calls for kind, endpoint in ENDPOINTS.items()}
    told = {kind: tuple(call for call in calls if call not in BEYOND) for kind, calls in documented().items()}
    assert {kind: calls for kind, calls in told.items() if kind not in NOT_READ} == asked


def test_ccxt_has_every_request() -> None:
    missing = [
        (kind, call) for kind, endpoint in ENDPOINTS.items() for call in endpoint.calls if not hasattr(getattr(ccxt, kind)(), call)
    ]
    assert missing == []
