"""Fills from successive updates of an order: the sums are exact, whatever the history."""

from decimal import Context, Decimal
from fractions import Fraction
from itertools import count, pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.read.fills import fills
from recorder.read.records import Fill, Order

_numbers = count()


def order(quantity: Any = 10, unfilled: Any = 10, average: Any = None, fee: Any = "0", **other: Any) -> Order:
    """An update of an order."""
    number = next(_numbers)
    told = dict.fromkeys(Order._fields) | {
        "account": "main",
        "received_ns": number,
        "order_id": "1",
        "quantity": exact(quantity),
        "filled_quantity": None if quantity is None or unfilled is None else Decimal(quantity) - Decimal(unfilled),
        "average_price": exact(average),
        "fee": exact(fee),
        "session_id": 1,
        "seq": number,
        "item": 0,
    }
    return Order(**(told | other))  # type: ignore[arg-type]


def exact(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def steps(*updates: Order) -> list[tuple[Any, ...]]:
    """Quantity, price, fee and whether the price is an estimate, of each step."""
    return [(fill.quantity, fill.price, fill.fee, fill.price_is_estimate) for fill in fills(updates)]


def test_an_order_that_does_not_fill_has_none() -> None:
    assert steps(order(status="new"), order(status="canceled")) == []


def test_the_first_price_is_certain_and_a_later_one_an_estimate() -> None:
    updates = (order(), order(10, 6, "9000", "0.1"), order(10, 3, "9003", "0.175"), order(10, 0, "9003", "0.25"))
    assert steps(*updates) == [
        (4, Decimal(9000), Decimal("0.1"), False),
        (3, Decimal(9007), Decimal("0.075"), True),
        (3, Decimal(9003), Decimal("0.075"), True),
    ]


def test_an_id_that_is_used_again_is_another_order() -> None:
    first, second = {"created_ms": 5}, {"created_ms": 9}
    updates = (
        order(10, 2, "9000", "0.8", **first),
        order(10, 7, "9100", "0.3", **second),
        order(10, 0, "9001", "1", **first),  # late news of the first
        order(10, 6, "9100", "0.4", **second),
    )
    assert steps(*updates) == [
        (8, Decimal(9000), Decimal("0.8"), False),
        (3, Decimal(9100), Decimal("0.3"), False),
        (2, Decimal(9005), Decimal("0.2"), True),
        (1, Decimal(9100), Decimal("0.1"), True),
    ]


def test_a_first_price_keeps_its_digits() -> None:
    digits = "9000.123456789012345678901234567890"
    ((_, price, _, _),) = steps(order(10, 0, digits))
    assert str(price) == digits


def test_a_fill_says_whose_and_when_it_was() -> None:
    of = {"client_order_id": "c", "market": "linear", "symbol": "A", "side": "buy", "position_side": "long"}
    update = order(10, 0, "9000", "0.1", event_ms=5, order_type="limit", fee_currency="BTC", **of)
    (fill,) = fills([update])
    expected = dict.fromkeys(Fill._fields) | of
    expected |= {"account": "main", "received_ns": update.received_ns, "event_ms": 5, "order_id": "1"}
    expected |= {"order_type": "limit", "price": Decimal(9000), "quantity": Decimal(10), "fee": Decimal("0.1")}
    expected |= {"fee_currency": "BTC", "price_is_estimate": False, "origin": "derived", "liquidity": "unknown"}
    assert fill._asdict() == expected | {"session_id": 1, "seq": update.seq, "item": 0, "at_ms": 5}


def test_a_fill_happened_when_the_venue_says_or_else_when_it_was_received() -> None:
    own = order(10, 0, "9000", "0", event_ms=5, updated_ms=4)
    pushed = order(10, 0, "9000", "0", event_ms=5)
    silent = order(10, 0, "9000", "0", received_ns=7_999_999)
    assert [next(fills([one])).at_ms for one in (own, pushed, silent)] == [4, 5, 7]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, "unknown"),
        ({"order_type": "limit", "time_in_force": "gtc", "post_only": 0}, "unknown"),
        ({"order_type": "limit", "post_only": 1}, "maker"),
        ({"order_type": "market"}, "taker"),
        ({"time_in_force": "ioc"}, "taker"),
        ({"time_in_force": "fok"}, "taker"),
    ],
)
def test_an_order_s_terms_say_who_made_the_market_where_they_leave_no_choice(
    terms: dict[str, Any], expected: str
) -> None:
    (fill,) = fills([order(10, 0, "9000", "0", **terms)])
    assert fill.liquidity == expected


def test_what_is_told_twice_or_late_is_no_step() -> None:
    one, two = order(10, 6, "9000", "0.1"), order(10, 3, "9003", "0.175")
    assert steps(one, one, two, two, one, order(), two) == steps(one, two)


