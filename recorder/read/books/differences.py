"""Find lasting differences between a balance and what explains it.

Related changes come in several frames, in any order: an order fills, its position realizes a profit, the balance
changes. In between, the difference between the balance and its explanation moves away from its *level* and comes back.
What counts is the level: one that is left for good for another is a lasting difference. It has been left for good if

- another level is reached `RETURNS` times before the old one is seen again, in one session, or
- the old one is not seen again for `APART_NS`: then the level that was held longest counts, or
- the books end while balance and positions contradict each other over more than `CUT` frames.

Any other difference at the end of the books is unsettled: the end may have separated related frames.

A change of the balance and a step of a position *match* if they have the same amount, whichever came first. Only what
stays unmatched can make a difference.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import count
from typing import NamedTuple

from recorder.clock import NS_PER_S
from recorder.venues.accounting import EXACT

BALANCE = "balance"
POSITION = "position"

#: Related frames are received within this of each other.
APART_NS = 10 * NS_PER_S
#: The books begin with the level that is held for this long: the first snapshot and the pushes around it may be this
#: far apart, as with `reconcile_settle_s`.
BEGIN_NS = 5 * NS_PER_S
#: A level is established once it, or a level close to it, was reached this often.
RETURNS = 5
#: Frames that may be unmatched when the books end.
CUT = 20
#: A kind of frame that brought the books back this many times less often than the other did so by coincidence.
SELDOM = 10
#: Unmatched moves held in memory; with this many, the level is settled without waiting longer.
WAITING_MAX = 2_000
#: Lasting differences that are listed; the sum includes all.
FOUND_MAX = 1_000
_ZERO = Decimal(0)


class UpdateKey(NamedTuple):
    """The position of an update in the record."""

    received_ns: int
    session_id: int
    seq: int
    item: int


class BooksPoint(NamedTuple):
    """The state of the books after an update; sums since some beginning."""

    key: UpdateKey
    #: The balance.
    balance: Decimal
    #: PnL realized by positions, net of fees.
    net: Decimal
    #: Paid for executions.
    fees: Decimal
    fills: int


class Difference(NamedTuple):
    """A lasting difference, and the update that caused it."""

    key: UpdateKey
    amount: Decimal


class Move(NamedTuple):
    """The books reached another level."""

    #: Counts the moves.
    number: int
    kind: str
    #: The change of the level.
    delta: Decimal
    #: Balance less net.
    level: Decimal
    point: BooksPoint


class UnmatchedMoves:
    """The moves since the books were last on their level.

    Args:
        since: the move before; None: there was none.
    """

    def __init__(self, since: Move | None = None) -> None:
        self.moves: list[Move] = []
        # The very first move is not a change, and may come from a REST answer.
        self._sessions = {move.point.key.session_id for move in (since,) if move is not None and move.delta}
        #: Level → how often the books reached it.
        self.arrivals: Counter[Decimal] = Counter()
        #: Level → how often they reached it with a matching frame, and the least number of unmatched moves then.
        self._met: Counter[Decimal] = Counter()
        self._left: dict[Decimal, int] = {}
        #: Unmatched moves, by kind and change.
        self._unmet: Counter[tuple[str, Decimal]] = Counter()

    def add(self, move: Move, *, brings_back: bool) -> None:
        """Add the next move; `brings_back`: whether frames of its kind bring books back to their level."""
        self.moves.append(move)
        if move.delta:
            self._sessions.add(move.point.key.session_id)
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
        """Whether all moves come from one session: several are only in order as far as their clocks agree."""
        return len(self._sessions) <= 1

    def clearest(self, level: Decimal, returns: int) -> Decimal | None:
        """The level that the books are on, if they reached one often enough; None: they did not.

        With a matching frame they reach the level itself, or one near it if more frames are due. So of all levels
        reached nearly as often as this one, the one with the fewest unmatched moves counts.

        Args:
            level: the last one.
            returns: how often is often enough; without matching frames, three times as often.
        """
        if self._met[level] >= returns:
            often = [one for one, times in self._met.items() if times > returns // 2]
            return min(often, key=lambda one: (self._left[one], -self._met[one]))
        return level if self.arrivals[level] >= 3 * returns else None

    def held_longest(self, until_ns: int, counts: Callable[[str], bool]) -> Decimal:
        """The level held longest, in whole seconds; of equals, the one reached most often, then the last one.

        Args:
            until_ns: until when the last one is held.
            counts: whether frames of a kind count for how often a level was reached.
        """
        held: Counter[Decimal] = Counter()
        often: Counter[Decimal] = Counter()
        last: dict[Decimal, int] = {}
        times = [move.point.key.received_ns for move in self.moves]
        for index, (move, ends_ns) in enumerate(zip(self.moves, [*times[1:], until_ns], strict=True)):
            held[move.level] += max(ends_ns - times[index], 0)
            last.setdefault(move.level, index)
            if counts(move.kind):
                often[move.level] += 1
                last[move.level] = index
        return max(last, key=lambda level: (held[level] // NS_PER_S, often[level], last[level]))


def unmet(moves: Iterable[Move]) -> tuple[list[Move], list[Move]]:
    """The changes of the balance that no position explains, and the steps of positions that no balance shows.

    If a frame could match several, it matches the last.
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
    """What matches a move: the other kind of frame with the same amount."""
    return BALANCE if move.kind == POSITION else POSITION, EXACT.minus(move.delta)


