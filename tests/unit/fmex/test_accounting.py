"""FMex's amounts, held against the exchange's own page."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator.contract import TAKER_FEE_RATE, fee, value
from recorder.venues.base import Holding
from tests.samples import FMEX

PAGE = Path(__file__).parents[2] / "data/fmex"
ACCOUNTING = FMEX.accounting
OPENED, EVER = ACCOUNTING.readings
D = Decimal


def page(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((PAGE / f"{name}.json").read_text(), parse_float=Decimal)
    inner: dict[str, Any] = told[name]
    return inner


def test_the_page_shows_that_what_is_realized_is_net_of_fees() -> None:
    position = page("position")
    opened = fee(value(position["quantity"], position["entry_price"]), TAKER_FEE_RATE)
    # The page has 15 of its digits.
    assert abs(position["realized_pnl"] + opened) < D("1E-17")
    now = Holding(D(position["quantity"]), position["realized_pnl"])
    assert OPENED.realized(Holding(D(0), D("-0.036307524734501204")), now) == position["realized_pnl"]


def test_a_balance_is_all_three_amounts() -> None:
    account = page("account")
    told = ACCOUNTING.balance(account["available"], account["frozen"], account["position"])
    assert told == D("1.342438551369367178")
    exact = D("123456789012345678901234567890.123456789012345678"), D(1), D("1E-18")
    assert ACCOUNTING.balance(*exact) == D("123456789012345678901234567891.123456789012345679")


@pytest.mark.parametrize("missing", range(3))
def test_a_part_that_is_not_told_is_not_taken_for_nothing(missing: int) -> None:
    parts: list[Decimal | None] = [D(1), D(2), D(3)]
    parts[missing] = None
    assert ACCOUNTING.balance(*parts) is None


@pytest.mark.parametrize(
    ("before", "after", "opened", "ever"),
    [
        ((0, "0"), (5, "-0.1"), "-0.1", "-0.1"),
        ((5, "-0.1"), (2, "0.3"), "0.4", "0.4"),
        ((2, "0.3"), (0, "0.5"), "0.2", "0.2"),
        ((0, "0.5"), (0, "0.5"), "0", "0"),
        ((0, "0.5"), (3, "-0.1"), "-0.1", "-0.6"),
    ],
)
def test_two_readings_of_what_is_realized(
    before: tuple[int, str], after: tuple[int, str], opened: str, ever: str
) -> None:
    held = Holding(D(before[0]), D(before[1])), Holding(D(after[0]), D(after[1]))
    assert (OPENED.realized(*held), EVER.realized(*held)) == (D(opened), D(ever))


def test_the_margin_is_in_bitcoin() -> None:
    assert ACCOUNTING.currency("BTCUSD_P") == ACCOUNTING.currency("ETHUSD_P") == "BTC"
