"""Marks on axes are round, neither too many nor too few, and enclose the range."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.report.draw.axes import DAY, HOUR, MINUTE, round_step_ns, ticks, time_ticks
from recorder.venues.accounting import EXACT

D = Decimal
S = 1_000_000_000
#: 2020-02-04 07:40:53.
NOON_NS = 1_580_802_053 * S

digits = st.decimals(-(10**40), 10**40, places=18, allow_nan=False, allow_infinity=False)
wild = st.builds(lambda number, power: D(number).scaleb(power), st.integers(-(10**9), 10**9), st.integers(-99, 90))


@given(st.one_of(digits, wild), st.one_of(digits, wild), st.integers(3, 12))
def test_ticks_enclose_the_range_at_equal_distances(one: Decimal, other: Decimal, at_most: int) -> None:
    low, high = sorted((one, other))
    found = ticks(low, high, at_most)
    values = [tick.value for tick in found]
    assert values[0] <= low and high <= values[-1]
    assert 2 <= len(found) <= at_most + 1
    apart = {EXACT.subtract(after, before) for before, after in pairwise(values)}
    assert len(apart) == 1 and apart.pop().normalize().as_tuple().digits in {(1,), (2,), (5,)}
    if low != high:
        assert values[1] > low and values[-2] < high, "no mark is beside the picture"


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        ("0", "100", ["0", "50", "100"]),
        ("12.302705", "12.776763", ["12.2", "12.4", "12.6", "12.8"]),
        ("-27820", "36971", ["-40,000", "-20,000", "0", "20,000", "40,000"]),
        ("0.00000012", "0.00000019", ["0.00000012", "0.00000014", "0.00000016", "0.00000018", "0.00000020"]),
        ("5", "5", ["4.95", "5.00", "5.05"]),
        ("0", "0", ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_labels_have_the_digits_they_need(low: str, high: str, labels: list[str]) -> None:
    result = [tick.label for tick in ticks(D(low), D(high), 5)]
    assert result == [label.replace("-", "\N{MINUS SIGN}") for label in labels]


@given(st.integers(0, 4 * 10**18), st.integers(10**6, 9 * 10**17), st.integers(4, 12))
def test_time_ticks_are_round_and_limited(since_ns: int, length_ns: int, at_most: int) -> None:
    until_ns = since_ns + length_ns
    found = time_ticks(since_ns, until_ns, at_most)
    instants = [tick.at_ns for tick in found]
    assert len(found) <= at_most + 1
    assert instants == sorted(set(instants)) and all(since_ns <= at_ns < until_ns for at_ns in instants)
    assert all(tick.label for tick in found)
    step_ns = round_step_ns(length_ns, at_most)
    if step_ns < DAY:
        # Each day is named where it begins, and at the first mark.
        days = [datetime.fromtimestamp(at_ns // S, UTC).date() for at_ns in instants]
        new = [number == 0 or days[number] != days[number - 1] for number in range(len(days))]
        assert [bool(tick.day) for tick in found] == new


@pytest.mark.parametrize(
    ("length_ns", "labels"),
    [
        (5 * S, ["07:40:53", "07:40:54", "07:40:55", "07:40:56", "07:40:57"]),
        (7 * HOUR, ["08:00", "09:00", "10:00", "11:00", "12:00", "13:00", "14:00"]),
        (3 * DAY, ["12:00", "00:00", "12:00", "00:00", "12:00", "00:00"]),
        (20 * DAY, ["8 Feb 2020", "12 Feb 2020", "16 Feb 2020", "20 Feb 2020", "24 Feb 2020"]),
        (200 * DAY, ["Mar 2020", "Apr 2020", "May 2020", "Jun 2020", "Jul 2020", "Aug 2020"]),
        (2000 * DAY, ["Jan 2021", "Jan 2022", "Jan 2023", "Jan 2024", "Jan 2025"]),
    ],
)
def test_time_labels(length_ns: int, labels: list[str]) -> None:
    assert [tick.label for tick in time_ticks(NOON_NS, NOON_NS + length_ns, 8)] == labels


@given(st.integers(1, 9 * 10**17), st.integers(1, 200))
def test_round_lengths_fit_often_enough(length_ns: int, at_most: int) -> None:
    step_ns = round_step_ns(length_ns, at_most)
    assert -(-length_ns // step_ns) <= at_most
    assert step_ns % MINUTE == 0 or step_ns < MINUTE
