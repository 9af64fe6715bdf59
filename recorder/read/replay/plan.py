"""Plan a replay: which sessions and gaps it covers. Whatever the record does not have is refused before it begins."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from recorder.clock import utc_text
from recorder.errors import ConfigurationError, Incomplete
from recorder.model import PUSH, PUSHES, REPEATED, REST, SENT, SNAPSHOT
from recorder.read.coverage import coverage, coverage_by_recorder, latest_frame_ns, whole_gaps
from recorder.read.known_state import newest_seq
from recorder.read.records import Gap
from recorder.read.replay.events import SessionBegan, SessionClosed
from recorder.read.replay.order import (
    EVER_NS,
    FIRST_SEQ,
    FIRST_SESSION,
    FOR_EVER_NS,
    LAST_SEQ,
    LAST_SESSION,
    Life,
    ReplayPoint,
    before,
    lives,
)
from recorder.read.scope import find_account, labelled_accounts, require_order
from recorder.store.schema import gaps, reconciliations, runs, sessions
from recorder.venues import venue_named
from recorder.venues.base import Venue

#: Sources of frames.
SOURCES = (PUSH, REPEATED, REST, SENT, SNAPSHOT)
#: Sources of frames that belong to a connection; the others belong to a round of REST requests.
OF_CONNECTIONS = PUSHES | {SENT}
#: More gaps than this are counted, not listed.
GAPS_SHOWN_MAX = 20


class ReplayRequest(NamedTuple):
    """What to replay."""

    #: Received at or after, and before, nanoseconds since 1970; None: from the beginning, to the present end.
    since_ns: int | None = None
    until_ns: int | None = None
    #: By name; None: all.
    accounts: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    sources: tuple[str, ...] = (PUSH, REPEATED)
    #: Continue after this frame: its session and number.
    after: tuple[int, int] | None = None
    #: Include a push once for each recorder that received it.
    all_sightings: bool = False
    #: Refuse a period with a gap.
    require_complete: bool = False


class ReplayAccount(NamedTuple):
    """An account of the record."""

    account_id: int
    name: str
    venue: Venue


class ReplaySession(NamedTuple):
    """A connection, or a round of REST requests."""

    account: ReplayAccount
    session_id: int
    recorder_id: int
    life: Life
    #: If it is still open, its last frame at present; later ones are not replayed.
    last_seq: int
    #: The events of its beginning and end; a round has none.
    began: SessionBegan | None
    ended: SessionClosed | None


class BeforeFrame(NamedTuple):
    """The point right before a frame of a session."""

    session_id: int
    seq: int
    #: When, by the recorder's clock.
    received_ns: int


class PlacedGap(NamedTuple):
    """A gap, and where it begins and ends: at a frame, so that no clock can move it, or else at an instant."""

    gap: Gap
    begin: BeforeFrame | ReplayPoint
    #: None: it has not ended.
    end: BeforeFrame | ReplayPoint | None


class ReplayPlan(NamedTuple):
    """What is replayed."""

    #: Each recorder's connections, and its rounds if frames of them are wanted.
    groups: Sequence[Sequence[ReplaySession]]
    gaps: Sequence[PlacedGap]
    sources: tuple[str, ...]
    topics: tuple[str, ...] | None
    #: After this point and before that one.
    start: ReplayPoint
    end: ReplayPoint
    #: Session and number of the frame after which it continues. None: it begins with what is going on at `start`.
    after: tuple[int, int] | None
    #: Whether a push that several recorders received is given once.
    once: bool


class _AccountPart(NamedTuple):
    """What the record has of one account."""

    account: ReplayAccount
    connections: list[list[ReplaySession]]
    rounds: list[list[ReplaySession]]
    gaps: list[PlacedGap]
    #: When all topics were first acknowledged, and when the last frame was received. None: never.
    covered_ns: int | None
    last_ns: int | None


def plan_replay(connection: Connection, request: ReplayRequest) -> ReplayPlan:
    """Plan a replay.

    Raises:
        ConfigurationError: the record does not have an account, topic, source, frame or time.
        Incomplete: it has gaps, and the replay must be complete.
    """
    for source in request.sources:
        if source not in SOURCES:
            raise ConfigurationError(f"Frames have no source {source!r}; it is one of: {', '.join(SOURCES)}.")
    parts = [_account_part(connection, account) for account in _accounts(connection, request.accounts)]
    connections = [session for part in parts for group in part.connections for session in group]
    groups = [group for part in parts for group in (*part.connections, *part.rounds)]
    _check_topics(request, connections)
    _check_times(request, parts)
    if request.after is not None:
        session_id, seq = request.after
        if all(session.session_id != session_id for session in chain.from_iterable(groups)):
            raise ConfigurationError(
                f"The record has no session {session_id} here, so nothing comes after its frame {seq}: "
                "name the frame of an event that the same replay gave."
            )
    topics = {None, *(request.topics or ())}
    placed = [one for part in parts for one in part.gaps if request.topics is None or one.gap.topic in topics]
    if request.require_complete:
        _require_complete(request, parts, [one.gap for one in placed])
    # Connections are always included, because their beginnings and ends are events.
    with_rounds = not OF_CONNECTIONS.issuperset(request.sources)
    return ReplayPlan(
        [group for group in groups if with_rounds or group[0].began is not None],
        placed,
        request.sources,
        request.topics,
        before(EVER_NS - 1 if request.since_ns is None else max(request.since_ns, 0)),
        before(FOR_EVER_NS if request.until_ns is None else min(request.until_ns, FOR_EVER_NS)),
        request.after,
        once=not request.all_sightings,
    )


def _accounts(connection: Connection, wanted: Sequence[str] | None) -> list[ReplayAccount]:
    chosen_ids = None if wanted is None else {find_account(connection, name).account_id for name in wanted}
    return [
        ReplayAccount(one.account_id, one.label, venue_named(one.venue))
        for one in sorted(labelled_accounts(connection), key=lambda one: (one.label, one.account_id))
        if chosen_ids is None or one.account_id in chosen_ids
    ]


def _account_part(connection: Connection, account: ReplayAccount) -> _AccountPart:
    by_recorder = coverage_by_recorder(connection, account.account_id, account.name)
    whole = whole_gaps(account.name, by_recorder)
    last_ns = latest_frame_ns(by_recorder)
    connections = _connections(connection, account)
    known = {session.session_id for group in connections for session in group}
    placed = placed_gaps(connection, account.account_id, whole, known if len(by_recorder) == 1 else ())
    covered_ns = coverage(account.name, whole, last_ns).begins_ns
    return _AccountPart(account, connections, _rounds(connection, account), placed, covered_ns, last_ns)


def _check_topics(request: ReplayRequest, connections: Iterable[ReplaySession]) -> None:
    known = {topic for session in connections if session.began for topic in session.began.topics}
    for topic in request.topics or ():
        # The topic of a REST answer is a path.
        if topic not in known and not topic.startswith("/"):
            subscribed = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(f"The record has no topic {topic!r}; subscribed topics: {subscribed}.")


def _check_times(request: ReplayRequest, parts: Sequence[_AccountPart]) -> None:
    since_ns, until_ns = request.since_ns, request.until_ns
    require_order(since_ns, until_ns)
    found = [(part, session) for part in parts for group in part.connections for session in group]
    if not found:
        if since_ns is not None or until_ns is not None:
            raise ConfigurationError("Nothing has been received yet: leave the time out, or record something first.")
        return
    first_ns = min(session.life.begins_ns for _, session in found)
    last_ns = max(
        session.life.ends_ns if session.ended else session.life.instant_ns(part.last_ns or 0) for part, session in found
    )
    if since_ns is not None and since_ns > last_ns:
        raise ConfigurationError(
            f"Nothing was received since {utc_text(since_ns)} UTC; the record ends at {utc_text(last_ns)}."
        )
    if until_ns is not None and until_ns <= first_ns:
        raise ConfigurationError(
            f"Nothing was received until {utc_text(until_ns)} UTC; the record begins at {utc_text(first_ns)}."
        )


def _require_complete(request: ReplayRequest, parts: Sequence[_AccountPart], gaps: Sequence[Gap]) -> None:
    """Refuse gaps within the requested times; by default, between the first full coverage and the last frame."""
    bounds = {}
    for part in parts:
        since_ns = part.covered_ns if request.since_ns is None else request.since_ns
        until_ns = part.last_ns if request.until_ns is None else request.until_ns
        bounds[part.account.name] = (since_ns or EVER_NS, FOR_EVER_NS if until_ns is None else until_ns)
    within = [gap for gap in gaps if _lies_within(gap, *bounds[gap.account])]
    if within:
        lines = [_line(gap) for gap in within[:GAPS_SHOWN_MAX]]
        if len(within) > GAPS_SHOWN_MAX:
            lines.append(f"  and {len(within) - GAPS_SHOWN_MAX} more")
        raise Incomplete(
            "Pushes may have been missed in that period; replay a shorter one, or allow gaps by leaving out "
            "require-complete:\n" + "\n".join(lines),
            within,
        )


def _lies_within(gap: Gap, since_ns: int, until_ns: int) -> bool:
    begins_ns = EVER_NS if gap.begins_ns is None else gap.begins_ns
    return begins_ns < until_ns and (gap.ends_ns is None or gap.ends_ns > since_ns)


def _line(gap: Gap) -> str:
    begins = utc_text(gap.begins_ns) or "before the record"
    return f"  {gap.account}, {gap.subject}: {begins} to {utc_text(gap.ends_ns) or 'now'}, {gap.reason}, {gap.state}"


def _connections(connection: Connection, account: ReplayAccount) -> list[list[ReplaySession]]:
    """Each recorder's connections, in the order in which they were made."""
    s = sessions.c
    query = select(
        s.session_id, runs.c.recorder_id, s.opened_ns, s.ended_ns, s.url, s.topics, s.end_reason, s.end_detail
    )
    query = query.join_from(sessions, runs, runs.c.run_id == s.run_id).where(s.account_id == account.account_id)
    return _by_recorder(connection, account, query.order_by(runs.c.recorder_id, s.session_id))


