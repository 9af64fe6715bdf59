"""A recorded account that is paid funding, liquidated, paid for making, withdraws, and holds what expires.

Afterwards its books have nothing unexplained, and no position is open in what has expired.
"""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

import recorder
from recorder.live.recording import Recording
from recorder.model import MAKER
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES, venue_named
from tests.depth import share
from tests.faults.complete import RECONCILED_S, rows_of, wait_reconciled
from tests.faults.live import AT_ONCE, account_at
from tests.integration.process import Folder
from tests.waiting import wait_until

EXPIRING = [name for name in VENUES if venue_named(name).stand_in.dated_symbols(0)]
#: How the types of transactions at an expiry begin, in the words of each exchange.
DELIVERED = ("delivery", "DELIVERY", "3/", "DELIVERED_SETTELMENT")
#: Executions after which positions are open in what expires, most likely in all of it.
EXECUTIONS = 60
COMPARED = "SELECT count(*) FROM reconciliations WHERE result = 'compared'"
ASKED = "SELECT count(*) FROM reconciliations WHERE purpose = 'regular' AND result = 'answered'"


def record(database: Path, exchange: Simulator, *, is_first: bool) -> None:
    """Record until the account no longer trades; its ledger is asked for at the beginning of the second time."""
    before = 0 if is_first else rows_of(database, ASKED)[0][0]
    with Recording(f"sqlite:///{database}", [account_at(exchange)], AT_ONCE) as recording:
        wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
        if is_first:
            exchange.withdraw(Decimal("1.25"), fee=Decimal("0.25"), currency=money(exchange))
            wait_until(lambda: is_liquidated(exchange))
            wait_until(lambda: len(exchange.executions()) > EXECUTIONS)
            exchange.expire()
        exchange.wait_finished()
        wait_reconciled(database)
        wait_until(
            lambda: rows_of(database, ASKED)[0][0] != before,
            patience_s=RECONCILED_S,
            failed=lambda: rows_of(database, "SELECT * FROM reconciliations"),
        )


def is_liquidated(exchange: Simulator) -> bool:
    """Liquidate a position, if one is open by now."""
    try:
        exchange.end_position("liquidation")
    except ValueError:
        return False
    return True


def money(exchange: Simulator) -> str:
    """The dollars of an account."""
    return next(one.currency for one in exchange.transfers() if one.currency.startswith("USD"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("venue", share(EXPIRING))
def test_what_expires_while_it_is_recorded_is_flat_and_no_discrepancy(tmp_path: Path, venue: str) -> None:
    """Some exchanges push nothing of it: the ledger says so, and what REST no longer lists contradicts nothing."""
    database = tmp_path / "recorder.db"
    options = SimulatorOptions(venue=venue, pushes=500, rate_per_s=200, live_clock=True, expiry_s=3600, seed=2)
    limits = replace(AT_ONCE, reconcile_settle_s=0.2, reconcile_every_s=1, transactions_every_s=5)

    def open_in(symbols: set[str]) -> set[str]:
        with recorder.open(f"sqlite:///{database}") as reading:
            return symbols & {str(one.symbol) for one in reading.positions() if one.quantity}

    with (
        Simulator(options) as exchange,
        Recording(f"sqlite:///{database}", [account_at(exchange)], limits) as recording,
    ):
        wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
        wait_until(lambda: len(exchange.executions()) > EXECUTIONS)
        lasting = venue_named(venue).stand_in.default_symbols
        dated = {str(one.fill.symbol) for one in exchange.executions()}.difference(lasting)
        assert open_in(dated)
        exchange.expire()
        exchange.wait_finished()
        wait_until(lambda: not open_in(dated), patience_s=RECONCILED_S)
        before = rows_of(database, COMPARED)[0][0]
        wait_until(lambda: rows_of(database, COMPARED)[0][0] > before + 1, patience_s=RECONCILED_S)
    assert rows_of(database, "SELECT * FROM discrepancies") == []


@pytest.mark.timeout(600)  # it waits as the limits of each exchange ask
@pytest.mark.parametrize("venue", share(EXPIRING, "bybit"))
def test_what_expired_is_explained_and_flat(folder: Folder, monkeypatch: pytest.MonkeyPatch, venue: str) -> None:
    monkeypatch.setattr(f"recorder.venues.{venue}.stand_in.face.MAKER_RATE", Decimal("-0.0001"))
    # An hour is longer than it takes: until then, only what is asked for expires.
    options = SimulatorOptions(
        venue=venue, pushes=800, rate_per_s=200, live_clock=True, funding_interval_s=1, expiry_s=3600, seed=2
    )
    with Simulator(options) as exchange:
        record(folder.database, exchange, is_first=True)
        record(folder.database, exchange, is_first=False)
    with recorder.open(f"sqlite:///{folder.database}") as reading:
        transactions = list(reading.transactions())
        open_now = {one.symbol for one in reading.positions() if one.quantity}
        rebates = [one for one in reading.fills() if one.liquidity == MAKER and one.fee and one.fee < 0]
    types = {one.type for one in transactions}
    assert types >= {"funding", "settlement"} and types & {"transfer", "withdrawal"} and rebates
    settled = {one.symbol for one in transactions if (one.venue_type or "").startswith(DELIVERED)}
    assert settled and not settled & open_now
    ended = folder.command("books", "--format", "json", "--database", f"sqlite:///{folder.database}")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, [row for row in rows if row["found"]]
    assert rows and {Decimal(row["unexplained"]) for row in rows} == {Decimal(0)}
    checked = folder.command("verify", "--database", f"sqlite:///{folder.database}")
    assert checked.returncode == 0, checked.stdout
