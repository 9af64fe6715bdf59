"""The one oracle of all faults: what was sent, what was acknowledged, and what a fresh reader finds.

- ACKED ⊆ TABLE ⊆ SENT, nothing twice, and in the order it was sent.
- SENT minus TABLE lies wholly inside rows of `gaps`.
- Typed rows rebuilt from the frames equal those stored.
- `recorder verify` finds nothing: every seal stands for what is there (`table.unproved`).

*Inside a gap* is decided by position, not by the clock: frames are on their way for a while, the kernel holds some, and
clocks jump. The exchange notes every push in the order it made them (SENT), those of times when nobody was connected
included. A gap begins at a frame and ends at a frame, so both are places in that order, and a push that is not in the
table must lie between them. That the times of the row are those of the two frames is checked on its own, and so is that
no frame is stamped before it was sent.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

from recorder.live.http import masked
from recorder.live.proof import KEY_REFUSED
from recorder.live.watermark import Mark
from recorder.model import CONTROL, PUSHES, REST, SNAPSHOT, Frame, Heartbeat
from recorder.simulator.sent import NOBODY, Sent
from recorder.store.journal import typed_row
from recorder.store.schema import TYPED
from recorder.venues import DEFAULT_VENUE, venue_named
from recorder.venues.base import Venue
from recorder.venues.reading import read_answer, read_frame, unmasked_topic
from tests.faults.align import Alignment, align
from tests.faults.table import Gap, Session, Table


@dataclass
class Verdict:
    """What the oracle says of one scenario."""

    venue: str = DEFAULT_VENUE
    #: Pushes and raw frames that the exchange made.
    sent: int = 0
    #: Of these, not in the table.
    lost: int = 0
    #: Of these again, in no gap: silently lost.
    lost_outside_gaps: int = 0
    duplicated: int = 0
    #: Executions at the exchange since the record began, and those that REST has not restored either; None: not judged.
    fills: int | None = None
    fills_missing: int = 0
    findings: list[str] = field(default_factory=list)

    def require_clean(self) -> None:
        """Fail the test with everything that was found."""
        told = "\n".join(self.findings[:20])
        assert not self.findings, f"{len(self.findings)} findings of the oracle:\n{told}"


def judge(
    history: Sequence[Sent],
    table: Table,
    acked: Sequence[Mark] = (),
    *,
    running: bool = False,
    one_clock: bool = True,
    venue: str = DEFAULT_VENUE,
) -> Verdict:
    """Judge one account.

    Args:
        history: all that the exchange sent, and the pushes that it made for nobody, in their order.
        table: what is there.
        acked: what the recorder told to be durable, of all its runs.
        running: a recorder is at work: what follows the last frame of a session that has not ended is on its way.
        one_clock: recorder and exchange have the same clock.
        venue: of the exchange.
    """
    verdict = Verdict(venue)
    verdict.findings += table.corruptions
    alignment = align(history, table.sessions, partial(_kept, venue_named(venue)))
    verdict.findings += alignment.findings
    verdict.duplicated = alignment.duplicated
    _judge_sequences(table, verdict)
    _judge_acknowledged(table, acked, verdict)
    _judge_event_log(table, verdict, venue_named(venue), running=running)
    _judge_losses(history, table, alignment, verdict, venue_named(venue), running=running)
    _judge_typed(table, verdict, venue_named(venue))
    if one_clock:
        for session in table.sessions:
            for frame in session.received:
                place = alignment.places.get((session.session_id, frame.seq))
                if place is not None and frame.received_ns < history[place].sent_ns:
                    verdict.findings.append(f"frame {_name(session, frame.seq)} is stamped before it was sent")
    return verdict


def _kept(venue: Venue, payload: bytes) -> bytes:
    """A frame as it is to be kept, whose secrets are masked."""
    return masked(payload, read_frame(venue, payload).secrets)[0]


def _name(session: Session, seq: int) -> str:
    return f"({session.session_id}, {seq})"


def _judge_sequences(table: Table, verdict: Verdict) -> None:
    for session in table.sessions:
        numbers = [frame.seq for frame in session.frames]
        if numbers != list(range(len(numbers))):
            verdict.findings.append(f"session {session.session_id} has holes in its numbers")


def _judge_acknowledged(table: Table, acked: Sequence[Mark], verdict: Verdict) -> None:
    """ACKED ⊆ TABLE: everything up to each acknowledged frame is there."""
    frames = {session.session_id: {frame.seq: frame for frame in session.frames} for session in table.sessions}
    for mark in acked:
        there = frames.get(mark.session_id, {})
        missing = [seq for seq in range(mark.seq + 1) if seq not in there]
        if missing:
            verdict.findings.append(
                f"frame ({mark.session_id}, {missing[0]}) was acknowledged as durable and is not there"
            )
        elif there[mark.seq].received_ns != mark.received_ns:
            verdict.findings.append(f"frame ({mark.session_id}, {mark.seq}) was acknowledged with another time")


def _judge_event_log(table: Table, verdict: Verdict, venue: Venue, *, running: bool) -> None:
    """Each covered session that has ended is followed by one gap over all topics, from its last frame on.

    Where pushes alone prove coverage, or once the key was refused, it may begin earlier, but not before the last push;
    and where the answer to a heartbeat is no frame, it may begin between two frames.
    """
    frames = {
        (session.session_id, frame.seq): frame.received_ns for session in table.sessions for frame in session.frames
    }
    opened = {session.session_id: session.opened_ns for session in table.sessions}
    whole = [gap for gap in table.gaps if gap.topic is None]
    begun = Counter(gap.begin[0] for gap in whole if gap.begin is not None)
    # One that only repeats a state was received, too.
    last = {
        session.session_id: max((frame.seq for frame in session.frames if frame.source in PUSHES), default=-1)
        for session in table.sessions
    }
    pushed = {
        session.session_id: max((frame.seq for frame in session.received if _is_push(frame, venue)), default=-1)
        for session in table.sessions
    }
    for session in table.sessions:
        expected = int(session.covered and session.ended and not session.replaced)
        if begun[session.session_id] != expected:
            verdict.findings.append(
                f"{begun[session.session_id]} gaps begin with session {session.session_id}, not {expected}"
            )
        if not session.ended and not running:
            verdict.findings.append(f"session {session.session_id} was never ended")
    for gap in table.gaps:
        if gap.topic is None and gap.begin is not None:
            at, its_last = gap.begin[1], last.get(gap.begin[0], -1)
            by_pushes = venue.fails_silently or gap.reason == KEY_REFUSED
            earliest = pushed.get(gap.begin[0], -1) if by_pushes else its_last
            if not earliest <= at <= its_last:
                verdict.findings.append(f"a gap ({gap.reason}) begins at {gap.begin}, not at the last frame received")
        for at_ns, place in ((gap.begins_ns, gap.begin), (gap.ends_ns, gap.end)):
            told_ns = None if place is None else frames.get(place, opened.get(place[0]) if place[1] == -1 else None)
            is_right = told_ns == at_ns
            by_pushes = venue.fails_silently or gap.reason == KEY_REFUSED
            if by_pushes and place is not None and told_ns is not None and at_ns is not None:
                is_right = told_ns <= at_ns <= frames.get((place[0], place[1] + 1), at_ns)
            if not is_right:
                verdict.findings.append(f"a gap ({gap.reason}) has a side at {at_ns}, which is not the time of {place}")
    for stream in {session.stream for session in table.sessions} or {""}:
        ongoing = sum(gap.ends_ns is None for gap in whole if gap.stream == stream)
        covered_now = any(one.covered and not one.ended for one in table.sessions if one.stream == stream)
        if ongoing != (0 if covered_now else 1):
            verdict.findings.append(f"{ongoing} gaps over all topics are going on")


def _is_push(frame: Frame, venue: Venue) -> bool:
    """Whether it is a push rather than an answer."""
    return frame.status != CONTROL and not isinstance(
        next(iter(read_frame(venue, frame.payload).updates), None), Heartbeat
    )


def _judge_losses(
    history: Sequence[Sent], table: Table, alignment: Alignment, verdict: Verdict, venue: Venue, *, running: bool
) -> None:
    """SENT minus TABLE lies inside gaps. A push told on two connections is there if one of them has brought it."""
    stored = set(alignment.places.values())
    stored_numbers = {history[place].number for place in stored} - {0}
    pushes: dict[int, list[int]] = {}  # number of a push → its places
    for place, sent in enumerate(history):
        if sent.kind == "push":
            pushes.setdefault(sent.number, []).append(place)
    items = list(pushes.values()) + [[place] for place, sent in enumerate(history) if sent.kind == "raw"]
    verdict.sent = len(items)
    stretches = [_stretch(gap, alignment) for gap in table.gaps]
    if running:
        stretches += [
            (alignment.last_place(session.session_id), inf, None, session.stream)
            for session in table.sessions
            if not session.ended
        ]
    streams = {topic: session.stream for session in table.sessions for topic in session.topics}
    for places in items:
        number = history[places[0]].number
        if number in stored_numbers or (number == 0 and places[0] in stored):
            continue
        verdict.lost += 1
        topic = read_frame(venue, history[places[0]].payload).topic
        stream = streams.get(topic or "")
        if not any(
            begins < place < ends and of_topic in {None, topic} and stream in {None, of_stream}
            for place in places
            for begins, ends, of_topic, of_stream in stretches
        ):
            verdict.lost_outside_gaps += 1
            where = ", ".join(
                "made while nobody was connected" if history[place].connection == NOBODY else f"sent at {place}"
                for place in places
            )
            verdict.findings.append(f"lost outside of every gap: push {number}, {where}")


def _stretch(gap: Gap, alignment: Alignment) -> tuple[float, float, str | None, str]:
    """A gap as places in the order of what was sent, its topic and its stream."""
    begins, ends = -inf, inf
    if gap.begin is not None:
        is_frame = gap.begin[1] >= 0
        begins = alignment.place_at_or_before(*gap.begin) if is_frame else alignment.last_place_until(gap.begin[0])
    if gap.end is not None:
        is_frame = gap.end[1] >= 0
        ends = alignment.place_at_or_before(*gap.end) if is_frame else alignment.first_place_since(gap.end[0])
    return begins, ends, gap.topic, gap.stream


def _judge_typed(table: Table, verdict: Verdict, venue: Venue) -> None:
    """Typed rows are a pure function of the frames."""
    expected: dict[str, list[tuple[object, ...]]] = {one.name: [] for one in TYPED.values()}
    frames = [frame for session in table.sessions for frame in session.received] + list(table.answers)
    for frame in sorted(frames, key=lambda frame: (frame.session_id, frame.seq)):
        is_answer = frame.source in {REST, SNAPSHOT}
        decoded = (
            read_answer(venue, frame.topic or "", frame.payload) if is_answer else read_frame(venue, frame.payload)
        )
        topic = unmasked_topic(frame.topic or "") or None
        if (decoded.topic, decoded.status, decoded.error) != (topic, frame.status, frame.error) and not is_answer:
            verdict.findings.append(f"frame ({frame.session_id}, {frame.seq}) is not marked as what it is")
        for item, update in enumerate(() if frame.source == SNAPSHOT else decoded.rows):
            expected[TYPED[type(update)].name].append(typed_row(frame, item, update))
    for name, rows in expected.items():
        if table.typed[name] != rows:
            wrong = set(table.typed[name]).symmetric_difference(rows)
            verdict.findings.append(f"{len(wrong)} rows of {name} are not what the frames say")
