"""Renders an account as FMex's REST pages show it. Numbers keep their digits.

Unknown values are left out, never invented: pushes have fewer fields of orders and positions than REST has. Further
fields that REST sent are in `extra`, and are sent again.
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


def balances(updates: Iterable[AccountUpdate]) -> Fields:
    """For each currency: available, frozen by orders, margin of positions."""
    return {
        one.currency: [_number(one.available), _number(one.frozen), _number(one.position_margin)] for one in updates
    }


def order(update: OrderUpdate) -> Fields:
    """An order in REST's form."""
    pushed = {
        "id": update.order_id,
        "quantity": _number(update.quantity),
        "direction": update.direction,
        "features": update.features,
        "price": _number(update.price),
        "fill_price": _number(update.fill_price),
        "unfilled_quantity": _number(update.unfilled_quantity),
        "symbol": update.symbol,
        "margin_currency": update.margin_currency,
        "fee": _number(update.fee),
        "type": update.order_type,
        "status": update.status,
        "trigger_direction": update.trigger_direction,
        "trigger_on": _number(update.trigger_on),
        "trailing_base_price": _number(update.trailing_base_price),
        "trailing_distance": _number(update.trailing_distance),
        "created_at": update.created_at,
    }
    return _known(pushed) | _extra(update.extra, update.ts, "order.")


def position(update: PositionUpdate) -> Fields:
    """A position in REST's form; `closed` if its quantity is 0."""
    pushed = {
        "direction": update.direction,
        "updated_at": update.updated_at,
        "quantity": _number(update.quantity),
        "leverage": _number(update.leverage),
        "riskLevel": update.risk_level,
        "realized_pnl": _number(update.realized_pnl),
        "taker_fee_rate": _number(update.taker_fee_rate),
        "margin": _number(update.margin),
        "bankruptcy_price": _number(update.bankruptcy_price),
        "liquidation_price": _number(update.liquidation_price),
        "entry_price": _number(update.entry_price),
        "symbol": update.symbol,
        "closed": None if update.quantity is None else not Decimal(update.quantity),
        "minimum_maintenance_margin_rate": _number(update.minimum_maintenance_margin_rate),
    }
    return _known(pushed) | _extra(update.extra, update.ts, "position.")


def match(execution: Execution) -> Fields:
    """One execution. `price_is_estimate`, which the exchange does not have, marks a derived price."""
    fill = execution.fill
    fields: Fields = {
        "taker": None if fill.taker is None else bool(fill.taker),
        "price": _number(fill.price),
        "quantity": _number(fill.quantity),
        "fee": _number(fill.fee),
        "created_at": fill.created_at,
    }
    return fields | ({"price_is_estimate": True} if execution.price_is_estimate else {})


def _number(digits: Digits | None) -> Raw | None:
    return None if digits is None else Raw(digits)


def _known(fields: Mapping[str, object]) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _extra(text: str | None, ts: int | None, object_name: str) -> Fields:
    """Undocumented fields. In `extra` of a push (which has a `ts`), those of its object are prefixed with its name."""
    fields = {} if text is None else _read_extra(text)
    if ts is None:
        return dict(fields)
    return {name.removeprefix(object_name): raw for name, raw in fields.items() if name.startswith(object_name)}
