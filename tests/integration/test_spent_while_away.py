"""An asset that was spent while nobody recorded: its balance is zero in the record after the next run."""

from decimal import Decimal
from pathlib import Path

import pytest

import recorder
from recorder.live.recording import Recording
from recorder.simulator import Simulator, SimulatorOptions
from tests.faults.complete import rows_of, wait_reconciled
from tests.faults.live import AT_ONCE, account_at
from tests.waiting import wait_until


def record(database: Path, exchange: Simulator) -> dict[str, tuple[Decimal | None, Decimal | None]]:
    """Record until every gap is reconciled; returns what is owned and locked of each currency."""
    with Recording(f"sqlite:///{database}", [account_at(exchange)], AT_ONCE) as recording:
        wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
        exchange.wait_finished()
        wait_reconciled(database)
    with recorder.open(f"sqlite:///{database}") as reading:
        return {one.currency: (one.balance, one.locked) for one in reading.balances()}


@pytest.mark.timeout(600)  # it waits as the limits of each exchange ask
@pytest.mark.parametrize(
    ("venue", "again"), [("binance_spot", "/api/v3/account"), ("bitget", "/api/v3/account/assets?coin={}")]
)
def test_an_asset_that_was_spent_while_nobody_recorded_is_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venue: str, again: str
) -> None:
    """Balances are listed without zeros. Where one is missing that the record holds, something more is asked for."""
    monkeypatch.setattr("recorder.simulator.books.DUST", 0)  # a simulated trader keeps a little otherwise
    database, options = tmp_path / "recorder.db", SimulatorOptions(venue=venue, pushes=200, live_clock=True)
    with Simulator(options) as exchange:
        record(database, exchange)
        held = record(database, exchange)
        spent = next(currency for currency, (balance, locked) in held.items() if balance and not locked)
        exchange.withdraw(Decimal(held[spent][0] or 0), currency=spent)
        after = record(database, exchange)
    # Others may have changed: what a moment's last pushes would have said counts from here on.
    assert after.keys() == held.keys()
    assert {currency for currency, (balance, locked) in after.items() if not balance and not locked} == {spent}
    asked = f"SELECT count(*) FROM frames WHERE topic = '{again.format(spent)}'"
    assert rows_of(database, asked) == [(1,)]
