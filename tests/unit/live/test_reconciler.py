"""The reconciler against the simulated exchange's REST interface: what it tells the event log, whatever it meets."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, select

from recorder.clock import Clock
from recorder.live import reconciler as module
from recorder.live.channel import Channel, Recorded
from recorder.live.http import HttpClient
from recorder.live.reconciler import Reconciler
from recorder.live.settings import Account, Limits
from recorder.model import CONTROL, REST, UNDECODED, FillUpdate
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import refusing
from recorder.store import event_log, migrate
from recorder.store.engine import open_engine
from recorder.store.entries import (
    AccountAdded,
    Covered,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    RecorderAdded,
    RunStarted,
    SessionEnded,
    SessionOpened,
)
from recorder.store.event_log import ANSWERED, FAILED, INCOMPLETE, RECONCILE, REGULAR
from recorder.store.gaps import PARTIAL, RECONCILED, UNRECOVERABLE
from recorder.store.journal import Batch
from recorder.store.schema import gaps
from recorder.store.seals import BEGINNING
from recorder.venues import venue_named
from recorder.venues.rest import Credentials, Traded
from tests.made import received
from tests.unit.live.archive import Archive
from tests.unit.live.peer import PATIENCE_S, Peer, refuse

RECORDER = 1
RUN_ID = 1
QUICK = Limits(reconnect_first_s=0.01, reconnect_last_s=0.02, reconcile_settle_s=0.001)


class Stage:
    """A reconciler with a record that has one ended gap: the time before it."""

    def __init__(self, path: Path, account: Account, clock: Clock, limits: Limits = QUICK) -> None:
        self.account = account
        self.path = path
        engine = open_engine(f"sqlite:///{path}")
        migrate.require_usable(engine)
        self.covered = Covered(account.account_id, 10, 2, 120, account.streams[0].topics, {})
        with engine.begin() as connection:
            event_log.apply(connection, RECORDER, RecorderAdded(RECORDER, 100, "host"))
            event_log.apply(connection, RECORDER, AccountAdded(account.account_id, "fmex", account.name, 100))
            event_log.apply(connection, RECORDER, RunStarted(RUN_ID, RECORDER, 100, "host", 1, "0"))
            opened = SessionOpened(account.account_id, 10, RUN_ID, account.url, account.streams[0].topics, 110)
            event_log.apply(connection, RECORDER, opened)
            event_log.apply(connection, RECORDER, self.covered)
        self.ready = Event()
        self.channel = Channel(self.ready, 1_000, 2**20)
        self.frames: list[Recorded] = []
        self._taken: deque[Recorded | LogEntry] = deque()
        reading: Engine = open_engine(f"sqlite:///{path}", read_only=True)
        client = HttpClient(account.url, PATIENCE_S, PATIENCE_S)
        self.reconciler = Reconciler(
            account, RECORDER, RUN_ID, reading, self.channel, client, clock, limits, lambda: None
        )

    def next_entry(self) -> LogEntry:
        """The next entry for the event log; frames before it are kept."""
        while True:
            self._taken += self.channel.take(1_000, 2**20)
            while self._taken:
                item = self._taken.popleft()
                if isinstance(item, Recorded):
                    self.frames.append(item)
                else:
                    return item
            assert self.ready.wait(PATIENCE_S), "nothing was told"
            self.ready.clear()
            if not self.channel.is_empty:
                self.ready.set()

    def next_round(self) -> ReconciliationEnded:
        """The end of the next round."""
        began, ended = self.next_entry(), self.next_entry()
        assert isinstance(began, ReconciliationBegan)
        assert isinstance(ended, ReconciliationEnded)
        assert began.reconciliation_id == ended.reconciliation_id > ended.session_id
        return ended

    def apply(self, ended: ReconciliationEnded) -> None:
        """Write a round's entries into the record, as the writer does."""
        began = ReconciliationBegan(self.account.account_id, ended.reconciliation_id, RUN_ID, 1)
        with open_engine(f"sqlite:///{self.path}").begin() as connection:
            event_log.apply(connection, RECORDER, began)
            event_log.apply(connection, RECORDER, ended)

    def outage(self, *pushes: bytes, session_id: int = 20) -> None:
        """The session ends after these pushes, and the next one is covered."""
        account_id, before = self.account.account_id, self.covered.session_id
        seq = self.covered.seq + len(pushes)
        self.covered = Covered(account_id, session_id, 2, Clock().wall_ns(), self.account.streams[0].topics, {})
        batch = Batch(RECORDER, RUN_ID, session_id, BEGINNING)
        for number, payload in enumerate(pushes):
            one = received(3 + number, payload, account_id=account_id, session_id=before, at_ns=150 + number)
            batch.add(*one)
        batch.entries += [
            SessionEnded(account_id, before, 160, "lost", "", True, seq, 160),
            SessionOpened(account_id, session_id, RUN_ID, self.account.url, self.account.streams[0].topics, 190),
            self.covered,
        ]
        with open_engine(f"sqlite:///{self.path}").begin() as connection:
            batch.write(connection, 200)
        self.reconciler.covered(self.covered)


