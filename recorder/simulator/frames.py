"""Records to text: pushes in the shape and field order of the exchange's page.

Pure. Numbers are bare and go out with the digits they have: a Decimal's own text, which is a Java BigDecimal's too, so
that some come in exponent form (``9.747280117178E-8``, ``0E-18``) and some with more digits than a double holds.
"""

from recorder.simulator.contract import MAINTENANCE_RATE, TAKER_FEE_RATE
from recorder.simulator.records import Balance, Order, Position


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


def _order(order: Order) -> str:
    return (
        f'"id":{order.id},"quantity":{order.quantity},"direction":"{order.direction}","features":{order.features},'
        f'"price":{order.price},"fill_price":{order.fill_price},"unfilled_quantity":{order.unfilled_quantity},'
        f'"symbol":"{order.symbol}","margin_currency":"BTC","fee":{order.fee},"type":"{order.type}",'
        f'"status":"{order.status}","trigger_direction":"{order.trigger_direction}","trigger_on":{order.trigger_on},'
        f'"trailing_base_price":{order.trailing_base_price},"trailing_distance":{order.trailing_distance},'
        f'"created_at":{order.created_at}'
    )
