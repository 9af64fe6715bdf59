"""Comparing what the exchange says with what it pushed, in a run against the simulated exchange."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import Refused
from recorder.live import comparison, reconciler, rest_client
from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import expired, lagging, refusing, silent, swallowing
from recorder.venues.fmex.stand_in.rest import Authenticator
from recorder.venues.rest import Credentials, Forgotten, Known, Purpose, Question, Questions, RestLimit
from recorder.venues.stand_in import HttpError
from tests.unit.live.peer import PATIENCE_S
from tests.unit.live.stage import Venue

OFTEN = Limits(reconcile_every_s=0.05, reconcile_settle_s=0.1, reconnect_first_s=0.01, reconnect_last_s=0.02)
FOUND = "SELECT subject, field, told, held FROM discrepancies ORDER BY found_ns"
SAME = "SELECT * FROM reconciliations WHERE detail = 'the same'"


class Patient(Venue):
    """An exchange with quick heartbeats that may be asked as often as one likes."""

    rest_limits: tuple[RestLimit, ...] = (RestLimit(1_000_000, 1.0),)

    def __init__(self) -> None:
        super().__init__(heartbeat_s=0.05)


class Run:
    """A recording, and what is in its record so far."""

    def __init__(self, path: Path, exchange: Simulator, limits: Limits) -> None:
        self._path = path
        self._committed = threading.Condition()
        account = Account(
            name="main",
            venue=Patient(),
            url=exchange.url,
            credentials=Credentials(key=exchange.key, secret=exchange.secret),
            symbols=("btcusd_p",),
        )
        self.recording = Recording(f"sqlite:///{path}", [account], limits, on_durable=lambda _: self._notify())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until it is so after a commit."""
        with self._committed:
            assert self._committed.wait_for(done, 5 * PATIENCE_S), self.rows("SELECT * FROM reconciliations")

    def wait_rows(self, sql: str, more: int = 1) -> None:
        """Wait until there are so many more of these rows."""
        enough = len(self.rows(sql)) + more
        self.wait_for(lambda: len(self.rows(sql)) >= enough)

    def _notify(self) -> None:
        with self._committed:
            self._committed.notify_all()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "recorder.live")
    monkeypatch.setattr(rest_client, "ATTEMPTS_MAX", 1)
    monkeypatch.setattr(reconciler, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(reconciler, "RETRY_LAST_S", 0.05)


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """An account that trades a few hundred pushes a second."""
    # Here more is asked in a second than elsewhere in a day.
    monkeypatch.setattr(Authenticator, "count", lambda _self, _key, _now_ms: None)
    with Simulator(SimulatorOptions(rate_per_s=400, wait_for_subscriber=False, keep_sent=False)) as simulator:
        yield simulator


@contextmanager
def running(path: Path, exchange: Simulator, limits: Limits = OFTEN) -> Iterator[Run]:
    run = Run(path / "recorder.db", exchange, limits)
    with run.recording:
        run.wait_for(lambda: bool(run.rows("SELECT * FROM sessions WHERE covered_ns IS NOT NULL")))
        yield run


@contextmanager
def behind_until(exchange: Simulator, words: str) -> Iterator[None]:
    """REST is far behind the pushes until the comparison logs these words; however slow the machine, not afterwards."""
    with ExitStack() as stack:

        def catch_up(record: logging.LogRecord) -> bool:
            if words in record.getMessage():
                stack.close()
            return True

        comparison.log.addFilter(catch_up)
        try:
            stack.enter_context(lagging(exchange, PATIENCE_S))
            yield
        finally:
            comparison.log.removeFilter(catch_up)


def test_what_was_not_pushed_is_found_once(tmp_path: Path, exchange: Simulator) -> None:
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        with swallowing(exchange):
            # Nothing but heartbeats comes any more.
            run.wait_rows(FOUND)
            with silent(exchange):
                run.wait_rows(SAME, 3)
                found = run.rows(FOUND)
                run.wait_rows(SAME, 3)
                assert run.rows(FOUND) == found
        assert run.recording.state().discrepancies == len(found)
    assert {subject.split()[0] for subject, _, _, _ in found} >= {"balance", "order"}
    assert run.rows("SELECT count(*) FROM gaps") == [(2,)], "the beginning and the end: no gap explains it"


def test_rest_that_is_further_behind_is_asked_again(
    tmp_path: Path, exchange: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        with behind_until(exchange, "asking once more"):
            run.wait_for(lambda: "asking once more" in caplog.text)
        run.wait_rows(SAME)
    assert run.rows(FOUND) == []


def test_without_asking_again_that_would_be_a_false_alarm(
    tmp_path: Path, exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Once(comparison.SnapshotComparison):
        def contradictions(self, *arguments: Any) -> Any:
            self.compared: Any = None
            return super().contradictions(*arguments)

        def _compare(self, *arguments: Any) -> Any:
            self.compared = self.compared or super()._compare(*arguments)
            return self.compared

    monkeypatch.setattr(reconciler, "SnapshotComparison", Once)
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        with lagging(exchange, 0.5):
            run.wait_rows(FOUND)


def test_a_round_without_the_open_orders_is_no_state_to_compare_with(
    tmp_path: Path, exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every order that it did not list would look as if no push had opened it."""
    asked = Patient.questions

    def without_orders(venue: Patient, purpose: Purpose, known: Known) -> Questions:
        questions, answer = asked(venue, purpose, known), None
        with suppress(StopIteration):
            while True:
                step = questions.send(answer)
                is_lost = purpose is Purpose.RECONCILE and isinstance(step, Question) and step.subject == "open orders"
                answer = yield Forgotten("open orders", "it has forgotten them") if is_lost else step
        return None

    monkeypatch.setattr(Patient, "questions", without_orders)
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
    rounds = run.rows("SELECT result, detail FROM reconciliations WHERE result <> 'answered' ORDER BY began_ns")
    assert [result for result, _ in rounds[:2]] == ["unrecoverable", "compared"]
    assert rounds[1] == ("compared", "a snapshot to start from")
    assert run.rows(FOUND) == []


def test_a_session_that_ends_meanwhile_drops_the_comparison(tmp_path: Path, exchange: Simulator) -> None:
    failed = "SELECT * FROM reconciliations WHERE detail = 'the session ended meanwhile'"
    # The next session begins when nothing is swallowed any more.
    slowly = replace(OFTEN, reconcile_settle_s=2.0, reconnect_first_s=1.0, reconnect_last_s=1.0)
    with running(tmp_path, exchange, slowly) as run:
        run.wait_rows(SAME)
        with swallowing(exchange):
            run.wait_rows("SELECT * FROM frames WHERE source = 'snapshot'")
            exchange.drop_connections()
        run.wait_for(lambda: len(run.rows(failed)) == 1)
        # The next session is compared like the first one.
        run.wait_rows(SAME)
    assert run.rows(FOUND) == []


@pytest.mark.alone
def test_a_stop_does_not_wait_for_things_to_settle(tmp_path: Path, exchange: Simulator) -> None:
    with running(tmp_path, exchange, replace(OFTEN, reconcile_settle_s=3_600)) as run:
        run.wait_for(lambda: len(run.rows("SELECT * FROM reconciliations WHERE result = 'reconciled'")) >= 1)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 30


def test_it_can_be_switched_off(tmp_path: Path, exchange: Simulator) -> None:
    with running(tmp_path, exchange, replace(OFTEN, reconcile_every_s=0)) as run:
        run.wait_for(lambda: len(run.rows("SELECT * FROM reconciliations WHERE result = 'reconciled'")) >= 1)
        run.wait_rows("SELECT * FROM frames", 500)
    assert run.rows("SELECT * FROM reconciliations WHERE purpose = 'compare'") == []


def test_an_exchange_that_does_not_answer_is_asked_the_next_time(
    tmp_path: Path, exchange: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        with refusing(exchange, 503, retry_after_s=0):
            run.wait_rows("SELECT * FROM reconciliations WHERE result = 'failed'", 2)
        run.wait_rows(SAME, 2)
    assert "main: not compared with the exchange this time" in caplog.text
    assert run.rows(FOUND) == []


def test_the_log_is_bounded(
    tmp_path: Path, exchange: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "FINDINGS_SHOWN_MAX", 1)
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        with swallowing(exchange):
            run.wait_for(lambda: "more discrepancies: see `recorder discrepancies`" in caplog.text)
    rounds = run.rows("SELECT DISTINCT session_id FROM discrepancies")
    assert caplog.text.count("main: discrepancy: ") == len(rounds) < len(run.rows(FOUND))


@pytest.fixture
def without_rest(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Takes the right to use REST from the key; its socket goes on working."""

    def refuse(_self: Authenticator, _key: str, _now_ms: int) -> None:
        raise HttpError(401, "the key lacks a right")

    return lambda: monkeypatch.setattr(Authenticator, "count", refuse)


#: Of each gap that begins with a session: whether something was pushed in it after that, and heartbeats were answered.
AFTER_BEGINNING = """
    SELECT EXISTS (SELECT 1 FROM frames WHERE session_id = begin_session_id AND seq > begin_seq AND status = 'decoded'
            AND seq NOT IN (SELECT seq FROM heartbeats WHERE session_id = begin_session_id)),
        (SELECT count(*) FROM heartbeats WHERE session_id = begin_session_id AND seq > begin_seq)
    FROM gaps WHERE reason = """


def refused(words: str) -> str:
    return f"SELECT * FROM reconciliations WHERE result = 'failed' AND detail LIKE '%{words}'"


def test_a_session_that_is_pushed_to_goes_on_if_rest_refuses_the_key(
    tmp_path: Path, exchange: Simulator, without_rest: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "PUSHED_WITHIN_S", 0.5)
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        without_rest()
        run.wait_rows(refused("Pushes still come: the key is valid, but may lack a right."), 3)
    assert run.rows("SELECT reason FROM gaps ORDER BY begins_ns") == [("beginning",), ("stopped",)]
    ((_, at),) = run.rows("SELECT begin_session_id, begin_seq FROM gaps WHERE reason = 'stopped'")
    assert [(at,)] == run.rows("SELECT max(seq) FROM frames WHERE source = 'push'"), "no doubt is left"


def test_a_quiet_account_logs_in_again_once_if_rest_refuses_the_key(
    tmp_path: Path, exchange: Simulator, without_rest: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its sessions would be pushed anything, nobody knows; but its key is valid, and there is no storm."""
    monkeypatch.setattr(comparison, "PUSHED_WITHIN_S", 0.2)
    known = refused("Since an earlier refusal, a login was accepted: the key is valid, but may lack a right.")
    ended = "SELECT * FROM gaps WHERE reason = 'key refused'"
    with running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        with silent(exchange):
            run.wait_rows(SAME)
            without_rest()
            run.wait_rows(known, 5)
            ((pushed, heartbeats),) = run.rows(f"{AFTER_BEGINNING} 'key refused'")
            assert not pushed
            assert heartbeats, "they prove nothing"
            assert len(run.rows("SELECT * FROM sessions")) == 2
            assert run.recording.state().sessions == {"main": "covered"}
            # A day later it is tried again: the key may have been revoked since.
            monkeypatch.setattr(comparison, "NOT_AGAIN_S", 0.0)
            run.wait_rows(ended)
    assert len(run.rows(refused("Nothing is pushed either: a gap begins."))) >= 2


def test_what_a_comparison_proved_is_a_proof_in_the_next_run(tmp_path: Path, exchange: Simulator) -> None:
    """Its first login is refused, and the account had been quiet for long."""
    with ExitStack() as until_stopped, running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        until_stopped.enter_context(silent(exchange))
        run.wait_rows(SAME, 3)
        run.wait_rows("SELECT * FROM heartbeats", 3)
    ((began_ns, ended_ns),) = run.rows(f"{SAME} ORDER BY began_ns DESC LIMIT 1".replace("*", "began_ns, ended_ns"))
    again = Run(tmp_path / "recorder.db", exchange, OFTEN)
    with expired(exchange), pytest.raises(Refused), again.recording:
        assert again.recording.wait(PATIENCE_S)
    ((begins_ns,),) = run.rows("SELECT begins_ns FROM gaps WHERE reason = 'key refused'")
    ((last_ns,),) = run.rows("SELECT max(received_ns) FROM heartbeats")
    assert began_ns <= begins_ns < min(ended_ns, last_ns)
    ((pushed, _),) = run.rows(f"{AFTER_BEGINNING} 'key refused'")
    assert not pushed


def test_a_run_that_is_stopped_while_the_key_is_in_doubt_proves_only_its_pushes(
    tmp_path: Path, exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "PUSHED_WITHIN_S", 3_600.0)
    with ExitStack() as until_stopped, running(tmp_path, exchange) as run:
        run.wait_rows(SAME)
        until_stopped.enter_context(expired(exchange))
        run.wait_for(lambda: bool(run.rows("SELECT * FROM frames WHERE source = 'snapshot' AND topic LIKE '%401%'")))
        run.wait_rows("SELECT * FROM heartbeats", 3)
    ((pushed, heartbeats),) = run.rows(f"{AFTER_BEGINNING} 'key refused'")
    assert not pushed
    assert heartbeats >= 3
