"""The views for people: plain numbers, readable times, and fills from successive updates."""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, union

import recorder
from recorder.clock import utc_text
from recorder.model import OrderUpdate
from recorder.read.projector import project_all
from recorder.store.dialects import insert_rows, replace_rows
from recorder.store.projection_tables import projected
from recorder.store.schema import accounts, order_updates, position_updates
from recorder.store.stale import mark
from tests.depth import examples
from tests.migration.rows import write
from tests.unit.read.desk import Desk

ORDER = OrderUpdate(
    event_ms=1580802204232,
    is_snapshot=0,
    is_partial=0,
    market=None,
    symbol="BTCUSD_P",
    order_id="849758102002",
    client_order_id=None,
    side="buy",
    position_side=None,
    order_type="limit",
    time_in_force="gtc",
    post_only=0,
    reduce_only=None,
    price="9200",
    trigger_price=None,
    quantity="10",
    quote_quantity=None,
    filled_quantity="0",
    average_price="0",
    status="new",
    venue_status="PENDING",
    reason=None,
    fee="0E-18",
    fee_currency="BTC",
    created_ms=1580802204215,
    updated_ms=None,
    extra=None,
)


class Told(NamedTuple):
    """An update as a recorder received it."""

    update: OrderUpdate
    account_id: int = 7
    session_id: int = 11
    received_ns: int | None = None


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """A database with two accounts."""
    with engine.begin() as connection:
        for account_id, name in ((7, "main"), (8, "other")):
            row = {"account_id": account_id, "venue": "fmex", "name": name, "created_ns": 0}
            connection.execute(insert(accounts).values(row))
    return engine


def tell(engine: Engine, *told: Told) -> None:
    """Write order updates, received one after the other."""
    rows = [
        (one.account_id, one.session_id, seq, 0, seq if one.received_ns is None else one.received_ns, *one.update)
        for seq, one in enumerate(told)
    ]
    with engine.begin() as connection:
        replace_orders(connection, rows)


