"""The gaps of a whole: where every recorder has one."""

from hypothesis import given
from hypothesis import strategies as st

from recorder.read.coverage import RecorderCoverage, coverage, whole_gaps, with_retired
from recorder.read.records import Coverage, Gap

TOPICS = ("a", "b")


def gap(begins: int | None, ends: int | None, topic: str | None = None, state: str = "open") -> Gap:
    return Gap("main", begins, ends, topic, "lost", None, state, 1)


def side(*gaps: Gap, last: int | None = 1_000, topics: tuple[str, ...] = TOPICS) -> RecorderCoverage:
    return RecorderCoverage(gaps, frozenset(topics), last)


def stretches(*sides: RecorderCoverage) -> list[tuple[int | None, int | None, str | None]]:
    return [(one.begins_ns, one.ends_ns, one.topic) for one in whole_gaps("main", dict(enumerate(sides)))]


def test_one_recorder_s_gaps_are_the_whole_s() -> None:
    gaps = [gap(None, 5), gap(7, 9, "a"), gap(20, None)]
    assert whole_gaps("main", {1: side(*gaps)}) == gaps


def test_a_recorder_that_runs_covers_until_its_last_frame_and_nothing_is_known_of_what_comes_after() -> None:
    running, stopped = side(gap(None, 10), last=50), side(gap(None, 5), gap(30, None), last=30)
    assert stretches(running, stopped) == [(None, 5, None)]
    whole = whole_gaps("main", {1: running, 2: stopped})
    assert coverage("main", whole, 50) == Coverage("main", 5, 50, 45, 0, in_gap=False)
    assert stretches(running, side(gap(None, 5), last=60)) == [(None, 5, None)]
    # It was disconnected for a while, and last heard of when it was back.
    again = side(gap(None, 10), gap(40, 50), last=50)
    assert stretches(again, stopped) == [(None, 5, None), (40, 50, None)]


def test_a_recorder_that_was_last_heard_of_before_the_other_stopped_does_not_hide_that() -> None:
    silent, stopped = side(gap(None, 10), last=50), side(gap(None, 5), gap(70, None), last=70)
    assert stretches(silent, stopped) == [(None, 5, None), (70, None, None)]
    both_stopped = [side(gap(None, 5), gap(last, None), last=last) for last in (30, 70)]
    assert stretches(*both_stopped) == [(None, 5, None), (70, None, None)]
    assert coverage("main", whole_gaps("main", dict(enumerate(both_stopped))), 70).in_gap


def test_a_retired_recorder_s_open_gap_does_not_count() -> None:
    active, retired = side(gap(None, 5), gap(30, 40), last=50), side(gap(None, 5), gap(20, None), last=20)
    alone = whole_gaps("main", with_retired({1: retired}, {1}))
    assert alone == [gap(None, 5)]
    assert not coverage("main", alone, 20).in_gap
    # It covers nothing after its end, and says nothing about the gaps of the others.
    unasked = active._replace(gaps=[gap(None, 5), gap(30, 40, state="unrecoverable")])
    for its in (active, unasked):
        found = whole_gaps("main", with_retired({1: its, 2: retired}, {2}))
        assert [(one.begins_ns, one.ends_ns, one.reason, one.state) for one in found[1:]] == [
            (30, 40, "lost", its.gaps[1].state)
        ]
    stopped = active._replace(gaps=[gap(None, 5), gap(15, None)], last_ns=15)
    assert stretches(*with_retired({0: stopped, 1: retired}, {1}).values())[1:] == [(20, None, None)]
    # A gap that had begun before its last frame is one until that frame.
    late = side(gap(None, 5), gap(20, None), last=30)
    assert whole_gaps("main", with_retired({1: late}, {1}))[1:] == [gap(20, 30)]


