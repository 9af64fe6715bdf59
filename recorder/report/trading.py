"""Orders by status, fills and fees, and the books: exact sums of what `recorder orders`, `fills` and `books` show."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from recorder.model import SELL
from recorder.read.books.books import NamedTransfers
from recorder.read.fills import VENUE
from recorder.read.records import Book, Fill, Transfer, Unexplained
from recorder.report.source import Progress, ReportSource
from recorder.venues.accounting import EXACT

#: Symbols that get a column in the table of orders; the others share one.
SYMBOLS_MAX = 5
#: Unexplained changes that are shown of a currency.
CHANGES_SHOWN_MAX = 20

_ZERO = Decimal(0)
_NOT_REPORTED = "not reported"


class OrderTable(NamedTuple):
    """The orders of an account by status and symbol."""

    account: str
    #: Those with most orders, by name.
    symbols: Sequence[str]
    #: How many other symbols there are.
    others: int
    #: Status → symbol → orders; the symbol None is all others.
    rows: Mapping[str, Mapping[str | None, int]]
    total: int

    def sum_of(self, symbol: str | None) -> int:
        """The orders of all statuses."""
        return sum(row.get(symbol, 0) for row in self.rows.values())


class FillSum(NamedTuple):
    """The fills of a symbol, summed up exactly."""

    account: str
    symbol: str
    currency: str
    fills: int
    bought: Decimal
    sold: Decimal
    #: Negative if rebates exceed fees.
    fee: Decimal
    #: Reported by the venue; the others are derived from updates of the orders.
    reported: int
    #: With an estimated price.
    estimated: int


class BookSum(NamedTuple):
    """The books of a currency: ``change == realized_pnl - fees + transfers + other + unexplained``, exactly."""

    account: str
    currency: str
    #: Periods of full coverage; each has its own books, because what happened in a gap is unknown.
    stretches: int
    change: Decimal
    realized_pnl: Decimal
    fees: Decimal
    transfers: Decimal
    unexplained: Decimal
    #: Unexplained changes, including those that cancel each other out.
    found: int
    #: The first of them.
    changes: Sequence[Unexplained]
    #: Funding, and whatever else is in the venue's ledger.
    other: Decimal = _ZERO


def orders(source: ReportSource) -> list[OrderTable]:
    """For each account, the orders that were updated in the period, by their status at its end."""
    found = []
    for account in source.accounts:
        counts: Counter[tuple[str, str]] = Counter()
        for order in source.counted("orders", source.record.orders(source.of(account))):
            status = order.status or order.venue_status or _NOT_REPORTED
            counts[status, order.symbol or _NOT_REPORTED] += 1
        found.append(order_table(account.name, counts))
    return found


def order_table(account: str, counts: Mapping[tuple[str, str], int]) -> OrderTable:
    """The table of an account, from the number of orders of each status and symbol."""
    by_symbol: Counter[str] = Counter()
    for (_, symbol), number in counts.items():
        by_symbol[symbol] += number
    ranked = sorted(by_symbol, key=lambda symbol: (-by_symbol[symbol], symbol))
    shown = sorted(ranked[:SYMBOLS_MAX])
    rows: dict[str, Counter[str | None]] = {}
    for (status, symbol), number in sorted(counts.items()):
        rows.setdefault(status, Counter())[symbol if symbol in shown else None] += number
    return OrderTable(account, shown, len(ranked) - len(shown), rows, by_symbol.total())


def fills(source: ReportSource) -> list[FillSum]:
    """The fills of the period, by symbol and by the currency of their fees."""
    sums: dict[tuple[str, str, str], FillSum] = {}
    for account in source.accounts:
        for fill in source.counted("fills", source.record.fills(source.of(account))):
            key = account.name, fill.symbol or _NOT_REPORTED, fill.fee_currency or _NOT_REPORTED
            sums[key] = _with_fill(sums.get(key) or FillSum(*key, 0, _ZERO, _ZERO, _ZERO, 0, 0), fill)
    return [sums[key] for key in sorted(sums)]


def _with_fill(total: FillSum, fill: Fill) -> FillSum:
    is_sale = fill.side == SELL
    return total._replace(
        # A fee that changes without a fill has quantity zero.
        fills=total.fills + (fill.quantity != 0),
        bought=total.bought if is_sale else EXACT.add(total.bought, fill.quantity),
        sold=EXACT.add(total.sold, fill.quantity) if is_sale else total.sold,
        fee=EXACT.add(total.fee, fill.fee or _ZERO),
        reported=total.reported + (fill.origin == VENUE),
        estimated=total.estimated + (fill.price_is_estimate and fill.price is not None),
    )


def fees_by_currency(sums: Iterable[FillSum]) -> dict[str, Decimal]:
    """Currency → the fees of all symbols."""
    total: dict[str, Decimal] = {}
    for one in sums:
        total[one.currency] = EXACT.add(total.get(one.currency, _ZERO), one.fee)
    return total


def books(source: ReportSource, transfers: Sequence[Transfer]) -> list[BookSum]:
    """The books of the period, by account and currency."""
    sums: dict[tuple[str, str], BookSum] = {}
    for account in source.accounts:
        named = NamedTransfers(one for one in transfers if one.account == account.name)
        for book in source.record.books(source.of(account), named, partial(_report_share, source.progress)):
            key = book.account, book.currency
            sums[key] = _with_book(sums.get(key) or BookSum(*key, 0, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, 0, ()), book)
    return [sums[key] for key in sorted(sums)]


def _report_share(progress: Progress, share: float) -> None:
    progress("the books, in percent", int(100 * share))


def _with_book(total: BookSum, book: Book) -> BookSum:
    return total._replace(
        stretches=total.stretches + 1,
        change=EXACT.add(total.change, book.change),
        realized_pnl=EXACT.add(total.realized_pnl, book.realized_pnl),
        fees=EXACT.add(total.fees, book.fees),
        transfers=EXACT.add(total.transfers, book.transfers),
        unexplained=EXACT.add(total.unexplained, book.unexplained),
        found=total.found + book.found,
        changes=(*total.changes, *book.changes)[:CHANGES_SHOWN_MAX],
        other=EXACT.add(total.other, EXACT.add(book.funding, book.other)),
    )
