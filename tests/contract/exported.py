"""A record to export, and other libraries that read the exports."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset
from sqlalchemy import select

from recorder.export import export
from recorder.export.manifest import files_of, read_manifest
from recorder.export.reading import ExportedFrame, rows_in
from recorder.export.scope import Scope
from recorder.live.channel import Recorded
from recorder.model import REST
from recorder.read.record import Filter, Record
from recorder.store import schema
from recorder.store.entries import (
    CheckpointMade,
    Covered,
    DiscrepancyFound,
    FramesRedacted,
    ReconciliationBegan,
    ReconciliationEnded,
    SessionEnded,
    SessionOpened,
)
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, SESSION, received, sent
from tests.unit.read.desk import OTHER, Desk

S = 10**9
DAY_NS = 86_400 * S
TOPICS = ("account", "order.btcusd_p", "position.btcusd_p", "order.ethusd_p")
ROUND = SESSION + 5

#: Payloads that text formats must preserve: not UTF-8, quotes, line ends, NUL, empty.
ODD = (b"\xff\xfe{", b'"a";b,c\r\nd\n\\', b"nul\x00nul", b"", b"\xe2\x80\xa8 \xf0\x9f\x98\x80", b"=1+1")

#: Table of an export → the table or the read with the same rows.
TABLES: dict[str, Any] = {
    **{name: table for name, table in schema.metadata.tables.items() if name not in {"gaps", "fills"}},
    "venue_fills": schema.fills,
}
READS: dict[str, Callable[[Record, Filter], Any]] = {
    "fills": Record.fills,
    "order_history": Record.order_history,
    "position_history": Record.position_history,
    "balance_history": Record.balance_history,
    "orders": Record.orders,
    "positions": Record.positions,
    "balances": Record.balances,
    "gaps": Record.gaps,
    "discrepancies": Record.discrepancies,
}


class Pushes:
    """One session's frames, numbered without a gap and kept until a batch is written."""

    def __init__(self, account_id: int, session_id: int) -> None:
        self._key = {"account_id": account_id, "session_id": session_id}
        self._seqs = count()
        self.frames: list[Recorded] = []

    def add(self, at: int, payload: bytes | str) -> None:
        """Receive a push at a number of nanoseconds after noon."""
        result = payload.encode() if isinstance(payload, str) else payload
        self.frames.append(received(next(self._seqs), result, at_ns=NOON_NS + at, **self._key))

    def send(self) -> None:
        """Send a command."""
        self.frames.append(sent(next(self._seqs), **self._key))

    def order(self, at: int, order_id: int, unfilled: int, symbol: str = "BTCUSD_P") -> None:
        """Receive an order."""
        self.add(
            at,
            f'{{"type":"order.{symbol.lower()}","ts":{at},"order":{{"id":{order_id},"symbol":"{symbol}",'
            f'"quantity":10,"unfilled_quantity":{unfilled},"fill_price":9000.{at % 1000},"fee":-0.{at % 1000:018d}}}}}',
        )

    def balance(self, at: int, result: str) -> None:
        """Receive a balance."""
        self.add(at, f'{{"type":"account","ts":{at},"account":{{{result}}}}}')

    def take(self) -> list[Recorded]:
        """Take the frames that were not written yet."""
        taken, self.frames = self.frames, []
        return taken


def fill(desk: Desk) -> None:
    """Write a bit of everything: two accounts, two contracts, two days, a gap, an answer, frames of every kind."""
    main, other = Pushes(ACCOUNT, SESSION), Pushes(OTHER, SESSION + 1)
    for pushes, key in ((main, (ACCOUNT, SESSION)), (other, (OTHER, SESSION + 1))):
        pushes.add(0, b'{"type":"topics","topics":[]}')
        pushes.send()
        opened = SessionOpened(*key, RUN, "wss://x", TOPICS, NOON_NS)
        desk.write(*pushes.take(), entries=[opened, Covered(*key, 0, NOON_NS, TOPICS, {})])
    for number, payload in enumerate(ODD):
        main.add(number, payload)
    desk.write(*main.take())
    for at in range(10, 15):
        main.order(at, 1, 24 - at - 10)
        main.order(at, 2, 10, "ETHUSD_P")
        main.add(at, f'{{"type":"p","ts":{at},"position":{{"symbol":"BTCUSD_P","quantity":{at}}}}}')
        main.balance(at, f'"currency":"BTC","available":2.{at}6888254907565438')
        desk.write(*main.take())
    main.balance(15, '"currency":"ETH","available":9.747280117178e-06')
    main.balance(15, '"currency":"XRP","available":0E-18')
    main.add(16, '{"type":"account","ts":-1,"account":{"currency":"X","available":null}}')
    main.add(17, f'{{"type":"account","ts":{2**63 - 1},"account":{{"currency":"","frozen":1e3,"new":[1.0]}}}}')
    other.order(18, 1, 3)
    # One batch of two sessions.
    desk.write(*main.take(), *other.take())
    next_day = DAY_NS + 20
    main.order(next_day, 3, 1)
    main.order(next_day + 1, 3, 0)
    last = main.frames[-1].frame
    over = SessionEnded(ACCOUNT, SESSION, NOON_NS + next_day + S, "lost", "", True, last.seq, last.received_ns)
    desk.write(*main.take(), entries=[over])
    result = received(0, b'{"status":0,"data":[]}', session_id=ROUND, at_ns=NOON_NS + next_day + 2 * S)
    asked = result.frame._replace(source=REST, topic="/v3/contracts/orders?states=open", status="decoded")
    desk.write(
        result._replace(frame=asked),
        entries=[
            ReconciliationBegan(ACCOUNT, ROUND, RUN, NOON_NS + next_day + S),
            ReconciliationEnded(ACCOUNT, ROUND, SESSION, NOON_NS + next_day + 3 * S, "failed", "busy"),
            DiscrepancyFound(ACCOUNT, SESSION, 20, "balance BTC", "available", "1", None, SESSION, NOON_NS + 30),
            CheckpointMade(RECORDER, 3, NOON_NS, "a note\nof two lines\n", None),
            FramesRedacted(ACCOUNT, SESSION, 5, 5, NOON_NS, "me", "no reason"),
        ],
    )
    _write_what_fmex_never_sends(desk)


