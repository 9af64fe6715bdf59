"""Fees and realized PnL by periods of a calendar: nothing is lost, nothing guessed, and midnight is somebody's."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.read.records import Fill
from recorder.read.sums import (
    NO_PERIOD,
    PERIODS,
    Calendar,
    Fees,
    PeriodKey,
    PeriodSums,
    Realized,
    RealizedSums,
    in_order,
    paid,
    pnl_of_figures,
    pnl_of_fills,
    traded,
)

D = Decimal
#: 2019-12-31 23:30 UTC.
LATE_MS = 1_577_835_000_000


def fill(at_ms: int = LATE_MS, quantity: str = "1", fee: str | None = "0.1", **other: Any) -> Fill:
    told = dict.fromkeys(Fill._fields) | {"account": "main", "symbol": "A", "fee_currency": "BTC"}
    told |= {"at_ms": at_ms, "quantity": D(quantity), "fee": None if fee is None else D(fee), "liquidity": "unknown"}
    return Fill(**(told | other))  # type: ignore[arg-type]


def fees(fills: Iterable[Fill], calendar: Calendar) -> list[Fees]:
    """The sums of fills, added one by one."""
    sums = PeriodSums()
    for one in fills:
        sums.add(
            PeriodKey(calendar.period(one.at_ms), one.account, one.market, one.symbol, one.fee_currency), traded(one)
        )
    return sums.fees()


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", ["2019-12-31", "2019-12", "2019", "all"]),
        ("Europe/Berlin", ["2020-01-01", "2020-01", "2020", "all"]),
        ("America/New_York", ["2019-12-31", "2019-12", "2019", "all"]),
    ],
)
def test_midnight_is_somebody_s(zone: str, expected: list[str]) -> None:
    assert [Calendar(by, ZoneInfo(zone)).period(LATE_MS) for by in PERIODS] == expected


def test_an_instant_that_no_calendar_has() -> None:
    assert Calendar("day").period(2**62) == NO_PERIOD
    assert Calendar("day").period(-(2**62)) == NO_PERIOD


def test_the_last_millisecond_of_a_day_is_its() -> None:
    midnight_ms = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 1000
    assert [Calendar().period(midnight_ms + by) for by in (-1, 0)] == ["2019-12-31", "2020-01-01"]


def test_fees_by_account_contract_and_currency() -> None:
    told = [
        fill(quantity="2", fee="0.3", liquidity="taker"),
        fill(quantity="3", fee="-0.1", liquidity="maker"),
        fill(quantity="0", fee="-0.05"),  # a fee that changed without a fill
        fill(symbol="B"),
        fill(market="spot"),
        fill(fee_currency="FT"),
        fill(account="other"),
        fill(at_ms=LATE_MS + 3_600_000),
    ]
    rows = fees(told, Calendar("year"))
    assert [row[:5] for row in rows] == [
        ("2019", "main", None, "A", "BTC"),
        ("2019", "main", None, "A", "FT"),
        ("2019", "main", None, "B", "BTC"),
        ("2019", "main", "spot", "A", "BTC"),
        ("2019", "other", None, "A", "BTC"),
        ("2020", "main", None, "A", "BTC"),
    ]
    assert rows[0][5:] == (2, D(5), D("0.15"), D("0.3"), D("0.15"), D(3), D(2), D(0))


def test_a_fee_that_was_not_told_makes_the_sum_unknown() -> None:
    (row,) = fees([fill(), fill(fee=None), fill()], Calendar())
    assert (row.fee, row.paid, row.fills) == (None, D("0.2"), 3)


@given(st.lists(st.tuples(st.integers(0, 3), st.decimals(allow_nan=False, allow_infinity=False, places=40))))
def test_no_digit_of_a_sum_is_lost(told: list[tuple[int, Decimal]]) -> None:
    fills = [fill(LATE_MS + day * 86_400_000, str(amount.copy_abs()), str(amount)) for day, amount in told]
    amounts = [Fraction(amount) for _, amount in told]
    for rows in (fees(fills, Calendar()), fees(fills, Calendar("all"))):
        assert sum(Fraction(row.fee or 0) for row in rows) == sum(amounts)
        assert sum(Fraction(row.quantity) for row in rows) == sum(map(abs, amounts))


def test_realized_pnl_and_fees_of_a_period() -> None:
    grown: RealizedSums = {("1970", "main", None, "A"): Realized(D(0))}
    grown = {**grown, ("2019", "main", None, "A"): Realized(D(3), D(2))}
    (early, late) = in_order(pnl_of_figures(grown, fees([fill(LATE_MS), fill(50)], Calendar("year"))))
    assert (early.period, early.net_pnl, early.fee) == ("1970", D(0), D("0.1"))
    assert (late.period, late.net_pnl, late.over_gaps) == ("2019", D(3), D(2))
    assert (late.fee, late.realized_pnl, late.funding) == (D("0.1"), D("3.1"), None)


def test_pnl_without_fills_and_fills_without_pnl() -> None:
    (one, other) = in_order(
        pnl_of_figures({("all", "main", None, "B"): Realized(D(2))}, fees([fill()], Calendar("all")))
    )
    assert (one.symbol, one.net_pnl, one.fee, one.realized_pnl) == ("A", D(0), D("0.1"), D("0.1"))
    assert (other.symbol, other.currency, other.net_pnl, other.fee, other.realized_pnl) == (
        "B",
        None,
        D(2),
        D(0),
        D(2),
    )


@pytest.mark.parametrize("by", PERIODS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu"])
@given(at_ms=st.integers(0, 2 * 10**12))
def test_a_period_ends_where_the_next_one_begins(by: str, zone: str, at_ms: int) -> None:
    calendar = Calendar(by, ZoneInfo(zone))
    end_ms = calendar.end_ms(at_ms)
    assert calendar.period(end_ms - 1) == calendar.period(at_ms)
    assert by == "all" or calendar.period(end_ms) > calendar.period(at_ms)


def test_a_fee_in_another_currency_has_a_row_of_its_own_and_funding_counts_once() -> None:
    sums = PeriodSums()
    for one in (fill(realized_pnl=D(5), fee_currency="BNB"), fill(realized_pnl=D(-2), fee="0.3", fee_currency="USDT")):
        sums.add(PeriodKey("all", "main", None, "A", one.fee_currency), traded(one))
    key = PeriodKey("all", "main", None, "A", "USDT")
    for amount in ("-0.5", "0.1"):
        sums.add(key, paid(D(amount)))
    assert [row[4:] for row in sums.funding()] == [("USDT", 2, D("-0.4"), D("0.1"), D("0.5"))]
    (bnb, usdt) = in_order(pnl_of_fills(sums, {("", "A"): "USDT"}))
    assert (bnb.realized_pnl, bnb.fee, bnb.funding, bnb.net_pnl) == (D(0), D("0.1"), D(0), D("-0.1"))
    assert (usdt.realized_pnl, usdt.fee, usdt.funding, usdt.net_pnl) == (D(3), D("0.3"), D("-0.4"), D("2.3"))


def test_an_account_may_gain_and_lose_in_the_currency_of_its_fees() -> None:
    sums = PeriodSums()
    for one in (fill(realized_pnl=D(5), fee_currency="BNFCR"), fill(realized_pnl=D(-2), fee_currency="BNB")):
        sums.add(PeriodKey("all", "main", None, "A", one.fee_currency), traded(one))
    bnb, own, usdt = in_order(pnl_of_fills(sums, {("", "A"): "USDT"}, {"BNFCR"}))
    assert (own.currency, own.realized_pnl, own.net_pnl) == ("BNFCR", D(5), D("4.9"))
    assert (bnb.realized_pnl, usdt.realized_pnl) == (D(0), D(-2))


def test_profit_that_nobody_reported_is_unknown() -> None:
    sums = PeriodSums()
    sums.add(PeriodKey("all", "main", None, "A/B", "A"), traded(fill()))
    (spot,) = pnl_of_fills(sums, {})
    assert (spot.realized_pnl, spot.fee, spot.net_pnl) == (None, D("0.1"), None)
    sums.add(PeriodKey("all", "main", None, "A/B", "A"), traded(fill(realized_pnl=D(5))))
    (partly,) = pnl_of_fills(sums, {})
    assert (partly.realized_pnl, partly.fee, partly.net_pnl) == (None, D("0.2"), None)
    key = PeriodKey("all", "main", None, "A", "USDT")
    sums = PeriodSums()
    sums.add(key, paid(None))
    assert not sums.fees()
    (unknown,) = pnl_of_fills(sums, {})
    assert (unknown.funding, unknown.net_pnl) == (None, None)
