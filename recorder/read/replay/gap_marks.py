"""Where in a record its gaps begin and end: at which frame, so that no clock can move them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from recorder.read.records import Gap
from recorder.read.replay.order import EVER_NS, FIRST_SEQ, FIRST_SESSION, LAST_SESSION, ReplayPoint
from recorder.store.schema import gaps


class BeforeFrame(NamedTuple):
    """Right before a frame of a session."""

    session_id: int
    seq: int
    #: When, by the recorder's clock.
    received_ns: int


class PlacedGap(NamedTuple):
    """A gap, and where it lies: at spots, or at places where no one session can tell."""

    gap: Gap
    begin: BeforeFrame | ReplayPoint
    #: None: it lasts.
    end: BeforeFrame | ReplayPoint | None


def placed_gaps(
    connection: Connection, account_id: int, whole: Sequence[Gap], sessions: Collection[int]
) -> list[PlacedGap]:
    """The holes of an account.

    Args:
        connection: to the record.
        account_id: whose.
        whole: its gaps as a whole.
        sessions: of its one recorder. None where several wrote: their gap is where all of them have one, which only
            time can tell.
    """
    g = gaps.c
    query = select(g.gap_id, g.begin_session_id, g.begin_seq, g.end_session_id, g.end_seq)
    rows = connection.execute(query.where(g.account_id == account_id)).all() if sessions else []
    frames = {row.gap_id: row[1:] for row in rows}
    return [_hole(gap, *frames.get(gap.gap_id, (None,) * 4), sessions) for gap in whole]


def _hole(
    gap: Gap,
    begin_session_id: int | None,
    begin_seq: int | None,
    end_session_id: int | None,
    end_seq: int | None,
    sessions: Collection[int],
) -> PlacedGap:
    begin = _spot(begin_session_id, begin_seq, gap.begins_ns, sessions)
    end = _spot(end_session_id, end_seq, gap.ends_ns, sessions)
    if begin is not None:
        begin = begin._replace(seq=begin.seq + 1)  # after the last frame received
    return PlacedGap(gap, begin or _begin_by_time(gap), end or _end_by_time(gap))


def _spot(session_id: int | None, seq: int | None, at_ns: int | None, sessions: Collection[int]) -> BeforeFrame | None:
    if session_id is None or seq is None or at_ns is None or session_id not in sessions:
        return None
    return BeforeFrame(session_id, seq, at_ns)


def _end_by_time(gap: Gap) -> BeforeFrame | ReplayPoint | None:
    return None if gap.ends_ns is None else ReplayPoint(gap.ends_ns, FIRST_SESSION, FIRST_SEQ)


def _begin_by_time(gap: Gap) -> BeforeFrame | ReplayPoint:
    """After everything at its instant; its end stands before everything at the instant of that."""
    if gap.begins_ns is None:
        return ReplayPoint(EVER_NS, FIRST_SESSION, FIRST_SEQ)
    if gap.ends_ns is not None and gap.begins_ns >= gap.ends_ns:  # a clock was set back in it
        return ReplayPoint(gap.ends_ns, FIRST_SESSION, FIRST_SEQ - 1)
    return ReplayPoint(gap.begins_ns, LAST_SESSION, FIRST_SEQ)
