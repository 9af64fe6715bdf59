"""What an account held of one instrument between two states that the venue reported, and the fills in between. Exact.

A position is reported as such. What is held of a spot market is the balance of its base currency. What else changes
that, such as a deposit or a fill of another market, is among the fills, without a fee.

A record rarely begins with an empty position, and pushes of a fill and of the state after it may come in either order,
within one millisecond or many. So a reported quantity agrees with the fills if it is the quantity before them plus
those until a moment at most `APART_MS` away. The history begins with the first state that agrees and ends with the
last: what is missing in the record may have moved the quantity later.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import Connection

from recorder.clock import NS_PER_MS
from recorder.model import BUY, SELL, Instrument
from recorder.read.books.entries import asked_within, execution_of
from recorder.read.fills import DERIVED
from recorder.read.record import ALL, Filter, Record
from recorder.read.records import Balance, Fill, Position
from recorder.read.scope import labelled_accounts
from recorder.read.transactions import Transaction
from recorder.read.trips import HeldParts, change, happened, part_of
from recorder.venues.accounting import EXACT, Ledger, Move

_ZERO = Decimal(0)

#: How far apart the times of a fill and of a state that includes it may be, ms.
APART_MS = 1_000
#: So many states are compared to find the quantity before the first fill.
COMPARED = 10
#: Types of transactions that are of fills, where they name no trade.
_OF_FILLS = frozenset(("trade", "fee"))


class History(NamedTuple):
    """What was held of an instrument between two reported states."""

    account: str
    instrument: Instrument
    #: `long` or `short` in hedge mode.
    position_side: str | None
    #: When the venue reported the two states, ms since 1970.
    begins_ms: int
    ends_ms: int
    #: What happened in between; before that, what was held at the first state: a fill of each position, cross and
    #: isolated, at its entry price. On a spot market, what was no fill of it has the price of the fill before, or else
    #: of the first one.
    fills: list[Fill]
    #: The quantity held at the end, by the reported states; negative if short.
    held: Decimal
    #: PnL realized in between, net of fees, by the venue's figures; None if it reports none, as on spot markets.
    realized_pnl: Decimal | None


class _Step(NamedTuple):
    """A change of the reported quantity."""

    at_ms: int
    amount: Decimal
    #: What changed it; without a price if it was no fill of the instrument.
    fill: Fill


class _State(NamedTuple):
    """A quantity that the venue reported."""

    at_ms: int
    quantity: Decimal
    reported: Position | Balance
    #: The positions that were open then, if it is of a position.
    open: tuple[Position, ...] = ()


class _Anchor(NamedTuple):
    """A state that agrees, and the number of steps before it."""

    state: _State
    steps: int


def history(record: Record, wanted: Filter = ALL, *, market: str | None = None) -> History | None:
    """The history of what was held of one instrument; None if the record has no state that agrees with its fills.

    Args:
        record: the record.
        wanted: must leave one account and one symbol. Without a symbol, that of the account's last position is taken,
            or of its last fill if it has none; in hedge mode, the side of that position.
        market: the venue's word, where the symbol is one of several markets.
    """
    with record.at_one_moment() as connection:
        positions = [
            state
            for state in record.position_history(wanted, as_it_happened=True)
            if state.quantity is not None and state.symbol is not None and market in {None, state.market}
        ]
        if positions:
            return _of_position(record, wanted, positions)
        fills = [one for one in record.fills(wanted) if one.symbol is not None and market in {None, one.market}]
        return _of_spot(record, connection, max(fills, key=happened)) if fills else None


def _of_position(record: Record, wanted: Filter, positions: Sequence[Position]) -> History | None:
    last = positions[-1]
    key = _position(last)
    states = [one for one in positions if _position(one) == key]
    mine = [
        one
        for one in record.fills(wanted._replace(account=last.account, symbol=last.symbol))
        if (one.market, one.position_side) == (last.market, last.position_side)
    ]
    steps = [_Step(one.at_ms, change(one), one) for one in sorted(mine, key=happened)]
    anchors = _anchors(steps, _together(_reported(record, [(one.quantity or _ZERO, one) for one in states])))
    if anchors is None:
        return None
    begin, end = anchors
    fills = [one.fill for one in steps[begin.steps : end.steps]]
    first, final = begin.state.reported, end.state.reported
    assert isinstance(first, Position)
    assert isinstance(final, Position)
    instrument = record.instrument_of()(last.account, last.market, str(last.symbol))
    opening = [
        _unpriced(one, instrument, one.quantity or _ZERO)._replace(price=one.entry_price) for one in begin.state.open
    ]
    return History(
        last.account,
        instrument,
        last.position_side,
        begin.state.at_ms,
        end.state.at_ms,
        opening + fills,
        end.state.quantity,
        _realized(record, fills, instrument, first, final),
    )


def _together(states: Iterable[_State]) -> list[_State]:
    """States of an instrument's positions, each with the quantity of all: a fill does not say which it changes."""
    parts, latest, found = HeldParts(), dict[str, Position](), []
    for state in states:
        assert isinstance(state.reported, Position)
        part = part_of(state.reported)
        latest[part] = state.reported
        held = parts.follow({part: state.quantity})
        assert held is not None
        found.append(state._replace(quantity=held, open=tuple(latest[part] for part in parts)))
    return found


