"""How much of the time a record covers, by one recorder or by several together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import Connection, select

from recorder.model import PUSHES
from recorder.read.intervals import EVER, FOR_EVER, Interval, complement, intersection, union
from recorder.read.records import Coverage, Filter, Gap
from recorder.store.event_log import last_proof_of_life, retired_recorders
from recorder.store.gaps import OPEN, RECONCILED, UNRECOVERABLE, UNSUBSCRIBED
from recorder.store.schema import frames, gaps, receipts, reconciliations, recorders, runs, sessions
from recorder.venues.base import Venue

#: One recorder knows as much about a stretch as the worst of its gaps says; several know as much as the best of them.
_BEST_FIRST = (RECONCILED, OPEN, UNRECOVERABLE)
#: Reason of the time after the last frame of a recorder that covers the account: it runs, or has not sent more yet.
NOT_KNOWN = "not known yet"
#: Reason of the time after the last frame of a retired recorder, which is not expected to cover the account any more.
RETIRED = "retired"
#: Reason of a topic that a recorder has never subscribed to.
NEVER_ASKED = "never asked for"

#: Between the reasons of several recorders.
_AND = " / "

#: A topic that is no longer subscribed to is not part of full coverage.
_GIVEN_UP = frozenset([UNSUBSCRIBED, NEVER_ASKED])

#: An instant is one of these.
COVERED = "covered"
IN_GAP = "gap"
BEFORE = "before"
AFTER = "after"


class RecorderCoverage(NamedTuple):
    """What one recorder covers of an account."""

    #: Its gaps, oldest first.
    gaps: Sequence[Gap]
    #: Every topic it ever subscribed to.
    topics: frozenset[str]
    #: Its last sign of life, ns since 1970; None: it never had one.
    last_ns: int | None
    #: Topic → its stream; a topic that is missing is of the only one.
    stream_of: Mapping[str, str] = MappingProxyType({})

    @property
    def streams(self) -> frozenset[str]:
        """The streams that it records or ever recorded."""
        return frozenset([*(gap.stream for gap in self.gaps), *self.stream_of.values()]) or frozenset([""])


#: Recorder → what it covers of an account.
ByRecorder = Mapping[int, RecorderCoverage]


class InstantCoverage(NamedTuple):
    """What a record covers of an account at an instant, as is known now."""

    account: str
    at_ns: int
    #: `covered`; `gap`: pushes may have been missed; `before` all coverage; `after` the last frame received.
    state: str
    #: The gap over all topics that contains the instant.
    gap: Gap | None
    #: The gaps of single topics that contain it.
    topic_gaps: tuple[Gap, ...]
    #: The last frame received; None: none yet.
    last_frame_ns: int | None


def coverage_by_recorder(
    connection: Connection, account_id: int, account: str, at_ns: int | None = None
) -> dict[int, RecorderCoverage]:
    """What each recorder of an account covers.

    Args:
        connection: to the record.
        account_id: of the account.
        account: its name, for the gaps.
        at_ns: as it was at an instant, with the gaps that had begun by then; None: as it is now.
    """
    names = [gaps.c[name] for name in Gap._fields if name != "account"]
    settled = (reconciliations.c.account_id == gaps.c.account_id) & (
        reconciliations.c.reconciliation_id == gaps.c.reconciliation_id
    )
    query = select(gaps.c.recorder_id, reconciliations.c.ended_ns, *names).outerjoin_from(
        gaps, reconciliations, settled
    )
    query = query.where(gaps.c.account_id == account_id).order_by(gaps.c.gap_id)
    asked = select(runs.c.recorder_id, sessions.c.stream, sessions.c.topics).distinct()
    asked = asked.join_from(sessions, runs, runs.c.run_id == sessions.c.run_id)
    asked = asked.where(sessions.c.account_id == account_id)
    if at_ns is not None:
        query = query.join(recorders, recorders.c.recorder_id == gaps.c.recorder_id)
        query = query.where(recorders.c.created_ns <= at_ns)
        query = query.where(gaps.c.begins_ns.is_(None) | (gaps.c.begins_ns <= at_ns))
        asked = asked.where(sessions.c.opened_ns <= at_ns)
    own: dict[int, list[Gap]] = {}
    for recorder_id, settled_ns, *fields in connection.execute(query):
        gap = Gap(account, *fields)
        own.setdefault(recorder_id, []).append(gap if at_ns is None else _as_of(gap, settled_ns, at_ns))
    streams: dict[int, dict[str, str]] = {}
    for recorder_id, stream, line in connection.execute(asked):
        streams.setdefault(recorder_id, {}).update(dict.fromkeys(line.split(), stream))
    by_recorder = {
        recorder_id: RecorderCoverage(
            its_gaps,
            frozenset(streams.get(recorder_id, ())),
            last_frame_ns(connection, account_id, recorder_id, at_ns),
            streams.get(recorder_id, {}),
        )
        for recorder_id, its_gaps in own.items()
    }
    return with_retired(by_recorder, retired_recorders(connection, at_ns))


def with_retired(by_recorder: ByRecorder, retired: set[int]) -> dict[int, RecorderCoverage]:
    """Leave out what happened after the last frame of retired recorders: they are not expected to cover the account.

    While other recorders of the account are active, only their gaps say whether it is covered now, and why not. If all
    are retired, the record simply ends.

    Args:
        by_recorder: what each recorder covers.
        retired: the retired recorders.
    """
    return {
        key: side._replace(gaps=list(_until_retired(side, retired.issuperset(by_recorder)))) if key in retired else side
        for key, side in by_recorder.items()
    }


def _until_retired(side: RecorderCoverage, ends: bool) -> Iterator[Gap]:
    for gap in side.gaps:
        if gap.ends_ns is not None or gap.begins_ns is None or side.last_ns is None:
            yield gap
        elif not ends:
            yield gap._replace(reason=RETIRED)
        elif gap.begins_ns < side.last_ns:
            yield gap._replace(ends_ns=side.last_ns)


def _as_of(gap: Gap, settled_ns: int | None, at_ns: int) -> Gap:
    if gap.ends_ns is not None and gap.ends_ns > at_ns:
        gap = gap._replace(ends_ns=None)
    if settled_ns is None or settled_ns > at_ns:
        gap = gap._replace(state=OPEN, resolution=None)
    return gap


def last_frame_ns(connection: Connection, account_id: int, recorder_id: int, at_ns: int | None = None) -> int | None:
    """When a recorder last received something for an account, by an instant or by now; None: it never connected."""
    s = sessions.c
    opened = select(s.session_id, s.opened_ns).join(runs, runs.c.run_id == s.run_id)
    opened = opened.where(s.account_id == account_id, runs.c.recorder_id == recorder_id)
    if at_ns is not None:
        opened = opened.where(s.opened_ns <= at_ns)
    latest = connection.execute(opened.order_by(s.session_id.desc()).limit(1)).first()
    if latest is None:
        return None
    if at_ns is None:
        return last_proof_of_life(connection, account_id, latest.session_id, latest.opened_ns)[1]
    r, f = receipts.c, frames.c
    mine = r.account_id == account_id, r.session_id == latest.session_id
    around = select(r.last_seq).where(*mine, r.first_ns.between(latest.opened_ns, at_ns))
    seq: int | None = connection.scalar(around.order_by(r.first_ns.desc()).limit(1))
    if seq is None:
        return int(latest.opened_ns)
    last = select(f.received_ns).where(f.account_id == account_id, f.session_id == latest.session_id, f.seq <= seq)
    last = last.where(f.source.in_(sorted(PUSHES)), f.received_ns <= at_ns).order_by(f.seq.desc()).limit(1)
    found: int | None = connection.scalar(last)
    return int(latest.opened_ns) if found is None else found


def latest_frame_ns(by_recorder: ByRecorder) -> int | None:
    """When any of an account's recorders last received something, ns since 1970; None: none ever did."""
    return max((side.last_ns for side in by_recorder.values() if side.last_ns is not None), default=None)


