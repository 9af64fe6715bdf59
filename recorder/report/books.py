"""The books of the period, summed up by currency. Pure: over what `recorder books` shows."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from recorder.report.facts import EXACT, BookSum, Unexplained

#: Changes that nothing explains are shown at most so many a currency.
CHANGES_SHOWN_MAX = 20
_ZERO = Decimal(0)


def sum_books(books: Iterable[Any]) -> list[BookSum]:
    """Books by account and currency.

    Args:
        books: of one currency over one stretch each, with its amounts and the changes that nothing explains.
    """
    sums: dict[tuple[str, str], BookSum] = {}
    for book in books:
        key = book.account, book.currency
        sums[key] = _added(sums.get(key) or BookSum(*key, 0, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, 0, ()), book)
    return [sums[key] for key in sorted(sums)]


def _added(before: BookSum, book: Any) -> BookSum:
    changes = [Unexplained(change.received_ns, change.amount, change.session_id, change.seq) for change in book.changes]
    return before._replace(
        stretches=before.stretches + 1,
        change=EXACT.add(before.change, book.change),
        realized_pnl=EXACT.add(before.realized_pnl, book.realized_pnl),
        fees=EXACT.add(before.fees, book.fees),
        transfers=EXACT.add(before.transfers, book.transfers),
        unexplained=EXACT.add(before.unexplained, book.unexplained),
        found=before.found + book.found,
        changes=(*before.changes, *changes)[:CHANGES_SHOWN_MAX],
    )
