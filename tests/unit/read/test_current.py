"""What a record holds just now, folded bit by bit: the same as looking through all of it, at the price of the new."""

from itertools import islice
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.model import AccountUpdate, OrderUpdate, PositionUpdate, State, Thing, thing_of
from recorder.read import known_state as module
from recorder.read.known_state import CurrentState, newest_seq
from recorder.simulator.exchange import Exchange
from recorder.venues.comparable import Seen
from tests.depth import examples
from tests.made import ACCOUNT, SESSION, received
from tests.samples import FMEX
from tests.unit.read.desk import OTHER, Desk

S = TypeVar("S", bound=State)

ROUND = SESSION + 1
PONG = b'{"id":"1","type":"ping","ts":1,"gap":1}'


def states_of(payload: bytes) -> list[State]:
    return [update for update in FMEX.decode(payload).updates if isinstance(update, State)]


def update(kind: type[S], **fields: Any) -> S:
    """An update with these fields; the others are None."""
    return kind(**(dict.fromkeys(kind._fields) | fields))  # type: ignore[arg-type]


def nothing_held(seq: int = -1) -> CurrentState:
    return CurrentState(ACCOUNT, SESSION, seq)


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(1, 1_000), st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(0, 40))
def test_it_is_what_was_told_last_of_each_thing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, looks: list[int], after: int
) -> None:
    desk = Desk(tmp_path_factory.mktemp("held") / "recorder.db")
    exchange = Exchange(seed)
    held = nothing_held()
    latest: dict[Thing, State] = {}
    seq = 0

    def push(count: int) -> list[State]:
        nonlocal seq
        payloads = [payload for _, payload in islice(exchange, count)]
        desk.write(*[received(seq + number, payload) for number, payload in enumerate(payloads)])
        seq += count
        return [state for payload in payloads for state in states_of(payload)]

    for count in looks:
        latest |= {thing_of(state): state for state in push(count)}
        with desk.engine.connect() as connection:
            held.advance(connection)
    expected: dict[Thing, list[Seen | None]] = {thing: [Seen(SESSION, state)] for thing, state in latest.items()}
    for state in push(after):
        expected.setdefault(thing_of(state), [None]).append(Seen(SESSION, state))
    with desk.engine.connect() as connection:
        assert held.passed(connection) == expected
    desk.engine.dispose()


def test_what_is_pushed_takes_the_place_of_what_a_snapshot_told(desk: Desk) -> None:
    held = nothing_held()
    told = [update(AccountUpdate, currency=name, available="9") for name in ("BTC", "ETH")]
    held.take(ROUND, told)
    desk.balance(1, "BTC", "1")
    with desk.engine.connect() as connection:
        held.advance(connection)
        passed = held.passed(connection)
    (btc,), (eth,) = passed[thing_of(told[0])], passed[thing_of(told[1])]
    assert btc is not None and eth is not None
    assert (btc.session_id, eth.session_id) == (SESSION, ROUND)
    assert isinstance(btc.state, AccountUpdate) and btc.state.available == "1"


def test_a_change_leaves_the_rest_of_a_state_as_it_was() -> None:
    held = nothing_held()
    whole = update(PositionUpdate, is_partial=0, symbol="BTC", quantity="5", entry_price="9000", leverage="3")
    held.take(ROUND, [whole])
    held.take(SESSION, [update(PositionUpdate, is_partial=1, symbol="BTC", quantity="7")])
    (seen,) = held.states()
    assert seen == Seen(SESSION, whole._replace(quantity="7"))
    # A whole state that lacks a value says that there is none.
    held.take(SESSION, [update(PositionUpdate, is_partial=0, symbol="BTC", quantity="8")])
    (seen,) = held.states()
    assert isinstance(seen.state, PositionUpdate)
    assert (seen.state.quantity, seen.state.entry_price) == ("8", None)


def test_pushed_changes_are_added_to_the_last_whole_state(desk: Desk) -> None:
    states = [
        update(PositionUpdate, is_snapshot=0, is_partial=0, symbol="BTC", quantity="5", entry_price="1"),
        update(PositionUpdate, is_snapshot=0, is_partial=0, symbol="BTC", quantity="6", entry_price="2"),
        update(PositionUpdate, is_snapshot=0, is_partial=1, symbol="BTC", quantity="7"),
        update(PositionUpdate, is_snapshot=0, is_partial=1, symbol="BTC", leverage="3"),
    ]
    desk.write(*[received(seq)._replace(updates=(state,)) for seq, state in enumerate(states)])
    held = nothing_held()
    with desk.engine.connect() as connection:
        held.advance(connection)
    (seen,) = held.states()
    assert seen.state == states[1]._replace(quantity="7", leverage="3")


def test_only_the_sessions_own_rows_count(desk: Desk) -> None:
    held = nothing_held()
    desk.order(1, 1)
    desk.order(2, 2, session_id=SESSION + 5)
    desk.order(3, 3, session_id=SESSION - 5)
    desk.order(4, 4, account_id=OTHER)
    with desk.engine.connect() as connection:
        held.advance(connection)
        assert [thing.name for thing in held.passed(connection)] == ["1"]
    held = nothing_held(seq=0)
    with desk.engine.connect() as connection:
        held.advance(connection)
        assert held.passed(connection) == {}, "what was pushed before all topics were acknowledged"


def test_orders_at_their_end_are_let_go(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    monkeypatch.setattr(module, "ENDED_MAX", 2)
    held = nothing_held()
    held.take(ROUND, [update(OrderUpdate, order_id=key, status="filled") for key in "01234"])
    held.take(ROUND, [update(OrderUpdate, order_id=key, status="new") for key in "56789"])
    with desk.engine.connect() as connection:
        assert sorted(thing.name for thing in held.passed(connection)) == list("3456789")


def test_the_newest_order_is_the_one_that_the_venue_created_last() -> None:
    held = nothing_held()
    assert held.newest_order_id is None
    for order_id, created_ms in (("b", None), ("c", 5), ("a", 7), ("d", 7), ("e", 6), ("a", 7), ("f", None)):
        held.take(ROUND, [update(OrderUpdate, order_id=order_id, created_ms=created_ms)])
    assert held.newest_order_id == "d"


def test_what_is_kept_takes_the_place_of_what_was(desk: Desk) -> None:
    held = nothing_held()
    position = update(PositionUpdate, symbol="BTCUSD_P")
    thing = thing_of(position)
    held.take(ROUND, [position])
    held.keep(thing, None)
    with desk.engine.connect() as connection:
        assert held.passed(connection) == {}
        held.keep(thing, Seen(ROUND, position))
        assert held.passed(connection) == {thing: [Seen(ROUND, position)]}


def test_numbers_are_the_digits_that_were_sent(desk: Desk) -> None:
    held = nothing_held()
    desk.balance(1, available="2.796888254907565438")
    desk.balance(2, "ETH", available="9.747280117178e-06")
    with desk.engine.connect() as connection:
        held.advance(connection)
        states = [seen.state for (seen,) in held.passed(connection).values() if seen]
    assert [state.available for state in states if isinstance(state, AccountUpdate)] == [
        "2.796888254907565438",
        "9.747280117178e-06",
    ]


def test_the_newest_frame_of_a_session(desk: Desk) -> None:
    with desk.engine.connect() as connection:
        assert newest_seq(connection, ACCOUNT, SESSION) == -1
    desk.write(received(7))
    with desk.engine.connect() as connection:
        assert newest_seq(connection, ACCOUNT, SESSION) == 7
