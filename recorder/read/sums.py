"""Sums of fees and realized PnL by periods of a calendar. Pure and exact."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_MS
from recorder.model import MAKER, TAKER
from recorder.read.records import Fill, Position

BY_DAY, BY_MONTH, BY_YEAR, BY_ALL = "day", "month", "year", "all"
PERIODS = (BY_DAY, BY_MONTH, BY_YEAR, BY_ALL)

#: How many characters of `2019-12-31` name a period.
_CHARACTERS = {BY_DAY: 10, BY_MONTH: 7, BY_YEAR: 4}
#: The period of an instant that no calendar has: a venue can send nonsense.
NO_PERIOD = "unknown"


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


#: The decoder takes numbers of 100 characters and exponents of 99 at most: no sum of these loses a digit.
_EXACT = Context(prec=500)
_ZERO = Decimal(0)


class Fees(NamedTuple):
    """What an account traded and paid in a period."""

    #: `2019-12-31`, `2019-12`, `2019` or `all`.
    period: str
    account: str
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


class Pnl(NamedTuple):
    """The profit of trading a contract in a period, by the venue's figures."""

    #: `2019-12-31`, `2019-12`, `2019` or `all`.
    period: str
    account: str
    symbol: str | None
    #: Currency of the fees, and so of all amounts.
    currency: str | None
    #: The growth of the venue's own figure, which is net of fees.
    realized_pnl: Decimal
    #: The part known only as a sum over a gap: some of it may belong to the period before.
    over_gaps: Decimal
    #: Fees of the period's fills; None if the venue did not report one of them.
    fee: Decimal | None
    #: The sum of the two: realized before fees; None if a fee is unknown.
    before_fees: Decimal | None
    fills: int
    #: In the venue's unit.
    quantity: Decimal


class Realized(NamedTuple):
    """A change of a position's realized PnL."""

    account: str
    symbol: str
    #: When, by the venue's clock; for the first known state, since when it is known.
    at_ms: int
    #: None: this is the first known state, and what was before is unknown.
    change: Decimal | None
    #: Whether it was reported over REST after a gap, rather than pushed.
    over_gap: bool


#: Period, account, symbol, currency of the fees.
_Key = tuple[str, str, str | None, str | None]


def fees(fills: Iterable[Fill], calendar: Calendar) -> list[Fees]:
    """Sums of fills by period, account, symbol and currency of the fees, in that order."""
    sums: dict[_Key, Fees] = {}
    for fill in fills:
        key = calendar.period(fill.at_ms), fill.account, fill.symbol, fill.fee_currency
        before = sums.get(key) or Fees(*key, 0, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO)
        quantity, fee = fill.quantity, fill.fee or _ZERO
        sums[key] = before._replace(
            fills=before.fills + (quantity > 0),
            quantity=_EXACT.add(before.quantity, quantity),
            fee=_sum(before.fee, fill.fee),
            paid=_EXACT.add(before.paid, max(fee, _ZERO)),
            rebates=_EXACT.subtract(before.rebates, min(fee, _ZERO)),
            maker_quantity=_EXACT.add(before.maker_quantity, quantity if fill.liquidity == MAKER else _ZERO),
            taker_quantity=_EXACT.add(before.taker_quantity, quantity if fill.liquidity == TAKER else _ZERO),
            unknown_quantity=_EXACT.add(
                before.unknown_quantity, _ZERO if fill.liquidity in {MAKER, TAKER} else quantity
            ),
        )
    return [sums[key] for key in sorted(sums, key=lambda key: tuple(part or "" for part in key))]


def realized(
    positions: Iterable[Position], first_rounds: Mapping[str, int], rounds: Mapping[int, int]
) -> Iterator[Realized]:
    """The changes of realized PnL between successive states of each position.

    The figure is the venue's own, and accumulates from the account's first trade in the contract.

    Args:
        positions: every state, in the order in which they came to be.
        first_rounds: account → when its first round of REST requests ended, ns since 1970. A position that was not in
            its answers had realized nothing.
        rounds: key of each round → when it began, ns since 1970.
    """
    seen: dict[tuple[str | None, ...], Decimal] = {}
    for position in positions:
        if position.realized_pnl is None:
            continue
        account, symbol = position.account, position.symbol
        key = account, position.market, symbol, position.position_side, position.position_id
        before = seen.get(key)
        if before is None and first_rounds.get(account, position.received_ns) < position.received_ns:
            before = _ZERO
        seen[key] = position.realized_pnl
        change = None if before is None else _EXACT.subtract(position.realized_pnl, before)
        began_ns = rounds.get(position.session_id)
        if change is not None:
            yield Realized(account, symbol, _at_ms(position), change, over_gap=began_ns is not None)
        else:
            received_ms = (began_ns or position.received_ns) // NS_PER_MS
            known_ms = received_ms if position.event_ms is None else position.event_ms
            yield Realized(account, symbol, known_ms, None, over_gap=False)


def pnl(changes: Iterable[Realized], fills: Iterable[Fill], calendar: Calendar) -> list[Pnl]:
    """Realized PnL and fees by period, account and symbol, in that order.

    Args:
        changes: of realized PnL; read before the fills.
        fills: those before the first known state of their position are left out, because their PnL is unknown.
        calendar: its periods.
    """
    sums: dict[tuple[str, str, str | None], _PnlSum] = {}
    begins_ms: dict[tuple[str, str | None], int] = {}
    for one in changes:
        if one.change is None:
            begins_ms[one.account, one.symbol] = one.at_ms
        elif one.change:
            key = calendar.period(one.at_ms), one.account, one.symbol
            before = sums.get(key, _NOTHING)
            late = one.change if one.over_gap else _ZERO
            sums[key] = _PnlSum(_EXACT.add(before.realized, one.change), _EXACT.add(before.late, late))
    later = (fill for fill in fills if fill.at_ms > begins_ms.get((fill.account, fill.symbol), fill.at_ms - 1))
    rows: list[Pnl] = []
    for paid in fees(later, calendar):
        total = sums.pop(paid[:3], _NOTHING)
        # Fees are part of what is realized, so if there are fills, the sum is known.
        before_fees = None if paid.fee is None else _EXACT.add(total.realized, paid.fee)
        rows.append(Pnl(*paid[:4], total.realized, total.late, paid.fee, before_fees, paid.fills, paid.quantity))
    for of, total in sums.items():
        rows.append(Pnl(*of, None, total.realized, total.late, _ZERO, total.realized, 0, _ZERO))
    return sorted(rows, key=lambda row: tuple(part or "" for part in row[:4]))


class _PnlSum(NamedTuple):
    realized: Decimal
    late: Decimal


_NOTHING = _PnlSum(_ZERO, _ZERO)


def _at_ms(position: Position) -> int:
    """When the state began: by the venue, or else the time of receipt."""
    at_ms = position.event_ms if position.updated_ms is None else position.updated_ms
    return position.received_ns // NS_PER_MS if at_ms is None else at_ms


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else _EXACT.add(one, other)
