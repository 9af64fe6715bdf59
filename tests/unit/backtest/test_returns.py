"""Daily balances, exact."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest

from recorder.backtest.returns import daily_totals, daily_transfers, require_days
from recorder.errors import ConfigurationError
from recorder.read.records import Balance
from recorder.read.transactions import Transaction

DAY_NS = 86_400 * 10**9
FIRST = datetime(2020, 2, 3, tzinfo=UTC)


def balance(day: float, amount: str | None, *, currency: str = "BTC", wallet: str | None = None) -> Balance:
    fields = dict.fromkeys(Balance._fields) | {"account": "main", "currency": currency, "wallet": wallet}
    fields |= {"received_ns": int(FIRST.timestamp()) * 10**9 + int(day * DAY_NS)}
    return Balance(**fields | {"balance": None if amount is None else Decimal(amount)})  # type: ignore[arg-type]


def test_the_last_balance_of_each_day_counts_and_a_day_without_one_keeps_it() -> None:
    balances = [
        balance(0.1, "1"),
        balance(0.9, "2"),
        balance(0.95, "9", currency="USDT"),
        balance(0.99, None),
        balance(3.5, "12345678901234567890.000000000000000001"),
    ]
    assert list(daily_totals(balances, "BTC").items()) == [
        (FIRST, Decimal(2)),
        (FIRST.replace(day=4), Decimal(2)),
        (FIRST.replace(day=5), Decimal(2)),
        (FIRST.replace(day=6), Decimal("12345678901234567890.000000000000000001")),
    ]


def test_wallets_are_added_up() -> None:
    balances = [balance(0.1, "1", wallet="spot"), balance(0.2, "5", wallet="futures"), balance(1.1, "3", wallet="spot")]
    assert daily_totals(balances, "BTC") == {FIRST: Decimal(6), FIRST.replace(day=4): Decimal(8)}


def moved(day: float, kind: str, amount: str, *, currency: str = "BTC", wallet: str | None = None) -> Transaction:
    fields = dict.fromkeys(Transaction._fields) | {"account": "main", "currency": currency, "type": kind}
    fields |= {"at_ms": int(FIRST.timestamp()) * 1000 + int(day * 86_400_000), "amount": Decimal(amount)}
    return Transaction(**fields | {"wallet": wallet})  # type: ignore[arg-type]


def gains(balances: list[Balance], movements: list[Transaction]) -> list[Decimal]:
    """What each day but the first gained."""
    totals, transfers = daily_totals(balances, "BTC"), daily_transfers(movements, balances, "BTC")
    return [totals[day] - totals[before] - transfers.get(day, 0) for before, day in pairwise(totals)]


def test_deposits_withdrawals_and_transfers_are_no_gains() -> None:
    balances = [balance(day, "1") for day in (0, 0.15, 0.25, 0.9, 2.6)]
    found = daily_transfers(
        [
            moved(0.1, "deposit", "3"),
            moved(0.2, "funding", "9"),
            moved(0.89, "withdrawal", "-1.000000000000000001"),
            moved(0.88, "deposit", "7", currency="USDT"),
            moved(2.5, "transfer", "-4"),
        ],
        balances,
        "BTC",
    )
    assert found == {FIRST: Decimal("1.999999999999999999"), FIRST.replace(day=5): Decimal(-4)}


def test_a_movement_of_a_wallet_without_balances_does_not_count() -> None:
    balances = [balance(0.1, "10", wallet="trading"), balance(1.5, "20", wallet="trading")]
    of_okx = [moved(1.2, "deposit", "10", wallet="funding"), moved(1.4, "transfer", "10", wallet="trading")]
    assert gains(balances, of_okx) == [0]


def test_a_movement_counts_when_a_balance_shows_it() -> None:
    # Of the second wallet, balances are asked for after a gap only; it was empty, and is not listed before.
    balances = [
        balance(0.1, "10", wallet="unified"),
        balance(1.4, "15", wallet="unified"),
        balance(2.1, "15", wallet="unified"),
        balance(4.5, "2", wallet="funding"),
        balance(5.5, "15", wallet="unified"),
    ]
    movements = [
        moved(-9, "deposit", "100", wallet="funding"),
        moved(1.2, "deposit", "7", wallet="funding"),
        moved(1.3, "transfer", "-5", wallet="funding"),
        moved(1.3, "transfer", "5", wallet="unified"),
        moved(6, "deposit", "5", wallet="unified"),
    ]
    assert gains(balances, movements) == [0, 0, 0, 0, 0]


def test_a_balance_may_be_a_moment_before_the_movement_that_it_shows() -> None:
    balances = [balance(0.1, "1"), balance(1.2, "4"), balance(3.2, "4")]
    assert gains(balances, [moved(1.2 + 0.9 / 86_400, "deposit", "3")]) == [0, 0, 0]


def test_no_balances_make_no_days() -> None:
    assert daily_totals([], "BTC") == {}


@pytest.mark.parametrize("days", [0, 1, 2, 3])
def test_a_tear_sheet_of_too_few_days_is_refused(days: int) -> None:
    totals = daily_totals((balance(day, "1") for day in range(days)), "BTC")
    if days < 3:
        with pytest.raises(ConfigurationError, match=f"balances of {days} days .UTC., but a tear sheet needs 3"):
            require_days(totals)
    else:
        require_days(totals)
