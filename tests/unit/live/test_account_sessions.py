"""A key that may have been revoked in an earlier run: what its last sessions proved, if a login is refused."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recorder import venues
from recorder.errors import DatabaseError, Refused
from recorder.live import account_sessions
from recorder.live import collector as collecting
from recorder.live.account_sessions import MAY_BE_REVOKED, AccountSessions, Ended
from recorder.live.proof import KEY_REFUSED, Proof
from recorder.model import time_ordered_id
from recorder.store.entries import SessionEnded
from recorder.venues.base import Stream
from recorder.venues.rest import Login
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.live.peer import PATIENCE_S, TEXT, frame, refuse
from tests.unit.live.test_streams import COVERED, Run
from tests.unit.live.toy import Toy, ToyExchange

ORDER, FILL = b'{"topic":"orders","id":"1"}', b'{"topic":"fills","id":"1"}'
#: Heartbeats that were answered after the last push of a stream.
ANSWERED = (
    "SELECT 1 FROM heartbeats h JOIN sessions s USING (session_id) WHERE s.stream = '{}'"
    " AND h.seq > (SELECT max(seq) FROM {} t WHERE t.session_id = h.session_id)"
)
#: Of each gap that has begun: stream, reason, and the frame that it begins with.
BEGUN = "SELECT stream, reason, begin_seq FROM gaps WHERE begin_seq IS NOT NULL ORDER BY stream"
PUSHED = "SELECT 'money', seq FROM fills UNION SELECT 'orders', seq FROM order_updates ORDER BY 1"
RECONCILED = f"SELECT 1 FROM gaps WHERE reason = '{KEY_REFUSED}' AND state = 'reconciled'"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(venues.VENUES, "toy", "tests.unit.live.toy:Toy")


@pytest.fixture
def exchange() -> Iterator[ToyExchange]:
    with ToyExchange(by_hand=False) as exchange:
        yield exchange


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "recorder.db")


def a_run(run: Run, exchange: ToyExchange) -> None:
    """A run that is stopped after its key was revoked: heartbeats are answered, and nothing is pushed."""
    with run.recording(exchange, Toy(heartbeat_s=0.05)):
        for stream, push, table in (("orders", ORDER, "order_updates"), ("money", FILL, "fills")):
            run.wait(f"{COVERED}'{stream}'")
            exchange.lines[stream].send(frame(push))
            run.wait(f"SELECT 1 FROM {table}")
        run.wait(ANSWERED.format("orders", "order_updates"))
        run.wait(ANSWERED.format("money", "fills"))


def refused_run(run: Run, exchange: ToyExchange) -> None:
    """A run that is refused at its start."""
    with pytest.raises(Refused), run.recording(exchange) as recording:
        assert recording.wait(PATIENCE_S)


@pytest.mark.parametrize("refused", ["GET /orders", "POST /token", "GET /rights"])
def test_a_refusal_at_the_start_of_the_next_run_doubts_every_stream(
    run: Run, exchange: ToyExchange, refused: str, caplog: pytest.LogCaptureFixture
) -> None:
    a_run(run, exchange)
    ended = run.rows(BEGUN)
    pushed = dict(run.rows(PUSHED))
    assert [(stream, reason) for stream, reason, _ in ended] == [("money", "stopped"), ("orders", "stopped")]
    assert all(seq > pushed[stream] for stream, _, seq in ended)
    exchange.answers[refused] = [refuse("401 No")] * 2
    if refused == "GET /orders":
        exchange.answers["GET /money"] = [refuse("503 Busy")] * 10_000
    refused_run(run, exchange)
    assert run.rows(BEGUN) == [(stream, KEY_REFUSED, seq) for stream, seq in pushed.items()]
    assert caplog.text.count(MAY_BE_REVOKED) == 2
    # The key is restored, and what it hid is asked for.
    exchange.answers.clear()
    asked = exchange.asked.count("GET /open")
    with run.recording(exchange):
        run.wait(RECONCILED, 2)
    assert exchange.asked.count("GET /open") > asked
    details = run.rows(f"SELECT DISTINCT end_detail FROM sessions WHERE end_reason = '{KEY_REFUSED}'")
    assert details == [("the exchange refuses the key; stopped",)]


def test_a_refusal_before_anything_is_written_is_noted_once(run: Run, exchange: ToyExchange) -> None:
    a_run(run, exchange)
    exchange.answers["GET /rights"] = [refuse("401 No")] * 3
    counts = []
    for _ in range(3):
        refused_run(run, exchange)
        counts.append(run.rows("SELECT count(*), min(end_reason) FROM runs"))
    assert counts == [[(2, "failed")]] * 3


def test_a_refusal_before_anything_is_written_ends_what_a_crash_left(run: Run, exchange: ToyExchange) -> None:
    a_run(run, exchange)
    # As a process leaves it that dies.
    with closing(sqlite3.connect(run.path, isolation_level=None)) as database:
        database.execute("UPDATE sessions SET ended_ns = NULL, end_reason = NULL")
        database.execute("UPDATE runs SET ended_ns = NULL, end_reason = NULL")
        database.execute("DELETE FROM gaps WHERE reason = 'stopped'")
    exchange.answers["GET /rights"] = [refuse("401 No")]
    refused_run(run, exchange)
    assert run.rows("SELECT end_reason FROM runs ORDER BY run_id") == [("crashed",), ("failed",)]
    assert run.rows(BEGUN) == [(stream, KEY_REFUSED, seq) for stream, seq in run.rows(PUSHED)]
    details = run.rows("SELECT DISTINCT detail FROM gaps WHERE begin_seq IS NOT NULL")
    assert details == [("the exchange refuses the key; crashed: the recorder did not end it",)]


class OneStream(Toy):
    """Orders only."""

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """The first."""
        return super().streams(login)[:1]


def test_a_run_that_is_refused_and_then_accepted_reconciles_the_gap(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its very first connection is lost before the login, which alone does not end it."""
    monkeypatch.setattr(collecting, "REFUSED_S", 0.1)
    with ToyExchange() as exchange:
        with run.recording(exchange, OneStream(heartbeat_s=0.05)):
            line = exchange.covered()
            line.send(frame(ORDER))
            run.wait("SELECT 1 FROM order_updates")
            assert line.receive() == (TEXT, b"ping")
            line.send(frame(b"pong"))
            run.wait(ANSWERED.format("orders", "order_updates"))
        with run.recording(exchange, OneStream()):
            exchange.line().reset()
            exchange.line().send(frame(b'{"id":"login","no":"no such key"}'))
            exchange.covered()
            run.wait(RECONCILED)
    begins = run.rows(f"SELECT begin_seq, begins_ns FROM gaps WHERE reason = '{KEY_REFUSED}'")
    assert begins == run.rows("SELECT seq, received_ns FROM order_updates")
    ends = run.rows(f"SELECT ends_ns FROM gaps WHERE reason = '{KEY_REFUSED}'")
    assert ends == run.rows("SELECT max(covered_ns) FROM sessions")


