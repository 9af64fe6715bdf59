"""What the views for questions tell is what the program tells, and what a slower hand reckons."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert

import recorder
from recorder.model import PositionUpdate
from recorder.read.record import Filter
from recorder.read.sums import BY_ALL, Calendar
from recorder.read.trips import Trip
from recorder.store.dialects import insert_rows
from recorder.store.entries import DiscrepancyFound
from recorder.store.receipts import Receipt
from recorder.store.schema import accounts, fills, order_updates, position_updates, receipts, reconciliations, runs
from recorder.store.stale import mark
from tests.contract.test_views import ORDER, ask, delete_orders, mark_all, replace_orders
from tests.depth import examples
from tests.made import NOON_NS
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_round_trips",
    "test_sums_are_sums_of_what_the_views_show",
)

POSITION = PositionUpdate(
    **(dict.fromkeys(PositionUpdate._fields) | {"is_snapshot": 0, "is_partial": 0, "symbol": "BTCUSD_P"})  # type: ignore[arg-type]
)

ACCOUNT, SESSION, ROUND = 7, 11, 12
MS = 10**6


class Move(NamedTuple):
    """An order that filled at once: so many contracts, below zero if sold."""

    at_ms: int
    contracts: int
    price: int | None = 9000
    fee: int | None = 0
    #: Whether the position that it leads to is pushed.
    told: bool = True


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """A database with an account."""
    with engine.begin() as connection:
        row = {"account_id": ACCOUNT, "venue": "fmex", "name": "main", "created_ns": 0}
        connection.execute(insert(accounts).values(row))
    return engine


def tell(engine: Engine, moves: Sequence[Move], start: int = 0) -> None:
    """Write the pushes of an account that starts with a position."""
    orders, positions = [], []
    held = start
    for seq, move in enumerate(moves):
        quantity = str(abs(move.contracts))
        order = ORDER._replace(
            event_ms=move.at_ms, order_id=str(seq), quantity=quantity, filled_quantity=quantity, status="filled",
            side="buy" if move.contracts > 0 else "sell", post_only=seq // 2 % 2,
            time_in_force="fok" if seq % 2 else "gtc",
            average_price=None if move.price is None else str(move.price),
            fee=None if move.fee is None else f"{move.fee}e-9",
        )  # fmt: skip
        orders.append((ACCOUNT, SESSION, 2 * seq, 0, move.at_ms * MS + seq, *order))
        held += move.contracts
        if move.told:
            position = POSITION._replace(
                event_ms=move.at_ms, quantity=str(held), realized_pnl=f"{seq}e-8", updated_ms=move.at_ms
            )
            positions.append((ACCOUNT, SESSION, 2 * seq + 1, 0, move.at_ms * MS + seq, *position))
    with engine.begin() as connection:
        mark_all(connection)
        for table in (position_updates, fills, reconciliations, runs, receipts):
            connection.execute(delete(table))
        insert_rows(connection, position_updates, positions)
        insert_rows(connection, receipts, [Receipt(ACCOUNT, SESSION, 0, 2 * len(moves), 0, 2**62)])
        replace_orders(connection, orders)


def trips_of(url: str) -> list[Trip]:
    with recorder.open(url) as record:
        return list(record.trips())


class Reckoned(NamedTuple):
    """A trip, contract by contract."""

    direction: str
    opened_ms: int | None
    closed_ms: int | None
    entries: int
    exits: int
    #: BTC before fees; None where it is not known.
    pnl: Fraction | None
    fee: Fraction | None


def reckon(moves: Sequence[Move], start: int) -> list[Reckoned]:
    """The trips, each contract on its own; of moves at one instant the order is the given one."""
    found: list[Reckoned] = []
    held, now = start, None
    if start:
        now = Reckoned("long" if start > 0 else "short", None, None, 0, 0, None, Fraction(0))
    for move in moves:
        side = 1 if move.contracts > 0 else -1
        fee = None if move.fee is None else Fraction(move.fee, abs(move.contracts) * 10**9)
        for _ in range(abs(move.contracts)):
            if held == 0:
                now = Reckoned("long" if side > 0 else "short", move.at_ms, None, 0, 0, Fraction(0), Fraction(0))
            assert now is not None
            worth = None if move.price is None else Fraction(side, move.price)
            now = now._replace(
                entries=now.entries + (held * side >= 0),
                exits=now.exits + (held * side < 0),
                pnl=None if now.pnl is None or worth is None else now.pnl + worth,
                fee=None if now.fee is None or fee is None else now.fee + fee,
            )
            held += side
            if held == 0:
                found.append(now._replace(closed_ms=move.at_ms))
                now = None
    if now is not None and now.entries + now.exits:
        found.append(now._replace(pnl=None))
    return found


moves_strategy = st.lists(
    st.builds(
        Move,
        at_ms=st.integers(0, 2),
        contracts=st.integers(-4, 4).filter(bool),
        price=st.sampled_from([9000, 9100, 8950]),
        fee=st.sampled_from([0, 7, -3]),
        told=st.booleans(),
    ),
    max_size=12,
)


def in_order(moves: list[Move], started_told: bool) -> list[Move]:
    """The moves one after the other: their `at_ms` is what lies between. At each instant the last position is told."""
    at_ms, found = 10, []
    for move in moves:
        at_ms += move.at_ms
        found.append(move._replace(at_ms=at_ms))
    last = {move.at_ms: number for number, move in enumerate(found)}
    return [
        move._replace(told=(move.told or (started_told and number == 0)) and last[move.at_ms] == number)
        for number, move in enumerate(found)
    ]


@given(moves=moves_strategy, start=st.integers(-3, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(40))
def test_round_trips(engine: Engine, url: str, moves: list[Move], start: int) -> None:
    moves = in_order(moves, started_told=True)
    tell(engine, moves, start)
    trips = trips_of(url)
    # Where no position was ever told, there was none before.
    expected = reckon(moves, start if any(move.told for move in moves) else 0)
    for trip, one in zip(trips, expected, strict=True):
        assert (trip.direction, trip.opened_ms, trip.closed_ms) == one[:3]
        assert (int(trip.entry_quantity), int(trip.exit_quantity)) == (one.entries, one.exits)
        assert (trip.pnl_before_fees is None) == (one.pnl is None)
        assert abs(Fraction(trip.pnl_before_fees or 0) - (one.pnl or 0)) <= Fraction(1, 10**18)
        # A fee that is divided is cut to 18 decimals, at both ends of a trip.
        assert abs(Fraction(trip.fee or 0) - (one.fee or 0)) <= Fraction(2, 10**18)
        assert trip.pnl == (None if trip.pnl_before_fees is None else trip.pnl_before_fees - (trip.fee or 0))
    assert sum(trip.fee or 0 for trip in trips) == sum(Decimal(move.fee or 0) / 10**9 for move in moves)
    shown = ask(engine, "SELECT * FROM round_trips ORDER BY symbol, trip")
    same_in_view(shown, trips)


def same_in_view(shown: list[dict[str, Any]], trips: list[Trip]) -> None:
    assert len(shown) == len(trips)
    for row, trip in zip(shown, trips, strict=True):
        for name, value in trip._asdict().items():
            if isinstance(value, Decimal) and name in {"entry_quantity", "exit_quantity"}:
                assert (row[name] or 0) == value
            elif isinstance(value, Decimal):
                assert row[name] == pytest.approx(float(value), abs=1e-15, rel=1e-12), name
            else:
                assert row[name] == value, name


def test_a_trip_says_where_the_fills_do_not_lead_to_the_position(engine: Engine, url: str) -> None:
    # A fill of 3 was never told; the position was.
    before = [Move(at, contracts) for at, contracts in ((1, 5), (2, -5), (3, 2), (4, -2))]
    after = [Move(at, contracts) for at, contracts in ((11, 1), (12, -1))]
    tell(engine, [*before, Move(10, 3), *after])
    with engine.begin() as connection:
        delete_orders(connection, order_updates.c.order_id == "4")
    trips = trips_of(url)
    assert [(trip.opened_ms, trip.closed_ms, trip.adds_up) for trip in trips] == [
        (1, 2, True),
        (3, 4, True),
        (11, 12, False),
    ]
    same_in_view(ask(engine, "SELECT * FROM round_trips ORDER BY trip"), trips)


def test_a_position_that_lags_behind_its_fill_changes_nothing(engine: Engine, url: str) -> None:
    tell(engine, [Move(1, 5), Move(2, -5), Move(3, 2), Move(4, -2)])
    with engine.begin() as connection:
        connection.execute(position_updates.update().where(position_updates.c.seq == 1).values(quantity="0"))
        mark_all(connection)
    trips = trips_of(url)
    assert [(trip.opened_ms, trip.closed_ms, trip.adds_up) for trip in trips] == [(1, 2, True), (3, 4, True)]
    same_in_view(ask(engine, "SELECT * FROM round_trips ORDER BY trip"), trips)


def test_positions_of_one_contract_are_one_trip(engine: Engine, url: str) -> None:
    """An isolated position is held for days, and a cross one beside it is opened and closed again and again."""
    moves = [Move(1, 5), *(Move(1 + 40_000_000 * n, 2 if n % 2 else -2) for n in range(1, 9)), Move(400_000_000, -5)]
    tell(engine, [move._replace(told=False) for move in moves])
    held = [("isolated", 5, "1"), *(("cross", 2 * (n % 2), str(2 + n // 4)) for n in range(1, 9)), ("isolated", 0, "1")]
    with engine.begin() as connection:
        for seq, (move, (mode, quantity, position_id)) in enumerate(zip(moves, held, strict=True)):
            position = POSITION._replace(position_id=position_id, margin_mode=mode, quantity=str(quantity))
            position = position._replace(event_ms=move.at_ms + 1, updated_ms=move.at_ms + 1)
            at_ns = (move.at_ms + 1) * MS
            insert_rows(connection, position_updates, [(ACCOUNT, SESSION, 2 * seq + 1, 0, at_ns, *position)])
        mark_all(connection)
    trips = trips_of(url)
    assert [(trip.opened_ms, trip.closed_ms, int(trip.entry_quantity), trip.adds_up) for trip in trips] == [
        (1, 400_000_000, 13, True)
    ]
    same_in_view(ask(engine, "SELECT * FROM round_trips ORDER BY trip"), trips)
    # On the last day, only what happened since is computed again.
    more = POSITION._replace(position_id="1", margin_mode="isolated", quantity="-1", event_ms=410_000_000)
    with engine.begin() as connection:
        insert_rows(connection, position_updates, [(ACCOUNT, SESSION, 99, 0, 410_000_000 * MS, *more)])
        order = ORDER._replace(event_ms=410_000_000, order_id="99", quantity="1", filled_quantity="1", side="sell")
        insert_rows(connection, order_updates, [(ACCOUNT, SESSION, 98, 0, 410_000_000 * MS, *order)])
        mark(connection, ACCOUNT, SESSION, (98, 99))
    trips = trips_of(url)
    assert [(trip.direction, trip.opened_ms, trip.adds_up) for trip in trips] == [
        ("long", 1, True),
        ("short", 410_000_000, True),
    ]
    same_in_view(ask(engine, "SELECT * FROM round_trips ORDER BY trip"), trips)
    with recorder.open(url) as record:
        assert list(record.as_of(2**62).trips()) == trips


def test_a_price_or_a_fee_that_was_not_told_is_not_guessed(engine: Engine, url: str) -> None:
    moves = [Move(1, 2, price=None), Move(2, -2), Move(3, 2, fee=None), Move(4, -2), Move(5, 1), Move(6, -1)]
    tell(engine, moves)
    trips = trips_of(url)
    assert [(trip.entry_price, trip.pnl_before_fees, trip.fee, trip.pnl) for trip in trips] == [
        (None, None, 0, None),
        (9000, 0, None, None),
        (9000, 0, 0, 0),
    ]
    same_in_view(ask(engine, "SELECT * FROM round_trips ORDER BY trip"), trips)
    with recorder.open(url) as record:
        (whole,) = record.fees(Calendar(BY_ALL))
        (brought,) = record.pnl(Calendar(BY_ALL))
    assert whole.fee is None
    assert (brought.fee, brought.realized_pnl) == (None, None)
    assert ask(engine, "SELECT count(*) AS n, count(fee) AS told FROM executions") == [{"n": 6, "told": 5}]


def test_fees_in_other_currencies(engine: Engine, url: str) -> None:
    moves = [Move(1, 2, fee=3), Move(2, -2), Move(3, 2, fee=3), Move(4, -2, fee=4), Move(5, 1), Move(6, -1)]
    tell(engine, moves)
    with engine.begin() as connection:
        for seq, currency in ((0, "TOKEN"), (4, "TOKEN"), (6, "BTC")):
            o = order_updates
            connection.execute(o.update().where(o.c.seq == seq).values(fee_currency=currency))
        mark_all(connection)
    expected = [
        # What the second fill did not cost has no currency.
        (Decimal("3e-9"), "TOKEN", None, "BTC"),
        (None, None, None, "BTC"),
        (0, "BTC", 0, "BTC"),
    ]
    trips = trips_of(url)
    assert [(trip.fee, trip.fee_currency, trip.pnl, trip.currency) for trip in trips] == expected
    same_in_view(ask(engine, "SELECT * FROM round_trips ORDER BY trip"), trips)
    assert trips_of(url) == trips


@given(moves=moves_strategy)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(20))
def test_sums_are_sums_of_what_the_views_show(engine: Engine, url: str, moves: list[Move]) -> None:
    tell(engine, in_order(moves, started_told=False))
    with recorder.open(url) as record:
        fees = record.fees(Calendar(BY_ALL), Filter(account="main"))
        told = record.pnl(Calendar(BY_ALL))
    liquidity = "SELECT liquidity, sum(quantity) AS quantity, sum(fee) AS fee FROM executions GROUP BY liquidity"
    shown: dict[str, dict[str, Any]] = defaultdict(lambda: {"quantity": 0, "fee": 0})
    shown |= {row["liquidity"]: row for row in ask(engine, liquidity)}
    for sums in fees:
        quantities = sums.maker_quantity, sums.taker_quantity, sums.unknown_quantity
        assert quantities == tuple(shown[name]["quantity"] for name in ("maker", "taker", "unknown"))
        assert float(sums.fee or 0) == pytest.approx(sum(row["fee"] or 0 for row in shown.values()), abs=1e-18)
        assert sums.fee == sums.paid - sums.rebates
    (change,) = ask(engine, "SELECT sum(realized_pnl_change) AS change FROM position_history")
    assert float(sum(row.net_pnl or 0 for row in told)) == pytest.approx(change["change"] or 0, abs=1e-18)


def asked(engine: Engine, began_ns: int, ended_ns: int) -> None:
    """Write a round of questions that reconciled."""
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO recorders VALUES (1, 0, '')")
        run = {"run_id": 1, "recorder_id": 1, "started_ns": 0, "host": "", "pid": 1, "version": ""}
        connection.execute(insert(runs).values(run))
        row = {"account_id": ACCOUNT, "reconciliation_id": ROUND, "run_id": 1, "began_ns": began_ns}
        connection.execute(insert(reconciliations).values(row | {"ended_ns": ended_ns, "result": "reconciled"}))


def test_an_answer_of_a_later_moment_than_pushes_that_come_after_it(engine: Engine, url: str) -> None:
    tell(engine, [Move(5, 1), Move(6, 1), Move(7, 1)])
    asked(engine, began_ns=4 * MS, ended_ns=9 * MS)
    answer = POSITION._replace(quantity="3", realized_pnl="2e-8", updated_ms=7)
    with engine.begin() as connection:
        insert_rows(connection, position_updates, [(ACCOUNT, ROUND, 0, 0, 8 * MS, *answer)])
        mark_all(connection)
    # From what the first push told to the last; were the answer taken for the first, it would be no change at all.
    with recorder.open(url) as record:
        assert [(row.net_pnl, row.fills) for row in record.pnl()] == [(Decimal("2e-8"), 2)]
        assert [trip.adds_up for trip in record.trips()] == [True]
    (row,) = ask(engine, "SELECT sum(realized_pnl_change) AS change FROM position_history")
    assert row["change"] == pytest.approx(2e-8)


def test_a_position_that_an_answer_told_nothing_of_had_realized_nothing(engine: Engine, url: str) -> None:
    tell(engine, [Move(5, 1), Move(6, 1)])
    with recorder.open(url) as record:
        assert [row.net_pnl for row in record.pnl()] == [Decimal("1e-8")]
    asked(engine, began_ns=1, ended_ns=2)
    with engine.begin() as connection:
        connection.execute(position_updates.update().values(realized_pnl="3e-8"))
        mark_all(connection)
    with recorder.open(url) as record:
        assert [row.net_pnl for row in record.pnl()] == [Decimal("3e-8")]
    (row,) = ask(engine, "SELECT sum(realized_pnl_change) AS change FROM position_history")
    assert row["change"] == pytest.approx(3e-8)


def test_the_timeline_of_an_order_has_only_what_is_about_it(desk: Desk) -> None:
    for at, order_id in enumerate((1, 2, 1)):
        desk.order(10 * at, order_id, unfilled=10 - at)
        desk.position(10 * at + 1)
    found = (DiscrepancyFound(7, SESSION, 1, f"order {one}", "fee", "1", "2", SESSION, NOON_NS + 30) for one in (1, 2))
    desk.write(entries=list(found))
    with desk.open() as record:
        events = list(record.timeline(Filter(order_id="1")))
    assert [(one.kind, one.subject, one.received_ns - NOON_NS) for one in events] == [
        ("order", "1", 0),
        ("order", "1", 20),
        ("discrepancy", "order 1", 30),
    ]


def test_the_timeline_is_told_alike(desk: Desk) -> None:
    for at in range(4):
        desk.order(10 * at, unfilled=10 - at)
        desk.position(10 * at + 1, quantity=at)
        desk.balance(10 * at + 1, available=f"{at}.5")
    desk.gap({"account_id": 7, "gap_id": 9, "begins_ns": NOON_NS + 11, "ends_ns": None})
    columns = "received_ns, kind, subject, event, side, quantity, price, amount, session_id, seq, item"
    order = "received_ns, coalesce(session_id, 0), coalesce(seq, -1), item"
    shown = ask(desk.engine, f"SELECT account, {columns} FROM timeline ORDER BY account, {order}")
    with desk.open() as record:
        events = sorted(record.timeline(), key=lambda event: event.account)
        since = Filter("main", since_ns=NOON_NS + 11)
        kinds = [event.kind for event in record.timeline(since)]
    assert kinds == ["gap", "position", "balance", *["order", "position", "balance"] * 2]
    assert [tuple(row.values()) for row in shown] == [
        tuple(float(value) if isinstance(value, Decimal) else value for value in event) for event in events
    ]
