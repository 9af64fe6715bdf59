"""The main job: everything the exchange sent is in the tables, byte for byte, once, in order; and all of it adds up."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

import pytest

import recorder
from recorder.simulator import Simulator, SimulatorOptions
from tests.depth import size
from tests.integration.process import Folder
from tests.unit.fmex.pushes import PAGE, record_of

PUSHES = size(100_000)


class Number(str):
    """The digits of a JSON number."""


def independent_rows(payloads: list[bytes]) -> dict[str, list[dict[str, object]]]:
    """The typed rows as another hand would make them: the standard library's JSON, every number as its digits."""
    rows: dict[str, list[dict[str, object]]] = defaultdict(list)
    for payload in payloads:
        message = json.loads(payload, parse_float=Number, parse_int=Number)
        kind = message["type"].partition(".")[0]
        if kind in PAGE:
            fields = {
                name: value if isinstance(value, Number) else json.dumps(value) for name, value in message[kind].items()
            }
            rows[kind].append(record_of(kind, fields) | {"event_ms": int(message["ts"])})
    return rows


def stored_rows(folder: Folder, kind: str, columns: list[str]) -> Iterator[dict[str, object]]:
    sql = f"SELECT {', '.join(columns)} FROM {kind}_updates WHERE event_ms IS NOT NULL ORDER BY session_id, seq, item"
    return (dict(zip(columns, row, strict=True)) for row in folder.rows(sql))


@pytest.mark.timeout(300)
def test_every_push_of_a_long_run_is_recorded(folder: Folder) -> None:
    with Simulator(SimulatorOptions(seed=11, pushes=PUSHES)) as exchange:
        folder.configure(exchange)
        folder.record(exchange, "--ack-file", str(folder.ack_file))
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

    assert_fills_add_up(folder)
    newest = "ORDER BY session_id DESC, seq DESC LIMIT 1"
    (last,) = folder.rows(f"SELECT session_id, seq FROM frames WHERE source = 'push' {newest}")
    mark = folder.acknowledged()["accounts"]["main"]
    assert (mark["session_id"], mark["seq"]) == last


def assert_fills_add_up(folder: Folder) -> None:
    quantity: dict[str | None, Decimal] = defaultdict(Decimal)
    fee: dict[str | None, Decimal] = defaultdict(Decimal)
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
    assert len([order for order in orders if quantity[order.order_id]]) > 1_000
    for order in orders:
        assert quantity[order.order_id] == order.filled_quantity
        assert fee[order.order_id] == order.fee


def test_several_accounts_in_one_process(folder: Folder) -> None:
    options = SimulatorOptions(accounts={"key-a": "secret-a", "key-b": "secret-b"}, pushes=2_000)
    with Simulator(options) as exchange:
        folder.configure(exchange, accounts={"first": "key-a", "second": "key-b"})
        folder.record(exchange)
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
        with folder.run("--stop-when-idle", "3s", "--ack-file", str(folder.ack_file)) as process:
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
