"""However a run ends, everything received is durable, the event log is closed, and it is quick."""

import signal

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder

STOP_S_MAX = 5.0


def assert_closed(folder: Folder, reason: str) -> None:
    """Nothing is left open but the gap that began with the last frame received."""
    assert folder.rows("SELECT end_reason FROM runs") == [(reason,)]
    assert folder.rows("SELECT count(*) FROM sessions WHERE ended_ns IS NULL OR end_reason != 'stopped'") == [(0,)]
    last = folder.rows(
        "SELECT received_ns FROM frames WHERE source = 'push' ORDER BY session_id DESC, seq DESC LIMIT 1"
    )
    assert folder.rows("SELECT begins_ns FROM gaps WHERE ends_ns IS NULL") == last


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.alone
def test_a_signal_in_the_thick_of_it(folder: Folder, number: signal.Signals) -> None:
    with Simulator(SimulatorOptions()) as exchange:
        folder.configure(exchange)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            folder.wait_acknowledged(5_000, process)
            code, took_s = process.stop(number)
        sent = [sent.payload for sent in exchange.sent]
    assert code == 0, process.errors
    assert took_s < STOP_S_MAX
    received = folder.payloads()
    assert len(received) > 5_000
    assert received == sent[: len(received)]
    mark = folder.acknowledged()["accounts"]["main"]
    assert folder.rows("SELECT max(seq) FROM frames") == [(mark["seq"],)]
    assert_closed(folder, number.name)


def test_for_a_time(folder: Folder) -> None:
    with Simulator(SimulatorOptions(rate_per_s=100)) as exchange:
        folder.configure(exchange)
        with folder.run("--for", "3s") as process:
            assert process.wait() == 0, process.errors
    assert_closed(folder, "time is over")
    assert len(folder.payloads()) > 20


def test_when_idle_although_heartbeats_are_answered(folder: Folder) -> None:
    with Simulator(SimulatorOptions(pushes=300)) as exchange:
        folder.configure(exchange)
        with folder.run("--stop-when-idle", "3s") as process:
            assert process.wait() == 0, process.errors
    assert_closed(folder, "idle")
    assert folder.rows("SELECT count(*) FROM order_updates")[0][0] > 0


@pytest.mark.alone
def test_a_second_signal_ends_at_once(folder: Folder) -> None:
    with Simulator(SimulatorOptions(rate_per_s=500)) as exchange:
        folder.configure(exchange)
        with folder.run() as process:
            process.wait_for("covered")
            with folder.locked():
                process.wait_for("is locked by another program")
                process.send(signal.SIGTERM)
                process.wait_for("stopping (SIGTERM)")
                code, took_s = process.stop(signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert took_s < 3.0, "it does not wait for the lock"


def test_a_stop_that_cannot_be_durable_says_so(folder: Folder) -> None:
    with Simulator(SimulatorOptions(rate_per_s=500)) as exchange:
        folder.configure(exchange)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            folder.wait_acknowledged(100, process)
            with folder.locked():
                process.wait_for("is locked by another program")
                code, took_s = process.stop()
        assert code == 2
        assert took_s < STOP_S_MAX + 10, "the wait is bounded; other tests share the machine"
        assert "not written" in process.errors
        acknowledged = folder.acknowledged()["accounts"]["main"]["seq"]
        assert folder.rows("SELECT max(seq) FROM frames") == [(acknowledged,)]

        # The next run finds it, closes it, and notes the gap from the last durable frame on.
        with folder.run("--for", "1s") as process:
            assert process.wait() == 0, process.errors
    first, second = folder.rows("SELECT session_id, end_reason FROM sessions ORDER BY session_id")
    assert (first[1], second[1]) == ("crashed", "stopped")
    crashed = folder.rows("SELECT begin_session_id, begin_seq, end_session_id FROM gaps WHERE reason = 'crashed'")
    last_push = folder.rows("SELECT max(seq) FROM frames WHERE session_id = ? AND source = 'push'", first[0])[0][0]
    assert crashed == [(first[0], last_push, second[0])]


def test_a_locked_database_costs_nothing_but_time(folder: Folder) -> None:
    with Simulator(SimulatorOptions(pushes=4_000, rate_per_s=1_000)) as exchange:
        folder.configure(exchange)
        with folder.run() as process:
            process.wait_for("covered")
            with folder.locked():
                process.wait_for("is locked by another program")
            folder.finish(process, exchange)
        assert folder.payloads() == [sent.payload for sent in exchange.sent]
