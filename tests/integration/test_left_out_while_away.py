"""What an exchange's complete lists leave out when the recorder comes back is gone, even if no fill explains it."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

import recorder
from recorder.read.records import Balance, Position
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES
from tests.depth import share
from tests.faults.complete import rows_of
from tests.integration.process import Folder
from tests.integration.test_closed_while_away import PUSHES, WITH_POSITIONS, record

#: Exchanges where the simulated account always has a balance that neither orders nor positions need.
WITH_SPARE = ("binance_spot", "bitget", "hyperliquid", "kraken")

Key = tuple[str | None, ...]


def position_key(one: Position) -> Key:
    return one.market, one.symbol, one.position_side, one.position_id


def balance_key(one: Balance) -> Key:
    return one.wallet, one.currency


def held(database: Path) -> tuple[Mapping[Key, Decimal], Mapping[Key, Balance]]:
    """Open positions and owned balances: now, as of the last frame, and in the views."""
    with recorder.open(f"sqlite:///{database}") as reading:
        both = []
        for read in (reading, reading.as_of(rows_of(database, "SELECT max(received_ns) FROM frames")[0][0])):
            positions = {position_key(one): one.quantity for one in read.positions() if one.quantity}
            both.append((positions, {balance_key(one): one for one in read.balances() if one.balance}))
    assert both[0] == both[1]
    positions, balances = both[0]
    viewed = rows_of(database, "SELECT market, symbol, position_side, position_id FROM positions WHERE quantity <> 0")
    assert set(viewed) == positions.keys()
    viewed = rows_of(database, "SELECT wallet, currency FROM balances WHERE balance <> 0")
    assert set(viewed) == balances.keys()
    return positions, balances


def withdrawn(exchange: Simulator, one: Balance) -> bool:
    """Withdraw all of a balance, unless orders or positions need some of it."""
    try:
        exchange.withdraw(one.balance or Decimal(0), currency=one.currency, wallet=one.wallet)
    except ValueError:
        return False
    return True


@pytest.mark.timeout(600)  # it waits as the limits of each exchange ask
@pytest.mark.parametrize("venue", share(VENUES, "hyperliquid", "bybit"))
def test_a_closed_position_and_a_spent_balance(folder: Folder, monkeypatch: pytest.MonkeyPatch, venue: str) -> None:
    monkeypatch.setattr("recorder.simulator.books.DUST", 0)  # a simulated trader keeps a little otherwise
    options = SimulatorOptions(venue=venue, pushes=PUSHES, rate_per_s=400, live_clock=True)
    with Simulator(options) as exchange:
        record(folder.database, exchange)
        # What the first run did not receive before it stopped is asked for here.
        record(folder.database, exchange)
        if venue in WITH_POSITIONS:
            before, _ = held(folder.database)
            exchange.end_position("settlement")
            exchange.forget_fills()
            record(folder.database, exchange)
            left, _ = held(folder.database)
            assert left.keys() < before.keys() and len(left) == len(before) - 1
        _, owned = held(folder.database)
        spent = next((key for key, one in owned.items() if withdrawn(exchange, one)), None)
        assert spent is not None or venue not in WITH_SPARE
        if spent is not None:
            record(folder.database, exchange)
            _, rest = held(folder.database)
            assert owned.keys() - rest.keys() == {spent}
    checked = folder.command("verify")
    assert checked.returncode == 0, checked.stdout
