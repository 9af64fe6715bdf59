"""Sums of fees, funding and realized PnL by periods of a calendar. Pure and exact."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from functools import reduce
from typing import Any, NamedTuple

from recorder.model import MAKER, TAKER

BY_DAY, BY_MONTH, BY_YEAR, BY_ALL = "day", "month", "year", "all"
PERIODS = (BY_DAY, BY_MONTH, BY_YEAR, BY_ALL)

#: How many characters of `2019-12-31` name a period.
_CHARACTERS = {BY_DAY: 10, BY_MONTH: 7, BY_YEAR: 4}
#: The period of an instant that no calendar has: a venue can send nonsense.
NO_PERIOD = "unknown"
#: Before and after every instant that a record has, ms since 1970.
FIRST_MS, END_MS = -(2**63), 2**63 - 1
DAY_MS = 24 * 60 * 60 * 1000
#: The first full day that a calendar has, in any time zone: 0001-01-02.
_CALENDAR_MS = -62_135_510_400_000


def begin_of(at_ms: int, lasts_ms: int) -> int:
    """When the stretch of this length with an instant begins, if they follow each other from 1970 on; ms since 1970."""
    return max(at_ms - at_ms % lasts_ms, FIRST_MS)


class Calendar(NamedTuple):
    """A division of time into periods."""

    #: One of `PERIODS`.
    by: str = BY_DAY
    #: The time zone whose midnight counts.
    zone: tzinfo = UTC

    def period(self, at_ms: int) -> str:
        """The period of an instant in ms since 1970: `2019-12-31`, `2019-12`, `2019` or `all`."""
        if self.by == BY_ALL:
            return BY_ALL
        try:
            day = datetime.fromtimestamp(at_ms // 1000, self.zone)
        except (ValueError, OverflowError, OSError):
            return NO_PERIOD
        return f"{day:%Y-%m-%d}"[: _CHARACTERS[self.by]]

    def end_ms(self, at_ms: int) -> int:
        """When the next period begins after an instant; both in ms since 1970."""
        if self.by == BY_ALL:
            return END_MS
        try:
            day = datetime.fromtimestamp(at_ms // 1000, self.zone).date()
            end = datetime(*_next(day, self.by).timetuple()[:3], tzinfo=self.zone)
            # A clock that is put back repeats an hour.
            return max(int(end.timestamp()) * 1000, at_ms + 1)
        except (ValueError, OverflowError, OSError):
            return END_MS if at_ms > 0 else _CALENDAR_MS


def _next(day: date, by: str) -> date:
    """The first day of the next period."""
    if by == BY_DAY:
        return day + timedelta(days=1)
    if by == BY_YEAR:
        return date(day.year + 1, 1, 1)
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


#: The decoder takes numbers of 100 characters and exponents of 99 at most: no sum of these loses a digit.
_EXACT = Context(prec=500)
_ZERO = Decimal(0)


class Fees(NamedTuple):
    """What an account traded and paid in a period."""

    #: `2019-12-31`, `2019-12`, `2019` or `all`.
    period: str
    account: str
    #: As in `Fill.market`.
    market: str | None
    symbol: str | None
    #: Currency of the fees.
    currency: str | None
    fills: int
    #: In the venue's unit.
    quantity: Decimal
    #: Paid less rebates; None if the venue did not report one of them.
    fee: Decimal | None
    #: Fees paid and rebates received, both above zero.
    paid: Decimal
    rebates: Decimal
    #: Quantities filled as maker, as taker, and as unknown.
    maker_quantity: Decimal
    taker_quantity: Decimal
    unknown_quantity: Decimal


class Funding(NamedTuple):
    """The funding that an account received and paid in a period, by the venue's ledger."""

    #: `2019-12-31`, `2019-12`, `2019` or `all`.
    period: str
    account: str
    #: As in `Transaction.market`.
    market: str | None
    symbol: str | None
    currency: str | None
    payments: int
    #: Received less paid; None if the venue did not report one of them.
    amount: Decimal | None
    #: Both above zero.
    received: Decimal
    paid: Decimal


