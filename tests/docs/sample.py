"""The record that the documentation shows: some days of a simulated exchange, the same each time.

Recorded by the recorder's own session, protocol, decoder, reconciliation and journal; only sockets, threads and clocks
are replaced, so that every row is the same each time.
"""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from threading import Event
from typing import cast

from sqlalchemy import Engine

from recorder.clock import NS_PER_MS, NS_PER_S, Clock
from recorder.errors import SessionOver
from recorder.live.channel import Channel, Recorded
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.live.transport import Message, Transport, Waited
from recorder.model import REST, Frame
from recorder.read.before_gap import ended_gaps, known_orders, recorder_of
from recorder.read.projector import project_all
from recorder.store import migrate, venue_views
from recorder.store.entries import (
    AccountAdded,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    RecorderAdded,
    RunEnded,
    RunStarted,
    SessionOpened,
)
from recorder.store.gaps import RECONCILED
from recorder.store.identity import Identity
from recorder.store.journal import Batch
from recorder.store.seals import BEGINNING
from recorder.venues import VENUES
from recorder.venues.reading import read_answer
from recorder.venues.rest import Answer, Known, Purpose, Question
from recorder.venues.stand_in import Said
from tests.docs.exchange import CREDENTIALS, SYMBOLS, URL, TradedExchange, Truth, instant_ms
from tests.made import quick_engine
from tests.samples import FMEX

ACCOUNT = Account(name="main", venue=FMEX, url=URL, credentials=CREDENTIALS, symbols=SYMBOLS)
STREAM = ACCOUNT.streams[0]
LIMITS = Limits()
HOST = "desk"
FILE = "/home/me/recorder.db"

#: A frame that cannot be decoded, and one with an unknown field: both are kept.
STRANGE = (
    b'{"type":"order.btcusd_p","order":{"id":"none"},"ts":1577973640000}',
    b'{"type":"position.btcusd_x","position":{"symbol":"BTCUSD_X","quantity":0,"adl":3},"ts":1577973641000}',
)


def make(path: Path) -> Truth:
    """Record the sample into a new file; return what really happened."""
    engine = quick_engine(f"sqlite:///{path}")
    exchange = TradedExchange("2019-12-30 08:00:00")
    # The account is not new: it has traded before anybody recorded it.
    exchange.trade_unrecorded(40)
    recorder = _Recorder(engine, exchange)
    recorder.start("2019-12-30 09:00:00")
    recorder.listen(260, lost="connection reset by peer")
    exchange.trade_unrecorded(50)
    recorder.listen(160)
    recorder.stop()
    recorder.start("2019-12-31 15:00:00")
    exchange.deposit(Decimal("1.5"))
    recorder.listen(220)
    recorder.stop()
    # Trades on the last evening of the year, while nobody records.
    exchange.now_ms = instant_ms("2019-12-31 22:10:00")
    exchange.trade_unrecorded(30)
    recorder.start("2020-01-02 14:00:00")
    recorder.listen(200, first=STRANGE)
    recorder.stop()
    recorder.start("2020-02-03 10:00:00")
    recorder.listen(180)
    recorder.stop()
    catch_up(engine)
    with engine.begin() as connection:
        for venue in VENUES:  # the page about the schema describes the views of all
            venue_views.account_added(connection, venue)
    engine.dispose()
    return exchange.truth()


def catch_up(engine: Engine) -> None:
    """Project everything, as the writer and the shipper do behind their batches."""
    with engine.connect() as connection:
        for _ in project_all(connection):
            pass


