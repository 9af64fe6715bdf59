"""What happens to the connection, and what the event log says of it: what is missing lies inside gaps."""

import os
import signal
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import deaf, invalid_topics, refusing, stalled_mid_frame
from tests.depth import ALL
from tests.integration.process import Folder

#: How often a recorder is killed.
KILLS = 3 if ALL else 2
QUICK = {"reconnect_first_s": 0.05, "reconnect_last_s": 0.2}


def assert_nothing_lost_silently(folder: Folder, exchange: Simulator) -> None:
    """Of each connection the record holds the beginning of what was sent, in order, and the rest is in a gap."""
    sent: dict[int, list[bytes]] = {}
    for one in exchange.sent:
        sent.setdefault(one.connection, []).append(one.payload)
    sessions = folder.rows("SELECT session_id, covered_ns IS NOT NULL FROM sessions ORDER BY session_id")
    assert len(sessions) == len(sent)
    for (session_id, covered), payloads in zip(sessions, sent.values(), strict=True):
        sql = "SELECT payload FROM frames WHERE session_id = ? AND source = 'push' ORDER BY seq"
        stored = [payload for (payload,) in folder.rows(sql, session_id)]
        assert stored == payloads[: len(stored)]
        # After its last frame a gap begins; before its coverage the gap before it has not ended.
        gap = folder.rows("SELECT count(*) FROM gaps WHERE begin_session_id = ? AND topic IS NULL", session_id)
        assert gap == [(covered,)]


def test_dropped_connections(folder: Folder) -> None:
    with Simulator(SimulatorOptions(pushes=20_000, rate_per_s=4_000, drop_every=2_500)) as exchange:
        folder.configure(exchange, limits=QUICK)
        with folder.run("--stop-when-idle", "5s") as process:
            assert process.wait() == 0, process.errors
        assert exchange.clients > 3
        assert_nothing_lost_silently(folder, exchange)
    ended = folder.rows("SELECT end_reason, count(*) FROM sessions GROUP BY 1 ORDER BY 1")
    assert [reason for reason, _ in ended] == ["lost", "stopped"]
    # Each gap begins at the last frame of a session, and ends when all topics of the next are acknowledged.
    sql = """SELECT g.begins_ns = (SELECT received_ns FROM frames f WHERE f.session_id = g.begin_session_id
                  AND f.source = 'push' ORDER BY seq DESC LIMIT 1),
               g.ends_ns = (SELECT covered_ns FROM sessions s WHERE s.session_id = g.end_session_id)
             FROM gaps g WHERE begins_ns IS NOT NULL AND ends_ns IS NOT NULL"""
    gaps = folder.rows(sql)
    assert len(gaps) == exchange.clients - 1
    assert set(gaps) == {(1, 1)}


def test_killed_and_started_again(folder: Folder) -> None:
    with Simulator(SimulatorOptions(rate_per_s=3_000)) as exchange:
        folder.configure(exchange)
        for _ in range(KILLS):
            with folder.run("--ack-file", str(folder.ack_file)) as process:
                folder.wait_acknowledged(500, process)
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            mark = folder.acknowledged()["accounts"]["main"]
            sql = "SELECT count(*) FROM frames WHERE session_id = ? AND seq <= ?"
            assert folder.rows(sql, mark["session_id"], mark["seq"]) == [(mark["seq"] + 1,)]
        with folder.run("--for", "1s") as process:
            assert process.wait() == 0, process.errors
        assert process.errors.count("the last run ended without closing") == 1
        assert_nothing_lost_silently(folder, exchange)
    assert folder.rows("SELECT end_reason FROM runs ORDER BY run_id") == [("crashed",)] * KILLS + [("time is over",)]
    assert folder.rows("SELECT count(*) FROM gaps WHERE reason = 'crashed' AND ends_ns IS NOT NULL") == [(KILLS,)]
    assert folder.rows("SELECT count(*) FROM gaps WHERE ends_ns IS NULL") == [(1,)]


