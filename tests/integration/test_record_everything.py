"""The main job: everything the exchange sent is in the tables, byte for byte, once, in order; and all of it adds up."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import recorder
from recorder.simulator import Simulator, SimulatorOptions
from tests.depth import size
from tests.integration.process import PATIENCE_S, Folder

PUSHES = size(100_000)

#: The page's field → our column, where they differ; and the columns that hold integers.
RENAMED = {
    "account": {"position": "position_margin"},
    "order": {"id": "order_id", "type": "order_type"},
    "position": {},
}
INTEGERS = {"id", "features", "created_at", "updated_at", "risk_level"}


def independent_rows(payloads: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The typed rows as another hand would make them: the standard library's JSON, every number as its digits."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for payload in payloads:
        message = json.loads(payload, parse_float=str, parse_int=str)
        kind = message["type"].partition(".")[0]
        if kind in RENAMED:
            row: dict[str, Any] = {"ts": int(message["ts"])}
            for name, value in message[kind].items():
                row[RENAMED[kind].get(name, name)] = int(value) if name in INTEGERS else value
            rows[kind].append(row)
    return rows


def stored_rows(folder: Folder, kind: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    sql = f"SELECT {', '.join(columns)} FROM {kind}_updates WHERE ts IS NOT NULL ORDER BY session_id, seq, item"
    return (dict(zip(columns, row, strict=True)) for row in folder.rows(sql))


@pytest.mark.timeout(300)
def test_every_push_of_a_long_run_is_recorded(folder: Folder) -> None:
    with Simulator(SimulatorOptions(seed=11, pushes=PUSHES)) as exchange:
        folder.configure(exchange)
        with folder.run("--stop-when-idle", "3s", "--ack-file", str(folder.ack_file)) as process:
            exchange.wait_finished(PATIENCE_S * 5)
            assert process.wait() == 0, process.errors
        sent = [sent.payload for sent in exchange.sent]
    assert len([one for one in exchange.sent if one.kind == "push"]) == PUSHES

    received = folder.payloads()
    assert len(received) == len(sent)
    assert received == sent, "a frame is missing, changed, repeated or out of order"
    assert folder.rows("SELECT count(*) FROM frames WHERE status = 'undecoded'") == [(0,)]

    expected = independent_rows(sent)
    assert set(expected) == {"account", "order", "position"}
    for kind, rows in expected.items():
        assert list(stored_rows(folder, kind, list(rows[0]))) == rows
        assert folder.rows(f"SELECT count(*) FROM {kind}_updates WHERE extra IS NOT NULL AND ts IS NOT NULL") == [(0,)]

    assert_fills_add_up(folder)
    newest = "ORDER BY session_id DESC, seq DESC LIMIT 1"
    (last,) = folder.rows(f"SELECT session_id, seq FROM frames WHERE source = 'push' {newest}")
    mark = folder.acknowledged()["accounts"]["main"]
    assert (mark["session_id"], mark["seq"]) == last


def assert_fills_add_up(folder: Folder) -> None:
    quantity: dict[int, Decimal] = defaultdict(Decimal)
    fee: dict[int, Decimal] = defaultdict(Decimal)
    origins: Counter[str] = Counter()
    with recorder.open(f"sqlite:///{folder.database}") as record:
        for fill in record.fills():
            # Reckoned from the pushes; or of REST, where it was asked while this order was filled in part.
            origins[fill.origin] += 1
            assert fill.fee is not None
            quantity[fill.order_id] += fill.quantity
            fee[fill.order_id] += fill.fee
        orders = list(record.orders())
    assert origins["derived"] > 1_000 > 10 * origins["venue"]
    assert sum(1 for order in orders if quantity[order.order_id]) > 1_000
    for order in orders:
        assert order.quantity is not None
        assert order.unfilled_quantity is not None
        assert quantity[order.order_id] == order.quantity - order.unfilled_quantity
        assert fee[order.order_id] == order.fee


def test_several_accounts_in_one_process(folder: Folder) -> None:
    options = SimulatorOptions(accounts={"key-a": "secret-a", "key-b": "secret-b"}, pushes=2_000)
    with Simulator(options) as exchange:
        folder.configure(exchange, accounts={"first": "key-a", "second": "key-b"})
        with folder.run("--stop-when-idle", "2s") as process:
            assert process.wait() == 0, process.errors
        for account in ("first", "second"):
            pushed = [payload for payload in folder.payloads(account) if payload.startswith(b'{"type":"order')]
            assert pushed
        by_connection: dict[int, list[bytes]] = defaultdict(list)
        for sent in exchange.sent:
            by_connection[sent.connection].append(sent.payload)
        assert sorted(by_connection.values()) == sorted(folder.payloads(name) for name in ("first", "second"))


def test_what_is_acknowledged_is_durable_at_that_moment(folder: Folder) -> None:
    """Asked again and again while frames pour in: the file first, then a fresh reader."""
    with Simulator(SimulatorOptions(pushes=30_000)) as exchange:
        folder.configure(exchange)
        looks = 0
        with folder.run("--stop-when-idle", "1s", "--ack-file", str(folder.ack_file)) as process:
            process.wait_for("covered")
            while process.running:
                mark = folder.acknowledged()["accounts"].get("main")
                if mark is not None:
                    key = mark["session_id"], mark["seq"]
                    sql = "SELECT count(*) FROM frames WHERE session_id = ? AND seq <= ?"
                    assert folder.rows(sql, *key) == [(mark["seq"] + 1,)]
                    looks += 1
            assert process.wait() == 0, process.errors
    assert looks > 10
