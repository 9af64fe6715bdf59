"""Where a balance and what explains it part for good. Pure.

What belongs together comes in several frames, in whatever order: an order has filled, its position has realized
something, the balance has changed. In between, the balance is off from what explains it, and comes back. So what counts
is where it comes back to, its *level*: a level that is left for good for another is a lasting difference. The books are
off for good where

- another level is come back to `RETURNS` times before the old one is seen again, or
- the old one is not seen again for `APART_NS`: then the level that was held longest counts, or
- the books end, and account and positions contradict each other over more than `CUT` frames.

A difference that is left when the books end, and is none of these, is unsettled: the end may have cut in two what
belonged together.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_S
from recorder.venues.base import EXACT

BALANCE = "balance"
POSITION = "position"

#: So far apart may frames be received that belong together.
APART_NS = 10 * NS_PER_S
#: When the books begin: what is held for so long is what they begin with. The answers of the first snapshot and the
#: pushes meanwhile may be so far apart; as `reconcile_settle_s`.
BEGIN_NS = 5 * NS_PER_S
#: A level that was come back to so often is one, and not a coincidence of equal steps.
RETURNS = 5
#: When the books end: so many frames may wait for what belongs to them.
CUT = 20
#: A kind of frame that brought the books back so seldom, against the other, does so by coincidence...
SELDOM = 10
#: Frames that wait are held in memory; with so many, time is not waited for.
WAITING_MAX = 2_000
#: Of lasting differences so many are named; the sum is of all.
FOUND_MAX = 1_000

_ZERO = Decimal(0)


class Moment(NamedTuple):
    """An update of a frame."""

    received_ns: int
    session_id: int
    seq: int
    item: int


class Point(NamedTuple):
    """The books at a moment; sums since some beginning."""

    moment: Moment
    #: What is owned.
    balance: Decimal
    #: Realized by positions, net of fees.
    net: Decimal
    #: Taken for executions.
    fees: Decimal
    fills: int


class Lasting(NamedTuple):
    """A difference for good, and the update that made it."""

    moment: Moment
    amount: Decimal


class Move(NamedTuple):
    """The books came to another level."""

    kind: str
    #: By so much.
    delta: Decimal
    #: Balance less net.
    level: Decimal
    point: Point


class Scale:
    """Weighs one balance against one account of what explains it."""

    def __init__(self) -> None:
        #: Where the books began, and where they last were on their level; None: not known yet.
        self.begin: Point | None = None
        self.point: Point | None = None
        self.lasting: list[Lasting] = []
        #: How many there were, also those that are not named.
        self.count = 0
        self._base: Decimal | None = None
        self._level: Decimal | None = None
        self._now: Point
        self._waiting: list[Move] = []
        self._arrivals: Counter[Decimal] = Counter()
        #: What kind of frame brings the books back, and how often.
        self._returns: Counter[str] = Counter()

    @property
    def unsettled(self) -> Decimal:
        """How far the books are off now, beyond what lasts."""
        if self._base is None or self._level is None:
            return _ZERO
        return EXACT.subtract(self._level, self._base)

    def weigh(self, kind: str, point: Point) -> None:
        """Take the books as they stand after an update of a balance or a position."""
        self.wait(point.moment.received_ns)
        level = EXACT.subtract(point.balance, point.net)
        before, self._level, self._now = self._level, level, point
        if before is None:
            self._move(Move(kind, _ZERO, level, point))
        elif level != before:
            self._move(Move(kind, EXACT.subtract(level, before), level, point))
        elif not self._waiting:
            self.point = point

    def wait(self, until_ns: int) -> None:
        """Time has passed: nothing that belongs to what came long ago will come any more."""
        while self._waiting:
            if self._base is None and until_ns - self._waiting[-1].point.moment.received_ns >= BEGIN_NS:
                self._settle(self._waiting[-1].level)
            elif until_ns - self._waiting[0].point.moment.received_ns >= APART_NS:
                self._settle(self._held_longest(until_ns))
            else:
                return

    def conclude(self, until_ns: int) -> None:
        """The books end here."""
        self.wait(until_ns)
        while self._waiting and (self._base is None or self._is_contradiction()):
            self._settle(self._held_longest(until_ns))

    def cut(self) -> None:
        """From here on other books are kept: they begin where these were last on their level."""
        self.begin, self.lasting, self.count = self.point, [], 0

    def _move(self, move: Move) -> None:
        self._waiting.append(move)
        self._arrivals[move.level] += 1
        if move.level == self._base and self._returned_by(move.kind):
            self._returns[move.kind] += 1
            self.point = move.point
            self._waiting.clear()
            self._arrivals.clear()
        elif self._arrivals[move.level] >= RETURNS:
            self._settle(move.level)
        elif len(self._waiting) >= WAITING_MAX:
            self._settle(self._held_longest(move.point.moment.received_ns))

    def _returned_by(self, kind: str) -> bool:
        """Whether this kind of frame brings books back.

        Where the account always comes last, a position that seems to bring them back is a fill that happens to be as
        large as what is missing.
        """
        other = BALANCE if kind == POSITION else POSITION
        return self._returns[other] < SELDOM or self._returns[kind] * SELDOM >= self._returns[other]

    def _settle(self, level: Decimal) -> None:
        """The books are on this level from where they first came to it; what came after they last did is taken anew."""
        at = [index for index, move in enumerate(self._waiting) if move.level == level]
        if self._base is None:
            self.begin = self._waiting[at[0]].point
        elif level != self._base:
            found = blame(self._waiting[: at[0] + 1], EXACT.subtract(level, self._base))
            self.count += len(found)
            self.lasting += found[: FOUND_MAX - len(self.lasting)]
        self._returns.update(self._waiting[index].kind for index in at)
        self._base = level
        rest = self._waiting[at[-1] + 1 :]
        self.point = self._waiting[at[-1]].point if rest else self._now
        self._waiting, self._arrivals = [], Counter()
        for move in rest:
            self._move(move)

    def _held_longest(self, until_ns: int) -> Decimal:
        """Of the levels since the books were last on theirs: in whole seconds, then by how often, then the last."""
        held: Counter[Decimal] = Counter()
        often: Counter[Decimal] = Counter()
        last: dict[Decimal, int] = {}
        times = [move.point.moment.received_ns for move in self._waiting]
        for index, (move, ends_ns) in enumerate(zip(self._waiting, [*times[1:], until_ns], strict=True)):
            held[move.level] += max(ends_ns - times[index], 0)
            often[move.level] += self._returned_by(move.kind)
            last[move.level] = index
        return max(last, key=lambda level: (held[level] // NS_PER_S, often[level], last[level]))

    def _is_contradiction(self) -> bool:
        balances, steps = unmatched(self._waiting)
        return len(self._waiting) > CUT and bool(balances) and bool(steps)


def unmatched(moves: Sequence[Move]) -> tuple[list[Move], list[Move]]:
    """The changes of the balance that no position explains, and the steps of positions that no balance shows."""
    steps: dict[Decimal, list[Move]] = {}
    for move in moves:
        if move.kind == POSITION:
            steps.setdefault(move.delta, []).append(move)
    balances = []
    for move in moves:
        if move.kind == BALANCE:
            fitting = steps.get(EXACT.minus(move.delta))
            if fitting:
                fitting.pop(0)
            else:
                balances.append(move)
    left = {id(move) for rest in steps.values() for move in rest}
    return balances, [move for move in moves if id(move) in left]


def blame(moves: Sequence[Move], amount: Decimal) -> list[Lasting]:
    """Which updates made a difference; the amounts sum up to it.

    Args:
        moves: from the one level to the other.
        amount: the difference.
    """
    balances, steps = unmatched(moves)
    if not balances:
        return [Lasting(move.point.moment, move.delta) for move in steps]
    if not steps:
        return [Lasting(move.point.moment, move.delta) for move in balances]
    if len(balances) == len(steps):
        # Each balance with the step it belongs to, in the order in which they came.
        pairs = zip(balances, steps, strict=True)
        return [Lasting(told.point.moment, EXACT.add(told.delta, step.delta)) for told, step in pairs]
    by_steps = {EXACT.subtract(amount, step.delta) for step in steps} | {amount}
    guilty = next((move for move in balances if move.delta in by_steps), balances[0])
    return [Lasting(guilty.point.moment, amount)]