def _rounds(connection: Connection, account: ReplayAccount) -> list[list[ReplaySession]]:
    """Each recorder's rounds of REST requests, in their order."""
    r = reconciliations.c
    query = select(r.reconciliation_id.label("session_id"), runs.c.recorder_id, r.began_ns, r.ended_ns)
    query = query.join_from(reconciliations, runs, runs.c.run_id == r.run_id).where(r.account_id == account.account_id)
    return _by_recorder(connection, account, query.order_by(runs.c.recorder_id, r.reconciliation_id))


def _by_recorder(connection: Connection, account: ReplayAccount, query: Select[Any]) -> list[list[ReplaySession]]:
    return [
        list(_sessions(connection, account, recorder_id, list(rows)))
        for recorder_id, rows in groupby(connection.execute(query).all(), key=lambda row: int(row.recorder_id))
    ]


def _sessions(
    connection: Connection, account: ReplayAccount, recorder_id: int, rows: list[Any]
) -> Iterator[ReplaySession]:
    of_rows = lives([(row[2], row[3]) for row in rows])
    for (session_id, _, opened_ns, ended_ns, *details), life in zip(rows, of_rows, strict=True):
        last_seq = LAST_SEQ if ended_ns is not None else newest_seq(connection, account.account_id, session_id)
        began = ended = None
        if details:
            url, topics, reason, detail = details
            began = SessionBegan(account.name, session_id, opened_ns, recorder_id, url, tuple(topics.split()))
            if ended_ns is not None:
                ended = SessionClosed(account.name, session_id, ended_ns, reason, detail)
        yield ReplaySession(account, session_id, recorder_id, life, last_seq, began, ended)


