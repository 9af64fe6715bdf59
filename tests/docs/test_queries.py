"""The questions of `docs/queries.md`: both engines give the answers on the page, and those of the simulator's books."""

import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import recorder
from recorder.clock import NS_PER_MS, utc_text
from recorder.model import MAKER, OPEN_STATUSES, UNKNOWN
from recorder.read.record import Filter
from recorder.read.sums import BY_ALL, BY_MONTH, Calendar
from recorder.venues.fmex.stand_in import frames
from tests.docs import queries, sample
from tests.docs.conftest import Recorded
from tests.docs.exchange import SYMBOLS, day_of, instant_ms
from tests.docs.queries import Answer, Query

PAGE = queries.PAGE.read_text()
QUERIES = list(queries.queries(PAGE))

#: When the first session was covered.
BEGINS_MS = instant_ms("2019-12-30 09:00:02")
TRIPS = "At what average prices did I enter and exit?"
NAMES = [name.upper() for name in SYMBOLS]


def same(one: Any, other: Any) -> bool:
    """Whether two engines mean the same: a float has some twelve reliable digits."""
    if isinstance(one, float | Decimal) and other is not None:
        return float(one) == pytest.approx(float(other), rel=1e-9, abs=2e-12)
    return bool(one == other)


def ask(recorded: Recorded, question: str, nth: int = 0) -> list[dict[str, Any]]:
    """The answer to a question of the page; numbers as floats."""
    sql = [query.sql for query in QUERIES if query.question == question][nth]
    answer = recorded.ask(sql)
    rows = [[float(value) if isinstance(value, Decimal) else value for value in row] for row in answer.rows]
    return [dict(zip(answer.columns, row, strict=True)) for row in rows]


def utc(at_ms: int) -> str:
    """An instant as the views write it."""
    return utc_text(at_ms * NS_PER_MS)


def near(value: Decimal) -> Any:
    """As a query of the page rounds it."""
    return pytest.approx(float(value), abs=2e-12)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.question)
def test_both_engines_give_the_same_answer(on_sqlite: Recorded, on_postgresql: Recorded, query: Query) -> None:
    one, other = on_sqlite.ask(query.sql), on_postgresql.ask(query.sql)
    assert one.columns == other.columns
    assert len(one.rows) == len(other.rows) > 0
    for row, its in zip(one.rows, other.rows, strict=True):
        assert all(same(value, another) for value, another in zip(row, its, strict=True)), (row, its)


def test_the_page_shows_the_answers(on_sqlite: Recorded) -> None:
    assert queries.rewritten(PAGE, on_sqlite.ask) == PAGE, "the page is not current; type: make docs"


def test_a_page_with_a_wrong_answer_is_found(on_sqlite: Recorded) -> None:
    wrong = PAGE.replace("BTCUSD_P  -0.001885951119", "BTCUSD_P  -0.001885951118")
    assert wrong != PAGE
    assert queries.rewritten(wrong, on_sqlite.ask) != wrong


def test_the_record_is_the_same_each_time(on_sqlite: Recorded, tmp_path: Path) -> None:
    again = tmp_path / "again.db"
    sample.make(again)
    sql = "SELECT session_id, seq, received_ns, payload FROM frames ORDER BY 1, 2"
    with closing(sqlite3.connect(again)) as connection:
        assert connection.execute(sql).fetchall() == on_sqlite.ask(sql).rows


def test_a_table_shows_numbers_without_exponents() -> None:
    rows = [(1.2e-08, "a", None), (Decimal("100.500"), "longer", -0.0)]
    assert queries.table(Answer(("amount", "b", "c"), rows)).splitlines() == [
        "     amount  b       c",
        "-----------  ------  -",
        "0.000000012  a",
        "      100.5  longer  0",
    ]


