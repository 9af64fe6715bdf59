"""Every reader survives every field that an exchange may leave out."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from recorder.backtest.matching import recorded_trades
from recorder.backtest.returns import daily_totals
from recorder.cli.commands import recorder as program
from recorder.export import export
from recorder.live.channel import Recorded
from recorder.read.record import Filter, Record
from recorder.replay.serving.rest import RecordedAccount
from recorder.report.gather import gather
from recorder.report.page import render
from recorder.store.entries import Covered, LogEntry, ReconciliationBegan, ReconciliationEnded, SessionOpened
from recorder.store.schema import account_updates, fills, heartbeats, order_updates, position_updates
from recorder.venues.fmex import rest
from recorder.venues.fmex.objects import AccountObject, OrderObject, PositionObject
from recorder.venues.fmex.stand_in import answers
from recorder.venues.view import Span
from tests.contract.conftest import NewUrl
from tests.contract.test_views import ask
from tests.made import NOON_NS, RUN, answered, received
from tests.samples import sample
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_every_read_survives",
    "test_views_survive",
    "test_a_view_tells_the_same_fills",
    "test_the_report_survives",
)

S = 10**9
SESSION, ROUND = 70, 75
TOPICS = ("account", "order.btcusd_p", "position.btcusd_p")
FIELDS = {
    "account": ("ts", *AccountObject.__struct_fields__),
    "order": ("ts", *OrderObject.__struct_fields__),
    "position": ("ts", *PositionObject.__struct_fields__),
    "match": ("taker", "price", "quantity", "fee", "created_at"),
    "ping": ("ts", "gap"),
}
#: Account → whether its frames lack a field always, or one in the middle alone.
ACCOUNTS = {100: True, 101: False}
#: Numbers keep their digits, as on the exchange.
encode = msgspec.json.Encoder(decimal_format="number").encode


class Case(NamedTuple):
    """A field that is left out, of an order, a position and a balance of its own."""

    number: int
    kind: str
    field: str
    #: Of every frame, or of one in the middle alone.
    always: bool

    @property
    def order(self) -> dict[str, Any]:
        """What all updates of its order say."""
        its = {"id": 1000 + self.number, "quantity": 1010, "symbol": self.symbol}
        return its | {"status": "PARTIAL_FILLED", "direction": "LONG"}

    @property
    def kinds(self) -> set[str]:
        """What is told of beside it."""
        return {self.kind, "order", "position"} if self.kind in {"order", "position", "match"} else {self.kind}

    @property
    def symbol(self) -> str:
        """Of its contract."""
        return f"S{self.number}_P"

    def push(self, kind: str, middle: bool = False, **fields: Any) -> list[bytes]:
        """A sample push with some fields changed, and one left out; none of a kind that has nothing to do with it."""
        if kind not in self.kinds:
            return []
        told = json.loads(sample(kind), parse_float=Decimal)
        inner = told.get(kind, told)
        inner |= fields
        if self.kind == kind and (self.always or middle):
            (told if self.field == "ts" else inner).pop(self.field, None)
        return [encode(told)]

    def answer(self, kind: str, name: str, **fields: Any) -> bytes:
        """A sample answer with the same."""
        told = json.loads(sample(name), parse_float=Decimal)
        for number, inner in enumerate(told["data"].get("results", [told["data"]])):
            inner.update(fields)
            if self.kind == kind and (self.always or number):
                inner.pop(self.field, None)
        return encode(told)

    def before(self) -> list[bytes]:
        """What is pushed first."""
        order = self.order
        balance: dict[str, Any] = {"currency": f"C{self.number}"}
        held: dict[str, Any] = {"symbol": self.symbol}
        none = {"unfilled_quantity": 1010, "status": "PENDING", "fee": 0, "fill_price": 0}
        return [
            *self.push("account", available=2, **balance),
            *self.push("order", **order | none),
            *self.push("position", quantity=0, realized_pnl=0, **held),
            *self.push("order", **order | {"unfilled_quantity": 505, "fee": 1e-6, "fill_price": 9200}),
            *self.push("ping"),
            *self.push("position", middle=True, quantity=505, **held),
            *self.push("account", middle=True, available=1, **balance),
            *self.push("order", middle=True, **order | {"unfilled_quantity": 500, "fee": 2e-6, "fill_price": 9210}),
            *self.push("ping", middle=True),
        ]

    def answers(self) -> dict[str, bytes]:
        """What REST answers then: target → body."""
        target = f"{rest.ORDERS}/{self.order['id']}"
        if "order" not in self.kinds:
            return {}
        return {
            rest.POSITIONS: self.answer("position", "rest-positions", symbol=self.symbol),
            rest.OPEN_ORDERS: self.answer("order", "rest-open-orders", **self.order),
            target: self.answer("order", "rest-order", **self.order),
            f"{target}/matches": self.answer("match", "rest-matches"),
        }

    def after(self) -> list[bytes]:
        """What is pushed last."""
        order = self.order
        held: dict[str, Any] = {"symbol": self.symbol}
        return [
            *self.push("order", **order | {"unfilled_quantity": 0, "status": "FULLY_FILLED", "fill_price": 9205}),
            *self.push("position", quantity=1010, **held),
            *self.push("account", available=3, currency=f"C{self.number}"),
            *self.push("order", **order | {"id": order["id"] + 1000, "direction": "SHORT", "unfilled_quantity": 0}),
            *self.push("position", direction="SHORT", quantity=0, **held),
        ]


def cases(always: bool) -> list[Case]:
    """One for each field."""
    fields = [(kind, field) for kind, its in FIELDS.items() for field in its]
    return [Case(number, *one, always) for number, one in enumerate(fields)]


def story(account_id: int, always: bool) -> tuple[list[Recorded], list[LogEntry]]:
    """What an account is pushed, what REST answers in a round, and what is pushed after that."""
    these = cases(always)
    pushes = [b'{"type":"topics","topics":[]}', *(push for case in these for push in case.before())]
    told = [(rest.ACCOUNTS, sample("rest-accounts")), *(one for case in these for one in case.answers().items())]
    later = [push for case in these for push in case.after()]
    times_ns = count(NOON_NS, S)
    key = {"account_id": account_id, "session_id": SESSION}
    frames = [received(seq, one, at_ns=next(times_ns), **key) for seq, one in enumerate(pushes)]
    began_ns = next(times_ns)
    frames += [
        answered(seq, *one, next(times_ns), account_id=account_id, round_id=ROUND) for seq, one in enumerate(told)
    ]
    entries: list[LogEntry] = [
        SessionOpened(account_id, SESSION, RUN, "wss://x", TOPICS, NOON_NS),
        Covered(account_id, SESSION, 0, NOON_NS, TOPICS, {}),
        ReconciliationBegan(account_id, ROUND, RUN, began_ns),
        ReconciliationEnded(account_id, ROUND, SESSION, next(times_ns), "reconciled", ""),
    ]
    frames += [received(seq, one, at_ns=next(times_ns), **key) for seq, one in enumerate(later, len(pushes))]
    return frames, entries


@pytest.fixture(scope="module")
def lacking(new_url: NewUrl) -> Iterator[Desk]:
    """A record in which each field is lacking somewhere."""
    desk = Desk(new_url(), *((account_id, str(always)) for account_id, always in ACCOUNTS.items()))
    stories = [story(*one) for one in ACCOUNTS.items()]
    desk.write(
        *(frame for frames, _ in stories for frame in frames),
        entries=[entry for _, entries in stories for entry in entries],
    )
    yield desk
    desk.engine.dispose()


@pytest.fixture
def record(lacking: Desk) -> Iterator[Record]:
    with lacking.open() as record:
        yield record


def test_every_column_that_may_be_null_is(lacking: Desk) -> None:
    with lacking.engine.connect() as connection:
        for table in (account_updates, order_updates, position_updates, fills, heartbeats):
            for column in table.c:
                if column.nullable and column.name not in {"extra", "order_id"}:
                    assert connection.scalar(select(1).where(column.is_(None)).limit(1)), f"{table.name}.{column.name}"


@pytest.mark.parametrize(
    "read",
    [
        Record.orders,
        Record.open_orders,
        Record.order_history,
        Record.positions,
        Record.position_history,
        Record.balances,
        Record.balance_history,
        Record.fills,
        Record.fees,
        Record.pnl,
        Record.trips,
        Record.timeline,
        Record.books,
        Record.gaps,
        Record.discrepancies,
        Record.rounds,
        Record.replay,
        Record.status,
        lambda record: record.replay(sources=("push", "rest")),
        lambda record: recorded_trades(record.fills()),
        lambda record: daily_totals(record.balance_history(), "C1"),
    ],
)
def test_every_read_survives(record: Record, read: Callable[[Record], Any]) -> None:
    list(read(record))


def test_the_fills_of_an_order_sum_up_to_what_it_says_whatever_an_execution_lacks(record: Record) -> None:
    # An order is told from others by its id and its symbol.
    uncountable = {("order", "quantity"), ("order", "unfilled_quantity"), ("order", "id"), ("order", "symbol")}
    filled: dict[tuple[str, str | None], Decimal] = defaultdict(Decimal)
    for fill in record.fills():
        filled[fill.account, fill.order_id] += fill.quantity
    for case in (*cases(True), *cases(False)):
        if "order" in case.kinds and (case.kind, case.field) not in uncountable:
            assert filled[str(case.always), str(case.order["id"])] == 1010, case


def test_views_survive(lacking: Desk) -> None:
    names = [name for (name,) in _views(lacking)]
    assert {"trade_history", "executions", "round_trips", "timeline", "order_lives"} <= set(names)
    for name in names:
        ask(lacking.engine, f"SELECT * FROM {name}")


def _views(desk: Desk) -> list[Any]:
    query = "SELECT name FROM sqlite_master WHERE type = 'view'"
    if desk.engine.dialect.name != "sqlite":
        query = "SELECT table_name FROM information_schema.views WHERE table_schema = 'public'"
    with desk.engine.connect() as connection:
        return list(connection.exec_driver_sql(query))


def test_a_view_tells_the_same_fills(lacking: Desk, record: Record) -> None:
    rows = ask(lacking.engine, "SELECT account_id, session_id, seq, item, quantity FROM trade_history")
    told = [(str(ACCOUNTS[row["account_id"]]), *list(row.values())[1:]) for row in rows]
    fills = record.fills()
    assert sorted(told) == [
        (fill.account, fill.session_id, fill.seq, fill.item, float(fill.quantity))
        for fill in sorted(fills, key=lambda fill: (fill.account, fill.session_id, fill.seq, fill.item))
    ]


@pytest.mark.parametrize(
    "command",
    [
        *("orders", "orders --history", "orders --open", "positions", "positions --history", "balances", "fills"),
        *("balances --history", "pnl", "fees", "trips", "timeline", "books", "gaps", "discrepancies", "status"),
    ],
)
def test_every_command_survives(lacking: Desk, command: str) -> None:
    ended = CliRunner().invoke(program, [*command.split(), "--database", lacking.url], catch_exceptions=False)
    assert ended.exit_code in {0, 1}, ended.output


def test_the_report_survives(lacking: Desk) -> None:
    assert render(gather(lacking.url, Filter())).endswith("</html>")


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_an_export_survives(record: Record, tmp_path: Path, form: str) -> None:
    assert export(record, tmp_path / "out", form=form).rows["fills"] > 100


def test_a_served_record_survives(record: Record) -> None:
    for always in ACCOUNTS.values():
        told = RecordedAccount(record, str(always), TOPICS, NOON_NS + 10**6 * S)
        assert answers.answer(0, answers.balances(told.balances()))
        assert answers.results("ok", map(answers.position, told.positions()))
        assert answers.results(0, map(answers.order, told.open_orders()))
        assert answers.results(0, (answers.order(one.state) for one in told.closed_orders(Span(symbol="BTCUSD_P"))))
        for case in cases(always):
            if case.kind == "match":
                assert answers.results(0, map(answers.match, told.executions(str(case.order["id"]))))
