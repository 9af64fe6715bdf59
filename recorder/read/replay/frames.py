"""Read the frames of a session in order, some at a time, each time in a short transaction.

A replay can take hours, at the pace of the record or of its reader. So long a transaction would make SQLite's
write-ahead log grow. Short ones are enough: frames are only ever added, and the plan of a replay fixes what it reads.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, bindparam, func, literal_column, or_, select

from recorder.model import CONTROL, DECODED, PUSH, PUSHES, REDACTED, SENT, SNAPSHOT, UNDECODED, Decoded
from recorder.read.replay.events import ERASED, FrameEvent
from recorder.read.replay.order import FOR_EVER_NS, LAST_SEQ, Chunk, Life
from recorder.store.columns import Int64
from recorder.store.dialects import PreparedQuery
from recorder.store.engine import explained
from recorder.store.redactions import SealedRedactions, sealed_redactions_in
from recorder.store.schema import frames
from recorder.venues.base import Venue
from recorder.venues.reading import read_answer, read_frame, read_plain, undecoded

#: Rows read at a time: at first, and at most. The number doubles while the rows are small: memory stays flat.
ROWS_FIRST, ROWS_MAX = 64, 256
CHUNK_BYTES = 1 << 20
#: Frames decoded together: enough to share the effort, few enough to stay in a processor's cache.
WINDOW = 64
#: A connection that was idle for this long is replaced, seconds: a server may have closed it.
IDLE_S = 5.0
#: Redactions are read again no sooner than this, seconds: frames can be redacted during a replay.
REDACTIONS_S = 30.0

_SENT = Decoded(None, CONTROL)
_REDACTED = Decoded(None, REDACTED)
_ERASED = undecoded(ERASED)


class FrameRange(NamedTuple):
    """The wanted frames of one session."""

    account_id: int
    account: str
    venue: Venue
    session_id: int
    life: Life
    first_seq: int
    last_seq: int
    sources: tuple[str, ...]
    #: None: all.
    topics: tuple[str, ...] | None


class FrameReader:
    """Reads a record's frames.

    Args:
        engine: of the record.
        url: its address, for errors.
    """

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._url = url
        self._connection: Connection | None = None
        self._used_s = 0.0
        self._redactions = SealedRedactions({})
        self._redactions_until_s = 0.0

    def close(self) -> None:
        """Close the connection to the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection, without a transaction.

        Raises:
            DatabaseError: the database cannot be read.
        """
        with explained(self._url):
            if time.monotonic() - self._used_s > IDLE_S:
                self.close()
            if self._connection is None:
                self._connection = self._engine.connect()
            try:
                yield self._connection
            except Exception:
                self._connection.invalidate()  # otherwise it would try to roll back a lost connection
                raise
            self._used_s = time.monotonic()

    def _scalar(self, query: Select[Any]) -> Any:
        with self._connected() as connection, connection.begin():
            return connection.scalar(query)

    def chunks(self, span: FrameRange) -> Iterator[Chunk[FrameEvent]]:
        """The frames of a range, in order."""
        if not span.sources:
            return
        latest_ns = self.latest_received_ns(span, span.first_seq)
        undecoded_seq = self._undecoded_seq(span, span.first_seq)
        query = PreparedQuery(_query(span), self._engine.dialect)
        seq, limit = span.first_seq, ROWS_FIRST
        while seq <= span.last_seq:
            with self._connected() as connection:
                rows = query.fetch(connection, first_seq=seq, most=limit)
            if not rows:
                return
            seqs, received, payloads, *others = zip(*rows, strict=True)
            instants = _instants(span.life, received, latest_ns)
            emptied = {} if all(payloads) else self._emptied(span, seqs)
            if undecoded_seq < seqs[0]:
                undecoded_seq = self._undecoded_seq(span, seqs[0])
            decodable = seqs[-1] < undecoded_seq
            for begin in range(0, len(rows), WINDOW):
                some = slice(begin, begin + WINDOW)
                columns = seqs[some], received[some], payloads[some], *(column[some] for column in others)
                yield Chunk(span.session_id, instants[some], _events(span, emptied, decodable, *columns))
            if len(rows) < limit:
                return
            seq, latest_ns = seqs[-1] + 1, max(latest_ns, *received)
            bytes_each = max(sum(map(len, payloads)) // len(rows), 1)
            limit = max(min(limit * 2, ROWS_MAX, CHUNK_BYTES // bytes_each), 1)

    def _emptied(self, span: FrameRange, seqs: Sequence[int]) -> Mapping[int, Decoded]:
        """The results for frames whose payload is missing, by their number.

        The status alone proves nothing, because anybody can write it; nor does an empty payload, because one can be
        received.
        """
        f = frames.c
        between = f.seq.between(seqs[0], seqs[-1]), f.status == REDACTED
        with self._connected() as connection, connection.begin():
            found = connection.scalars(select(f.seq).where(*_these(span), *between)).all()
            unproved = len(self._proved(span, found)) < len(found)
            if unproved and time.monotonic() >= self._redactions_until_s:
                self._redactions = sealed_redactions_in(connection)
                self._redactions_until_s = time.monotonic() + REDACTIONS_S
        proved = self._proved(span, found)
        return {seq: _REDACTED if seq in proved else _ERASED for seq in found}

    def _proved(self, span: FrameRange, seqs: Sequence[int]) -> frozenset[int]:
        covers = self._redactions.covers
        return frozenset(seq for seq in seqs if covers(span.account_id, span.session_id, seq))

    def _undecoded_seq(self, span: FrameRange, seq: int) -> int:
        """The first frame of a session from a number on that could not be decoded; `LAST_SEQ` if there is none.

        All frames before it were decoded when they were recorded, so they need no validation again.
        """
        f = frames.c
        bad = f.account_id == span.account_id, f.status == literal_column(f"'{UNDECODED}'")
        mine = f.session_id == span.session_id, f.seq >= seq
        first = self._scalar(select(func.min(f.seq)).where(*bad, *mine))
        return LAST_SEQ if first is None else first

    def latest_received_ns(self, span: FrameRange, before_seq: int) -> int:
        """The latest time of receipt of a session's frames before a number; 0 if there is none."""
        if before_seq <= 0:
            return 0
        latest = select(func.max(frames.c.received_ns)).where(*_these(span), frames.c.seq < before_seq)
        return self._scalar(latest) or 0

    def first_seq(self, span: FrameRange, instant_ns: int) -> int:
        """The number of a session's first frame at an instant or later; `LAST_SEQ` if there is none."""
        if instant_ns >= FOR_EVER_NS or span.life.ends_ns < instant_ns:
            return LAST_SEQ
        if span.life.begins_ns >= instant_ns:
            return 0
        later = select(frames.c.seq).where(*_these(span), frames.c.received_ns >= instant_ns)
        first = self._scalar(later.order_by(frames.c.seq).limit(1))
        return LAST_SEQ if first is None else first


