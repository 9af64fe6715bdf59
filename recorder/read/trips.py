"""Round trips: each position from nothing to nothing, with its average prices. Pure.

Fills are processed in the order in which they happened, and compared with the positions that the venue reported.

- A reported position, less the fills until then, implies the position before the first fill. The first value that two
  successive reports agree on counts: a venue may push a fill before its position.
- If successive reports differ from the fills by the same quantity for ten seconds, fills are missing: the position
  becomes the reported one, and the trip that it changed does not add up.
- A trip adds up if the last report before its last fill agrees with the fills.

The quantity of an inverse contract is in the quote currency: its average prices are weighted by value, and it gains in
the base currency. All others have plain averages, and gain in the quote currency. `contract_size` converts a quantity.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Context, Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, Self

import msgspec

from recorder.model import BUY, INVERSE, LONG, SELL, SHORT
from recorder.read.records import Fill

#: Sums are exact; divisions have more digits than are shown.
_EXACT = Context(prec=500)
_LONG_DIVISION = Context(prec=60)
#: The last digit of an average price, and of an amount.
_PRICE_UNIT, _UNIT = Decimal("1E-10"), Decimal("1E-18")
_ZERO = Decimal(0)
#: Reported positions that are compared to find the position before the first fill.
REPORTS_MAX = 10
#: A difference that lasts shorter than this, ms, is a report that is late.
LASTS_MS = 10_000


class Trip(NamedTuple):
    """A position from its first contract to its last."""

    account: str
    #: The venue's word for one of several markets that use the same symbols; else None.
    market: str | None
    symbol: str
    #: `long` or `short` in hedge mode, where each side has trips of its own.
    position_side: str | None
    #: `long` or `short`.
    direction: str
    #: When it was opened and closed, ms since 1970. None: before the record or unseen; not yet.
    opened_ms: int | None
    closed_ms: int | None
    entry_quantity: Decimal
    #: Averages; None without such fills, if one has no price or is missing, or if the opening was not seen.
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


class TripKey(NamedTuple):
    """A contract, or in hedge mode one side of it. Empty where the venue sends none."""

    market: str
    symbol: str
    position_side: str


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

    def __init__(self, of: Terms, quantity: Decimal = _ZERO, worth: Decimal = _ZERO, *, known: bool = True) -> None:
        self.quantity, self.worth, self.known = quantity, worth, known
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

    def state(self) -> list[Any]:
        return [str(self.quantity), str(self.worth), self.known]


class _OpenTrip:
    """A trip that has not ended."""

    def __init__(self, direction: str, opened_ms: int | None, number: int, of: Terms) -> None:
        self.direction, self.opened_ms, self.number = direction, opened_ms, number
        self.entries, self.exits = _TripSide(of), _TripSide(of)
        self._terms = of
        self.fee: Decimal | None = _ZERO
        self.currency: str | None = None
        self.adds_up = False
        #: Whether the position changed without a fill.
        self.is_broken = False

    def add(self, fill: Fill, quantity: Decimal, fee: Decimal | None, *, adds_up: bool) -> None:
        side = self.entries if (fill.side == BUY) == (self.direction == LONG) else self.exits
        side.add(quantity, fill.price)
        self.fee = None if self.fee is None or fee is None else _EXACT.add(self.fee, fee)
        self.currency = fill.fee_currency or self.currency
        self.adds_up = adds_up

    def trip(self, account: str, key: TripKey, closed_ms: int | None) -> Trip:
        whole = self.opened_ms is not None
        pnl = None
        if whole and closed_ms is not None and self.entries.known and self.exits.known:
            gain = _EXACT.multiply(_EXACT.subtract(self.exits.worth, self.entries.worth), self._terms.contract_size)
            gains = (self.direction == LONG) != self._terms.is_inverse
            pnl = _EXACT.quantize(gain if gains else gain.copy_negate(), _UNIT)
        fee = None if self.fee is None else _EXACT.quantize(self.fee, _UNIT)
        return Trip(
            account,
            key.market or None,
            key.symbol,
            key.position_side or None,
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
            self.adds_up and not self.is_broken,
            self.number,
        )

    def state(self) -> list[Any]:
        sides = self.entries.state(), self.exits.state()
        fee = None if self.fee is None else str(self.fee)
        return [self.direction, self.opened_ms, *sides, fee, self.currency, self.adds_up, self.is_broken]

    @classmethod
    def resumed(cls, state: list[Any], number: int, of: Terms) -> Self:
        one = cls(state[0], state[1], number, of)
        one.entries, one.exits = (
            _TripSide(of, Decimal(quantity), Decimal(worth), known=known) for quantity, worth, known in state[2:4]
        )
        one.fee = None if state[4] is None else Decimal(state[4])
        one.currency, one.adds_up, one.is_broken = state[5:]
        return one


class Instant(NamedTuple):
    """What happened to a contract in one millisecond."""

    at_ms: int
    #: In the order in which they happened.
    fills: Sequence[Fill]
    #: The last position that the venue reported; None: it reported none.
    held: Decimal | None


class Walk:
    """The trips of one contract, as its fills and reported positions are processed.

    Args:
        account: its name.
        key: the contract.
        of: its terms.
        held: the position before the first fill.
    """

    def __init__(self, account: str, key: TripKey, of: Terms, held: Decimal = _ZERO) -> None:
        self._account, self._key, self._terms = account, key, of
        self._held = held
        #: Of the trip that began last.
        self.number = 0
        #: When something happened last, ms since 1970.
        self.last_ms: int | None = None
        #: Whether the last report agreed with the fills; the difference if it did not, and since when.
        self._agrees = False
        self._differs, self._since_ms = _ZERO, 0
        self._open = _OpenTrip(LONG if held > 0 else SHORT, None, 0, of) if held else None

    @property
    def first_changing(self) -> int:
        """Of the trips that may still change, the first one's number."""
        return self.number + 1 if self._open is None else self._open.number

    def state(self) -> str:
        """Everything from which `resumed` can go on, as JSON."""
        walk = None if self._open is None else self._open.state()
        report = self._agrees, str(self._differs), self._since_ms
        values = [str(self._held), self.number, self.last_ms, *report, walk]
        return msgspec.json.encode(values).decode()

    @classmethod
    def resumed(cls, account: str, key: TripKey, of: Terms, state: str) -> Self:
        """A walk that goes on where another one was."""
        held, number, last_ms, agrees, differs, since_ms, walk = msgspec.json.decode(state)
        one = cls(account, key, of)
        one._held, one.number, one.last_ms = Decimal(held), number, last_ms
        one._agrees, one._differs, one._since_ms = agrees, Decimal(differs), since_ms
        one._open = None if walk is None else _OpenTrip.resumed(walk, number, of)
        return one

    def take(self, instant: Instant) -> Iterator[Trip]:
        """Process what happened in the next instant, and give the trips that it ended."""
        after = self._held
        for fill in instant.fills:
            after = _EXACT.add(after, _change(fill))
        differs = _ZERO if instant.held is None else _EXACT.subtract(instant.held, after)
        if instant.held is not None:
            self._agrees = differs == 0
        for fill in instant.fills:
            yield from self._fill(fill)
        if instant.held is not None:
            if differs != self._differs:
                self._differs, self._since_ms = differs, instant.at_ms
            if differs and instant.at_ms - self._since_ms >= LASTS_MS:
                yield from self._move(differs, instant.at_ms)
                self._agrees, self._differs = True, _ZERO
        self.last_ms = instant.at_ms

    def rest(self) -> Iterator[Trip]:
        """The trip that has not ended."""
        if self._open is not None and (self._open.entries.quantity or self._open.exits.quantity):
            yield self._open.trip(self._account, self._key, None)

    def _fill(self, fill: Fill) -> Iterator[Trip]:
        before = self._held
        after = _EXACT.add(before, _change(fill))
        against = before != 0 and (before > 0) != (fill.side == BUY)
        left = min(before.copy_abs(), fill.quantity) if against else _ZERO
        exit_fee = None if fill.fee is None else _share(fill.fee, left, fill.quantity)
        if left and self._open is not None:
            self._open.add(fill, left, exit_fee, adds_up=self._agrees)
            if left == before.copy_abs():
                yield from self._close(fill.at_ms)
        entered = _EXACT.subtract(fill.quantity, left)
        if entered:
            if self._open is None:
                self._begin(after, fill.at_ms)
            assert self._open is not None
            rest = None if fill.fee is None or exit_fee is None else _EXACT.subtract(fill.fee, exit_fee)
            self._open.add(fill, entered, rest, adds_up=self._agrees)
        self._held = after

    def _move(self, differs: Decimal, at_ms: int) -> Iterator[Trip]:
        """Let the position become what the venue reported twice, by fills that are missing."""
        before, after = self._held, _EXACT.add(self._held, differs)
        if self._open is not None:
            self._open.is_broken = True
            grows = after.copy_abs() > before.copy_abs() and (after > 0) == (before > 0)
            (self._open.entries if grows else self._open.exits).known = False
            if not after or (after > 0) != (before > 0):
                yield from self._close(at_ms)
        if self._open is None and after:
            self._begin(after, None)
            assert self._open is not None
            self._open.is_broken = True
        self._held = after

    def _begin(self, held: Decimal, at_ms: int | None) -> None:
        self.number += 1
        self._open = _OpenTrip(LONG if held > 0 else SHORT, at_ms, self.number, self._terms)

    def _close(self, at_ms: int) -> Iterator[Trip]:
        if self._open is not None and (self._open.entries.quantity or self._open.exits.quantity):
            yield self._open.trip(self._account, self._key, at_ms)
        self._open = None