def _position(state: Position) -> tuple[str | None, ...]:
    return state.account, state.market, state.symbol, state.position_side


def _realized(
    record: Record, fills: Sequence[Fill], instrument: Instrument, first: Position, final: Position
) -> Decimal | None:
    """By the PnL that came with the fills, or by the figure that the venue reports for the position."""
    if not record.venues()[first.account].pushes_fills:
        if first.realized_pnl is None or final.realized_pnl is None:
            return None
        return EXACT.subtract(final.realized_pnl, first.realized_pnl)
    total = _ZERO
    for one in fills:
        if one.realized_pnl is None or one.fee is None or one.fee_currency not in {None, instrument.settle}:
            return None
        total = EXACT.add(total, EXACT.subtract(one.realized_pnl, one.fee))
    return total


def _of_spot(record: Record, connection: Connection, last: Fill) -> History | None:
    """By the balance of the base currency.

    What a fill of another instrument did to it is taken from its transactions, where the ledger was asked for them:
    what an option's fill does to a balance, most venues do not document.
    """
    instrument_of, accounting = record.instrument_of(), record.venues()[last.account].accounting
    instrument = instrument_of(last.account, last.market, str(last.symbol))
    ledger, base = accounting.ledger, instrument.base
    if instrument.kind != "spot" or ledger is None or base is None:
        return None

    def moved(fill: Fill) -> Iterator[Move]:
        """What a fill does to balances of the base currency."""
        contract = instrument_of(fill.account, fill.market, str(fill.symbol))
        moves = ledger.moves(execution_of(fill, str(fill.symbol)), contract) or ()
        yield from (move for move in moves if move.currency == base)

    filled = [one for one in sorted(record.fills(Filter(account=last.account)), key=happened) if one.symbol is not None]
    wallet = next(move.wallet for move in moved(last))
    unit = ledger.decimals(wallet)
    of = last.market, last.symbol
    listed_ms = _listed_ms(connection, last.account, ledger, wallet, base)
    trades = set()
    steps = []
    for one in filled:
        is_own = (one.market, one.symbol) == of
        for move in moved(one) if is_own or one.at_ms not in listed_ms else ():
            if move.wallet == wallet:
                amount = _rounded(move.amount, unit)
                steps.append(_Step(one.at_ms, amount, one if is_own else _unpriced(one, instrument, amount)))
                trades.add(_trade(one, ledger))

    def is_of_fill(entry: Transaction) -> bool:
        """Whether it is of a fill that is a step itself."""
        if ledger.names_trades:
            return entry.trade_id is not None and _trade(entry, ledger) in trades
        is_own = (entry.market, entry.symbol) == of
        return entry.type in _OF_FILLS and (is_own or entry.at_ms not in listed_ms)

    for entry in record.transactions(Filter(account=last.account)):
        if (entry.wallet, entry.currency) != (wallet, base) or not entry.amount:
            continue
        if not ledger.has_trades or not is_of_fill(entry):
            amount = _rounded(entry.amount, unit)
            steps.append(_Step(entry.at_ms, amount, _unpriced(entry, instrument, amount)))
    steps.sort(key=attrgetter("at_ms"))  # fills of one millisecond stay in their order
    told = [
        (_rounded(one.balance, unit), one)
        for one in record.balance_history(Filter(account=last.account))
        if one.balance is not None and (one.wallet, one.currency) == (wallet, base)
    ]
    anchors = _anchors(steps, _reported(record, told))
    if anchors is None:
        return None
    begin, end = anchors
    opening = _unpriced(begin.state.reported, instrument, begin.state.quantity)
    fills = _priced([opening, *(one.fill for one in steps[begin.steps : end.steps])])
    return History(last.account, instrument, None, begin.state.at_ms, end.state.at_ms, fills, end.state.quantity, None)


