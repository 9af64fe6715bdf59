"""Frames that wait for what belongs to them: changes of a balance, and what positions realized. Pure.

A frame of the one kind is met by one of the other that tells the same amount, whichever came first. What is met never
is what makes a difference.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_S
from recorder.venues.base import EXACT

BALANCE = "balance"
POSITION = "position"


class UpdateKey(NamedTuple):
    """An update of a frame."""

    received_ns: int
    session_id: int
    seq: int
    item: int


class Point(NamedTuple):
    """The books at a moment; sums since some beginning."""

    moment: UpdateKey
    #: What is owned.
    balance: Decimal
    #: Realized by positions, net of fees.
    net: Decimal
    #: Taken for executions.
    fees: Decimal
    fills: int


class Difference(NamedTuple):
    """A difference for good, and the update that made it."""

    moment: UpdateKey
    amount: Decimal


class Move(NamedTuple):
    """The books came to another level."""

    #: Counts them.
    number: int
    kind: str
    #: By so much.
    delta: Decimal
    #: Balance less net.
    level: Decimal
    point: Point


class UnmatchedMoves:
    """The moves since the books were last on their level.

    Args:
        since: the last one before; None: there was none.
    """

    def __init__(self, since: Move | None = None) -> None:
        self.moves: list[Move] = []
        # The first move of all is none, and may be an answer's.
        self._sessions = {move.point.moment.session_id for move in (since,) if move is not None and move.delta}
        #: Level → how often the books came to it.
        self.arrivals: Counter[Decimal] = Counter()
        #: Level → how often they came to it with a frame that met another, and how few were left unmet at least.
        self._met: Counter[Decimal] = Counter()
        self._left: dict[Decimal, int] = {}
        #: What has not been met: by its kind and how it moved the books.
        self._unmet: Counter[tuple[str, Decimal]] = Counter()

    def add(self, move: Move, *, brings_back: bool) -> None:
        """The next move, and whether frames of its kind are those that bring books back to their level."""
        self.moves.append(move)
        if move.delta:
            self._sessions.add(move.point.moment.session_id)
        self.arrivals[move.level] += 1
        other = _other(move)
        if not self._unmet[other]:
            self._unmet[move.kind, move.delta] += 1
            return
        self._unmet[other] -= 1
        if brings_back:
            self._met[move.level] += 1
            left = self._unmet.total()
            self._left[move.level] = min(self._left.get(move.level, left), left)

    @property
    def of_one_session(self) -> bool:
        """Whether one session told all of it: what several tell is only as well in order as their clocks agree."""
        return len(self._sessions) <= 1

    def clearest(self, level: Decimal, returns: int) -> Decimal | None:
        """The level that the books are on, where they came to one of them often enough; None: they did not.

        With a frame that met another they come to the level itself, or to one near it where more was on its way: so
        of those that they came to nearly as often as to this one, the one counts where least was.

        Args:
            level: the last one.
            returns: how often is often enough; where no frame met another, three times as often.
        """
        if self._met[level] >= returns:
            often = [one for one, times in self._met.items() if times > returns // 2]
            return min(often, key=lambda one: (self._left[one], -self._met[one]))
        return level if self.arrivals[level] >= 3 * returns else None

    def held_longest(self, until_ns: int, counts: Callable[[str], bool]) -> Decimal:
        """Of the levels, the one held longest, in whole seconds; of several the one come to most often, then the last.

        Args:
            until_ns: until when the last one is held.
            counts: whether a kind of frame counts where it is asked how often a level was come to.
        """
        held: Counter[Decimal] = Counter()
        often: Counter[Decimal] = Counter()
        last: dict[Decimal, int] = {}
        times = [move.point.moment.received_ns for move in self.moves]
        for index, (move, ends_ns) in enumerate(zip(self.moves, [*times[1:], until_ns], strict=True)):
            held[move.level] += max(ends_ns - times[index], 0)
            last.setdefault(move.level, index)
            if counts(move.kind):
                often[move.level] += 1
                last[move.level] = index
        return max(last, key=lambda level: (held[level] // NS_PER_S, often[level], last[level]))


def unmet(moves: Iterable[Move]) -> tuple[list[Move], list[Move]]:
    """The changes of the balance that no position explains, and the steps of positions that no balance shows.

    Of several that a frame could meet it meets the last.
    """
    waiting: dict[tuple[str, Decimal], list[Move]] = {}
    for move in moves:
        others = waiting.get(_other(move))
        if others:
            others.pop()
        else:
            waiting.setdefault((move.kind, move.delta), []).append(move)
    left = sorted((move for rest in waiting.values() for move in rest), key=lambda move: move.number)
    return [move for move in left if move.kind == BALANCE], [move for move in left if move.kind == POSITION]


def _other(move: Move) -> tuple[str, Decimal]:
    """What meets a move: the other kind of frame, telling the same amount."""
    return BALANCE if move.kind == POSITION else POSITION, EXACT.minus(move.delta)


def blame(moves: Iterable[Move], amount: Decimal) -> list[Difference]:
    """Which updates made a difference; their amounts sum up to it.

    Args:
        moves: from the one level to the other.
        amount: the difference.
    """
    balances, steps = unmet(moves)
    if not balances:
        return [Difference(move.point.moment, move.delta) for move in steps]
    if len(steps) > len(balances):
        return [Difference(balances[0].point.moment, amount)]
    if len(steps) == len(balances):
        # Each balance with the step it belongs to, in the order in which they came.
        pairs = zip(balances, steps, strict=True)
        return [Difference(told.point.moment, EXACT.add(told.delta, step.delta)) for told, step in pairs]
    amounts = {told.number: told.delta for told in balances}
    free = list(balances)
    for step in steps:
        # A step belongs to the balance that is nearest to it.
        nearest = min(free, key=lambda told: EXACT.abs(EXACT.add(told.delta, step.delta)))
        amounts[nearest.number] = EXACT.add(nearest.delta, step.delta)
        free.remove(nearest)
    return [Difference(told.point.moment, amounts[told.number]) for told in balances]
