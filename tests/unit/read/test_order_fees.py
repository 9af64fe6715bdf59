"""What executions cost: differences of what orders tell, within a stretch, each once."""

from decimal import Decimal

import pytest

from recorder.read.books import updates as module
from recorder.read.books.updates import BookOrder, OrderFees

D = Decimal


def order(
    unfilled: int | None,
    fee: str | None,
    *,
    order_id: int = 1,
    status: str = "new",
    asked: bool = False,
    created: int | None = None,
) -> BookOrder:
    """An update of an order of 10."""
    filled = None if unfilled is None else D(10 - unfilled)
    cost = None if fee is None else D(fee)
    asked_ns = 5 if asked else None
    return BookOrder(0, 1, 0, 0, asked_ns, str(order_id), None, "A", status, filled, cost, "BTC", created)


@pytest.fixture
def fees() -> OrderFees:
    """In the first stretch."""
    fees = OrderFees()
    fees.begin()
    return fees


def test_each_step_costs_what_the_order_tells_beyond_the_last(fees: OrderFees) -> None:
    told = [order(10, "0"), order(7, "0.3"), order(7, "0.3"), order(0, "0.8", status="filled")]
    assert [fees.step(one) for one in told] == [(D(0), 0), (D("0.3"), 1), (D(0), 0), (D("0.5"), 1)]


def test_an_order_that_is_pushed_first_when_it_has_filled(fees: OrderFees) -> None:
    assert fees.step(order(0, "1", status="filled")) == (D(1), 1)


def test_an_id_that_is_used_again_is_another_order(fees: OrderFees) -> None:
    told = [
        order(2, "0.8", status="filled", created=5),
        order(7, "0.3", created=9),
        order(1, "0.9", created=5),  # late news of the first
        order(5, "0.5", created=9),
    ]
    assert [fees.step(one) for one in told] == [(D("0.8"), 1), (D("0.3"), 1), (D("0.1"), 1), (D("0.2"), 1)]


def test_a_rebate_is_negative(fees: OrderFees) -> None:
    assert fees.step(order(5, "-0.25")) == (D("-0.25"), 1)


def test_a_fee_without_a_fill_and_a_fill_without_a_fee(fees: OrderFees) -> None:
    assert [fees.step(one) for one in (order(5, "1"), order(5, "1.5"), order(3, None), order(2, "2"))] == [
        (D(1), 1),
        (D("0.5"), 0),
        (D(0), 1),
        (D("0.5"), 1),
    ]


def test_old_news_costs_nothing(fees: OrderFees) -> None:
    for status in ("new", "filled"):
        assert fees.step(order(2, "0.8", status=status)) is not None
        assert fees.step(order(5, "0.5")) is None
        assert fees.step(order(None, "0.5")) is None


def test_what_filled_in_a_gap_is_not_of_the_stretch(fees: OrderFees) -> None:
    fees.step(order(7, "0.3"))
    fees.begin()
    assert fees.step(order(4, "0.6", asked=True)) is None
    assert fees.step(order(1, "0.9")) == (D("0.3"), 1)
    # Or nobody asked: then what was known before the gap is all there is to compare with.
    fees.begin()
    assert fees.step(order(0, "1")) == (D("0.1"), 1)


def test_an_answer_counts_for_nothing_once_the_order_was_pushed(fees: OrderFees) -> None:
    fees.step(order(7, "0.3"))
    assert fees.step(order(4, "0.6", asked=True)) is None
    assert fees.step(order(4, "0.6")) == (D("0.3"), 1)


def test_what_was_told_in_a_gap_is_known(fees: OrderFees) -> None:
    fees.learn(order(7, "0.3"))
    fees.learn(order(9, "0.1"))
    fees.learn(order(None, "5"))
    assert fees.step(order(5, "0.5")) == (D("0.2"), 1)


def test_only_so_many_ended_orders_are_remembered(fees: OrderFees, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDED_MAX", 5)
    for order_id in range(20):
        fees.step(order(10, "0", order_id=order_id))
        fees.step(order(0, "1", order_id=order_id, status="filled"))
    assert (len(fees._open), [key[0] for key in fees._ended]) == (0, ["15", "16", "17", "18", "19"])
