"""Batches and frames as a record stores them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from recorder.audit.reading import RecordReader, Row
from recorder.model import REDACTED
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES

ACCOUNTS_SQL = "SELECT account_id, name, venue FROM accounts"
#: The columns of `frames`, in the order of `recorder.model.Frame`.
FRAME_COLUMNS = "account_id, session_id, seq, received_ns, source, topic, status, error, payload"
#: Where they are in a row.
SEQ, RECEIVED_NS, SOURCE, TOPIC, STATUS, PAYLOAD = 2, 3, 4, 5, 6, 8


class FrameSpan(NamedTuple):
    """Consecutive frames of one session."""

    account_id: int
    session_id: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """How many frames there should be."""
        return self.last - self.first + 1


class StoredSeal(NamedTuple):
    """The columns of `seals` after its key."""

    seal: bytes
    frames_root: bytes
    entries_root: bytes
    digests: bytes


class StoredBatch(NamedTuple):
    """A batch, without its frames. What has no row is None or empty."""

    run_id: int
    number: int
    frames: int | None
    written_ns: int | None
    spans: tuple[FrameSpan, ...]
    #: The text of each event log entry, in order.
    bodies: tuple[bytes, ...]
    sealed: StoredSeal | None


def read_batches(reader: RecordReader, run_id: int, first: int, last: int) -> list[StoredBatch]:
    """Consecutive batches of a run: one for each number, whatever is left of it."""
    of_run = f"WHERE run_id = {run_id:d} AND batch BETWEEN {first:d} AND {last:d}"
    rows = {row[0]: row[1:] for row in reader.rows(f"SELECT batch, frames, written_ns FROM batches {of_run}")}
    of_seals = f"SELECT batch, seal, frames_root, entries_root, digests FROM seals {of_run}"
    sealed = {row[0]: StoredSeal(*map(bytes, row[1:])) for row in reader.rows(of_seals)}
    of_spans = f"SELECT batch, account_id, session_id, first_seq, last_seq FROM spans {of_run} ORDER BY 1, 2, 3"
    spans = _by_batch(reader.rows(of_spans), FrameSpan)
    of_entries = f"SELECT batch, body FROM event_log {of_run} ORDER BY batch, item"
    bodies = _by_batch(reader.rows(of_entries), str.encode)
    return [
        StoredBatch(
            run_id,
            number,
            *_two(rows.get(number)),
            tuple(spans.get(number, ())),
            tuple(bodies.get(number, ())),
            sealed.get(number),
        )
        for number in range(first, last + 1)
    ]


def _two(row: Row | None) -> tuple[int | None, int | None]:
    return (None, None) if row is None else (row[0], row[1])


def account_names(accounts: Iterable[Row]) -> dict[int, str]:
    """Account key → its name, after its venue's where accounts of several venues have the same name.

    Args:
        accounts: key, name and venue of each.
    """
    known = list(accounts)
    often = {name for name, count in Counter(row[1] for row in known).items() if count > 1}
    return {key: f"{venue}/{name}" if name in often else name for key, name, venue in known}


def _by_batch(rows: list[Row], make: Any) -> dict[int, list[Any]]:
    made: dict[int, list[Any]] = {}
    for batch, *rest in rows:
        made.setdefault(batch, []).append(make(*rest))
    return made


def frames_sql(span: FrameSpan) -> str:
    """The statement that selects the frames of a span, in order."""
    return (
        f"SELECT {FRAME_COLUMNS} FROM frames WHERE account_id = {span.account_id:d} "
        f"AND session_id = {span.session_id:d} AND seq BETWEEN {span.first:d} AND {span.last:d} ORDER BY seq"
    )


def is_emptied(frame: Row) -> bool:
    """Whether a frame claims that it was redacted."""
    return frame[STATUS] == REDACTED and not frame[PAYLOAD]


def digest_of(run_id: int, frame: Row) -> bytes:
    """The digest of one frame."""
    return seals.frame_digests(run_id, [frame])  # type: ignore[list-item]


def split_digests(digests: bytes) -> list[bytes]:
    """Concatenated digests, one by one."""
    return [digests[start : start + HASH_BYTES] for start in range(0, len(digests), HASH_BYTES)]
