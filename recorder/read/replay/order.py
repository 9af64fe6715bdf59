"""The order of a record: within a session the frames' numbers, between sessions the time of receipt. Pure.

A wall clock can jump, and the order must survive that. So each frame has an *instant*: its time of receipt, but never
before the instant of the frame before it, nor outside the life of its session; and one recorder's sessions of an
account follow one another. If no clock jumped, the instant of a frame is its time of receipt.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Before and after every possible session: points that belong to no session.
FIRST_SESSION, LAST_SESSION = -1, 2**63
#: Before the first frame of a session, and after the last.
FIRST_SEQ, LAST_SEQ = -1, 2**63 - 1
#: Before every instant, and after every instant: the end of a session that goes on.
EVER_NS, FOR_EVER_NS = -1, 2**63


class ReplayPoint(NamedTuple):
    """A point in the order of a record."""

    instant_ns: int
    session_id: int
    seq: int


def before(instant_ns: int) -> ReplayPoint:
    """The point before everything at an instant."""
    return ReplayPoint(instant_ns, FIRST_SESSION - 1, FIRST_SEQ)


class Life(NamedTuple):
    """The instants between which a session's frames lie."""

    begins_ns: int
    ends_ns: int

    def instant_ns(self, latest_received_ns: int) -> int:
        """The instant of a frame, given the latest receipt up to it in its session."""
        return min(max(self.begins_ns, latest_received_ns), self.ends_ns)


def lives(sessions: Sequence[tuple[int, int | None]]) -> list[Life]:
    """The lives of one recorder's sessions of an account: each ends before the next begins.

    Args:
        sessions: beginning and end of each by the recorder's clock, in the order of their keys; None: it has not ended.
    """
    found = []
    limit_ns = FOR_EVER_NS
    for opened_ns, ended_ns in reversed(sessions):
        ends_ns = limit_ns if ended_ns is None else min(ended_ns, limit_ns)
        limit_ns = min(opened_ns, ends_ns)
        found.append(Life(limit_ns, ends_ns))
    return found[::-1]


class Chunk(NamedTuple, Generic[T_co]):
    """Consecutive items of one session, or of none, in order; never empty."""

    session_id: int
    instants_ns: Sequence[int]
    items: Sequence[T_co]

    def part(self, begin: int, end: int) -> "Chunk[T_co]":
        """From one index to another."""
        if begin == 0 and end == len(self.items):
            return self
        return Chunk(self.session_id, self.instants_ns[begin:end], self.items[begin:end])


def merge(sources: Iterable[Iterator[Chunk[T]]]) -> Iterator[Chunk[T]]:
    """Merge several sources into one; a chunk is cut where items of another source come between.

    The work is done for chunks, not for each item. One chunk of each source is held in memory.

    Args:
        sources: each in order. No two have items of the same session.
    """
    # First instant, session, number of the source; then, never compared: first index, chunk, source.
    heads: list[tuple[int, int, int, int, Chunk[T], Iterator[Chunk[T]]]] = []
    for number, source in enumerate(sources):
        for chunk in source:
            heads.append((chunk.instants_ns[0], chunk.session_id, number, 0, chunk, source))
            break
    heapify(heads)
    while len(heads) > 1:
        _, session_id, number, begin, chunk, source = heads[0]
        limit_ns, *other = min(heads[1:3])[:3]
        cut = bisect_right if [session_id, number] < other else bisect_left
        end = cut(chunk.instants_ns, limit_ns, begin)
        yield chunk.part(begin, end)
        if end < len(chunk.items):
            heapreplace(heads, (chunk.instants_ns[end], session_id, number, end, chunk, source))
            continue
        for following in source:
            heapreplace(heads, (following.instants_ns[0], following.session_id, number, 0, following, source))
            break
        else:
            heappop(heads)
    for *_, begin, chunk, source in heads:
        yield chunk.part(begin, len(chunk.items))
        yield from source