class Pnl(NamedTuple):
    """The profit of trading a contract in a period, by the venue's figures."""

    #: `2019-12-31`, `2019-12`, `2019` or `all`.
    period: str
    account: str
    #: As in `Fill.market`.
    market: str | None
    symbol: str | None
    #: Of all amounts.
    currency: str | None
    #: Before fees and funding; None if a fee in the figure is unknown, or if a fill came without PnL, as on spot.
    realized_pnl: Decimal | None
    #: The part known only as a sum over a gap, after fees: some of it may belong to the period before.
    over_gaps: Decimal
    #: Fees of the period's fills; None if the venue did not report one of them.
    fee: Decimal | None
    #: Received less paid; None if the venue reports none, or not its amount.
    funding: Decimal | None
    #: Realized less fees and with funding; None if one of them is unknown.
    net_pnl: Decimal | None
    fills: int
    #: In the venue's unit.
    quantity: Decimal


class Total(NamedTuple):
    """Sums of some fills and of some payments of funding. Each field is a number of things, or an amount."""

    #: Fills, and those that did not only change a fee.
    trades: int = 0
    fills: int = 0
    fees_unknown: int = 0
    #: The fills with a realized PnL.
    pnls: int = 0
    quantity: Decimal = _ZERO
    maker_quantity: Decimal = _ZERO
    taker_quantity: Decimal = _ZERO
    #: Fees, and rebates.
    paid: Decimal = _ZERO
    rebates: Decimal = _ZERO
    #: Before fees, as venues report it with a fill.
    realized_pnl: Decimal = _ZERO
    #: Payments of funding, and those without an amount.
    payments: int = 0
    amounts_unknown: int = 0
    funding_received: Decimal = _ZERO
    funding_paid: Decimal = _ZERO

    @property
    def fee(self) -> Decimal | None:
        """Paid less rebates; None if one is not known."""
        return None if self.fees_unknown else _EXACT.subtract(self.paid, self.rebates)

    @property
    def funding(self) -> Decimal | None:
        """Received less paid; None if an amount is not known."""
        return None if self.amounts_unknown else _EXACT.subtract(self.funding_received, self.funding_paid)

    def with_other(self, other: "Total", times: int = 1) -> "Total":
        """The sums of both.

        Args:
            other: of other fills and payments.
            times: -1: of some of these, which are taken out.
        """
        add: Callable[[Decimal, Decimal], Decimal] = _EXACT.add if times > 0 else _EXACT.subtract
        both: Iterable[tuple[Any, Any]] = zip(self, other, strict=True)
        return Total._make(mine + times * its if isinstance(its, int) else add(mine, its) for mine, its in both)

    def of_funding(self) -> "Total":
        """The sums of the payments alone."""
        return Total(
            payments=self.payments,
            amounts_unknown=self.amounts_unknown,
            funding_received=self.funding_received,
            funding_paid=self.funding_paid,
        )


NOTHING = Total()


def traded(fill: Any) -> Total:
    """The sums of one fill.

    Args:
        fill: a `Fill`, or a row of `trades`.
    """
    quantity, fee = fill.quantity, fill.fee or _ZERO
    by_maker = quantity if fill.liquidity == MAKER else _ZERO
    by_taker = quantity if fill.liquidity == TAKER else _ZERO
    return Total(
        1,
        int(quantity > 0),
        int(fill.fee is None),
        int(fill.realized_pnl is not None),
        quantity,
        by_maker,
        by_taker,
        max(fee, _ZERO),
        max(fee.copy_negate(), _ZERO),
        fill.realized_pnl or _ZERO,
    )


def paid(amount: Decimal | None) -> Total:
    """The sums of one payment of funding.

    Args:
        amount: above zero if it was received; None if it is not known.
    """
    change = amount or _ZERO
    return Total(
        payments=1,
        amounts_unknown=int(amount is None),
        funding_received=max(change, _ZERO),
        funding_paid=max(change.copy_negate(), _ZERO),
    )


class PeriodKey(NamedTuple):
    """What sums are of."""

    period: str
    account: str
    #: As in `Fill.market`.
    market: str | None
    symbol: str | None
    #: Of the fees and of the funding.
    currency: str | None


