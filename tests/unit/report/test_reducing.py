"""Many values are reduced to a few that draw the same picture."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from recorder.report.series import LineReducer, LinesByName, PlotPoint
from recorder.report.source import Period

LENGTH = 1_000
COLUMNS = 7
PERIOD = Period(5_000, 5_000 + LENGTH, since_asked=True, until_asked=True)

values = st.lists(st.tuples(st.integers(0, LENGTH - 1), st.integers(-5, 5)), min_size=1, max_size=300)


def column(point: PlotPoint) -> int:
    return (point.at_ns - PERIOD.since_ns) * COLUMNS // LENGTH


@given(values)
def test_each_column_keeps_its_first_last_least_and_most(result: list[tuple[int, int]]) -> None:
    result.sort(key=lambda one: one[0])
    every = [PlotPoint(PERIOD.since_ns + at, Decimal(value)) for at, value in result]
    reducer = LineReducer(PERIOD, COLUMNS)
    for point in every:
        reducer.add(*point)
    line = reducer.line("main", "BTC")
    assert set(line.points) <= set(every), "nothing is made up"
    assert [point.at_ns for point in line.points] == sorted(point.at_ns for point in line.points)
    for number in range(COLUMNS):
        all_of_it = [point for point in every if column(point) == number]
        kept = [point for point in line.points if column(point) == number]
        assert bool(kept) == bool(all_of_it) and len(kept) <= 4
        if kept:
            assert (kept[0].at_ns, kept[-1]) == (all_of_it[0].at_ns, all_of_it[-1])
            assert all_of_it[0] in kept
            values = [point.value for point in all_of_it]
            assert min(values) == min(point.value for point in kept)
            assert max(values) == max(point.value for point in kept)
    everything = [point.value for point in every]
    assert (line.first, line.last, line.updates) == (everything[0], everything[-1], len(every))
    assert (line.low, line.high) == (min(everything), max(everything))


def test_the_value_before_the_period_is_drawn_at_its_edge() -> None:
    reducer = LineReducer(PERIOD, COLUMNS)
    reducer.begin(Decimal(9))
    reducer.add(PERIOD.since_ns - 50, Decimal(3))
    reducer.add(PERIOD.since_ns + 500, Decimal(4))
    line = reducer.line("main", "BTC")
    assert [point.at_ns - PERIOD.since_ns for point in line.points] == [0, 0, 500]
    assert [int(point.value) for point in line.points] == [9, 3, 4]
    assert [int(value) for value in (line.first, line.last, line.low, line.high)] == [9, 4, 3, 9]
    assert line.updates == 2


def test_names_beyond_the_limit_are_only_counted() -> None:
    lines = LinesByName(PERIOD, 2)
    for name in ("a", "b", "c", "a", "d", "c"):
        lines.of("main", name).add(PERIOD.since_ns, Decimal(1))
    assert [(line.name, line.updates) for line in lines.lines()] == [("a", 2), ("b", 1)]
    assert lines.busiest().total == 4