@contextmanager
def stage(
    path: Path,
    url: str,
    key: str = "demo-key",
    secret: str = "demo-secret",
    clock: Clock | None = None,
    symbols: tuple[str, ...] = ("btcusd_p",),
    limits: Limits = QUICK,
) -> Iterator[Stage]:
    account = Account(
        name="main",
        venue=venue_named("fmex"),
        url=url,
        credentials=Credentials(key=key, secret=secret),
        symbols=symbols,
    )
    with started(Stage(path, account, clock or Clock(), limits)) as made:
        yield made


@contextmanager
def started(made: Stage) -> Iterator[Stage]:
    made.reconciler.start()
    made.reconciler.covered(made.covered)
    try:
        yield made
    finally:
        made.reconciler.stop()
        made.reconciler.join(PATIENCE_S)
    assert not made.reconciler.is_alive()
    assert made.reconciler.failure is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorder.db"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(module, "RETRY_LAST_S", 0.05)


def test_answers_are_frames_of_the_rounds_own_session(path: Path) -> None:
    with Simulator(SimulatorOptions()) as exchange, stage(path, exchange.url) as it:
        ended = it.next_round()
    assert ended.result == RECONCILED
    assert ended.session_id == it.covered.session_id
    frames = [recorded.frame for recorded in it.frames]
    assert [frame.topic for frame in frames] == [
        "/v3/contracts/accounts",
        "/v3/broker/auth/contracts/positions",
        "/v3/contracts/orders/open",
    ]
    assert [frame.seq for frame in frames] == [0, 1, 2]
    assert {(frame.session_id, frame.source) for frame in frames} == {(ended.reconciliation_id, REST)}


@pytest.mark.parametrize("status", [503, 429, 500, 401])
def test_an_exchange_that_cannot_answer_now_is_asked_again(path: Path, status: int) -> None:
    with Simulator(SimulatorOptions()) as exchange:
        with refusing(exchange, status, retry_after_s=0), stage(path, exchange.url) as it:
            assert it.next_round().result == FAILED
            assert it.next_round().result == FAILED
            exchange.change(refuse_status=0)
            while (ended := it.next_round()).result == FAILED:
                pass
        assert ended.result == RECONCILED


def test_history_that_is_not_served_cannot_be_recovered(path: Path) -> None:
    with Simulator(SimulatorOptions()) as exchange, refusing(exchange, 404), stage(path, exchange.url) as it:
        ended = it.next_round()
    assert ended.result == UNRECOVERABLE
    assert [one.name for one in ended.lost] == ["balances", "positions", "open orders"]
    assert ended.lost[0].reason == 'HTTP 404 {"status":404,"msg":"not found"}'
    # Its words are kept, as evidence.
    (first, *_) = [one.frame for one in it.frames]
    assert (first.topic, first.source, first.status) == ("HTTP 404 /v3/contracts/accounts", REST, CONTROL)
    assert first.payload == b'{"status":404,"msg":"not found"}'


@pytest.mark.parametrize(
    ("body", "status"), [(b"<html></html>", CONTROL), (b'{"status":0,"data":"?"}', UNDECODED)], ids=["html", "json"]
)
def test_an_answer_that_makes_no_sense_is_kept_and_asked_for_again(path: Path, body: bytes, status: str) -> None:
    with Peer(refuse("200 OK", "Connection: close", body=body)) as peer, stage(path, peer.url) as it:
        ended = it.next_round()
    assert ended.result == FAILED
    assert [(one.frame.payload, one.frame.status) for one in it.frames[:15]] == [(body, status)] * 15
    targets = [(one.frame.topic or "").removeprefix("HTTP 200 ") for one in it.frames[:15:5]]
    assert targets == ["/v3/contracts/accounts", "/v3/broker/auth/contracts/positions", "/v3/contracts/orders/open"]


def test_secrets_that_an_error_repeats_are_masked(path: Path) -> None:
    def echo(request: bytes) -> bytes:
        return refuse("401 Unauthorized", "Connection: close", body=request)(request)

    with Peer(echo) as peer, stage(path, peer.url, "a-key-of-mine", "a-secret-of-mine") as it:
        assert it.next_round().result == FAILED
    frame = it.frames[0].frame
    assert frame.topic == "HTTP 401 /v3/contracts/accounts (secret masked)"
    assert b"FC-ACCESS-KEY: ***\r\n" in frame.payload
    assert b"FC-ACCESS-SIGNATURE: ***\r\n" in frame.payload


