"""Round trips by hand. That they are right whatever happens, and as the view has them: `tests/contract`."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from recorder.read.records import Fill
from recorder.read.trip_walk import Walk
from recorder.read.trip_walk import trips as walk
from recorder.read.trips import HeldQuantity, Instant, Terms, TermsOf, Trip, TripKey

D = Decimal


def fill(at_ms: int, quantity: str, price: str, fee: str = "0", **other: Any) -> Fill:
    """A fill; below zero if sold."""
    told = dict.fromkeys(Fill._fields) | {"account": "main", "symbol": "A", "fee_currency": "BTC", "session_id": 1}
    told |= {"at_ms": at_ms, "received_ns": at_ms, "seq": at_ms, "item": 0, "price": D(price), "fee": D(fee)}
    told |= {"side": "sell" if quantity.startswith("-") else "buy", "quantity": D(quantity.lstrip("-"))}
    return Fill(**(told | other))  # type: ignore[arg-type]


def held(at_ms: int, quantity: Decimal) -> HeldQuantity:
    return HeldQuantity("main", None, "A", None, at_ms, quantity)


def inverse(_account: str, _market: str | None, _symbol: str) -> Terms:
    return Terms(is_inverse=True)


def trips(fills: Iterable[Fill], reported: Iterable[HeldQuantity], terms_of: TermsOf = inverse) -> Iterator[Trip]:
    """The trips of these fills; by default of inverse contracts of 1."""
    return walk(fills, reported, terms_of)


def test_a_way_in_and_out() -> None:
    told = [held(3, D(0))]
    (trip,) = trips([fill(1, "100", "8000", "1E-7"), fill(2, "100", "12000"), fill(3, "-200", "10000", "-3E-8")], told)
    assert trip == Trip(
        "main", None, "A", None, "long", 1, 3,
        # 200 contracts of 1 USD for 1/80 + 1/120 BTC.
        D(200), D("9600"), D(200), D("10000"), D("0.000833333333333333"), D("7E-8"), "BTC",
        D("0.000833263333333333"), "BTC", True, 1,
    )  # fmt: skip


def test_a_linear_contract_gains_in_the_quote_currency() -> None:
    fills = [fill(1, "1", "8000", "2"), fill(2, "3", "12000", "3"), fill(3, "-4", "12500", "5")]
    (trip,) = trips(fills, [held(3, D(0))], lambda *_: Terms(contract_size=D("0.1")))
    assert (trip.entry_price, trip.exit_price) == (D(11000), D(12500))
    assert (trip.pnl_before_fees, trip.fee, trip.pnl, trip.adds_up) == (D(600), D(10), D(590), True)
    (short,) = trips([fill(1, "-2", "100"), fill(2, "2", "90")], [], lambda *_: Terms())
    assert (short.direction, short.pnl) == ("short", D(20))


def test_a_fee_in_another_currency_than_the_profit_is_not_subtracted() -> None:
    terms = Terms(settle="USDT")
    fills = [fill(1, "1", "100", "2"), fill(2, "-1", "110", "3")]
    (trip,) = trips([one._replace(fee_currency="BNB") for one in fills], [], lambda *_: terms)
    assert (trip.pnl_before_fees, trip.currency) == (D(10), "USDT")
    assert (trip.fee, trip.fee_currency, trip.pnl) == (D(5), "BNB", None)
    # Where it is not known in which currency a contract gains, that of the fees counts.
    (trip,) = trips([one._replace(fee_currency="BNB") for one in fills], [], lambda *_: Terms())
    assert (trip.fee, trip.fee_currency, trip.pnl, trip.currency) == (D(5), "BNB", D(5), "BNB")


def test_fees_in_several_currencies_are_not_added() -> None:
    terms = Terms(settle="USDT")
    # On spot, the fee of a buy may be in what is bought.
    fills = [fill(1, "1", "100", "0.01", fee_currency="A"), fill(2, "-1", "110", "3", fee_currency="USDT")]
    (trip,) = trips(fills, [], lambda *_: terms)
    assert (trip.pnl_before_fees, trip.currency) == (D(10), "USDT")
    assert (trip.fee, trip.fee_currency, trip.pnl) == (None, None, None)
    # Nothing was paid in the other currency.
    (trip,) = trips([fills[0]._replace(fee=D(0)), fills[1]], [], lambda *_: terms)
    assert (trip.fee, trip.fee_currency, trip.pnl) == (D(3), "USDT", D(7))
    (trip,) = trips([one._replace(fee=D(0)) for one in fills], [], lambda *_: terms)
    assert (trip.fee, trip.fee_currency, trip.pnl) == (D(0), None, D(10))
    # An unknown fee may be in any currency.
    (trip,) = trips([fills[0]._replace(fee=None), fills[1]], [], lambda *_: terms)
    assert (trip.fee, trip.fee_currency, trip.pnl) == (None, None, None)


def test_a_walk_that_is_resumed_goes_on_with_the_fees() -> None:
    key, terms = TripKey("", "A", ""), Terms(settle="BTC")
    fills = [fill(1, "2", "9000", "1"), fill(2, "1", "9000", "2", fee_currency="BNB"), fill(3, "-3", "9000")]
    fills[2] = fills[2]._replace(fee=None)
    for number in (2, 3):
        (whole,) = trips(fills[:number], [], lambda *_: terms)
        going, found = Walk("main", key, terms), list[Trip]()
        for one in fills[:number]:
            going = Walk.resumed("main", key, terms, going.state())
            found += going.take(Instant(one.at_ms, [one], {}))
        assert [*found, *going.rest()] == [whole]


def test_the_sides_of_a_hedged_symbol_are_trips_of_their_own() -> None:
    fills = [fill(1, "1", "100", position_side="long"), fill(2, "-2", "100", position_side="short")]
    fills += [fill(3, "-1", "110", position_side="long"), fill(4, "2", "90", position_side="short")]
    found = list(trips(fills, [], lambda *_: Terms()))
    assert [(trip.position_side, trip.opened_ms, trip.closed_ms, trip.pnl) for trip in found] == [
        ("long", 1, 3, D(10)),
        ("short", 2, 4, D(20)),
    ]


def test_a_fill_that_reverses_ends_one_trip_and_begins_another() -> None:
    one, other = trips([fill(1, "-3", "9000", "3E-9"), fill(2, "4", "9000", "4E-9")], [held(2, D(1))])
    assert (one.direction, one.closed_ms, one.exit_quantity, one.fee) == ("short", 2, D(3), D("6E-9"))
    assert (other.direction, other.opened_ms, other.closed_ms, other.entry_quantity) == ("long", 2, None, D(1))
    assert (other.fee, other.pnl, other.exit_price) == (D("1E-9"), None, None)


def test_what_was_held_before_the_record_has_no_entry() -> None:
    one, other = trips(
        [fill(5, "-2", "9000"), fill(6, "1", "9000"), fill(7, "-1", "9100")],
        [held(1, D(2)), held(5, D(0)), held(7, D(0))],
    )
    assert (one.trip, one.direction, one.opened_ms, one.closed_ms) == (0, "long", None, 5)
    assert (one.entry_price, one.exit_price, one.pnl_before_fees, one.pnl) == (None, D(9000), None, None)
    assert (other.trip, other.opened_ms, other.adds_up) == (1, 6, True)


def test_fills_count_in_the_order_in_which_they_happened() -> None:
    late = fill(2, "-1", "9100")._replace(received_ns=99, session_id=2)
    (trip, other) = trips([fill(1, "1", "9000"), fill(3, "1", "9000"), late], [held(3, D(1))])
    assert (trip.opened_ms, trip.closed_ms, other.opened_ms) == (1, 2, 3)


def test_without_a_reported_position_it_is_not_known_whether_a_trip_adds_up() -> None:
    fills = [fill(1, "1", "9000"), fill(2, "-1", "9000"), fill(4, "1", "9000"), fill(6, "-1", "9000")]
    assert [trip.adds_up for trip in trips(fills, [])] == [None, None]
    assert [trip.adds_up for trip in trips(fills, [held(3, D(0))])] == [None, True]
    assert [trip.adds_up for trip in trips(fills, [held(3, D(0)), held(5, D(2))])] == [None, False]


def test_one_position_that_lags_behind_its_fill_changes_nothing() -> None:
    # The exchange pushes a fill at once, and the position that it leads to an instant later.
    told = [held(at_ms, D(quantity)) for at_ms, quantity in {2: 0, 3: 4, 4: 4, 5: 0}.items()]
    found = list(trips([fill(2, "1", "9000"), fill(3, "3", "9000"), fill(5, "-4", "9000")], told))
    assert [(trip.opened_ms, trip.closed_ms, trip.adds_up) for trip in found] == [(2, 5, True)]


def test_accounts_and_contracts_are_kept_apart() -> None:
    fills = [fill(1, "1", "9000"), fill(2, "-1", "9000", account="other"), fill(3, "1", "9000", symbol="B")]
    assert [(trip.account, trip.symbol, trip.direction) for trip in trips(fills, [])] == [
        ("main", "A", "long"),
        ("main", "B", "long"),
        ("other", "A", "short"),
    ]


def test_many_digits_are_kept() -> None:
    quantity = "1234567890123456789012345678901234567890.000000001"
    one, other = trips([fill(1, quantity, "1"), fill(2, "-" + quantity, "1"), fill(3, "0.000000001", "1")], [])
    assert (one.entry_quantity, one.exit_quantity, one.pnl) == (D(quantity), D(quantity), D(0))
    assert other.entry_quantity == D("1E-9")
