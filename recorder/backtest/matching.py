"""Live against backtest: which recorded fills a backtest's fills stand for. Pure, exact."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from decimal import Context, Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_S

#: As many digits as any two numbers that are decoded need for their difference.
_EXACT = Context(prec=500)

MATCHED = "matched"
#: Recorded, and not in the backtest.
MISSED = "missed"
#: In the backtest, and not recorded.
EXTRA = "extra"

#: Fills further apart than this are not the same, nanoseconds.
WITHIN_NS = 60 * NS_PER_S

#: A fill is held against so many before it and as many after it at once.
NEIGHBOURS = 32


class Traded(NamedTuple):
    """One fill, of either side."""

    #: Nanoseconds since 1970.
    time_ns: int
    symbol: str
    #: `LONG` (bought) or `SHORT` (sold).
    direction: str
    quantity: Decimal
    price: Decimal | None


class Match(NamedTuple):
    """A quantity that both have, or one of them alone."""

    #: `matched`, `missed` or `extra`.
    kind: str
    symbol: str
    direction: str
    quantity: Decimal
    recorded_ns: int | None
    backtest_ns: int | None
    recorded_price: Decimal | None
    backtest_price: Decimal | None
    #: Backtest less recorded; above 0 the backtest's is later, or dearer.
    time_difference_ns: int | None
    price_difference: Decimal | None


def match(recorded: Iterable[Traded], backtest: Iterable[Traded], within_ns: int = WITHIN_NS) -> list[Match]:
    """Match fills of the same symbol and direction, quantity for quantity: the nearest in time first, then in price.

    A fill of one side may stand for several of the other: each quantity is matched once. What finds nothing within
    `within_ns` is `missed` or `extra`. Quantities of either side add up to what was given.

    Returns:
        In the order of time.
    """
    sides = _by_kind(recorded), _by_kind(backtest)
    matches = [
        found
        for key in sorted(sides[0].keys() | sides[1].keys())
        for found in _match(sides[0].get(key, []), sides[1].get(key, []), within_ns)
    ]
    return sorted(matches, key=_time)


def _by_kind(fills: Iterable[Traded]) -> dict[tuple[str, str], list[Traded]]:
    kinds: dict[tuple[str, str], list[Traded]] = {}
    for fill in fills:
        if fill.quantity > 0:
            kinds.setdefault((fill.symbol.upper(), fill.direction.upper()), []).append(fill)
    return {key: sorted(these, key=lambda fill: fill.time_ns) for key, these in kinds.items()}


def _match(recorded: list[Traded], backtest: list[Traded], within_ns: int) -> Iterator[Match]:
    mine, theirs = list(recorded), list(backtest)
    # What is left has other neighbours in the next round; each round but the last matches something.
    while pairs := _pairs(mine, theirs, within_ns):
        for *_, i, j in pairs:
            quantity = min(mine[i].quantity, theirs[j].quantity)
            if quantity > 0:
                yield _both(mine[i], theirs[j], quantity)
                mine[i], theirs[j] = _rest(mine[i], quantity), _rest(theirs[j], quantity)
        mine = [fill for fill in mine if fill.quantity > 0]
        theirs = [fill for fill in theirs if fill.quantity > 0]
    yield from (_alone(MISSED, fill) for fill in mine)
    yield from (_alone(EXTRA, fill) for fill in theirs)


def _pairs(mine: Sequence[Traded], theirs: Sequence[Traded], within_ns: int) -> list[tuple[int, Decimal, int, int]]:
    """Who may stand for whom, the nearest in time first, then in price."""
    times = [fill.time_ns for fill in theirs]
    pairs = []
    for i, fill in enumerate(mine):
        first = bisect_left(times, fill.time_ns - within_ns)
        after = bisect_right(times, fill.time_ns + within_ns)
        here = bisect_left(times, fill.time_ns)
        for j in range(max(first, here - NEIGHBOURS), min(after, here + NEIGHBOURS)):
            apart = abs(_difference(theirs[j].price, fill.price) or Decimal(0))
            pairs.append((abs(times[j] - fill.time_ns), apart, i, j))
    return sorted(pairs)


def _difference(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else _EXACT.subtract(one, other)


def _rest(fill: Traded, taken: Decimal) -> Traded:
    return fill._replace(quantity=_EXACT.subtract(fill.quantity, taken))


def _alone(kind: str, fill: Traded) -> Match:
    found = Match(kind, fill.symbol, fill.direction, fill.quantity, None, None, None, None, None, None)
    if kind == MISSED:
        return found._replace(recorded_ns=fill.time_ns, recorded_price=fill.price)
    return found._replace(backtest_ns=fill.time_ns, backtest_price=fill.price)


def _both(one: Traded, other: Traded, quantity: Decimal) -> Match:
    return Match(
        MATCHED,
        one.symbol,
        one.direction,
        quantity,
        one.time_ns,
        other.time_ns,
        one.price,
        other.price,
        other.time_ns - one.time_ns,
        _difference(other.price, one.price),
    )


def _time(found: Match) -> int:
    return found.recorded_ns if found.recorded_ns is not None else found.backtest_ns or 0
