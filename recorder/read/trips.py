"""Round trips: each position from nothing to nothing, with its average prices. Pure.

Fills are processed in the order in which they happened. Each position that the venue reported, less the fills until
then, gives the position before the first fill. These may differ, because a venue may push a fill before its position,
or never; the most frequent one counts, and each trip says whether it adds up at its end.

The quantity of an inverse contract is in the quote currency: its average prices are weighted by value, and it gains in
the base currency. All others have plain averages, and gain in the quote currency. `contract_size` converts a quantity.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import Context, Decimal
from typing import NamedTuple

from recorder.model import BUY, INVERSE, LONG, SELL, SHORT
from recorder.read.records import Fill

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
    #: `long` or `short`.
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
    #: Whether the fills lead to the position that the venue reported at its end.
    adds_up: bool
    #: Counts an account's trips in a contract; trip 0 began before the record.
    trip: int


class HeldQuantity(NamedTuple):
    """A position that the venue reported; negative if short."""

    account: str
    market: str | None
    symbol: str
    position_side: str | None
    at_ms: int
    quantity: Decimal


class Terms(NamedTuple):
    """How a contract gains and loses."""

    is_inverse: bool = False
    #: What one unit of quantity is: of the base currency, or of the quote currency if inverse.
    contract_size: Decimal = Decimal(1)


#: Account, market and symbol of a contract → its terms.
TermsOf = Callable[[str, str | None, str], Terms]


def terms(kind: str | None, contract_size: Decimal | str | None) -> Terms:
    """The terms of an instrument.

    Args:
        kind: of the instrument, as in `model.Instrument`.
        contract_size: of the instrument; None: 1.
    """
    return Terms(kind == INVERSE, Decimal(contract_size or 1))


class _TripSide:
    """Entries or exits of a trip."""

    def __init__(self, of: Terms) -> None:
        self.quantity = self.worth = _ZERO
        self.known = True
        self._terms = of

    def add(self, quantity: Decimal, price: Decimal | None) -> None:
        self.quantity = _EXACT.add(self.quantity, quantity)
        if price is None or (self._terms.is_inverse and not price):
            self.known = False
        elif self._terms.is_inverse:
            self.worth = _EXACT.add(self.worth, _LONG_DIVISION.divide(quantity, price))
        else:
            self.worth = _EXACT.add(self.worth, _EXACT.multiply(quantity, price))

    @property
    def price(self) -> Decimal | None:
        if not self.known or not self.quantity or not self.worth:
            return None
        parts = (self.quantity, self.worth) if self._terms.is_inverse else (self.worth, self.quantity)
        return _EXACT.quantize(_LONG_DIVISION.divide(*parts), _PRICE_UNIT)


class _OpenTrip:
    """A trip that has not ended."""

    def __init__(self, direction: str, opened_ms: int | None, number: int, of: Terms) -> None:
        self.direction, self.opened_ms, self.number = direction, opened_ms, number
        self.entries, self.exits = _TripSide(of), _TripSide(of)
        self._terms = of
        self.fee: Decimal | None = _ZERO
        self.currency: str | None = None
        self.adds_up = False

    def add(self, fill: Fill, quantity: Decimal, fee: Decimal | None, *, adds_up: bool) -> None:
        side = self.entries if (fill.side == BUY) == (self.direction == LONG) else self.exits
        side.add(quantity, fill.price)
        self.fee = None if self.fee is None or fee is None else _EXACT.add(self.fee, fee)
        self.currency = fill.fee_currency or self.currency
        self.adds_up = adds_up

    def trip(self, account: str, symbol: str, closed_ms: int | None) -> Trip:
        whole = self.opened_ms is not None
        pnl = None
        if whole and closed_ms is not None and self.entries.known and self.exits.known:
            gain = _EXACT.multiply(_EXACT.subtract(self.exits.worth, self.entries.worth), self._terms.contract_size)
            gains = (self.direction == LONG) != self._terms.is_inverse
            pnl = _EXACT.quantize(gain if gains else gain.copy_negate(), _UNIT)
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


def trips(fills: Iterable[Fill], reported: Iterable[HeldQuantity], terms_of: TermsOf) -> Iterator[Trip]:
    """The round trips of each account in each contract, in the order in which they began.

    Args:
        fills: of any accounts, all there are; held in memory.
        reported: positions that the venue reported; the last of one instant counts. One per instant is held.
        terms_of: the terms of a contract.
    """
    moves: dict[_Key, list[Fill]] = defaultdict(list)
    for fill in fills:
        if fill.quantity > 0 and fill.symbol is not None and fill.side in {BUY, SELL}:
            moves[fill.account, fill.symbol, fill.market or "", fill.position_side or ""].append(fill)
    held: dict[_Key, dict[int, Decimal]] = defaultdict(dict)
    for one in reported:
        held[one.account, one.symbol, one.market or "", one.position_side or ""][one.at_ms] = one.quantity
    for key in sorted(moves):
        its_moves = sorted(moves[key], key=_happened)
        account, symbol, market, _ = key
        yield from _walk(
            account, symbol, terms_of(account, market or None, symbol), its_moves, _starts(its_moves, held[key])
        )


#: Account, symbol, market, side in hedge mode.
_Key = tuple[str, str, str, str]


def _happened(fill: Fill) -> tuple[int, int, int, int, int]:
    return fill.at_ms, fill.received_ns, fill.session_id, fill.seq, fill.item


def _change(fill: Fill) -> Decimal:
    # Not `-`, which rounds.
    return fill.quantity if fill.side == BUY else fill.quantity.copy_negate()


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


def _walk(account: str, symbol: str, of: Terms, moves: list[Fill], starts: list[tuple[int, Decimal]]) -> Iterator[Trip]:
    # Of equally frequent values `Counter` gives the first.
    common = Counter(start for _, start in starts).most_common(1)
    start = common[0][0] if common else _ZERO
    before, place, here, number = start, 0, None, 0
    walk = _OpenTrip(LONG if start > 0 else SHORT, None, 0, of) if start else None
    for fill in moves:
        while place < len(starts) and starts[place][0] <= fill.at_ms:
            here = starts[place][1]
            place += 1
        adds_up = here is not None and here == start
        after = _EXACT.add(before, _change(fill))
        against = before != 0 and (before > 0) != (fill.side == BUY)
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
                walk = _OpenTrip(LONG if after > 0 else SHORT, fill.at_ms, number, of)
            rest = None if fill.fee is None or exit_fee is None else _EXACT.subtract(fill.fee, exit_fee)
            walk.add(fill, entered, rest, adds_up=adds_up)
        before = after
    if walk is not None and (walk.entries.quantity or walk.exits.quantity):
        yield walk.trip(account, symbol, None)


def _share(fee: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    if part in {_ZERO, whole}:
        return fee if part else _ZERO
    return _EXACT.quantize(_LONG_DIVISION.divide(_EXACT.multiply(fee, part), whole), _UNIT)