def whole_gaps(account: str, by_recorder: ByRecorder) -> list[Gap]:
    """The gaps of an account as a whole: where every recorder has one.

    Args:
        account: its name.
        by_recorder: what each recorder covers.

    Returns:
        Of one recorder, its own gaps; of several, what their gaps have in common, renumbered and oldest first. While
        one of them still covers the account, the time since its last frame is no gap.
    """
    if len(by_recorder) < 2:
        return [gap for side in by_recorder.values() for gap in side.gaps]
    sides = by_recorder.values()
    stream_of = {topic: side.stream_of.get(topic, "") for side in sides for topic in side.topics}
    found: list[tuple[str, str | None, Interval]] = []
    for stream in sorted(frozenset().union(*(side.streams for side in sides))):
        everywhere = [_uncovered(side, stream) for side in sides]
        whole = intersection(everywhere)
        found += [(stream, None, part) for part in _known(whole, sides, stream)]
        for topic in sorted(topic for topic, its_stream in stream_of.items() if its_stream == stream):
            own = [
                union([*all_topics, *_uncovered(side, stream, topic)])
                for side, all_topics in zip(sides, everywhere, strict=True)
            ]
            found += [(stream, topic, part) for part in intersection([intersection(own), complement(whole)])]
    found.sort(key=lambda one: (one[2], one[0], one[1] or ""))
    return [
        _gap(account, number, stream, topic, part, by_recorder) for number, (stream, topic, part) in enumerate(found, 1)
    ]


