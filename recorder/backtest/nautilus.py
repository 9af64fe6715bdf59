"""Recorded orders and fills as the reports from which nautilus_trader reconciles an account.

`pip install 'exchange-recorder[nautilus]'`. Source: nautilus_trader's documentation, "Execution reconciliation". Prices
and quantities keep their digits, because they are passed as text.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from recorder.backtest import needed
from recorder.clock import NS_PER_MS
from recorder.read.records import Fill, Order

EXTRA = "nautilus"

#: Its fixed precision, in decimals.
DECIMALS_MAX = 9

_SIDES = {"LONG": "BUY", "SHORT": "SELL"}
_TYPES = {"LIMIT": "LIMIT", "MARKET": "MARKET"}
#: FMex's status → nautilus_trader's. Orders with other statuses are left out.
_STATUSES = {
    "STOP_PENDING": "ACCEPTED",
    "PENDING": "ACCEPTED",
    "PARTIAL_FILLED": "PARTIALLY_FILLED",
    "FULLY_FILLED": "FILLED",
    "PARTIAL_CANCELLED": "CANCELED",
    "FULLY_CANCELLED": "CANCELED",
    "STOP_CANCELLED": "CANCELED",
    "STOP_FAILED": "REJECTED",
}


class _Package(NamedTuple):
    """The modules of nautilus_trader that are used."""

    reports: Any
    identifiers: Any
    enums: Any
    objects: Any
    uuid: Any


def _package() -> _Package:
    return _Package(
        needed("nautilus_trader.execution.reports", EXTRA),
        needed("nautilus_trader.model.identifiers", EXTRA),
        needed("nautilus_trader.model.enums", EXTRA),
        needed("nautilus_trader.model.objects", EXTRA),
        needed("nautilus_trader.core.uuid", EXTRA),
    )


def order_status_reports(orders: Iterable[Order], venue: str = "FMEX") -> Iterator[Any]:
    """An `OrderStatusReport` for each order.

    Orders without a symbol, a side, a quantity or a known status cannot be reported and are left out.

    Args:
        orders: `Record.orders()`.
        venue: its name in nautilus_trader.

    Raises:
        ConfigurationError: nautilus_trader is not installed.
    """
    package = _package()
    for order in orders:
        if order.symbol is None or order.direction not in _SIDES or not order.quantity or order.status not in _STATUSES:
            continue
        unfilled = Decimal(0) if order.unfilled_quantity is None else order.unfilled_quantity
        accepted_ns = order.received_ns if order.created_at is None else order.created_at * NS_PER_MS
        limit = order.order_type != "MARKET" and order.price
        yield package.reports.OrderStatusReport(
            account_id=package.identifiers.AccountId(f"{venue}-{order.account}"),
            instrument_id=_instrument(package, order.symbol, venue),
            venue_order_id=package.identifiers.VenueOrderId(str(order.order_id)),
            order_side=package.enums.OrderSide[_SIDES[order.direction]],
            order_type=package.enums.OrderType[_TYPES.get(order.order_type or "", "LIMIT")],
            time_in_force=package.enums.TimeInForce.GTC,
            order_status=package.enums.OrderStatus[_STATUSES[order.status]],
            quantity=_quantity(package, order.quantity),
            filled_qty=_quantity(package, order.quantity - unfilled),
            price=_price(package, order.price) if limit and order.price is not None else None,
            trigger_price=_price(package, order.trigger_on) if order.trigger_on else None,
            trigger_type=package.enums.TriggerType["DEFAULT" if order.trigger_on else "NO_TRIGGER"],
            avg_px=order.fill_price or None,
            report_id=package.uuid.UUID4(),
            ts_accepted=accepted_ns,
            ts_last=order.received_ns if order.ts is None else order.ts * NS_PER_MS,
            ts_init=order.received_ns,
        )


def fill_reports(fills: Iterable[Fill], venue: str = "FMEX") -> Iterator[Any]:
    """A `FillReport` for each fill with a price and a quantity.

    The exchange gives executions no id: a trade's id is that of its frame, `<session>-<seq>-<item>`.

    Args:
        fills: `Record.fills()`.
        venue: its name in nautilus_trader.

    Raises:
        ConfigurationError: nautilus_trader is not installed.
    """
    package = _package()
    for fill in fills:
        if fill.symbol is None or fill.direction not in _SIDES or fill.price is None or not fill.quantity:
            continue
        currency = package.objects.Currency.from_str(fill.fee_currency or "BTC")
        yield package.reports.FillReport(
            account_id=package.identifiers.AccountId(f"{venue}-{fill.account}"),
            instrument_id=_instrument(package, fill.symbol, venue),
            venue_order_id=package.identifiers.VenueOrderId(str(fill.order_id)),
            trade_id=package.identifiers.TradeId(f"{fill.session_id:x}-{fill.seq}-{fill.item}"),
            order_side=package.enums.OrderSide[_SIDES[fill.direction]],
            last_qty=_quantity(package, fill.quantity),
            last_px=_price(package, fill.price),
            # Money has the currency's precision: a fee that is exact in the record is rounded here.
            commission=package.objects.Money(fill.fee or Decimal(0), currency),
            liquidity_side=package.enums.LiquiditySide.NO_LIQUIDITY_SIDE,
            report_id=package.uuid.UUID4(),
            ts_event=fill.received_ns if fill.ts is None else fill.ts * NS_PER_MS,
            ts_init=fill.received_ns,
        )


def _instrument(package: _Package, symbol: str, venue: str) -> Any:
    return package.identifiers.InstrumentId.from_str(f"{symbol}.{venue}")


def _quantity(package: _Package, value: Decimal) -> Any:
    return package.objects.Quantity.from_str(_digits(value))


def _price(package: _Package, value: Decimal) -> Any:
    return package.objects.Price.from_str(_digits(value))


def _digits(value: Decimal) -> str:
    """A number with no more decimals than nautilus_trader allows; an estimated price may have more."""
    text = f"{value:f}"
    _, _, decimals = text.partition(".")
    return text if len(decimals) <= DECIMALS_MAX else f"{value:.{DECIMALS_MAX}f}"
