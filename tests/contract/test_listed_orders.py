"""An order that has ended does not open again by a list of open orders without times, wherever orders are read.

Such a list may be older than the push of the end that was received before it (Hyperliquid).
"""

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from recorder.model import ENDED, FILLED, NEW, OrderUpdate, unknown_order
from recorder.read.known_state import CurrentState
from recorder.read.projector import project_all
from recorder.store.snapshots import Snapshots, make_all
from tests.made import ACCOUNT, NOON_NS, SESSION, received
from tests.steps import unfinished
from tests.unit.read.desk import Desk
from tests.unit.read.test_before_gap import Life

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_reading", "test_a_snapshot_of_the_state_index_without_the_ended_order")


def pushed(order_id: str, status: str, at_ms: int, filled: str = "0") -> OrderUpdate:
    """An order as the exchange pushes it, with the time of its status."""
    return listed(order_id)._replace(
        event_ms=at_ms, is_snapshot=0, updated_ms=at_ms, status=status, order_type=None, filled_quantity=filled
    )


def listed(order_id: str) -> OrderUpdate:
    """An order in a list of open orders, with more terms than a push has, and without a time."""
    terms = {"side": "buy", "order_type": "limit", "quantity": "2", "filled_quantity": "0", "created_ms": 1}
    return OrderUpdate(None, 1, 0, None, "BTC", order_id, status=NEW, **terms)  # type: ignore[arg-type]


def write(desk: Desk, *states: OrderUpdate, first: int = 0) -> None:
    for seq, one in enumerate(states, first):
        desk.write(received(seq, b"{}", at_ns=NOON_NS + seq * 10**9)._replace(updates=(one,)))


#: 1 was filled, 2 is open, 3 was opened again, and nobody says how 4 ended.
STATES = (
    pushed("1", NEW, 1),
    pushed("1", FILLED, 5, "2"),
    listed("1"),
    pushed("2", NEW, 1),
    listed("2"),
    pushed("3", FILLED, 2, "2"),
    listed("3"),
    pushed("3", NEW, 7),
    listed("3"),
    pushed("4", NEW, 1),
    unknown_order("4", "BTC"),
    listed("4"),
)
OPEN = ["2", "3", "4"]


@pytest.mark.parametrize("is_projected", [False, True])
def test_every_reading(desk: Desk, is_projected: bool) -> None:
    write(desk, *STATES)
    if is_projected:
        with desk.engine.connect() as connection:
            list(project_all(connection))
            rows = connection.execute(
                text("SELECT order_id, is_open, status, order_type FROM orders ORDER BY order_id")
            )
            assert [tuple(row) for row in rows] == [
                ("1", 0, FILLED, "limit"),
                *((order_id, 1, NEW, "limit") for order_id in OPEN),
            ]
    with desk.open() as record:
        for reads in (record, record.as_of(NOON_NS + 10**12)):
            first, *others = sorted(reads.orders(), key=lambda one: one.order_id)
            # What only the list says of it.
            assert (first.status, first.filled_quantity, first.order_type) == (FILLED, Decimal(2), "limit")
            assert first.received_ns == NOON_NS + 10**9
            assert [(one.order_id, one.status) for one in others] == [(order_id, NEW) for order_id in OPEN]
            assert sorted(one.order_id for one in reads.open_orders()) == OPEN
        assert [one.status for one in record.as_of(NOON_NS + 10 * 10**9).orders()][-1] == ENDED


def test_a_snapshot_of_the_state_index_without_the_ended_order(desk: Desk) -> None:
    write(desk, *STATES[:2], pushed("2", NEW, 1))
    with desk.engine.connect() as connection:
        list(make_all(connection, Snapshots(1, 0)))
    write(desk, listed("1"), listed("5"), first=3)
    with desk.open() as record:
        assert sorted(one.order_id for one in record.as_of(NOON_NS + 10**12).open_orders()) == ["2", "5"]


def test_the_state_that_a_snapshot_is_compared_with(desk: Desk) -> None:
    """Whether it comes bit by bit or at once."""
    bit_by_bit, at_once = (CurrentState(ACCOUNT, SESSION, -1) for _ in range(2))
    for seq, one in enumerate(STATES[:-3]):
        write(desk, one, first=seq)
        with desk.engine.connect() as connection:
            bit_by_bit.advance(connection)
    with desk.engine.connect() as connection:
        at_once.advance(connection)
    assert [one.order_id for one in bit_by_bit.open_orders()] == ["2", "3"]
    assert "1" not in [one.order_id for one in at_once.open_orders()]


def test_what_a_gap_leaves_to_be_asked_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "record.db")
    life = Life(desk)
    life.cover(100)
    life.reconcile(101)
    for state in STATES[:5]:
        life.push_state(state)
    life.end()
    life.cover(200)
    known = life.known()
    assert known is not None
    assert known.unfinished == unfinished("2", symbol="BTC")
    desk.engine.dispose()
