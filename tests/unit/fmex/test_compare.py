"""Where a snapshot contradicts the pushes: never in a value that they showed near it, always in one they did not."""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.model import AccountUpdate, OrderUpdate, PositionUpdate, State, Thing, thing_of
from recorder.simulator.exchange import Exchange
from recorder.venues.comparable import Contradiction, Seen, contradictions
from recorder.venues.fmex import rest
from recorder.venues.fmex.comparable import COMPARABLE
from recorder.venues.reading import read_answer
from recorder.venues.rest import Answer
from tests.depth import examples
from tests.made import snapshot_of
from tests.samples import FMEX

SESSION = 70
TOPICS = frozenset(["account", "order.btcusd_p", "position.btcusd_p"])
FIELDS = [
    *((AccountUpdate, field) for field in ("available", "locked", "position_margin")),
    *((PositionUpdate, field) for field in ("quantity", "entry_price", "margin")),
    *((OrderUpdate, field) for field in ("quantity", "price", "status", "filled_quantity", "average_price", "fee")),
]
NO_ORDER = OrderUpdate(None, 0, 0, *[None] * 24)._replace(order_id="1")  # type: ignore[arg-type]

ORDER = NO_ORDER._replace(
    symbol="BTCUSD_P",
    status="new",
    quantity="10",
    filled_quantity="0",
    price="9000",
    average_price="0",
    fee="0E-18",
)
POSITION = PositionUpdate(None, 0, 0, None, "BTCUSD_P", *[None] * 13)._replace(
    quantity="5", entry_price="9000.5", margin="0.001"
)


def balance(currency: str, available: str, locked: str, margin: str) -> AccountUpdate:
    return AccountUpdate(None, 0, 0, None, currency, None, available, locked, margin, None, None, None, None)


BALANCE = balance("BTC", "1.34242880408925", "0.0", "9.747280117178e-06")


def snapshot(exchange: Exchange) -> list[Answer]:
    """The answers of the exchange as it is now."""
    return answers(snapshot_of(exchange.view()))


def answers(bodies: Sequence[tuple[str, bytes]]) -> list[Answer]:
    read = [(target, read_answer(FMEX, target, body)) for target, body in bodies]
    assert all(decoded.error is None for _, decoded in read)
    return [Answer(seq, target, decoded.updates) for seq, (target, decoded) in enumerate(read)]


def telling(*states: State) -> list[Answer]:
    """A snapshot that tells these states and no others."""
    kinds = [(rest.ACCOUNTS, AccountUpdate), (rest.POSITIONS, PositionUpdate), (rest.OPEN_ORDERS, OrderUpdate)]
    return [
        Answer(seq, target, tuple(state for state in states if isinstance(state, kind)))
        for seq, (target, kind) in enumerate(kinds)
    ]


def test_another_spelling_contradicts_nothing() -> None:
    """REST writes `long` and `btcusd_p` where pushes write `LONG` and `BTCUSD_P`, or the other way round."""
    exchange = Exchange(1)
    listener = Listener(exchange)
    listener.listen(400)
    listener.settle()
    bodies = snapshot_of(exchange.view())
    lower = [(target, re.sub(rb'"[A-Z_]+"', lambda word: word[0].lower(), body)) for target, body in bodies]
    assert b'"long"' in lower[2][1] and b'"btcusd_p"' in lower[1][1]
    assert compare(answers(lower), listener.passed) == []
    assert [_meaning(one) for one in answers(lower)] == [_meaning(one) for one in answers(bodies)]


def _meaning(answer: Answer) -> list[object]:
    """What an answer says, without the words as sent."""
    return [one._replace(venue_status=None) if isinstance(one, OrderUpdate) else one for one in answer.updates]


def changed(state: State, fields: dict[str, Any]) -> State:
    return state._replace(**fields)


def passing(*states: State, before: State | None = None) -> dict[Thing, list[Seen | None]]:
    """A thing that went through these states."""
    seen = [None if state is None else Seen(SESSION, state) for state in (before, *states)]
    return {thing_of(states[0]): seen}


def seen(*states: State) -> dict[Thing, list[Seen | None]]:
    return {thing_of(state): [Seen(SESSION, state)] for state in states}


