"""What a record keeps of its batches, read for some that follow each other."""

from typing import Any, NamedTuple

from recorder.audit.reading import Reader, Row
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES

#: One row of `frames`, as `recorder.model.Frame` has it.
FRAME_COLUMNS = "account_id, session_id, seq, received_ns, source, topic, status, error, payload"


class Span(NamedTuple):
    """Frames of one session, from the first to the last."""

    account_id: int
    session_id: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Sealed(NamedTuple):
    """A row of `seals`, after its key."""

    seal: bytes
    frames_root: bytes
    entries_root: bytes
    digests: bytes


class Kept(NamedTuple):
    """One batch. What has no row is None, or empty."""

    run_id: int
    number: int
    #: How many frames it says to hold, and when it was written.
    frames: int | None
    written_ns: int | None
    spans: tuple[Span, ...]
    #: Number and text of each entry.
    entries: tuple[tuple[int, bytes], ...]
    sealed: Sealed | None

    @property
    def gone(self) -> bool:
        """Whether nothing is left of it."""
        return self.frames is None and self.sealed is None and not self.spans and not self.entries

    @property
    def bodies(self) -> list[bytes]:
        """The entries' texts."""
        return [body for _, body in self.entries]

    @property
    def in_spans(self) -> int:
        """How many frames its spans hold."""
        return sum(span.frames for span in self.spans)


def read_batches(reader: Reader, run_id: int, first: int, last: int) -> list[Kept]:
    """Some batches of a run, from the first to the last: each number once, whatever is left of it."""
    of_run = f"WHERE run_id = {run_id:d} AND batch BETWEEN {first:d} AND {last:d}"
    rows = {row[0]: row[1:] for row in reader.rows(f"SELECT batch, frames, written_ns FROM batches {of_run}")}
    of_seals = f"SELECT batch, seal, frames_root, entries_root, digests FROM seals {of_run}"
    sealed = {row[0]: Sealed(*map(bytes, row[1:])) for row in reader.rows(of_seals)}
    of_spans = f"SELECT batch, account_id, session_id, first_seq, last_seq FROM spans {of_run} ORDER BY 1, 2, 3"
    spans = _by_batch(reader.rows(of_spans), Span)
    of_entries = f"SELECT batch, item, body FROM event_log {of_run} ORDER BY batch, item"
    entries = _by_batch(reader.rows(of_entries), lambda item, body: (item, body.encode()))
    return [
        Kept(
            run_id,
            number,
            *_two(rows.get(number)),
            tuple(spans.get(number, ())),
            tuple(entries.get(number, ())),
            sealed.get(number),
        )
        for number in range(first, last + 1)
    ]


def read_frames(reader: Reader, span: Span) -> list[Row]:
    """The frames of a span that are there."""
    return reader.rows(frames_of(span))


def frames_of(span: Span) -> str:
    """The statement that gives the frames of a span, in order."""
    return (
        f"SELECT {FRAME_COLUMNS} FROM frames WHERE account_id = {span.account_id:d} "
        f"AND session_id = {span.session_id:d} AND seq BETWEEN {span.first:d} AND {span.last:d} ORDER BY seq"
    )


def digest_of(run_id: int, frame: Row) -> bytes:
    """The digest of one frame."""
    return seals.frame_digests(run_id, [frame])  # type: ignore[list-item]


def split(digests: bytes) -> list[bytes]:
    """Digests, one by one."""
    return [digests[start : start + HASH_BYTES] for start in range(0, len(digests), HASH_BYTES)]


def _two(row: Row | None) -> tuple[int | None, int | None]:
    return (None, None) if row is None else (row[0], row[1])


def _by_batch(rows: list[Row], make: Any) -> dict[int, list[Any]]:
    made: dict[int, list[Any]] = {}
    for batch, *rest in rows:
        made.setdefault(batch, []).append(make(*rest))
    return made
