"""The reckoning itself: every sum is exact, whatever is told; what is old or asked for counts for what it is."""

from collections.abc import Sequence
from decimal import Decimal, Inexact
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import NS_PER_S
from recorder.read.books.books import Books, NamedTransfers
from recorder.read.books.updates import BookBalance, BookOrder, BookPosition, BookSnapshot, BookUpdate
from recorder.read.intervals import Interval
from recorder.read.records import Book
from recorder.venues.accounting import EXACT
from tests.samples import FMEX

D = Decimal
END = 10**6
ALWAYS: list[Interval] = [(0, END * NS_PER_S)]
_seqs = count(1)


def balance(
    at_s: int,
    owned: str | Decimal,
    *,
    session: int = 1,
    asked: int | None = None,
    updated: int | None = None,
    wallet: str | None = None,
) -> BookBalance:
    """An account update."""
    return BookBalance(at_s * NS_PER_S, session, next(_seqs), 0, asked, wallet, "BTC", D(owned), updated)


def position(
    at_s: int,
    realized: str | Decimal,
    quantity: int = 1,
    symbol: str = "A",
    *,
    session: int = 1,
    asked: int | None = None,
    updated: int | None = None,
    side: str | None = None,
) -> BookPosition:
    """A position update."""
    key = at_s * NS_PER_S, session, next(_seqs), 0
    return BookPosition(*key, asked, None, symbol, side, None, D(quantity), D(realized), updated)


def order(
    at_s: int, fee: str | Decimal, unfilled: int, order_id: int = 1, symbol: str = "A", currency: str | None = "BTC"
) -> BookOrder:
    """An order update; of 10."""
    key = at_s * NS_PER_S, 1, next(_seqs), 0
    return BookOrder(*key, None, str(order_id), None, symbol, "new", D(10 - unfilled), D(fee), currency, None)


def told_all(at_s: int) -> BookSnapshot:
    """A round of REST questions is over."""
    return BookSnapshot(at_s * NS_PER_S, 9, 9, 9)


def keep(updates: Sequence[BookUpdate], stretches: Sequence[Interval] = ALWAYS, since_s: int = 0) -> list[Book]:
    """Keep the books."""
    books = Books("main", FMEX.accounting, NamedTransfers())
    return list(books.keep(updates, stretches, since_s * NS_PER_S))


def sums(books: Sequence[Book]) -> list[tuple[object, ...]]:
    """What is told of each: change, realized PnL, fees, unexplained, unsettled."""
    return [(book.change, book.realized_pnl, book.fees, book.unexplained, book.unsettled) for book in books]


def test_a_fill_is_explained_by_its_order_and_its_position() -> None:
    told: list[BookUpdate] = [
        told_all(1),
        balance(2, "10"),
        order(20, "0", 10),
        order(30, "0.25", 5),
        position(30, "-0.25"),
        balance(30, "9.75"),
    ]
    closed: list[BookUpdate] = [order(50, "0.5", 0), position(50, "0.5", 0), balance(50, "10.5")]
    assert sums(keep(told + closed)) == [(D("0.5"), D(1), D("0.5"), 0, 0)]


def test_what_nothing_explains_is_named() -> None:
    (book,) = keep([told_all(1), balance(2, "10"), balance(30, "15"), balance(60, "14")])
    assert [(change.amount, change.received_ns) for change in book.changes] == [
        (D(5), 30 * NS_PER_S),
        (D(-1), 60 * NS_PER_S),
    ]
    assert book.found == 2
    assert book.unexplained == 4


def test_before_all_is_told_a_position_says_nothing_of_what_it_realized() -> None:
    told: list[BookUpdate] = [
        balance(2, "10"),
        position(30, "-7"),
        balance(30, "9"),
        position(60, "-6"),
        balance(60, "10"),
    ]
    first, second = keep(told)
    assert first.change == 0
    assert first.begin_balance == 10
    assert sums([second]) == [(D(1), D(1), 0, 0, 0)]
    assert second.begin_balance == 9


