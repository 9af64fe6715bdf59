"""A position that the exchange closed while nobody recorded: flat in the record after the next run, on every venue."""

from decimal import Decimal
from pathlib import Path

import pytest

import recorder
from recorder.live.recording import Recording
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES, venue_named
from tests.depth import share
from tests.faults.complete import wait_reconciled
from tests.faults.live import AT_ONCE, account_at
from tests.waiting import wait_until

#: Pushes of the account while it is recorded.
PUSHES = 300


def has_positions(name: str) -> bool:
    """Whether the account that is simulated by default trades anything else than spot markets."""
    stand_in = venue_named(name).stand_in
    return any(one.kind != "spot" for one in stand_in.terms(stand_in.default_symbols))


WITH_POSITIONS = [name for name in VENUES if has_positions(name)]


def record(database: Path, exchange: Simulator) -> None:
    """Record until every gap is reconciled, and the account no longer trades."""
    with Recording(f"sqlite:///{database}", [account_at(exchange)], AT_ONCE) as recording:
        wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
        exchange.wait_finished()
        wait_reconciled(database)


def open_positions(database: Path) -> dict[tuple[str | None, ...], Decimal]:
    """The positions that the record holds open."""
    with recorder.open(f"sqlite:///{database}") as reading:
        latest = [(one.market, one.symbol, one.position_side, one.quantity) for one in reading.positions()]
    return {(market, symbol, side): quantity for market, symbol, side, quantity in latest if quantity}


@pytest.mark.timeout(600)  # it waits as the limits of each exchange ask
@pytest.mark.parametrize("venue", share(WITH_POSITIONS, "binance", "bybit"))
def test_a_position_that_closed_while_nobody_recorded_is_flat(tmp_path: Path, venue: str) -> None:
    database = tmp_path / "recorder.db"
    with Simulator(SimulatorOptions(venue=venue, pushes=PUSHES, rate_per_s=400, live_clock=True)) as exchange:
        record(database, exchange)
        # What the first run did not receive before it stopped is asked for here.
        record(database, exchange)
        before = open_positions(database)
        assert before
        exchange.end_position("settlement")
        record(database, exchange)
        after = open_positions(database)
    # Others may have changed: what a moment's last pushes would have said counts from here on.
    assert after.keys() < before.keys() and len(after) == len(before) - 1
