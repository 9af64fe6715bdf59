"""The sample frames of the exchange's page, through a socket into SQL: in common columns, and under its own names."""

import json
from typing import Any

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder
from tests.samples import sample

#: Table → every column that holds something. Digits are text on SQLite, as sent.
COLUMNS: dict[str, dict[str, Any]] = {
    "account_updates": {
        "event_ms": 1580802053662,
        "is_snapshot": 0,
        "is_partial": 0,
        "currency": "BTC",
        "balance": "1.342438551369367178",
        "available": "1.34242880408925",
        "locked": "0.0",
        "position_margin": "9.747280117178e-06",
        "updated_ms": 1580802053643,
    },
    "order_updates": {
        "event_ms": 1580802204232,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTCUSD_P",
        "order_id": "849758102002",
        "side": "buy",
        "order_type": "market",
        "time_in_force": "ioc",
        "post_only": 0,
        "price": "10210",
        "quantity": "1",
        "filled_quantity": "1",
        "average_price": "9288.0",
        "status": "filled",
        "venue_status": "FULLY_FILLED",
        "fee": "4.8449612403e-08",
        "fee_currency": "BTC",
        "created_ms": 1580802204215,
    },
    "position_updates": {
        "event_ms": 1580802507401,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTCUSD_P",
        "quantity": "1",
        "entry_price": "9278.5",
        "liquidation_price": "9363.483892761602",
        "leverage": "50",
        "margin": "9.749658727683e-06",
        "realized_pnl": "-4.8499218623e-08",
        "updated_ms": 1580802507384,
    },
    "heartbeats": {"event_ms": 1580802053662, "is_snapshot": 0, "gap_ms": 112},
}
KEY = {"account_id", "session_id", "seq", "item", "received_ns"}


def test_each_field_of_the_page_is_in_its_column(folder: Folder) -> None:
    frames = [sample(name) for name in ("account", "order", "position", "ping")]
    with Simulator(SimulatorOptions(pushes=0)) as exchange:
        folder.configure(exchange)
        with folder.run() as process:
            process.wait_for("covered")
            for frame in frames:
                assert exchange.push(frame) == 1
            folder.finish(process, exchange)
    assert folder.payloads()[2:] == frames
    for table, fields in COLUMNS.items():
        # Only pushes have the exchange's time: the rows of the snapshot over REST have none.
        (row,) = _rows(folder, f"{table} WHERE event_ms IS NOT NULL")
        assert {name: value for name, value in row.items() if value is not None and name not in KEY} == fields
    for kind in ("account", "order", "position"):
        (row,) = _rows(folder, f"fmex_{kind}")
        sent = json.loads(sample(kind), parse_float=str, parse_int=str)[kind]
        assert {name: str(row[name]) for name in sent} == {name: str(value) for name, value in sent.items()}


def _rows(folder: Folder, source: str) -> list[dict[str, Any]]:
    names = [name for (name,) in folder.rows("SELECT name FROM pragma_table_info(?)", source.split(maxsplit=1)[0])]
    return [dict(zip(names, row, strict=True)) for row in folder.rows(f"SELECT * FROM {source}")]
