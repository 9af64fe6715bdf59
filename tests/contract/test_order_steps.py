"""Projecting another update of an order that rests for long: it costs the same however many updates the order has."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from recorder.live.channel import Recorded
from recorder.model import CANCELED, FILLED, NEW, PARTIALLY_FILLED, REST, OrderUpdate, unknown_order
from recorder.read import order_lives, projections
from recorder.read.projector import project_all
from recorder.read.scope import labelled_accounts
from recorder.store.entries import LogEntry, ReconciliationBegan, SessionOpened
from recorder.store.journal import FrameRange
from recorder.store.redactions import redact
from tests.contract.test_listed_orders import listed, pushed
from tests.contract.test_projections import anew, contents
from tests.depth import examples
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION, fill, received
from tests.samples import FMEX
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_a_step_reads_as_many_rows_however_many_there_are",)

#: The tables that follow from orders and fills.
OF_ORDERS = ("order_states", "trades", "period_sums")
#: Orders that rest.
ORDERS = 30
#: The first of the rounds of questions.
ROUND = 1_000
#: Nanoseconds between two frames.
APART_NS = 5 * 10**9


class Trader:
    """Writes frames about orders, and counts what their projection reads."""

    def __init__(self, desk: Desk, patch: pytest.MonkeyPatch) -> None:
        # A venue that pushes fills.
        patch.setattr(type(FMEX), "pushes_fills", True)
        self.desk = desk
        self._seq = 0
        self._rows = 0
        self._statements = 0
        self._of_order = order_lives.order_in
        for module in (order_lives, projections):
            patch.setattr(module, "order_in", self._count)
        event.listen(desk.engine, "before_cursor_execute", self._note)

    def _count(self, account: str, row: Any) -> Any:
        self._rows += 1
        return self._of_order(account, row)

    def _note(self, *_arguments: Any) -> None:
        self._statements += 1

    def tell(self, *updates: Any) -> None:
        """A frame with these updates."""
        self._seq += 1
        self.desk.write(
            Recorded(received(self._seq, at_ns=NOON_NS + self._seq * APART_NS).frame, updates),
        )

    def project(self) -> tuple[int, int]:
        """Project what was written; how many rows of orders were read, and by how many statements."""
        self._rows = self._statements = 0
        with self.desk.engine.connect() as connection:
            list(project_all(connection))
        return self._rows, self._statements

    def check(self) -> None:
        """It is the same as made from nothing."""
        kept = contents(self.desk.engine)
        anew(self.desk.engine)
        assert contents(self.desk.engine) == kept


@pytest.fixture
def trader(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trader]:
    yield Trader(desk, monkeypatch)


def resting() -> list[OrderUpdate]:
    return [listed(f"{number}") for number in range(ORDERS)]


def test_a_step_reads_as_many_rows_however_many_there_are(trader: Trader) -> None:
    read = {}
    trader.tell(*resting())
    trader.project()
    for frames in (10, 100):
        for _ in range(frames):
            trader.tell(*resting())
        trader.project()
        trader.tell(*resting())
        read[frames] = trader.project()
    assert read[10] == read[100]
    assert read[10][0] == ORDERS
    trader.check()


class Event(NamedTuple):
    """What happens next."""

    #: Says something about orders; a name of `SAID`.
    what: str
    order_id: str
    #: The exchange's time, ms since 1970.
    at_ms: int
    #: Where our clock goes before it, ns.
    moves_ns: int
    #: Whether it is the answer to a question that was asked this long ago, ns; 0: it is pushed.
    asked_ns: int
    #: Whether everything is projected afterwards.
    is_projected: bool


SAID: dict[str, Callable[[str, int], Any]] = {
    "listed": lambda order_id, _: listed(order_id),
    "new": lambda order_id, at_ms: pushed(order_id, NEW, at_ms),
    "partial": lambda order_id, at_ms: pushed(order_id, PARTIALLY_FILLED, at_ms, "0.5"),
    "filled": lambda order_id, at_ms: pushed(order_id, FILLED, at_ms, "2"),
    "canceled": lambda order_id, at_ms: pushed(order_id, CANCELED, at_ms)._replace(is_partial=1, symbol=None),
    "changed": lambda order_id, at_ms: OrderUpdate(at_ms, 0, 1, None, None, order_id, price=f"{at_ms}"),
    "other": lambda order_id, at_ms: pushed(order_id, NEW, at_ms)._replace(symbol="ETH"),
    "unknown": lambda order_id, _: unknown_order(order_id, "BTC"),
    "no word": lambda order_id, at_ms: pushed(order_id, NEW, at_ms)._replace(status=None),
    "mine": lambda order_id, at_ms: pushed(order_id, NEW, at_ms)._replace(client_order_id=f"{at_ms}"),
    "fill": lambda order_id, at_ms: fill(order_id, None, "9", "0.5", None, executed_ms=at_ms)._replace(
        trade_id=f"t{at_ms}", symbol="BTC"
    ),
    "bare fill": lambda order_id, at_ms: fill(order_id, None, "9", "0.5", None, executed_ms=at_ms)._replace(
        trade_id=f"u{at_ms}"
    ),
}
events = st.builds(
    Event,
    st.sampled_from([*["listed"] * 8, *["new", "partial", "fill"] * 2, *SAID]),
    st.sampled_from(["1", "1", "2"]),
    st.integers(1, 9),
    st.sampled_from([1, 1, 1, APART_NS, APART_NS, APART_NS, 0, -7, -2 * APART_NS]),
    st.sampled_from([0, 0, 0, 0, 1, 2 * APART_NS]),
    st.sampled_from([True, True, False]),
)


@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(told=st.lists(events, min_size=1, max_size=15), redacted=st.integers(0, 30))
def test_continued_lives_are_the_same_as_made_from_nothing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, told: list[Event], redacted: int
) -> None:
    # A venue that pushes fills.
    monkeypatch.setattr(type(FMEX), "pushes_fills", True)
    desk = Desk(tmp_path_factory.mktemp("lives") / "record.db")
    desk.write(entries=[SessionOpened(ACCOUNT, SESSION, RUN, "wss://x", (), NOON_NS)])
    now_ns = NOON_NS
    for seq, one in enumerate(told):
        now_ns += one.moves_ns
        frame, round_id = received(seq, at_ns=now_ns).frame, ROUND + seq
        entries: list[LogEntry] = []
        if one.asked_ns:
            entries = [ReconciliationBegan(ACCOUNT, round_id, RUN, now_ns - one.asked_ns)]
            frame = frame._replace(session_id=round_id, source=REST)
        desk.write(Recorded(frame, (SAID[one.what](one.order_id, one.at_ms),)), entries=entries)
        if redacted == seq:
            list(redact(desk.engine, desk.url, [FrameRange(ACCOUNT, frame.session_id, seq, seq)], "me", "a test"))
        if one.is_projected:
            with desk.engine.connect() as connection:
                list(project_all(connection, 1 + seq % 3))
    with desk.engine.connect() as connection:
        list(project_all(connection))
    kept = contents(desk.engine)
    anew(desk.engine)
    made = contents(desk.engine)
    assert [kept[name] for name in OF_ORDERS] == [made[name] for name in OF_ORDERS]
    with desk.open() as record:
        then = record.as_of(now_ns + 10**15)
        assert list(record.orders()) == list(then.orders())
        assert list(record.open_orders()) == list(then.open_orders())
    desk.engine.dispose()


def test_what_happens_to_a_resting_order_continues_its_life(trader: Trader) -> None:
    """The first row is read with what is stored; a fill takes its own rows."""
    trader.tell(pushed("1", NEW, 1), pushed("2", NEW, 2))
    trader.project()
    for _ in range(20):
        trader.tell(listed("1"), listed("2"))
        assert trader.project()[0] == 2
    one = fill("1", "maker", "9000", "0.5", "0.1", executed_ms=7)._replace(trade_id="t1", symbol="BTC")
    steps: list[tuple[Any, ...]] = [
        (one,),
        (pushed("1", PARTIALLY_FILLED, 7, "0.5"), one._replace(trade_id="t2", quantity="1.5", executed_ms=8)),
        (listed("1")._replace(client_order_id="mine"),),
        (pushed("1", FILLED, 9, "2"),),
    ]
    for step in steps:
        trader.tell(*step)
        assert trader.project()[0] == sum(isinstance(update, OrderUpdate) for update in step)
        kept = contents(trader.desk.engine)
        trader.check()
        assert contents(trader.desk.engine) == kept
    # Of an order that has ended, everything is read: what came later may not count after it.
    trader.tell(listed("1"), listed("2"))
    assert trader.project()[0] == 25 + 1
    trader.check()


def test_a_long_life_is_read_in_parts(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds some orders' updates at a time, not those of all."""
    for _ in range(5):
        trader.tell(*resting())
    monkeypatch.setattr(projections, "UPDATES_PER_STATEMENT", 12)
    with trader.desk.engine.connect() as connection:
        account = next(iter(labelled_accounts(connection)))
        keys = [projections.OrderKey(str(number)) for number in range(ORDERS)]
        sizes = [len(some) for some, _ in projections.project(connection, account, keys)]
    assert sizes == [2] * (ORDERS // 2)
    trader.project()
    trader.check()
