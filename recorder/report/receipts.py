"""What came when: counts, how busy it was, and the longest silences within coverage. One pass over the frames."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import case, select

from recorder.model import CONTROL, PUSH
from recorder.report.covering import segments
from recorder.report.draw.ticks import round_step_ns
from recorder.report.facts import Covered, Period, Received, Silence
from recorder.report.reading import Reading
from recorder.store.schema import frames, heartbeats

#: The period is cut into so many parts at most to show how busy it was, of a round length each.
PARTS_MAX = 180


class Silences:
    """The longest time in which nothing came while all was covered; takes instants in their order. Pure."""

    def __init__(self, covered: Sequence[tuple[int, int]]) -> None:
        self._left = list(reversed(covered))
        self._last_ns = self._left[-1][0] if self._left else 0
        self.longest: Silence | None = None

    def came(self, at_ns: int) -> None:
        """Something did."""
        while self._left and at_ns > self._left[-1][1]:
            self._end_segment()
        if self._left and at_ns >= self._left[-1][0]:
            self._note(at_ns)
            self._last_ns = at_ns

    def finish(self) -> Silence | None:
        """Nothing comes any more; returns the longest, of several the first."""
        while self._left:
            self._end_segment()
        return self.longest

    def _end_segment(self) -> None:
        self._note(self._left.pop()[1])
        if self._left:
            self._last_ns = self._left[-1][0]

    def _note(self, until_ns: int) -> None:
        if self.longest is None or until_ns - self._last_ns > self.longest.lasted_ns:
            self.longest = Silence(self._last_ns, until_ns)


class _Account:
    """What came for one account."""

    def __init__(self, name: str, period: Period, covered: Sequence[tuple[int, int]]) -> None:
        self._name = name
        length_ns = period.until_ns - period.since_ns
        self._since_ns, self._part_ns = period.since_ns, round_step_ns(length_ns, PARTS_MAX)
        self._activity = [0] * -(-length_ns // self._part_ns)
        self._pushes = self._pings = self._frames = 0
        self._without_push, self._without_frame = Silences(covered), Silences(covered)

    def came(self, at_ns: int, status: str, is_ping: bool) -> None:
        self._frames += 1
        self._without_frame.came(at_ns)
        if is_ping:
            self._pings += 1
        if is_ping or status == CONTROL:
            return
        self._pushes += 1
        self._without_push.came(at_ns)
        self._activity[(at_ns - self._since_ns) // self._part_ns] += 1

    def told(self) -> Received:
        longest = self._without_push.finish(), self._without_frame.finish()
        return Received(self._name, self._pushes, self._pings, self._frames, self._activity, self._part_ns, *longest)


class Receipts(NamedTuple):
    """What came."""

    #: Source or status → frames.
    frames: Mapping[str, int]
    accounts: Sequence[Received]


def receipts(reading: Reading, covered: Sequence[Covered]) -> Receipts:
    """Read when each frame came; silences are looked for where all recorders together cover."""
    f, h = frames.c, heartbeats.c
    same = (h.account_id == f.account_id) & (h.session_id == f.session_id) & (h.seq == f.seq)
    query = (
        select(f.account_id, f.received_ns, f.source, f.status, case((h.seq.is_not(None), 1), else_=0))
        .outerjoin(heartbeats, same)
        .where(reading.these(f.account_id), reading.received(f.received_ns))
        .order_by(f.received_ns)
    )
    found = {
        account.account_id: _Account(account.name, reading.period, segments(its))
        for account, its in zip(reading.accounts, covered, strict=True)
    }
    counts: Counter[tuple[str, str]] = Counter()
    for account_id, at_ns, source, status, is_ping in reading.rows("frames", query):
        counts[source, status] += 1
        if source == PUSH:
            found[account_id].came(at_ns, status, bool(is_ping))
    by: Counter[str] = Counter()
    for (source, status), count in counts.items():
        by[source] += count
        by[status] += count
    return Receipts(by, [account.told() for account in found.values()])
