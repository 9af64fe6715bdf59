"""An account with several streams: each has its own sessions and gaps, and the account is covered where all are."""

import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Condition
from typing import Any

import pytest

from recorder import venues
from recorder.errors import Refused
from recorder.live.recording import Recording
from recorder.live.settings import Limits
from recorder.live.watermark import Watermark
from recorder.model import DECODED, ENDED, Decoded, OrderUpdate
from recorder.read.record import Record
from recorder.venues.comparable import Comparable
from recorder.venues.rest import Known, Purpose, Question, Questions
from tests.unit.live.peer import PATIENCE_S, frame, refuse
from tests.unit.live.stage import QUICK
from tests.unit.live.toy import Toy, ToyExchange, rest_request

BYE = frame(b'{"say":"maintenance in 30 s","then":"bye"}')
COVERED = "SELECT 1 FROM sessions WHERE covered_ns IS NOT NULL AND ended_ns IS NULL AND stream = "
SETTLED = "SELECT 1 FROM gaps WHERE state = 'reconciled'"
#: What a process runs that is going to be killed.
VICTIM = """
import sys
from dataclasses import replace
from recorder.live.recording import Recording
from tests.unit.live.stage import QUICK
from tests.unit.live.toy import Credentials, Account, KEY, SECRET, Toy
url, port = sys.argv[1:]
account = Account(name="main", venue=Toy(), url=f"http://127.0.0.1:{port}",
                  credentials=Credentials(key=KEY, secret=SECRET), symbols=())
with Recording(url, [account], QUICK, on_durable=lambda _: print(flush=True)) as recording:
    recording.wait(100)
"""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(venues.VENUES, "toy", "tests.unit.live.toy:Toy")


@pytest.fixture
def exchange() -> Iterator[ToyExchange]:
    with ToyExchange(by_hand=False) as exchange:
        yield exchange


class Run:
    """A record, and a wait for its commits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self._committed = Condition()

    def durable(self, _watermark: Watermark) -> None:
        with self._committed:
            self._committed.notify_all()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def wait(self, sql: str, count: int = 1) -> None:
        """Wait until there are this many rows."""
        with self._committed:
            assert self._committed.wait_for(lambda: len(self.rows(sql)) >= count, 2 * PATIENCE_S), self.rows(sql)

    def recording(self, exchange: ToyExchange, venue: Toy | None = None, limits: Limits = QUICK) -> Recording:
        return Recording(self.url, [exchange.account(venue)], limits, on_durable=self.durable)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "recorder.db")


def test_an_account_is_covered_where_all_its_streams_are(
    run: Run, exchange: ToyExchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with run.recording(exchange) as recording:
        run.wait(SETTLED, 2)
        assert recording.state().sessions == {"main (orders)": "covered", "main (money)": "covered"}
        exchange.answers["GET /money"] = [refuse("503 Unavailable")] * 2
        exchange.lines["money"].reset()
        run.wait(COVERED + "'money'")
        run.wait(SETTLED, 3)
    opened = run.rows("SELECT session_id, stream FROM sessions ORDER BY session_id")
    assert [stream for _, stream in opened].count("money") == 2 and len({key for key, _ in opened}) == 3
    gaps = run.rows("SELECT stream, reason, ends_ns IS NULL FROM gaps ORDER BY gap_id")
    assert sorted(gaps[:2]) == [("money", "beginning", 0), ("orders", "beginning", 0)]
    assert gaps[2] == ("money", "lost", 0)
    assert sorted(gaps[3:]) == [("money", "stopped", 1), ("orders", "stopped", 1)]
    assert "the key may trade; a key that can only read is enough" in caplog.text
    # One round after all streams were covered, and one after the gap.
    rounds = run.rows("SELECT session_id FROM (SELECT reconciliation_id AS session_id FROM reconciliations) ORDER BY 1")
    assert len(rounds) == 2 and rounds[0] > opened[1][:1]
    with Record(run.url) as record:
        (status,) = record.status().accounts
        (lost,) = [gap for gap in record.gaps() if gap.reason == "lost"]
    assert lost.subject == "all topics of money"
    assert status.coverage.gaps == 3 and status.coverage.begins_ns == max(
        ns for (ns,) in run.rows("SELECT ends_ns FROM gaps WHERE reason = 'beginning'")
    )


class Compared(Toy):
    """Its open orders can be compared with the pushes."""

    comparable = (Comparable(OrderUpdate, "/open", lambda _order: "orders", (), ("status",)),)

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """The open orders."""
        told = [_order(row["id"], row["status"]) for row in json.loads(payload)]
        return Decoded(target, DECODED, updates=tuple(told))


def _order(order_id: str, status: str) -> OrderUpdate:
    return OrderUpdate(None, 0, 0, None, "BTC", order_id, side="buy", price="1", quantity="1", status=status)


def test_the_topics_of_every_stream_are_compared(run: Run, exchange: ToyExchange) -> None:
    """The stream of orders is covered before that of money, and both are the account's."""
    exchange.answers["GET /money"] = [refuse("429 Slow")]
    limits = replace(QUICK, reconcile_every_s=0.05, reconcile_settle_s=0.05)
    listed = refuse("200 OK", body=b'[{"id":"7","status":"partially_filled"}]')
    with run.recording(exchange, Compared(heartbeat_s=0.05), limits):
        run.wait("SELECT 1 FROM reconciliations WHERE detail = 'the same'")
        exchange.answers["GET /open"] = [listed] * 10_000
        exchange.lines["orders"].send(frame(b'{"topic":"orders","id":"7"}'))
        run.wait("SELECT 1 FROM discrepancies")
    found = run.rows(
        "SELECT d.subject, d.field, d.told, d.held, s.stream FROM discrepancies d"
        " JOIN sessions s ON s.session_id = d.other_session_id"
    )
    assert found == [("order 7", "status", "partially_filled", "new", "orders")]


