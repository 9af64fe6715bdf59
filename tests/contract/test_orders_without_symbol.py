"""An order update that names no symbol is of the order with its id, wherever orders are read."""

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from recorder.model import CANCELED, NEW, OrderUpdate
from recorder.read.known_state import CurrentState
from recorder.read.projector import project_all
from recorder.read.records import Filter
from recorder.store.snapshots import Snapshots, make_all
from recorder.venues.comparable import Seen
from tests.made import ACCOUNT, NOON_NS, SESSION, received
from tests.steps import unfinished
from tests.unit.read.desk import Desk
from tests.unit.read.test_before_gap import Life

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_reading_joins_them",)


def placed(order_id: str, symbol: str = "BTC/USD") -> OrderUpdate:
    """An order as it is told when it is placed."""
    terms = {"symbol": symbol, "side": "buy", "price": "84000.5", "quantity": "2", "status": NEW, "created_ms": 5}
    return OrderUpdate(5, 0, 1, None, order_id=order_id, **terms)  # type: ignore[arg-type]


def changed(order_id: str, **values: object) -> OrderUpdate:
    """A change of it, without its terms."""
    return OrderUpdate(6, 0, 1, None, None, order_id, **values)  # type: ignore[arg-type]


def write(desk: Desk, *states: OrderUpdate) -> None:
    desk.write(*[received(seq, b"{}")._replace(updates=(one,)) for seq, one in enumerate(states)])


@pytest.mark.parametrize("is_projected", [False, True])
def test_every_reading_joins_them(desk: Desk, is_projected: bool) -> None:
    canceled = changed("1", status=CANCELED, filled_quantity="0.5")
    write(desk, placed("1"), placed("2", "ETH/USD"), changed("1"), canceled, changed("2", price="3000"))
    if is_projected:
        with desk.engine.connect() as connection:
            list(project_all(connection))
        with desk.engine.connect() as connection:
            rows = connection.execute(text("SELECT order_id, symbol, status FROM orders ORDER BY order_id")).all()
        assert [tuple(row) for row in rows] == [("1", "BTC/USD", CANCELED), ("2", "ETH/USD", NEW)]
    with desk.open() as record:
        for reads in (record, record.as_of(NOON_NS + 10**9)):
            first, second = reads.orders()
            assert (first.order_id, first.symbol, first.side, first.status) == ("1", "BTC/USD", "buy", CANCELED)
            assert (first.quantity, first.filled_quantity) == (Decimal(2), Decimal("0.5"))
            assert (second.symbol, second.status, second.price) == ("ETH/USD", NEW, Decimal(3000))
            assert [one.order_id for one in reads.orders(Filter(symbol="btc/usd"))] == ["1"]
            assert [one.order_id for one in reads.open_orders()] == ["2"]
            assert [one.order_id for one in reads.open_orders(Filter(symbol="ETH/USD"))] == ["2"]
            assert not list(reads.open_orders(Filter(symbol="BTC/USD")))
            assert len(list(reads.order_history(Filter(symbol="BTC/USD")))) == 3
        # Before the cancellation was received.
        assert [one.status for one in record.as_of(NOON_NS + 2).orders(Filter(order_id="1"))] == [NEW]


def test_a_snapshot_of_the_state_index_keeps_them_together(desk: Desk) -> None:
    write(desk, placed("1"), placed("2"), changed("1", price="84001"), changed("2", status=CANCELED))
    with desk.engine.connect() as connection:
        assert list(make_all(connection, Snapshots(1, 0)))
    later = changed("1", status=CANCELED)
    desk.write(received(9, b"{}", at_ns=NOON_NS + 10**9)._replace(updates=(later,)))
    with desk.open() as record:
        assert [one.price for one in record.as_of(NOON_NS + 10**8).open_orders()] == [Decimal(84001)]
        assert not list(record.as_of(NOON_NS + 2 * 10**9).open_orders())


def test_a_change_of_an_ended_order_that_says_nothing_of_its_status(desk: Desk) -> None:
    write(desk, placed("1"), placed("2"), changed("1", status=CANCELED), changed("1", price="84001"))
    with desk.open() as record:
        for reads in (record, record.as_of(NOON_NS + 10**9)):
            assert [one.order_id for one in reads.open_orders()] == ["2"]


def test_what_a_gap_leaves_to_be_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "record.db")
    life = Life(desk)
    life.cover(100)
    life.reconcile(101)
    for state in (placed("1"), placed("2"), placed("3"), changed("1"), changed("2", status=CANCELED), changed("3")):
        life.push_state(state)
    life.push_state(placed("3")._replace(status=CANCELED))
    life.end()
    life.cover(200)
    known = life.known()
    assert known is not None
    assert known.unfinished == unfinished("1", symbol="BTC/USD")
    desk.engine.dispose()


def test_the_state_that_a_snapshot_is_compared_with(desk: Desk) -> None:
    held = CurrentState(ACCOUNT, SESSION, -1)
    write(desk, placed("1"), changed("1", filled_quantity="1"), placed("2"), changed("2", status=CANCELED))
    with desk.engine.connect() as connection:
        held.advance(connection)
    whole = placed("1")._replace(filled_quantity="1", event_ms=6)
    assert held.states() == [Seen(SESSION, whole)]
    desk.write(received(9, b"{}")._replace(updates=(changed("1", status=CANCELED),)))
    with desk.engine.connect() as connection:
        (thing, states), *_ = held.passed(connection).items()
    assert thing.key == ("1", None, "BTC/USD")
    assert [one.state.status for one in states if one is not None and isinstance(one.state, OrderUpdate)] == [
        NEW,
        CANCELED,
    ]