class Start(NamedTuple):
    """The position before the first fill of a contract, as reported positions imply it."""

    held: Decimal
    #: The last report that was considered; None: there is none.
    reported_ms: int | None
    #: Whether later reports change nothing.
    is_settled: bool


def start_of(instants: Iterable[Instant]) -> Start:
    """The position before the first fill.

    Args:
        instants: from the first on; read only as far as necessary.
    """
    summed, found, reported_ms = _ZERO, list[Decimal](), None
    for instant in instants:
        for fill in instant.fills:
            summed = _EXACT.add(summed, _change(fill))
        if instant.held is None:
            continue
        found.append(_EXACT.subtract(instant.held, summed))
        reported_ms = instant.at_ms
        if found[-2:-1] == found[-1:]:
            return Start(found[-1], reported_ms, is_settled=True)
        if len(found) == REPORTS_MAX:
            # Of equally frequent values `Counter` gives the first.
            return Start(Counter(found).most_common(1)[0][0], reported_ms, is_settled=True)
    return Start(found[0] if found else _ZERO, reported_ms, is_settled=False)


def trips(fills: Iterable[Fill], reported: Iterable[HeldQuantity], terms_of: TermsOf) -> Iterator[Trip]:
    """The round trips of each account in each contract, in the order in which they began.

    Args:
        fills: of any accounts, all there are; held in memory.
        reported: positions that the venue reported, each contract's in order; held in memory.
        terms_of: the terms of a contract.
    """
    moves: dict[tuple[str, TripKey], list[Fill]] = defaultdict(list)
    for fill in fills:
        if (key := trip_key(fill)) is not None:
            moves[fill.account, key].append(fill)
    held: dict[tuple[str, TripKey], list[HeldQuantity]] = defaultdict(list)
    for one in reported:
        held[one.account, TripKey(one.market or "", one.symbol, one.position_side or "")].append(one)
    for account, key in sorted(moves):
        found = list(instants(sorted(moves[account, key], key=happened), held[account, key]))
        walk = Walk(account, key, terms_of(account, key.market or None, key.symbol), start_of(found).held)
        for instant in found:
            yield from walk.take(instant)
        yield from walk.rest()


