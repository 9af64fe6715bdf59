"""Every so often the exchange is asked how things are: where that is not what its pushes left, it is found and shown.

Without a contradiction nothing is ever found: not in a busy account, not where REST is behind its pushes.
"""

import json

import recorder
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import lagging, swallowing
from recorder.venues.fmex import rest
from tests.depth import size
from tests.integration.process import Folder, Process

#: As often as can be.
OFTEN = {"reconcile_every_s": 0.1, "reconcile_settle_s": 0.5}
COLUMNS = ("session_id", "seq", "subject", "field", "told", "held", "other_session_id")
COMPARED = "SELECT count(*) FROM reconciliations WHERE result = 'compared'"

#: Orders that nobody was told of.
UNTOLD = "SELECT * FROM discrepancies WHERE field = 'status' AND held IS NULL"


def wait_compared(folder: Folder, process: Process, rounds: int) -> None:
    """Wait until so many rounds are in the record; each commit is told in the ack file, which others poll too."""
    before = folder.rows(COMPARED)[0][0]
    frames = folder.acknowledged()["frames"]
    while folder.rows(COMPARED)[0][0] < before + rounds:
        frames += 1
        folder.wait_acknowledged(frames, process)


def busy(rate_per_s: float = 2_000) -> Simulator:
    return Simulator(SimulatorOptions(live_clock=True, seed=5, keep_sent=False, rate_per_s=rate_per_s))


def test_a_busy_account_that_is_compared_all_the_time_gives_no_false_alarm(folder: Folder) -> None:
    rounds = size(16)
    with busy() as exchange:
        folder.configure(exchange, limits=OFTEN)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            process.wait_for("reconciled: a snapshot")
            wait_compared(folder, process, rounds)
            with lagging(exchange, 0.4):
                wait_compared(folder, process, 4)
            with folder.locked():
                # What is pushed meanwhile is in no table for longer than things take to settle.
                process.wait_for("Recording continues in memory")
            wait_compared(folder, process, 2)
            assert process.stop()[0] == 0, process.errors
    assert folder.rows("SELECT * FROM discrepancies") == []
    assert "ERROR" not in process.errors
    assert {result for (result,) in folder.rows("SELECT result FROM reconciliations")} <= {
        "reconciled",
        "compared",
        "failed",
        "interrupted",
    }
    # A snapshot for comparing is evidence, and nothing else: what the pushes told last stays the latest.
    sessions = folder.rows("SELECT DISTINCT session_id FROM frames WHERE source = 'snapshot'")
    assert len(sessions) >= rounds + 4
    for table in ("account_updates", "position_updates", "order_updates"):
        of_snapshots = "session_id IN (SELECT session_id FROM frames WHERE source = 'snapshot')"
        assert folder.rows(f"SELECT count(*) FROM {table} WHERE {of_snapshots}") == [(0,)]


def test_pushes_that_were_swallowed_are_found_and_told_everywhere(folder: Folder) -> None:
    with busy(300) as exchange:
        folder.configure(exchange, limits=OFTEN)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            process.wait_for("reconciled: a snapshot")
            wait_compared(folder, process, 1)
            assert folder.rows("SELECT * FROM discrepancies") == []
            with swallowing(exchange, ["order.btcusd_p"]):
                process.wait_for("discrepancy: order")
                while not folder.rows(UNTOLD):
                    wait_compared(folder, process, 1)
            assert process.stop()[0] == 0, process.errors
        shown = folder.command("discrepancies", "--format", "json")
        table = folder.command("discrepancies")
        status = folder.command("status", "--format", "json")
    found = folder.rows(f"SELECT {', '.join(COLUMNS)} FROM discrepancies ORDER BY found_ns")
    assert found
    # Only orders: balances and positions were told.
    assert {subject.split()[0] for _, _, subject, _, _, _, _ in found} == {"order"}
    # The frame that tells is the answer of the second asking, and says so.
    for session_id, seq, subject, field, told, _held, other in found:
        ((source, payload),) = folder.rows(
            "SELECT source, payload FROM frames WHERE session_id = ? AND seq = ?", session_id, seq
        )
        assert (source, seq) == ("snapshot", 5)
        orders = {order.order_id: order for order in rest.read_open_orders(payload)}
        order = orders.get(subject.split()[1])
        assert (None if order is None else getattr(order, field)) == told
        # What was known before came in a push, or in an answer of the round after the first connection.
        named = "SELECT session_id AS id FROM sessions UNION SELECT reconciliation_id FROM reconciliations"
        assert folder.rows(f"SELECT count(*) FROM ({named}) WHERE id = ?", other) == [(1,)]
    # No gap explains them: there was none until the run ended.
    assert [reason for (reason,) in folder.rows("SELECT reason FROM gaps ORDER BY gap_id")] == ["beginning", "stopped"]
    # Told: in the log, the command, the status, Python.
    first = found[0]
    assert f"ERROR main: discrepancy: {first[2]}, {first[3]}:" in process.errors
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert {tuple(line[name] for name in COLUMNS) for line in lines} == set(found)
    assert first[2] in table.stdout
    assert json.loads(status.stdout)["accounts"][0]["discrepancies"] == len(found)
    with recorder.open(f"sqlite:///{folder.database}") as record:
        assert {(one.account, one.subject, one.field) for one in record.discrepancies()} == {
            ("main", subject, field) for _, _, subject, field, _, _, _ in found
        }