class TwoPages(Compared):
    """Its open orders are two lists."""

    comparable = (Compared.comparable[0]._replace(absent={"status": ENDED}),)

    def questions(self, purpose: Purpose, known: Known) -> Questions:
        """Both lists."""
        yield from super().questions(purpose, known)
        yield Question("more open orders", rest_request("GET", "/open/more"), "orders")
        return None


def test_an_order_of_a_list_without_an_answer_is_no_discrepancy(run: Run, exchange: ToyExchange) -> None:
    limits = replace(QUICK, reconcile_every_s=0.05, reconcile_settle_s=0.05)
    exchange.answers["GET /open/more"] = [refuse("200 OK", body=b"[]")] * 10_000
    with run.recording(exchange, TwoPages(heartbeat_s=0.05), limits):
        run.wait("SELECT 1 FROM reconciliations WHERE detail = 'the same'")
        exchange.answers["GET /open/more"] = [refuse("500 Busy")] * 10_000
        run.wait("SELECT 1 FROM reconciliations WHERE detail LIKE 'the same; not answered%'")
        exchange.lines["orders"].send(frame(b'{"topic":"orders","id":"7"}'))
        run.wait("SELECT 1 FROM order_updates")
        compared = len(run.rows("SELECT 1 FROM reconciliations WHERE ended_ns IS NOT NULL"))
        run.wait("SELECT 1 FROM reconciliations WHERE ended_ns IS NOT NULL", compared + 2)
        assert run.rows("SELECT 1 FROM discrepancies") == []
        # What a list says counts all the same.
        exchange.answers["GET /open"] = [refuse("200 OK", body=b'[{"id":"7","status":"filled"}]')] * 10_000
        run.wait("SELECT 1 FROM discrepancies")


def test_a_round_waits_until_all_streams_are_covered(run: Run, exchange: ToyExchange) -> None:
    exchange.answers["GET /money"] = [refuse("429 Slow")] * 10_000
    began = "SELECT ends_ns FROM gaps WHERE reason = 'beginning' AND ends_ns IS NOT NULL"
    with run.recording(exchange) as recording:
        run.wait(COVERED + "'orders'")
        assert recording.state().sessions["main (money)"] == "connecting"
        assert run.rows("SELECT state FROM gaps WHERE stream = 'orders'") == [("open",)]
        exchange.answers["GET /money"].clear()
        run.wait(SETTLED, 2)
    assert exchange.asked.count("GET /open") == 1
    ((asked_ns,),) = run.rows("SELECT began_ns FROM reconciliations")
    assert all(ns < asked_ns for (ns,) in run.rows(began))


