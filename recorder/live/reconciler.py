"""The reconciler: asks the exchange's REST interface what happened in a gap, once all topics are acknowledged again.

One thread for all accounts. It reads the record and fetches; it writes nothing itself: answers go through the channel
to the writer as frames, decoded like any other. What is asked, in which order, is the venue's (`Venue.reconciliation`).
"""

import logging
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Event, Thread

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError as DriverError

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import NotServed, Unavailable, Undecodable, Unreachable, VenueError
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, ChannelClosed, Recorded
from recorder.live.http import fetch
from recorder.live.pace import Pace
from recorder.live.settings import Account, Limits
from recorder.model import REST, FillUpdate, Frame, OrderUpdate, Update, time_ordered_id
from recorder.read.known import KnownOrders, known_orders
from recorder.store.entries import Covered, ReconciliationBegan, ReconciliationEnded
from recorder.store.gaps import RECONCILED, UNRECOVERABLE
from recorder.store.ledger import FAILED
from recorder.venues.base import Ask, Known, read_answer

log = logging.getLogger(__name__)

#: A request that the exchange cannot take now is sent so often before the round is given up.
ATTEMPTS_MAX = 5
#: A round that failed is tried again after this, growing to the last, seconds; the next coverage starts one at once.
RETRY_FIRST_S = 30.0
RETRY_LAST_S = 1800.0
#: A round that lasts says so this often, seconds.
PROGRESS_S = 10.0
#: How often a reconciler that waits for room in the queue looks whether it should stop, seconds.
ROOM_CHECK_S = 0.2


class Stopping(Exception):
    """The run ends: the round is left unfinished, its gaps stay open, and the next run takes them up."""


