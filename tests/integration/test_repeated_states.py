"""Hyperliquid repeats full states every few seconds: what has not changed costs only its frame."""

from pathlib import Path

import pytest

import recorder
from recorder.live import repeated
from recorder.read.replay.events import FrameEvent
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues.hyperliquid.stand_in import conversation
from tests.faults.live import Live

STATES = ("position_updates", "account_updates")


def test_a_quiet_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "REPEAT_S", 0.05)
    monkeypatch.setattr(repeated, "UNSETTLED_S", 0.3)
    with Simulator(SimulatorOptions(venue="hyperliquid", rate_per_s=200, live_clock=True)) as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            live.wait_more(300)
            live.reconcile()
            quiet = "SELECT count(*) FROM frames WHERE source = 'repeated'"
            while live.rows(quiet)[0][0] < 20:
                live.wait_more(1)
            before = {table: live.rows(f"SELECT count(*) FROM {table}") for table in STATES}
            live.wait_more(20)
            assert {table: live.rows(f"SELECT count(*) FROM {table}") for table in STATES} == before
            # Trading goes on, and every state that it changes has rows again.
            exchange.change(silent=False)
            live.wait_more(300)
            live.reconcile()
        live.finish("", lambda _fault, _verdict, _recover_s: None)
    with recorder.open(live.url) as reading:
        events = [one for one in reading.replay() if isinstance(one, FrameEvent)]
        held = {(one.symbol, one.quantity) for one in reading.positions()}
        told = {(one.symbol, one.quantity) for one in reading.as_of(events[-1].received_ns).positions()}
    assert {one.source for one in events} == {"push", "repeated"}
    assert held == told != set()
