"""Where a balance and what explains it part for good. Pure.

What belongs together comes in several frames, in whatever order: an order has filled, its position has realized
something, the balance has changed. In between, the balance is off from what explains it, and comes back. So what counts
is where it comes back to, its *level*: a level that is left for good for another is a lasting difference. The books are
off for good where

- another level is come to `RETURNS` times before the old one is seen again, in one session, or
- the old one is not seen again for `APART_NS`: then the level that was held longest counts, or
- the books end, and account and positions contradict each other over more than `CUT` frames.

A difference that is left when the books end, and is none of these, is unsettled: the end may have cut in two what
belonged together.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import count

from recorder.clock import NS_PER_S
from recorder.read.books.matching import BALANCE, POSITION, Difference, Move, Point, UnmatchedMoves, blame, unmet
from recorder.venues.base import EXACT

#: So far apart may frames be received that belong together.
APART_NS = 10 * NS_PER_S
#: When the books begin: what is held for so long is what they begin with. The answers of the first snapshot and the
#: pushes meanwhile may be so far apart; as `reconcile_settle_s`.
BEGIN_NS = 5 * NS_PER_S
#: A level that was come to so often is one; or if not that one, then one that was nearly.
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


class BalanceWatch:
    """Weighs one balance against one account of what explains it."""

    def __init__(self) -> None:
        #: Where the books began, and where they last were on their level; None: not known yet.
        self.begin: Point | None = None
        self.point: Point | None = None
        self.lasting: list[Difference] = []
        #: How many there were, also those that are not named, and how much it was, added up without a sign.
        self.count = 0
        self.size = _ZERO
        self._base: Decimal | None = None
        self._level: Decimal | None = None
        self._now: Point
        self._numbers = count()
        self._waiting = UnmatchedMoves()
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
        if level != before:
            delta = _ZERO if before is None else EXACT.subtract(level, before)
            self._move(Move(next(self._numbers), kind, delta, level, point))
        elif not self._waiting.moves:
            self.point = point

    def wait(self, until_ns: int) -> None:
        """Time has passed: nothing that belongs to what came long ago will come any more."""
        while self._waiting.moves:
            first, last = self._waiting.moves[0], self._waiting.moves[-1]
            if self._base is None and until_ns - last.point.moment.received_ns >= BEGIN_NS:
                self._settle(last.level)
            elif until_ns - first.point.moment.received_ns >= APART_NS:
                self._settle(self._likeliest(until_ns))
            else:
                return

    def conclude(self, until_ns: int) -> None:
        """The books end here."""
        self.wait(until_ns)
        while self._waiting.moves:
            came_to = (self._waiting.clearest(move.level, RETURNS) for move in self._waiting.moves)
            level = next((level for level in came_to if level is not None), None)
            if level is None and self._base is not None and not _contradict(self._waiting.moves):
                return
            self._settle(self._likeliest(until_ns) if level is None else level)

    def cut(self) -> None:
        """From here on other books are kept: they begin where these were last on their level."""
        self.begin, self.lasting, self.count, self.size = self.point, [], 0, _ZERO

    def _move(self, move: Move) -> None:
        brings_back = self._brings_back(move.kind)
        self._waiting.add(move, brings_back=brings_back)
        if move.level == self._base and brings_back:
            self._returns[move.kind] += 1
            self.point = move.point
            self._waiting = UnmatchedMoves(move)
        elif self._waiting.of_one_session and (level := self._waiting.clearest(move.level, RETURNS)) is not None:
            self._settle(level)
        elif len(self._waiting.moves) >= WAITING_MAX:
            self._settle(self._likeliest(move.point.moment.received_ns))

    def _likeliest(self, until_ns: int) -> Decimal:
        return self._waiting.held_longest(until_ns, self._brings_back)

    def _brings_back(self, kind: str) -> bool:
        """Whether this kind of frame brings books back to their level.

        Where the account always comes last, a position that seems to do so is a fill that happens to be as large as
        what is missing.
        """
        other = BALANCE if kind == POSITION else POSITION
        return self._returns[other] < SELDOM or self._returns[kind] * SELDOM >= self._returns[other]

    def _settle(self, level: Decimal) -> None:
        """The books are on this level since they first came to it; what came after they last did is taken anew."""
        moves = self._waiting.moves
        if self._base is None:
            level = _beginning(moves, level)
        at = [index for index, move in enumerate(moves) if move.level == level]
        rest = moves[at[-1] + 1 :]
        if self._base is None:
            self.begin = moves[at[0]].point
        elif level != self._base:
            found = blame(moves[: at[-1] + 1], EXACT.subtract(level, self._base))
            self.count += len(found)
            for one in found:
                self.size = EXACT.add(self.size, one.amount.copy_abs())
            self.lasting += found[: FOUND_MAX - len(self.lasting)]
        self._returns.update(moves[index].kind for index in at)
        self._base = level
        self.point = moves[at[-1]].point if rest else self._now
        self._waiting = UnmatchedMoves(moves[at[-1]])
        for move in rest:
            self._move(move)


def _contradict(moves: Sequence[Move]) -> bool:
    """Whether frames cannot be parts of what is on its way: too many, and of both kinds some that were not met."""
    balances, steps = unmet(moves)
    return len(moves) > CUT and bool(balances) and bool(steps)


def _beginning(moves: Sequence[Move], level: Decimal) -> Decimal:
    """The level that books begin on: the one that they came back to, or an earlier one where much was wrong before."""
    first = next(index for index, move in enumerate(moves) if move.level == level)
    if _contradict(moves[:first]):
        return next(move.level for move in moves if move.kind == BALANCE)
    return level