class PeriodSums(defaultdict[PeriodKey, Total]):
    """Sums by period, account, market, symbol and currency."""

    def __init__(self) -> None:
        super().__init__(lambda: NOTHING)

    def add(self, key: PeriodKey, more: Total, times: int = 1) -> None:
        """Add sums, or with -1 `times` take them out."""
        self[key] = self[key].with_other(more, times)

    def fees(self) -> list[Fees]:
        """A row for each key with fills, in their order."""
        found = []
        for key in sorted((key for key, one in self.items() if one.trades), key=_parts):
            one = self[key]
            unknown = reduce(_EXACT.subtract, (one.quantity, one.maker_quantity, one.taker_quantity))
            by_liquidity = one.maker_quantity, one.taker_quantity, unknown
            found.append(Fees(*key, one.fills, one.quantity, one.fee, one.paid, one.rebates, *by_liquidity))
        return found

    def funding(self) -> list[Funding]:
        """A row for each key with payments, in their order."""
        found = sorted((key for key, one in self.items() if one.payments), key=_parts)
        return [
            Funding(*key, one.payments, one.funding, one.funding_received, one.funding_paid)
            for key, one in ((key, self[key]) for key in found)
        ]


class Realized(NamedTuple):
    """How the venue's own figure of realized PnL grew."""

    total: Decimal = _ZERO
    #: The part that was reported over REST after a gap.
    over_gaps: Decimal = _ZERO

    def with_other(self, other: "Realized") -> "Realized":
        """The sums of both."""
        return Realized(_EXACT.add(self.total, other.total), _EXACT.add(self.over_gaps, other.over_gaps))


#: Period, account, market and symbol.
RealizedKey = tuple[str, str, str | None, str | None]
#: The sum of the positions of each.
RealizedSums = Mapping[RealizedKey, Realized]


def growth(after: Decimal, before: Decimal) -> Decimal:
    """By how much a figure grew, exactly."""
    return _EXACT.subtract(after, before)


def pnl_of_figures(realized: RealizedSums, fees: Iterable[Fees]) -> list[Pnl]:
    """Profit by a figure of the venue that contains the fees, and the funding if there is any.

    Args:
        realized: by how much the figure grew in each period.
        fees: of the fills since the first known state of each position: what earlier ones realized is unknown.
    """
    left = dict(realized)
    rows: list[Pnl] = []
    for paid in fees:
        net, over_gaps = left.pop(paid[:4], Realized())
        before_fees = None if paid.fee is None else _EXACT.add(net, paid.fee)
        rows.append(Pnl(*paid[:5], before_fees, over_gaps, paid.fee, None, net, paid.fills, paid.quantity))
    for of, (net, over_gaps) in left.items():
        if net or over_gaps:
            rows.append(Pnl(*of, None, net, over_gaps, _ZERO, None, net, 0, _ZERO))
    return rows


def pnl_of_fills(sums: PeriodSums, settles: Mapping[tuple[str, str], str], gains_in: Collection[str] = ()) -> list[Pnl]:
    """Profit by what the venue reports with each fill, before fees, and by the funding in its ledger.

    Args:
        sums: of the fills and the funding.
        settles: market and symbol → the currency in which it gains and loses; without one, that of the fees.
        gains_in: currencies of fees in which fills gain and lose, too (`Accounting.gains_in`).
    """
    rows: dict[PeriodKey, Pnl] = {}
    incomplete: set[PeriodKey] = set()

    def row(key: PeriodKey) -> Pnl:
        return rows.get(key) or Pnl(*key, _ZERO, _ZERO, _ZERO, _ZERO, None, 0, _ZERO)

    def gains(key: PeriodKey) -> PeriodKey:
        if key.currency in gains_in:
            return key
        return key._replace(currency=settles.get((key.market or "", key.symbol or ""), key.currency))

    for key, one in sums.items():
        if one.trades:
            rows[key] = row(key)._replace(fee=one.fee, fills=one.fills, quantity=one.quantity)
        if one.payments:
            rows[key] = row(key)._replace(funding=one.funding)
        if one.pnls:
            realized = _EXACT.add(row(gains(key)).realized_pnl or _ZERO, one.realized_pnl)
            rows[gains(key)] = row(gains(key))._replace(realized_pnl=realized)
        if one.pnls < one.fills:
            incomplete.add(gains(key))
    known = (one._replace(realized_pnl=None) if gains(key) in incomplete else one for key, one in rows.items())
    return [one._replace(net_pnl=_net(one)) for one in known]


def _net(one: Pnl) -> Decimal | None:
    if one.realized_pnl is None or one.fee is None or one.funding is None:
        return None
    return _EXACT.add(_EXACT.subtract(one.realized_pnl, one.fee), one.funding)


def in_order(rows: Iterable[Pnl]) -> list[Pnl]:
    """Rows by period, account, market, symbol and currency."""
    return sorted(rows, key=lambda row: _parts(row[:5]))


def _parts(key: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(part or "" for part in key)