class _Wire:
    """A connection to the exchange: what a session uses of `Transport`. Waiting in it moves the clock."""

    def __init__(self, recorder: "_Recorder", pushes: int, first: Sequence[bytes], lost: str | None) -> None:
        self._recorder = recorder
        self._exchange = recorder.exchange
        self._session = recorder.exchange.conversation()
        self._first = list(first)
        self._trading = recorder.exchange.trade(pushes)
        self._lost = lost
        #: In transit: answers, and pushes; each in order, with the time of arrival.
        self._answers: deque[Message] = deque()
        self._pushes: deque[Message] = deque()
        self.secrets: tuple[str, ...] = ()
        #: Set once the exchange has pushed everything.
        self.stop = Event()
        for said in self._session.open(recorder.now_ms, recorder.now_ms / 1000):
            self._say(self._answers, said, recorder.now_ms)

    def receive(self, until_s: float) -> Message:
        """The next frame. Raises as `Transport.receive`."""
        if not self._pushes and not self._answers:
            self._recorder.settle()
            self._pull()
        until_ns = int(until_s * NS_PER_S) + 1
        coming = min((one for one in (self._answers, self._pushes) if one), default=None, key=lambda one: one[0])
        if coming is None or coming[0].received_ns > until_ns:
            self._recorder.now_ns = max(self._recorder.now_ns, until_ns)
            raise Waited
        due_ns, payload = coming.popleft()
        self._recorder.now_ns = max(due_ns, self._recorder.now_ns + 1_000)
        return Message(self._recorder.now_ns, payload)

    def received_already(self) -> list[Message]:
        """Frames that came and were not read: none."""
        return []

    def send(self, command: bytes) -> None:
        """Send a command of the recorder; the exchange answers it."""
        now_ms = self._exchange.arrival_ns(self._recorder.now_ns) // NS_PER_MS
        for said in self._session.receive(command, now_ms, now_ms / 1000):
            self._say(self._answers, said, now_ms)

    def _pull(self) -> None:
        """The next push."""
        now_ms = max(self._recorder.now_ms, self._exchange.now_ms)
        if self._first:
            self._say(self._pushes, self._first.pop(0), now_ms + 500)
            return
        self._exchange.now_ms = now_ms
        pushed = next(self._trading, None)
        if pushed is not None:
            self._say(self._pushes, pushed[1], pushed[0])
        elif self._lost:
            raise SessionOver("lost", self._lost)
        else:
            self.stop.set()

    def _say(self, way: deque[Message], payload: Said, sent_ms: int) -> None:
        assert isinstance(payload, bytes)
        arrival_ns = self._exchange.arrival_ns(sent_ms * NS_PER_MS)
        way.append(Message(max(arrival_ns, way[-1].received_ns) if way else arrival_ns, payload))


