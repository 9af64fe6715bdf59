"""FMex's frames of a simulated account: pushes, and REST answers.

Numbers are bare and keep their digits: a Decimal prints as a Java BigDecimal does, so some have an exponent
(``9.747280117178E-8``, ``0E-18``) and some more digits than a double holds.
"""

from decimal import Decimal

from recorder.model import CANCELED, FILLED, NEW, PARTIALLY_FILLED, PENDING, REJECTED
from recorder.venues.fmex.orders import FILL_OR_KILL, HIDDEN, IMMEDIATE_OR_CANCEL, LIQUIDATION, POST_ONLY
from recorder.venues.simulated import SimulatedBalance, SimulatedOrder, SimulatedPosition

#: Fee rates per BTC of value: of a taker, and of a maker, whose is negative, a rebate.
TAKER_FEE_RATE = Decimal("0.00045")
MAKER_FEE_RATE = Decimal("-0.00025")

#: Margin below which a position is liquidated, per BTC of value (the simulator's choice; the page's sample has 0.1).
MAINTENANCE_RATE = Decimal("0.005")

#: Most contracts that a position may have.
QUANTITY_MAX = 10_000_000


def balance_push(balance: SimulatedBalance, ts: int) -> bytes:
    """A push of topic ``account``."""
    return (
        f'{{"type":"account","account":{{"currency":"BTC","available":{balance.available},"frozen":{balance.locked},'
        f'"position":{balance.margin},"updated_at":{balance.updated_ms}}},"ts":{ts}}}'
    ).encode()


def balance_answer(balance: SimulatedBalance) -> bytes:
    """The answer to a request for the balances."""
    return f'{{"status":0,"data":{{"BTC":[{balance.available},{balance.locked},{balance.margin}]}}}}'.encode()


def order_push(order: SimulatedOrder, ts: int) -> bytes:
    """A push of topic ``order.<symbol>``."""
    return f'{{"type":"order.{order.terms.symbol.lower()}","order":{{{_order(order)}}},"ts":{ts}}}'.encode()


def order_answer(order: SimulatedOrder) -> bytes:
    """The answer to a request for this order."""
    frozen_quantity = order.left if order.locked else 0
    return (
        f'{{"status":0,"data":{{{_order(order)},"sequenceId":{order.id + 1},"maker_fee_rate":{MAKER_FEE_RATE},'
        f'"taker_fee_rate":{TAKER_FEE_RATE},"updated_at":{order.updated_ms},"frozen_margin":{order.locked},'
        f'"frozen_quantity":{frozen_quantity},"hidden":{_flag(order.hidden)}}}}}'
    ).encode()


def position_push(position: SimulatedPosition, ts: int) -> bytes:
    """A push of topic ``position.<symbol>``."""
    inner = _position(position, "risk_level")
    return f'{{"type":"position.{position.terms.symbol.lower()}","position":{{{inner}}},"ts":{ts}}}'.encode()


def position_answer(position: SimulatedPosition) -> bytes:
    """The answer to a request for the positions of an account that has only this one."""
    return (
        f'{{"status":"ok","data":{{"results":[{{{_position(position, "riskLevel")},"max_quantity":{QUANTITY_MAX},'
        f'"closed":{_flag(not position.quantity)}}}]}}}}'
    ).encode()


def features(order: SimulatedOrder) -> int:
    """The flags of an order."""
    return (
        (FILL_OR_KILL if order.time_in_force == "fok" else 0)
        | (IMMEDIATE_OR_CANCEL if order.time_in_force == "ioc" else 0)
        | (POST_ONLY if order.post_only else 0)
        | (HIDDEN if order.hidden else 0)
        | (LIQUIDATION if order.kind == "liquidation" else 0)
    )


def status(order: SimulatedOrder) -> str:
    """The exchange's word for the status of an order."""
    if order.status == CANCELED:
        if order.trigger_price and not order.is_triggered:
            return "STOP_CANCELLED"
        return "PARTIAL_CANCELLED" if order.filled_quantity else "FULLY_CANCELLED"
    return _STATUSES[order.status]


_STATUSES = {
    NEW: "PENDING",
    PARTIALLY_FILLED: "PARTIAL_FILLED",
    FILLED: "FULLY_FILLED",
    PENDING: "STOP_PENDING",
    REJECTED: "STOP_FAILED",
}


def _order(order: SimulatedOrder) -> str:
    direction, triggered_by = ("LONG" if up else "SHORT" for up in (order.side == "buy", order.trigger_rises))
    return (
        f'"id":{order.id},"quantity":{order.quantity},"direction":"{direction}","features":{features(order)},'
        f'"price":{order.price},"fill_price":{order.average_price},"unfilled_quantity":{order.left},'
        f'"symbol":"{order.terms.symbol}","margin_currency":"BTC","fee":{order.fee},"type":"{order.type.upper()}",'
        f'"status":"{status(order)}","trigger_direction":"{triggered_by}","trigger_on":{order.trigger_price},'
        f'"trailing_base_price":{order.trail_base},"trailing_distance":{order.trail_distance},'
        f'"created_at":{order.created_ms}'
    )


def _position(position: SimulatedPosition, risk_level: str) -> str:
    """A position's fields; pushes and REST have different names for the risk level, one step for 10,000 contracts."""
    return (
        f'"symbol":"{position.terms.symbol}","quantity":{position.quantity},"direction":"{position.side.upper()}",'
        f'"leverage":{position.terms.leverage},"{risk_level}":{position.quantity // 10_000},'
        f'"margin":{position.margin},"taker_fee_rate":{TAKER_FEE_RATE},"realized_pnl":{position.realized_pnl},'
        f'"entry_price":{position.entry_price},"liquidation_price":{position.liquidation_price},'
        f'"bankruptcy_price":{position.bankruptcy_price},"minimum_maintenance_margin_rate":{MAINTENANCE_RATE},'
        f'"updated_at":{position.updated_ms}'
    )


def _flag(value: object) -> str:
    return "true" if value else "false"