def compare(told: list[Answer], passed: dict[Thing, list[Seen | None]]) -> list[Contradiction]:
    return list(contradictions(COMPARABLE, told, TOPICS, passed))


def fields_of(found: list[Contradiction]) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.subject, one.field, one.told, one.held) for one in found]


class Listener:
    """What somebody saw who listens to an exchange: the states as of an instant, and those since."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.passed: dict[Thing, list[Seen | None]] = {}
        # The first deposit was before anyone listened: a snapshot told of it.
        for answer in snapshot(exchange):
            self._take(answer.updates)
        self.settle()

    def listen(self, pushes: int) -> None:
        for _, payload in islice(self.exchange, pushes):
            self._take(FMEX.decode(payload).updates)

    def settle(self) -> None:
        """From here on states count."""
        self.passed = {thing: states[-1:] for thing, states in self.passed.items()}

    def _take(self, updates: Sequence[Any]) -> None:
        for update in updates:
            self.passed.setdefault(thing_of(update), [None]).append(Seen(SESSION, update))


@settings(max_examples=examples(60))
@given(st.integers(1, 10_000), st.integers(0, 300), st.integers(0, 60), st.integers(0, 60))
def test_a_snapshot_of_any_moment_that_was_passed_through_contradicts_nothing(
    seed: int, before: int, until: int, after: int
) -> None:
    listener = Listener(Exchange(seed))
    listener.listen(before)
    listener.settle()
    listener.listen(until)
    told = snapshot(listener.exchange)
    listener.listen(after)
    assert compare(told, listener.passed) == []


@settings(max_examples=examples(60))
@given(st.integers(1, 10_000), st.integers(50, 300), st.integers(0, 30), st.data())
def test_a_value_that_was_never_shown_always_does(seed: int, before: int, around: int, data: st.DataObject) -> None:
    listener = Listener(Exchange(seed))
    listener.listen(before)
    listener.settle()
    told = snapshot(listener.exchange)
    listener.listen(around)
    states = [state for answer in told for state in answer.updates if isinstance(state, State)]
    comparable = [
        (state, field)
        for state in states
        for kind, field in FIELDS
        if isinstance(state, kind) and not (isinstance(state, PositionUpdate) and state.quantity == "0")
    ]
    state, field = data.draw(st.sampled_from(comparable))
    digits = data.draw(st.decimals(10**7, 10**9, allow_nan=False, places=8))
    value = "other" if field == "status" else str(digits)
    planted = changed(state, {field: value})
    wrong = [
        answer._replace(updates=tuple(planted if one is state else one for one in answer.updates)) for answer in told
    ]
    (found,) = compare(wrong, listener.passed)
    assert (found.thing, found.field, found.told) == (thing_of(state), field, value)
    assert wrong[found.seq].updates.count(planted) == 1
    assert found.held_session_id == SESSION


@pytest.mark.parametrize("state", [BALANCE, POSITION, ORDER])
def test_a_value_that_is_missing_contradicts_nothing(state: State) -> None:
    (thing,) = seen(state)
    fields = [field for kind, field in FIELDS if isinstance(state, kind)]
    for field in fields:
        other = changed(state, {field: None})
        assert compare(telling(other), seen(state)) == []
        assert compare(telling(state), seen(other)) == []
    nothing = changed(state, dict.fromkeys(fields))
    assert compare(telling(nothing), seen(state)) == compare(telling(state), seen(nothing)) == []
    assert thing == thing_of(nothing)


@pytest.mark.parametrize(
    ("told", "held", "same"),
    [
        ("1.34242880408925", "1.342428804089250000000000000", True),
        ("1.342428804089251234", "1.34242880408925", True),
        ("1.342428804089271234", "1.34242880408925", False),
        ("9.747280117178e-06", "0.000009747280117178", True),
        ("0.000009747280117178449", "9.747280117178e-06", True),
        ("0.000009747280117180", "9.747280117178e-06", False),
        ("0E-18", "0", True),
        ("0", "0.000000000000000001", True),
        ("0", "0.000000000000000002", False),
        ("-1", "1", False),
        ("1e99", "1e-99", False),
        ("123456789012345678901234567890123456789", "123456789012345678901234567890123456780", True),
    ],
)
def test_numbers_are_the_same_as_far_as_a_double_can_tell(told: str, held: str, same: bool) -> None:
    found = compare(telling(BALANCE._replace(available=told)), seen(BALANCE._replace(available=held)))
    assert fields_of(found) == ([] if same else [("balance BTC", "available", told, held)])


def test_an_order_that_is_open_and_not_listed() -> None:
    closed = ORDER._replace(status="filled", filled_quantity="10")
    assert fields_of(compare(telling(), seen(ORDER))) == [("order 1", "status", None, "new")]
    # One that closed meanwhile, or that came only after the asking, is none.
    assert compare(telling(), passing(closed, before=ORDER)) == []
    assert compare(telling(), passing(ORDER)) == []
    assert compare(telling(), seen(closed)) == []


def test_an_order_that_is_listed_and_was_never_seen_or_has_ended() -> None:
    (found,) = compare(telling(ORDER), {})
    assert (found.subject, found.field, found.told, found.held) == ("order 1", "status", "new", None)
    assert (found.seq, found.held_session_id) == (2, None)
    closed = ORDER._replace(status="canceled")
    assert fields_of(compare(telling(ORDER), seen(closed))) == [("order 1", "status", "new", "canceled")]
    assert compare(telling(ORDER), passing(ORDER)) == []


def test_a_position_in_the_other_direction_is_a_contradiction() -> None:
    short = POSITION._replace(quantity="-5")
    assert fields_of(compare(telling(short), seen(POSITION))) == [("position BTCUSD_P", "quantity", "-5", "5")]


def test_a_position_that_is_closed_is_like_none() -> None:
    closed = POSITION._replace(quantity="0", entry_price="0", margin="0E-18")
    assert compare(telling(closed), {}) == compare(telling(), seen(closed)) == []
    assert compare(telling(closed), seen(closed._replace(entry_price="7"))) == []
    assert fields_of(compare(telling(), seen(POSITION))) == [("position BTCUSD_P", "quantity", None, "5")]
    assert fields_of(compare(telling(POSITION), {})) == [("position BTCUSD_P", "quantity", "5", None)]
    assert fields_of(compare(telling(closed), seen(POSITION))) == [("position BTCUSD_P", "quantity", "0", "5")]
    assert fields_of(compare(telling(POSITION), seen(closed))) == [("position BTCUSD_P", "quantity", "5", "0")]


def test_what_moves_without_a_push_is_not_compared() -> None:
    other = POSITION._replace(liquidation_price="1", realized_pnl="3", leverage="4")
    assert compare(telling(other), seen(POSITION)) == []


def test_a_balance_of_nothing_is_like_none() -> None:
    empty = balance("ETH", "0", "0.0", "0E-18")
    assert compare(telling(empty), {}) == compare(telling(), seen(empty)) == []
    assert fields_of(compare(telling(), seen(BALANCE))) == [
        ("balance BTC", "available", None, "1.34242880408925"),
        ("balance BTC", "position_margin", None, "9.747280117178e-06"),
    ]
    assert [found.held for found in compare(telling(BALANCE), {})] == [None, None]


def test_the_value_that_is_shown_is_the_last_that_was_held() -> None:
    states = [BALANCE._replace(available=str(Decimal(number))) for number in (1, 2, 3)]
    (found,) = compare(telling(BALANCE._replace(available="4")), passing(*states))
    assert found.held == "3"


@pytest.mark.parametrize(
    ("topics", "subjects"),
    [
        (["account"], {"balance BTC"}),
        (["order.btcusd_p"], {"order 1"}),
        (["position.btcusd_p"], {"position BTCUSD_P"}),
        (["order.ethusd_p", "position.ethusd_p"], set()),
        ([], set()),
    ],
)
def test_only_what_is_pushed_is_compared(topics: list[str], subjects: set[str]) -> None:
    told = telling(ORDER, POSITION, BALANCE)
    assert {found.subject for found in contradictions(COMPARABLE, told, topics, {})} == subjects
    held = seen(ORDER, POSITION, BALANCE)
    assert {found.subject for found in contradictions(COMPARABLE, telling(), topics, held)} == subjects


def test_an_order_of_no_symbol_cannot_be_placed() -> None:
    assert compare(telling(NO_ORDER._replace(status="new")), {}) == []
    # The record knew it.
    (found,) = compare(telling(NO_ORDER._replace(status="other")), seen(ORDER))
    assert found.field == "status"
