"""Orders by status, and fills and fees summed up exactly: the same reads that `recorder orders` and `fills` show."""

from collections import Counter
from decimal import Decimal

from recorder.read.records import Fill
from recorder.read.trading.fills import VENUE
from recorder.report.facts import FillSum, OrderCount
from recorder.report.reading import Reading
from recorder.venues.base import EXACT

_ZERO = Decimal(0)
_NOT_TOLD = "not told"


def orders(reading: Reading) -> list[OrderCount]:
    """The orders of which something came in the period, by what they were at its end."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for account in reading.accounts:
        for order in reading.counted("orders", reading.record.orders(reading.of(account))):
            counts[account.name, order.symbol or _NOT_TOLD, order.status or _NOT_TOLD] += 1
    return [OrderCount(*key, count) for key, count in sorted(counts.items())]


def fills(reading: Reading) -> list[FillSum]:
    """The fills of the period, by contract and the currency of their fees."""
    sums: dict[tuple[str, str, str], FillSum] = {}
    for account in reading.accounts:
        for fill in reading.counted("fills", reading.record.fills_by_order(reading.of(account))):
            key = account.name, fill.symbol or _NOT_TOLD, fill.fee_currency or _NOT_TOLD
            sums[key] = _added(sums.get(key) or FillSum(*key, 0, _ZERO, _ZERO, _ZERO, 0, 0), fill)
    return [sums[key] for key in sorted(sums)]


def _added(before: FillSum, fill: Fill) -> FillSum:
    is_sale = fill.direction is not None and fill.direction.upper() == "SHORT"
    return before._replace(
        # A fee that changes without a fill is a step of quantity zero.
        fills=before.fills + (fill.quantity != 0),
        bought=before.bought if is_sale else EXACT.add(before.bought, fill.quantity),
        sold=EXACT.add(before.sold, fill.quantity) if is_sale else before.sold,
        fee=EXACT.add(before.fee, fill.fee or _ZERO),
        told=before.told + (fill.origin == VENUE),
        estimated=before.estimated + (fill.price_is_estimate and fill.price is not None),
    )


def fees(sums: list[FillSum]) -> dict[str, Decimal]:
    """Currency → the fees in it, of all contracts."""
    total: dict[str, Decimal] = {}
    for one in sums:
        total[one.currency] = EXACT.add(total.get(one.currency, _ZERO), one.fee)
    return total