def test_a_key_that_may_not_read_ends_the_run_before_anything_is_written(run: Run, exchange: ToyExchange) -> None:
    exchange.answers["GET /rights"] = [refuse("200 OK", body=b'{"may":["trade"]}')]
    with pytest.raises(Refused, match="The key may not read"), run.recording(exchange):
        pass
    assert not run.path.exists()


def test_a_planned_reconnect_leaves_no_gap_and_no_fill_twice(run: Run, exchange: ToyExchange) -> None:
    fills = [b'{"topic":"fills","id":"%d"}' % number for number in range(6)]
    with run.recording(exchange) as recording:
        run.wait(SETTLED, 2)
        old = exchange.lines["money"]
        exchange.pongs = False
        old.send(*map(frame, fills[:2]), BYE)
        run.wait(COVERED + "'money'", 2)
        new = exchange.lines["money"]
        assert new is not old
        for line in (old, new):
            line.send(*map(frame, fills[2:4]))
        # Only the answer to a heartbeat shows that the old one has missed nothing.
        exchange.pongs = True
        old.send(frame(b"pong"))
        run.wait("SELECT 1 FROM sessions WHERE end_reason = 'replaced'")
        new.send(*map(frame, fills[4:]))
        run.wait("SELECT 1 FROM fills WHERE trade_id = '5'")
        assert recording.state().sessions["main (money)"] == "covered"
    assert len(run.rows("SELECT 1 FROM fills")) == 8
    assert run.rows("SELECT reason FROM gaps WHERE reason NOT IN ('beginning', 'stopped')") == []
    with Record(run.url) as record:
        assert sorted(fill.trade_id or "" for fill in record.fills()) == [str(number) for number in range(6)]


def test_a_kill_while_two_sessions_of_a_stream_overlap(run: Run, exchange: ToyExchange) -> None:
    exchange.pongs = False
    command = [sys.executable, "-c", VICTIM, run.url, str(exchange.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None

        def wait(done: Callable[[], object]) -> None:
            assert victim.stdout is not None
            while victim.stdout.readline() and not (run.path.exists() and done()):
                pass

        wait(lambda: len(run.rows(SETTLED)) == 2)
        old = exchange.lines["orders"]
        old.send(BYE)
        wait(lambda: len(run.rows(COVERED + "'orders'")) == 2)
        new = exchange.lines["orders"]
        for line in (old, new):
            line.send(frame(b'{"topic":"orders","id":"1"}'))
        wait(lambda: len(run.rows("SELECT 1 FROM order_updates")) == 2)
        victim.kill()
    ((covered_ns,),) = run.rows("SELECT max(covered_ns) FROM sessions WHERE stream = 'orders'")
    # Of the new session: the old one's push may have been received after it.
    last = run.rows(
        "SELECT max(received_ns) FROM frames WHERE source = 'push' "
        "AND session_id = (SELECT max(session_id) FROM sessions WHERE stream = 'orders')"
    )
    exchange.pongs = True
    with run.recording(exchange):
        run.wait(COVERED + "'orders'")
        run.wait("SELECT 1 FROM gaps WHERE reason = 'crashed' AND stream = 'orders' AND state = 'reconciled'")
    crashed = run.rows("SELECT begins_ns, ends_ns IS NULL FROM gaps WHERE stream = 'orders' AND reason = 'crashed'")
    assert (last[0][0], 0) in crashed
    assert run.rows("SELECT count(*) FROM order_updates") == [(2,)]
    # What the old one brought since then does not show that it had missed nothing before.
    before = "SELECT 1 FROM gaps WHERE stream = 'orders' AND reason = 'crashed' AND begins_ns < ? AND ends_ns = ?"
    assert run.rows(before.replace("?", str(covered_ns))) == [(1,)]
    assert len(run.rows("SELECT 1 FROM gaps WHERE stream = 'money' AND reason = 'crashed'")) == 1
