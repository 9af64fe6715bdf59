"""Pushes that an exchange loses on a connection that lives on: a comparison notices, and REST is asked for them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import recorder
from recorder.live.recording import Recording
from recorder.live.settings import Limits
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import silent, swallowing
from recorder.venues import VENUES, venue_named
from tests.depth import share
from tests.faults.complete import judge_fills, rows_of
from tests.faults.live import account_at
from tests.faults.oracle import Verdict
from tests.waiting import wait_until

#: The limits of the exchanges are kept.
PATIENCE_S = 250.0
LIMITS = Limits(
    reconcile_every_s=1.0,
    reconcile_settle_s=0.2,
    transactions_every_s=0,
    reconnect_first_s=0.05,
    reconnect_last_s=0.2,
    stop_s=10.0,
)
COMPARED = "SELECT 1 FROM reconciliations WHERE purpose = 'compare' AND result = 'compared'"
SAME = "SELECT 1 FROM reconciliations WHERE detail = 'the same'"
RESTORED = "SELECT 1 FROM reconciliations WHERE purpose = 'restore' AND result IN ('answered', 'incomplete')"


class Scene:
    """A recorder beside an account that trades until it is told to stop."""

    def __init__(self, folder: Path, name: str, limits: Limits = LIMITS) -> None:
        self.database = folder / "recorder.db"
        symbols = venue_named(name).stand_in.default_symbols
        options = SimulatorOptions(venue=name, symbols=symbols, rate_per_s=20, live_clock=True)
        self.exchange = Simulator(options)
        self._limits = limits

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A run, of which something has been compared."""
        with self.exchange:
            account = replace(account_at(self.exchange), heartbeat_s=0.2)
            with Recording(self.url, [account], self._limits) as self._run:
                self.wait_for(SAME)
                yield

    def replace_connection(self) -> None:
        """Let the connection reach its age limit, and wait for the end of the old one."""
        fills = len(self.exchange.executions())
        wait_until(lambda: len(self.exchange.executions()) > fills + 3)
        for session in (one.session for one in self._run._collectors):
            assert session is not None
            session.replace_at_s = time.monotonic()
        self.wait_for("SELECT 1 FROM sessions WHERE end_reason = 'replaced'")

    @property
    def url(self) -> str:
        """Of the database."""
        return f"sqlite:///{self.database}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What is in the database."""
        return rows_of(self.database, sql) if self.database.exists() else []

    def wait_for(self, sql: str, more: int = 1) -> None:
        """Wait for so many more rows."""
        enough = len(self.rows(sql)) + more
        rounds = "SELECT purpose, result, detail FROM reconciliations"
        wait_until(lambda: len(self.rows(sql)) >= enough, patience_s=PATIENCE_S, failed=lambda: self.rows(rounds))

    def require_complete(self) -> None:
        """All fills are there once, and no order is open that has ended.

        But conditional orders: some exchanges list them so that they are not compared.
        """
        verdict = Verdict(self.exchange.options.venue)
        judge_fills(verdict, self.exchange, self.url)
        assert (verdict.findings, verdict.fills_missing) == ([], 0)
        assert verdict.fills
        with recorder.open(self.url) as record:
            is_open = [one.order_id for one in record.orders() if one.status in {"new", "partially_filled"}]
        assert len(is_open) == sum(one.status != "pending" for one in self.exchange.open_orders())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", share(VENUES, "binance", "fmex", "hyperliquid"))
def test_what_a_comparison_misses_is_asked_for(tmp_path: Path, name: str) -> None:
    scene = Scene(tmp_path, name)
    with scene.recording():
        with swallowing(scene.exchange):
            scene.wait_for("SELECT 1 FROM discrepancies")
        with silent(scene.exchange):
            if not venue_named(name).fails_silently:
                scene.wait_for(RESTORED)
            scene.wait_for(SAME, 2)
            wait_until(lambda: not scene.rows("SELECT 1 FROM gaps WHERE state = 'open' AND ends_ns IS NOT NULL"))
            scene.require_complete()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", share(["binance", "binance_spot", "bitget"], "binance_spot"))
def test_what_is_lost_around_a_planned_replacement_is_asked_for(tmp_path: Path, name: str) -> None:
    """There is no gap, and the first comparison of the new connection goes on from what the old one pushed."""
    scene = Scene(tmp_path, name, replace(LIMITS, reconcile_every_s=5.0))
    with scene.recording():
        with swallowing(scene.exchange):
            scene.replace_connection()
        with silent(scene.exchange):
            scene.wait_for("SELECT 1 FROM discrepancies")
            scene.wait_for(SAME, 2)
            wait_until(lambda: not scene.rows("SELECT 1 FROM gaps WHERE state = 'open' AND ends_ns IS NOT NULL"))
            scene.require_complete()