def changes(recorded: Recorded) -> dict[tuple[str, str], Decimal]:
    """Day and contract → realized PnL by the books, since the record began."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for before, after in zip(recorded.truth.moments, recorded.truth.moments[1:], strict=False):
        if after.at_ms > BEGINS_MS:
            for name in NAMES:
                change = after.positions[name].realized_pnl - before.positions[name].realized_pnl
                found[day_of(after.at_ms), name] += change
    return {key: change for key, change in found.items() if change}


def test_realized_pnl_is_that_of_the_books(recorded: Recorded) -> None:
    true = changes(recorded)
    rows = ask(recorded, "What did I earn or lose each day?")
    assert {(row["day"], row["symbol"]): row["realized_pnl"] for row in rows} == {
        key: near(change) for key, change in true.items()
    }
    by_month: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (day, name), change in true.items():
        by_month[day[:7], name] += change
    rows = ask(recorded, "What did I earn or lose each month?")
    assert {(row["month"], row["symbol"]): row["realized_pnl"] for row in rows} == {
        key: near(change) for key, change in by_month.items()
    }
    with recorder.open(recorded.url) as record:
        pnl = record.pnl()
        # Exact, to the last digit.
        assert {(one.period, one.symbol): one.net_pnl for one in pnl} == true
        assert all((one.realized_pnl or 0) - (one.fee or 0) == one.net_pnl for one in pnl)
        (whole,) = record.pnl(Calendar(BY_ALL), Filter(symbol="btcusd_p"))
        assert whole.net_pnl == sum(change for (_, name), change in true.items() if name == "BTCUSD_P")


def test_fees_are_those_of_the_books(recorded: Recorded) -> None:
    fee: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    rebates: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    contracts: Counter[tuple[str, str]] = Counter()
    for order, fill in recorded.truth.fills:
        key = day_of(fill.executed_ms)[:7], order.terms.symbol
        fee[key] += fill.fee
        rebates[key] -= min(fill.fee, Decimal(0))
        contracts[key] += int(fill.quantity)
    rows = ask(recorded, "What did I pay in fees, by contract and month?")
    assert {(row["month"], row["symbol"]): row["fee"] for row in rows} == {key: near(one) for key, one in fee.items()}
    assert {(row["month"], row["symbol"]): row["contracts"] for row in rows} == contracts
    with recorder.open(recorded.url) as record:
        fees = record.fees(Calendar(BY_MONTH))
    assert {(one.period, one.symbol): one.fee for one in fees} == fee
    assert {(one.period, one.symbol): one.quantity for one in fees} == contracts
    assert all(one.fee == one.paid - one.rebates for one in fees)
    # The fees of an order that was only reported as a whole, from before the record, are one sum.
    assert all(one.rebates <= rebates[one.period, one.symbol or ""] for one in fees)


def test_maker_and_taker_are_never_wrong(recorded: Recorded) -> None:
    true: dict[str, Counter[str]] = defaultdict(Counter)
    for order, fill in recorded.truth.fills:
        true[str(order.id)]["taker" if fill.is_taker else "maker"] += int(fill.quantity)
    filled: dict[str, Counter[str]] = defaultdict(Counter)
    with recorder.open(recorded.url) as record:
        for one in record.fills():
            filled[str(one.order_id)][one.liquidity] += int(one.quantity)
        known = sum(fees.maker_quantity + fees.taker_quantity for fees in record.fees(Calendar(BY_ALL)))
    assert filled.keys() == true.keys()
    for order_id, its in filled.items():
        assert its[MAKER] <= true[order_id][MAKER]
        assert its["taker"] <= true[order_id]["taker"]
        assert its.total() == true[order_id].total()
    unknown = sum(its[UNKNOWN] for its in filled.values())
    assert 0 < unknown < known
    rows = ask(recorded, "How much did I trade as a maker?")
    assert sum(row["maker"] for row in rows) == sum(its[MAKER] for its in filled.values())
    assert sum(row["unknown"] for row in rows) == unknown


def test_the_profit_of_round_trips_is_that_of_the_books(recorded: Recorded) -> None:
    with recorder.open(recorded.url) as record:
        trips = list(record.trips())
    assert all(trip.adds_up for trip in trips)
    # A liquidation takes the margin, whatever its price.
    liquidations = {fill.executed_ms + 17 for order, fill in recorded.truth.fills if order.kind == "liquidation"}
    before = dict.fromkeys(NAMES, Decimal(0))
    compared = 0
    for name in NAMES:
        brought = known = Decimal(0)
        liquidated = False
        mine = [trip for trip in trips if trip.symbol == name]
        for trip, following in zip(mine, [*mine[1:], None], strict=True):
            if trip.pnl is None or trip.closed_ms is None:
                continue
            assert trip.entry_quantity == trip.exit_quantity
            brought += trip.pnl
            liquidated |= trip.closed_ms in liquidations
            held = recorded.truth.at(trip.closed_ms).positions[name]
            if following is not None and following.opened_ms == trip.closed_ms:
                # Reversed at once: a part of the last fee is the next trip's.
                assert held.side == following.direction
                continue
            assert held.quantity == 0
            if not liquidated:
                # If an order was only reported as a whole, the price is the arithmetic average.
                assert brought - known == pytest.approx(held.realized_pnl - before[name], abs=Decimal("1e-10"))
                compared += 1
            known, before[name], liquidated = brought, held.realized_pnl, False
    assert compared > 3
    rows = {(row["symbol"], row["closed_utc"]): row for row in ask(recorded, TRIPS)}
    later = [trip for trip in trips if (trip.closed_ms or 0) >= instant_ms("2020-01-01 00:00:00")]
    assert len(rows) == len(later)
    for trip in later:
        row = rows[trip.symbol, utc(trip.closed_ms or 0)]
        assert float(row["pnl"]) == pytest.approx(float(trip.pnl or 0), abs=2e-10)
        assert float(row["entry"]) == pytest.approx(float(trip.entry_price or 0), abs=0.01)


def test_what_was_held_at_an_instant(recorded: Recorded) -> None:
    then = recorded.truth.at(instant_ms("2019-12-31 15:05:00"))
    rows = {row["symbol"]: row for row in ask(recorded, "What did I hold at a given time?")}
    held = {name: position for name, position in then.positions.items() if position.quantity}
    assert rows.keys() == held.keys()
    for name, position in held.items():
        assert rows[name]["quantity"] == position.signed
        assert float(rows[name]["entry_price"]) == pytest.approx(float(position.entry_price), abs=1e-4)
        assert rows[name]["realized_pnl"] == near(position.realized_pnl)
    (money,) = ask(recorded, "What did I hold at a given time?", 1)
    assert money["balance"] == near(then.total)


def test_balances_and_payments(recorded: Recorded) -> None:
    ends = {row["day"]: row["at_the_end"] for row in ask(recorded, "How did my balance develop?")}
    paid = {row["day"]: row["paid"] for row in ask(recorded, "What was deposited or withdrawn?")}
    for day, total in ends.items():
        # Nobody recorded the last evening of 2019.
        last = instant_ms(f"{day} 22:00:00" if day == "2019-12-31" else f"{day} 23:59:59")
        assert total == near(recorded.truth.at(last).total)
    assert paid == {day: 1.5 if day == "2019-12-31" else near(Decimal(0)) for day in ends}


def test_orders_cancelled_unfilled(recorded: Recorded) -> None:
    since = instant_ms("2020-02-03 00:00:00")
    orders = [one for one in recorded.truth.orders if one.created_ms >= since and not one.is_open and not one.fills]
    rows = ask(recorded, "Which orders were cancelled unfilled?")
    assert {row["order_id"]: row["lived_ms"] for row in rows} == {
        str(one.id): pytest.approx(one.updated_ms - one.created_ms, abs=17) for one in orders
    }


def test_the_life_of_every_order(recorded: Recorded) -> None:
    orders = {str(order.id): order for order in recorded.truth.orders}
    columns = "order_id, status, filled_quantity, fee, first_fill_ms, ended_ms, fills"
    rows = recorded.ask(f"SELECT {columns} FROM order_lives").rows
    assert {row[0] for row in rows} == orders.keys()
    for order_id, status, filled, fee, first_fill_ms, ended_ms, fills in rows:
        order = orders[order_id]
        assert (status, filled) == (order.status, order.filled_quantity)
        assert float(fee) == near(order.fee)
        assert (fills > 0) == (first_fill_ms is not None) == bool(order.fills)
        if status in OPEN_STATUSES:
            assert ended_ms is None
        else:
            # Also of orders that ended while nobody recorded: REST reports when.
            assert ended_ms == pytest.approx(order.updated_ms, abs=17)
        if order.fills and order.created_ms > BEGINS_MS:
            assert first_fill_ms == pytest.approx(order.fills[0].executed_ms, abs=17)


def test_the_time_to_the_first_fill(recorded: Recorded) -> None:
    first: dict[str, list[int]] = defaultdict(list)
    for order in recorded.truth.orders:
        if day_of(order.created_ms) == "2020-02-03" and order.fills:
            first[order.type].append(order.fills[0].executed_ms - order.created_ms)
    for row in ask(recorded, "How long did orders take to fill?"):
        mine = first[row["order_type"]]
        assert row["filled"] == len(mine)
        # Up to the push.
        assert row["slowest_ms"] == max(mine) + 17
        assert row["quickest_ms"] == min(mine) + 17
        assert float(row["average_ms"]) == pytest.approx(sum(mine) / len(mine) + 17, abs=0.1)


def test_an_order_step_by_step(recorded: Recorded) -> None:
    rows = ask(recorded, "What happened to an order, step by step?")
    (order,) = [one for one in recorded.truth.orders if one.id == 849758134556]
    assert (rows[-1]["status"], rows[-1]["venue_status"]) == (order.status, frames.status(order))
    assert rows[-1]["filled"] == order.filled_quantity
    assert rows[-1]["fee"] == near(order.fee)
    filled = [row["filled"] for row in rows]
    summed = [sum(fill.quantity for fill in order.fills[: n + 1]) for n in range(len(order.fills))]
    assert sorted(set(filled)) == [0, *summed]


def test_what_happened_in_a_gap(recorded: Recorded) -> None:
    (gap,) = [row for row in ask(recorded, "Where is the record incomplete?") if row["gap_id"] == 2]
    timeline = ask(recorded, "What happened around a gap?")
    begins, ends = (
        next(row["received_utc"] for row in timeline if row["kind"] == "gap" and str(row["event"]).startswith(word))
        for word in ("begins", "ends")
    )
    missed = [
        (str(order.id), int(fill.quantity), fill.price, "taker" if fill.is_taker else "maker")
        for order, fill in recorded.truth.fills
        if begins < utc(fill.executed_ms) < ends
    ]
    rows = ask(recorded, "What happened around a gap?", 1)
    assert sorted((row["order_id"], row["quantity"], row["price"], row["liquidity"]) for row in rows) == sorted(missed)
    fills = [row for row in timeline if row["kind"] == "fill"]
    assert len(fills) == len(missed) > 5
    assert gap["resolution"].endswith(f"{len(missed)} executions")
    positions = {
        row["subject"]: row["quantity"] for row in timeline if row["event"] == "rest" and row["kind"] == "position"
    }
    then = recorded.truth.at(int(instant_ms(ends[:19])))
    assert positions == {name: then.positions[name].signed for name in NAMES}
