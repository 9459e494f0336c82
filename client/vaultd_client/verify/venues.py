"""The requests that tell what a key may do, and how their answers are read. Pure functions on parsed JSON.

Where an answer lacks what is asked for, or names a right that is not in the exchange's documentation, the answer is
UNKNOWN. `vaultd/kinds/data/permissions.json` says of each where the knowledge comes from; a test compares the two.

Evidence beyond that file: Bitget's letters and KuCoin's names of rights are those of their documentation of 2025.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from vaultd_client.verify.answers import (
    NO,
    UNKNOWN,
    YES,
    Answer,
    GarbledError,
    Rights,
    answer,
    any_of,
    listed,
)

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Methods of the ccxt class to call in this order, and what reads their answers: (answers, api_key, now_ms).

    `first_gives`: name of the parameter of the second request that the first one's answer is for; else each is called
    without parameters.
    """

    calls: tuple[str, ...]
    read: Callable[[Sequence[Any], str, int], Rights]
    first_gives: str = ""


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise GarbledError
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise GarbledError
    return value


def _words(value: Any) -> set[str]:
    """Returns a list, or a text with commas, as a set of words."""
    parts = value.split(",") if isinstance(value, str) else _list(value)
    return {str(part).strip() for part in parts} - {""}


def _addresses(value: Any) -> Answer:
    """Says whether a list of IP addresses binds the key: absent is unknown, empty or `*` is no."""
    if value is None:
        return UNKNOWN
    found = _words(value)
    return NO if not found or not found.isdisjoint({"*", "0.0.0.0/0", "0.0.0.0"}) else YES


def _own(keys: Any, name: str, api_key: str) -> Mapping[str, Any]:
    """Returns the entry of the key that asked, out of those of the account."""
    found = [key for key in _list(keys) if _object(key).get(name) == api_key]
    if len(found) != 1:
        raise GarbledError
    return _object(found[0])


