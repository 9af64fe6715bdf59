"""Matching a backtest's fills with recorded ones."""

from collections import Counter
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from recorder.backtest.matching import EXTRA, MATCHED, MISSED, FillMatch, Traded, match

S = 1_000_000_000


def fill(at_s: float, quantity: int = 1, price: int | None = 9000, side: str = "buy", symbol: str = "A") -> Traded:
    return Traded(int(at_s * S), symbol, side, Decimal(quantity), None if price is None else Decimal(price))


def kinds(matches: list[FillMatch]) -> list[tuple[str, int]]:
    return [(one.kind, int(one.quantity)) for one in matches]


def test_the_same_fills_match() -> None:
    (found,) = match([fill(100)], [fill(103, price=9001)])
    assert found == FillMatch(
        MATCHED, "A", "buy", Decimal(1), 100 * S, 103 * S, Decimal(9000), Decimal(9001), 3 * S, Decimal(1)
    )


def test_one_fill_may_stand_for_several() -> None:
    found = kinds(match([fill(1, 5)], [fill(1, 2), fill(2, 2), fill(3, 4)]))
    assert sorted(found) == sorted([(MATCHED, 2), (MATCHED, 2), (MATCHED, 1), (EXTRA, 3)])


def test_what_is_too_far_apart_is_missed_and_extra() -> None:
    assert kinds(match([fill(100)], [fill(161)], 60 * S)) == [(MISSED, 1), (EXTRA, 1)]
    assert kinds(match([fill(100)], [fill(160)], 60 * S)) == [(MATCHED, 1)]
    assert kinds(match([fill(160)], [fill(100)], 60 * S)) == [(MATCHED, 1)]


def test_other_sides_and_other_symbols_do_not_match() -> None:
    recorded, backtest = [fill(1), fill(1, symbol="B")], [fill(1, side="sell"), fill(1, symbol="b")]
    assert Counter(kinds(match(recorded, backtest))) == Counter({(MISSED, 1): 1, (EXTRA, 1): 1, (MATCHED, 1): 1})


def test_a_price_that_is_not_known_makes_no_difference_of_prices() -> None:
    (found,) = match([fill(1, price=None)], [fill(1)])
    assert found.kind == MATCHED
    assert found.price_difference is None


FILLS = st.lists(
    st.builds(
        fill,
        st.integers(0, 300),
        st.integers(1, 9),
        st.none() | st.integers(1, 9),
        st.sampled_from(["buy", "sell"]),
        st.sampled_from(["A", "B"]),
    ),
    max_size=12,
)


@given(FILLS, FILLS, st.integers(0, 100))
def test_every_quantity_counts_once(recorded: list[Traded], backtest: list[Traded], within_s: int) -> None:
    matches = match(recorded, backtest, within_s * S)
    for symbol in "AB":
        for side in ("buy", "sell"):
            mine = [one for one in matches if (one.symbol, one.side) == (symbol, side)]
            for fills, alone in ((recorded, MISSED), (backtest, EXTRA)):
                given_all = [one.quantity for one in fills if (one.symbol, one.side) == (symbol, side)]
                assert sum(one.quantity for one in mine if one.kind in {MATCHED, alone}) == sum(given_all)
            assert all(abs(one.time_difference_ns or 0) <= within_s * S for one in mine)


@given(FILLS)
def test_a_record_matches_itself_completely(recorded: list[Traded]) -> None:
    matches = match(recorded, list(reversed(recorded)), 0)
    assert {one.kind for one in matches} <= {MATCHED}
