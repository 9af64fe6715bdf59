"""Reads of a record."""

import threading
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from recorder.read.reads import ROWS_PER_FETCH
from recorder.read.record import Filter
from recorder.read.records import Order
from recorder.report.gather import gather
from recorder.store.engine import place
from recorder.store.entries import Covered, ReconciliationBegan, RunEnded, SessionEnded, SessionOpened
from recorder.store.schema import accounts
from recorder.venues import VENUES
from tests.contract.test_views import ask
from tests.depth import size
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION, received, sent
from tests.unit.read.desk import OTHER, Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_what_was_pushed_while_an_answer_was_on_its_way_is_the_newer_word",
    "test_the_latest_state_of_each_order_oldest_change_first",
    "test_positions_and_balances",
    "test_until_gives_the_latest_state_as_it_was_then",
    "test_fills_within_a_time_are_differences_to_what_was_before_it",
    "test_gaps",
    "test_the_status_of_a_record",
    "test_a_read_sees_one_state_also_while_a_recorder_writes",
    "test_the_parts_of_a_status_belong_together",
    "test_accounts_of_one_name_on_two_venues_are_told_apart",
)

D = Decimal


def at(row: object) -> int:
    """When something was received, in nanoseconds after noon."""
    received_ns: int = row.received_ns  # type: ignore[attr-defined]
    return received_ns - NOON_NS


def test_what_was_pushed_while_an_answer_was_on_its_way_is_the_newer_word(desk: Desk) -> None:
    round_id = SESSION + 1
    desk.write(entries=[ReconciliationBegan(ACCOUNT, round_id, RUN, NOON_NS + 5)])
    desk.order(4, unfilled=10)
    desk.order(6, unfilled=0)
    desk.order(7, unfilled=9, session_id=round_id)  # asked for at 5, received at 7
    desk.order(4, 2, unfilled=10)
    desk.order(7, 2, unfilled=8, session_id=round_id)
    with desk.open() as record:
        assert {order.order_id: order.filled_quantity for order in record.orders()} == {"1": D(10), "2": D(2)}
    rows = ask(desk.engine, "SELECT order_id, filled_quantity FROM orders ORDER BY order_id")
    assert [tuple(row.values()) for row in rows] == [("1", 10), ("2", 2)]


def test_the_latest_state_of_each_order_oldest_change_first(desk: Desk) -> None:
    desk.order(5, 1, unfilled=10)
    desk.order(6, 2)
    desk.order(7, 1, unfilled=4)
    desk.order(4, 3)
    desk.order(3, 1, account_id=OTHER)
    with desk.open() as record:
        assert [(at(one), one.account, one.order_id, one.filled_quantity) for one in record.orders()] == [
            (3, "other", "1", D(0)),
            (4, "main", "3", D(0)),
            (6, "main", "2", D(0)),
            (7, "main", "1", D(6)),
        ]
        assert [at(one) for one in record.order_history()] == [3, 4, 5, 6, 7]


def test_of_two_received_at_one_instant_the_later_counts(desk: Desk) -> None:
    desk.order(5, 1, unfilled=3, session_id=70)
    desk.order(5, 1, unfilled=2, session_id=70)
    desk.order(5, 1, unfilled=9, session_id=69)
    with desk.open() as record:
        (latest,) = record.orders()
        assert (latest.session_id, latest.filled_quantity) == (70, D(8))
        assert [one.filled_quantity for one in record.order_history()] == [1, 7, 8]


def test_an_order_as_it_was_pushed(desk: Desk) -> None:
    desk.push(
        1,
        '{"type":"order.btcusd_p","ts":7,"order":{"id":9223372036854775807,"price":9000.123456789012345678901234567890,'
        '"quantity":1e3,"fee":0E-18,"unfilled_quantity":null,"features":2,"direction":"LONG","new":[1.0]}}',
    )
    with desk.open() as record:
        (order,) = record.orders()
    assert order == Order(**{  # type: ignore[arg-type]
        **dict.fromkeys(Order._fields), "account": "main", "received_ns": NOON_NS + 1, "event_ms": 7, "is_snapshot": 0,
        "is_partial": 0, "order_id": str(2**63 - 1), "side": "buy", "time_in_force": "gtc", "post_only": 1,
        "quantity": Decimal("1e3"), "price": Decimal("9000.123456789012345678901234567890"), "fee": Decimal("0E-18"),
        "extra": '{"order.new":[1.0]}', "session_id": SESSION, "seq": 0, "item": 0,
    })  # fmt: skip
    assert str(order.price) == "9000.123456789012345678901234567890"