def test_what_the_exchange_does_not_have_costs_only_its_own_subject(path: Path) -> None:
    """An order that was purged and a symbol that is not listed: everything else is restored, and the gap says so."""
    options = SimulatorOptions(pushes=80, live_clock=True, wait_for_subscriber=False)
    with Simulator(options) as exchange:
        exchange.wait_finished(PATIENCE_S)
        with stage(path, exchange.url, symbols=("nosuch_p", "btcusd_p")) as it:
            it.apply(it.next_round())
            it.outage(b'{"type":"order.btcusd_p","ts":1,"order":{"id":123,"symbol":"BTCUSD_P","status":"PENDING"}}')
            it.frames.clear()
            ended = it.next_round()
            it.apply(ended)
            restored = [update for one in it.frames for update in one.updates if isinstance(update, FillUpdate)]
    assert ended.result == PARTIAL
    assert [(one.name, one.reason[:8]) for one in ended.lost] == [
        ("closed orders of nosuch_p", "HTTP 400"),
        ("order 123", "HTTP 404"),
    ]
    assert restored
    with open_engine(f"sqlite:///{path}").connect() as connection:
        rows = connection.execute(select(gaps.c.state, gaps.c.resolution).order_by(gaps.c.gap_id)).all()
    (_, (state, resolution)) = rows
    assert state == UNRECOVERABLE
    assert resolution.startswith("restored: balances and positions as of now, ")
    assert (
        f"orders, {len(restored)} executions; not restored: balances, positions and order states in between;"
        in resolution
    )
    assert "; unrecoverable: closed orders of nosuch_p (HTTP 400" in resolution
    assert "order 123 (HTTP 404" in resolution


def test_a_question_that_fails_for_now_leaves_the_gap_open_but_not_the_others_unasked(path: Path) -> None:
    def answer(request: bytes) -> bytes:
        if b"GET /v3/contracts/accounts" in request:
            return refuse("500 Error", "Connection: close", body=b"{}")(request)
        return refuse("200 OK", "Connection: close", body=b'{"status":0,"data":{"results":[]}}')(request)

    with Peer(answer) as peer, stage(path, peer.url) as it:
        ended = it.next_round()
    assert (ended.result, ended.detail, ended.lost) == (FAILED, "balances (HTTP 500 {})", ())
    topics = [one.frame.topic for one in it.frames[:7]]
    assert topics[:5] == ["HTTP 500 /v3/contracts/accounts"] * 5
    assert topics[5:] == ["/v3/broker/auth/contracts/positions", "/v3/contracts/orders/open"]


