"""The rows of answers, from whatever frame of a simulated or a recorded account holds a record."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from recorder.model import INVERSE
from recorder.venues.binance.stand_in.frames import Row, encode, text
from recorder.venues.binance.words import parts_of
from recorder.venues.view import Entry, SentState

_CENT8 = Decimal("1E-8")

#: Field of a pushed order → field of the same in an answer.
_ORDER = {
    "i": "orderId",
    "s": "symbol",
    "X": "status",
    "c": "clientOrderId",
    "p": "price",
    "ap": "avgPrice",
    "q": "origQty",
    "z": "executedQty",
    "f": "timeInForce",
    "o": "type",
    "ot": "origType",
    "R": "reduceOnly",
    "cp": "closePosition",
    "S": "side",
    "ps": "positionSide",
    "sp": "stopPrice",
    "wt": "workingType",
    "pP": "priceProtect",
    "pm": "priceMatch",
    "V": "selfTradePreventionMode",
    "gtd": "goodTillDate",
    "AP": "activatePrice",
    "cr": "priceRate",
}
_ALGO = {
    "aid": "algoId",
    "caid": "clientAlgoId",
    "at": "algoType",
    "o": "orderType",
    "s": "symbol",
    "S": "side",
    "ps": "positionSide",
    "f": "timeInForce",
    "q": "quantity",
    "X": "algoStatus",
    "ai": "actualOrderId",
    "ap": "actualPrice",
    "aq": "actualQty",
    "act": "actualType",
    "tp": "triggerPrice",
    "p": "price",
    "V": "selfTradePreventionMode",
    "wt": "workingType",
    "pm": "priceMatch",
    "cp": "closePosition",
    "pP": "priceProtect",
    "R": "reduceOnly",
    "tt": "triggerTime",
    "gtd": "goodTillDate",
}
_FILL = {
    "s": "symbol",
    "t": "id",
    "i": "orderId",
    "S": "side",
    "L": "price",
    "l": "qty",
    "rp": "realizedPnl",
    "n": "commission",
    "N": "commissionAsset",
    "T": "time",
    "ps": "positionSide",
    "m": "maker",
}
_POSITION = {
    "s": "symbol",
    "ps": "positionSide",
    "pa": "positionAmt",
    "ep": "entryPrice",
    "bep": "breakEvenPrice",
    "up": "unRealizedProfit",
    "ma": "marginAsset",
    "iw": "isolatedWallet",
}


def order(state: SentState) -> Row:
    """An order, or a conditional order, which has `algoId`."""
    frame = msgspec.json.decode(state.payload)
    if "e" not in frame:
        return _listed(frame, state.item)
    at_ms = frame["T"]
    if frame["e"] == "ALGO_UPDATE":
        return {**_renamed(frame["o"], _ALGO), "createTime": at_ms, "updateTime": at_ms}
    return {**_renamed(frame["o"], _ORDER), "time": at_ms, "updateTime": frame["o"].get("T", at_ms)}


def fill(state: SentState) -> Row:
    """A fill."""
    frame = msgspec.json.decode(state.payload)
    if "e" not in frame:
        return _listed(frame, state.item)
    return {**_renamed(frame["o"], _FILL), "buyer": frame["o"]["S"] == "BUY"}


def position(state: SentState) -> Row:
    """A position."""
    frame = msgspec.json.decode(state.payload)
    if "e" not in frame:
        return _listed(frame, state.item)
    changes = frame["a"]
    told = changes["P"][state.item - len(changes.get("B") or ())]
    return {
        "breakEvenPrice": "0",
        "markPrice": "0",
        "liquidationPrice": "0",
        **_renamed(told, _POSITION),
        "isolatedMargin": told.get("iw", "0"),
        **_value(told),
        "updateTime": frame["T"],
    }


def _value(told: Row) -> Row:
    """What a pushed position is worth: what it was opened for, and its PnL. COIN-M's contract size is not pushed."""
    if _is_coin_m(told["s"]):
        return {"notionalValue": "0", "marginType": told.get("mt", "")}
    quantity, price, pnl = (Decimal(told.get(name) or 0) for name in ("pa", "ep", "up"))
    return {"notional": text((quantity * price + pnl).quantize(_CENT8))}


