"""Reading what was found: all of it, filtered, and counted in the status."""

import pytest

from recorder.read.record import Filter
from recorder.read.records import Discrepancy
from recorder.store.entries import DiscrepancyFound
from tests.made import ACCOUNT, NOON_NS
from tests.unit.read.desk import OTHER, Desk


def found(at: int, subject: str, field: str = "status", account_id: int = ACCOUNT) -> DiscrepancyFound:
    return DiscrepancyFound(account_id, 71, 5, subject, field, "0E-18", None, 70, NOON_NS + at)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), [1, 2, 3, 4, 5]),
        (Filter(account="main"), [1, 2, 3, 4]),
        (Filter(account="other"), [5]),
        (Filter(account="nobody"), []),
        (Filter(symbol="btcusd_p"), [1, 2, 3, 5]),
        (Filter(symbol="ETHUSD_P"), [1, 2, 4, 5]),
        (Filter(symbol="%"), [1, 2, 5]),
        (Filter(since_ns=NOON_NS + 2, until_ns=NOON_NS + 4), [2, 3]),
        (Filter("main", "btcusd_p", NOON_NS + 2, NOON_NS + 5), [2, 3]),
    ],
)
def test_filters(desk: Desk, wanted: Filter, expected: list[int]) -> None:
    desk.write(
        entries=[
            found(2, "order 849758102002"),
            found(1, "balance BTC"),
            found(3, "position BTCUSD_P"),
            found(4, "position ETHUSD_P"),
            found(5, "order 7", account_id=OTHER),
        ]
    )
    with desk.open() as record:
        assert [one.found_ns - NOON_NS for one in record.discrepancies(wanted)] == expected


def test_a_discrepancy_is_told_as_it_was_found(desk: Desk) -> None:
    desk.write(entries=[found(1, "balance BTC", "locked"), found(1, "balance BTC", "available")])
    with desk.open() as record:
        first, second = record.discrepancies()
        assert first == Discrepancy("main", NOON_NS + 1, "balance BTC", "available", "0E-18", None, 71, 5, 70)
        assert second.field == "locked"
        main, other = record.status().accounts
        assert (main.discrepancies, other.discrepancies) == (2, 0)
