"""The tables that prove exported frames: `seals`, `spans` and `redaction_entries`.

If all frames of a batch are exported, its root follows from them. If some were left out, or a payload was redacted, the
digests of all its frames are exported too, so each frame that is there can be verified, and the root as well.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from msgspec.structs import astuple
from sqlalchemy import Connection, and_, func, select

from recorder.export.columns import Row, columns_of_record
from recorder.export.tables import FETCH_ROWS, FRAMES, TABLES, ExportTable
from recorder.model import REDACTED
from recorder.store.redactions import sealed_redactions_in
from recorder.store.schema import batches, event_log, runs, seals, spans
from recorder.store.seals import BEGINNING

#: Account and session.
SessionKey = tuple[int, int]


class Seal(NamedTuple):
    """A batch and its seal, as `recorder.store.seals` defines it."""

    recorder_id: int
    run_id: int
    batch: int
    written_ns: int
    frames: int
    entries: int
    seal: bytes | None
    #: The previous seal, if that batch is not in this export; otherwise it is the recorder's previous row here.
    before: bytes | None
    frames_root: bytes | None
    entries_root: bytes | None
    #: Whether all its frames are exported, with their payloads.
    whole: bool
    #: The digests of all its frames, in the order of (account, session, seq), if they do not follow from the export.
    digests: bytes | None


class BatchSpan(NamedTuple):
    """The frames of one session in a batch."""

    run_id: int
    batch: int
    account_id: int
    session_id: int
    first_seq: int
    last_seq: int


class RedactionEntry(NamedTuple):
    """An event log entry of a batch that redacted frames: the batch's seal proves the redaction."""

    run_id: int
    batch: int
    item: int
    body: str


class FramesSeen:
    """Which frames were exported: a few numbers for each session, and each range without payloads."""

    def __init__(self) -> None:
        #: Session → first frame, last frame, number of frames.
        self._sessions: dict[SessionKey, list[int]] = {}
        #: Frames without payload that the record calls redacted, whether a sealed entry proves it or not.
        self._emptied: dict[SessionKey, list[list[int]]] = {}

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass on rows of `frames`, and remember them."""
        places = [TABLES[FRAMES].at(name) for name in ("account_id", "session_id", "seq", "status")]
        account_at, session_at, seq_at, status_at = (place for place in places if place is not None)
        session, seen = None, [0, 0, 0]
        for row in rows:
            seq, key = row[seq_at], (row[account_at], row[session_at])
            if session != key:
                session, seen = key, self._sessions.setdefault(key, [seq, seq, 0])
            seen[1] = seq
            seen[2] += 1
            if row[status_at] == REDACTED:
                ranges = self._emptied.setdefault(key, [])
                if ranges and ranges[-1][1] == seq - 1:
                    ranges[-1][1] = seq
                else:
                    ranges.append([seq, seq])
            yield row

    def has_some(self, span: BatchSpan) -> bool:
        """Whether any frame of a span may have been exported."""
        first, last, _ = self._sessions.get((span.account_id, span.session_id), (0, -1, 0))
        return first <= span.last_seq and span.first_seq <= last

    def has_all(self, span: BatchSpan) -> bool:
        """Whether all frames of a span were exported for certain."""
        first, last, count = self._sessions.get((span.account_id, span.session_id), (0, -1, 0))
        return first <= span.first_seq and span.last_seq <= last and count == last - first + 1

    def has_emptied(self, account_id: int, session_id: int, first_seq: int, last_seq: int) -> bool:
        """Whether any frame of a range was exported without its payload."""
        ranges = self._emptied.get((account_id, session_id), [])
        at = bisect_right(ranges, last_seq, key=lambda one: one[0]) - 1
        return at >= 0 and first_seq <= ranges[at][1]


class BatchSeals:
    """The batches of exported frames.

    Args:
        connection: to the record.
        frames: those that were exported.
        everything: whether nothing was left out: then batches without frames belong to it too, for a complete chain.
    """

    def __init__(self, connection: Connection, frames: FramesSeen, *, everything: bool) -> None:
        self._connection, self._frames, self._everything = connection, frames, everything
        #: The batches that prove why exported frames have no payload.
        self.proofs = {
            key
            for key, entries in sealed_redactions_in(connection).by_batch.items()
            if any(frames.has_emptied(*astuple(entry)[:4]) for entry in entries)
        }
        self.batches = 0
        self.whole = 0
        #: Recorder → its last seal in the export.
        self.heads: dict[int, Seal] = {}

    def seals(self) -> Iterator[Seal]:
        """The seals of the batches, in the order of their keys."""
        # Recorder → its previous seal, and whether that is exported.
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

    def spans(self) -> Iterator[BatchSpan]:
        """The frames of the batches."""
        for row, its_spans in self._all():
            if self._wants(row, its_spans):
                yield from its_spans

    def redaction_entries(self) -> Iterator[RedactionEntry]:
        """All entries of the batches that prove redactions of exported frames."""
        for run_id, batch in sorted(self.proofs):
            e = event_log.c
            of_batch = select(e.item, e.body).where(e.run_id == run_id, e.batch == batch)
            for item, body in self._connection.execute(of_batch.order_by(e.item)):
                yield RedactionEntry(run_id, batch, item, body)

    def _wants(self, row: Any, its_spans: list[BatchSpan]) -> bool:
        is_proof = (row.run_id, row.batch) in self.proofs
        return self._everything or is_proof or any(map(self._frames.has_some, its_spans))

    def _all(self) -> Iterator[tuple[Any, list[BatchSpan]]]:
        """Every batch of the record, with its spans."""
        with self._connection.execute(_BATCHES.execution_options(yield_per=FETCH_ROWS)) as rows:
            for _, of_batch in groupby(rows, lambda row: (row.run_id, row.batch)):
                found = list(of_batch)
                yield found[0], [BatchSpan(*row[:6]) for row in found if row.account_id is not None]


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
        *(spans.c[name] for name in BatchSpan._fields[2:]),
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


def seal_tables(seals: BatchSeals) -> list[ExportTable]:
    """The tables to export with frames."""
    found = [
        ExportTable("seals", "batch of frames: its seal", columns_of_record(Seal), lambda _: seals.seals()),
        ExportTable("spans", "session in a batch", columns_of_record(BatchSpan), lambda _: seals.spans()),
    ]
    if seals.proofs:
        each = "event log entry of a batch that redacted exported frames"
        columns = columns_of_record(RedactionEntry)
        found.append(ExportTable("redaction_entries", each, columns, lambda _: seals.redaction_entries()))
    return found