def blame(moves: Iterable[Move], amount: Decimal) -> list[Difference]:
    """The updates that caused a difference; their amounts add up to it.

    Args:
        moves: from the one level to the other.
        amount: the difference.
    """
    balances, steps = unmet(moves)
    if not balances:
        return [Difference(move.point.key, move.delta) for move in steps]
    if len(steps) > len(balances):
        return [Difference(balances[0].point.key, amount)]
    if len(steps) == len(balances):
        # Each balance belongs to the step with the same index.
        pairs = zip(balances, steps, strict=True)
        return [Difference(balance.point.key, EXACT.add(balance.delta, step.delta)) for balance, step in pairs]
    amounts = {balance.number: balance.delta for balance in balances}
    free = list(balances)
    for step in steps:
        # A step belongs to the balance with the nearest amount.
        nearest = min(free, key=lambda balance: EXACT.abs(EXACT.add(balance.delta, step.delta)))
        amounts[nearest.number] = EXACT.add(nearest.delta, step.delta)
        free.remove(nearest)
    return [Difference(balance.point.key, amounts[balance.number]) for balance in balances]


class BalanceWatch:
    """Compares one balance with its explanation, by one interpretation of realized PnL."""

    def __init__(self) -> None:
        #: Where the books began, and where they last were on their level; None: unknown yet.
        self.begin: BooksPoint | None = None
        self.point: BooksPoint | None = None
        self.lasting: list[Difference] = []
        #: The number of lasting differences, including those not listed, and the sum of their absolute amounts.
        self.count = 0
        self.size = _ZERO
        self._base: Decimal | None = None
        self._level: Decimal | None = None
        self._now: BooksPoint
        self._numbers = count()
        self._waiting = UnmatchedMoves()
        #: Kind of frame → how often it brought the books back.
        self._returns: Counter[str] = Counter()

    @property
    def unsettled(self) -> Decimal:
        """The present difference, without lasting ones."""
        if self._base is None or self._level is None:
            return _ZERO
        return EXACT.subtract(self._level, self._base)

    def weigh(self, kind: str, point: BooksPoint) -> None:
        """Process the state of the books after an update of a balance or a position."""
        self.wait(point.key.received_ns)
        level = EXACT.subtract(point.balance, point.net)
        before, self._level, self._now = self._level, level, point
        if level != before:
            delta = _ZERO if before is None else EXACT.subtract(level, before)
            self._move(Move(next(self._numbers), kind, delta, level, point))
        elif not self._waiting.moves:
            self.point = point

    def wait(self, until_ns: int) -> None:
        """Settle what has waited for too long by this time."""
        while self._waiting.moves:
            first, last = self._waiting.moves[0], self._waiting.moves[-1]
            if self._base is None and until_ns - last.point.key.received_ns >= BEGIN_NS:
                self._settle(last.level)
            elif until_ns - first.point.key.received_ns >= APART_NS:
                self._settle(self._likeliest(until_ns))
            else:
                return

    def conclude(self, until_ns: int) -> None:
        """End the books."""
        self.wait(until_ns)
        while self._waiting.moves:
            came_to = (self._waiting.clearest(move.level, RETURNS) for move in self._waiting.moves)
            level = next((level for level in came_to if level is not None), None)
            if level is None and self._base is not None and not _contradict(self._waiting.moves):
                return
            self._settle(self._likeliest(until_ns) if level is None else level)

    def cut(self) -> None:
        """Begin new books where these were last on their level."""
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
            self._settle(self._likeliest(move.point.key.received_ns))

    def _likeliest(self, until_ns: int) -> Decimal:
        return self._waiting.held_longest(until_ns, self._brings_back)

    def _brings_back(self, kind: str) -> bool:
        """Whether this kind of frame brings books back to their level.

        If the balance always comes last, a position that seems to bring them back is a fill that happens to have the
        missing amount.
        """
        other = BALANCE if kind == POSITION else POSITION
        return self._returns[other] < SELDOM or self._returns[kind] * SELDOM >= self._returns[other]

    def _settle(self, level: Decimal) -> None:
        """Establish a level from when it was first reached; moves after it was last reached are processed again."""
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
    """Whether moves cannot be related to frames still due: too many, and unmatched ones of both kinds."""
    balances, steps = unmet(moves)
    return len(moves) > CUT and bool(balances) and bool(steps)


def _beginning(moves: Sequence[Move], level: Decimal) -> Decimal:
    """The level that books begin on: the one they came back to, or an earlier one if moves contradict it."""
    first = next(index for index, move in enumerate(moves) if move.level == level)
    if _contradict(moves[:first]):
        return next(move.level for move in moves if move.kind == BALANCE)
    return level