def _number(value: Any) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _binance(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    said = _object(answers[0])
    trade = ("enableSpotAndMarginTrading", "enableMargin", "enableFutures")
    more = ("enableVanillaOptions", "enablePortfolioMarginTrading", "enableFixApiTrade")
    until = _number(said.get("tradingAuthorityExpirationTime"))
    return Rights(
        read=answer(said.get("enableReading")),
        trade=any_of([*(answer(said.get(name)) for name in trade), *(answer(said[name]) for name in more if name in said)]),
        withdraw=answer(said.get("enableWithdrawals")),
        transfer=any_of(answer(said.get(name)) for name in ("enableInternalTransfer", "permitsUniversalTransfer")),
        ip_bound=answer(said.get("ipRestrict")),
        expires=YES if until else UNKNOWN,
        expires_ms=until or 0,
    )


def _bybit(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    said = _object(_object(answers[0]).get("result"))
    rights = {name: _words(value) for name, value in _object(said.get("permissions")).items() if value}
    writes = {"0": YES, "1": NO, "False": YES, "True": NO}.get(str(said.get("readOnly")), UNKNOWN)
    trades = any(name not in {"Wallet", "Affiliate", "NFT"} for name in rights)
    wallet = rights.get("Wallet", set())
    known = {"Withdraw", "AccountTransfer", "SubMemberTransfer", "SubMemberTransferList"}
    bound = _addresses(said.get("ips"))
    until = _moment(said.get("expiredAt"))
    return Rights(
        read=YES,
        trade=writes if trades else NO,
        withdraw=listed(wallet, {"Withdraw"}, known),
        transfer=writes if wallet & (known - {"Withdraw"}) else listed(wallet, (), known),
        ip_bound=bound,
        # "Only for those api key with no IP bound or the password has been changed".
        expires=YES if until else NO if bound == YES else UNKNOWN,
        expires_ms=until,
    )


def _moment(value: Any) -> int:
    """Returns an ISO 8601 time in milliseconds; 0 where it is none, or the epoch that stands for none."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return 0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000) if moment.year > 2000 else 0


def _okx(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    said = _object(next(iter(_list(_object(answers[0]).get("data"))), None))
    rights = _words(said.get("perm"))
    known = {"read_only", "trade", "withdraw"}
    if not rights:
        raise GarbledError
    return Rights(
        read=YES if "read_only" in rights else UNKNOWN,
        trade=listed(rights, {"trade"}, known),
        withdraw=listed(rights, {"withdraw"}, known),
        ip_bound=_addresses(said.get("ip")),
    )


def _kucoin(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    said = _object(_object(answers[0]).get("data"))
    rights = _words(said.get("permission"))
    trade = {"Spot", "Margin", "Futures", "Trade", "Unified"}
    # "Transfer: allows a key to transfer funds (including deposit and withdrawal)", says KuCoin.
    withdraw, transfer = {"Transfer", "Withdrawal", "Withdraw"}, {"InnerTransfer", "Transfer", "FlexTransfers"}
    known = {"General", "Earn", *trade, *withdraw, *transfer}
    return Rights(
        read=listed(rights, {"General"}, known),
        trade=listed(rights, trade, known),
        withdraw=listed(rights, withdraw, known),
        transfer=listed(rights, transfer, known),
        ip_bound=_addresses(said.get("ipWhitelist")),
    )


def _coinbase(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    said = _object(answers[0])
    moves = answer(said.get("can_transfer"))
    return Rights(
        read=answer(said.get("can_view")), trade=answer(said.get("can_trade")), withdraw=moves, transfer=moves
    )


def _bitfinex(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    rows = {str(_list(row)[0]): [answer(flag) for flag in _list(row)[1:3]] for row in _list(answers[0]) if _list(row)}
    reads = [row[0] for row in rows.values() if row]
    writes = {scope: row[1] for scope, row in rows.items() if len(row) > 1}
    trade = [writes.get("orders", UNKNOWN), *(writes[scope] for scope in ("positions", "funding") if scope in writes)]
    withdraw = [writes.get("withdraw", UNKNOWN), *(writes[scope] for scope in ("ui_withdraw",) if scope in writes)]
    return Rights(
        read=any_of(reads), trade=any_of(trade), withdraw=any_of(withdraw), transfer=writes.get("wallets", UNKNOWN)
    )


def _kraken(answers: Sequence[Any], _key: str, now_ms: int) -> Rights:
    said = _object(_object(answers[0]).get("result"))
    rights = _words(said.get("permissions"))
    read = {"query-funds", "query-open-trades", "query-closed-trades", "query-ledger", "export-data"}
    trade, transfer = {"modify-trades", "close-trades"}, {"add-funds", "earn-funds"}
    withdraw = {"withdraw-funds", "add-withdraw-address", "update-withdraw-address"}
    known = {*read, *trade, *transfer, *withdraw, "create-ws-token"}
    until = _number(said.get("validUntil"))
    later = until is not None and until * 1000 > now_ms
    return Rights(
        read=listed(rights, read, known),
        trade=listed(rights, trade, known),
        withdraw=listed(rights, withdraw, known),
        transfer=listed(rights, transfer, known),
        ip_bound=_addresses(said.get("ipAllowlist")),
        expires=UNKNOWN if until is None else YES if later else NO,
        expires_ms=(until or 0) * 1000 if later else 0,
    )


def _gate(answers: Sequence[Any], key: str, _now_ms: int) -> Rights:
    keys = [_object(each) for each in (answers[0] if isinstance(answers[0], list) else [answers[0]])]
    # The list is of every key of the account; its `key` may be masked. One alone is the one that asks.
    own = [each for each in keys if each.get("key") == key] or keys
    if len(own) != 1:
        raise GarbledError
    rights: dict[str, Answer] = {}
    for entry in _list(own[0].get("perms")):
        reads_only = answer(_object(entry).get("read_only"))
        rights[str(entry.get("name"))] = {YES: NO, NO: YES}.get(reads_only, UNKNOWN)
    other = {"withdraw", "wallet", "account", "subaccount", "payment", "rebate", "tax", "custody"}
    return Rights(
        read=YES if rights else NO,
        trade=any_of(writes for name, writes in rights.items() if name not in other) if rights.keys() - other else NO,
        withdraw=rights.get("withdraw", NO),
        transfer=rights.get("wallet", NO),
        ip_bound=_addresses(own[0].get("ip_whitelist")),
    )


def _htx(answers: Sequence[Any], key: str, now_ms: int) -> Rights:
    own = _own(_object(answers[1]).get("data"), "accessKey", key)
    rights = _words(own.get("permission"))
    known = {"readOnly", "trade", "withdraw"}
    days = _number(own.get("validDays"))
    return Rights(
        read=listed(rights, {"readOnly"}, known),
        trade=listed(rights, {"trade"}, known),
        withdraw=listed(rights, {"withdraw"}, known),
        ip_bound=_addresses(own.get("ipAddresses")),
        expires=UNKNOWN if days is None else YES if days >= 0 else NO,
        expires_ms=now_ms + days * _DAY_MS if days is not None and days >= 0 else 0,
    )


def _bitget(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    said = _object(_object(answers[0]).get("data"))
    rights = _words(said.get("authorities"))
    trade = {"coow", "cpow", "stow", "smow", "ttow", "trade"}
    read = {"coor", "cpor", "stor", "smor", "ttor", "wtor", "taxr", "chor", "p2pr", "pllr", "readonly"}
    known = {*trade, *read, "wtow", "wwow", "chow", "p2p", "p2pw", "pllw", "taxw"}
    return Rights(
        read=YES if rights else UNKNOWN,
        trade=listed(rights, trade, known),
        withdraw=listed(rights, {"wwow"}, known - {"trade"}),
        transfer=listed(rights, {"wtow"}, known - {"trade"}),
        ip_bound=_addresses(said.get("ips")),
    )


def _deribit(answers: Sequence[Any], key: str, _now_ms: int) -> Rights:
    own = _own(_object(answers[0]).get("result"), "client_id", key)
    scopes = dict(part.split(":", 1) for part in str(own.get("max_scope", "")).split() if ":" in part)

    def may(scope: str, wanted: set[str]) -> Answer:
        return UNKNOWN if not scopes else YES if scopes.get(scope) in wanted else NO

    writes = {"read_write"}
    return Rights(
        read=any_of([may("trade", {"read", *writes}), may("wallet", {"read", *writes})]),
        trade=any_of([may("trade", writes), may("block_trade", writes)]),
        withdraw=may("wallet", writes),
        transfer=may("wallet", writes),
    )


def _flags(read: str, trade: Sequence[str], withdraw: str) -> Callable[[Sequence[Any], str, int], Rights]:
    def reader(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
        said = _object(answers[0])
        said = _object(said["data"]) if "data" in said else said
        return Rights(
            read=answer(said.get(read)),
            trade=any_of(answer(said.get(name)) for name in trade),
            withdraw=answer(said.get(withdraw)),
        )

    return reader


def _mexc(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    """What the account may not do, no key of it may; what it may, a key need not."""
    said = _object(answers[0])
    return Rights(
        read=YES,
        trade=NO if answer(said.get("canTrade")) == NO else UNKNOWN,
        withdraw=NO if answer(said.get("canWithdraw")) == NO else UNKNOWN,
    )


def _bitflyer(answers: Sequence[Any], _key: str, _now_ms: int) -> Rights:
    paths = _words(answers[0])
    if not paths or not all(path.startswith("/v1/") for path in paths):
        raise GarbledError

    def may(name: str) -> Answer:
        return YES if any(path.startswith(f"/v1/me/{name}") for path in paths) else NO

    return Rights(
        read=may("getbalance"), trade=any_of([may("sendchildorder"), may("sendparentorder")]), withdraw=may("withdraw")
    )


_BINANCE = Endpoint(("sapiGetAccountApiRestrictions",), _binance)
_BYBIT = Endpoint(("privateGetV5UserQueryApi",), _bybit)
_OKX = Endpoint(("privateGetAccountConfig",), _okx)
_KUCOIN = Endpoint(("privateGetUserApiKey",), _kucoin)
_GATE = Endpoint(("privateAccountGetMainKeys",), _gate)

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    **dict.fromkeys(("binance", "binancecoinm", "binanceus", "binanceusdm"), _BINANCE),
    **dict.fromkeys(("bybit", "bybiteu", "bybitid"), _BYBIT),
    **dict.fromkeys(("okx", "okxus", "myokx"), _OKX),
    **dict.fromkeys(("kucoin", "kucoinfutures"), _KUCOIN),
    **dict.fromkeys(("gate", "gateeu"), _GATE),
    "coinbase": Endpoint(("v3PrivateGetBrokerageKeyPermissions",), _coinbase),
    "bitfinex": Endpoint(("privatePostAuthRPermissions",), _bitfinex),
    "kraken": Endpoint(("privatePostGetApiKeyInfo",), _kraken),
    "htx": Endpoint(("spotPrivateGetV2UserUid", "spotPrivateGetV2UserApiKey"), _htx, first_gives="uid"),
    "bitget": Endpoint(("privateSpotGetV2SpotAccountInfo",), _bitget),
    "deribit": Endpoint(("privateGetListApiKeys",), _deribit),
    "lbank": Endpoint(
        ("spotPrivatePostSupplementApiRestrictions",),
        _flags("enableReading", ("enableSpotTrading", "enableFuturesTrading"), "enableWithdrawals"),
    ),
    "mexc": Endpoint(("spotPrivateGetAccount",), _mexc),
    "bitflyer": Endpoint(("privateGetGetpermissions",), _bitflyer),
}
"""Kinds with such a request. For every other one the balance is asked for, and what the key may do is UNKNOWN."""