def test_positions_and_balances(desk: Desk) -> None:
    desk.position(1, quantity=5)
    desk.position(2, "ETHUSD_P")
    desk.position(3, quantity=7)
    desk.position(4, account_id=OTHER)
    desk.balance(5, available="2.796888254907565438")
    desk.balance(6, "ETH", "0E-18")
    desk.balance(7, available="9.747280117178e-06")
    with desk.open() as record:
        assert [(one.account, one.symbol, one.quantity) for one in record.positions()] == [
            ("main", "ETHUSD_P", D(1)),
            ("main", "BTCUSD_P", D(7)),
            ("other", "BTCUSD_P", D(1)),
        ]
        assert [(one.currency, one.available) for one in record.balances()] == [
            ("ETH", Decimal("0E-18")),
            ("BTC", Decimal("0.000009747280117178")),
        ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), [1, 2, 3, 4, 5]),
        (Filter(account="main"), [1, 2, 3, 5]),
        (Filter(account="other"), [4]),
        (Filter(account="nobody"), []),
        (Filter(symbol="ethusd_p"), [3]),
        (Filter(symbol="BTCusd_P"), [1, 2, 4, 5]),
        (Filter(symbol="btcusd"), []),
        (Filter(since_ns=NOON_NS + 3), [3, 4, 5]),
        (Filter(until_ns=NOON_NS + 3), [1, 2]),
        (Filter(since_ns=NOON_NS + 2, until_ns=NOON_NS + 5), [2, 3, 4]),
        (Filter("main", "btcusd_p", NOON_NS + 2, NOON_NS + 5), [2]),
        (Filter(since_ns=NOON_NS + 6), []),
        (Filter(account="' OR 1=1 --", symbol="%"), []),
    ],
)
def test_filters(desk: Desk, wanted: Filter, expected: list[int]) -> None:
    desk.order(1, 1)
    desk.order(2, 1)
    desk.order(3, 2, symbol="ETHUSD_P")
    desk.order(4, 3, account_id=OTHER)
    desk.order(5, 1)
    with desk.open() as record:
        assert [at(one) for one in record.order_history(wanted)] == expected


def test_until_gives_the_latest_state_as_it_was_then(desk: Desk) -> None:
    desk.order(1, unfilled=8)
    desk.order(2, unfilled=5)
    desk.position(3, quantity=1)
    desk.position(4, quantity=2)
    desk.balance(5, available="1")
    desk.balance(6, available="2")
    with desk.open() as record:
        assert [one.filled_quantity for one in record.orders(Filter(until_ns=NOON_NS + 2))] == [2]
        assert [one.quantity for one in record.positions(Filter(until_ns=NOON_NS + 4))] == [1]
        assert [one.available for one in record.balances(Filter(until_ns=NOON_NS + 6))] == [1]
        assert list(record.balances(Filter(until_ns=NOON_NS))) == []
        # A balance has no symbol: it is not left out for want of one.
        assert len(list(record.balances(Filter(symbol="btcusd_p")))) == 1


def test_fills_within_a_time_are_differences_to_what_was_before_it(desk: Desk) -> None:
    for moment, unfilled in ((1, 10), (2, 7), (3, 7), (4, 3), (5, 0)):
        desk.order(moment, unfilled=unfilled)
    with desk.open() as record:
        assert [(at(fill), fill.quantity) for fill in record.fills()] == [(2, D(3)), (3, D(0)), (4, D(4)), (5, D(3))]
        wanted = Filter(since_ns=NOON_NS + 4, until_ns=NOON_NS + 5)
        ((fill),) = record.fills(wanted)
        assert (fill.quantity, fill.fee, fill.price_is_estimate) == (D(4), D("0.001"), True)


