"""An order that was cancelled while nobody recorded, and that the exchange has forgotten: it is open no longer."""

from pathlib import Path

import pytest

import recorder
from recorder.model import ENDED, PENDING
from recorder.read.records import Order
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES
from recorder.venues.bybit import questions as bybit
from tests.depth import share
from tests.integration.process import Folder
from tests.integration.test_closed_while_away import PUSHES, record

#: Where no question for one order finds a conditional one: a gap says that no list had it, and it stays as it was.
APART = ("bitget", "okx")


def open_orders(database: Path) -> dict[str, Order]:
    """The orders that are open, now and as of the last update of an order."""
    with recorder.open(f"sqlite:///{database}") as reading:
        now = {one.order_id: one for one in reading.open_orders()}
        last_ns = max(one.received_ns for one in reading.orders())
        assert now.keys() == {one.order_id for one in reading.as_of(last_ns).open_orders()}
    return now


@pytest.mark.timeout(600)  # it waits as the limits of each exchange ask
@pytest.mark.parametrize("venue", share(VENUES, "hyperliquid", "okx"))
def test_an_order_that_the_exchange_forgot_has_ended(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, venue: str
) -> None:
    # An order that has just ended may be in no list of Bybit yet.
    monkeypatch.setattr(bybit, "LAG_MS", -60_000)
    with Simulator(SimulatorOptions(venue=venue, pushes=PUSHES, rate_per_s=400, live_clock=True)) as exchange:
        record(folder.database, exchange)
        # What the first run did not receive before it stopped is asked for here.
        record(folder.database, exchange)
        before = open_orders(folder.database)
        exchange.forget_orders()
        record(folder.database, exchange)
        after = open_orders(folder.database)
    with recorder.open(f"sqlite:///{folder.database}") as reading:
        ended = {one.order_id: one for one in reading.orders() if one.status == ENDED}
        restored = " ".join(one.resolution or "" for one in reading.gaps())
    unfilled = {order_id for order_id, one in before.items() if not one.filled_quantity}
    if venue in APART:
        waiting = {order_id for order_id in unfilled & after.keys() if after[order_id].status == PENDING}
        assert all(f"conditional order {order_id}" in restored for order_id in waiting)
        unfilled -= waiting
    assert ended and ended.keys() <= unfilled
    # One may have been filled: what a moment's last pushes would have said counts from here on.
    assert not unfilled & {order_id for order_id, one in after.items() if not one.filled_quantity}
    # Nothing else of them changed.
    assert all(one.symbol == before[order_id].symbol for order_id, one in ended.items())
    assert all(one.price == before[order_id].price for order_id, one in ended.items())
    checked = folder.command("verify")
    assert checked.returncode == 0, checked.stdout
