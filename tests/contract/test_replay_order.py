"""The order of a replay with clocks that jump and with several recorders. Tested on SQLite only."""

import shutil
from collections.abc import Callable
from itertools import accumulate, count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.errors import ConfigurationError
from recorder.model import PUSH, SENT
from recorder.read.record import Record
from recorder.read.replay.events import Event, FrameEvent, GapBegan, GapEnded, SessionBegan, SessionClosed
from recorder.read.replay.frames import ROWS_MAX, FrameRange, FrameReader
from recorder.read.replay.order import FOR_EVER_NS, Life
from tests.contract.test_replay import check_once, only_frames, replayed, words
from tests.contract.test_several_recorders import Two, listened, told_pushes
from tests.depth import examples
from tests.made import ACCOUNT, NOON_NS
from tests.samples import FMEX
from tests.unit.read.desk import OTHER, Desk
from tests.unit.read.diary import Diary, S

NewDesk = Callable[[], Desk]


@pytest.fixture
def new_desk(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> NewDesk:
    """Makes empty records with two accounts."""
    folder, numbers = tmp_path_factory.mktemp("desks"), count(1)
    return lambda: Desk(f"sqlite:///{shutil.copy(sqlite_template, folder / f'{next(numbers)}.db')}")


def test_a_clock_that_was_set_back_does_not_change_the_order(new_desk: NewDesk) -> None:
    desk = new_desk()
    diary = Diary(desk)
    diary.session(100, [(101, None), (102, None)], 103)
    diary.session(50, [(51, None), (58, None), (52, None), (53, None)], 54)
    diary.session(55, [(56, None)])
    with desk.open() as record:
        whole = replayed(record, accounts=["main"])
        # No hole is where its clock says it was, but each lies between the frames between which it was.
        assert words(whole) == [
            *("GapBegan", "SessionBegan 100", "GapEnded 100", "100", "101", "102", "GapBegan 102", "SessionClosed 103"),
            *("SessionBegan 50", "GapEnded 50", "50", "51", "58", "52", "53", "GapBegan 53", "SessionClosed 54"),
            *("SessionBegan 55", "GapEnded 55", "55", "56"),
        ]
        for number, event in enumerate(whole):
            if isinstance(event, FrameEvent):
                assert replayed(record, accounts=["main"], after=(event.session_id, event.seq)) == whole[number + 1 :]
        cuts = [None, *(NOON_NS + at_s * S for at_s in range(51, 57)), None]
        pieces = [replayed(record, *cut) for cut in pairwise(cuts)]
        assert [frame for piece in pieces for frame in only_frames(piece)] == only_frames(whole)


def test_instants_never_decrease_at_any_start_of_the_replay(new_desk: NewDesk) -> None:
    desk = new_desk()
    came = [(50 if seq == 10 else seq % 3, None) for seq in range(3 * ROWS_MAX)]
    session_id = Diary(desk).session(0, came, answered=False)
    life = Life(NOON_NS, FOR_EVER_NS)
    expected = [NOON_NS + at_s * S for at_s in accumulate((0, *(at_s for at_s, _ in came)), max)]
    for first_seq in (0, 5, 11, 12, ROWS_MAX, len(came)):
        stretch = FrameRange(ACCOUNT, "main", FMEX, session_id, life, first_seq, len(came), (PUSH,), None)
        chunks = list(FrameReader(desk.engine, desk.url).chunks(stretch))
        assert [ns for chunk in chunks for ns in chunk.instants_ns] == expected[first_seq:]
        assert [frame.seq for chunk in chunks for frame in chunk.items] == list(range(first_seq, len(came) + 1))
    # What was received before its session began lies at its beginning.
    later = stretch._replace(life=Life(NOON_NS + 2 * S, FOR_EVER_NS))
    reader = FrameReader(desk.engine, desk.url)
    assert [reader.first_seq(later, NOON_NS + 2 * S + more) for more in (0, 1)] == [0, 11]
    reader.close()
    desk.engine.dispose()


times = st.integers(0, 20)
sessions_told = st.lists(
    st.tuples(st.sampled_from([ACCOUNT, OTHER]), times, st.lists(times, max_size=4), times), min_size=1, max_size=5
)


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=sessions_told, cut=st.tuples(times, times), topics=st.sampled_from([None, ["order.btcusd_p"]]))
def test_each_frame_comes_once_whatever_the_clock_did(
    new_desk: NewDesk, told: Any, cut: tuple[int, int], topics: list[str] | None
) -> None:
    desk = new_desk()
    diary = Diary(desk)
    for account_id, opened_s, came, ended_s in told:
        diary.session(opened_s, [(at_s, None) for at_s in came], ended_s, account_id=account_id)
    with desk.open() as record:
        whole = replayed(record, sources=[PUSH, SENT])
        names = [(event.account, event.session_id, event.seq) for event in only_frames(whole)]
        assert len(set(names)) == len(names) == sum(len(came) + 2 for _, _, came, _ in told)
        for account in ("main", "other"):
            mine = [event for event in whole if event.account == account]
            frames = [(event.session_id, event.seq) for event in only_frames(mine)]
            assert frames == sorted(frames)
            _check_holes(mine)
        options: Any = {"sources": [PUSH, SENT], "topics": topics}
        whole = replayed(record, **options)
        at = cut[0] % len(whole)
        event = whole[at]
        if isinstance(event, FrameEvent):
            assert replayed(record, after=(event.session_id, event.seq), **options) == whole[at + 1 :]
        middle_ns = NOON_NS + cut[1] * S
        pieces = _piece(record, None, middle_ns, options) + _piece(record, middle_ns, None, options)
        assert only_frames(pieces) == only_frames(whole)
        once = [event for event in pieces if isinstance(event, GapEnded | SessionClosed)]
        assert once == [event for event in whole if isinstance(event, GapEnded | SessionClosed)]
    desk.engine.dispose()


def _check_holes(events: list[Event]) -> None:
    """Each frame but the acknowledgement is outside of every gap, and each session begins and ends in one."""
    in_gap = 0
    for event in events:
        if isinstance(event, GapBegan | GapEnded):
            in_gap += 1 if isinstance(event, GapBegan) else -1
        assert in_gap == (0 if isinstance(event, FrameEvent) and event.source == PUSH else in_gap)
        assert in_gap == (1 if isinstance(event, SessionBegan | SessionClosed) else in_gap)
        assert in_gap in {0, 1}


def _piece(record: Record, since_ns: int | None, until_ns: int | None, options: Any) -> list[Event]:
    try:
        return replayed(record, since_ns, until_ns, **options)
    except ConfigurationError as error:
        assert "Nothing was received" in str(error)
        return []


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=told_pushes, heard=st.tuples(listened, listened))
def test_a_replay_agrees_with_the_views(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, told: Any, heard: Any
) -> None:
    folder = tmp_path_factory.mktemp("two")
    two = Two(folder, sqlite_template, f"sqlite:///{shutil.copy(sqlite_template, folder / 'both.db')}")
    for teller, sessions in zip(two.tellers, heard, strict=True):
        teller.write(told, sessions)
    two.merge()
    check_once(two)
    two.close()