def test_gaps(desk: Desk) -> None:
    # The beginning of each account is there already.
    desk.gap({"account_id": ACCOUNT, "gap_id": 2**62, "begins_ns": 100, "ends_ns": 200})
    desk.gap({"account_id": ACCOUNT, "gap_id": 2**62 + 1, "begins_ns": 50, "ends_ns": None, "topic": "order.a_b"})
    desk.gap({"account_id": OTHER, "gap_id": 2**62, "begins_ns": 150, "ends_ns": 300, "topic": "order.axb"})

    def found(wanted: Filter) -> list[tuple[str, int | None]]:
        with desk.open() as record:
            gaps = list(record.gaps(wanted))
        assert [gap.begins_ns or 0 for gap in gaps] == sorted(gap.begins_ns or 0 for gap in gaps)
        return sorted(((gap.account, gap.begins_ns) for gap in gaps), key=lambda gap: (gap[1] or 0, gap[0]))

    assert found(Filter()) == [("main", None), ("other", None), ("main", 50), ("main", 100), ("other", 150)]
    assert found(Filter(account="other")) == [("other", None), ("other", 150)]
    # Of a symbol: its own, and those of all topics; `_` is no wildcard.
    assert found(Filter(symbol="A_B")) == [("main", None), ("other", None), ("main", 50), ("main", 100)]
    assert found(Filter(since_ns=201, until_ns=150)) == [("main", None), ("other", None), ("main", 50)]
    assert found(Filter(since_ns=200)) == [("main", None), ("other", None), ("main", 50), ("main", 100), ("other", 150)]
    assert found(Filter(until_ns=100)) == [("main", None), ("other", None), ("main", 50)]


def test_the_status_of_an_empty_record(desk: Desk) -> None:
    with desk.open() as record:
        status = record.status()
    assert status.database == place(desk.url)
    assert status.size_bytes > 0
    assert status.frames == 0
    assert status.last_run is not None
    assert (status.last_run.run_id, status.last_run.end_reason) == (RUN, None)
    main, other = status.accounts
    assert (main.account, other.account, main.venue) == ("main", "other", "fmex")
    assert (main.sessions, main.session, main.last_frame_ns, main.undecoded) == (0, "none yet", None, 0)
    assert (main.coverage.begins_ns, main.coverage.in_gap) == (None, True)


def test_the_status_of_a_record(desk: Desk) -> None:
    opened = SessionOpened(ACCOUNT, SESSION, RUN, "wss://x", ("account",), NOON_NS)
    desk.write(
        received(0, at_ns=NOON_NS + 10),
        received(1, b"not JSON", at_ns=NOON_NS + 20),
        sent(2, at_ns=NOON_NS + 30),
        entries=[opened, Covered(ACCOUNT, SESSION, 0, NOON_NS + 10, ("account",), {})],
    )
    with desk.open() as record:
        main, other = record.status().accounts
        assert record.status().frames == 3
        assert (main.sessions, main.session, main.undecoded) == (1, "connected", 1)
        # What was received counts; a command of ours proves nothing.
        assert main.last_frame_ns == NOON_NS + 20
        assert (main.coverage.covered_ns, main.coverage.gaps, main.coverage.in_gap) == (10, 0, False)
        assert (other.sessions, other.undecoded) == (0, 0)
        ended = SessionEnded(ACCOUNT, SESSION, NOON_NS + 40, "lost", "", True, 1, NOON_NS + 20)
        desk.write(entries=[ended, RunEnded(RUN, NOON_NS + 50, "stopped")])
        status = record.status()
        assert status.last_run is not None
        assert status.last_run.end_reason == "stopped"
        assert status.accounts[0].session == "lost"
        assert (status.accounts[0].coverage.gaps, status.accounts[0].coverage.in_gap) == (1, True)


def test_a_read_sees_one_state_also_while_a_recorder_writes(desk: Desk) -> None:
    count = 3 * ROWS_PER_FETCH
    desk.write(*[received(seq) for seq in range(count)])
    with desk.open() as record:
        rows = record.order_history()
        first = next(rows)
        desk.write(*[received(seq) for seq in range(count, count + 10)])
        assert [first.seq, *[row.seq for row in rows]] == list(range(count))
        assert len(list(record.order_history())) == count + 10


