"""Fees and realized PnL, summed up by periods of a calendar: what a year's end asks for. Pure and exact."""

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
#: Of an instant that no calendar has: an exchange can send nonsense once.
NO_PERIOD = "unknown"


class Calendar(NamedTuple):
    """What divides time into periods."""

    #: One of `PERIODS`.
    by: str = BY_DAY
    #: Whose midnight counts.
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
    """What an account traded and paid for it in a period."""

    #: `2019-12-31`, `2019-12`, `2019` or `all`.
    period: str
    account: str
    symbol: str | None
    #: Of the fees.
    currency: str | None
    fills: int
    #: Contracts.
    quantity: Decimal
    #: Paid less rebates; None where the exchange did not tell one of them.
    fee: Decimal | None
    #: What was paid, and what was given back, both above zero.
    paid: Decimal
    rebates: Decimal
    #: Contracts filled as maker, as taker, and of those that nobody told.
    maker_quantity: Decimal
    taker_quantity: Decimal
    unknown_quantity: Decimal


class Pnl(NamedTuple):
    """What trading a contract brought in a period, as the exchange said."""

    #: `2019-12-31`, `2019-12`, `2019` or `all`.
    period: str
    account: str
    symbol: str | None
    #: Of the fees, and so of the rest.
    currency: str | None
    #: By how much the exchange's own figure grew: after fees.
    realized_pnl: Decimal
    #: How much of it is known only as a sum over a gap: some of that may belong to the period before.
    over_gaps: Decimal
    #: Of the period's fills; None where the exchange did not tell one of them.
    fee: Decimal | None
    #: The two together: what was realized before fees; None where a fee is not known.
    before_fees: Decimal | None
    fills: int
    #: Contracts.
    quantity: Decimal


class Realized(NamedTuple):
    """A position's realized PnL has changed."""

    account: str
    symbol: str
    #: When, by the exchange's clock; of a first word, since when it is known.
    at_ms: int
    #: None: the first word of it, and what was before is not known.
    change: Decimal | None
    #: Whether an answer to a question told it, after a gap, rather than a push.
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
    """How realized PnL changed from state to state of each position.

    The figure is the exchange's own, and counts from the account's first trade in the contract.

    Args:
        positions: every state, in the order in which they came to be.
        first_rounds: account → when its first round of questions had been answered, ns since 1970. A position that this
            did not tell of had realized nothing.
        rounds: each round, by its key → when it began, ns since 1970.
    """
    seen: dict[tuple[str, str], Decimal] = {}
    for position in positions:
        if position.realized_pnl is None:
            continue
        key = position.account, position.symbol
        before = seen.get(key)
        if before is None and first_rounds.get(position.account, position.received_ns) < position.received_ns:
            before = _ZERO
        seen[key] = position.realized_pnl
        change = None if before is None else _EXACT.subtract(position.realized_pnl, before)
        began_ns = rounds.get(position.session_id)
        if change is not None:
            yield Realized(*key, _at_ms(position), change, over_gap=began_ns is not None)
        else:
            known_ms = (began_ns or position.received_ns) // NS_PER_MS if position.ts is None else position.ts
            yield Realized(*key, known_ms, None, over_gap=False)


def pnl(changes: Iterable[Realized], fills: Iterable[Fill], calendar: Calendar) -> list[Pnl]:
    """Realized PnL and fees by period, account and symbol, in that order.

    Args:
        changes: of realized PnL; read before the fills.
        fills: those from before the first known state of their position are left out, for their PnL is not known.
        calendar: what divides the time.
    """
    sums: dict[tuple[str, str, str | None], _Sum] = {}
    begins_ms: dict[tuple[str, str | None], int] = {}
    for one in changes:
        if one.change is None:
            begins_ms[one.account, one.symbol] = one.at_ms
        elif one.change:
            key = calendar.period(one.at_ms), one.account, one.symbol
            before = sums.get(key, _NOTHING)
            late = one.change if one.over_gap else _ZERO
            sums[key] = _Sum(_EXACT.add(before.realized, one.change), _EXACT.add(before.late, late))
    later = (fill for fill in fills if fill.at_ms > begins_ms.get((fill.account, fill.symbol), fill.at_ms - 1))
    rows: list[Pnl] = []
    for paid in fees(later, calendar):
        total = sums.pop(paid[:3], _NOTHING)
        # A fee is a part of what is realized, so where there is one the other is known too.
        before_fees = None if paid.fee is None else _EXACT.add(total.realized, paid.fee)
        rows.append(Pnl(*paid[:4], total.realized, total.late, paid.fee, before_fees, paid.fills, paid.quantity))
    for of, total in sums.items():
        rows.append(Pnl(*of, None, total.realized, total.late, _ZERO, total.realized, 0, _ZERO))
    return sorted(rows, key=lambda row: tuple(part or "" for part in row[:4]))


class _Sum(NamedTuple):
    realized: Decimal
    late: Decimal


_NOTHING = _Sum(_ZERO, _ZERO)


def _at_ms(position: Position) -> int:
    """When it came to be so, by the exchange's clock."""
    told = position.ts if position.updated_at is None else position.updated_at
    return position.received_ns // NS_PER_MS if told is None else told


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else _EXACT.add(one, other)
