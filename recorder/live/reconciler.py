"""The reconciler: asks the exchange's REST interface what happened in a gap, once all topics are acknowledged again,
and every so often whether what it pushed is what it holds.

One thread for all accounts. It reads the record and fetches; it writes nothing itself: answers go through the channel
to the writer as frames, decoded like any other. What is asked, in which order, is the venue's (`Venue.reconciliation`).
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError as DriverError

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import NotServed, Undecodable, VenueError
from recorder.live.asking import Asker, Stopping
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, ChannelClosed
from recorder.live.comparing import Comparing, Dropped
from recorder.live.settings import Account, Limits
from recorder.model import FillUpdate, OrderUpdate, Update, time_ordered_id
from recorder.read.state.before_gap import KnownOrders, known_orders
from recorder.read.state.current import CurrentState
from recorder.store.entries import Covered, DiscrepancyFound, ReconciliationBegan, ReconciliationEnded
from recorder.store.event_log import COMPARED, FAILED
from recorder.store.gaps import RECONCILED, UNRECOVERABLE
from recorder.venues.base import Contradiction, Known, Questions

log = logging.getLogger(__name__)

#: A round that failed is tried again after this, growing to the last, seconds; the next coverage starts one at once.
RETRY_FIRST_S = 30.0
RETRY_LAST_S = 1800.0
#: Findings of one round as log lines; the table has them all.
FINDINGS_SHOWN_MAX = 10


class _Due(NamedTuple):
    """What is to be done for an account, and when on the monotonic clock."""

    at_s: float
    #: The session that is covered: gaps before it are reconciled, its pushes compared.
    covered: Covered
    #: Whether it is time to compare, where there is no gap.
    compares: bool


class Reconciler(Thread):
    """Reconciles gaps after each coverage, and compares every so often.

    Args:
        accounts: whose gaps.
        run_id: of the event log.
        engine: that can only read the record.
        channel: to the writer.
        clock: stamps answers, measures waits.
        limits: of waits.
        on_end: called when the thread ends, in this thread.
        beat_soon: lets a heartbeat be sent for an account, by its key.

    Attributes:
        channel: to the writer.
        discrepancies: found so far.
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
        beat_soon: Callable[[int], None] = lambda account_id: None,
    ) -> None:
        super().__init__(name="reconciler", daemon=True)
        self.failure: BaseException | None = None
        self.discrepancies = 0
        self._accounts: Mapping[int, Account] = {account.account_id: account for account in accounts}
        self._run_id = run_id
        self._engine = engine
        self.channel = channel
        self._clock = clock
        self._limits = limits
        self._on_end = on_end
        self._beat_soon = beat_soon
        self._covered: SimpleQueue[Covered] = SimpleQueue()
        self._due: dict[int, _Due] = {}
        self._last_round_id = 0
        #: What is held of each account whose session has a snapshot to start from.
        self._held: dict[int, CurrentState] = {}
        self._backoffs = {key: Backoff(RETRY_FIRST_S, RETRY_LAST_S) for key in self._accounts}
        self._asker = Asker(accounts, channel, clock, limits)

    def covered(self, entry: Covered) -> None:
        """A session is covered, and that is durable: reconcile what lies before it."""
        self._covered.put(entry)

    def stop(self) -> None:
        """Leave what is going on, and end. Then `join`."""
        self._asker.stop()
        # An entry of no account wakes the wait.
        self._covered.put(Covered(0, 0, 0, 0, (), {}))

    def run(self) -> None:
        """The thread."""
        try:
            while True:
                self._do(self._next())
        except (Stopping, ChannelClosed):
            pass  # the writer, if it was that, has ended and says why itself
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self._on_end()

    def _next(self) -> _Due:
        """What is due: after the newest coverage of an account, or what was put off."""
        while True:
            now_s = self._clock.monotonic_s()
            at_s = min((due.at_s for due in self._due.values()), default=None)
            try:
                entry = self._covered.get(timeout=None if at_s is None else max(at_s - now_s, 0.0))
            except Empty:
                key = min(self._due, key=lambda account_id: self._due[account_id].at_s)
                return self._due.pop(key)
            self._asker.check_stop()
            # The newest coverage takes the place of an older one: its round settles all gaps before it.
            self._due[entry.account_id] = _Due(now_s, entry, compares=False)

    def _do(self, due: _Due) -> None:
        entry = due.covered
        account = self._accounts[entry.account_id]
        try:
            with self._engine.connect() as connection:
                final, held = account.venue.final_statuses, self._held.get(entry.account_id)
                known = known_orders(connection, entry.account_id, entry.session_id, final, held)
            if known is not None:
                self._reconcile(account, entry, known)
                return
            if due.compares and not self._compare(account, entry):
                return
        except DriverError as error:
            # Locked, perhaps: recording does not depend on it.
            self._try_again(entry, f"the record cannot be read: {error.orig}")
            return
        self._compare_later(entry)

    def _reconcile(self, account: Account, entry: Covered, known: KnownOrders) -> None:
        log.info("%s: asking the exchange what happened in the gap", account.name)
        round_id = self._begin(entry)
        told, held = _Told(), self._nothing_held(account, entry)
        try:
            for answer in self._asker.answers(account, round_id, self._questions(account, known)):
                told.add(answer.updates)
                held.take(round_id, answer.updates)
            result, detail = RECONCILED, told.sentence(known)
        except NotServed as error:
            result, detail = UNRECOVERABLE, f"the exchange does not tell: {error}"
        except (VenueError, Undecodable) as error:
            # An answer that cannot be read may be a proxy's, once. It is kept in the journal, undecoded.
            result, detail = FAILED, str(error)
        self._end(entry, round_id, result, detail)
        if result == FAILED:
            self._try_again(entry, f"not reconciled, the gap stays open ({detail})")
            return
        self._backoffs[entry.account_id].reset()
        log.log(logging.INFO if result == RECONCILED else logging.ERROR, "%s: %s: %s", account.name, result, detail)
        if result == RECONCILED:
            self._held[entry.account_id] = held
        self._compare_later(entry)

    def _compare(self, account: Account, entry: Covered) -> bool:
        """Compare what is held with what the exchange says. Returns whether to do so again."""
        comparing = Comparing(account, entry, self._engine, self._asker, self._clock, self._limits, self._beat_soon)
        if comparing.ended():
            return False
        round_id = self._begin(entry)
        held = self._held.get(entry.account_id)
        found: tuple[Contradiction, ...] = ()
        try:
            if held is None or held.session_id != entry.session_id:
                held = self._nothing_held(account, entry)
                for answer in comparing.ask(round_id):
                    held.take(round_id, answer.updates)
                self._held[entry.account_id] = held
                result, detail = COMPARED, "a snapshot to start from"
            else:
                found = comparing.contradictions(held, round_id)
                result, detail = COMPARED, f"{len(found)} values are not as they were pushed" if found else "the same"
        except (VenueError, Undecodable, Dropped) as error:
            result, detail = FAILED, str(error)
        except DriverError as error:
            result, detail = FAILED, f"the record cannot be read: {error.orig}"
        self._tell(account, entry, round_id, found)
        self._end(entry, round_id, result, detail)
        if result == FAILED:
            log.warning("%s: not compared with the exchange this time: %s", account.name, detail)
        return True

    def _tell(self, account: Account, entry: Covered, round_id: int, found: tuple[Contradiction, ...]) -> None:
        now_ns = self._clock.wall_ns()
        for number, one in enumerate(found):
            held_session_id = entry.session_id if one.held_session_id is None else one.held_session_id
            what = one.subject, one.field, one.told, one.held
            self.channel.tell(DiscrepancyFound(entry.account_id, round_id, one.seq, *what, held_session_id, now_ns))
            self.discrepancies += 1
            if number < FINDINGS_SHOWN_MAX:
                log.error("%s: discrepancy: %s, %s: the exchange tells %s, but its pushes left %s", account.name, *what)
        if len(found) > FINDINGS_SHOWN_MAX:
            log.error(
                "%s: %d more discrepancies: see `recorder discrepancies`",
                account.name,
                len(found) - FINDINGS_SHOWN_MAX,
            )

    def _nothing_held(self, account: Account, entry: Covered) -> CurrentState:
        return CurrentState(entry.account_id, entry.session_id, entry.seq, account.venue.final_statuses)

    def _begin(self, entry: Covered) -> int:
        began_ns = self._clock.wall_ns()
        # Where the clock has jumped back, too: after the session and the last round. At random, because the next
        # session is then numbered one after its last, and must not get the same.
        after = max(entry.session_id, self._last_round_id) + 1 + secrets.randbits(20)
        round_id = self._last_round_id = max(time_ordered_id(began_ns), after)
        self.channel.tell(ReconciliationBegan(entry.account_id, round_id, self._run_id, began_ns))
        return round_id

    def _end(self, entry: Covered, round_id: int, result: str, detail: str) -> None:
        now_ns = self._clock.wall_ns()
        self.channel.tell(ReconciliationEnded(entry.account_id, round_id, entry.session_id, now_ns, result, detail))

    def _try_again(self, entry: Covered, why: str) -> None:
        wait_s = self._backoffs[entry.account_id].next_s()
        self._due[entry.account_id] = _Due(self._clock.monotonic_s() + wait_s, entry, compares=False)
        log.warning("%s: %s. Trying again in %.0f s.", self._accounts[entry.account_id].name, why, wait_s)

    def _compare_later(self, entry: Covered) -> None:
        every_s = self._limits.reconcile_every_s
        if every_s:
            self._due[entry.account_id] = _Due(self._clock.monotonic_s() + every_s, entry, compares=True)

    def _questions(self, account: Account, known: KnownOrders) -> Questions:
        return account.venue.reconciliation(
            Known(
                account.symbols,
                known.unfinished,
                known.last_order_id,
                None if known.since_ns is None else known.since_ns // NS_PER_MS,
                self._clock.wall_ms(),
            )
        )


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
