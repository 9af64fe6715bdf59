"""Projections: whatever arrives in whatever order, they are what they would be if they were made from nothing."""

import csv
import io
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select, text

import recorder
from recorder.audit.verify.findings import ROW_CHANGED, ROW_INSERTED, ROW_REMOVED
from recorder.audit.verify.verification import Verification
from recorder.cli.commands import recorder as program
from recorder.live.channel import Recorded
from recorder.model import OrderUpdate, Transaction
from recorder.read import fills as derive
from recorder.read.projection_check import repair
from recorder.read.projector import Projector, project_all
from recorder.read.records import Fill, Filter, Order
from recorder.read.sums import Calendar
from recorder.read.trip_walk import Walk
from recorder.read.trips import Instant
from recorder.store.entries import ReconciliationBegan
from recorder.store.journal import FrameRange
from recorder.store.mover import Mover
from recorder.store.projection_tables import PROJECTIONS, order_states, trades
from recorder.store.redactions import redact
from recorder.store.schema import accounts, frames
from recorder.store.schema import fills as reported
from recorder.venues.fmex import rest
from tests.contract.conftest import NewUrl
from tests.contract.lines import Line, Scribe, lines
from tests.depth import examples
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION, answered, fill, quick_engine, received
from tests.samples import FMEX
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_they_are_what_they_would_be_if_made_from_nothing",
    "test_profit_is_the_same_by_the_command_in_python_and_in_sql",
)

D = Decimal
#: A round of REST requests.
ROUND = 75
#: After everything that is received, ns.
EVER_NS = 2**62
HOUR_MS = 3_600_000


class KilledError(Exception):
    """Ends a transaction."""


def contents(engine: Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in PROJECTIONS
        }


def project(engine: Engine, steps: int | None, *, killed: bool = False) -> None:
    """Make some steps, as a process of its own does; the last one may be killed before it is committed."""
    projector = Projector(frames_max=3)
    with engine.connect() as connection:
        while steps is None or steps > 0:
            with connection.begin():
                if not projector.step(connection):
                    break
            steps = None if steps is None else steps - 1
        if killed:
            with pytest.raises(KilledError), connection.begin():
                projector.step(connection)
                raise KilledError


def anew(engine: Engine) -> None:
    """Make them from nothing."""
    with engine.begin() as connection:
        for table in PROJECTIONS:
            connection.execute(delete(table))
    with engine.connect() as connection:
        list(project_all(connection))


def told_by_rows(url: str) -> tuple[set[Any], set[Any]]:
    """Every fill and the latest state of every order, derived from all rows at once."""
    with recorder.open(url) as record:
        updates = list(record.order_history())
        orders = list(record.as_of(2**62).orders())
        with record.reading() as connection:
            rows = connection.execute(select(reported, accounts.c.name).join(accounts, OF_ACCOUNT)).all()
    newest: dict[Any, Any] = {}
    for row in rows:
        answer = row.received_ns, row.session_id, row.seq
        newest[row.name, row.order_id] = max(newest.get((row.name, row.order_id), answer), answer)
    executions = [row for row in rows if newest[row.name, row.order_id] == (row.received_ns, row.session_id, row.seq)]
    matched = [execution(row, [one for one in updates if of(one) == (row.name, row.order_id)]) for row in executions]
    matched.sort(key=lambda fill: (fill.received_ns, fill.session_id, fill.seq, fill.item))
    return set(map(of_fill, derive.fills(updates, matched))), {(one.session_id, one.seq, one.item) for one in orders}


def require_same_answers(url: str) -> None:
    """Readers get from the projections, and what is not projected, what they get from all rows as of an instant."""
    part = Filter(since_ns=9_000_500_000, until_ns=901_001 * 10**6)
    days = Calendar("day", ZoneInfo("Asia/Kathmandu"))
    with recorder.open(url) as record:
        then = record.as_of(EVER_NS)
        for name in ("orders", "positions", "balances", "open_orders", "trips"):
            assert list(getattr(record, name)()) == list(getattr(then, name)()), name
        assert record.fees(Calendar("month")) == then.fees(Calendar("month"))
        assert record.pnl(days) == then.pnl(days)
        assert record.funding(days) == then.funding(days)
        assert record.funding(wanted=part) == then.funding(wanted=part)
        assert record.fees(wanted=part) == then.fees(wanted=part)


