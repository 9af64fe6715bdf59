"""An order that was cancelled while nobody recorded, and that the exchange has forgotten: it is open no longer."""

from pathlib import Path

import pytest

import recorder
from recorder.model import ENDED
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES
from tests.integration.process import Folder
from tests.integration.test_closed_while_away import PUSHES, record


def orders(database: Path) -> tuple[set[str], set[str], set[str]]:
    """The orders that are open, those that are open as of the end of the record, and those that ended somehow."""
    with recorder.open(f"sqlite:///{database}") as reading:
        is_open = {one.order_id for one in reading.open_orders()}
        ended = {one.order_id for one in reading.orders() if one.status == ENDED}
        last_ns = max(one.received_ns for one in reading.orders())
        was_open = {one.order_id for one in reading.as_of(last_ns).open_orders()}
    return is_open, was_open, ended


@pytest.mark.parametrize("venue", VENUES)
def test_an_order_that_the_exchange_forgot_has_ended(folder: Folder, venue: str) -> None:
    with Simulator(SimulatorOptions(venue=venue, pushes=PUSHES, rate_per_s=400, live_clock=True)) as exchange:
        record(folder.database, exchange)
        # What the first run did not receive before it stopped is asked for here.
        record(folder.database, exchange)
        before, _, none = orders(folder.database)
        assert not none
        forgotten = exchange.forget_orders()
        record(folder.database, exchange)
        is_open, was_open, ended = orders(folder.database)
    assert len(ended) == forgotten > 0
    assert is_open == was_open == before - ended
    checked = folder.command("verify")
    assert checked.returncode == 0, checked.stdout
