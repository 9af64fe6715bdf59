"""The rows of answers about an account, from what was sent of it: answers have them, and of pushes they are made."""

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from recorder.model import LIMIT, AccountUpdate, FillUpdate, OrderUpdate, Update
from recorder.venues.kraken import answers
from recorder.venues.kraken.decode import decode
from recorder.venues.kraken.names import FIAT, TOKENIZED, symbol
from recorder.venues.kraken.stand_in.frames import Row, decimals, seconds
from recorder.venues.kraken.stand_in.spelling import alternative, code_of, pair_of
from recorder.venues.view import SentState

#: The name of a row, and the row.
Named = tuple[str, Any]
Rows = list[Named]
RowOf = Callable[[SentState], Named]

_STATUSES = {"filled": "closed", "canceled": "canceled", "expired": "expired"}

#: Numbers keep their digits.
_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _row(state: SentState, place: Collection[str]) -> Named | None:
    """The row of an answer that holds it; None: it was pushed."""
    if not state.topic.startswith("POST "):
        return None
    rows = _read(_read(state.payload)["result"])
    inner = next((name for name in place if name in rows), None)
    if inner is not None:
        rows = _read(rows[inner])
    return list(rows.items())[state.item]


def _update(state: SentState) -> Update:
    is_answer = state.topic.startswith("POST ")
    decoded = answers.decode_answer(state.topic, state.payload) if is_answer else decode(state.payload)
    return decoded.updates[state.item]


def balance(state: SentState) -> Named:
    """A balance. What pushes do not tell is 0."""
    held = _update(state)
    assert isinstance(held, AccountUpdate)
    row = {"balance": held.balance or "0", "hold_trade": held.locked or "0"}
    return code_of(held.currency, held.wallet), row


def order(state: SentState) -> Named:
    """An order. A push has only what changed."""
    row = _row(state, ("open", "closed"))
    if row is not None:
        return row
    pushed = _update(state)
    assert isinstance(pushed, OrderUpdate)
    limit = pushed.price or "0"
    first, second = (pushed.trigger_price, limit) if pushed.trigger_price else (limit, "0")
    made: Row = {
        "refid": None,
        "userref": 0,
        "status": _STATUSES.get(pushed.status or "", "open"),
        "opentm": seconds(pushed.created_ms),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": alternative(pushed.symbol or ""),
            "type": pushed.side or "",
            "ordertype": pushed.order_type or LIMIT,
            "price": first,
            "price2": second,
            "leverage": "none",
            "order": "",
            "close": "",
        },
        "vol": pushed.quantity or "0",
        "vol_exec": pushed.filled_quantity or "0",
        "cost": "0",
        "fee": pushed.fee or "0",
        "price": pushed.average_price or "0",
        "stopprice": pushed.trigger_price or "0",
        "limitprice": "0",
        "misc": "",
        "oflags": "post,fciq" if pushed.post_only else "fciq",
    }
    if pushed.client_order_id is not None:
        made["cl_ord_id"] = pushed.client_order_id
    if pushed.status in _STATUSES:
        made |= {"reason": pushed.reason, "closetm": seconds(pushed.updated_ms)}
    return pushed.order_id, made


def trade(state: SentState) -> Named:
    """A trade."""
    row = _row(state, ("trades",))
    if row is not None:
        return row
    pushed = _update(state)
    assert isinstance(pushed, FillUpdate)
    cost = Decimal(pushed.price or 0) * Decimal(pushed.quantity or 0)
    return pushed.trade_id or "", {
        "ordertxid": pushed.order_id or "",
        "postxid": "",
        "pair": pair_of(pushed.symbol or ""),
        "time": seconds(pushed.executed_ms),
        "type": pushed.side or "",
        "ordertype": LIMIT,
        "price": pushed.price or "0",
        "cost": f"{cost:f}",
        "fee": pushed.fee or "0",
        "vol": pushed.quantity or "0",
        "margin": "0",
        "misc": "",
        "maker": pushed.liquidity == "maker",
    }


def entry(state: SentState) -> Named:
    """An entry of the ledger, which only answers tell."""
    row = _row(state, ("ledger",))
    assert row is not None
    return row


def is_of_shares(state: SentState) -> bool:
    """Whether an entry of the ledger is of a tokenized asset."""
    # Most pages have none, and need not be read.
    return TOKENIZED.encode() in state.payload and bytes(_read(entry(state)[1])["aclass"]) == f'"{TOKENIZED}"'.encode()


def closed_ms(row: Any) -> int:
    """When an order ended, milliseconds since 1970."""
    told = row if isinstance(row, dict) else _read(row)
    return int(Decimal(bytes(told.get("closetm", b"0")).decode()) * 1000)


def named(pairs: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """Those of the pairs that are wanted, under any of their names."""
    spelled = {symbol(one) for one in wanted}
    return {name: row for name, row in pairs.items() if symbol(name) in spelled}


def asset(coin: str) -> Row:
    """A currency of the public list."""
    return {
        "aclass": "currency",
        "altname": alternative(coin),
        "decimals": decimals(coin),
        "display_decimals": 2 if coin in FIAT else 5,
        "status": "enabled",
    }


def key_info() -> Row:
    """What the key may do: query."""
    return {
        "api_key_name": "recorder",
        "permissions": [
            "query-funds",
            "query-open-trades",
            "query-closed-trades",
            "query-ledger",
            "create-ws-token",
        ],
        "nonce_window": "0",
        "query_from": "0",
        "query_to": "0",
        "valid_until": "0",
        "ip_allowlist": [""],
    }