def require_same_profit(url: str, engine: Engine) -> None:
    """The view shows, digit for digit, what the command and the Python read do."""
    names = ("account", "period", "market", "symbol", "currency", "fills", *AMOUNTS)
    with recorder.open(url) as record:
        expected = [tuple(getattr(one, name) for name in names) for one in record.pnl()]
    if engine.dialect.name == "sqlite":
        # The engine's own numbers are floats.
        expected = [tuple(float(one) if isinstance(one, Decimal) else one for one in row) for row in expected]
    query = f"SELECT {', '.join(names).replace('period', 'day')} FROM pnl"
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
    assert sorted(found, key=lambda row: str(row[:5])) == sorted(expected, key=lambda row: str(row[:5]))


#: The amounts of a row of profit.
AMOUNTS = ("realized_pnl", "over_gaps", "fee", "funding", "net_pnl", "quantity")
OF_ACCOUNT = accounts.c.account_id == reported.c.account_id


def of(update: Order) -> tuple[str, str]:
    return update.account, update.order_id


def execution(row: Any, updates: list[Order]) -> Fill:
    """What the venue reported, with what the order's updates say of it."""
    said = {
        name: max((value for one in updates if (value := getattr(one, name)) is not None), default=None)
        for name in ("client_order_id", "market", "symbol", "side", "position_side", "order_type", "fee_currency")
    }
    values = {name: getattr(row, name) for name in Fill._fields if hasattr(row, name)}
    values |= {name: value for name, value in said.items() if values.get(name) is None}
    more = {"account": row.name, "price_is_estimate": False, "origin": "venue", "at_ms": row.executed_ms}
    return Fill(**(values | more))


def of_fill(fill: Any) -> tuple[Any, ...]:
    """The columns of `trades`, but for the account."""
    return tuple(getattr(fill, column.name) for column in trades.c if column is not trades.c.account_id)


def told_by_projections(engine: Engine) -> tuple[set[Any], set[Any]]:
    with engine.connect() as connection:
        found = connection.execute(select(trades)).all()
        states = connection.execute(select(order_states.c.session_id, order_states.c.seq, order_states.c.item)).all()
    return set(map(of_fill, found)), set(map(tuple, states))


