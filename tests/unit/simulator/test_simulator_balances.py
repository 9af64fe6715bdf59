"""The simulated books balance at every step: checked from the pushed frames alone, with arithmetic of their own."""

from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.simulator.books import BooksError
from recorder.simulator.exchange import Exchange
from recorder.venues.fmex.stand_in.face import DEPOSIT, FIRST_DEPOSIT
from tests.depth import examples
from tests.unit.simulator.second_books import Ledger


def check(exchange: Exchange, pushes: int) -> Ledger:
    ledger = Ledger(FIRST_DEPOSIT, DEPOSIT)
    for _, payload in islice(exchange, pushes):
        ledger.take(payload)
    return ledger


@settings(max_examples=examples(20), deadline=None, database=None)
@given(seed=st.integers(0, 2**63))
def test_books_balance_with_any_seed(seed: int) -> None:
    assert check(Exchange(seed), 1_000).fills > 50


@pytest.mark.parametrize("symbols", [("btcusd_p",), ("btcusd_p", "ethusd_p")])
def test_books_balance_through_liquidations(symbols: tuple[str, ...]) -> None:
    ledger = check(Exchange(1, symbols), 15_000)
    assert ledger.fills > 2_000
    assert ledger.liquidated > 1


def test_books_balance_through_deposits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.venues.fmex.stand_in.face.LOW", Decimal("12.79"))
    assert check(Exchange(3), 5_000).deposits > FIRST_DEPOSIT


def test_more_than_the_available_balance_cannot_be_spent() -> None:
    exchange = Exchange(1)
    purse = exchange.purse()
    with pytest.raises(BooksError, match="balance is negative"):
        exchange.engine.books.lock(purse, purse.available + Decimal("1E-18"))


def test_books_that_do_not_balance_stop_the_exchange() -> None:
    exchange = Exchange(1)
    next(exchange)
    exchange.purse().available += Decimal("1E-18")
    with pytest.raises(BooksError, match="do not balance"):
        list(islice(exchange, 100))