@pytest.mark.parametrize("fault", [deaf, stalled_mid_frame])
def test_a_dead_line_is_noticed_and_the_gap_begins_at_the_last_frame(folder: Folder, fault: object) -> None:
    assert callable(fault)
    with Simulator(SimulatorOptions(rate_per_s=200)) as exchange:
        folder.configure(exchange, limits=QUICK | {"silent_s": 1.0})
        with folder.run() as process:
            process.wait_for("covered")
            with fault(exchange):
                process.wait_for("nothing came for 1 s")
            process.wait_for("covered", times=2)
            assert process.stop()[0] == 0, process.errors
        assert_nothing_lost_silently(folder, exchange)
    (session,) = folder.rows("SELECT session_id, ended_ns FROM sessions WHERE end_reason = 'silent' LIMIT 1")
    (gap,) = folder.rows("SELECT begins_ns FROM gaps WHERE begin_session_id = ?", session[0])
    last = folder.rows("SELECT max(received_ns) FROM frames WHERE session_id = ? AND source = 'push'", session[0])
    assert [gap] == last
    assert session[1] - gap[0] >= 1_000_000_000


def test_an_exchange_that_refuses_for_a_while_is_not_hammered(folder: Folder) -> None:
    with Simulator(SimulatorOptions(rate_per_s=100)) as exchange:
        folder.configure(exchange, limits=QUICK)
        with folder.run() as process:
            process.wait_for("covered")
            with refusing(exchange, 503, retry_after_s=1):
                exchange.drop_connections()
                process.wait_for("asks to be left alone", times=2)
                before = process.errors.count("asks to be left alone")
            process.wait_for("covered", times=2)
            assert process.stop()[0] == 0, process.errors
    assert before <= 3, "tried again sooner than the exchange asked for"


def test_a_refused_topic_is_named_and_the_others_go_on(folder: Folder) -> None:
    with Simulator(SimulatorOptions(pushes=500, rate_per_s=500)) as exchange:
        folder.configure(exchange, symbols=("btcusd_p", "nosuch_p"))
        printed = folder.record(exchange)
        for topic in ("order.nosuch_p", "position.nosuch_p"):
            assert f"the exchange refused topic {topic} (41002" in printed
        assert len([one for one in exchange.sent if one.kind == "push"]) == 500
        assert folder.payloads() == [one.payload for one in exchange.sent]
        gaps = folder.rows("SELECT topic, reason FROM gaps WHERE topic IS NOT NULL AND ends_ns IS NULL ORDER BY topic")
        assert gaps == [("order.nosuch_p", "refused"), ("position.nosuch_p", "refused")]

        # Listed at last: its gap ends with the acknowledgement.
        folder.configure(exchange)
        with invalid_topics(exchange, ["position.btcusd_p"]), folder.run("--for", "3s") as process:
            assert process.wait() == 0, process.errors
        with folder.run("--for", "3s") as process:
            assert process.wait() == 0, process.errors
    (gap,) = folder.rows("SELECT reason, ends_ns IS NOT NULL FROM gaps WHERE topic = 'position.btcusd_p'")
    assert gap == ("refused", 1)


def test_more_symbols_than_a_command_takes(folder: Folder) -> None:
    symbols = tuple(f"s{number}usd_p" for number in range(25))
    with Simulator(SimulatorOptions(symbols=symbols, pushes=3_000)) as exchange:
        folder.configure(exchange, symbols=symbols)
        printed = folder.record(exchange)
        assert folder.payloads() == [one.payload for one in exchange.sent]
    commands = folder.rows("SELECT count(*) FROM frames WHERE source = 'sent' AND CAST(payload AS TEXT) LIKE '%sub%'")
    assert commands == [(3,)]
    assert "51 topics acknowledged" in printed


def test_the_sent_log_of_the_simulator_is_kept_for_oracles(folder: Folder, tmp_path: Path) -> None:
    log = tmp_path / "sent.log"
    with Simulator(SimulatorOptions(pushes=100, sent_log=log)) as exchange:
        folder.configure(exchange)
        folder.record(exchange)
    assert len(log.read_text().splitlines()) == len(folder.payloads())
