"""Daily balances, exact."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from recorder.backtest.returns import daily_totals, require_days
from recorder.errors import ConfigurationError
from recorder.read.records import Balance

DAY_NS = 86_400 * 10**9
FIRST = datetime(2020, 2, 3, tzinfo=UTC)


def balance(day: float, available: str, *, currency: str = "BTC") -> Balance:
    at_ns = int(FIRST.timestamp()) * 10**9 + int(day * DAY_NS)
    amounts = Decimal(available), None, Decimal("0.000000000000000001")
    return Balance("main", at_ns, None, currency, *amounts, None, None, 0, 0, 0)


def test_the_last_word_of_each_day_counts_and_a_day_without_one_keeps_it() -> None:
    told = [
        balance(0.1, "1"),
        balance(0.9, "2"),
        balance(0.95, "9", currency="USDT"),
        balance(3.5, "12345678901234567890"),
    ]
    assert list(daily_totals(told).items()) == [
        (FIRST, Decimal("2.000000000000000001")),
        (FIRST.replace(day=4), Decimal("2.000000000000000001")),
        (FIRST.replace(day=5), Decimal("2.000000000000000001")),
        (FIRST.replace(day=6), Decimal("12345678901234567890.000000000000000001")),
    ]


def test_nothing_told_is_nothing() -> None:
    assert daily_totals([]) == {}


@pytest.mark.parametrize("days", [0, 1, 2, 3])
def test_a_tear_sheet_of_too_few_days_is_refused_with_what_there_is(days: int) -> None:
    totals = daily_totals(balance(day, "1") for day in range(days))
    if days < 3:
        with pytest.raises(ConfigurationError, match=f"balances of {days} days .UTC., but a tear sheet needs 3"):
            require_days(totals)
    else:
        require_days(totals)