class Reconciler(Thread):
    """Reconciles gaps after each coverage.

    Args:
        accounts: whose gaps.
        run_id: of the ledger.
        engine: that can only read the record.
        channel: to the writer.
        clock: stamps answers, measures waits.
        limits: of waits.
        on_end: called when the thread ends, in this thread.

    Attributes:
        channel: to the writer.
        failure: what ended the thread, other than a stop.
    """

    def __init__(
        self,
        accounts: tuple[Account, ...],
        run_id: int,
        engine: Engine,
        channel: Channel,
        clock: Clock,
        limits: Limits,
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(name="reconciler", daemon=True)
        self.failure: BaseException | None = None
        self._accounts: Mapping[int, Account] = {account.account_id: account for account in accounts}
        self._run_id = run_id
        self._engine = engine
        self.channel = channel
        self._clock = clock
        self._limits = limits
        self._on_end = on_end
        self._covered: SimpleQueue[Covered] = SimpleQueue()
        self._due: dict[int, tuple[float, Covered]] = {}  # account key → when on the monotonic clock, after what
        self._backoffs = {key: Backoff(RETRY_FIRST_S, RETRY_LAST_S) for key in self._accounts}
        self._paces = {
            key: Pace(account.venue.rest_requests_max, account.venue.rest_window_s)
            for key, account in self._accounts.items()
        }
        self._stopping = Event()

    def covered(self, entry: Covered) -> None:
        """A session is covered, and that is durable: reconcile what lies before it."""
        self._covered.put(entry)

    def stop(self) -> None:
        """Leave what is going on, and end. Then `join`."""
        self._stopping.set()
        # An entry of no account wakes the wait.
        self._covered.put(Covered(0, 0, 0, 0, (), {}))

    def run(self) -> None:
        """The thread."""
        try:
            while True:
                self._reconcile(self._next())
        except (Stopping, ChannelClosed):
            pass  # the writer, if it was that, has ended and says why itself
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self._on_end()

    def _next(self) -> Covered:
        """The coverage to reconcile before: the newest of an account, or one whose retry is due."""
        while True:
            now_s = self._clock.monotonic_s()
            due_s = min((at_s for at_s, _ in self._due.values()), default=None)
            try:
                entry = self._covered.get(timeout=None if due_s is None else max(due_s - now_s, 0.0))
            except Empty:
                key = min(self._due, key=lambda account_id: self._due[account_id][0])
                return self._due.pop(key)[1]
            self._check_stop()
            # The newest coverage takes the place of an older one: its round settles all gaps before it.
            self._due[entry.account_id] = now_s, entry

    def _reconcile(self, entry: Covered) -> None:
        account = self._accounts[entry.account_id]
        try:
            with self._engine.connect() as connection:
                known = known_orders(connection, entry.account_id, entry.session_id, account.venue.final_statuses)
        except DriverError as error:
            # Locked, perhaps: recording does not depend on it.
            self._try_again(entry, f"the record cannot be read: {error.orig}")
            return
        if known is None:
            return
        began_ns = self._clock.wall_ns()
        round_id = max(time_ordered_id(began_ns), entry.session_id + 1)
        self.channel.tell(ReconciliationBegan(entry.account_id, round_id, self._run_id, began_ns))
        log.info("%s: asking the exchange what happened in the gap", account.name)
        told = _Told()
        try:
            self._ask_all(account, round_id, known, told)
            result, detail = RECONCILED, told.sentence(known)
        except NotServed as error:
            result, detail = UNRECOVERABLE, f"the exchange does not tell: {error}"
        except (VenueError, Undecodable) as error:
            # An answer that cannot be read may be a proxy's, once. It is kept in the journal, undecoded.
            result, detail = FAILED, str(error)
        now_ns = self._clock.wall_ns()
        self.channel.tell(ReconciliationEnded(entry.account_id, round_id, entry.session_id, now_ns, result, detail))
        if result == FAILED:
            self._try_again(entry, detail)
        else:
            self._backoffs[entry.account_id].reset()
            log.log(logging.INFO if result == RECONCILED else logging.ERROR, "%s: %s: %s", account.name, result, detail)

    def _try_again(self, entry: Covered, why: str) -> None:
        wait_s = self._backoffs[entry.account_id].next_s()
        self._due[entry.account_id] = self._clock.monotonic_s() + wait_s, entry
        name = self._accounts[entry.account_id].name
        log.warning("%s: not reconciled, the gap stays open (%s). Trying again in %.0f s.", name, why, wait_s)

    def _ask_all(self, account: Account, round_id: int, known: KnownOrders, told: "_Told") -> None:
        questions = account.venue.reconciliation(
            Known(
                account.symbols,
                known.unfinished,
                known.last_order_id,
                None if known.since_ns is None else known.since_ns // NS_PER_MS,
                self._clock.wall_ms(),
            )
        )
        seq = 0
        told_s = self._clock.monotonic_s()
        try:
            ask = next(questions)
            while True:
                target, body = self._fetch(account, ask)
                told.add(self._keep(account, round_id, seq, target, body))
                seq += 1
                if self._clock.monotonic_s() - told_s > PROGRESS_S:
                    told_s = self._clock.monotonic_s()
                    log.info("%s: still asking, %d answers so far", account.name, seq)
                ask = questions.send(body)
        except StopIteration:
            return

    def _fetch(self, account: Account, ask: Ask) -> tuple[str, bytes]:
        """One answer, and its target. Asked at the exchange's pace, and again while it cannot answer."""
        backoff = Backoff(self._limits.reconnect_first_s, self._limits.reconnect_last_s)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            self._sleep(self._paces[account.account_id].wait_s(self._clock.monotonic_s()))
            request = ask(account.url, account.credentials, self._clock.wall_ms())
            try:
                return request.url.removeprefix(account.url), fetch(
                    request, account.credentials, self._limits.connect_s
                )
            except (Unavailable, Unreachable) as error:
                if attempt == ATTEMPTS_MAX or isinstance(error, NotServed):
                    raise
                self._sleep(backoff.next_s(error.retry_after_s))
        raise AssertionError("the last attempt returns or raises")

    def _keep(self, account: Account, round_id: int, seq: int, target: str, body: bytes) -> tuple[Update, ...]:
        received_ns = self._clock.wall_ns()
        decoded = read_answer(account.venue, target, body)
        while not self.channel.has_room():
            self.channel.wait_for_room(ROOM_CHECK_S)
            self._check_stop()
        frame = Frame(account.account_id, round_id, seq, received_ns, REST, target, decoded.status, decoded.error, body)
        self.channel.put(Recorded(frame, decoded.updates))
        return decoded.updates

    def _sleep(self, wait_s: float) -> None:
        self._stopping.wait(wait_s)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise Stopping


class _Told:
    """What a round brought, for the row of the gap."""

    def __init__(self) -> None:
        self._orders: set[int] = set()
        self._fills = 0

    def add(self, updates: tuple[Update, ...]) -> None:
        for update in updates:
            if isinstance(update, OrderUpdate):
                self._orders.add(update.order_id)
            elif isinstance(update, FillUpdate):
                self._fills += 1

    def sentence(self, known: KnownOrders) -> str:
        restored = f"balances and positions as of now, {len(self._orders)} orders, {self._fills} executions"
        if known.since_ns is None:
            return f"a snapshot: {restored}"
        return f"restored: {restored}; not restored: balances, positions and order states in between"