@settings(
    max_examples=examples(20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    told=st.lists(lines, min_size=1, max_size=2),
    order=st.lists(st.integers(0, 1), min_size=2, max_size=8),
    frames_max=st.sampled_from([1, 3, 100]),
    steps=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=8, max_size=8),
    redacted=st.floats(0, 1),
    pushes_fills=st.booleans(),
)
def test_they_are_what_they_would_be_if_made_from_nothing(
    new_url: NewUrl,
    tmp_path_factory: Any,
    sqlite_template: Path,
    told: list[list[Line]],
    order: list[int],
    frames_max: int,
    steps: list[tuple[int, bool]],
    redacted: float,
    pushes_fills: bool,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Profit follows from the fills of a venue that pushes them, otherwise from the figures of positions.
        patch.setattr(type(FMEX), "pushes_fills", pushes_fills)
        folder = tmp_path_factory.mktemp("projections")
        scribes = [Scribe(folder / f"{number}.db", sqlite_template, number) for number in range(len(told))]
        merge(new_url(), scribes, told, order, frames_max, steps, redacted)


def merge(
    url: str,
    scribes: list[Scribe],
    told: list[list[Line]],
    order: list[int],
    frames_max: int,
    steps: list[tuple[int, bool]],
    redacted: float,
) -> None:
    """Merge records while they are written and projected, and compare with what is made from nothing."""
    engine = quick_engine(url)
    for scribe, its in zip(scribes, told, strict=True):
        scribe.write(its[: len(its) // 2])
    for place, number in enumerate(order):
        # A recorder may write on and erase something while another record is merged.
        scribe, its = scribes[number % len(scribes)], told[number % len(scribes)]
        if place == len(order) // 2:
            scribe.write(its[len(its) // 2 :])
            erase_one(scribe, redacted)
        mover = Mover(scribe.engine, engine, frames_max)
        for _ in range(3):
            mover.step()
            count, killed = steps[place]
            project(engine, count, killed=killed)
        mover.close()
        if place == len(order) // 2:
            require_same_answers(url)
    for scribe in scribes:
        mover = Mover(scribe.engine, engine)
        while mover.step() is not None:
            pass
        mover.close()
    project(engine, None)
    kept = contents(engine)
    anew(engine)
    assert kept == contents(engine)
    told_fills, told_states = told_by_projections(engine)
    fills, states = told_by_rows(url)
    assert told_states == states
    assert FMEX.pushes_fills or told_fills == fills
    require_same_answers(url)
    require_same_profit(url, engine)
    engine.dispose()
    for scribe in scribes:
        scribe.engine.dispose()


def erase_one(scribe: Scribe, where: float) -> None:
    """Redact one frame of a record."""
    with scribe.engine.connect() as connection:
        found = connection.execute(select(frames.c.account_id, frames.c.session_id, frames.c.seq)).all()
    if found:
        account_id, session_id, seq = found[int(where * (len(found) - 1))]
        list(redact(scribe.engine, scribe.url, [FrameRange(account_id, session_id, seq, seq)], "me", "a test"))


def faults(url: str) -> set[tuple[str, str, str]]:
    """What a verification finds in projections: its kind, the table, and of what the row is."""
    names = {table.name for table in PROJECTIONS}
    found = (one for one in Verification(url) if one.table in names)
    return {(one.kind, one.table, one.detail.partition(": ")[0]) for one in found}


def test_what_does_not_follow_from_the_typed_rows_is_found_and_repaired(desk: Desk) -> None:
    for at, (order_id, unfilled) in enumerate([(1, 10), (2, 10), (1, 4), (3, 0), (1, 3)]):
        desk.order(at, order_id, unfilled=unfilled)
    desk.balance(6)
    desk.position(7)
    project(desk.engine, None)
    right = contents(desk.engine)
    assert faults(desk.url) == set()
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE trades SET quantity = '7' WHERE order_id = '1' AND seq = 2"))
        connection.execute(text("DELETE FROM trades WHERE order_id = '3'"))
        connection.execute(text("UPDATE order_states SET order_id = '9' WHERE order_id = '2'"))
        connection.execute(text("DELETE FROM current_states WHERE kind = 'account_updates'"))
        connection.execute(text("UPDATE contracts SET contract_size = '2'"))
    # Of an order that changes later, nothing is compared until it is projected again.
    desk.order(8, 1, unfilled=2)
    found = faults(desk.url)
    assert found == {
        (ROW_REMOVED, "trades", "order 3"),
        (ROW_REMOVED, "order_states", "order 2"),
        (ROW_INSERTED, "order_states", "order 9"),
    }
    project(desk.engine, None)
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE trades SET quantity = '7' WHERE order_id = '1' AND seq = 2"))
    found = faults(desk.url)
    assert {
        (ROW_CHANGED, "trades", "order 1"),
        (ROW_REMOVED, "current_states", '["BTC",null]'),
        (ROW_CHANGED, "contracts", "BTCUSD_P"),
    } <= found
    assert len(found) == 6
    # And the sums by quarter and day, and the day's profit, which followed the wrong fills.
    assert sum(repair(desk.engine)) == 9
    assert faults(desk.url) == set()
    kept = contents(desk.engine)
    anew(desk.engine)
    assert contents(desk.engine) == kept
    assert kept["contracts"] == right["contracts"]


def test_an_answer_counts_from_when_it_was_requested(desk: Desk) -> None:
    """What was pushed while the answer was on its way is newer, although it was received before it."""
    desk.order(5, 1, unfilled=0)
    answer = b'{"data":{"id":1,"symbol":"BTCUSD_P","quantity":10,"unfilled_quantity":10,"status":"PENDING"}}'
    desk.write(
        answered(0, f"{rest.ORDERS}/1", answer, NOON_NS + 9, round_id=ROUND),
        entries=[ReconciliationBegan(ACCOUNT, ROUND, RUN, NOON_NS + 2)],
    )
    project(desk.engine, None)
    with desk.engine.connect() as connection:
        (state,) = connection.execute(select(order_states))
    assert (state.session_id, state.updates) == (SESSION, 2)


def test_a_venue_s_own_fills_count_once_and_complete_each_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that reports fills with ids: no fill is derived, and a second report adds what the first left out."""
    monkeypatch.setattr(type(FMEX), "pushes_fills", True)
    desk.order(1, 1, unfilled=4)
    first = fill("1", "maker", "9000", "6", None, executed_ms=5)._replace(trade_id="t1", symbol="BTCUSD_P")
    other = fill("1", "taker", "9001", "4", "0.2", executed_ms=6)._replace(trade_id="t2", symbol="BTCUSD_P")
    desk.write(Recorded(received(90, at_ns=NOON_NS + 2).frame, (first,)))
    project(desk.engine, None)
    again = first._replace(fee="0.1", fee_currency="BTC", realized_pnl="3")
    desk.write(Recorded(received(91, at_ns=NOON_NS + 3).frame, (again, other)))
    desk.order(4, 1, unfilled=0)
    project(desk.engine, None)
    with recorder.open(desk.url) as record:
        found = [(one.trade_id, one.origin, one.quantity, one.fee, one.realized_pnl) for one in record.fills()]
    assert found == [
        ("t1", "venue", Decimal(6), Decimal("0.1"), Decimal(3)),
        ("t2", "venue", Decimal(4), Decimal("0.2"), None),
    ]
    kept = contents(desk.engine)
    anew(desk.engine)
    assert contents(desk.engine) == kept


def test_profit_is_the_same_by_the_command_in_python_and_in_sql(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(FMEX), "pushes_fills", True)
    one = fill("1", "maker", "9000", "6", "0.10", executed_ms=5)._replace(fee_currency="BTC", realized_pnl="0.30")
    unknown = one._replace(realized_pnl=None, symbol="A/B", trade_id="t2")
    elsewhere = one._replace(executed_ms=DAY_MS, fee_currency="TOKEN", trade_id="t3", symbol="BTCUSD_P")
    pushed = Transaction(7, 0, None, "funding", None, None, "BTC", "-0.020", symbol="BTCUSD_P", occurred_ms=7)
    listed = pushed._replace(transaction_id="f1", balance_after="3")
    later = listed._replace(transaction_id="f2", amount="0.5", occurred_ms=DAY_MS + 1)
    said = (one._replace(symbol="BTCUSD_P", trade_id="t1"), unknown, elsewhere, pushed)
    for at, updates in enumerate([said, (pushed,), (listed,), (listed, later), (later,)]):
        desk.write(Recorded(received(at, at_ns=NOON_NS + at).frame, updates))
        project(desk.engine, None)
        require_same_profit(desk.url, desk.engine)
    with desk.open() as record:
        found = [(row.symbol, row.currency, *row[5:6], *row[7:10]) for row in record.pnl(Calendar("all"))]
        assert found == [
            ("A/B", "BTC", None, D("0.1"), D(0), None),
            ("BTCUSD_P", "BTC", D("0.6"), D("0.1"), D("0.48"), D("0.98")),
            ("BTCUSD_P", "TOKEN", D(0), D("0.1"), D(0), D("-0.1")),
        ]
        days = record.pnl()
    done = CliRunner().invoke(program, ["pnl", "--format", "csv", "--database", desk.url], catch_exceptions=False)
    lines = csv.DictReader(io.StringIO(done.stdout))
    expected = [(row.period, row.symbol, row.currency, row.net_pnl) for row in days]
    told = [
        (row["period"], row["symbol"], row["currency"], D(row["net_pnl"]) if row["net_pnl"] else None) for row in lines
    ]
    assert told == expected
    query = "SELECT day, symbol, currency, net_pnl FROM pnl ORDER BY begins_ms, symbol, currency"
    with desk.engine.connect() as connection:
        shown = connection.exec_driver_sql(query).all()
    assert [(*of, None if net is None else D(str(net))) for *of, net in shown] == expected


def test_a_payment_that_was_pushed_counts_until_the_ledger_covers_its_time(desk: Desk) -> None:
    """Whatever moves the ends of the ledger, and however late; and again once that is redacted."""
    pushed = Transaction(0, 0, None, "funding", None, None, "C", "-1", symbol="A")
    listed = pushed._replace(type="trade", amount="5", balance_after="7")
    hours = [(pushed, 1), (pushed, 2), (pushed, 9), (listed, 5), (listed, 0), (listed, 3), (listed, 20), (pushed, 4)]
    counted = []
    for at, (one, hour) in enumerate(hours):
        desk.write(Recorded(received(at, at_ns=NOON_NS + at).frame, (one._replace(occurred_ms=hour * HOUR_MS),)))
        for is_projected in (False, True):
            if is_projected:
                project(desk.engine, None)
            with desk.open() as record:
                found = record.funding(Calendar("all"))
                assert found == record.as_of(EVER_NS).funding(Calendar("all"))
        assert not faults(desk.url)
        counted.append(sum(row.payments for row in found))
    assert counted == [1, 2, 3, 3, 1, 1, 0, 0]
    kept = contents(desk.engine)
    anew(desk.engine)
    assert contents(desk.engine) == kept
    if desk.engine.dialect.name != "sqlite":
        return  # only a recorder's own file is redacted; a server is sent what follows from it
    list(redact(desk.engine, desk.url, [FrameRange(ACCOUNT, SESSION, 4, 4)], "me", "a test"))
    with desk.open() as record:
        found = record.funding(Calendar("all"))
        project(desk.engine, None)
        assert [row.payments for row in found] == [2]
        assert record.funding(Calendar("all")) == found
    assert not faults(desk.url)


def test_an_order_keeps_what_its_latest_update_leaves_out(desk: Desk) -> None:
    """Its terms from any update; from a partial one, everything that it does not change. Wherever one looks."""
    one = OrderUpdate(5, 0, 0, None, "A", "1", side="buy", quantity="3", filled_quantity="0", status="new")
    terms = one._replace(order_type="limit", time_in_force="gtc", post_only=0, trigger_price="8000.50", reason="listed")
    filled = one._replace(filled_quantity="2", average_price="9000", status="partially_filled")
    less = OrderUpdate(9, 0, 1, None, "A", "1", status="canceled")
    for at, (update, filled_quantity, status) in enumerate(
        [(terms, 0, "new"), (filled, 2, "partially_filled"), (less, 2, "canceled")], 1
    ):
        desk.write(Recorded(received(at, at_ns=NOON_NS + at).frame, (update,)))
        with desk.open() as record:
            for is_projected in (False, True):
                if is_projected:
                    project(desk.engine, None)
                for reads in (record, record.as_of(EVER_NS)):
                    for wanted in (Filter(), Filter(order_id="1")):
                        (order,) = reads.orders(wanted, newest=5)
                        found = order.order_type, order.time_in_force, order.post_only, order.trigger_price
                        assert found == ("limit", "gtc", 0, Decimal("8000.50"))
                        assert order.filled_quantity == filled_quantity
                        assert (order.side, order.status) == ("buy", status)
                        # Not a term: a whole update without it says that there is none.
                        assert order.reason == (None if at > 1 else "listed")
        with desk.engine.connect() as connection:
            row = connection.execute(text("SELECT * FROM orders")).mappings().one()
            lived = connection.execute(text("SELECT * FROM order_lives")).mappings().one()
        expected = {"side": "buy", "order_type": "limit", "time_in_force": "gtc", "post_only": 0, "status": status}
        expected |= {"filled_quantity": filled_quantity, "is_open": int(status != "canceled"), "quantity": 3}
        for view in (row, lived):
            assert {name: view[name] for name in expected} == expected
        assert (row["trigger_price"], row["reason"]) == (8000.5, None if at > 1 else "listed")
    kept = contents(desk.engine)
    anew(desk.engine)
    assert contents(desk.engine) == kept


DAY_MS = 86_400_000
#: What changes a position when: a fill, or a report of it.
FILL, REPORT = "fill", "report"
NOON_MS = NOON_NS // 1_000_000


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(((FILL, 5_000), (FILL, 12_000), (FILL, 13_000)), id="nothing before the last two stretches"),
        pytest.param(((FILL, 1_000), (FILL, DAY_MS + 5_000), (FILL, DAY_MS + 60_000)), id="on from midnight"),
        pytest.param(((FILL, 1_000), (FILL, DAY_MS + 5_000), (FILL, 2_000)), id="late, right after midnight"),
        pytest.param(
            ((FILL, 1_000), (REPORT, 2_000), (FILL, DAY_MS + 5_000), (REPORT, 2_000)),
            id="reported again, right after midnight",
        ),
        pytest.param(
            (
                (FILL, 1_000),
                (FILL, DAY_MS + 1),
                (FILL, DAY_MS * 3 + 25_000),
                (FILL, 2_000),
                (FILL, DAY_MS * 3 + 15_000),
            ),
            id="late, after days",
        ),
    ],
)
def test_trips_are_resumed_from_right_notes(desk: Desk, events: tuple[tuple[str, int], ...]) -> None:
    for number, (what, at_ms) in enumerate(events):
        if what == REPORT:
            desk.position(at_ms, quantity=9)
        else:
            said = f'"id":{number},"symbol":"BTCUSD_P","direction":"LONG","quantity":10,"unfilled_quantity":{number}'
            desk.push(number, f'{{"type":"order.btcusd_p","ts":{at_ms},"order":{{{said},"fill_price":9000}}}}')
        project(desk.engine, None)
    kept = contents(desk.engine)
    assert kept["trip_marks"]
    anew(desk.engine)
    assert contents(desk.engine) == kept


#: What happens how long after the last event, ms, by how much the position changes, and which order is filled.
events_after = st.tuples(
    st.sampled_from([FILL, FILL, REPORT]),
    st.sampled_from([0, 1, 700, 4_000, 11_000, 25_000, 3_600_000, DAY_MS]),
    st.sampled_from([-3, -1, 1, 2]),
    st.integers(1, 3),
)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(events_after, min_size=2, max_size=40),
    frames_max=st.integers(1, 5),
    alone=st.lists(st.booleans(), min_size=1, max_size=5),
    slow_ms=st.sampled_from([0, 60_000]),
)
def test_trips_are_right_while_they_catch_up(
    tmp_path_factory: Any, events: list[tuple[str, int, int, int]], frames_max: int, alone: list[bool], slow_ms: int
) -> None:
    """The venue's reports, and later fills of an order, are ahead of the other fills that are projected.

    The clock here may be slow, so that everything seems to happen after its receipt.
    """
    desk = Desk(tmp_path_factory.mktemp("catching-up") / "record.db")
    write_history(desk, events, slow_ms)
    projector = Projector(frames_max)
    with desk.open() as record:
        expected = list(record.as_of(EVER_NS).trips())
        for step in range(1_000):
            if alone[step % len(alone)]:
                # Another process goes on.
                projector = Projector(frames_max)
            with desk.engine.begin() as connection:
                if not projector.step(connection):
                    break
            assert list(record.trips()) == expected
    kept = contents(desk.engine)
    anew(desk.engine)
    assert contents(desk.engine) == kept
    assert not faults(desk.url)
    desk.engine.dispose()


def test_catching_up_does_not_read_again_what_is_ahead(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of a projection reads the reports of its own frames, and not all later ones of the day."""
    events = [(what, 3_000, 1, number) for number in range(100) for what in (FILL, REPORT)]
    write_history(desk, events)
    taken = []
    take = Walk.take

    def counted(walk: Walk, instant: Instant) -> Any:
        taken.append(instant.at_ms)
        return take(walk, instant)

    monkeypatch.setattr(Walk, "take", counted)
    steps = 0
    projector = Projector(frames_max=5)
    with desk.engine.connect() as connection:
        while True:
            with connection.begin():
                if not projector.step(connection):
                    break
            steps += 1
    assert steps >= 40
    # Of each step its own 15 s, 20 s before them and 10 s after them.
    assert len(taken) < steps * 20


def write_history(desk: Desk, events: list[tuple[str, int, int, int]], slow_ms: int = 0) -> None:
    """Write fills and reported positions, received when they happened."""
    at_ms, held, filled = 0, 0, Counter[str]()
    for what, later_ms, quantity, order in events:
        at_ms += later_ms
        if what == REPORT:
            said = f'"type":"p","ts":{NOON_MS + at_ms},"position":{{"symbol":"BTCUSD_P","quantity":{held}}}'
        else:
            held += quantity
            side = "LONG" if quantity > 0 else "SHORT"
            order_id = f"{order}{side}"
            filled[order_id] += abs(quantity)
            one = f'"id":"{order_id}","symbol":"BTCUSD_P","direction":"{side}","quantity":1000,"fill_price":9000'
            left = f'"unfilled_quantity":{1000 - filled[order_id]}'
            said = f'"type":"order.btcusd_p","ts":{NOON_MS + at_ms},"order":{{{one},{left}}}'
        desk.push((at_ms - slow_ms) * 1_000_000, f"{{{said}}}")
