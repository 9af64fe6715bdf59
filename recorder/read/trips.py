"""Round trips: each position from nothing to nothing, with its average prices. Pure.

Fills are processed in the order in which they happened. Each position that the exchange reported, less the fills until
then, gives the position before the first fill. These may differ, because an exchange may push a fill before its
position, or never; the most frequent one counts, and each trip says whether it adds up at its end.

Average prices and profits are those of an inverse contract, whose quantity is in the quote currency.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal
from typing import NamedTuple

from recorder.read.records import Fill

LONG, SHORT = "LONG", "SHORT"

#: Sums are exact; divisions have more digits than are shown.
_EXACT = Context(prec=500)
_LONG_DIVISION = Context(prec=60)
#: The last digit of an average price, and of an amount.
_PRICE_UNIT, _UNIT = Decimal("1E-10"), Decimal("1E-18")
_ZERO = Decimal(0)


class Trip(NamedTuple):
    """A position from its first contract to its last."""

    account: str
    symbol: str
    direction: str
    #: When it was opened and closed, ms since 1970. None: before the record; not yet.
    opened_ms: int | None
    closed_ms: int | None
    entry_quantity: Decimal
    #: Averages; None without such fills, if one has no price, or if the trip began before the record.
    entry_price: Decimal | None
    exit_quantity: Decimal
    exit_price: Decimal | None
    #: Its profit; None until it is closed, and if an average is unknown.
    pnl_before_fees: Decimal | None
    fee: Decimal | None
    pnl: Decimal | None
    currency: str | None
    #: Whether the fills lead to the position that the exchange reported at its end.
    adds_up: bool
    #: Counts an account's trips in a contract; trip 0 began before the record.
    trip: int


class HeldQuantity(NamedTuple):
    """A position that the exchange reported; negative if short."""

    account: str
    symbol: str
    at_ms: int
    quantity: Decimal


class _TripSide:
    """Entries or exits of a trip."""

    def __init__(self) -> None:
        self.quantity = self.worth = _ZERO
        self.known = True

    def add(self, quantity: Decimal, price: Decimal | None) -> None:
        self.quantity = _EXACT.add(self.quantity, quantity)
        if price:
            self.worth = _EXACT.add(self.worth, _LONG_DIVISION.divide(quantity, price))
        else:
            self.known = False

    @property
    def price(self) -> Decimal | None:
        if not self.known or not self.worth:
            return None
        return _EXACT.quantize(_LONG_DIVISION.divide(self.quantity, self.worth), _PRICE_UNIT)


class _OpenTrip:
    """A trip that has not ended."""

    def __init__(self, direction: str, opened_ms: int | None, number: int) -> None:
        self.direction, self.opened_ms, self.number = direction, opened_ms, number
        self.entries, self.exits = _TripSide(), _TripSide()
        self.fee: Decimal | None = _ZERO
        self.currency: str | None = None
        self.adds_up = False

    def add(self, fill: Fill, quantity: Decimal, fee: Decimal | None, *, adds_up: bool) -> None:
        side = self.entries if fill.direction == self.direction else self.exits
        side.add(quantity, fill.price)
        self.fee = None if self.fee is None or fee is None else _EXACT.add(self.fee, fee)
        self.currency = fill.fee_currency or self.currency
        self.adds_up = adds_up

    def trip(self, account: str, symbol: str, closed_ms: int | None) -> Trip:
        whole = self.opened_ms is not None
        pnl = None
        if whole and closed_ms is not None and self.entries.known and self.exits.known:
            gain = _EXACT.subtract(self.entries.worth, self.exits.worth)
            pnl = _EXACT.quantize(gain if self.direction == LONG else gain.copy_negate(), _UNIT)
        fee = None if self.fee is None else _EXACT.quantize(self.fee, _UNIT)
        return Trip(
            account,
            symbol,
            self.direction,
            self.opened_ms,
            closed_ms,
            self.entries.quantity,
            self.entries.price if whole else None,
            self.exits.quantity,
            self.exits.price,
            pnl,
            fee,
            None if pnl is None or fee is None else _EXACT.subtract(pnl, fee),
            self.currency,
            self.adds_up,
            self.number,
        )


def trips(fills: Iterable[Fill], reported: Iterable[HeldQuantity]) -> Iterator[Trip]:
    """The round trips of each account in each contract, in the order in which they began.

    Args:
        fills: of any accounts, all there are; held in memory.
        reported: positions that the exchange reported; the last of one instant counts. One per instant is held.
    """
    moves: dict[tuple[str, str], list[Fill]] = defaultdict(list)
    for fill in fills:
        if fill.quantity > 0 and fill.symbol is not None and fill.direction in {LONG, SHORT}:
            moves[fill.account, fill.symbol].append(fill)
    held: dict[tuple[str, str], dict[int, Decimal]] = defaultdict(dict)
    for one in reported:
        held[one.account, one.symbol][one.at_ms] = one.quantity
    for key in sorted(moves):
        its_moves = sorted(moves[key], key=_happened)
        yield from _walk(*key, its_moves, _starts(its_moves, held[key]))


def _happened(fill: Fill) -> tuple[int, int, int, int, int]:
    return fill.at_ms, fill.received_ns, fill.session_id, fill.seq, fill.item


def _change(fill: Fill) -> Decimal:
    # Not `-`, which rounds.
    return fill.quantity if fill.direction == LONG else fill.quantity.copy_negate()


def _starts(moves: list[Fill], held: dict[int, Decimal]) -> list[tuple[int, Decimal]]:
    """The position before the first fill, as it follows from each reported position; and when that was reported."""
    found: list[tuple[int, Decimal]] = []
    summed, place = _ZERO, 0
    for at_ms in sorted(held):
        while place < len(moves) and moves[place].at_ms <= at_ms:
            summed = _EXACT.add(summed, _change(moves[place]))
            place += 1
        found.append((at_ms, _EXACT.subtract(held[at_ms], summed)))
    return found


def _walk(account: str, symbol: str, moves: list[Fill], starts: list[tuple[int, Decimal]]) -> Iterator[Trip]:
    # Of equally frequent values `Counter` gives the first.
    common = Counter(start for _, start in starts).most_common(1)
    start = common[0][0] if common else _ZERO
    before, place, here, number = start, 0, None, 0
    walk = _OpenTrip(LONG if start > 0 else SHORT, None, 0) if start else None
    for fill in moves:
        while place < len(starts) and starts[place][0] <= fill.at_ms:
            here = starts[place][1]
            place += 1
        adds_up = here is not None and here == start
        after = _EXACT.add(before, _change(fill))
        against = before != 0 and (before > 0) != (fill.direction == LONG)
        left = min(before.copy_abs(), fill.quantity) if against else _ZERO
        exit_fee = None if fill.fee is None else _share(fill.fee, left, fill.quantity)
        if left and walk is not None:
            walk.add(fill, left, exit_fee, adds_up=adds_up)
            if left == before.copy_abs():
                yield walk.trip(account, symbol, fill.at_ms)
                walk = None
        entered = _EXACT.subtract(fill.quantity, left)
        if entered:
            if walk is None:
                number += 1
                walk = _OpenTrip(LONG if after > 0 else SHORT, fill.at_ms, number)
            rest = None if fill.fee is None or exit_fee is None else _EXACT.subtract(fill.fee, exit_fee)
            walk.add(fill, entered, rest, adds_up=adds_up)
        before = after
    if walk is not None and (walk.entries.quantity or walk.exits.quantity):
        yield walk.trip(account, symbol, None)


def _share(fee: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    if part in {_ZERO, whole}:
        return fee if part else _ZERO
    return _EXACT.quantize(_LONG_DIVISION.divide(_EXACT.multiply(fee, part), whole), _UNIT)
