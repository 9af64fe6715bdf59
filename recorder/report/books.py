"""The books of the period, summed up by currency: over what `recorder books` shows, a stretch of full coverage each."""

from collections.abc import Iterable
from decimal import Decimal

from recorder.read.records import Book
from recorder.report.facts import BookSum
from recorder.venues.base import EXACT

#: Changes that nothing explains are shown at most so many a currency.
CHANGES_SHOWN_MAX = 20
_ZERO = Decimal(0)


def sum_books(books: Iterable[Book]) -> list[BookSum]:
    """Books by account and currency. Pure."""
    sums: dict[tuple[str, str], BookSum] = {}
    for book in books:
        key = book.account, book.currency
        sums[key] = _added(sums.get(key) or BookSum(*key, 0, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, 0, ()), book)
    return [sums[key] for key in sorted(sums)]


def _added(before: BookSum, book: Book) -> BookSum:
    return before._replace(
        stretches=before.stretches + 1,
        change=EXACT.add(before.change, book.change),
        realized_pnl=EXACT.add(before.realized_pnl, book.realized_pnl),
        fees=EXACT.add(before.fees, book.fees),
        transfers=EXACT.add(before.transfers, book.transfers),
        unexplained=EXACT.add(before.unexplained, book.unexplained),
        found=before.found + book.found,
        changes=(*before.changes, *book.changes)[:CHANGES_SHOWN_MAX],
    )
