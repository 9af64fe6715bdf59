"""Recorded orders and fills as the reports from which nautilus_trader reconciles an account.

`pip install 'exchange-recorder[nautilus]'`. Source: nautilus_trader's documentation, "Execution reconciliation". Prices
and quantities keep their digits, because they are passed as text.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from recorder.backtest import needed
from recorder.clock import NS_PER_MS
from recorder.model import (
    CANCELED,
    ENDED,
    EXPIRED,
    FILLED,
    GTD,
    LIMIT,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    PENDING,
    REJECTED,
    UNKNOWN,
)
from recorder.read.reads import RecordReads
from recorder.read.records import ALL, Filter
from recorder.read.scope import labelled_accounts
from recorder.venues import venue_named

EXTRA = "nautilus"

#: Its fixed precision, in decimals.
DECIMALS_MAX = 9

#: Our status → nautilus_trader's.
_STATUSES = {
    PENDING: "ACCEPTED",
    NEW: "ACCEPTED",
    PARTIALLY_FILLED: "PARTIALLY_FILLED",
    FILLED: "FILLED",
    CANCELED: "CANCELED",
    REJECTED: "REJECTED",
    EXPIRED: "EXPIRED",
    ENDED: "CANCELED",
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


def order_status_reports(record: RecordReads, wanted: Filter = ALL, *, venue: str | None = None) -> Iterator[Any]:
    """An `OrderStatusReport` of the latest state of each order.

    Orders without a symbol, a side, a quantity or a known status cannot be reported and are left out.

    Args:
        record: a `Record`, or a record as of an instant.
        wanted: which orders.
        venue: its name in nautilus_trader; None: as its adapter for the account's venue calls it.

    Raises:
        ConfigurationError: nautilus_trader is not installed.
    """
    package, names = _package(), _names(record, venue)
    enums = package.enums
    for order in record.orders(wanted):
        if order.symbol is None or order.side is None or not order.quantity or order.status is None:
            continue
        accepted_ns = order.received_ns if order.created_ms is None else order.created_ms * NS_PER_MS
        changed_ms = order.event_ms if order.updated_ms is None else order.updated_ms
        # A time in force until a date needs the date, which the record does not have.
        in_force = "GTC" if order.time_in_force in {None, GTD} else str(order.time_in_force).upper()
        instrument_id = package.identifiers.InstrumentId.from_str(names(order.account, order.market, order.symbol))
        yield package.reports.OrderStatusReport(
            account_id=_account(package, order.account, instrument_id),
            instrument_id=instrument_id,
            venue_order_id=package.identifiers.VenueOrderId(order.order_id),
            client_order_id=_client_order(package, order.client_order_id),
            order_side=enums.OrderSide[order.side.upper()],
            order_type=enums.OrderType[(order.order_type or LIMIT).upper()],
            time_in_force=enums.TimeInForce[in_force],
            post_only=bool(order.post_only),
            reduce_only=bool(order.reduce_only),
            order_status=enums.OrderStatus[_STATUSES[order.status]],
            quantity=_quantity(package, order.quantity),
            filled_qty=_quantity(package, order.filled_quantity or Decimal(0)),
            price=_price(package, order.price) if order.order_type != MARKET and order.price else None,
            trigger_price=_price(package, order.trigger_price) if order.trigger_price else None,
            trigger_type=enums.TriggerType["DEFAULT" if order.trigger_price else "NO_TRIGGER"],
            avg_px=order.average_price or None,
            report_id=package.uuid.UUID4(),
            ts_accepted=accepted_ns,
            ts_last=order.received_ns if changed_ms is None else changed_ms * NS_PER_MS,
            ts_init=order.received_ns,
        )


def fill_reports(record: RecordReads, wanted: Filter = ALL, *, venue: str | None = None) -> Iterator[Any]:
    """A `FillReport` for each fill with a symbol, a side, a price and a quantity.

    Where the venue gives an execution no id, its `trade_id` is that of its frame, `<session>-<seq>-<item>`. A fee
    without a known currency is left out: the commission is then 0 USD.

    Args:
        record: a `Record`, or a record as of an instant.
        wanted: which fills.
        venue: its name in nautilus_trader; None: as its adapter for the account's venue calls it.

    Raises:
        ConfigurationError: nautilus_trader is not installed.
    """
    package, names = _package(), _names(record, venue)
    for fill in record.fills(wanted):
        if fill.symbol is None or fill.side is None or fill.price is None or not fill.quantity:
            continue
        fee = Decimal(0) if fill.fee is None or fill.fee_currency is None else fill.fee
        side = "NO_LIQUIDITY_SIDE" if fill.liquidity == UNKNOWN else fill.liquidity.upper()
        frame = f"{fill.session_id:x}-{fill.seq}-{fill.item}"
        instrument_id = package.identifiers.InstrumentId.from_str(names(fill.account, fill.market, fill.symbol))
        yield package.reports.FillReport(
            account_id=_account(package, fill.account, instrument_id),
            instrument_id=instrument_id,
            venue_order_id=package.identifiers.VenueOrderId(fill.order_id or frame),
            client_order_id=_client_order(package, fill.client_order_id),
            trade_id=package.identifiers.TradeId(fill.trade_id or frame),
            order_side=package.enums.OrderSide[fill.side.upper()],
            last_qty=_quantity(package, fill.quantity),
            last_px=_price(package, fill.price),
            # Money has the currency's precision: a fee that is exact in the record is rounded here.
            commission=package.objects.Money(fee, package.objects.Currency.from_str(fill.fee_currency or "USD")),
            liquidity_side=package.enums.LiquiditySide[side],
            report_id=package.uuid.UUID4(),
            ts_event=fill.at_ms * NS_PER_MS,
            ts_init=fill.received_ns,
        )


def _names(record: RecordReads, venue: str | None) -> Callable[[str, str | None, str], str]:
    """Account, market and symbol → the instrument's id in nautilus_trader, as text."""
    instrument_of = record.instrument_of()
    with record.reading() as connection:
        venues = {one.label: one.venue for one in labelled_accounts(connection)}

    @cache
    def name(account: str, market: str | None, symbol: str) -> str:
        found = venue_named(venues[account]).nautilus_id(instrument_of(account, market, symbol))
        return found if venue is None else f"{found.rpartition('.')[0]}.{venue}"

    return name


def _account(package: _Package, account: str, instrument_id: Any) -> Any:
    return package.identifiers.AccountId(f"{instrument_id.venue.value}-{account}")


def _client_order(package: _Package, client_order_id: str | None) -> Any:
    return None if client_order_id is None else package.identifiers.ClientOrderId(client_order_id)


def _quantity(package: _Package, value: Decimal) -> Any:
    return package.objects.Quantity.from_str(_digits(value))


def _price(package: _Package, value: Decimal) -> Any:
    return package.objects.Price.from_str(_digits(value))


def _digits(value: Decimal) -> str:
    """A number with no more decimals than nautilus_trader allows; an estimated price may have more."""
    text = f"{value:f}"
    _, _, decimals = text.partition(".")
    return text if len(decimals) <= DECIMALS_MAX else f"{value:.{DECIMALS_MAX}f}"
