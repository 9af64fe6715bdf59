"""Whether two databases hold the same under the same keys, as far as both have it."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, select

from recorder.errors import MergeConflict
from recorder.model import REDACTED
from recorder.store.mover import last_batches, rows_of, spans_of
from recorder.store.schema import batches, event_log, frames, seals, spans

#: What names a frame, and what is evidence in it. How it was decoded may differ by the version that did it.
_KEY = 3
#: Rows are fetched so many at a time.
ROWS_PER_FETCH = 2_000
_EVIDENCE = [list(frames.c.keys()).index(name) for name in ("received_ns", "source", "payload")]
_STATUS = list(frames.c.keys()).index("status")


def require_same(one: Connection, other: Connection) -> int:
    """Compare the batches that both have: frames byte for byte, and what the event log was told.

    Returns:
        How many frames were compared.

    Raises:
        MergeConflict: it names the first difference.
    """
    compared = 0
    mine, theirs = last_batches(one), last_batches(other)
    for run_id in sorted(mine.keys() & theirs.keys()):
        last = min(mine[run_id], theirs[run_id])
        for table in (batches, spans, event_log, seals):
            key = list(table.primary_key)
            query = select(*table.c).where(table.c.run_id == run_id, table.c.batch <= last).order_by(*key)
            streamed = query.execution_options(yield_per=ROWS_PER_FETCH)
            with one.execute(streamed) as mine_rows, other.execute(streamed) as their_rows:
                for left, right in zip_longest(map(tuple, mine_rows), map(tuple, their_rows)):
                    if left != right:
                        batch = (left or right)[1]
                        raise MergeConflict(f"Batch {batch} of run {run_id} is not the same in both ({table.name}).")
        compared += _require_same_frames(one, other, run_id, last)
    return compared


def _require_same_frames(one: Connection, other: Connection, run_id: int, last: int) -> int:
    compared = 0
    for span in spans_of(one, run_id, 0, last):
        sides = (_rows(rows_of(side, frames, span)) for side in (one, other))
        for left, right in zip_longest(*sides):
            compared += 1
            if left is None or right is None or not _same(left, right):
                _, session_id, seq = (left or right)[:_KEY]
                raise MergeConflict(f"Frame {seq} of session {session_id} is not the same in both.")
    return compared


def _rows(chunks: Iterable[list[tuple[Any, ...]]]) -> Iterator[Any]:
    for chunk in chunks:
        yield from chunk


def _same(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    mine, theirs = _evidence(left), _evidence(right)
    if REDACTED in {left[_STATUS], right[_STATUS]}:
        return mine[:-1] == theirs[:-1]  # its payload may be gone in one of them, and soon is in both
    return mine == theirs


def _evidence(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:_KEY], *(row[index] for index in _EVIDENCE))
