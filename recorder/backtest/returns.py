"""Daily returns from recorded balances, for a tear sheet.

`pip install 'exchange-recorder[tearsheet]'` brings quantstats, which draws one.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter
from typing import Any

from recorder.backtest import needed
from recorder.backtest.history import APART_MS
from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.errors import ConfigurationError
from recorder.read.records import Balance
from recorder.read.transactions import Transaction
from recorder.venues.accounting import EXACT

EXTRA = "tearsheet"
DAY_S = 86_400
#: A return needs the balance of the day before, and a tear sheet at least two returns.
TEAR_SHEET_DAYS_MIN = 3
_ZERO = Decimal(0)
#: Types of transactions that are no gain and no loss.
_TRANSFERS = frozenset(("deposit", "withdrawal", "transfer"))


def daily_totals(history: Iterable[Balance], currency: str) -> dict[datetime, Decimal]:
    """The exact balance at the end of each UTC day, from the first to the last with a balance.

    Args:
        history: every balance of one account, in the order of receipt.
        currency: of the balance.

    Returns:
        Midnight at the beginning of the day, UTC → what is owned in all wallets that have balances in the record,
        without unrealized PnL. A day without an update has the balance of the day before.
    """
    totals: dict[datetime, Decimal] = {}
    last: tuple[datetime, Decimal] | None = None
    wallets: dict[str | None, Decimal] = {}
    for one in history:
        if one.currency != currency or one.balance is None:
            continue
        day = _day(one.received_ns)
        if last is not None:
            _fill_up(totals, last, day)
        wallets[one.wallet] = one.balance
        total = _ZERO
        for balance in wallets.values():
            total = EXACT.add(total, balance)
        last = day, total
        totals[day] = total
    return totals


def _fill_up(totals: dict[datetime, Decimal], last: tuple[datetime, Decimal], until: datetime) -> None:
    day, total = last
    while (day := day + timedelta(days=1)) < until:
        totals[day] = total


def daily_transfers(moved: Iterable[Transaction], history: Iterable[Balance], currency: str) -> dict[datetime, Decimal]:
    """What came to the account less what left it, by UTC day, as far as the venue's ledger is recorded.

    A movement counts on the day of the first balance of its wallet that shows it, as that is when `daily_totals` has
    it. One that no balance shows does not count: if a deposit moves a wallet without balances in the record, the
    transfer that follows it is what comes to the others.

    Args:
        moved: every transaction of one account.
        history: every balance of it, in the order of receipt.
        currency: of the amounts.

    Returns:
        Midnight at the beginning of the day, UTC → deposits less withdrawals, with transfers.
    """
    waiting: defaultdict[str | None, deque[Transaction]] = defaultdict(deque)
    for movement in sorted(moved, key=attrgetter("at_ms")):
        if movement.currency == currency and movement.amount is not None and movement.type in _TRANSFERS:
            waiting[movement.wallet].append(movement)
    sums: dict[datetime, Decimal] = {}
    begin_ms: int | None = None
    for one in history:
        if one.currency != currency or one.balance is None:
            continue
        known_ms = max(one.event_ms or 0, one.received_ns // NS_PER_MS)
        begin_ms = known_ms if begin_ms is None else begin_ms
        of_wallet = waiting[one.wallet]
        while of_wallet and of_wallet[0].at_ms <= known_ms + APART_MS:
            movement = of_wallet.popleft()
            # What moved before the record began is in its first balances.
            if movement.at_ms >= begin_ms:
                day = _day(one.received_ns)
                sums[day] = EXACT.add(sums.get(day, _ZERO), movement.amount or _ZERO)
    return sums


def _day(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // NS_PER_S // DAY_S * DAY_S, UTC)


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
