"""Beginnings and ends of gaps that no one session can tell: they stand where their time is."""

from typing import Any

import pytest
from sqlalchemy import create_engine

from recorder.read.records import Gap
from recorder.read.replay.events import GapBegan, instant_ns
from recorder.read.replay.frames import FrameReader
from recorder.read.replay.order import EVER_NS, FOR_EVER_NS, ReplayPoint, before
from recorder.read.replay.plan import PlacedGap, ReplayPlan, placed_gaps
from recorder.read.replay.replaying import replay

NOWHERE: Any = None


class Watched(FrameReader):
    """Says when it was closed."""

    def __init__(self) -> None:
        super().__init__(create_engine("sqlite://"), "sqlite://")
        self.closed = False

    def close(self) -> None:
        super().close()
        self.closed = True


def hole(account: str, begins_ns: int | None, ends_ns: int | None) -> PlacedGap:
    gap = Gap(account, begins_ns, ends_ns, None, "lost", None, "open", 1)
    (found,) = placed_gaps(NOWHERE, 1, [gap], ())
    return found


def told(
    *holes: PlacedGap, start_ns: int = EVER_NS, end_ns: int = FOR_EVER_NS, after: ReplayPoint | None = None
) -> list[tuple[str, str, int | None]]:
    reader = Watched()
    script = ReplayPlan([], holes, ("push",), None, after or before(start_ns), before(end_ns), None, once=True)
    events = list(replay(reader, script))
    assert reader.closed
    return [("began" if isinstance(event, GapBegan) else "ended", event.account, instant_ns(event)) for event in events]


def test_those_of_several_accounts_come_in_one_order() -> None:
    assert told(hole("main", 3, 9), hole("main", 12, None), hole("other", 1, 5), hole("other", 7, 14)) == [
        ("began", "other", 1),
        ("began", "main", 3),
        ("ended", "other", 5),
        ("began", "other", 7),
        ("ended", "main", 9),
        ("began", "main", 12),
        ("ended", "other", 14),
    ]


def test_what_goes_on_is_told_in_the_order_it_began() -> None:
    over = hole("other", 1, 5), hole("main", 10, None)
    goes_on = hole("main", 3, 9), hole("lasts", 2, None), hole("first", None, 8), hole("ends", 4, 6)
    assert told(*over, *goes_on, start_ns=6, end_ns=7) == [
        ("began", "first", None),
        ("began", "lasts", 2),
        ("began", "main", 3),
        ("began", "ends", 4),
        ("ended", "ends", 6),
    ]


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "expected"),
    [
        (3, 4, [("began", "main", 3)]),
        (4, 9, [("began", "main", 3)]),
        (4, 10, [("began", "main", 3), ("ended", "main", 9)]),
        (9, 10, [("began", "main", 3), ("ended", "main", 9)]),
        (10, 11, []),
        (2, 3, []),
    ],
)
def test_at_its_instant_it_is_told_once(start_ns: int, end_ns: int, expected: list[Any]) -> None:
    assert told(hole("main", 3, 9), start_ns=start_ns, end_ns=end_ns) == expected


def test_a_gap_ends_before_and_begins_after_everything_at_its_instant() -> None:
    (first, second) = hole("main", 3, 9), hole("main", 9, 12)
    assert first.end is not None and first.end < ReplayPoint(9, 0, 0) < second.begin
    assert told(first, second) == [
        ("began", "main", 3),
        ("ended", "main", 9),
        ("began", "main", 9),
        ("ended", "main", 12),
    ]


def test_after_a_frame_only_what_follows_at_its_instant_is_told() -> None:
    first, second = hole("main", 3, 9), hole("main", 9, 12)
    assert told(first, second, after=ReplayPoint(9, 5, 7)) == [("began", "main", 9), ("ended", "main", 12)]


def test_a_gap_in_which_a_clock_was_set_back_begins_before_it_ends() -> None:
    assert told(hole("main", 9, 4)) == [("began", "main", 9), ("ended", "main", 4)]
    assert told(hole("main", 9, 9)) == [("began", "main", 9), ("ended", "main", 9)]
