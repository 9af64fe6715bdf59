"""Daily returns from recorded balances, for a tear sheet.

`pip install 'exchange-recorder[tearsheet]'` brings quantstats, which draws one.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any

from recorder.backtest import needed
from recorder.clock import NS_PER_S
from recorder.errors import ConfigurationError
from recorder.read.records import Balance

EXTRA = "tearsheet"
DAY_S = 86_400
#: A return needs the balance of the day before, and a tear sheet at least two returns.
TEAR_SHEET_DAYS_MIN = 3
_ZERO = Decimal(0)


def daily_totals(history: Iterable[Balance], currency: str = "BTC") -> dict[datetime, Decimal]:
    """The exact balance at the end of each UTC day, from the first to the last with a balance.

    Args:
        history: every balance of one account, in the order of receipt.
        currency: of the balance.

    Returns:
        Midnight at the beginning of the day, UTC → available, frozen and position margin together. A day without an
        update has the balance of the day before.
    """
    totals: dict[datetime, Decimal] = {}
    last: tuple[datetime, Decimal] | None = None
    for balance in history:
        if balance.currency != currency:
            continue
        day = datetime.fromtimestamp(balance.received_ns // NS_PER_S // DAY_S * DAY_S, UTC)
        if last is not None:
            _fill_up(totals, last, day)
        with localcontext(prec=100):
            total = sum((part or _ZERO for part in (balance.available, balance.frozen, balance.position_margin)), _ZERO)
        last = day, total
        totals[day] = total
    return totals


def _fill_up(totals: dict[datetime, Decimal], last: tuple[datetime, Decimal], until: datetime) -> None:
    day, total = last
    while (day := day + timedelta(days=1)) < until:
        totals[day] = total


def require_days(totals: Mapping[datetime, Decimal]) -> None:
    """Check that there are enough days for a tear sheet.

    Raises:
        ConfigurationError: there are not.
    """
    if len(totals) < TEAR_SHEET_DAYS_MIN:
        raise ConfigurationError(
            f"The record has balances of {len(totals)} days (UTC), but a tear sheet needs {TEAR_SHEET_DAYS_MIN}: "
            "record for longer."
        )


def returns(totals: Mapping[datetime, Decimal], transfers: Mapping[datetime, Decimal] | None = None) -> Any:
    """Each day's return: its gain, without transfers, relative to the balance at the end of the day before.

    Args:
        totals: as from `daily_totals`.
        transfers: midnight at the beginning of a day, UTC → deposits less withdrawals of that day.

    Returns:
        A fraction for each day but the first, as floats; index: the days, without a time zone, as tear sheets want it.

    Raises:
        ConfigurationError: pandas is not installed.
    """
    pandas: Any = needed("pandas", EXTRA)
    moved = transfers or {}
    days = sorted(totals)
    gained = [
        float((totals[day] - moved.get(day, _ZERO) - totals[before]) / totals[before]) if totals[before] else 0.0
        for before, day in pairwise(days)
    ]
    index = pandas.DatetimeIndex([day.replace(tzinfo=None) for day in days[1:]], name="day")
    return pandas.Series(gained, index=index, name="return", dtype=float)