def _query(span: FrameRange) -> Select[Any]:
    f = frames.c
    columns: list[ColumnElement[Any]] = [f.seq, f.received_ns, f.payload]
    if span.sources != (PUSH,):
        columns += [f.source, f.topic]
    within = f.seq >= bindparam("first_seq", 0, f.seq.type), f.seq <= span.last_seq
    query = select(*columns).where(*_these(span), *within)
    return query.order_by(f.seq).limit(bindparam("most", 0, Int64))


def _these(span: FrameRange) -> list[ColumnElement[bool]]:
    """The conditions for wanted frames of a session, whatever their number."""
    f = frames.c
    these = [f.account_id == span.account_id, f.session_id == span.session_id, f.source.in_(span.sources)]
    if span.topics is not None:
        # The topic of a frame that could not be decoded is unknown.
        these.append(or_(f.topic.in_(span.topics), f.status == literal_column(f"'{UNDECODED}'")))
    return these


def _instants(life: Life, received: Sequence[int], latest_ns: int) -> Sequence[int]:
    begins_ns = max(life.begins_ns, latest_ns)
    in_order = sorted(received)
    if begins_ns <= received[0] and received[-1] <= life.ends_ns and in_order == list(received):
        return in_order
    return [life.instant_ns(ns) for ns in accumulate(received, max, initial=latest_ns)][1:]


def _events(
    span: FrameRange,
    emptied: Mapping[int, Decoded],
    decodable: bool,
    seqs: Sequence[int],
    received: Sequence[int],
    payloads: Sequence[bytes],
    sources: Sequence[str] = (),
    topics: Sequence[str | None] = (),
) -> list[FrameEvent]:
    account, session_id, venue = span.account, span.session_id, span.venue
    plain = None if sources else read_plain(venue, payloads, decodable=decodable)
    if plain is not None:
        return [
            FrameEvent(account, session_id, seq, received_ns, PUSH, payload, topic, updates, None)
            for seq, received_ns, payload, topic, updates in zip(seqs, received, payloads, *plain, strict=True)
        ]
    sources, topics = sources or [PUSH] * len(seqs), topics or [None] * len(seqs)
    events = []
    for seq, received_ns, payload, source, asked in zip(seqs, received, payloads, sources, topics, strict=True):
        decoded = emptied.get(seq) or _decoded(venue, source, asked, payload)
        more = None if decoded.status == DECODED else decoded
        topic, updates = decoded.topic, decoded.updates
        events.append(FrameEvent(account, session_id, seq, received_ns, source, payload, topic, updates, more))
    return events


def _decoded(venue: Venue, source: str, topic: str | None, payload: bytes) -> Decoded:
    if source in PUSHES:
        return read_frame(venue, payload)
    if source == SENT:
        return _SENT
    decoded = read_answer(venue, topic or "", payload)
    # A snapshot requested for a comparison may be older than pushes before it: no update follows from it.
    return decoded._replace(updates=()) if source == SNAPSHOT else decoded
