"""The seals that go with exported frames: which batch each frame was in, and what that batch was sealed with.

Where all frames of a batch are exported, its frames' root follows from them. Where some were left out, or a payload was
taken away, the digests of all its frames go along: each frame that is there can be checked, and the root as well.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from msgspec.structs import astuple
from sqlalchemy import Connection, and_, func, select

from recorder.export.columns import Row, columns_of_record
from recorder.export.datasets import DATASETS, Dataset
from recorder.export.journal import FETCH_ROWS
from recorder.model import REDACTED
from recorder.store.redacted import sealed_redactions_in
from recorder.store.schema import batches, event_log, runs, seals, spans
from recorder.store.seals import BEGINNING

#: Account and session.
Session = tuple[int, int]


class Seal(NamedTuple):
    """A batch and its seal, as `recorder.store.seals` defines it."""

    recorder_id: int
    run_id: int
    batch: int
    written_ns: int
    frames: int
    entries: int
    seal: bytes | None
    #: The seal before, where that batch is not in this export; otherwise it is the one before of this recorder.
    before: bytes | None
    frames_root: bytes | None
    entries_root: bytes | None
    #: Whether all its frames are exported, with their payloads.
    whole: bool
    #: Of all its frames, in the order of (account, session, seq); where they do not follow from what is exported.
    digests: bytes | None


class Span(NamedTuple):
    """Which frames a batch holds: of each session in it, from the first to the last."""

    run_id: int
    batch: int
    account_id: int
    session_id: int
    first_seq: int
    last_seq: int


class RedactionEntry(NamedTuple):
    """An event log entry of a batch in which frames were redacted: its seal proves the redaction."""

    run_id: int
    batch: int
    item: int
    body: str


class Frames:
    """Which frames were exported: something small for each session, and each stretch without payloads."""

    def __init__(self) -> None:
        #: Session → its first frame exported, its last, and how many.
        self._sessions: dict[Session, list[int]] = {}
        #: Frames without payload that the record calls redacted, whether a sealed entry says so or not.
        self._emptied: dict[Session, list[list[int]]] = {}

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Take notice of rows of `frames` that go by."""
        names = ("account_id", "session_id", "seq", "status")
        places = [DATASETS["frames"].at(name) for name in names]
        account_at, session_at, seq_at, status_at = (place for place in places if place is not None)
        session, told = None, [0, 0, 0]
        for row in rows:
            seq, key = row[seq_at], (row[account_at], row[session_at])
            if session != key:
                session, told = key, self._sessions.setdefault(key, [seq, seq, 0])
            told[1] = seq
            told[2] += 1
            if row[status_at] == REDACTED:
                _extend(self._emptied.setdefault(key, []), seq)
            yield row

    def has_some(self, span: Span) -> bool:
        """Whether any frame of a span may be among them."""
        first, last, _ = self._sessions.get((span.account_id, span.session_id), (0, -1, 0))
        return first <= span.last_seq and span.first_seq <= last

    def has_all(self, span: Span) -> bool:
        """Whether all frames of a span are among them for certain."""
        first, last, count = self._sessions.get((span.account_id, span.session_id), (0, -1, 0))
        return first <= span.first_seq and span.last_seq <= last and count == last - first + 1

    def has_emptied(self, account_id: int, session_id: int, first_seq: int, last_seq: int) -> bool:
        """Whether any of some frames was exported without its payload."""
        ranges = self._emptied.get((account_id, session_id), [])
        at = bisect_right(ranges, last_seq, key=lambda one: one[0]) - 1
        return at >= 0 and first_seq <= ranges[at][1]


def _extend(ranges: list[list[int]], seq: int) -> None:
    if ranges and ranges[-1][1] == seq - 1:
        ranges[-1][1] = seq
    else:
        ranges.append([seq, seq])