def _write_what_fmex_never_sends(desk: Desk) -> None:
    """A transaction and two instruments."""
    place = {"account_id": ACCOUNT, "session_id": SESSION, "seq": 99, "received_ns": NOON_NS + 9, "is_snapshot": 0}
    amount = {"type": "funding", "amount": "-0.000000000000000001", "symbol": "BTCUSD_P", "occurred_ms": 2**63 - 1}
    size = {"kind": "inverse", "contract_size": "1", "price_tick": "0.50"}
    with desk.engine.begin() as connection:
        connection.execute(schema.transactions.insert().values(place | {"item": 0} | amount))
        for item, symbol in enumerate(("BTCUSD_P", "ETHUSD_P"), 1):
            connection.execute(schema.instruments.insert().values(place | {"item": item, "symbol": symbol} | size))


def expected(desk: Desk, table: str, wanted: Filter = Filter()) -> list[dict[str, Any]]:  # noqa: B008
    """The rows of a table, from the database; accounts by name."""
    if table in READS:
        with desk.open() as record:
            return [{"venue": "fmex", **row._asdict()} for row in READS[table](record, wanted)]
    source = TABLES[table]
    with desk.engine.connect() as connection:
        names = {row.account_id: row.name for row in connection.execute(select(schema.accounts))}
        runs = {
            (row.account_id, row[1]): row.run_id
            for keys in (schema.sessions, schema.reconciliations)
            for row in connection.execute(select(keys.c.account_id, list(keys.primary_key)[1], keys.c.run_id))
        }
        rows = [row._asdict() for row in connection.execute(select(source))]
    for row in rows:
        if "account_id" in row and table != "accounts":
            row |= {"venue": "fmex", "account": names[row["account_id"]]}
        if table == "frames":
            row["run_id"] = runs.get((row["account_id"], row["session_id"]))
    return rows


def parquet(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table in Parquet."""
    place = folder / table if (folder / table).is_dir() else folder / f"{table}.parquet"
    return list(pyarrow.dataset.dataset(place, partitioning="hive").to_table().to_pylist())


def csv(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a CSV file as DuckDB reads them, all values as text."""
    options = "header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"', auto_detect = false"
    head = (folder / f"{table}.csv").read_bytes().split(b"\n", 1)[0].decode().split(",")
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in head)
    read = f"read_csv('{folder / table}.csv', {options}, columns = {{{columns}}}, allow_quoted_nulls = false)"
    found = duckdb.connect().execute(f"SELECT * FROM {read}").fetchall()
    return [dict(zip(head, row, strict=True)) for row in found]


def jsonl(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a JSON lines file."""
    return [json.loads(line) for line in (folder / f"{table}.jsonl").read_bytes().split(b"\n")[:-1]]


def instant(value: int, unit_ns: int) -> datetime | None:
    """The time of an integer; None outside the calendar."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value * unit_ns // 1_000)
    except OverflowError:
        return None


def sorted_rows(rows: list[dict[str, Any]], key: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows sorted by some columns."""
    return sorted(rows, key=lambda row: tuple(row[name] for name in key))


READERS = {"parquet": parquet, "csv": csv, "jsonl": jsonl}


def made(desk: Desk, folder: Path, *tables: str, wanted: Filter | None = None, **how: Any) -> Path:
    """An export."""
    with desk.open() as record:
        export(record, folder, tables, Scope(wanted or Filter()), **how)
    return folder


def frames_of(folder: Path) -> list[ExportedFrame]:
    """The frames of an export."""
    result = read_manifest(folder)
    return [frame for file in files_of(folder, result, "frames") for frame in rows_in(file, ExportedFrame)]