def coverage(account: str, gaps: Sequence[Gap], until_ns: int | None) -> Coverage:
    """The coverage of one account, where all its streams are covered, from the first time to the last frame received.

    Args:
        account: its name.
        gaps: all of this account's as a whole; those of a single topic are ignored.
        until_ns: the last frame received.
    """
    whole = [gap for gap in gaps if gap.topic is None]
    begins_ns = first_covered_ns(gaps, None)
    later = [gap for gap in whole if gap.begins_ns is not None and (until_ns is None or gap.begins_ns <= until_ns)]
    covered_ns = 0
    if begins_ns is not None and until_ns is not None:
        covered_ns = until_ns - begins_ns - missing_ns(later, begins_ns, until_ns)
    in_gap = any(gap.ends_ns is None for gap in whole)
    return Coverage(account, begins_ns, until_ns, max(covered_ns, 0), len(later), in_gap)


def first_covered_ns(gaps: Iterable[Gap], default: int | None) -> int | None:
    """When all streams of an account were covered for the first time.

    Args:
        gaps: of the account as a whole.
        default: if none of them is the gap before the record.

    Returns:
        ns since 1970; None: there is a stream that never was.
    """
    begin = [gap.ends_ns for gap in gaps if gap.topic is None and gap.begins_ns is None]
    known = [ns for ns in begin if ns is not None]
    return default if not begin else max(known) if len(known) == len(begin) else None


def missing_ns(gaps: Iterable[Gap], since_ns: int, until_ns: int) -> int:
    """How much of a period is in gaps over all topics of a stream; what is in several counts once."""
    missing = union(_interval(gap) for gap in gaps if gap.topic is None)
    return sum(max(min(end, until_ns) - max(begin, since_ns), 0) for begin, end in missing)


def full_coverage(gaps: Sequence[Gap], until_ns: int) -> list[Interval]:
    """The intervals in which nothing of an account could be missed: every subscribed topic was pushed.

    Args:
        gaps: all of this account's as a whole.
        until_ns: the last frame received.

    Returns:
        Beginning and end of each, both included.
    """
    missing = union(
        [_interval(gap) for gap in gaps if gap.topic is None or not _GIVEN_UP.issuperset(gap.reason.split(_AND))]
    )
    covered = [(max(begin, 0), min(end, until_ns)) for begin, end in complement(missing)]
    return [(begin, end) for begin, end in covered if begin <= end]


def instant_coverage(account: str, by_recorder: ByRecorder, at_ns: int) -> InstantCoverage:
    """Whether one of the recorders covers an instant.

    Args:
        account: its name.
        by_recorder: what each recorder covers.
        at_ns: the instant, ns since 1970.
    """
    around = [gap for gap in whole_gaps(account, by_recorder) if _contains(gap, at_ns)]
    # Of several streams' gaps, one before the record first.
    whole = min((gap for gap in around if gap.topic is None), key=lambda gap: gap.begins_ns or 0, default=None)
    last_ns = latest_frame_ns(by_recorder)
    if last_ns is None or (whole is not None and whole.begins_ns is None):
        state = BEFORE
    elif at_ns > last_ns:
        state = AFTER
    else:
        state = COVERED if whole is None else IN_GAP
    topic_gaps = tuple(gap for gap in around if gap.topic is not None)
    return InstantCoverage(account, at_ns, state, whole, topic_gaps, last_ns)