class _Recorder:
    """A recorder of one account, in one thread. It commits where the real one must, and at the end."""

    def __init__(self, engine: Engine, exchange: TradedExchange) -> None:
        migrate.require_usable(engine)
        self.exchange = exchange
        self.now_ns = exchange.now_ms * NS_PER_MS
        self._clock = Clock(wall_ns=lambda: self.now_ns, monotonic_s=lambda: self.now_ns / NS_PER_S)
        self._engine = engine
        self._channel = Channel(Event(), 10**6, 2**30)
        self._recorder_id = self._run_id = 0
        self._batches = count()
        self._to_reconcile: int | None = None
        self._seal = BEGINNING

    @property
    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self.now_ns // NS_PER_MS

    def start(self, at: str) -> None:
        """A process begins to record."""
        self.exchange.now_ms = max(self.exchange.now_ms, instant_ms(at))
        self.now_ns = self.exchange.now_ms * NS_PER_MS
        self._batches = count()
        self._run_id = self._key()
        if not self._recorder_id:
            self._recorder_id = self._run_id + 1
            self._channel.put_entry(RecorderAdded(self._recorder_id, self.now_ns, HOST))
            self._channel.put_entry(AccountAdded(ACCOUNT.account_id, FMEX.name, ACCOUNT.name, self.now_ns))
            with self._engine.begin() as connection:
                Identity(self._recorder_id, HOST, FILE, "2049", "1312027").write(connection)
        self._log(RunStarted(self._run_id, self._recorder_id, self.now_ns, HOST, 4711, "0.1.0"))

    def listen(self, pushes: int, *, first: Sequence[bytes] = (), lost: str | None = None) -> None:
        """Record one connection.

        Args:
            pushes: how many of them trading makes; those that belong together come together.
            first: frames that come before.
            lost: how the connection breaks; None if the recorder is stopped.
        """
        self.now_ns = max(self.now_ns, self.exchange.now_ms * NS_PER_MS) + 2 * NS_PER_S
        self._to_reconcile = session_id = self._key()
        opened = SessionOpened(ACCOUNT.account_id, session_id, self._run_id, STREAM.url, STREAM.topics, self.now_ns)
        self._log(opened)
        wire = _Wire(self, pushes, first, lost)
        protocol = FMEX.push_session(STREAM, ACCOUNT.login, None)
        session = Session(ACCOUNT, protocol, opened, cast(Transport, wire), self._channel, self._clock, LIMITS)
        over = SessionOver("stopped")
        try:
            session.record(wire.stop)
        except SessionOver as error:
            over = error
        self._log(session.ended(over))

    def stop(self) -> None:
        """The process ends."""
        self._log(RunEnded(self._run_id, self.now_ns, "SIGTERM"))

    def settle(self) -> None:
        """Ask the exchange what happened in the gap, unless this session has done so."""
        if self._to_reconcile is None:
            return
        self._commit()
        session_id, self._to_reconcile = self._to_reconcile, None
        self._pass(150)
        round_id, began_ns = self._key(), self.now_ns
        self._channel.put_entry(ReconciliationBegan(ACCOUNT.account_id, round_id, self._run_id, began_ns))
        with self._engine.connect() as connection:
            recorder_id = recorder_of(connection, ACCOUNT.account_id, session_id)
            assert recorder_id is not None
            ended = ended_gaps(connection, recorder_id, ACCOUNT.account_id, session_id)
            known = known_orders(connection, ended)
        since_ms = None if known.since_ns is None else known.since_ns // NS_PER_MS
        asked = FMEX.questions(
            Purpose.RECONCILE,
            Known(SYMBOLS, known.unfinished, known.newest_order_id, since_ms, self.now_ms),
        )
        executions = 0
        ask = next(asked, None)
        for seq in count():
            if ask is None:
                break
            self._pass(120)
            assert isinstance(ask, Question)
            request = ask.request(URL, CREDENTIALS, self.now_ms)
            body, target = self.exchange.answer(request, self.now_ms), request.url.removeprefix(URL)
            answer = read_answer(FMEX, target, body)
            frame = Frame(
                ACCOUNT.account_id, round_id, seq, self.now_ns, REST, target, answer.status, answer.error, body
            )
            self._channel.put(Recorded(frame, answer.rows))
            executions += len(answer.updates) if target.endswith("/matches") else 0
            try:
                ask = asked.send(Answer(seq, target, answer.updates, answer.next_page))
            except StopIteration:
                ask = None
        detail = f"restored: balances and positions as of now, {executions} executions"
        self._log(ReconciliationEnded(ACCOUNT.account_id, round_id, session_id, self.now_ns, RECONCILED, detail))

    def _key(self) -> int:
        """As `time_ordered_id`, without the random bits."""
        return self.now_ms << 20

    def _pass(self, wait_ms: int) -> None:
        self.now_ns += wait_ms * NS_PER_MS

    def _log(self, entry: LogEntry) -> None:
        self._channel.put_entry(entry)
        self._commit()

    def _commit(self) -> None:
        """Write everything that waits, as a batch."""
        waiting = self._channel.take(10**6, 2**40)
        if not waiting:
            return
        batch = Batch(self._recorder_id, self._run_id, next(self._batches), self._seal)
        for item in waiting:
            if isinstance(item, Recorded):
                batch.add(*item)
            else:
                batch.entries.append(item)
        with self._engine.begin() as connection:
            batch.write(connection, self.now_ns)
        self._seal = batch.seal
