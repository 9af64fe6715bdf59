"""Pushes that an exchange counts, and that do not arrive although the connection lives: the hole is a gap."""

from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import swallowing
from tests.faults.complete import judge_fills
from tests.faults.live import Live
from tests.faults.oracle import judge
from tests.faults.table import read_table, unproved
from tests.waiting import wait_until


@pytest.mark.timeout(600)  # it waits as the limits of the exchange ask
def test_a_hole_in_the_count_is_a_gap_and_reconciled(tmp_path: Path) -> None:
    options = SimulatorOptions(venue="kraken", rate_per_s=200, live_clock=True)
    with Simulator(options) as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            live.wait_more(60)
            before, known = live.sessions(), len(list(exchange.executions()))
            with swallowing(exchange):
                wait_until(lambda: len(list(exchange.executions())) > known + 3)
            live.wait_new_session(before)
            live.reconcile()
        gaps = live.rows("SELECT reason, detail, state, begin_session_id, begin_seq FROM gaps WHERE reason = 'lost'")
        ((_, detail, state, session_id, seq),) = gaps
        assert "did not arrive" in detail and state == "reconciled"
        # The frame behind the hole was received, but is not what the gap begins with.
        frames = live.rows(f"SELECT max(seq) FROM frames WHERE session_id = {session_id} AND source = 'push'")
        assert frames[0][0] > seq
        verdict = judge(exchange.history, read_table(live.url), live.acked, venue="kraken")
        judge_fills(verdict, exchange, live.url)
    assert (verdict.lost_outside_gaps, verdict.fills_missing, unproved(live.url)) == (0, 0, [])
    assert verdict.lost > 0
    assert [one for one in verdict.findings if "not at the last frame received" not in one] == []