def touches(gap: Gap, wanted: Filter, venue: Venue | None) -> bool:
    """Whether a gap overlaps the wanted time and may hide something of the wanted symbol.

    Args:
        gap: of one of the venue's accounts.
        wanted: the symbol and time.
        venue: says which symbol a topic is about; None: a venue that only a newer recorder knows.
    """
    if wanted.symbol is not None and gap.topic is not None and venue is not None:
        symbol = venue.symbol_of(gap.topic)
        if symbol is None or symbol.lower() != wanted.symbol.lower():
            return False
    if wanted.since_ns is not None and gap.ends_ns is not None and gap.ends_ns < wanted.since_ns:
        return False
    return wanted.until_ns is None or gap.begins_ns is None or gap.begins_ns < wanted.until_ns


def _contains(gap: Gap, at_ns: int) -> bool:
    """The last frame before a gap, and the one that ends it, are covered themselves."""
    return (gap.begins_ns is None or gap.begins_ns < at_ns) and (gap.ends_ns is None or at_ns < gap.ends_ns)


def _uncovered(side: RecorderCoverage, stream: str, topic: str | None = None) -> list[Interval]:
    """Where a recorder does not cover all topics of a stream, or one topic."""
    if stream not in side.streams or (topic is not None and topic not in side.topics):
        return [(EVER, FOR_EVER)]
    return union([_interval(gap) for gap in _own(side, stream) if gap.topic == topic])


def _covers_still(side: RecorderCoverage, stream: str) -> bool:
    """Whether a recorder's record ends while it covers a stream: it runs, or has not sent the rest yet."""
    return all(gap.ends_ns is not None for gap in side.gaps if gap.topic is None and gap.stream == stream)


def _known(intervals: Sequence[Interval], sides: Iterable[RecorderCoverage], stream: str) -> Iterator[Interval]:
    """The intervals without the time since the last frame of a recorder that still covers the stream."""
    last = [
        EVER if side.last_ns is None else side.last_ns
        for side in sides
        if stream in side.streams and _covers_still(side, stream)
    ]
    for begin, end in intervals:
        if not last or end < FOR_EVER or begin > max(last):
            yield begin, end
        elif begin < max(last):
            yield begin, max(last)


def _own(side: RecorderCoverage, stream: str) -> list[Gap]:
    """A recorder's gaps in a stream, and the time after its last frame, of which nothing is known yet."""
    gaps = [gap for gap in side.gaps if gap.stream == stream]
    if _covers_still(side, stream):
        account = gaps[0].account if gaps else ""
        gaps.append(Gap(account, side.last_ns, None, None, NOT_KNOWN, None, OPEN, 0, None, stream))
    return gaps


def _interval(gap: Gap) -> Interval:
    return (
        EVER if gap.begins_ns is None else gap.begins_ns,
        FOR_EVER if gap.ends_ns is None else gap.ends_ns,
    )


def _overlaps(gap: Gap, interval: Interval) -> bool:
    begins_ns, ends_ns = _interval(gap)
    return begins_ns < interval[1] and ends_ns > interval[0]


def _gap(account: str, number: int, stream: str, topic: str | None, interval: Interval, by_recorder: ByRecorder) -> Gap:
    """An interval that no recorder covers, with what they know about it."""
    begin, end = interval
    touching: list[Gap] = []
    worst: list[Gap] = []
    for side in by_recorder.values():
        its = [
            gap
            for gap in _own(side, stream)
            if gap.topic in {None, topic} and gap.reason != RETIRED and _overlaps(gap, interval)
        ]
        touching += its
        # A recorder never asked about the time before its own beginning: a snapshot settles that for itself alone.
        asked = [gap for gap in its if gap.begins_ns is not None or begin == EVER]
        if asked and len(asked) == len(its):
            worst.append(max(asked, key=_rank))
    best = min(worst, key=_rank, default=None)
    reasons = dict.fromkeys(gap.reason for gap in touching if gap.reason != NOT_KNOWN)
    return Gap(
        account,
        None if begin == EVER else begin,
        None if end == FOR_EVER else end,
        topic,
        _AND.join(reasons) or (NOT_KNOWN if touching else NEVER_ASKED),
        best.detail if best else None,
        best.state if best else OPEN,
        number,
        best.resolution if best else None,
        stream,
    )


def _rank(gap: Gap) -> int:
    return _BEST_FIRST.index(gap.state)
