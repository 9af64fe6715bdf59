"""FMex's amounts, held against the exchange's own page."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator.contract import fee, value
from recorder.venues.accounting import Holding
from recorder.venues.fmex.rest import read_accounts
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
    (terms,) = FMEX.stand_in.terms(["btcusd_p"])
    worth = value(terms, D(position["quantity"]), position["entry_price"])
    opened = fee(worth, terms.taker_rate, terms.unit)
    # The page has 15 of its digits.
    assert abs(position["realized_pnl"] + opened) < D("1E-17")
    now = Holding(D(position["quantity"]), position["realized_pnl"])
    assert OPENED.realized(Holding(D(0), D("-0.036307524734501204")), now) == position["realized_pnl"]


@pytest.mark.parametrize(
    ("parts", "balance"),
    [
        ("1.34242880408925,0.0,9.747280117178e-06", "1.342438551369367178"),
        ("12345678901234567890.123456789012345678,1,1E-18", "12345678901234567891.123456789012345679"),
        ("null,1,2", None),
        ("1,null,2", None),
        ("1,2,null", None),
    ],
)
def test_a_balance_is_all_three_amounts_and_a_missing_part_is_not_zero(parts: str, balance: str | None) -> None:
    (update,) = read_accounts(b'{"data":{"BTC":[%s]}}' % parts.encode())
    assert update.balance == balance


@pytest.mark.parametrize(
    ("before", "after", "opened", "ever"),
    [
        ((0, "0"), (5, "-0.1"), "-0.1", "-0.1"),
        ((5, "-0.1"), (2, "0.3"), "0.4", "0.4"),
        ((2, "0.3"), (0, "0.5"), "0.2", "0.2"),
        ((0, "0.5"), (0, "0.5"), "0", "0"),
        ((0, "0.5"), (3, "-0.1"), "-0.1", "-0.6"),
        ((0, "0.5"), (-3, "-0.1"), "-0.1", "-0.6"),
    ],
)
def test_two_readings_of_what_is_realized(
    before: tuple[int, str], after: tuple[int, str], opened: str, ever: str
) -> None:
    held = Holding(D(before[0]), D(before[1])), Holding(D(after[0]), D(after[1]))
    assert (OPENED.realized(*held), EVER.realized(*held)) == (D(opened), D(ever))


def test_contracts_are_inverse_and_margined_in_bitcoin() -> None:
    for symbol in ("BTCUSD_P", "ETHUSD_P"):
        instrument = ACCOUNTING.instrument(symbol)
        assert (instrument.symbol, instrument.kind, instrument.settle) == (symbol, "inverse", "BTC")
