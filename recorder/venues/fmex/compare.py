"""Where a snapshot of FMex contradicts its pushes. Pure.

A snapshot and the pushes race, so a value is a contradiction only if *none* of the states seen around the time of the
request carried it. Values are compared one by one, because nothing promises that REST reads all fields of an account at
one instant.

Fields that change without a push are not compared: of a position `liquidation_price`, `leverage` and `realized_pnl`; of
an order its trigger, which follows the market, and what never changes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from recorder.model import FINAL_STATUSES, AccountUpdate, OrderUpdate, PositionUpdate, State, Thing, thing_of
from recorder.venues.base import Contradiction, Passed, Seen
from recorder.venues.fmex import rest
from recorder.venues.rest import Answer

#: Tolerances: pushes carry doubles, some cut to 18 decimals, and REST may carry more digits of the same number. A
#: double of 15 digits is off by at most 5E-15 of its value.
RELATIVE = Decimal("1E-14")
ABSOLUTE = Decimal("1E-18")

#: The `status` of an order that is not in a snapshot, which lists only orders that can still change.
_GONE = "gone"

_ZERO = Decimal(0)


class _Kind(NamedTuple):
    """How one kind of thing is compared."""

    path: str
    word: str
    fields: tuple[str, ...]
    #: The values of a thing that is not listed: a balance that is not listed is zero.
    absent: Mapping[str, str]
    #: The topic that pushes it; None if that is unknown.
    topic: Callable[[Any], str | None]


_KINDS: dict[type[State], _Kind] = {
    AccountUpdate: _Kind(
        rest.ACCOUNTS,
        "balance",
        ("available", "locked", "position_margin"),
        {"available": "0", "locked": "0", "position_margin": "0"},
        lambda _: "account",
    ),
    PositionUpdate: _Kind(
        rest.POSITIONS,
        "position",
        ("quantity", "entry_price", "margin"),
        {"quantity": "0"},
        lambda position: f"position.{position.symbol.lower()}",
    ),
    OrderUpdate: _Kind(
        rest.OPEN_ORDERS,
        "order",
        ("quantity", "price", "status", "filled_quantity", "average_price", "fee"),
        {"status": _GONE},
        lambda order: None if order.symbol is None else f"order.{order.symbol.lower()}",
    ),
}

#: Fields that are words; the others are numbers.
_WORDS = frozenset(["status"])


def contradictions(answers: Sequence[Answer], topics: Collection[str], passed: Passed) -> tuple[Contradiction, ...]:
    """The values in a snapshot that no push around the time of the request carried.

    Args:
        answers: all answers to the questions of `reconcile.snapshot`.
        topics: the topics that are pushed; nothing else is compared.
        passed: all states that the record had or received in that time.
    """
    found: list[Contradiction] = []
    for kind, how in _KINDS.items():
        for answer in answers:
            if answer.target.partition("?")[0] == how.path:
                found += _of_kind(kind, answer, topics, passed)
    return tuple(found)


def _of_kind(kind: type[State], answer: Answer, topics: Collection[str], passed: Passed) -> list[Contradiction]:
    listed: dict[Thing, State | None] = {thing: None for thing in passed if thing.kind is kind}
    listed |= {thing_of(state): state for state in answer.updates if isinstance(state, kind)}
    found: list[Contradiction] = []
    for thing, state in listed.items():
        states = passed.get(thing, (None,))
        if _topic(kind, state, states) in topics:
            found += _of_thing(thing, answer.seq, state, states)
    return found


def _topic(kind: type[State], listed: State | None, states: Sequence[Seen | None]) -> str | None:
    """The topic of a thing, according to any of its states."""
    every = [listed, *(seen.state for seen in states if seen is not None)]
    return next((topic for state in every if state and (topic := _KINDS[kind].topic(state))), None)


def _of_thing(thing: Thing, seq: int, listed: State | None, states: Sequence[Seen | None]) -> list[Contradiction]:
    how = _KINDS[thing.kind]
    found = []
    for field in how.fields:
        value = _value(how, listed, field)
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
                None if listed is None else value,
                None if seen is None else held,
                None if seen is None else seen.session_id,
            )
        )
    return found


def _value(how: _Kind, state: State | None, field: str) -> str | None:
    """The value of a field; None if the state has none, which contradicts nothing."""
    if state is None:
        return how.absent.get(field)
    if isinstance(state, PositionUpdate) and field != "quantity" and _is_zero(state.quantity):
        return None
    value: str | None = getattr(state, field)
    return value


def _same(field: str, one: str, other: str) -> bool:
    if field in _WORDS:
        # An order with a final status is in no snapshot.
        return one == other or (one == _GONE and other in FINAL_STATUSES) or (other == _GONE and one in FINAL_STATUSES)
    first, second = Decimal(one), Decimal(other)
    return abs(first - second) <= max(ABSOLUTE, RELATIVE * max(abs(first), abs(second)))


def _is_zero(digits: str | None) -> bool:
    return digits is not None and Decimal(digits) == _ZERO