def test_a_record_that_cannot_be_read_now_is_no_reason_to_stop(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Simulator(SimulatorOptions()) as exchange, stage(path, exchange.url) as it:
        assert it.next_round().result == RECONCILED
        good = path.read_bytes()
        path.write_bytes(b"no database" * 1_000)
        it.reconciler.covered(it.covered)
        while "the record cannot be read" not in caplog.text:
            assert it.reconciler.is_alive()
        path.write_bytes(good)
        assert it.next_round().result == RECONCILED


def test_nothing_is_asked_where_no_gap_is_open(path: Path) -> None:
    with Simulator(SimulatorOptions()) as exchange, stage(path, exchange.url) as it:
        ended = it.next_round()
        with open_engine(f"sqlite:///{path}").begin() as connection:
            event_log.apply(
                connection, RECORDER, ReconciliationBegan(it.account.account_id, ended.reconciliation_id, RUN_ID, 1)
            )
            event_log.apply(connection, RECORDER, ended)
        it.frames.clear()
        it.reconciler.covered(it.covered)
    assert it.channel.is_empty
    assert it.frames == []


def test_rounds_are_numbered_anew_where_the_clock_has_jumped_back(path: Path) -> None:
    stuck = Clock(wall_ns=lambda: 7)
    with Simulator(SimulatorOptions()) as exchange, stage(path, exchange.url, clock=stuck) as it:
        numbers = [it.next_round().reconciliation_id for _ in range(3)]
    assert it.covered.session_id < numbers[0] < numbers[1] < numbers[2]


def test_a_stop_leaves_the_round_at_once(path: Path) -> None:
    with (
        Simulator(SimulatorOptions()) as exchange,
        refusing(exchange, 503, retry_after_s=3_600),
        stage(path, exchange.url) as it,
    ):
        assert isinstance(it.next_entry(), ReconciliationBegan)
    left = it.channel.take(1_000, 2**20)
    assert [one for one in left if not isinstance(one, Recorded)] == [], "the round has no end"


def test_what_a_venue_has_forgotten_is_what_is_lost(path: Path) -> None:
    with Archive(fills=3, now_ms=Clock().wall_ms()) as archive, started(Stage(path, archive.account, Clock())) as it:
        it.apply(it.next_round())
        # The gap began in 1970.
        it.outage()
        while (ended := it.next_round()).session_id != it.covered.session_id:
            pass
        it.apply(ended)
    assert ended.result == PARTIAL
    assert [(one.name, one.reason, one.topic) for one in ended.lost] == [
        ("fills before two years ago", "it remembers two years", "order.")
    ]
    with open_engine(f"sqlite:///{path}").connect() as connection:
        rows = connection.execute(select(gaps.c.state, gaps.c.resolution).order_by(gaps.c.gap_id)).all()
    assert rows[1].state == UNRECOVERABLE
    assert rows[1].resolution.endswith("; unrecoverable: fills before two years ago (it remembers two years)")


def test_what_is_never_pushed_is_asked_for_regularly_and_after_each_reconciliation(path: Path) -> None:
    limits = replace(QUICK, transactions_every_s=0.05, reconcile_settle_s=0.2)
    now_ms = Clock().wall_ms()
    with Archive(now_ms=now_ms) as archive, started(Stage(path, archive.account, Clock(), limits)) as it:
        began = it.next_entry()
        assert isinstance(began, ReconciliationBegan) and began.purpose == RECONCILE
        assert isinstance(it.next_entry(), ReconciliationEnded)
        results = []
        for _ in range(3):
            it.frames.clear()
            began = it.next_entry()
            assert isinstance(began, ReconciliationBegan) and began.purpose == REGULAR
            ended = it.next_entry()
            assert isinstance(ended, ReconciliationEnded)
            results.append(ended.result)
            # States in the answers count from the beginning of the round, and REST may be behind.
            assert min(one.frame.received_ns for one in it.frames) >= began.began_ns + 200_000_000
    assert results == [ANSWERED] * 3


def test_transactions_that_cannot_be_answered_now_are_asked_for_again(path: Path) -> None:
    limits = replace(QUICK, transactions_every_s=1_000.0)
    with Archive(now_ms=Clock().wall_ms()) as archive, started(Stage(path, archive.account, Clock(), limits)) as it:
        archive.answers.extend([(200, {}, b'{"code":0,"rows":[]}')] + [(500, {}, b"")] * 5)
        assert it.next_round().result == RECONCILED
        assert it.next_round().result == FAILED
        assert it.next_round().result == ANSWERED
    assert archive.requests == 7


def test_a_gap_that_stays_open_does_not_keep_transactions_waiting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 1_000.0)
    with Archive(now_ms=Clock().wall_ms()) as archive, started(Stage(path, archive.account, Clock())) as it:
        archive.answers.extend([(500, {}, b"")] * 5)
        assert it.next_round().result == FAILED
        assert it.next_round().result == ANSWERED


def test_a_round_that_the_exchange_refuses_a_list_is_not_complete(path: Path) -> None:
    limits = replace(QUICK, transactions_every_s=0.05)
    with Archive(now_ms=Clock().wall_ms()) as archive, started(Stage(path, archive.account, Clock(), limits)) as it:
        archive.answers.extend([(200, {}, b'{"code":0,"rows":[]}'), (404, {}, b"no right to read it")])
        assert it.next_round().result == RECONCILED
        ended = it.next_round()
        assert (ended.result, len(ended.lost)) == (INCOMPLETE, 1)
        assert it.next_round().result == ANSWERED


def test_it_is_not_asked_for_where_it_is_switched_off_or_the_venue_has_none(path: Path) -> None:
    limits = replace(QUICK, transactions_every_s=0)
    with Archive(now_ms=Clock().wall_ms()) as archive, started(Stage(path, archive.account, Clock(), limits)) as it:
        assert it.next_round().result == RECONCILED
        it.reconciler.stop()
        it.reconciler.join(PATIENCE_S)
    assert it.channel.is_empty
    with Simulator(SimulatorOptions()) as exchange:
        account = replace(archive.account, venue=venue_named("fmex"), url=exchange.url)
        it = Stage(path.with_suffix(".2"), account, Clock())
        assert it.reconciler.history.ask_regularly(1, [Traded(None, "BTCUSD_P")]) == ""
    assert it.channel.is_empty


def test_rest_has_time_to_catch_up_with_a_gap(path: Path) -> None:
    limits = replace(QUICK, reconcile_settle_s=0.3)
    with Simulator(SimulatorOptions()) as exchange, stage(path, exchange.url, limits=limits) as it:
        it.apply(it.next_round())
        it.frames.clear()
        it.outage()
        began, _ended = it.next_entry(), it.next_entry()
    assert isinstance(began, ReconciliationBegan)
    assert min(one.frame.received_ns for one in it.frames) >= began.began_ns + 300_000_000
