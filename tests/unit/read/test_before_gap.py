"""What was known of orders when a gap began, without looking through all of a record."""

from decimal import Decimal

import pytest
from sqlalchemy import event

from recorder.model import NEW, PENDING, REST, AccountUpdate, OrderUpdate, PositionUpdate, State
from recorder.read.before_gap import KnownOrders, ended_gaps, known_orders
from recorder.read.known_state import CurrentState
from recorder.read.projector import project_all
from recorder.store import event_log
from recorder.store.entries import (
    AccountAdded,
    Covered,
    ReconciliationBegan,
    ReconciliationEnded,
    RecorderAdded,
    RunStarted,
    SessionEnded,
    SessionOpened,
)
from recorder.venues.rest import OrderKey, Traded
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, received
from tests.unit.read.desk import Desk

TOPICS = ("account", "order.btcusd_p", "position.btcusd_p")


def filled(symbol: str, quantities: dict[str, int]) -> dict[OrderKey, Decimal]:
    """Orders of a symbol that were not final, and how much of each was filled."""
    return {OrderKey(None, symbol, order_id): Decimal(quantity) for order_id, quantity in quantities.items()}


class Life:
    """A record that comes about step by step, a nanosecond each."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.session_id = 0
        self._at = 0
        self._seq = 0

    def now_ns(self) -> int:
        self._at += 1
        return NOON_NS + self._at

    def cover(self, session_id: int, stream: str = "") -> None:
        """A new session."""
        self.session_id, self._seq = session_id, 0
        opened = SessionOpened(ACCOUNT, session_id, RUN, "ws://x", TOPICS, self.now_ns(), stream)
        covered = Covered(ACCOUNT, session_id, 0, self.now_ns(), TOPICS, {})
        self.desk.write(entries=[opened, covered])

    def end(self) -> None:
        """The session is lost: a gap begins."""
        now_ns = self.now_ns()
        self.desk.write(entries=[SessionEnded(ACCOUNT, self.session_id, now_ns, "lost", "", True, self._seq, now_ns)])

    def push(self, order_id: int, status: str = "PENDING", unfilled: int = 10) -> None:
        """An order update of this session."""
        self._seq += 1
        self.desk.write(received(self._seq, order(order_id, status, unfilled), at_ns=self.now_ns(), **self._here))

    def push_position(self, symbol: str, quantity: int) -> None:
        """A position update of this session."""
        self._seq += 1
        position = f'{{"type":"position.x","ts":1,"position":{{"symbol":"{symbol}","quantity":{quantity}}}}}'.encode()
        self.desk.write(received(self._seq, position, at_ns=self.now_ns(), **self._here))

    def push_state(self, state: State) -> None:
        """A push of this session that says so."""
        self._seq += 1
        self.desk.write(received(self._seq, b"{}", at_ns=self.now_ns(), **self._here)._replace(updates=(state,)))

    def reconcile(self, round_id: int, *orders: tuple[int, str], result: str = "reconciled") -> None:
        """A round that tells these orders."""
        began = ReconciliationBegan(ACCOUNT, round_id, RUN, self.now_ns())
        told = [
            received(seq, order(*one, 10), at_ns=self.now_ns(), session_id=round_id) for seq, one in enumerate(orders)
        ]
        answers = [one._replace(frame=one.frame._replace(source=REST)) for one in told]
        ended = ReconciliationEnded(ACCOUNT, round_id, self.session_id, self.now_ns(), result, "")
        self.desk.write(*answers, entries=[began, ended])

    def known(self, held: CurrentState | None = None) -> KnownOrders | None:
        with self.desk.engine.connect() as connection:
            ended = ended_gaps(connection, RECORDER, ACCOUNT, self.session_id)
            return known_orders(connection, ended, held) if ended else None

    @property
    def _here(self) -> dict[str, int]:
        return {"session_id": self.session_id}


def order(order_id: int, status: str, unfilled: int) -> bytes:
    return (
        f'{{"type":"order.btcusd_p","ts":1,"order":{{"id":{order_id},"symbol":"BTCUSD_P","status":"{status}",'
        f'"quantity":10,"unfilled_quantity":{unfilled},"created_at":{order_id}}}}}'
    ).encode()


def begun(desk: Desk) -> Life:
    """A record whose first session has a snapshot of one open order."""
    life = Life(desk)
    life.cover(100)
    life.reconcile(101, (7, "PENDING"))
    return life


def test_before_the_record_nothing_was_known(desk: Desk) -> None:
    life = Life(desk)
    life.cover(100)
    assert life.known() == KnownOrders(None, {}, None)
    life.reconcile(101)
    assert life.known() is None


def test_what_was_pushed_since_the_last_round_and_what_that_told(desk: Desk) -> None:
    life = begun(desk)
    life.push(8, unfilled=4)
    life.push(9)
    life.push(9, "FULLY_CANCELLED")
    life.push(5, unfilled=9)
    life.end()
    life.cover(200)
    life.push(10)
    known = life.known()
    assert known is not None
    assert known.unfinished == filled("BTCUSD_P", {"5": 1, "7": 0, "8": 6})
    assert known.newest_order_id == "9"


def test_orders_that_wait_for_a_trigger_are_known_apart(desk: Desk) -> None:
    life = begun(desk)
    orders = {"8": (PENDING, "0"), "9": (None, None), "10": (None, "0"), "11": (NEW, "0")}
    for number, (status, filled_quantity) in orders.items():
        life.push_state(OrderUpdate(1, 0, 0, None, "BTCUSDT", number, status=status, filled_quantity=filled_quantity))
    held = CurrentState(ACCOUNT, 100, -1)
    life.end()
    life.cover(200)
    for known in (life.known(), life.known(held)):
        assert known is not None
        assert {one.order_id for one in known.unfinished} >= orders.keys()
        assert {one.order_id for one in known.conditional} == {"8", "9"}


def test_orders_of_two_symbols_may_have_one_id(desk: Desk) -> None:
    life = begun(desk)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        life.push_state(OrderUpdate(1, 0, 0, None, symbol, "8", quantity="9", filled_quantity="2", status=NEW))
    held = CurrentState(ACCOUNT, 100, -1)
    life.end()
    life.cover(200)
    for known in (life.known(), life.known(held)):
        assert known is not None
        assert known.unfinished.items() >= (filled("BTCUSDT", {"8": 2}) | filled("ETHUSDT", {"8": 2})).items()


def test_what_was_before_the_last_round_is_not_looked_at(desk: Desk) -> None:
    life = begun(desk)
    life.push(8)
    life.end()
    life.cover(200)
    life.reconcile(201, (7, "FULLY_FILLED"))
    life.end()
    life.cover(300)
    known = life.known()
    assert known is not None
    # The round was complete: it had asked for order 8 as well, had it not closed.
    assert known.unfinished == {}
    assert known.newest_order_id == "7"


@pytest.mark.parametrize("streams", [("", "business"), ("business", "")])
def test_orders_that_were_pushed_on_another_stream_are_known(desk: Desk, streams: tuple[str, str]) -> None:
    life = Life(desk)
    ids = dict(zip(streams, (100, 101), strict=True))
    for order_id, stream in enumerate(streams, start=8):
        life.cover(ids[stream], stream)
        life.push(order_id)
    life.reconcile(102)
    life.session_id = ids[""]
    life.end()
    life.cover(200)
    known = life.known()
    assert known is not None
    assert known.unfinished == filled("BTCUSD_P", {"8": 0, "9": 0})
    # The other stream still records.
    assert known.streams == {""}


def test_a_round_that_failed_or_ended_in_the_gap_is_none_to_start_from(desk: Desk) -> None:
    life = begun(desk)
    life.push(8)
    life.reconcile(102, result="failed")
    life.reconcile(103, result="compared")
    life.end()
    life.reconcile(104, (8, "FULLY_FILLED"), result="failed")
    life.cover(200)
    life.end()
    life.cover(300)
    known = life.known()
    assert known is not None
    assert known.unfinished == filled("BTCUSD_P", {"7": 0, "8": 0})


def test_the_newest_order_is_found_where_nothing_was_told_since(desk: Desk) -> None:
    life = Life(desk)
    life.cover(100)
    life.reconcile(101)
    life.push(8)
    life.end()
    life.cover(200)
    life.reconcile(201)
    life.end()
    life.cover(300)
    known = life.known()
    assert known is not None
    assert known.newest_order_id == "8"


def test_what_is_held_of_the_session_says_the_same(desk: Desk) -> None:
    life = begun(desk)
    held = CurrentState(ACCOUNT, 100, 0)
    held.take(101, received(0, order(7, "PENDING", 10)).updates)
    life.push(8, unfilled=4)
    life.push(9)
    with desk.engine.connect() as connection:
        held.advance(connection)
    life.push(9, "FULLY_CANCELLED")
    life.end()
    life.cover(200)
    life.push(10)
    assert life.known(held) == life.known()
    life.end()
    life.cover(300)
    assert life.known(held) == life.known(), "the oldest gap counts"


def test_a_gap_of_another_recorder_is_not_ours(desk: Desk) -> None:
    life = begun(desk)
    with desk.engine.begin() as connection:
        event_log.apply(connection, 2, RecorderAdded(2, 1, "there"))
        event_log.apply(connection, 2, AccountAdded(ACCOUNT, "fmex", "main", 1))
        event_log.apply(connection, 2, RunStarted(2, 2, 1, "there", 1, "0"))
        event_log.apply(connection, 2, SessionOpened(ACCOUNT, 50, 2, "ws://x", TOPICS, 1))
        event_log.apply(connection, 2, Covered(ACCOUNT, 50, 0, 2, TOPICS, {}))
    assert life.known() is None


def test_only_the_rows_since_then_are_read(desk: Desk) -> None:
    life = begun(desk)
    life.push(8)
    life.end()
    life.cover(200)
    asked: list[tuple[str, object]] = []
    event.listen(desk.engine, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: asked.append((sql, values)))
    life.known()
    with desk.engine.connect() as connection:
        for sql, values in [one for one in asked if "order_updates" in one[0]]:
            plan = " | ".join(str(row[-1]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))  # type: ignore[arg-type]
            assert "SEARCH order_updates USING PRIMARY KEY (account_id=? AND session_id=?)" in plan
            assert "SCAN order_updates" not in plan


def test_positions_that_are_not_flat_are_known_however_old_they_are(desk: Desk) -> None:
    life = begun(desk)
    life.push_position("BTCUSD_P", 3)
    life.push_position("ETHUSD_P", 3)
    life.push_position("ETHUSD_P", 0)
    life.end()
    life.cover(200)
    life.reconcile(201)
    life.end()
    life.cover(300)
    known = life.known()
    assert known is not None
    assert known.positions == (Traded(None, "BTCUSD_P"),)


def test_of_positions_in_hedge_mode_it_is_known_which_side_is_not_flat(desk: Desk) -> None:
    life = begun(desk)
    for side, quantity in (("long", "0"), ("short", "-2")):
        life.push_state(PositionUpdate(1, 0, 0, "linear", "BTCUSDT", position_side=side, quantity=quantity))
    life.end()
    life.cover(200)
    known = life.known()
    assert known is not None
    assert known.positions == (Traded("linear", "BTCUSDT", "short"),)


def test_what_was_ever_traded_is_known_even_if_nothing_of_it_is_open(desk: Desk) -> None:
    life = begun(desk)
    life.push(7, "FULLY_CANCELLED")
    life.push_position("ETHUSD_P", 0)
    life.end()
    life.cover(200)
    life.reconcile(201)
    with desk.engine.connect() as connection:
        list(project_all(connection))
    life.push_position("XRPUSD_P", 1)
    life.end()
    life.cover(300)
    known = life.known()
    assert known is not None and not known.unfinished
    assert known.instruments == {Traded(None, "BTCUSD_P"), Traded(None, "ETHUSD_P")}
    held = CurrentState(ACCOUNT, 200, 0)
    held.take(201, [])
    known = life.known(held)
    assert known is not None and Traded(None, "XRPUSD_P") in known.instruments


def test_balances_that_are_not_zero_are_known_whoever_recorded_them(desk: Desk) -> None:
    life = begun(desk)
    for currency, wallet, balance in (
        ("BTC", None, "0.5"),
        ("ETH", None, "2"),
        ("ETH", None, "0"),
        ("USD", "cash", None),
    ):
        life.push_state(AccountUpdate(1, 0, 0, wallet, currency, balance=balance))
    life.end()
    life.cover(200)
    known = life.known()
    assert known is not None
    assert known.balances == {("BTC", None), ("USD", "cash")}