def test_what_a_round_did_not_tell_of_there_was_not() -> None:
    told: list[BookUpdate] = [balance(2, "10"), told_all(3), position(30, "-1"), balance(30, "9")]
    assert sums(keep(told)) == [(D(-1), D(-1), 0, 0, 0)]


def test_an_answer_tells_what_was_before_the_first_push() -> None:
    told: list[BookUpdate] = [
        balance(2, "10", asked=1),
        position(2, "-7", asked=1),
        told_all(3),
        position(30, "-8"),
        balance(30, "9"),
    ]
    assert sums(keep(told)) == [(D(-1), D(-1), 0, 0, 0)]


def test_an_answer_counts_for_nothing_once_there_was_a_push() -> None:
    told: list[BookUpdate] = [told_all(1), balance(2, "10"), position(30, "-1"), balance(30, "9")]
    late: list[BookUpdate] = [balance(60, "10", asked=59), position(60, "0", asked=59)]
    assert keep(told + late) == keep(told)


def test_old_news_of_another_recorder_counts_for_nothing() -> None:
    told: list[BookUpdate] = [
        told_all(1),
        balance(2, "10"),
        position(30, "-1", updated=30),
        balance(30, "9", updated=30),
    ]
    late: list[BookUpdate] = [
        balance(60, "10", session=2, updated=29),
        position(60, "0", session=2, updated=29),
        balance(60, "9", session=2, updated=30),
    ]
    (alone,), (both,) = keep(told), keep(told + late)
    assert both._replace(ends_ns=alone.ends_ns) == alone


def test_a_clock_that_goes_back_does_not_reorder_a_session() -> None:
    told: list[BookUpdate] = [told_all(1), balance(2, "10"), position(30, "-1"), balance(30, "9")]
    newest: list[BookUpdate] = [position(20, "-3"), balance(20, "7")]
    # By the time of receipt the newest come first.
    (book,) = keep(sorted(told + newest, key=lambda update: update[:4]))
    assert book.end_balance == 7
    assert book.unexplained == book.unsettled == 0


def test_parts_that_are_not_told_are_not_taken_for_nothing() -> None:
    missing = balance(30, "1")._replace(balance=None)
    nothing = position(30, "1")._replace(realized_pnl=None)
    told: list[BookUpdate] = [told_all(1), balance(2, "10"), missing, nothing]
    assert sums(keep(told)) == [(0, 0, 0, 0, 0)]


def test_each_stretch_is_reckoned_by_itself() -> None:
    stretches = [(0, 100 * NS_PER_S), (200 * NS_PER_S, 300 * NS_PER_S), (400 * NS_PER_S, END)]
    told: list[BookUpdate] = [
        told_all(1),
        balance(2, "10"),
        order(20, "0.1", 9),
        position(20, "-0.1"),
        balance(20, "9.9"),
    ]
    # In the gap the order fills on, and money comes in.
    told += [order(150, "0.4", 6), position(150, "-0.4"), balance(150, "20")]
    told += [told_all(201), balance(202, "20"), position(202, "-0.4", asked=1), order(220, "0.5", 5)]
    told += [position(220, "-0.5"), balance(220, "19.9")]
    assert sums(keep(told, stretches)) == [(D("-0.1"), 0, D("0.1"), 0, 0)] * 2


def test_a_stretch_that_nothing_is_told_in_has_no_books() -> None:
    assert keep([], ALWAYS) == keep([balance(5, "1")], []) == keep([told_all(1), order(2, "1", 5)]) == []


def test_only_what_came_since_is_told() -> None:
    told: list[BookUpdate] = [told_all(1), balance(2, "10")]
    for at_s in range(20, 200, 10):
        told += [position(at_s, D(at_s)), balance(at_s, D(10 + at_s))]
    (book,) = keep(told, since_s=101)
    assert sums([book]) == [(D(90), D(90), 0, 0, 0)]
    assert book.begins_ns == 100 * NS_PER_S
    assert book.begin_balance == 110
    (book,) = keep(told, since_s=500)
    assert sums([book]) == [(0, 0, 0, 0, 0)]
    assert book.begin_balance == book.end_balance == 200