def _trade(one: Fill | Transaction, ledger: Ledger) -> tuple[str | None, ...]:
    """What a fill and its transactions have in common."""
    return (one.market, one.symbol, one.trade_id) if ledger.names_symbols else (one.trade_id,)


def _listed_ms(connection: Connection, account: str, ledger: Ledger, wallet: str | None, currency: str) -> range:
    """The milliseconds of which the ledger has every change of a balance: not the last one, which may go on."""
    account_id = labelled_accounts(connection, account)[0].account_id
    within = asked_within(connection, account_id, ledger).within(wallet, currency) if ledger.has_trades else None
    return range(0) if within is None else range(*within)


def _priced(fills: Sequence[Fill]) -> list[Fill]:
    """Fills of which each has a price: that of the one before, or else of the first one that has any."""
    price = next((one.price for one in fills if one.price is not None), None)
    found = []
    for one in fills:
        price = price if one.price is None else one.price
        if price is not None and one.quantity:
            found.append(one._replace(price=price))
    return found


def _rounded(value: Decimal, decimals: int | None) -> Decimal:
    return value if decimals is None else EXACT.quantize(value, Decimal(1).scaleb(-decimals))


def _reported(record: Record, states: Iterable[tuple[Decimal, Position | Balance]]) -> list[_State]:
    """States with their times, in order: an answer that has none counts from its request."""
    asked_ns = {one.reconciliation_id: one.began_ns for one in record.rounds()}
    found = []
    for quantity, one in states:
        known_ms = asked_ns.get(one.session_id, one.received_ns) // NS_PER_MS
        found.append(_State(known_ms if one.event_ms is None else one.event_ms, quantity, one))
    return sorted(found, key=attrgetter("at_ms"))


def _anchors(steps: Sequence[_Step], states: Sequence[_State]) -> tuple[_Anchor, _Anchor] | None:
    """The first and the last state that agree with the steps; None: none does."""
    times = [one.at_ms for one in steps]
    sums = list(accumulate((one.amount for one in steps), EXACT.add, initial=_ZERO))

    def places(state: _State) -> list[int]:
        """How many steps a state may include, the likeliest number first."""
        likely = bisect_right(times, state.at_ms)
        # In the connection that pushed both, the order is known.
        while likely > 0 and _is_after(steps[likely - 1].fill, state):
            likely -= 1
        first, last = bisect_left(times, state.at_ms - APART_MS), bisect_right(times, state.at_ms + APART_MS)
        return sorted(range(min(first, likely), max(last, likely) + 1), key=lambda number: abs(number - likely))

    befores: Counter[Decimal] = Counter()
    for state in states[:COMPARED]:
        befores.update(list(dict.fromkeys(EXACT.subtract(state.quantity, sums[place]) for place in places(state))))
    if not befores:
        return None
    # Of equally frequent quantities, `Counter` gives the one that was counted first.
    before = befores.most_common(1)[0][0]

    def agreeing(order: Iterable[_State]) -> _Anchor:
        return next(
            _Anchor(state, place)
            for state in order
            for place in places(state)
            if EXACT.subtract(state.quantity, sums[place]) == before
        )

    begin, end = agreeing(states), agreeing(reversed(states))
    return begin, end if end.steps >= begin.steps else begin


def _is_after(fill: Fill, state: _State) -> bool:
    """Whether a fill was pushed after a state, by their frames: where fills are derived from pushes, in their order."""
    one = state.reported
    return fill.origin == DERIVED and fill.session_id == one.session_id and fill.seq > one.seq


def _unpriced(source: Position | Balance | Fill | Transaction, instrument: Instrument, quantity: Decimal) -> Fill:
    """A quantity that was held, or came or went otherwise than by a fill of the instrument, as a fill."""
    return Fill(
        account=source.account,
        received_ns=source.received_ns,
        event_ms=None,
        trade_id=None,
        order_id=None,
        client_order_id=None,
        market=instrument.market,
        symbol=instrument.symbol,
        side=BUY if quantity > 0 else SELL,
        position_side=source.position_side if isinstance(source, Position) else None,
        order_type=None,
        price=None,
        quantity=quantity.copy_abs(),
        fee=_ZERO,
        fee_currency=None,
        realized_pnl=None,
        kind=None,
        executed_ms=None,
        price_is_estimate=False,
        origin=DERIVED,
        session_id=source.session_id,
        seq=source.seq,
        item=source.item,
    )
