"""Books by the ledger, whose entries name no market: a trade is two of them, one of each currency, with its id."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TypeGuard

import pytest

from recorder.model import Transaction, Update
from tests.unit.read.test_ledger_books import Recording, Writer

D = Decimal


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    yield Writer(tmp_path_factory.mktemp("books") / "record.db")


def test_a_trading_account_leaves_nothing_unexplained_and_what_the_ledger_left_out_is_named(writer: Writer) -> None:
    # For longer than a fill and its transactions may be apart.
    recording = Recording("kraken", 5, pushes=2_000)
    books = writer.books(writer.write_recording(recording))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    assert {"BTC", "ETH", "USD"} <= {book.currency for book in books}
    assert sum(abs(book.realized_pnl) for book in books) > 0

    # The dollars of one trade in the middle are missing in the ledger.
    dollars = [one for _, decoded in recording.answered for one in decoded.updates if is_trade_in_dollars(one)]
    lost = dollars[len(dollars) // 2]
    recording.answered = [
        (payload, decoded._replace(updates=tuple(one for one in decoded.updates if one != lost)))
        for payload, decoded in recording.answered
    ]
    changes = [one for book in writer.books(writer.write_recording(recording)) for one in book.changes]
    # The balance that changes without it, and its fill.
    assert {(one.currency, abs(one.amount)) for one in changes} == {("USD", abs(D(lost.amount or 0)))}
    assert lost.trade_id in {one.trade_id for one in changes}


def is_trade_in_dollars(one: Update) -> TypeGuard[Transaction]:
    return isinstance(one, Transaction) and (one.type, one.currency) == ("trade", "USD")