def replace_orders(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write these rows of `order_updates` in place of those that are there; the projections have to follow."""
    delete_orders(connection)
    insert_rows(connection, order_updates, rows)
    mark_all(connection)


def delete_orders(connection: Connection, *these: ColumnElement[bool]) -> None:
    """Delete rows of `order_updates`; the projections have to follow."""
    mark_all(connection)
    connection.execute(delete(order_updates).where(*these))


def mark_all(connection: Connection) -> None:
    """Note that the projections have to follow all rows of orders and positions: before and after changing them."""
    # Orders are only marked in a database that has projections.
    replace_rows(connection, projected, [(0, 0)])
    parts = (select(table.c.account_id, table.c.session_id) for table in (order_updates, position_updates))
    for account_id, session_id in connection.execute(union(*parts)).all():
        mark(connection, account_id, session_id, (0, 2**31))


def ask(engine: Engine, query: str) -> list[dict[str, Any]]:
    """The rows of a query, once the projections are current."""
    with engine.connect() as connection:
        deque(project_all(connection), maxlen=0)
        return [_plain(row) for row in connection.exec_driver_sql(query).mappings()]


def _plain(row: Any) -> dict[str, Any]:
    """PostgreSQL's plain numbers are exact ones."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


def filled(quantity: str, average: str, fee: str, **changes: Any) -> OrderUpdate:
    """The order, filled so far."""
    return ORDER._replace(**{"filled_quantity": quantity, "average_price": average, "fee": fee} | changes)


def steps(engine: Engine) -> list[tuple[Any, ...]]:
    rows = ask(engine, "SELECT * FROM trade_history ORDER BY received_ns, session_id, seq")
    return [(row["quantity"], row["price"], row["fee"], row["price_is_estimate"]) for row in rows]


def test_an_id_that_is_used_again_is_another_order(engine: Engine) -> None:
    first, second = {"created_ms": 5}, {"created_ms": 9}
    updates = [
        filled("8", "9000", "0.8", **first),
        filled("3", "9100", "0.3", **second),
        filled("10", "9001", "1", **first),  # late news of the first
        filled("4", "9100", "0.4", **second),
    ]
    tell(engine, *map(Told, updates))
    assert [row[0] for row in steps(engine)] == [8, 3, 2, 1]
    with recorder.open(engine.url.render_as_string(hide_password=False)) as record:
        assert [fill.quantity for fill in record.fills()] == [8, 3, 2, 1]


def test_numbers_are_plain_and_times_readable(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(delete(accounts))
    write(engine)
    (order,) = ask(engine, "SELECT * FROM orders")
    assert {name: value for name, value in order.items() if value is not None} == {
        "account": "main",
        "at_utc": "2020-02-04 07:43:24.232",
        "received_utc": "2020-02-04 07:43:24.240",
        "day": "2020-02-04",
        "order_id": "849758102002",
        "symbol": "BTCUSD_P",
        "side": "buy",
        "order_type": "market",
        "time_in_force": "ioc",
        "post_only": 0,
        "status": "filled",
        "venue_status": "FULLY_FILLED",
        "is_open": 0,
        "quantity": 1.0,
        "filled_quantity": 1.0,
        "price": 10210.0,
        "average_price": 9288.0,
        "fee": 4.8449612403e-08,
        "fee_currency": "BTC",
        "created_utc": "2020-02-04 07:43:24.215",
        "at_ms": 1580802204232,
        "event_ms": 1580802204232,
        "received_ns": 1580802204240000000,
        "account_id": 7,
        "session_id": 11,
        "seq": 1,
        "item": 0,
    }
    (balance,) = ask(engine, "SELECT currency, balance, available, locked, position_margin, at_utc FROM balances")
    assert balance == {
        "currency": "BTC",
        "balance": pytest.approx(2.796898002187682616),
        "available": 2.796888254907565438,
        "locked": 0.0,
        "position_margin": 9.747280117178e-06,
        "at_utc": "2020-02-04 07:40:53.643",
    }
    (position,) = ask(engine, "SELECT symbol, position_side, quantity, leverage, margin, realized_pnl FROM positions")
    assert position == {
        "symbol": "BTCUSD_P",
        "position_side": None,
        "quantity": 1.0,
        "leverage": 50.0,
        "margin": 9.749658727683e-06,
        "realized_pnl": -4.8499218623e-08,
    }


def test_comparing_and_sorting_is_numeric(engine: Engine) -> None:
    prices = ["9", "10210", "9000", "9000.5", "1e4", "-1", "9.5e3", "100"]
    tell(engine, *(Told(ORDER._replace(order_id=str(at), price=price)) for at, price in enumerate(prices)))
    for view in ("orders", "order_history"):
        rows = ask(engine, f"SELECT price FROM {view} WHERE price > 9000 ORDER BY price")
        assert [row["price"] for row in rows] == [9000.5, 9500.0, 10000.0, 10210.0]
        assert ask(engine, f"SELECT max(price) AS p, sum(quantity) AS q FROM {view}") == [{"p": 10210.0, "q": 80.0}]


@given(ms=st.integers(0, 253_402_300_799_999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(50))
def test_a_time_is_the_same_in_every_view_and_in_the_program(engine: Engine, ms: int) -> None:
    tell(engine, Told(ORDER._replace(event_ms=ms, created_ms=ms), received_ns=min(ms, 2**63 // 10**6 - 1) * 10**6))
    (row,) = ask(engine, "SELECT at_utc, created_utc, received_utc, received_ns FROM orders")
    assert row["at_utc"] == row["created_utc"] == utc_text(ms * 10**6)
    assert row["received_utc"] == utc_text(row["received_ns"])


@pytest.mark.parametrize("at_ms", [2**63 - 1, -(2**63)])
def test_a_time_beyond_the_calendar_is_null(engine: Engine, at_ms: int) -> None:
    tell(engine, Told(ORDER._replace(event_ms=at_ms)))
    assert ask(engine, "SELECT at_utc, event_ms FROM orders") == [{"at_utc": None, "event_ms": at_ms}]


def test_a_state_has_the_venue_s_time_or_else_that_of_receipt(engine: Engine) -> None:
    received_ns = 7 * 10**6
    for times, at_ms in (({"updated_ms": 3}, 3), ({"updated_ms": None}, 5), ({"event_ms": None}, 7)):
        tell(engine, Told(ORDER._replace(**{"event_ms": 5} | times), received_ns=received_ns))
        assert ask(engine, "SELECT at_ms FROM orders") == [{"at_ms": at_ms}]


def test_the_latest_state_is_the_one_received_last(engine: Engine) -> None:
    tell(
        engine,
        Told(ORDER),
        Told(ORDER._replace(order_id="2")),
        Told(filled("4", "9200", "1e-8", status="partially_filled")),
        Told(ORDER._replace(status="canceled"), account_id=8),
    )
    rows = ask(engine, "SELECT account, order_id, status, filled_quantity FROM orders ORDER BY account, order_id")
    assert [tuple(row.values()) for row in rows] == [
        ("main", "2", "new", 0.0),
        ("main", "849758102002", "partially_filled", 4.0),
        ("other", "849758102002", "canceled", 0.0),
    ]
    assert len(ask(engine, "SELECT * FROM order_history")) == 4


def test_balances_and_positions_are_the_latest_of_each(desk: Desk) -> None:
    for at in range(3):
        desk.balance(at, available=str(at))
        desk.position(at, quantity=at)
    desk.balance(4, "ETH")
    desk.position(4, "ETHUSD_P")
    assert ask(desk.engine, "SELECT currency, available, locked FROM balances ORDER BY currency") == [
        {"currency": "BTC", "available": 2.0, "locked": 0.0},
        {"currency": "ETH", "available": 1.0, "locked": 0.0},
    ]
    assert ask(desk.engine, "SELECT symbol, quantity FROM positions ORDER BY symbol") == [
        {"symbol": "BTCUSD_P", "quantity": 2.0},
        {"symbol": "ETHUSD_P", "quantity": 1.0},
    ]


def test_partial_fills(engine: Engine) -> None:
    tell(
        engine,
        Told(ORDER),
        Told(filled("4", "9200", "1.0e-8")),
        Told(filled("4", "9200", "1.0e-8", price="9201")),  # changed, not filled
        Told(filled("5", "9190", "1.5e-8")),
        Told(filled("10", "9195", "4.0e-8", status="filled")),
    )
    assert steps(engine) == [
        (4.0, 9200.0, pytest.approx(1.0e-8), 0),
        (1.0, 9150.0, pytest.approx(0.5e-8), 1),
        (5.0, 9200.0, pytest.approx(2.5e-8), 1),
    ]
    (row,) = ask(engine, "SELECT * FROM trade_history WHERE quantity > 4")
    assert (row["account"], row["order_id"], row["symbol"], row["side"], row["order_type"]) == (
        "main",
        "849758102002",
        "BTCUSD_P",
        "buy",
        "limit",
    )
    assert (row["fee_currency"], row["origin"], row["at_utc"]) == ("BTC", "derived", "2020-02-04 07:43:24.232")


def test_orders_and_accounts_are_kept_apart(engine: Engine) -> None:
    tell(
        engine,
        Told(filled("4", "9200", "0")),
        Told(filled("5", "9100", "0", order_id="1")),
        Told(filled("6", "9000", "0"), account_id=8),
    )
    assert [step[:2] for step in steps(engine)] == [(4.0, 9200.0), (5.0, 9100.0), (6.0, 9000.0)]


def test_old_news_is_no_fill(engine: Engine) -> None:
    first, second, third = filled("3", "9200", "1e-8"), filled("5", "9200", "2e-8"), filled("10", "9200", "4e-8")
    tell(engine, Told(ORDER), Told(first), Told(second), Told(first), Told(ORDER), Told(second), Told(third))
    assert [step[0] for step in steps(engine)] == [3.0, 2.0, 5.0]
    assert sum(step[2] for step in steps(engine)) == pytest.approx(4e-8)


def test_two_recorders_of_one_account_see_each_fill_once(engine: Engine) -> None:
    pushed = [ORDER, filled("3", "9200", "1e-8"), filled("5", "9210", "2e-8"), filled("10", "9205", "4e-8")]
    for lag in (0, 1, 15, 25, 100):
        one = [Told(update, session_id=11, received_ns=at * 10) for at, update in enumerate(pushed)]
        other = [Told(update, session_id=12, received_ns=at * 10 + lag) for at, update in enumerate(pushed)]
        tell(engine, *one, *other)
        assert [step[0] for step in steps(engine)] == [3.0, 2.0, 5.0]


def test_a_fee_that_is_missing_is_not_guessed(engine: Engine) -> None:
    unknown = filled("5", "9200", "0")._replace(fee=None)
    tell(engine, Told(filled("3", "9200", "1e-8")), Told(unknown), Told(filled("9", "9200", "3e-8")))
    # The last step has what the fee grew by since it was last known: the sum of known fees is the order's.
    assert [step[2] for step in steps(engine)] == [1e-8, None, 2e-8]


@given(told=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 10), st.sampled_from(["0", "1e-8", "-2e-8"]))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
def test_the_view_tells_what_the_program_tells(engine: Engine, url: str, told: list[tuple[int, int, str]]) -> None:
    # As on an exchange, an order's average changes only when it fills further.
    averages = [0, 9200, 9100.5, 9310, 9250, 9205.5, 9300, 9180, 9199, 9240, 9260]
    tell(engine, *(Told(filled(str(done), str(averages[done]), fee, order_id=str(order))) for order, done, fee in told))
    with recorder.open(url) as record:
        exact = list(record.fills())
    assert steps(engine) == [
        (
            float(fill.quantity),
            None if fill.price is None else pytest.approx(float(fill.price)),
            pytest.approx(float(fill.fee or 0), abs=1e-15),
            int(fill.price_is_estimate),
        )
        for fill in exact
    ]
