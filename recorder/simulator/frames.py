"""Records to text: pushes in the shape and field order of the exchange's page, and the longer forms of REST.

Pure. Numbers are bare and go out with the digits they have: a Decimal's own text, which is a Java BigDecimal's too, so
that some come in exponent form (``9.747280117178E-8``, ``0E-18``) and some with more digits than a double holds.
"""

from recorder.simulator.contract import MAINTENANCE_RATE, MAKER_FEE_RATE, TAKER_FEE_RATE
from recorder.simulator.records import HIDDEN, Balance, Match, Order, Position


def balance_push(balance: Balance, ts: int) -> bytes:
    """A push of topic ``account``."""
    return (
        f'{{"type":"account","account":{{"currency":"BTC","available":{balance.available},"frozen":{balance.frozen},'
        f'"position":{balance.position},"updated_at":{balance.updated_at}}},"ts":{ts}}}'
    ).encode()


def order_push(order: Order, ts: int) -> bytes:
    """A push of topic ``order.<symbol>``."""
    return f'{{"type":"order.{order.symbol.lower()}","order":{{{_order(order)}}},"ts":{ts}}}'.encode()


def position_push(position: Position, ts: int) -> bytes:
    """A push of topic ``position.<symbol>``."""
    return (
        f'{{"type":"position.{position.symbol.lower()}","position":{{"symbol":"{position.symbol}",'
        f'"quantity":{position.quantity},"direction":"{position.direction}","leverage":{position.leverage},'
        f'"risk_level":{position.risk_level},"margin":{position.margin},"taker_fee_rate":{TAKER_FEE_RATE},'
        f'"realized_pnl":{position.realized_pnl},"entry_price":{position.entry_price},'
        f'"liquidation_price":{position.liquidation_price},"bankruptcy_price":{position.bankruptcy_price},'
        f'"minimum_maintenance_margin_rate":{MAINTENANCE_RATE},"updated_at":{position.updated_at}}},"ts":{ts}}}'
    ).encode()


def balance_answer(balance: Balance) -> str:
    """The three amounts of ``GET /v3/contracts/accounts``: free, frozen by orders, margin of positions."""
    return f"[{balance.available},{balance.frozen},{balance.position}]"


def order_answer(order: Order) -> str:
    """An order as REST tells it: as pushed, and more."""
    hidden = "true" if order.features & HIDDEN else "false"
    return (
        f'{{{_order(order)},"sequenceId":{order.id + 1},"maker_fee_rate":{MAKER_FEE_RATE},'
        f'"taker_fee_rate":{TAKER_FEE_RATE},"updated_at":{order.updated_at},"frozen_margin":{order.frozen_margin},'
        f'"frozen_quantity":{order.unfilled_quantity if order.frozen_margin else 0},"hidden":{hidden}}}'
    )


def position_answer(position: Position) -> str:
    """A position as REST tells it."""
    closed = "false" if position.quantity else "true"
    return (
        f'{{"direction":"{position.direction}","updated_at":{position.updated_at},"quantity":{position.quantity},'
        f'"leverage":{position.leverage},"riskLevel":{position.risk_level},"max_quantity":10000000,'
        f'"realized_pnl":{position.realized_pnl},"taker_fee_rate":{TAKER_FEE_RATE},"margin":{position.margin},'
        f'"bankruptcy_price":{position.bankruptcy_price},"liquidation_price":{position.liquidation_price},'
        f'"entry_price":{position.entry_price},"symbol":"{position.symbol}","closed":{closed},'
        f'"minimum_maintenance_margin_rate":{MAINTENANCE_RATE}}}'
    )


def match_answer(match: Match) -> str:
    """One execution as REST tells it; the quantity with a decimal point, as in the exchange's example."""
    taker = "true" if match.taker else "false"
    return (
        f'{{"taker":{taker},"price":{match.price},"quantity":{match.quantity}.0,"fee":{match.fee},'
        f'"created_at":{match.created_at}}}'
    )


def _order(order: Order) -> str:
    return (
        f'"id":{order.id},"quantity":{order.quantity},"direction":"{order.direction}","features":{order.features},'
        f'"price":{order.price},"fill_price":{order.fill_price},"unfilled_quantity":{order.unfilled_quantity},'
        f'"symbol":"{order.symbol}","margin_currency":"BTC","fee":{order.fee},"type":"{order.type}",'
        f'"status":"{order.status}","trigger_direction":"{order.trigger_direction}","trigger_on":{order.trigger_on},'
        f'"trailing_base_price":{order.trailing_base_price},"trailing_distance":{order.trailing_distance},'
        f'"created_at":{order.created_at}'
    )
