"""What a record has of an account, as REST would answer it: a pushed report has the fields of an order and of a trade.

A served record may have a state only as it was pushed.
"""

from typing import Any

import msgspec

from recorder.venues.view import SentState

Row = dict[str, Any]

#: Field of an answer → letter of the report.
_ORDER = {
    "symbol": "s",
    "orderId": "i",
    "orderListId": "g",
    "clientOrderId": "c",
    "price": "p",
    "origQty": "q",
    "executedQty": "z",
    "cummulativeQuoteQty": "Z",
    "status": "X",
    "timeInForce": "f",
    "type": "o",
    "side": "S",
    "stopPrice": "P",
    "icebergQty": "F",
    "time": "O",
    "updateTime": "T",
    "isWorking": "w",
    "workingTime": "W",
    "origQuoteOrderQty": "Q",
    "selfTradePreventionMode": "V",
}
_TRADE = {
    "symbol": "s",
    "id": "t",
    "orderId": "i",
    "orderListId": "g",
    "price": "L",
    "qty": "l",
    "quoteQty": "Y",
    "commission": "n",
    "commissionAsset": "N",
    "time": "T",
    "isMaker": "m",
    "isBestMatch": "M",
}


def order(state: SentState) -> Row:
    """An order."""
    frame = msgspec.json.decode(state.payload)
    if not _is_push(frame):
        return _row(frame, state)
    report = frame["event"]
    row = {name: report.get(letter) for name, letter in _ORDER.items()}
    if report.get("x") == "CANCELED" and report.get("C"):
        row["clientOrderId"] = report["C"]
    return row


def trade(state: SentState) -> Row:
    """A fill."""
    frame = msgspec.json.decode(state.payload)
    if not _is_push(frame):
        return _row(frame, state)
    report = frame["event"]
    return {**{name: report.get(letter) for name, letter in _TRADE.items()}, "isBuyer": report.get("S") == "BUY"}


def balance(state: SentState) -> tuple[Row, int]:
    """A balance, and when the account was last changed, milliseconds since 1970."""
    frame = msgspec.json.decode(state.payload)
    if _is_push(frame):
        asset = frame["event"]["B"][state.item]
        return {"asset": asset["a"], "free": asset["f"], "locked": asset["l"]}, frame["event"].get("u") or 0
    return frame["balances"][state.item], frame.get("updateTime") or 0


def _is_push(frame: Any) -> bool:
    return isinstance(frame, dict) and "event" in frame


def _row(answer: Any, state: SentState) -> Row:
    """A row of a list, or the one object that an answer is."""
    row: Row = answer[min(state.item, len(answer) - 1)] if isinstance(answer, list) else answer
    return row