def _is_coin_m(symbol: str) -> bool:
    return parts_of(symbol)[2] == INVERSE


def balance(state: SentState) -> Row:
    """A balance. What of it is free was not pushed."""
    frame = msgspec.json.decode(state.payload)
    if "e" not in frame:
        return _listed(frame, state.item)
    told = frame["a"]["B"][state.item]
    return {
        "accountAlias": "",
        "asset": told["a"],
        "balance": told["wb"],
        "crossWalletBalance": told["cw"],
        "crossUnPnl": "0",
        "availableBalance": told["cw"],
        "maxWithdrawAmount": told["cw"],
        "marginAvailable": True,
        "updateTime": frame["T"],
    }


def coin_m_balance(row: Row) -> Row:
    """A balance as COIN-M lists it."""
    told = {name: value for name, value in row.items() if name not in {"maxWithdrawAmount", "marginAvailable"}}
    return {"withdrawAvailable": row.get("maxWithdrawAmount", "0"), **told}


def asset(row: Row) -> Row:
    """A balance as the account has it."""
    return {
        "asset": row["asset"],
        "walletBalance": row["balance"],
        "unrealizedProfit": row["crossUnPnl"],
        "marginBalance": row["balance"],
        "maintMargin": "0",
        "initialMargin": "0",
        "positionInitialMargin": "0",
        "openOrderInitialMargin": "0",
        "crossWalletBalance": row["crossWalletBalance"],
        "crossUnPnl": row["crossUnPnl"],
        "availableBalance": row["availableBalance"],
        "maxWithdrawAmount": row.get("maxWithdrawAmount", row.get("withdrawAvailable", "0")),
        "updateTime": row["updateTime"],
    }


def account_position(row: Row) -> Row:
    """A position as the account has it: with another name for its PnL, and in COIN-M with more of its margin."""
    margin = row.get("isolatedWallet", "0")
    common: Row = {name: row[name] for name in ("symbol", "positionSide", "positionAmt", "updateTime") if name in row}
    common |= {
        "unrealizedProfit": row.get("unRealizedProfit", "0"),
        "initialMargin": row.get("initialMargin", margin),
        "maintMargin": row.get("maintMargin", "0"),
    }
    if not _is_coin_m(row["symbol"]):
        told = {name: row.get(name, "0") for name in ("isolatedMargin", "notional")}
        return {**common, **told, "isolatedWallet": margin}
    names = ("entryPrice", "breakEvenPrice", "notionalValue", "leverage", "maxQty")
    return {
        **common,
        "positionInitialMargin": common["initialMargin"],
        "openOrderInitialMargin": "0",
        "isolated": row.get("marginType") == "isolated",
        **{name: row[name] for name in names if name in row},
    }


def income(entries: Iterable[Entry]) -> Iterator[Row]:
    """The rows of entries, each once: an entry of a simulated account can be two rows."""
    payload, listed = b"", []
    seen: set[bytes] = set()
    for one in entries:
        sent = one.state.payload
        if sent != payload:
            payload, listed = sent, msgspec.json.decode(sent)
        for row in listed:
            key = encode([row["incomeType"], row["tranId"], row["asset"], row["tradeId"]])
            if row["time"] == one.at_ms and key not in seen:
                seen.add(key)
                yield row


def _listed(frame: Any, item: int) -> Row:
    row: Row = frame[item] if isinstance(frame, list) else frame
    return row


def _renamed(fields: Row, to: dict[str, str]) -> Row:
    return {new: fields[old] for old, new in to.items() if old in fields}
