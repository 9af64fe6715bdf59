"""REST is compared with the pushes of both connections: orders on one, conditional orders on the other."""

from pathlib import Path

import pytest

from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import swallowing
from recorder.venues import venue_named
from recorder.venues.okx.portal import BUSINESS
from tests.faults.complete import rows_of
from tests.waiting import wait_until

#: Of the discrepancies, the stream that had pushed the value which REST contradicts.
FOUND = """
    SELECT s.stream, d.subject, d.told FROM discrepancies d JOIN sessions s ON s.session_id = d.other_session_id
    WHERE d.field = 'status' AND d.held = 'pending'"""

#: Conditional orders that are open.
OPEN = """
    SELECT order_id, status, max(received_ns) FROM order_updates GROUP BY order_id HAVING status = 'pending'"""

COMPARED = "SELECT count(*) FROM reconciliations WHERE result = 'compared'"


@pytest.mark.long  # of its orders, one has to end at the right moment
def test_conditional_orders_that_ended_without_a_push_are_found(tmp_path: Path) -> None:
    database = tmp_path / "recorder.db"
    limits = Limits(reconcile_every_s=0.2, reconcile_settle_s=0.2)
    with Simulator(SimulatorOptions(venue="okx", rate_per_s=200, live_clock=True, keep_sent=False)) as exchange:
        account = Account(
            name="main",
            venue=venue_named("okx"),
            url=exchange.url,
            credentials=exchange.credentials,
            symbols=(),
            heartbeat_s=0.2,
        )
        with Recording(f"sqlite:///{database}", [account], limits):
            wait_until(lambda: rows_of(database, "SELECT 1 FROM reconciliations WHERE detail = 'the same'"))
            wait_until(lambda: len(rows_of(database, OPEN)) > 2)
            assert rows_of(database, "SELECT * FROM discrepancies") == []

            def is_found() -> bool:
                """Swallow the pushes for two comparisons: some orders stay open for long, and another one may end."""
                before = rows_of(database, COMPARED)[0][0]
                with swallowing(exchange, ["orders-algo"]):
                    wait_until(lambda: rows_of(database, COMPARED)[0][0] > before + 1)
                return bool(rows_of(database, FOUND))

            wait_until(is_found, patience_s=120)
    found = rows_of(database, FOUND)
    assert {(stream, told) for stream, _, told in found} == {(BUSINESS, None)}