def test_the_parts_of_a_status_belong_together(desk: Desk) -> None:
    opened = SessionOpened(ACCOUNT, SESSION, RUN, "wss://x", ("account",), NOON_NS)
    desk.write(entries=[opened])
    over = threading.Event()
    faults: list[str] = []

    def look() -> None:
        with desk.open() as record:
            seen = set[int]()
            while not over.is_set() or not seen:
                status = record.status()
                main = status.accounts[0]
                if main.last_frame_ns != (NOON_NS + status.frames - 1 if status.frames else NOON_NS):
                    faults.append(f"{status.frames} frames, but the last at {main.last_frame_ns}")
                if main.undecoded != status.frames:
                    faults.append(f"{status.frames} frames, but {main.undecoded} undecoded")
                seen.add(status.frames)
            if len(seen) < 5:
                faults.append(f"saw no more than {seen}")

    reader = threading.Thread(target=look)
    reader.start()
    for seq in range(0, size(600), 3):
        desk.write(*[received(seq + more, b"?") for more in range(3)])
    over.set()
    reader.join()
    assert faults == []


def test_reading_holds_no_writer_up(desk: Desk) -> None:
    desk.write(*[received(seq) for seq in range(2 * ROWS_PER_FETCH)])
    with desk.open() as record:
        rows = record.order_history()
        next(rows)
        desk.write(received(10**6))  # would be refused after two seconds
        rows.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("order_id", ["1", "2", "3", "9"])
def test_of_one_order_there_is_what_is_told_of_it_among_all(desk: Desk, order_id: str) -> None:
    for at, (one, unfilled) in enumerate([(1, 10), (2, 10), (1, 4), (3, 10), (3, 0), (1, 3)]):
        desk.order(at, one, unfilled=unfilled)
    with desk.open() as record:
        then = record.as_of(NOON_NS + 4)
        for read in (record.orders, record.order_history, record.fills, record.open_orders,
                     then.orders, then.order_history, then.fills, then.open_orders):  # fmt: skip
            of_it = [one for one in read() if one.order_id == order_id]
            assert list(read(Filter(order_id=order_id))) == of_it
        assert len(list(then.open_orders())) == 3


def test_accounts_of_one_name_on_two_venues_are_told_apart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, "okx", VENUES["fmex"])
    with desk.engine.begin() as connection:
        connection.execute(update(accounts).where(accounts.c.account_id == OTHER).values(name="main", venue="okx"))
    for account_id in (ACCOUNT, OTHER):
        key = account_id, SESSION
        topics = ("account", f"order.{account_id}")
        desk.write(
            entries=[SessionOpened(*key, RUN, "wss://x", topics, NOON_NS), Covered(*key, 0, NOON_NS, topics, {})]
        )
        desk.order(account_id, 1, unfilled=account_id, account_id=account_id)
        desk.position(20, quantity=account_id, account_id=account_id)
        desk.balance(21, account_id=account_id)
    both = {"fmex/main", "okx/main"}
    with desk.open() as record:
        assert record.venues().keys() == record.topics().keys() == both
        assert {one.account for one in record.status().accounts} == both
        assert {(fill.account, fill.quantity) for fill in record.fills()} == {
            ("fmex/main", Decimal(3)),
            ("okx/main", Decimal(2)),
        }
        then = record.as_of(NOON_NS + 1000)
        reads: list[Iterable[Any]] = [
            *(record.orders(), record.positions(), record.balances(), record.gaps(), record.timeline(), record.fees()),
            *(record.replay(), then.gaps(), then.coverage(), then.positions(), then.fills()),
            *(record.open_orders(), gather(desk.url, Filter()).covered),
        ]
        for rows in reads:
            assert {row.account for row in rows} == both
        wanted = Filter("okx/main")
        assert {gap.account for gap in record.gaps(wanted)} == {"okx/main"}
        assert {order.account for order in record.orders(wanted)} == {"okx/main"}
