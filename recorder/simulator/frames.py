"""FMex's frames of a simulated account: pushes, and REST answers.

Numbers are bare and keep their digits: a Decimal prints as a Java BigDecimal does, so some have an exponent
(``9.747280117178E-8``, ``0E-18``) and some more digits than a double holds.
"""

from recorder.simulator.account import SimulatedBalance, SimulatedOrder, SimulatedPosition
from recorder.simulator.contract import MAINTENANCE_RATE, MAKER_FEE_RATE, TAKER_FEE_RATE
from recorder.venues.fmex.orders import HIDDEN

#: Most contracts that a position may have.
QUANTITY_MAX = 10_000_000


def balance_push(balance: SimulatedBalance, ts: int) -> bytes:
    """A push of topic ``account``."""
    return (
        f'{{"type":"account","account":{{"currency":"BTC","available":{balance.available},"frozen":{balance.frozen},'
        f'"position":{balance.position},"updated_at":{balance.updated_at}}},"ts":{ts}}}'
    ).encode()


def balance_answer(balance: SimulatedBalance) -> bytes:
    """The answer to a request for the balances."""
    return f'{{"status":0,"data":{{"BTC":[{balance.available},{balance.frozen},{balance.position}]}}}}'.encode()


def order_push(order: SimulatedOrder, ts: int) -> bytes:
    """A push of topic ``order.<symbol>``."""
    return f'{{"type":"order.{order.symbol.lower()}","order":{{{_order(order)}}},"ts":{ts}}}'.encode()


def order_answer(order: SimulatedOrder) -> bytes:
    """The answer to a request for this order."""
    frozen_quantity = order.unfilled_quantity if order.frozen_margin else 0
    return (
        f'{{"status":0,"data":{{{_order(order)},"sequenceId":{order.id + 1},"maker_fee_rate":{MAKER_FEE_RATE},'
        f'"taker_fee_rate":{TAKER_FEE_RATE},"updated_at":{order.updated_at},"frozen_margin":{order.frozen_margin},'
        f'"frozen_quantity":{frozen_quantity},"hidden":{_flag(order.features & HIDDEN)}}}}}'
    ).encode()


def position_push(position: SimulatedPosition, ts: int) -> bytes:
    """A push of topic ``position.<symbol>``."""
    inner = _position(position, "risk_level")
    return f'{{"type":"position.{position.symbol.lower()}","position":{{{inner}}},"ts":{ts}}}'.encode()


def position_answer(position: SimulatedPosition) -> bytes:
    """The answer to a request for the positions of an account that has only this one."""
    return (
        f'{{"status":"ok","data":{{"results":[{{{_position(position, "riskLevel")},"max_quantity":{QUANTITY_MAX},'
        f'"closed":{_flag(not position.quantity)}}}]}}}}'
    ).encode()


def _order(order: SimulatedOrder) -> str:
    return (
        f'"id":{order.id},"quantity":{order.quantity},"direction":"{order.direction}","features":{order.features},'
        f'"price":{order.price},"fill_price":{order.fill_price},"unfilled_quantity":{order.unfilled_quantity},'
        f'"symbol":"{order.symbol}","margin_currency":"BTC","fee":{order.fee},"type":"{order.type}",'
        f'"status":"{order.status}","trigger_direction":"{order.trigger_direction}","trigger_on":{order.trigger_on},'
        f'"trailing_base_price":{order.trailing_base_price},"trailing_distance":{order.trailing_distance},'
        f'"created_at":{order.created_at}'
    )


def _position(position: SimulatedPosition, risk_level: str) -> str:
    """A position's fields; pushes and REST have different names for the risk level."""
    return (
        f'"symbol":"{position.symbol}","quantity":{position.quantity},"direction":"{position.direction}",'
        f'"leverage":{position.leverage},"{risk_level}":{position.risk_level},"margin":{position.margin},'
        f'"taker_fee_rate":{TAKER_FEE_RATE},"realized_pnl":{position.realized_pnl},'
        f'"entry_price":{position.entry_price},"liquidation_price":{position.liquidation_price},'
        f'"bankruptcy_price":{position.bankruptcy_price},"minimum_maintenance_margin_rate":{MAINTENANCE_RATE},'
        f'"updated_at":{position.updated_at}'
    )


def _flag(value: object) -> str:
    return "true" if value else "false"
