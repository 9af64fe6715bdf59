"""Exported files hold what the record holds, in every format, from every backend."""

import json
from base64 import b64decode
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from sqlalchemy import update

from recorder.export import export
from recorder.export.manifest import read_manifest
from recorder.export.scope import Scope
from recorder.export.tables import TABLES
from recorder.read.record import Filter
from recorder.store import schema
from recorder.venues import VENUES
from tests.contract import exported
from tests.contract.exported import DAY_NS, ODD
from tests.made import NOON_NS, SESSION, received
from tests.unit.read.desk import OTHER, Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_every_table_says_what_the_record_says[postgresql-parquet]",
    "test_frames_come_back_byte_for_byte[postgresql-parquet]",
    "test_an_export_of_one_account_contains_no_other",
)

#: The keys of tables that are not read in the order of receipt.
KEYS = {
    "event_log": ("run_id", "batch", "item"),
    "accounts": ("account_id",),
    "recorders": ("recorder_id",),
    "runs": ("run_id",),
    "checkpoints": ("recorder_id", "size"),
    "sessions": ("account_id", "session_id"),
    "reconciliations": ("account_id", "reconciliation_id"),
    "redactions": ("account_id", "session_id", "first_seq"),
    "gaps": ("account", "gap_id"),
}


def key_of(table: str, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    if table in KEYS:
        return KEYS[table]
    return ("account", "session_id", "seq", *(("item",) if rows and "item" in rows[0] else ()))


def as_written(form: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the record as it should be in a format."""
    if form == "parquet":
        return dict(row)
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name == "payload":
            try:
                found |= {name: value.decode(), f"{name}_base64": None}
            except UnicodeDecodeError:
                found |= {name: None, f"{name}_base64": value}
        else:
            found[name] = value
    return found


def same(form: str, name: str, written: Any, value: Any) -> bool:
    """Whether a value in a file is the value in the record."""
    if value is None or written is None:
        return value is None and written is None
    if name.endswith("_base64"):
        return bool(b64decode(written) == value)
    if form == "parquet":
        return bool(written == value and isinstance(written, type(value)))
    if isinstance(value, Decimal):
        return isinstance(written, str) and Decimal(written) == value
    if form == "jsonl":
        return bool(written == value and isinstance(written, type(value)))
    return bool(written == ({True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)))


@pytest.mark.parametrize("form", exported.READERS)
def test_every_table_says_what_the_record_says(full: Desk, tmp_path: Path, form: str) -> None:
    folder = exported.made(full, tmp_path / "export", form=form)
    for table in TABLES:
        rows = exported.expected(full, table)
        found = exported.READERS[form](folder, table)
        assert len(found) == len(rows), table
        assert rows or table in {"venue_fills", "heartbeats", "listings"}, table
        key = key_of(table, rows)
        if form == "csv":
            for row in found:
                row |= {name: int(row[name]) for name in key if name != "account"}
        for row, written in zip(exported.sorted_rows(rows, key), exported.sorted_rows(found, key), strict=True):
            wanted = as_written(form, row)
            for name, value in wanted.items():
                if form == "csv" and name in key and name != "account":
                    assert written[name] == value
                else:
                    assert same(form, name, written[name], value), (table, name, written[name], value)
            derived = {name for name in written if name not in wanted}
            assert all(name.endswith("_utc") or name in {"received_day", "day", "month"} for name in derived), derived
            if form == "parquet":
                assert_times(written)


def assert_times(row: dict[str, Any]) -> None:
    """Each readable time is that of the integer beside it."""
    for name, value in row.items():
        if not name.endswith("_utc"):
            continue
        stem = name.removesuffix("_utc")
        sources = f"{stem}_ns", f"{stem}_ms"
        (source,) = (name for name in sources if name in row)
        unit_ns = 1 if source.endswith("_ns") else 1_000_000
        result = None if row[source] is None else exported.instant(row[source], unit_ns)
        assert value == result, (name, row[source])
    if "received_day" in row:
        assert row["received_day"] == row["received_utc"].strftime("%Y-%m-%d")
    if "day" in row:
        assert (row["day"], row["month"]) == (row["at_utc"].strftime("%Y-%m-%d"), row["at_utc"].strftime("%Y-%m"))


@pytest.mark.parametrize(
    ("wanted", "keep"),
    [
        (Filter(account="other"), lambda row: row["account"] == "other"),
        (Filter(since_ns=NOON_NS + 12), lambda row: row["received_ns"] >= NOON_NS + 12),
        (Filter(until_ns=NOON_NS + 12), lambda row: row["received_ns"] < NOON_NS + 12),
        (
            Filter("main", None, NOON_NS + 3, NOON_NS + 14),
            lambda row: row["account"] == "main" and NOON_NS + 3 <= row["received_ns"] < NOON_NS + 14,
        ),
        (Filter(symbol="ethusd_P"), lambda row: row.get("symbol", "ETHUSD_P") == "ETHUSD_P"),
    ],
)
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_filters_select_rows(
    full: Desk, tmp_path: Path, form: str, wanted: Filter, keep: Callable[[dict[str, Any]], bool]
) -> None:
    tables = "account_updates", "order_updates", "position_updates", "order_history", "transactions", "instruments"
    folder = exported.made(full, tmp_path / "export", *tables, wanted=wanted, form=form)
    for table in tables:
        rows = [row for row in exported.expected(full, table) if keep(row)]
        key = key_of(table, rows)
        found = exported.sorted_rows(exported.READERS[form](folder, table), key)
        assert [[row[name] for name in key] for row in found] == [
            [row[name] for name in key] for row in exported.sorted_rows(rows, key)
        ]


@pytest.mark.parametrize(
    ("scope", "keep"),
    [
        (Scope(topics=("account",)), lambda frame: frame.topic == "account"),
        (Scope(topics=("account", "order.ethusd_p")), lambda frame: frame.topic in {"account", "order.ethusd_p"}),
        # Frames that name no symbol stay: balances, commands, answers, undecoded frames.
        (Scope(Filter(symbol="BTCUSD_P")), lambda frame: frame.topic != "order.ethusd_p"),
        (
            Scope(Filter(symbol="btcusd_p", since_ns=NOON_NS + DAY_NS)),
            lambda frame: frame.received_ns >= NOON_NS + DAY_NS,
        ),
    ],
)
def test_filters_select_frames(full: Desk, tmp_path: Path, scope: Scope, keep: Callable[[Any], bool]) -> None:
    with full.open() as record:
        everything = exported.frames_of(export(record, tmp_path / "everything", ["frames"]).folder)
        some = exported.frames_of(export(record, tmp_path / "some", ["frames"], scope).folder)
    assert some == [frame for frame in everything if keep(frame)]
    assert 0 < len(some) < len(everything)


@pytest.mark.parametrize("form", exported.READERS)
def test_frames_come_back_byte_for_byte(full: Desk, tmp_path: Path, form: str) -> None:
    folder = exported.made(full, tmp_path / "export", "frames", form=form)
    rows = exported.sorted_rows(exported.expected(full, "frames"), ("account", "session_id", "seq"))
    assert [frame._asdict() for frame in exported.frames_of(folder)] == [
        {name: row[name] for name in exported.frames_of(folder)[0]._fields} for row in rows
    ]
    assert {frame.payload for frame in exported.frames_of(folder)} > set(ODD)


@pytest.mark.parametrize("form", exported.READERS)
def test_the_manifest_describes_every_file(full: Desk, tmp_path: Path, form: str) -> None:
    folder = exported.made(full, tmp_path / "export", form=form)
    result = read_manifest(folder)
    listed = {file["path"]: file for table in result["tables"].values() for file in table["files"]}
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert listed.keys() | {"manifest.json"} == there.keys()
    for path, file in listed.items():
        data = there[path].read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), sha256(data).hexdigest())
    assert result["tables"].keys() == TABLES.keys() | {"seals", "spans", "redaction_entries"}
    for name, table in result["tables"].items():
        assert table["rows"] == sum(file["rows"] for file in table["files"])
        assert table["rows"] == len(exported.READERS[form](folder, name))
    frames = result["tables"]["frames"]["files"]
    assert frames[0]["first"] == [SESSION, 0]
    assert frames[-1]["last"] == [SESSION + 1, exported.frames_of(folder)[-1].seq]
    assert {(one["account"], one["complete"]) for one in result["accounts"]} == {("main", True), ("other", True)}


def test_all_tables_show_one_state(own: Desk, tmp_path: Path) -> None:
    def count() -> dict[str, int]:
        with own.open() as record:
            return export(record, tmp_path / str(len(list(tmp_path.iterdir())))).rows

    before = count()

    def meanwhile(_table: str, _rows: int, _of: int | None) -> None:
        own.order(30, session_id=SESSION + 9)
        own.balance(31, session_id=SESSION + 9)

    with own.open() as record:
        result = export(record, tmp_path / "export", progress=meanwhile).rows
    assert result == before
    assert count()["frames"] > before["frames"]


def test_overlapping_sessions_and_a_clock_set_back_lose_no_row(desk: Desk, tmp_path: Path) -> None:
    days = [0, 1, 0, 2, 1, 1]
    for session in (90, 91):
        result = [received(n, at_ns=NOON_NS + day * DAY_NS + n, session_id=session) for n, day in enumerate(days)]
        desk.write(*result)
    folder = exported.made(desk, tmp_path / "export", "frames", "order_updates")
    assert len(exported.parquet(folder, "order_updates")) == len(exported.expected(desk, "order_updates"))
    assert len({(frame.session_id, frame.seq) for frame in exported.frames_of(folder)}) == len(
        exported.expected(desk, "frames")
    )
    assert len(list((folder / "frames/venue=fmex/account=main").glob("*/*.parquet"))) > 3


def test_an_empty_table_has_its_columns(full: Desk, tmp_path: Path) -> None:
    folder = exported.made(full, tmp_path / "export", "venue_fills", "redactions")
    (path,) = (folder / "venue_fills").rglob("*.parquet")
    assert pyarrow.parquet.read_schema(path).names[-3:] == ["executed_ms", "executed_utc", "extra"]
    assert exported.parquet(folder, "venue_fills") == []


def test_columns_are_written_in_the_requested_order(full: Desk, tmp_path: Path) -> None:
    folder = exported.made(full, tmp_path / "export", "fills", columns=["price", "account", "at_utc"], form="csv")
    assert (folder / "fills.csv").read_text().splitlines()[0] == "price,account,at_utc"


def test_an_export_of_one_account_contains_no_other(full: Desk, tmp_path: Path) -> None:
    folder = exported.made(full, tmp_path / "export", wanted=Filter("other"), form="jsonl")
    for table in TABLES:
        for row in exported.jsonl(folder, table):
            assert row.get("account", "other") == "other", table
            assert row.get("account_id", OTHER) == OTHER, table
            assert json.loads(row.get("body", "{}")).get("account_id", OTHER) == OTHER
    bodies = [row["body"] for row in exported.jsonl(folder, "event_log")]
    assert any('"account_id":8,' in body for body in bodies) and any("RunStarted" in body for body in bodies)


@pytest.mark.parametrize("form", exported.READERS)
def test_accounts_of_one_name_on_two_venues_are_told_apart(
    own: Desk, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VENUES, "okx", VENUES["fmex"])
    with own.engine.begin() as connection:
        named = update(schema.accounts).where(schema.accounts.c.account_id == OTHER)
        connection.execute(named.values(name="main", venue="okx"))
    folder = exported.made(own, tmp_path / "export", form=form)
    result = read_manifest(folder)
    assert [(one["venue"], one["account"]) for one in result["accounts"]] == [("fmex", "main"), ("okx", "main")]
    assert all(one["complete"] for one in result["accounts"])
    for table in TABLES:
        for row in exported.READERS[form](folder, table):
            if "account" in row:
                assert row["account"] == "main" and row["venue"] in {"fmex", "okx"}, table
            if "account" in row and "account_id" in row:
                assert row["venue"] == ("okx" if int(row["account_id"]) == OTHER else "fmex"), table
    orders = exported.READERS[form](folder, "orders")
    assert sorted((row["venue"], row["order_id"]) for row in orders) == [
        *(("fmex", order_id) for order_id in ("1", "2", "3")),
        ("okx", "1"),
    ]
    one = exported.made(own, tmp_path / "one", wanted=Filter("okx/main"), form=form)
    assert {row["venue"] for row in exported.READERS[form](one, "order_history")} == {"okx"}
    assert [len(exported.READERS[form](one, table)) for table in ("orders", "sessions", "accounts")] == [1, 1, 1]