def placed_gaps(
    connection: Connection, account_id: int, whole: Sequence[Gap], session_ids: Collection[int]
) -> list[PlacedGap]:
    """Where the gaps of an account begin and end.

    Args:
        connection: to the record.
        account_id: of the account.
        whole: its gaps as a whole.
        session_ids: of its only recorder. Empty if there are several: their common gaps have only instants.
    """
    g = gaps.c
    query = select(g.gap_id, g.begin_session_id, g.begin_seq, g.end_session_id, g.end_seq)
    rows = connection.execute(query.where(g.account_id == account_id)).all() if session_ids else []
    ends = {row.gap_id: row[1:] for row in rows}
    placed = []
    for gap in whole:
        begin_session_id, begin_seq, end_session_id, end_seq = ends.get(gap.gap_id, (None,) * 4)
        begin = end = None
        if begin_session_id in session_ids and begin_seq is not None and gap.begins_ns is not None:
            # After the last frame received.
            begin = BeforeFrame(begin_session_id, begin_seq + 1, gap.begins_ns)
        if end_session_id in session_ids and end_seq is not None and gap.ends_ns is not None:
            end = BeforeFrame(end_session_id, end_seq, gap.ends_ns)
        placed.append(PlacedGap(gap, begin or _begin_by_time(gap), end or _end_by_time(gap)))
    return placed


def _begin_by_time(gap: Gap) -> ReplayPoint:
    """After everything at its instant; a gap's end is before everything at its instant."""
    if gap.begins_ns is None:
        return ReplayPoint(EVER_NS, FIRST_SESSION, FIRST_SEQ)
    if gap.ends_ns is not None and gap.begins_ns >= gap.ends_ns:  # a clock was set back during the gap
        return ReplayPoint(gap.ends_ns, FIRST_SESSION, FIRST_SEQ - 1)
    return ReplayPoint(gap.begins_ns, LAST_SESSION, FIRST_SEQ)


def _end_by_time(gap: Gap) -> ReplayPoint | None:
    return None if gap.ends_ns is None else ReplayPoint(gap.ends_ns, FIRST_SESSION, FIRST_SEQ)