def test_once_a_login_was_accepted_the_runs_before_are_not_doubted(
    run: Run, exchange: ToyExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "REFUSED_S", 0.1)
    gaps = "SELECT stream, reason, begin_seq FROM gaps WHERE gap_id <= 4 ORDER BY gap_id"
    a_run(run, exchange)
    before = run.rows(gaps)
    assert [reason for _, reason, _ in before] == ["beginning", "beginning", "stopped", "stopped"]
    with run.recording(exchange):
        for stream in ("orders", "money"):
            run.wait(f"{COVERED}'{stream}'")
        exchange.answers["GET /orders"] = [refuse("401 No")]
        exchange.lines["orders"].reset()
        run.wait("SELECT 1 FROM sessions WHERE stream = 'orders' AND covered_ns IS NOT NULL", 3)
    assert run.rows(gaps) == before
    assert len(run.rows("SELECT 1 FROM gaps")) == 7, "one more each, and that of the lost connection"


def test_a_record_that_cannot_be_read_ends_the_run(
    run: Run, exchange: ToyExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run will be refused, too."""
    a_run(run, exchange)
    exchange.answers["POST /token"] = [refuse("401 No")] * 2

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(account_sessions, "last_session", fail)
    with pytest.raises(DatabaseError, match="disk I/O error"), run.recording(exchange) as recording:
        assert recording.wait(PATIENCE_S)


def ended(seq: int, last_seq: int) -> Ended:
    """A session that was pushed something, and received more."""
    proof = Proof(NOON_NS, fails_silently=False)
    proof.pushed(NOON_NS + seq, seq)
    entry = SessionEnded(ACCOUNT, SESSION, NOON_NS + 100, "lost", "", True, last_seq, NOON_NS + last_seq)
    return Ended(proof, 0, entry)


def test_each_stream_is_doubted_once_unless_it_is_covered() -> None:
    sessions = AccountSessions(recorded={"a": lambda: ended(3, 9), "b": lambda: ended(4, 9), "c": lambda: None})
    sessions.covered("b")
    assert [(one.last_seq, one.reason) for one in sessions.refused()] == [(3, KEY_REFUSED)]
    assert sessions.refused() == []
    sessions.ended("b", ended(5, 9))
    sessions.ended("a", ended(9, 9))
    assert [one.last_seq for one in sessions.refused()] == [5], "of the other one, a push was the last that came"
    assert sessions.refused() == []


def test_keys_rise_whatever_the_clock_does() -> None:
    sessions = AccountSessions(time_ordered_id(NOON_NS))
    first = sessions.next_id(NOON_NS + 10**9)
    assert first > time_ordered_id(NOON_NS)
    assert sessions.next_id(NOON_NS - 10**9) == first + 1