def test_orders_and_accounts_are_kept_apart() -> None:
    updates = [order(10, 5, "1", order_id=number, account=account) for number in "12" for account in ("main", "other")]
    assert [fill.quantity for fill in fills(updates + updates)] == [5, 5, 5, 5]


def test_a_fee_that_changes_without_a_fill_is_a_step_of_its_own() -> None:
    assert steps(order(10, 5, "1", "0.5"), order(10, 5, "1", "0.4"), order(10, 5, "1", "0.40")) == [
        (5, Decimal(1), Decimal("0.5"), False),
        (0, None, Decimal("-0.1"), True),
    ]


def test_what_is_not_told_is_not_guessed() -> None:
    assert steps(order(None, 5), order(10, None)) == []
    assert steps(order(10, 5, None, None), order(10, 0, "2", "0.5")) == [
        (5, None, None, False),
        (5, None, Decimal("0.5"), True),
    ]
    assert steps(order(10, 5, "2", "0.5"), order(10, 0, None, None)) == [
        (5, Decimal(2), Decimal("0.5"), False),
        (5, None, None, True),
    ]


def test_a_rebate_is_negative() -> None:
    assert [fee for _, _, fee, _ in steps(order(10, 5, "1", "-0.001"), order(10, 0, "1", "-0.0025"))] == [
        Decimal("-0.001"),
        Decimal("-0.0015"),
    ]


class Execution(NamedTuple):
    """What really happened to an order, once."""

    quantity: int
    price: Decimal
    fee: Decimal
    #: The fee is corrected afterwards by so much.
    correction: Decimal


fees = st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=18)
executions = st.lists(
    st.builds(
        Execution,
        st.integers(1, 10**6),
        st.decimals("0.5", "100000", places=1),
        fees,
        st.just(Decimal(0)) | fees,
    ),
    min_size=1,
    max_size=8,
)


@given(executions, st.integers(0, 10**6), st.data())
def test_sums_of_steps_are_what_the_order_says_exactly(
    history: list[Execution], never_filled: int, data: st.DataObject
) -> None:
    quantity = sum(one.quantity for one in history) + never_filled
    told: list[Order] = [order(quantity, quantity)]
    filled, fee, value = 0, Decimal(0), Fraction(0)
    for one in history:
        # Whatever was told before may be told again, late; and what was told last, at once.
        told += data.draw(st.lists(st.sampled_from([late for late in told if _filled(late) < filled] or told[-1:])))
        filled, fee = filled + one.quantity, fee + one.fee
        value += one.quantity * Fraction(one.price)
        average = Decimal(value.numerator * 10**20 // (value.denominator * filled)).scaleb(-20)
        told.append(order(quantity, quantity - filled, average, fee))
        if one.correction:
            fee += one.correction
            told.append(order(quantity, quantity - filled, average, fee))
        told += [told[-1]] * data.draw(st.integers(0, 2))
    found = list(fills(told))
    assert sum(fill.quantity for fill in found) == filled
    assert sum(fill.fee for fill in found if fill.fee is not None) == fee
    real = [fill for fill in found if fill.quantity]
    assert [fill.quantity for fill in real] == [one.quantity for one in history]
    assert [fill.price_is_estimate for fill in real] == [False] + [True] * (len(real) - 1)
    for fill, one in zip(real, history, strict=True):
        assert fill.price is not None
        assert abs(fill.price - one.price) <= Decimal("1e-3")


def _filled(update: Order) -> Decimal:
    assert update.filled_quantity is not None
    return update.filled_quantity


#: As wide as what the decoder takes.
wide = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(1, 10**90),
    st.integers(-99, 99),
)


@given(st.lists(wide, min_size=2, max_size=4, unique=True))
@example([Decimal("1e99"), Decimal("1e-99")])
@example([Decimal(10**90).scaleb(99), Decimal(3).scaleb(-99), Decimal(1).scaleb(-99)])
def test_no_digit_is_rounded_away(numbers: list[Decimal]) -> None:
    filled = sorted(numbers)
    exactly = Context(prec=10_000).subtract
    found = list(fills(order(fee=one, filled_quantity=one) for one in filled))
    expected = [exactly(after, before) for before, after in pairwise([Decimal(0), *filled])]
    assert [fill.quantity for fill in found] == expected
    assert [fill.fee for fill in found] == expected


def test_memory_is_held_for_orders_that_filled_only() -> None:
    seen = 0

    def endless() -> Any:
        nonlocal seen
        for number in range(1000):
            seen += 1
            yield order(order_id=str(number))
        yield order(10, 0, "1")

    (fill,) = fills(endless())
    assert (fill.order_id, seen) == ("1", 1000)


def test_steps_come_as_they_are_read() -> None:
    read: list[int] = []

    def updates() -> Any:
        for number in range(3):
            read.append(number)
            yield order(10, 9 - number, "1")

    found = fills(updates())
    next(found)
    assert read == [0]
