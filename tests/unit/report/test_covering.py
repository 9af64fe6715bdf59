"""Coverage of a period and silences in it, compared with counting every nanosecond."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recorder.read.coverage import RecorderCoverage
from recorder.read.records import Gap
from recorder.report.activity import Silence, Silences
from recorder.report.coverage import cover, covered_intervals
from recorder.report.source import Period, ReportedAccount

LAST = 100


def gap(begins: int | None, ends: int | None, topic: str | None = None, state: str = "reconciled") -> Gap:
    return Gap("main", begins, ends, topic, "lost", None, state, 1)


def account(*gaps: Gap, last: int = LAST) -> ReportedAccount:
    return ReportedAccount(7, "main", "fmex", {1: RecorderCoverage(gaps, frozenset(), last)})


def period(since: int | None, until: int | None) -> Period:
    return Period(since or 0, LAST + 1 if until is None else until, since is not None, until is not None)


edges = st.lists(st.integers(1, LAST - 1), min_size=1, max_size=12, unique=True).map(sorted)


@given(edges, st.none() | st.integers(0, 60), st.none() | st.integers(61, LAST))
def test_covered_is_what_is_in_no_gap(found: list[int], since: int | None, until: int | None) -> None:
    pairs = [(None, found[0]), *zip(found[1::2], [*found[2::2], None][: len(found[1::2])], strict=True)]
    result = cover(account(*[gap(*pair) for pair in pairs]), {}, period(since, until), 1)

    def is_covered(at: int) -> bool:
        return not any((begins or 0) <= at and (ends is None or at < ends) for begins, ends in pairs)

    begin = since if since is not None else found[0]
    # Times are half-open here. What is known ends with the last frame, or with a gap that is going on.
    end = until if until is not None else LAST
    assert result.begins_ns == (begin if begin < end else None)
    assert result.covered_ns == sum(is_covered(at) for at in range(begin, end))
    assert sum(ends - begins for begins, ends in covered_intervals(result)) == result.covered_ns
    assert all(is_covered(at) for begins, ends in covered_intervals(result) for at in range(begins, ends))


def test_gaps_are_counted_and_numbered_as_in_the_table() -> None:
    gaps = (
        gap(None, 10),
        gap(20, 30),
        gap(20, 40, "order.a"),
        gap(50, 70, state="unrecoverable"),
        gap(90, None, state="open"),
    )
    result = cover(account(*gaps), {}, period(None, None), 4)
    assert (result.gaps, result.gaps_ns) == (
        {"reconciled": 1, "unrecoverable": 1},
        {"reconciled": 10, "unrecoverable": 20},
    )
    assert result.ongoing == gaps[-1]
    assert [stretch.number for stretch in result.whole.uncovered] == [None, 4, 5, 6, 7]
    assert [(one.number, one.gap, one.lasted_ns) for one in result.numbered] == [
        (None, gaps[0], 10),
        (4, gaps[1], 10),
        (5, gaps[2], 20),
        (6, gaps[3], 20),
        (7, gaps[4], 11),
    ]


def test_gaps_are_clipped_to_the_period() -> None:
    gaps = gap(None, 10), gap(20, 30), gap(50, 70), gap(80, 90)
    result = cover(account(*gaps), {}, period(25, 60), 1)
    assert [(one.begins_ns, one.ends_ns) for one in result.whole.uncovered] == [(25, 30), (50, 60)]
    assert (result.begins_ns, result.ends_ns, result.covered_ns) == (25, 60, 20)


def test_a_running_recorder_covers_up_to_its_last_frame() -> None:
    result = cover(account(gap(None, 10), last=70), {}, period(0, 90), 1)
    assert (result.begins_ns, result.ends_ns, result.covered_ns, result.ongoing) == (0, 70, 60, None)
    assert result.whole.uncovered[-1][:3] == (70, 90, "not known yet")


def test_a_stopped_record_is_covered_up_to_its_last_frame() -> None:
    result = cover(account(gap(None, 10), gap(LAST, None, state="open")), {}, period(None, None), 1)
    assert (result.begins_ns, result.ends_ns, result.covered_ns) == (10, LAST, LAST - 10)


def test_never_covered() -> None:
    result = cover(account(gap(None, None)), {}, period(None, None), 1)
    assert (result.begins_ns, result.covered_ns, covered_intervals(result)) == (None, 0, [])


def test_a_clock_set_back_adds_no_coverage() -> None:
    result = cover(account(gap(None, 10), gap(50, 40)), {}, period(None, None), 1)
    assert result.covered_ns == 90
    assert covered_intervals(result) == [(10, 50), (50, 100)]


@given(edges, st.lists(st.integers(0, LAST), max_size=30).map(sorted))
def test_the_longest_silence_is_within_one_covered_interval(found: list[int], came: list[int]) -> None:
    stretches = list(zip(found[::2], found[1::2], strict=False))
    silences = Silences(stretches)
    for at in came:
        silences.add(at)
    longest = silences.longest()
    possible = []
    for begins, ends in stretches:
        instants = [begins, *(at for at in came if begins <= at <= ends), ends]
        possible += [Silence(*pair) for pair in pairwise(instants)]
    assert (longest is None) == (not possible)
    if longest is not None:
        assert longest in possible and longest.lasted_ns == max(one.lasted_ns for one in possible)