class Sealed:
    """The batches of some exported frames.

    Args:
        connection: to the record.
        frames: that were exported.
        everything: whether nothing was left out: batches without frames are wanted too, for a chain without a hole.
    """

    def __init__(self, connection: Connection, frames: Frames, *, everything: bool) -> None:
        self._connection, self._frames, self._everything = connection, frames, everything
        #: The batches that prove why exported frames have no payload.
        self._proofs = {
            key
            for key, entries in sealed_redactions_in(connection).by_batch.items()
            if any(frames.has_emptied(*astuple(entry)[:4]) for entry in entries)
        }
        self.batches = 0
        self.whole = 0
        #: Recorder → its last seal here.
        self.heads: dict[int, Seal] = {}

    def seals(self) -> Iterator[Seal]:
        """The batches, in the order of their keys."""
        # Last of each recorder's chain, and whether it is exported.
        last: dict[int, tuple[bytes | None, bool]] = {}
        for row, its_spans in self._all():
            wanted = self._wants(row, its_spans)
            before, is_there = last.get(row.recorder_id, (BEGINNING, True))
            last[row.recorder_id] = row.seal, wanted
            if not wanted:
                continue
            emptied = any(self._frames.has_emptied(*span[2:]) for span in its_spans)
            whole = not emptied and all(self._frames.has_all(span) for span in its_spans)
            key = row.recorder_id, row.run_id, row.batch, row.written_ns, row.frames, row.entries
            roots = None if is_there else before, row.frames_root, row.entries_root
            seal = Seal(*key, row.seal, *roots, whole, None if whole else row.digests)
            self.batches += 1
            self.whole += whole
            self.heads[row.recorder_id] = seal
            yield seal

    def spans(self) -> Iterator[Span]:
        """What the batches hold."""
        for row, its_spans in self._all():
            if self._wants(row, its_spans):
                yield from its_spans

    def redaction_entries(self) -> Iterator[RedactionEntry]:
        """All entries of the batches that prove redactions of exported frames."""
        for run_id, batch in sorted(self._proofs):
            e = event_log.c
            of_batch = select(e.item, e.body).where(e.run_id == run_id, e.batch == batch)
            for item, body in self._connection.execute(of_batch.order_by(e.item)):
                yield RedactionEntry(run_id, batch, item, body)

    @property
    def proves_redactions(self) -> bool:
        """Whether there are such batches."""
        return bool(self._proofs)

    def _wants(self, row: Any, its_spans: list[Span]) -> bool:
        is_proof = (row.run_id, row.batch) in self._proofs
        return self._everything or is_proof or any(map(self._frames.has_some, its_spans))

    def _all(self) -> Iterator[tuple[Any, list[Span]]]:
        """Every batch of the record, with its spans."""
        with self._connection.execute(_BATCHES.execution_options(yield_per=FETCH_ROWS)) as rows:
            for _, of_batch in groupby(rows, lambda row: (row.run_id, row.batch)):
                found = list(of_batch)
                told = [Span(*row[:2], *row[2:6]) for row in found if row.account_id is not None]
                yield found[0], told


_ENTRIES = (
    select(func.count())
    .select_from(event_log)
    .where(event_log.c.run_id == batches.c.run_id, event_log.c.batch == batches.c.batch)
    .scalar_subquery()
    .label("entries")
)


def _of_batch(table: Any) -> Any:
    return and_(table.c.run_id == batches.c.run_id, table.c.batch == batches.c.batch)


_BATCHES = (
    select(
        batches.c.run_id,
        batches.c.batch,
        *(spans.c[name] for name in Span._fields[2:]),
        runs.c.recorder_id,
        batches.c.written_ns,
        batches.c.frames,
        _ENTRIES,
        *(seals.c[name] for name in ("seal", "frames_root", "entries_root", "digests")),
    )
    .join_from(batches, runs, runs.c.run_id == batches.c.run_id)
    .outerjoin(seals, _of_batch(seals))
    .outerjoin(spans, _of_batch(spans))
    .order_by(batches.c.run_id, batches.c.batch, spans.c.account_id, spans.c.session_id)
)


def datasets_of(sealed: Sealed) -> list[Dataset]:
    """The tables that go along with frames."""
    found = [
        Dataset("seals", "batch of frames: its seal", columns_of_record(Seal), lambda _: sealed.seals()),
        Dataset("spans", "session in a batch", columns_of_record(Span), lambda _: sealed.spans()),
    ]
    if sealed.proves_redactions:
        each = "event log entry of a batch that redacted exported frames"
        columns = columns_of_record(RedactionEntry)
        found.append(Dataset("redaction_entries", each, columns, lambda _: sealed.redaction_entries()))
    return found