def trip_key(fill: Any) -> TripKey | None:
    """The contract whose position a fill changes; None: it changes none.

    Args:
        fill: a `Fill`, or a row of `trades`.
    """
    if not fill.quantity > 0 or not fill.symbol or fill.side not in {BUY, SELL}:
        return None
    return TripKey(fill.market or "", fill.symbol, fill.position_side or "")


def instants(fills: Iterable[Fill], held: Iterable[HeldQuantity]) -> Iterator[Instant]:
    """What happened to one contract, millisecond by millisecond.

    Args:
        fills: in the order in which they happened.
        held: the reported positions in order; the last one of a millisecond counts.
    """
    happened_then = groupby(fills, attrgetter("at_ms"))
    reported_then = groupby(held, attrgetter("at_ms"))
    move, report = next(happened_then, None), next(reported_then, None)
    while move is not None or report is not None:
        at_ms = min(one[0] for one in (move, report) if one is not None)
        now: list[Fill] = []
        last: HeldQuantity | None = None
        if move is not None and move[0] == at_ms:
            now = list(move[1])
            move = next(happened_then, None)
        if report is not None and report[0] == at_ms:
            *_, last = report[1]
            report = next(reported_then, None)
        yield Instant(at_ms, now, None if last is None else last.quantity)


def happened(fill: Fill) -> tuple[int, int, int, int, int]:
    """The order in which fills happened."""
    return fill.at_ms, fill.received_ns, fill.session_id, fill.seq, fill.item


def _change(fill: Fill) -> Decimal:
    # Not `-`, which rounds.
    return fill.quantity if fill.side == BUY else fill.quantity.copy_negate()


def _share(fee: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    if part in {_ZERO, whole}:
        return fee if part else _ZERO
    return _EXACT.quantize(_LONG_DIVISION.divide(_EXACT.multiply(fee, part), whole), _UNIT)
