"""Computes round trips, instant by instant, by the rules in `recorder.read.trips`. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal
from typing import Any, Self

import msgspec

from recorder.model import BUY, LONG, SHORT
from recorder.read.records import Fill
from recorder.read.trips import (
    HeldParts,
    HeldQuantity,
    Instant,
    Terms,
    TermsOf,
    Trip,
    TripKey,
    change,
    happened,
    instants,
    start_of,
    trip_key,
)

#: Sums are exact; divisions have more digits than are shown.
_EXACT = Context(prec=500)
_LONG_DIVISION = Context(prec=60)
#: The last digit of an average price, and of an amount.
_PRICE_UNIT, _UNIT = Decimal("1E-10"), Decimal("1E-18")
_ZERO = Decimal(0)
#: A difference that lasts shorter than this, ms, is a report that is late.
LASTS_MS = 10_000


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
        #: Currency → the sum of the fees in it; None if one is unknown. Empty where the venue names none.
        self._fees: dict[str, Decimal | None] = {}
        self.adds_up: bool | None = None
        #: Whether the position changed without a fill.
        self.is_broken = False

    def add(self, fill: Fill, quantity: Decimal, fee: Decimal | None, *, adds_up: bool | None) -> None:
        side = self.entries if (fill.side == BUY) == (self.direction == LONG) else self.exits
        side.add(quantity, fill.price)
        currency = fill.fee_currency or ""
        before = self._fees.get(currency, _ZERO)
        self._fees[currency] = None if before is None or fee is None else _EXACT.add(before, fee)
        self.adds_up = adds_up

    def trip(self, account: str, key: TripKey, closed_ms: int | None) -> Trip:
        whole = self.opened_ms is not None
        pnl = None
        if whole and closed_ms is not None and self.entries.known and self.exits.known:
            gain = _EXACT.multiply(_EXACT.subtract(self.exits.worth, self.entries.worth), self._terms.contract_size)
            gains = (self.direction == LONG) != self._terms.is_inverse
            pnl = _EXACT.quantize(gain if gains else gain.copy_negate(), _UNIT)
        fee, fee_currency = self._fee()
        currency = self._terms.settle or fee_currency
        is_alike = not fee or fee_currency in {None, currency}
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
            fee_currency,
            None if pnl is None or fee is None or not is_alike else _EXACT.subtract(pnl, fee),
            currency,
            False if self.is_broken else self.adds_up,
            self.number,
        )

    def _fee(self) -> tuple[Decimal | None, str | None]:
        """The sum of the fees and their currency. Where a sum is nothing, its currency does not count."""
        charged = {currency: fee for currency, fee in self._fees.items() if fee is None or fee}
        currencies = {currency for currency in charged or self._fees if currency}
        currency = currencies.pop() if len(currencies) == 1 else None
        total: Decimal | None = _ZERO
        for fee in charged.values():
            total = None if total is None or fee is None or len(currencies) > 1 else _EXACT.add(total, fee)
        return None if total is None else _EXACT.quantize(total, _UNIT), currency

    def state(self) -> list[Any]:
        sides = self.entries.state(), self.exits.state()
        fees = {currency: None if fee is None else str(fee) for currency, fee in self._fees.items()}
        return [self.direction, self.opened_ms, *sides, fees, self.adds_up, self.is_broken]

    @classmethod
    def resumed(cls, state: list[Any], number: int, of: Terms) -> Self:
        one = cls(state[0], state[1], number, of)
        one.entries, one.exits = (
            _TripSide(of, Decimal(quantity), Decimal(worth), known=known) for quantity, worth, known in state[2:4]
        )
        fees, one.adds_up, one.is_broken = state[4:]
        one._fees = {currency: None if fee is None else Decimal(fee) for currency, fee in fees.items()}
        return one


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
        self._parts = HeldParts()
        #: Whether the last report agreed with the fills, None: there was none; the difference, and since when.
        self._agrees: bool | None = None
        self._differs, self._since_ms = _ZERO, 0
        self._open = _OpenTrip(LONG if held > 0 else SHORT, None, 0, of) if held else None

    @property
    def first_changing(self) -> int:
        """Of the trips that may still change, the first one's number."""
        return self.number + 1 if self._open is None else self._open.number

    def state(self) -> str:
        """Everything from which `resumed` can go on, as JSON."""
        walk = None if self._open is None else self._open.state()
        parts = {part: str(quantity) for part, quantity in sorted(self._parts.items())}
        report = self._agrees, str(self._differs), self._since_ms, parts
        values = [str(self._held), self.number, self.last_ms, *report, walk]
        return msgspec.json.encode(values).decode()

    @classmethod
    def resumed(cls, account: str, key: TripKey, of: Terms, state: str) -> Self:
        """A walk that goes on where another one was."""
        held, number, last_ms, agrees, differs, since_ms, parts, walk = msgspec.json.decode(state)
        one = cls(account, key, of)
        one._held, one.number, one.last_ms = Decimal(held), number, last_ms
        one._agrees, one._differs, one._since_ms = agrees, Decimal(differs), since_ms
        one._parts.update((part, Decimal(quantity)) for part, quantity in parts.items())
        one._open = None if walk is None else _OpenTrip.resumed(walk, number, of)
        return one

    def take(self, instant: Instant) -> Iterator[Trip]:
        """Process what happened in the next instant, and give the trips that it ended."""
        after, held = self._held, self._parts.follow(instant.held)
        for fill in instant.fills:
            after = _EXACT.add(after, change(fill))
        differs = _ZERO if held is None else _EXACT.subtract(held, after)
        if held is not None:
            self._agrees = differs == 0
        for fill in instant.fills:
            yield from self._fill(fill)
        if held is not None:
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
        after = _EXACT.add(before, change(fill))
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


def _share(fee: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    if part in {_ZERO, whole}:
        return fee if part else _ZERO
    return _EXACT.quantize(_LONG_DIVISION.divide(_EXACT.multiply(fee, part), whole), _UNIT)
