"""Round trips: each position from nothing to nothing, with its average prices. Pure.

Fills are processed in the order in which they happened, and compared with the positions that the venue reported.

- A reported position, less the fills until then, implies the position before the first fill. The first value that two
  successive reports agree on counts: a venue may push a fill before its position.
- Where a contract has several positions, a reported one counts with the latest report of each other one, because a
  fill does not say which of them it changes.
- If successive reports differ from the fills by the same quantity for ten seconds, fills are missing: the position
  becomes the reported one, and the trip that it changed does not add up.
- A trip adds up if the last report before its last fill agrees with the fills. Without a report, it is not known.

The quantity of an inverse contract is in the quote currency: its average prices are weighted by value, and it gains in
the base currency. All others have plain averages, and gain in the quote currency. `contract_size` converts a quantity.

Fees in several currencies have no sum, and a fee in another currency than the profit is not subtracted from it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from functools import reduce
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from recorder.model import BUY, INVERSE, SELL
from recorder.read.records import Fill

#: No sum loses a digit.
_EXACT = Context(prec=500)
_ZERO = Decimal(0)
#: Reported positions that are compared to find the position before the first fill.
REPORTS_MAX = 10


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
    #: None if one is unknown, or if there are fees in several currencies; and the currency.
    fee: Decimal | None
    fee_currency: str | None
    #: After fees; None also if the fee is in another currency.
    pnl: Decimal | None
    #: Of the profit: that in which the contract is settled; that of the fee where this is unknown.
    currency: str | None
    #: Whether the fills lead to the position that the venue reported at its end; None: it reported none, as on spot.
    adds_up: bool | None
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
    part: str = ""


class Report(NamedTuple):
    """A quantity that the venue reported; negative if short."""

    #: When it was pushed, if that was right after the change; else when it came to be. Milliseconds since 1970.
    at_ms: int
    quantity: Decimal
    #: As `part_of` says.
    part: str = ""


class Terms(NamedTuple):
    """How a contract gains and loses."""

    is_inverse: bool = False
    #: What one unit of quantity is: of the base currency, or of the quote currency if inverse.
    contract_size: Decimal = Decimal(1)
    #: The currency in which it gains, where known.
    settle: str | None = None


#: Account, market and symbol of a contract → its terms.
TermsOf = Callable[[str, str | None, str], Terms]


def terms(instrument: Any) -> Terms:
    """The terms of an instrument.

    Args:
        instrument: a `model.Instrument`, or a row of `contracts`; without a `contract_size`, it is 1.
    """
    settle = instrument.settle or (instrument.quote if instrument.kind == "spot" else None)
    return Terms(instrument.kind == INVERSE, Decimal(instrument.contract_size or 1), settle)


class Instant(NamedTuple):
    """What happened to a contract in one millisecond."""

    at_ms: int
    #: In the order in which they happened.
    fills: Sequence[Fill]
    #: The last position that the venue reported, by its part; empty: it reported none.
    held: Mapping[str, Decimal]


class HeldParts(dict[str, Decimal]):
    """The latest reported quantity of each part of what is held of a contract, without those that are zero."""

    def follow(self, reported: Mapping[str, Decimal]) -> Decimal | None:
        """Take what was reported in an instant, and give the quantity of all parts; None: nothing was reported."""
        for part, quantity in reported.items():
            self.pop(part, None)
            if quantity:
                self[part] = quantity
        return reduce(_EXACT.add, self.values(), _ZERO) if reported else None


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
    parts = HeldParts()
    for instant in instants:
        for fill in instant.fills:
            summed = _EXACT.add(summed, change(fill))
        held = parts.follow(instant.held)
        if held is None:
            continue
        found.append(_EXACT.subtract(held, summed))
        reported_ms = instant.at_ms
        if found[-2:-1] == found[-1:]:
            return Start(found[-1], reported_ms, is_settled=True)
        if len(found) == REPORTS_MAX:
            # Of equally frequent values `Counter` gives the first.
            return Start(Counter(found).most_common(1)[0][0], reported_ms, is_settled=True)
    return Start(found[0] if found else _ZERO, reported_ms, is_settled=False)


def trip_key(fill: Any) -> TripKey | None:
    """The contract whose position a fill changes; None: it changes none.

    Args:
        fill: a `Fill`, or a row of `trades`.
    """
    if not fill.quantity > 0 or not fill.symbol or fill.side not in {BUY, SELL}:
        return None
    return TripKey(fill.market or "", fill.symbol, fill.position_side or "")


def part_of(position: Any) -> str:
    """Which part of what is held of a contract a position is: beside a cross one, there may be an isolated one.

    That is so where the venue gives ids to positions. Elsewhere a contract has one, whose margin mode may change. The
    id itself does not say it: after a while, a position that is opened again has another one.

    Args:
        position: a `Position`, or a row of `position_updates`.
    """
    return "" if position.position_id is None else position.margin_mode or ""


def instants(fills: Iterable[Fill], held: Iterable[HeldQuantity | Report]) -> Iterator[Instant]:
    """What happened to one contract, millisecond by millisecond.

    Args:
        fills: in the order in which they happened.
        held: the reported positions in order; the last one of each part in a millisecond counts.
    """
    happened_then = groupby(fills, attrgetter("at_ms"))
    reported_then = groupby(held, attrgetter("at_ms"))
    move, report = next(happened_then, None), next(reported_then, None)
    while move is not None or report is not None:
        at_ms = min(one[0] for one in (move, report) if one is not None)
        now: list[Fill] = []
        last: dict[str, Decimal] = {}
        if move is not None and move[0] == at_ms:
            now = list(move[1])
            move = next(happened_then, None)
        if report is not None and report[0] == at_ms:
            last = {one.part: one.quantity for one in report[1]}
            report = next(reported_then, None)
        yield Instant(at_ms, now, last)


def happened(fill: Fill) -> tuple[int, int, int, int, int]:
    """The order in which fills happened."""
    return fill.at_ms, fill.received_ns, fill.session_id, fill.seq, fill.item


def change(fill: Fill) -> Decimal:
    """By how much a fill changes the position; negative if sold."""
    # Not `-`, which rounds.
    return fill.quantity if fill.side == BUY else fill.quantity.copy_negate()
