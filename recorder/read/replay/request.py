"""What is asked of a replay, held against what there is: whatever cannot be given is refused before it begins."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from recorder.clock import utc_text
from recorder.errors import ConfigurationError, Incomplete
from recorder.model import PUSH, REST, SENT, SNAPSHOT
from recorder.read.coverage.gaps import coverage, whole_gaps
from recorder.read.coverage.recorders import coverage_by_recorder
from recorder.read.records import Gap
from recorder.read.replay.gap_marks import PlacedGap, placed_gaps
from recorder.read.replay.order import EVER_NS, FOR_EVER_NS, before
from recorder.read.replay.replaying import OF_CONNECTIONS, ReplayPlan
from recorder.read.replay.sessions import ReplayAccount, ReplaySession, connections_of, rounds_of
from recorder.read.scope import account_labels, find_account, recorded_accounts, require_order
from recorder.venues import venue_named

#: Where the frames of a record come from.
SOURCES = (PUSH, REST, SENT, SNAPSHOT)
#: More gaps than this are counted, not listed.
GAPS_SHOWN_MAX = 20


class ReplayRequest(NamedTuple):
    """What is to be replayed."""

    #: Received at or after, and before, nanoseconds since 1970; None: from the beginning, to the end there is now.
    since_ns: int | None = None
    until_ns: int | None = None
    #: By name; None: all.
    accounts: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    sources: tuple[str, ...] = (PUSH,)
    #: Go on after this frame: its session and number.
    after: tuple[int, int] | None = None
    #: Also what several recorders saw of one push.
    all_sightings: bool = False
    #: Refuse a stretch with a gap in it.
    require_complete: bool = False


class _Part(NamedTuple):
    """What there is of one account."""

    account: ReplayAccount
    connections: list[list[ReplaySession]]
    rounds: list[list[ReplaySession]]
    holes: list[PlacedGap]
    #: All topics were first acknowledged; the last frame was received. None: never.
    covered_ns: int | None
    last_ns: int | None


def plan_replay(connection: Connection, asked: ReplayRequest) -> ReplayPlan:
    """The script of a replay.

    Raises:
        ConfigurationError: an account, a topic, a source, a frame or a time that the record does not have.
        Incomplete: it is asked for whole, and has gaps.
    """
    _check_sources(asked)
    parts = [_part(connection, account) for account in _accounts(connection, asked.accounts)]
    groups = [group for part in parts for group in (*part.connections, *part.rounds)]
    _check_topics(asked, parts)
    _check_range(asked, parts)
    _check_after(asked, groups)
    topics = {None, *(asked.topics or ())}
    holes = [hole for part in parts for hole in part.holes if asked.topics is None or hole.gap.topic in topics]
    if asked.require_complete:
        _require_complete(asked, parts, [hole.gap for hole in holes])
    return ReplayPlan(
        [group for group in groups if _is_wanted(group, asked)],
        holes,
        asked.sources,
        asked.topics,
        before(EVER_NS - 1 if asked.since_ns is None else max(asked.since_ns, 0)),
        before(FOR_EVER_NS if asked.until_ns is None else min(asked.until_ns, FOR_EVER_NS)),
        asked.after,
        once=not asked.all_sightings,
    )


def _accounts(connection: Connection, wanted: Sequence[str] | None) -> list[ReplayAccount]:
    labels = account_labels(connection)
    chosen_ids = None if wanted is None else {find_account(connection, name).account_id for name in wanted}
    known = [
        ReplayAccount(one.account_id, labels[one.account_id], venue_named(one.venue))
        for one in recorded_accounts(connection)
    ]
    chosen = [account for account in known if chosen_ids is None or account.account_id in chosen_ids]
    return sorted(chosen, key=lambda account: (account.name, account.account_id))


def _part(connection: Connection, account: ReplayAccount) -> _Part:
    sides = coverage_by_recorder(connection, account.account_id, account.name)
    gaps = whole_gaps(account.name, sides) if sides else []
    last_ns = max((side.last_ns for side in sides.values() if side.last_ns is not None), default=None)
    covered_ns = coverage(account.name, gaps, last_ns).begins_ns
    connections = connections_of(connection, account)
    known = {session.session_id for group in connections for session in group}
    holes = placed_gaps(connection, account.account_id, gaps, known if len(sides) == 1 else ())
    return _Part(account, connections, rounds_of(connection, account), holes, covered_ns, last_ns)


def _is_wanted(group: Sequence[ReplaySession], asked: ReplayRequest) -> bool:
    """Whether frames of a group can be wanted. Connections always count: their beginnings and ends are events."""
    return group[0].began is not None or not OF_CONNECTIONS.issuperset(asked.sources)


def _check_sources(asked: ReplayRequest) -> None:
    for source in asked.sources:
        if source not in SOURCES:
            raise ConfigurationError(f"Frames have no source {source!r}; it is one of: {', '.join(SOURCES)}.")


def _check_topics(asked: ReplayRequest, parts: Sequence[_Part]) -> None:
    connections = [session for part in parts for group in part.connections for session in group]
    known = {topic for session in connections if session.began for topic in session.began.topics}
    for topic in asked.topics or ():
        # What a REST answer is about is a path.
        if topic not in known and not topic.startswith("/"):
            told = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(f"The record has no topic {topic!r}; what was subscribed to: {told}.")


def _check_range(asked: ReplayRequest, parts: Sequence[_Part]) -> None:
    since_ns, until_ns = asked.since_ns, asked.until_ns
    require_order(since_ns, until_ns)
    sessions = [(part, session) for part in parts for group in part.connections for session in group]
    if not sessions:
        if since_ns is not None or until_ns is not None:
            raise ConfigurationError("Nothing has been received yet: leave the time out, or record something first.")
        return
    first_ns = min(session.life.begins_ns for _, session in sessions)
    last_ns = max(_last_instant_ns(part, session) for part, session in sessions)
    if since_ns is not None and since_ns > last_ns:
        raise ConfigurationError(
            f"Nothing was received since {utc_text(since_ns)} UTC; the record ends at {utc_text(last_ns)}."
        )
    if until_ns is not None and until_ns <= first_ns:
        raise ConfigurationError(
            f"Nothing was received until {utc_text(until_ns)} UTC; the record begins at {utc_text(first_ns)}."
        )


def _last_instant_ns(part: _Part, session: ReplaySession) -> int:
    return session.life.ends_ns if session.ended else session.life.instant_ns(part.last_ns or 0)


def _check_after(asked: ReplayRequest, groups: Sequence[Sequence[ReplaySession]]) -> None:
    if asked.after is None:
        return
    session_id, seq = asked.after
    if not any(session.session_id == session_id for group in groups for session in group):
        raise ConfigurationError(
            f"The record has no session {session_id} here, so nothing comes after its frame {seq}: "
            "name the frame of an event that the same replay gave."
        )


def _require_complete(asked: ReplayRequest, parts: Sequence[_Part], gaps: Sequence[Gap]) -> None:
    """Refuse gaps between the asked times; where none is asked, between the first full coverage and the last frame."""
    bounds = {}
    for part in parts:
        since_ns = part.covered_ns if asked.since_ns is None else asked.since_ns
        until_ns = part.last_ns if asked.until_ns is None else asked.until_ns
        bounds[part.account.name] = (since_ns or EVER_NS, FOR_EVER_NS if until_ns is None else until_ns)
    within = [gap for gap in gaps if _lies_within(gap, *bounds[gap.account])]
    if within:
        lines = [_line(gap) for gap in within[:GAPS_SHOWN_MAX]]
        if len(within) > GAPS_SHOWN_MAX:
            lines.append(f"  and {len(within) - GAPS_SHOWN_MAX} more")
        raise Incomplete(
            "There pushes may have been missed; replay less, or do without require-complete:\n" + "\n".join(lines),
            within,
        )


def _lies_within(gap: Gap, since_ns: int, until_ns: int) -> bool:
    begins_ns = EVER_NS if gap.begins_ns is None else gap.begins_ns
    return begins_ns < until_ns and (gap.ends_ns is None or gap.ends_ns > since_ns)


def _line(gap: Gap) -> str:
    begins = utc_text(gap.begins_ns) or "before the record"
    return (
        f"  {gap.account}, {gap.topic or 'all topics'}: {begins} to {utc_text(gap.ends_ns) or 'now'}, "
        f"{gap.reason}, {gap.state}"
    )