def test_what_is_better_known_counts() -> None:
    one, other = side(gap(None, 10), gap(20, 30, state="unrecoverable")), side(gap(None, 5), gap(25, 40))
    assert [found.state for found in whole_gaps("main", {1: one, 2: other})[:2]] == ["open", "open"]
    settled = side(gap(None, 5), gap(25, 40, state="reconciled"))
    assert [found.state for found in whole_gaps("main", {1: one, 2: settled})[:2]] == ["open", "reconciled"]


def test_the_beginning_of_a_later_recorder_settles_nothing_of_an_earlier_one_s() -> None:
    for state in ("open", "unrecoverable"):
        earlier = side(gap(None, 5, state="reconciled"), gap(10, 100, state=state))
        later = side(gap(None, 500, state="reconciled"))
        found = whole_gaps("main", {1: earlier, 2: later})
        assert [one.state for one in found if one.begins_ns == 10] == [state]
        assert found[0].state == "reconciled"


def test_a_stretch_that_one_settled_in_part_is_not_settled() -> None:
    one = side(gap(None, 5), gap(10, 20, state="reconciled"), gap(20, 30, state="unrecoverable"))
    other = side(gap(None, 5), gap(8, 40, state="open"))
    assert [found.state for found in whole_gaps("main", {1: one, 2: other})[1:2]] == ["open"]


def test_a_topic_that_one_never_asked_for_is_missed_by_it() -> None:
    one, other = side(gap(None, 5), gap(10, 20, "a")), side(gap(None, 5), topics=("b",))
    assert stretches(one, other) == [(None, 5, None), (10, 20, "a")]


intervals = st.lists(st.integers(0, 60), max_size=8, unique=True).map(sorted)
drawn_sides = st.lists(
    st.tuples(intervals, st.dictionaries(st.sampled_from(TOPICS), intervals), st.integers(0, 60)),
    min_size=2,
    max_size=3,
)


@given(drawn_sides)
def test_at_every_instant_the_whole_is_in_a_gap_where_all_are(
    drawn: list[tuple[list[int], dict[str, list[int]], int]],
) -> None:
    sides = [
        side(
            *pairs(None, whole),
            *(one for topic, edges in topics.items() for one in pairs(topic, edges)),
            last=last,
        )
        for whole, topics, last in drawn
    ]
    found = whole_gaps("main", dict(enumerate(sides)))
    assert all(one.begins_ns != one.ends_ns for one in found)
    covering = [one.last_ns or 0 for one in sides if all(gap.ends_ns is not None for gap in one.gaps if not gap.topic)]
    for at in range(62):
        everything = all(missed(one, None, at) for one in sides)
        # Of what comes after the last frame of a recorder that still covers nothing is known.
        since = max(covering, default=62)
        unknown = at >= since and all(missed(one, None, later) for one in sides for later in range(since, 62))
        assert inside(found, None, at) is (everything and not unknown)
        for topic in TOPICS:
            by_all = all(missed(one, None, at) or missed(one, topic, at) for one in sides)
            assert inside(found, topic, at) is (by_all and not everything)


def pairs(topic: str | None, edges: list[int]) -> list[Gap]:
    """Gaps from edge to edge; the last may last."""
    ends: list[int | None] = [*edges[1::2], *([None] if len(edges) % 2 else [])]
    return [gap(begin, end, topic) for begin, end in zip(edges[::2], ends, strict=True)]


def missed(one: RecorderCoverage, topic: str | None, at: int) -> bool:
    """Whether the nanosecond from `at` on is missed."""
    if inside(list(one.gaps), topic, at):
        return True
    lasts = any(gap.topic is None and gap.ends_ns is None for gap in one.gaps)
    return topic is None and not lasts and one.last_ns is not None and at >= one.last_ns


def inside(gaps: list[Gap], topic: str | None, at: int) -> bool:
    return any(
        one.topic == topic and (one.begins_ns or 0) <= at and (one.ends_ns is None or at < one.ends_ns) for one in gaps
    )
