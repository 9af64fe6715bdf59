"""A served record of Deribit, recorded again: the same fills, orders, positions, and the same transaction log."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

import recorder
from recorder.clock import Clock
from recorder.live.recording import Recording
from recorder.live.settings import Account
from recorder.model import PUSH
from recorder.replay.serving import Serving, ServingOptions
from recorder.simulator import Simulator, SimulatorOptions
from recorder.store.engine import open_engine
from recorder.store.schema import frames
from recorder.venues import venue_named
from recorder.venues.deribit import answers
from recorder.venues.deribit.questions import get
from recorder.venues.rest import Credentials
from tests.client import fetch
from tests.faults.complete import wait_reconciled
from tests.faults.live import AT_ONCE, account_at
from tests.waiting import wait_until

CURRENCIES = ("BTC", "ETH", "USDC")


def recorded(database: Path) -> dict[str, Any]:
    """What a record says."""
    with recorder.open(f"sqlite:///{database}") as reading:
        return {
            "fills": sorted((one.trade_id, str(one.price)) for one in reading.fills()),
            "orders": {one.order_id: (one.status, one.filled_quantity) for one in reading.orders()},
            "positions": {one.symbol: one.quantity for one in reading.positions()},
            "transactions": {(one.transaction_id, one.type): one.amount for one in reading.transactions()},
        }


def test_a_served_record_is_recorded_again(tmp_path: Path) -> None:
    database, copy = tmp_path / "recorder.db", tmp_path / "copy.db"
    options = SimulatorOptions(venue="deribit", pushes=400, rate_per_s=400, live_clock=True, funding_interval_s=1)
    with Simulator(options) as exchange:
        with Recording(f"sqlite:///{database}", [account_at(exchange)], AT_ONCE) as recording:
            wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
            exchange.wait_finished()
            wait_reconciled(database)
        # The transaction log is asked for when a run begins.
        with Recording(f"sqlite:///{database}", [account_at(exchange)], AT_ONCE):
            wait_reconciled(database)
            wait_until(lambda: len(recorded(database)["transactions"]) > 30)
    before = recorded(database)
    assert len(before["fills"]) > 20 and len(before["transactions"]) > 30
    with Serving(f"sqlite:///{database}", ServingOptions(speed=None)) as served:
        credentials = Credentials(key=served.keys[-1], secret=served.options.secret)
        account = Account(
            name="main", venue=venue_named("deribit"), url=served.url, credentials=credentials, symbols=()
        )
        with Recording(f"sqlite:///{copy}", [account], AT_ONCE) as recording:
            served.wait_finished(timeout_s=60)
            wait_until(lambda: pushed(copy) >= pushed(database))
            now_ms = Clock().wall_ms()

            def ask(path: str, **query: str) -> Any:
                return json.loads(fetch(get(path, query)(served.url, credentials, now_ms)))["result"]

            rows = [
                row
                for currency in CURRENCIES
                for row in ask(
                    answers.LOG, currency=currency, start_timestamp="0", end_timestamp=f"{2**42}", count="250"
                )["logs"]
            ]
            held = ask(answers.POSITIONS, currency="any")
            listed = ask(answers.OPEN_ORDERS, type="all")
            orders = {one["order_id"]: ask(answers.ORDER, order_id=one["order_id"]) for one in listed}
    after = recorded(copy)
    assert after["fills"] == before["fills"]
    assert after["orders"].items() >= before["orders"].items()
    assert after["positions"] == before["positions"]
    assert {str(row["id"]) for row in rows} == {of for of, _ in before["transactions"]}
    assert len({row["id"] for row in rows}) == len(rows)
    assert {one["instrument_name"] for one in held} == {of for of, size in before["positions"].items() if size}
    still = {of for of, (status, _) in before["orders"].items() if status in {"pending", "new", "partially_filled"}}
    assert orders.keys() == still and all(orders[one["order_id"]] == one for one in listed)


def pushed(database: Path) -> int:
    """The number of pushes in a record."""
    is_push = (frames.c.source == PUSH) & frames.c.topic.startswith("user.")
    with open_engine(f"sqlite:///{database}", read_only=True).connect() as connection:
        return connection.scalar(select(func.count()).where(is_push)) or 0
