"""Renders an account in the forms of FMex's REST pages. Numbers keep their digits.

What is not known is left out, never invented: pushes tell less of an order and of a position than REST does. What REST
told besides lies in `extra`, and goes out again.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec
from msgspec import Raw

from recorder.model import AccountUpdate, Digits, OrderUpdate, PositionUpdate
from recorder.venues.stand_in import Execution

_encode = msgspec.json.Encoder().encode
_read_extra = msgspec.json.Decoder(dict[str, Raw]).decode

Fields = dict[str, object]


def answer(status: int | str, data: object) -> bytes:
    """The body of an answer."""
    return _encode({"status": status, "data": data})


def results(status: int | str, items: Iterable[Fields], **more: object) -> bytes:
    """The body of an answer with a list."""
    return answer(status, {**more, "results": list(items)})


def error(status: int, message: str) -> bytes:
    """The body of an HTTP error."""
    return _encode({"status": status, "msg": message})


def balances(told: Iterable[AccountUpdate]) -> Fields:
    """For each currency: available, frozen by orders, margin of positions."""
    return {one.currency: [_number(one.available), _number(one.frozen), _number(one.position_margin)] for one in told}


def order(told: OrderUpdate) -> Fields:
    """An order in REST's form."""
    pushed = {
        "id": told.order_id,
        "quantity": _number(told.quantity),
        "direction": told.direction,
        "features": told.features,
        "price": _number(told.price),
        "fill_price": _number(told.fill_price),
        "unfilled_quantity": _number(told.unfilled_quantity),
        "symbol": told.symbol,
        "margin_currency": told.margin_currency,
        "fee": _number(told.fee),
        "type": told.order_type,
        "status": told.status,
        "trigger_direction": told.trigger_direction,
        "trigger_on": _number(told.trigger_on),
        "trailing_base_price": _number(told.trailing_base_price),
        "trailing_distance": _number(told.trailing_distance),
        "created_at": told.created_at,
    }
    return _known(pushed) | _extra(told.extra, told.ts, "order.")


def position(told: PositionUpdate) -> Fields:
    """A position in REST's form; `closed` if its quantity is 0."""
    pushed = {
        "direction": told.direction,
        "updated_at": told.updated_at,
        "quantity": _number(told.quantity),
        "leverage": _number(told.leverage),
        "riskLevel": told.risk_level,
        "realized_pnl": _number(told.realized_pnl),
        "taker_fee_rate": _number(told.taker_fee_rate),
        "margin": _number(told.margin),
        "bankruptcy_price": _number(told.bankruptcy_price),
        "liquidation_price": _number(told.liquidation_price),
        "entry_price": _number(told.entry_price),
        "symbol": told.symbol,
        "closed": None if told.quantity is None else not Decimal(told.quantity),
        "minimum_maintenance_margin_rate": _number(told.minimum_maintenance_margin_rate),
    }
    return _known(pushed) | _extra(told.extra, told.ts, "position.")


def match(told: Execution) -> Fields:
    """One execution. `price_is_estimate`, which the exchange does not have, marks a derived price."""
    fill = told.fill
    fields: Fields = {
        "taker": None if fill.taker is None else bool(fill.taker),
        "price": _number(fill.price),
        "quantity": _number(fill.quantity),
        "fee": _number(fill.fee),
        "created_at": fill.created_at,
    }
    return fields | ({"price_is_estimate": True} if told.price_is_estimate else {})


def _number(digits: Digits | None) -> Raw | None:
    return None if digits is None else Raw(digits)


def _known(fields: Mapping[str, object]) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _extra(text: str | None, ts: int | None, object_name: str) -> Fields:
    """Undocumented fields. Those in the object of a push (which has a `ts`) have its name as a prefix."""
    told = {} if text is None else _read_extra(text)
    if ts is None:
        return dict(told)
    return {name.removeprefix(object_name): raw for name, raw in told.items() if name.startswith(object_name)}
