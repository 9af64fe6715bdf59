"""What questions cost on a long record, over a short one: `python -m tests.bench.questions 100000 10000000 [VENUE]`.

A record of four days is written by the writer's own transactions and projected: 100,000 updates of an account that
trades two contracts. A longer one repeats them in SQL, day after day, with other ids and later times, projections
included. Each question is a command or a view with LIMIT; the start-up of Python is left out. It may take 0.5 s, and
1.5 times as long on the long record as on the short one.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple, cast

from click.testing import CliRunner
from rich.console import Console
from rich.table import Table as Shown
from sqlalchemy import Connection, Engine

from recorder.cli.commands import recorder as commands
from recorder.clock import utc_text
from recorder.model import DECODED, PUSH, AccountUpdate, FillUpdate, Frame, OrderUpdate, PositionUpdate, Transaction
from recorder.read.projector import project_all
from recorder.store import migrate
from recorder.store.dialects import POSTGRESQL
from recorder.store.engine import open_engine
from recorder.store.entries import AccountAdded, RunStarted, SessionOpened
from recorder.store.journal import Batch
from recorder.store.mover import Mover, update_statistics
from recorder.store.opening import open_run
from recorder.store.projection_tables import (
    current_states,
    daily_pnl,
    order_states,
    period_sums,
    projected,
    trades,
    trips,
)
from recorder.store.schema import (
    account_updates,
    batches,
    fills,
    frames,
    order_updates,
    position_updates,
    receipts,
    seals,
    sessions,
    spans,
    transactions,
)
from recorder.venues import DEFAULT_VENUE, venue_named
from recorder.venues.base import Venue
from tests.made import ACCOUNT, NOON_NS, quick_engine
from tests.samples import FMEX, sample
from tests.server import PostgresServer

#: Updates in the part that is repeated, frames in a batch, and frames of a session.
PART = 100_000
BATCH = 20
SESSION = 25_000
DAY_MS = 86_400_000
PART_MS = 4 * DAY_MS
STEP_NS = PART_MS * 10**6 // PART
#: Midnight.
BEGIN_MS = NOON_NS // 10**6 // DAY_MS * DAY_MS
SYMBOLS = ("BTCUSD_P", "ETHUSD_P")
#: Order ids and trips of one part are below this.
IDS = 1_000_000
#: Orders that stay open.
OPEN = 5
#: Orders for each payment of funding: some sixty a day.
FUNDING_EVERY = 100
ROUNDS = 7
SECONDS_MAX, RATIO_MAX = 0.5, 1.5

_ORDER = cast("OrderUpdate", FMEX.decode(sample("order")).updates[0])
_POSITION = cast("PositionUpdate", FMEX.decode(sample("position")).updates[0])
_BALANCE = cast("AccountUpdate", FMEX.decode(sample("account")).updates[0])

_FILL = FillUpdate(price="9000.5", quantity="10", fee="0.0000004", fee_currency="USDT", liquidity="taker", kind="trade")

_FUNDING = Transaction(None, 0, None, "funding", currency="USDT", amount="-1E-8")

_TYPED = (order_updates, fills, position_updates, account_updates, transactions)
_REPEATED = (frames, *_TYPED, sessions, batches, spans, seals, receipts)
_PROJECTED = (order_states, trades, period_sums, daily_pnl, trips)
_NS = ("received_ns", "first_ns", "last_ns", "written_ns", "counts_ns", "opened_ns", "covered_ns", "ended_ns")
_MS = (
    *("event_ms", "updated_ms", "created_ms", "executed_ms", "at_ms", "begins_ms", "opened_ms", "closed_ms"),
    *("first_fill_ms", "last_fill_ms", "ended_ms", "occurred_ms"),
)


Told = OrderUpdate | FillUpdate | PositionUpdate | AccountUpdate | Transaction


class Question(NamedTuple):
    """Something that is asked of a record."""

    name: str
    ask: Callable[[str, Engine], None]


def main(short: int = 100_000, long: int = 1_000_000, venue_name: str = DEFAULT_VENUE) -> int:
    """Measure on both engines, print a table, and say by the exit code whether all are fast enough."""
    questions = _questions()
    table = Shown(title=f"Questions on {short:,} and {long:,} updates of {venue_name}, fastest of {ROUNDS}, ms")
    for title in ("question", "SQLite", "", "ratio", "PostgreSQL", "", "ratio"):
        table.add_column(title, justify="left" if title == "question" else "right")
    took: dict[str, list[float]] = {one.name: [] for one in questions}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for engine_name in ("sqlite", POSTGRESQL):
            server = stack.enter_context(PostgresServer()) if engine_name == POSTGRESQL else None
            urls = [record(folder, size, server, venue_name) for size in (short, long)]
            for name, seconds in measured(urls, questions).items():
                took[name] += seconds
            for size in (short, long):
                (folder / f"{size}.db").unlink(missing_ok=True)
    slow = []
    for name, (lite, lite_long, server_s, server_long) in took.items():
        ratios = lite_long / lite, server_long / server_s
        cells = [lite, lite_long, ratios[0], server_s, server_long, ratios[1]]
        table.add_row(name, *(f"{one:.2f}" if one in ratios else f"{one * 1000:.0f}" for one in cells))
        if max(lite_long, server_long) > SECONDS_MAX or max(ratios) > RATIO_MAX:
            slow.append(name)
    Console(width=110).print(table)
    for name in slow:
        print(f"too slow: {name}")
    return 1 if slow else 0


def _questions() -> list[Question]:
    # Of the first part, so that they are the same in every record.
    day = [utc_text((BEGIN_MS + DAY_MS * n) * 10**6).replace(" ", "T")[:19] for n in (1, 2)]
    asked = {
        "status": ("status",),
        "orders": ("orders",),
        "open orders": ("orders", "--open"),
        "fills": ("fills",),
        "positions": ("positions",),
        "balances": ("balances",),
        "one order's life": ("timeline", "--order", "777"),
        "a day's fills": ("fills", "--since", day[0], "--until", day[1], "--format", "csv"),
        "pnl --by month": ("pnl", "--by", "month"),
        "pnl --by month, of a day": ("pnl", "--by", "month", "--since", day[0], "--until", day[1]),
        "funding --by month": ("funding", "--by", "month"),
    }
    views = ("orders", "trade_history", "order_history", "positions", "round_trips", "pnl")
    return [Question(name, partial(_run, words)) for name, words in asked.items()] + [
        Question(f"SQL: {view} LIMIT 10", partial(_select, f"SELECT * FROM {view} LIMIT 10")) for view in views
    ]


def _run(words: tuple[str, ...], url: str, _engine: Engine) -> None:
    result = CliRunner().invoke(commands, [*words, "--database", url], catch_exceptions=False)
    assert result.exit_code == 0 and result.output, result.output


def _select(query: str, _url: str, engine: Engine) -> None:
    with engine.connect() as connection:
        # There are no positions on spot markets.
        assert connection.exec_driver_sql(query).all() or " positions " in query


def measured(urls: list[str], questions: list[Question]) -> dict[str, list[float]]:
    """What each question takes on each record, seconds: at its fastest, in turns: others use the machine."""
    found = {}
    engines = {url: open_engine(url, read_only=True) for url in urls}
    for one in questions:
        rounds: dict[str, list[float]] = {url: [] for url in urls}
        for _ in range(ROUNDS):
            for url, engine in engines.items():
                began_s = time.perf_counter()
                one.ask(url, engine)
                rounds[url].append(time.perf_counter() - began_s)
        found[one.name] = [min(rounds[url]) for url in urls]
        shown = ", ".join(f"{seconds * 1000:.0f} ms" for seconds in found[one.name])
        print(f"{engines[urls[0]].dialect.name}: {one.name}: {shown}", file=sys.stderr, flush=True)
    for engine in engines.values():
        engine.dispose()
    return found


def record(folder: Path, updates: int, server: PostgresServer | None, venue_name: str = DEFAULT_VENUE) -> str:
    """A record of this many updates; its address."""
    file = folder / f"{updates}.db"
    url = f"sqlite:///{file}"
    write(url, venue_name)
    if server is not None:
        source, url = url, server.new_database()
        mover = Mover(quick_engine(source), quick_engine(url))
        while mover.step() is not None:
            pass
        mover.close()
        file.unlink()
    engine = quick_engine(url)
    with engine.connect() as connection:
        for _ in project_all(connection):
            pass
    with engine.begin() as connection:
        repeat(connection, updates // PART)
    with engine.connect() as connection:
        update_statistics(connection)
    if server is not None:
        # A server analyzes tables without partitions by itself, but not the tests' own one. The program analyzes the
        # others.
        plain = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND NOT relispartition"
        with engine.begin() as connection:
            names = connection.exec_driver_sql(f"{plain} AND relnamespace = 'public'::regnamespace").scalars().all()
            connection.exec_driver_sql(f"ANALYZE {', '.join(names)}")
    engine.dispose()
    return url


def write(url: str, venue_name: str = DEFAULT_VENUE) -> None:
    """Write the part that is repeated."""
    engine = quick_engine(url)
    migrate.require_usable(engine)
    with engine.begin() as connection:
        wanted = [AccountAdded(ACCOUNT, venue_name, "main", BEGIN_MS * 10**6)]
        started = RunStarted(1, 0, BEGIN_MS * 10**6, "bench", 1, "bench")
        run, seal, _ = open_run(connection, url, started, wanted)
    told = _told(venue_named(venue_name))
    with engine.connect() as connection:
        for number, start in enumerate(range(0, PART, BATCH), 1):
            batch = Batch(run.recorder_id, run.run_id, number, seal)
            for at in range(start, start + BATCH):
                at_ns = BEGIN_MS * 10**6 + at * STEP_NS
                session_id = (BEGIN_MS + at // SESSION * SESSION * STEP_NS // 10**6) << 20
                if at % SESSION == 0:
                    opened = SessionOpened(ACCOUNT, session_id, run.run_id, "wss://x", ("account",), at_ns)
                    batch.entries.append(opened)
                frame = Frame(ACCOUNT, session_id, at % SESSION, at_ns, PUSH, "topic", DECODED, None, b"{}")
                batch.add(frame, (_at(next(told), at_ns // 10**6),))
            with connection.begin():
                batch.write(connection, at_ns)
            seal = batch.seal
    engine.dispose()


def _at(update: Told, at_ms: int) -> Told:
    if isinstance(update, Transaction):
        return update._replace(event_ms=at_ms, occurred_ms=at_ms)
    if isinstance(update, FillUpdate):
        return update._replace(event_ms=at_ms, executed_ms=at_ms, realized_pnl="0.0000001")
    return update._replace(event_ms=at_ms, updated_ms=at_ms)


def _told(venue: Venue) -> Iterator[Told]:
    """Updates without their time: an order that is new, and filled; the fill if it is pushed; position and balance."""
    terms = venue.stand_in.terms(venue.stand_in.default_symbols)
    # Two contracts, or two spot markets where there are no contracts.
    traded = sorted(terms, key=lambda one: ("linear", "inverse", "spot").index(one.kind))[:2]
    named = [(one.market, one.symbol) for one in traded] if len(traded) == 2 else [(None, one) for one in SYMBOLS]
    is_spot = all(one.kind == "spot" for one in traded)
    held = dict.fromkeys(named, 0)
    for number in count(1):
        market, symbol = key = named[number % 2]
        # In and out again, so that each part ends with the positions that it began with, or nearly so.
        side, by = ("buy", 10) if held[key] == 0 else ("sell", -10)
        order = _ORDER._replace(order_id=str(number), market=market, symbol=symbol, side=side, quantity="10")
        order = order._replace(filled_quantity="0", average_price=None, fee="0", created_ms=BEGIN_MS + number)
        yield order._replace(status="new")
        if number > OPEN:
            yield order._replace(status="filled", filled_quantity="10", average_price="9000.5", fee="0.0000004")
            held[key] += by
            if venue.pushes_fills:
                yield _FILL._replace(
                    trade_id=str(number), order_id=str(number), market=market, symbol=symbol, side=side
                )
            if not is_spot:
                position = _POSITION._replace(market=market, symbol=symbol, quantity=str(held[key]))
                yield position._replace(realized_pnl=f"{number}E-8")
            yield _BALANCE._replace(balance=str(number))
        if number % FUNDING_EVERY == 0:
            paid = _FUNDING._replace(transaction_id=str(number), balance_after=str(number))
            yield paid._replace(market=market, symbol=symbol)


def repeat(connection: Connection, times: int) -> None:
    """Repeat what is there, each time later."""
    if times < 2:
        return
    is_server = connection.dialect.name == POSTGRESQL
    connection.exec_driver_sql("CREATE TEMPORARY TABLE numbers (k BIGINT)")
    values = ", ".join(f"({k})" for k in range(1, times))
    connection.exec_driver_sql(f"INSERT INTO numbers VALUES {values}")
    for table in (*_REPEATED, *_PROJECTED):
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE part AS SELECT * FROM {table.name}")
        columns = ", ".join(_later(column.name) for column in table.c)
        order = f"ORDER BY k, {', '.join(column.name for column in table.primary_key)}" if is_server else ""
        connection.exec_driver_sql(f"INSERT INTO {table.name} SELECT {columns} FROM numbers CROSS JOIN part {order}")
        connection.exec_driver_sql("DROP TABLE part")
    connection.exec_driver_sql(f"DELETE FROM numbers WHERE k < {times - 1}")
    for table in (current_states, projected):
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE part AS SELECT * FROM {table.name}")
        connection.exec_driver_sql(f"DELETE FROM {table.name}")
        columns = ", ".join(_later(column.name) for column in table.c)
        connection.exec_driver_sql(f"INSERT INTO {table.name} SELECT {columns} FROM numbers CROSS JOIN part")
        connection.exec_driver_sql("DROP TABLE part")
    connection.exec_driver_sql("DROP TABLE numbers")


def _later(column: str) -> str:
    """A column of the part, as it is in its kth repetition."""
    if column in {"order_id", "trade_id", "transaction_id"}:
        return f"CAST(CAST({column} AS BIGINT) + k * {IDS} AS TEXT)"
    later = {
        **dict.fromkeys(_NS, PART_MS * 10**6),
        **dict.fromkeys(_MS, PART_MS),
        "session_id": PART_MS << 20,
        "batch": PART // BATCH + 1,
        "trip": IDS,
    }
    return f"{column} + k * {later[column]}" if column in later else column


if __name__ == "__main__":
    short, long, venue_name, *_ = [*sys.argv[1:], *("100000", "1000000", DEFAULT_VENUE)[len(sys.argv) - 1 :]]
    sys.exit(main(int(short), int(long), venue_name))
