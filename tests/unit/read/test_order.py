"""The order of a record: lives that never overlap, and several sources as one."""

from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.read.replay.order import FOR_EVER_NS, Chunk, Life, ReplayPoint, before, lives, merge

times = st.integers(0, 30)


def test_where_no_clock_jumped_a_life_is_what_the_clock_said() -> None:
    assert lives([(1, 5), (7, 9), (12, None)]) == [Life(1, 5), Life(7, 9), Life(12, FOR_EVER_NS)]


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        # The clock was an hour ahead in the first session, and was set back before the second.
        ([(100, 160), (50, 60)], [(50, 50), (50, 60)]),
        # It was set back within a session.
        ([(100, 60), (70, 80)], [(60, 60), (70, 80)]),
        # Never ended, though another followed.
        ([(1, None), (5, None)], [(1, 5), (5, FOR_EVER_NS)]),
    ],
)
def test_a_clock_that_was_set_back(sessions: list[tuple[int, int | None]], expected: list[tuple[int, int]]) -> None:
    assert lives(sessions) == expected


@given(st.lists(st.tuples(times, times | st.none())))
def test_lives_follow_one_another_whatever_the_clock_did(sessions: list[tuple[int, int | None]]) -> None:
    edges = list(chain.from_iterable(lives(sessions)))
    assert edges == sorted(edges)


@given(times, times, st.lists(times))
def test_instants_keep_the_order_and_lie_within_the_life(one: int, other: int, received: list[int]) -> None:
    life = Life(min(one, other), max(one, other))
    instants = [life.instant_ns(max(received[: number + 1])) for number in range(len(received))]
    assert instants == sorted(instants)
    assert all(life.begins_ns <= instant <= life.ends_ns for instant in instants)
    if received == sorted(received) and all(life.begins_ns <= ns <= life.ends_ns for ns in received):
        assert instants == received


def test_a_life_that_lasts_has_no_last_instant() -> None:
    assert Life(3, FOR_EVER_NS).instant_ns(10**18) == 10**18


@st.composite
def sources(draw: st.DrawFn) -> list[list[Chunk[ReplayPoint]]]:
    """Sources as a replay has them: sessions one after the other, in chunks; no session in two of them."""
    made = []
    for number in range(draw(st.integers(0, 4))):
        instants = sorted(draw(st.lists(times, max_size=12)))
        cuts = sorted(draw(st.sets(st.integers(1, max(len(instants) - 1, 1)))))
        source = []
        session_id = number
        for begin, end in zip([0, *cuts], [*cuts, len(instants)], strict=True):
            if begin < min(end, len(instants)):
                some = instants[begin:end]
                places = [ReplayPoint(ns, session_id, seq) for seq, ns in enumerate(some, begin)]
                source.append(Chunk(session_id, some, places))
                session_id += draw(st.sampled_from([0, 10]))
        made.append(source)
    return made


@given(sources())
def test_merging_is_sorting(told: list[list[Chunk[ReplayPoint]]]) -> None:
    merged = list(merge([iter(source) for source in told]))
    assert all(chunk.items for chunk in merged)
    places = [place for chunk in merged for place in chunk.items]
    assert places == sorted(place for source in told for chunk in source for place in chunk.items)
    assert [ns for chunk in merged for ns in chunk.instants_ns] == [place.instant_ns for place in places]
    assert [chunk.session_id for chunk in merged for _ in chunk.items] == [place.session_id for place in places]


def test_what_is_ahead_alone_is_passed_on_as_it_is() -> None:
    long = Chunk(1, range(1000), range(1000))
    last = Chunk(2, [2000], [0])
    assert list(merge([iter([long]), iter([last])])) == [long, last]


def test_a_source_is_read_only_as_far_as_it_must_be() -> None:
    read: list[int] = []

    def source() -> Iterator[Chunk[int]]:
        for number in range(100):
            read.append(number)
            yield Chunk(1, [number], [number])

    merged = merge([source(), iter([Chunk(2, [1000], [1000])])])
    assert next(merged).items == [0]
    assert len(read) == 1


def test_before_an_instant_is_before_all_at_it() -> None:
    assert before(5) < ReplayPoint(5, -1, -1)
    assert before(5) > ReplayPoint(4, 2**63, 2**63)
