"""The sample frames of the exchange's page, through a socket into SQL: each field of theirs, in its own column."""

import json
from typing import Any

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder
from tests.samples import sample

#: Table → the page's fields as it shows them, in the columns that hold them. Digits are text on SQLite, as sent.
COLUMNS: dict[str, dict[str, Any]] = {
    "account_updates": {
        "ts": 1580802053662,
        "currency": "BTC",
        "available": "1.34242880408925",
        "frozen": "0.0",
        "position_margin": "9.747280117178e-06",
        "updated_at": 1580802053643,
        "extra": None,
    },
    "order_updates": {
        "ts": 1580802204232,
        "order_id": 849758102002,
        "quantity": "1",
        "direction": "LONG",
        "features": 8,
        "price": "10210",
        "fill_price": "9288.0",
        "unfilled_quantity": "0",
        "symbol": "BTCUSD_P",
        "margin_currency": "BTC",
        "fee": "4.8449612403e-08",
        "order_type": "MARKET",
        "status": "FULLY_FILLED",
        "trigger_direction": "LONG",
        "trigger_on": "0",
        "trailing_base_price": "0",
        "trailing_distance": "0",
        "created_at": 1580802204215,
        "extra": None,
    },
    "position_updates": {
        "ts": 1580802507401,
        "symbol": "BTCUSD_P",
        "quantity": "1",
        "direction": "LONG",
        "leverage": "50",
        "risk_level": 0,
        "margin": "9.749658727683e-06",
        "taker_fee_rate": "0.00045",
        "realized_pnl": "-4.8499218623e-08",
        "entry_price": "9278.5",
        "liquidation_price": "9363.483892761602",
        "bankruptcy_price": "8512.606170669584",
        "minimum_maintenance_margin_rate": "0.1",
        "updated_at": 1580802507384,
        "extra": None,
    },
    "heartbeats": {"ts": 1580802053662, "gap_ms": 112},
}


def test_each_field_of_the_page_is_in_its_column(folder: Folder) -> None:
    frames = [sample(name) for name in ("account", "order", "position", "ping")]
    with Simulator(SimulatorOptions(pushes=0)) as exchange:
        folder.configure(exchange)
        with folder.run("--stop-when-idle", "3s") as process:
            process.wait_for("covered")
            for frame in frames:
                assert exchange.push(frame) == 1
            assert process.wait() == 0, process.errors
    assert folder.payloads()[2:] == frames
    for table, fields in COLUMNS.items():
        # `ts` tells the pushed rows from those of the snapshot that the REST answers brought.
        rows = folder.rows(f"SELECT {', '.join(fields)} FROM {table} WHERE ts IS NOT NULL")
        assert [dict(zip(fields, row, strict=True)) for row in rows] == [fields]


def test_no_field_of_the_page_is_left_out() -> None:
    for name, table in (("account", "account_updates"), ("order", "order_updates"), ("position", "position_updates")):
        # What is `extra` is on no page; `ts` stands beside the object.
        assert len(json.loads(sample(name))[name]) == len(COLUMNS[table].keys() - {"ts", "extra"})
