"""Where a snapshot of FMex contradicts what its pushes showed. Pure.

A snapshot and the pushes race: so a value contradicts only where the thing had it in *none* of the states it was seen
in around the time of asking. Values are compared one by one, not whole states: nothing promises that REST reads the
fields of an account at one instant.

Not compared is what moves without a push, or by the exchange's own reckoning: of a position `risk_level`,
`liquidation_price`, `bankruptcy_price`, `leverage`, `realized_pnl` and the rates; of an order its trigger, which trails
the market, and what it was placed with and cannot change.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from recorder.model import AccountUpdate, OrderUpdate, PositionUpdate, State, Thing, thing_of
from recorder.venues.base import Answer, Contradiction, Passed, Seen
from recorder.venues.fmex import rest
from recorder.venues.fmex.orders import FINAL

#: Pushes carry doubles, some cut to 18 decimals; REST may carry more digits of the same number. A double of 15 digits
#: is off by 5E-15 of its value at most.
RELATIVE = Decimal("1E-14")
ABSOLUTE = Decimal("1E-18")

#: The `status` of an order that is not there; a snapshot lists only orders that can still change.
_GONE = "gone"

_ZERO = Decimal(0)


class _Kind(NamedTuple):
    """How one kind of thing is compared."""

    path: str
    word: str
    fields: tuple[str, ...]
    #: What it means that there is none: a balance of which nothing is told is zero.
    absent: Mapping[str, str]
    #: The topic that pushes it; None where it cannot be told.
    topic: Callable[[Any], str | None]


_KINDS: dict[type[State], _Kind] = {
    AccountUpdate: _Kind(
        rest.ACCOUNTS,
        "balance",
        ("available", "frozen", "position_margin"),
        {"available": "0", "frozen": "0", "position_margin": "0"},
        lambda _: "account",
    ),
    PositionUpdate: _Kind(
        rest.POSITIONS,
        "position",
        ("quantity", "direction", "entry_price", "margin"),
        {"quantity": "0"},
        lambda position: f"position.{position.symbol.lower()}",
    ),
    OrderUpdate: _Kind(
        rest.OPEN_ORDERS,
        "order",
        ("quantity", "price", "status", "unfilled_quantity", "fill_price", "fee"),
        {"status": _GONE},
        lambda order: None if order.symbol is None else f"order.{order.symbol.lower()}",
    ),
}

#: Fields that are words; the others are numbers.
_WORDS = frozenset(["direction", "status"])


def contradictions(answers: Sequence[Answer], topics: Collection[str], passed: Passed) -> tuple[Contradiction, ...]:
    """Where a snapshot tells what the record did not pass through.

    Args:
        answers: to the questions of `reconcile.snapshot`, all of them.
        topics: what is pushed; nothing else is compared.
        passed: everything that was held, or came.
    """
    found: list[Contradiction] = []
    for kind, how in _KINDS.items():
        for answer in answers:
            if answer.target.partition("?")[0] == how.path:
                found += _of_kind(kind, answer, topics, passed)
    return tuple(found)


def _of_kind(kind: type[State], answer: Answer, topics: Collection[str], passed: Passed) -> list[Contradiction]:
    told: dict[Thing, State | None] = {thing: None for thing in passed if thing.kind is kind}
    told |= {thing_of(state): state for state in answer.updates if isinstance(state, kind)}
    found: list[Contradiction] = []
    for thing, state in told.items():
        states = passed.get(thing, (None,))
        if _topic(kind, state, states) in topics:
            found += _of_thing(thing, answer.seq, state, states)
    return found


def _topic(kind: type[State], told: State | None, states: Sequence[Seen | None]) -> str | None:
    """The topic of a thing, by whoever tells it."""
    every = [told, *(seen.state for seen in states if seen is not None)]
    return next((topic for state in every if state and (topic := _KINDS[kind].topic(state))), None)


def _of_thing(thing: Thing, seq: int, told: State | None, states: Sequence[Seen | None]) -> list[Contradiction]:
    how = _KINDS[thing.kind]
    found = []
    for field in how.fields:
        value = _value(how, told, field)
        values = [(_value(how, seen.state if seen else None, field), seen) for seen in states]
        shown = [(held, seen) for held, seen in values if held is not None]
        if value is None or not shown or any(_same(field, value, held) for held, _ in shown):
            continue
        held, seen = shown[-1]
        found.append(
            Contradiction(
                thing,
                f"{how.word} {thing.name}",
                field,
                seq,
                None if told is None else value,
                None if seen is None else held,
                None if seen is None else seen.session_id,
            )
        )
    return found


def _value(how: _Kind, state: State | None, field: str) -> str | None:
    """What a state says of a field; None: nothing, which contradicts nothing."""
    if state is None:
        return how.absent.get(field)
    if isinstance(state, PositionUpdate) and field != "quantity" and _is_zero(state.quantity):
        return None
    value: str | None = getattr(state, field)
    return value


def _same(field: str, one: str, other: str) -> bool:
    if field in _WORDS:
        # An order at its end is in no snapshot.
        return one == other or (one == _GONE and other in FINAL) or (other == _GONE and one in FINAL)
    first, second = Decimal(one), Decimal(other)
    return abs(first - second) <= max(ABSOLUTE, RELATIVE * max(abs(first), abs(second)))


def _is_zero(digits: str | None) -> bool:
    return digits is not None and Decimal(digits) == _ZERO