def test_a_position_counts_in_the_currency_that_its_orders_name() -> None:
    ether = balance(2, "5")._replace(currency="ETH")
    told: list[BookUpdate] = [
        told_all(1),
        balance(2, "10"),
        ether,
        order(20, "0", 10, currency="ETH"),
        position(30, "1"),
    ]
    told.append(ether._replace(received_ns=30 * NS_PER_S, seq=next(_seqs), balance=D(6)))
    bitcoin, eth = keep(told)
    assert (bitcoin.currency, eth.currency) == ("BTC", "ETH")
    assert sums([bitcoin, eth]) == [(0, 0, 0, 0, 0), (1, 1, 0, 0, 0)]


def test_a_position_that_begins_anew_is_read_as_such() -> None:
    told: list[BookUpdate] = [told_all(1), balance(2, "10"), position(20, "-1", 1), balance(20, "9")]
    told += [position(30, "3", 0), balance(30, "13"), position(40, "-1", 1), balance(40, "12")]
    assert sums(keep(told)) == [(D(2), D(2), 0, 0, 0)]
    ever: list[BookUpdate] = [*told[:-2], position(40, "2", 1), balance(40, "12")]
    assert sums(keep(ever)) == [(D(2), D(2), 0, 0, 0)]


def test_both_sides_of_a_hedged_symbol_and_all_wallets_count() -> None:
    told: list[BookUpdate] = [told_all(1), balance(2, "10", wallet="spot"), balance(2, "5", wallet="futures")]
    told += [position(20, "-1", side="long"), balance(20, "4", wallet="futures")]
    told += [position(30, "-2", -1, side="short"), balance(30, "2", wallet="futures")]
    (book,) = keep(told)
    assert sums([book]) == [(D(-3), D(-3), 0, 0, 0)]
    assert (book.begin_balance, book.end_balance) == (D(15), D(12))


#: Whatever a decoder takes: a hundred characters, exponents up to 99.
wild = st.builds(
    lambda digits, exponent, sign: D((sign, tuple(map(int, str(digits))), exponent)),
    st.integers(0, 10**60),
    st.integers(-99, 99),
    st.sampled_from([0, 1]),
)
times = st.integers(2, 60)
updates = st.one_of(
    st.builds(balance, times, wild),
    st.builds(position, times, wild, st.integers(0, 3), st.sampled_from(["A", "B"])),
    st.builds(order, times, wild, st.integers(0, 10), st.integers(1, 3), st.sampled_from(["A", "B"])),
    st.builds(told_all, times),
)


@given(told=st.lists(updates, max_size=40), since_s=st.integers(0, 70))
def test_every_sum_is_exact_whatever_is_told(told: list[BookUpdate], since_s: int) -> None:
    told.sort(key=lambda update: update[:4])
    for book in keep(told, [(0, 20 * NS_PER_S), (25 * NS_PER_S, END)], since_s):
        change = Fraction(book.end_balance) - Fraction(book.begin_balance)
        assert Fraction(book.change) == change
        explained = Fraction(book.realized_pnl) - Fraction(book.fees) + Fraction(book.transfers)
        assert change == explained + Fraction(book.unexplained)
        assert sum(Fraction(one.amount) for one in book.changes) == Fraction(book.unexplained)
        assert book.found == len(book.changes)


def test_a_sum_that_would_lose_a_digit_is_no_sum() -> None:
    with pytest.raises(Inexact):
        EXACT.add(D("1E+300"), D("1E-300"))


@pytest.mark.parametrize("digits", ["1E+99", "1E-99", "123456789.123456789123456789123456789"])
def test_the_last_digit_counts(digits: str) -> None:
    # Far beyond the 28 digits that Python's decimals have unless told.
    told: list[BookUpdate] = [told_all(1), balance(2, "1E+99"), position(20, digits), balance(20, D(digits))]
    wrong: list[BookUpdate] = [*told[:-1], balance(40, "1E-99")]
    (book,) = keep(wrong)
    assert Fraction(book.unexplained) == Fraction(D("1E-99")) - Fraction(D("1E+99")) - Fraction(D(digits))
