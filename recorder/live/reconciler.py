"""The reconciler of one account: asks the exchange over REST what happened in a gap, once pushes come again; and every
so often whether its pushes still agree with what it holds.

It reads the record and fetches; it writes nothing itself: answers go through the channel to the writer as frames, like
pushes. What is asked, in which order, is the venue's (`Venue.reconciliation`).
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError as DriverError

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import VenueError
from recorder.live.asking import Asker, Round, Stopping
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, ChannelClosed
from recorder.live.comparing import Comparison, Dropped, Pushes, snapshot_round
from recorder.live.http import HttpClient
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.live.watermark import Mark
from recorder.model import time_ordered_id
from recorder.read.state.before_gap import EndedGap, KnownOrders, ended_gaps, known_orders, newest_covered, told_in
from recorder.read.state.current import CurrentState
from recorder.store.entries import Covered, DiscrepancyFound, LostSubject, ReconciliationBegan, ReconciliationEnded
from recorder.store.event_log import COMPARED, FAILED
from recorder.store.gaps import OPEN, PARTIAL, RECONCILED, UNRECOVERABLE, lost_text
from recorder.venues.base import Contradiction, Known, Question

log = logging.getLogger(__name__)

#: A failed round is tried again after this, growing to the last, seconds; the next coverage starts one at once.
RETRY_FIRST_S = 30.0
RETRY_LAST_S = 1800.0
#: So many findings of one round are logged; the table has them all.
FINDINGS_SHOWN_MAX = 10


class Retry(NamedTuple):
    """Reconcile by hand, once: gaps that are open, and those that were unrecoverable."""

    #: Only this gap; None: all of them.
    gap_id: int | None = None


class _Due(NamedTuple):
    """What is to be done, and when on the monotonic clock."""

    at_s: float
    #: The covered session: gaps before it are reconciled, its pushes compared.
    covered: Covered
    #: Whether to compare if there is no gap.
    compares: bool


class Reconciler(Thread):
    """Reconciles gaps after each coverage, and compares every so often.

    Args:
        account: which account.
        recorder_id: whose gaps.
        run_id: of the event log.
        engine: that can only read the record.
        channel: to the writer.
        client: sends the requests.
        clock: stamps answers, measures waits.
        limits: of waits.
        on_end: called when the thread ends, in this thread.
        pushes: the account's collector; None: there is none, and nothing to compare with.
        retry: reconcile by hand and end.

    Attributes:
        account: which account.
        channel: to the writer.
        discrepancies: found so far.
        retried: the gaps that were asked about by hand.
        failure: what ended the thread, other than a stop.
        is_done: whether the thread is ending.
    """

    def __init__(
        self,
        account: Account,
        recorder_id: int,
        run_id: int,
        engine: Engine,
        channel: Channel,
        client: HttpClient,
        clock: Clock,
        limits: Limits,
        on_end: Callable[[], None],
        pushes: Pushes | None = None,
        retry: Retry | None = None,
    ) -> None:
        super().__init__(name=f"reconciler {account.name}", daemon=True)
        self.failure: BaseException | None = None
        self.is_done = False
        self.discrepancies = 0
        self.account = account
        self.channel = channel
        self.retried: tuple[int, ...] = ()
        self._account_id = account.account_id
        self._recorder_id = recorder_id
        self._run_id = run_id
        self._engine = engine
        self._clock = clock
        self._limits = limits
        self._on_end = on_end
        self._pushes = pushes
        self._retry = retry
        #: None wakes the thread, to end.
        self._covered: SimpleQueue[Covered | None] = SimpleQueue()
        self._due: _Due | None = None
        self._last_round_id = 0
        #: What is held, once the session has a snapshot to start from.
        self._held: CurrentState | None = None
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        self._asker = Asker(account, client, channel, clock, limits)
        self._committed = Event()
        self._mark: Mark | None = None

    def covered(self, entry: Covered) -> None:
        """A session is covered, and that is durable: reconcile the gaps before it. From any thread."""
        self._covered.put(entry)

    def durable(self, mark: Mark | None) -> None:
        """The account's last durable push, after each commit. From any thread."""
        self._mark = mark
        self._committed.set()

    def stop(self) -> None:
        """Abandon what is going on, and end. Then `join`. From any thread."""
        self._asker.stop()
        self._committed.set()
        self._covered.put(None)

    def run(self) -> None:
        """The thread."""
        try:
            if self._retry is not None:
                self._retry_once(self._retry)
                return
            while True:
                self._do(self._next())
        except (Stopping, ChannelClosed):
            pass  # the writer, if it was that, has ended and says why itself
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self.is_done = True
            self._on_end()

    def _next(self) -> _Due:
        """What is due: after the newest coverage, or what was put off."""
        while True:
            now_s = self._clock.monotonic_s()
            try:
                entry = self._covered.get(timeout=None if self._due is None else max(self._due.at_s - now_s, 0.0))
            except Empty:
                assert self._due is not None
                due, self._due = self._due, None
                return due
            self._asker.check_stop()
            # The newest coverage takes the place of an older one: its round settles all gaps before it.
            assert entry is not None
            self._due = _Due(now_s, entry, compares=False)

    def _do(self, due: _Due) -> None:
        entry = due.covered
        final = self.account.venue.final_statuses
        try:
            with self._engine.connect() as connection:
                gaps = ended_gaps(connection, self._recorder_id, self._account_id, entry.session_id)
                known = known_orders(connection, gaps, final, self._held) if gaps else None
        except DriverError as error:
            # Locked, perhaps: recording does not depend on it.
            self._try_again(entry, f"the record cannot be read: {error.orig}")
            return
        if known is not None:
            held = CurrentState(self._account_id, entry.session_id, entry.seq, final)
            result, detail = self._reconcile(entry.session_id, known, held)
            if result == FAILED:
                self._try_again(entry, f"not reconciled, the gap stays open ({detail})")
                return
            self._backoff.reset()
            if result != UNRECOVERABLE:
                self._held = held
        elif due.compares and not self._compare(entry):
            return
        self._compare_later(entry)

    def _retry_once(self, retry: Retry) -> None:
        with self._engine.connect() as connection:
            session_id = newest_covered(connection, self._recorder_id, self._account_id)
            gaps = ended_gaps(
                connection,
                self._recorder_id,
                self._account_id,
                session_id,
                states=(OPEN, UNRECOVERABLE),
                gap_id=retry.gap_id,
            )
            if not gaps:
                return
            known = known_orders(connection, gaps, self.account.venue.final_statuses)
        self.retried = tuple(gap.gap_id for gap in gaps)
        log.info("%s: %d gaps to reconcile", self.account.name, len(gaps))
        self._reconcile(session_id, known, CurrentState(self._account_id, session_id, -1, ()), gaps)

    def _reconcile(
        self, session_id: int, known: KnownOrders, held: CurrentState, retried: Sequence[EndedGap] | None = None
    ) -> tuple[str, str]:
        """One round.

        Args:
            session_id: the session whose coverage it follows.
            known: what was known when the oldest gap began.
            held: takes what is told.
            retried: the gaps that are meant, if by hand; otherwise all that are open.

        Returns:
            Its result, and the detail.
        """
        venue, name = self.account.venue, self.account.name
        log.info("%s: asking the exchange what happened in the gap", name)
        to = Round(self._begin(session_id))
        questions = venue.reconciliation(
            Known(
                self.account.symbols,
                known.unfinished,
                known.last_order_id,
                None if known.since_ns is None else known.since_ns // NS_PER_MS,
                self._clock.wall_ms(),
                None if known.until_ns is None else known.until_ns // NS_PER_MS,
            )
        )
        failed: list[str] = to.failed
        try:
            for answer in self._asker.answers(questions, to):
                held.take(to.round_id, answer.updates)
        except VenueError as error:
            failed = [str(error)]
        lost = tuple(to.lost) if retried is None else self._still_lost(to.lost, retried)
        result, detail = RECONCILED, _restored(to, known, lost)
        if failed:
            result, detail, lost = FAILED, "; ".join(failed), ()
        elif lost:
            result = UNRECOVERABLE if self._snapshot_subjects().intersection(one.name for one in lost) else PARTIAL
        self._end(session_id, to.round_id, result, detail, lost, None if retried is None else self.retried)
        if result != FAILED:
            level = logging.INFO if result == RECONCILED else logging.ERROR
            log.log(level, "%s: %s: %s", name, result, detail + lost_text(lost))
        elif retried is not None:
            log.error("%s: not reconciled: %s", name, detail)
        return result, detail

    def _snapshot_subjects(self) -> set[str]:
        """The subjects without which the snapshot is not complete."""
        questions = self.account.venue.snapshot()
        subjects: set[str] = set()
        try:
            question = next(questions)
            while True:
                if isinstance(question, Question):
                    subjects.add(question.subject)
                question = questions.send(None)
        except StopIteration:
            return subjects

    def _still_lost(self, lost: Sequence[LostSubject], retried: Sequence[EndedGap]) -> tuple[LostSubject, ...]:
        """What no earlier round about the same gaps was told either: an exchange forgets more with time."""
        earlier = [gap.reconciliation_id for gap in retried if gap.reconciliation_id is not None]
        with self._engine.connect() as connection:
            return tuple(one for one in lost if not told_in(connection, self._account_id, earlier, one.target))

    def _compare(self, entry: Covered) -> bool:
        """Compare the pushes with what the exchange says. Returns whether to do so again in this session."""
        session = self._session(entry.session_id)
        if session is None:
            return False
        to = snapshot_round(self._begin(entry.session_id))
        found: tuple[Contradiction, ...] = ()
        try:
            if self._held is None or self._held.session_id != entry.session_id:
                self._held = self._snapshot(entry, to)
                result, detail = COMPARED, "a snapshot to start from"
            else:
                found = self._comparison(entry, session).contradictions(self._held, to)
                result, detail = COMPARED, f"{len(found)} values differ from the pushes" if found else "the same"
        except (VenueError, Dropped) as error:
            result, detail = FAILED, str(error)
        except DriverError as error:
            result, detail = FAILED, f"the record cannot be read: {error.orig}"
        if result == COMPARED and (to.failed or to.lost):
            missing = [*to.failed, *(one.name for one in to.lost)]
            result, detail = FAILED, f"{detail}; not answered: {', '.join(missing)}"
        self._tell(entry, to.round_id, found)
        self._end(entry.session_id, to.round_id, result, detail)
        if result == FAILED:
            log.warning("%s: not compared with the exchange this time: %s", self.account.name, detail)
        return True

    def _snapshot(self, entry: Covered, to: Round) -> CurrentState | None:
        """A snapshot to start from; None if it is not complete."""
        held = CurrentState(self._account_id, entry.session_id, entry.seq, self.account.venue.final_statuses)
        for answer in self._asker.answers(self.account.venue.snapshot(), to):
            held.take(to.round_id, answer.updates)
        return None if to.failed or to.lost else held

    def _comparison(self, entry: Covered, session: Session) -> Comparison:
        return Comparison(
            self.account,
            session,
            frozenset(entry.topics).difference(entry.refused),
            self._engine,
            self._asker,
            self._clock,
            self._limits,
            self._committed,
            self._durable_seq,
        )

    def _session(self, session_id: int) -> Session | None:
        """The session, if it goes on."""
        session = None if self._pushes is None else self._pushes.session
        return session if session is not None and session.session_id == session_id and not session.is_over else None

    def _durable_seq(self, session_id: int) -> int:
        mark = self._mark
        return mark.seq if mark is not None and mark.session_id == session_id else -1

    def _tell(self, entry: Covered, round_id: int, found: tuple[Contradiction, ...]) -> None:
        name, now_ns = self.account.name, self._clock.wall_ns()
        for number, one in enumerate(found):
            held_session_id = entry.session_id if one.held_session_id is None else one.held_session_id
            what = one.subject, one.field, one.told, one.held
            self.channel.tell(DiscrepancyFound(self._account_id, round_id, one.seq, *what, held_session_id, now_ns))
            self.discrepancies += 1
            if number < FINDINGS_SHOWN_MAX:
                log.error("%s: discrepancy: %s, %s: the exchange tells %s, but its pushes left %s", name, *what)
        if len(found) > FINDINGS_SHOWN_MAX:
            log.error("%s: %d more discrepancies: see `recorder discrepancies`", name, len(found) - FINDINGS_SHOWN_MAX)

    def _begin(self, session_id: int) -> int:
        began_ns = self._clock.wall_ns()
        # Above the session and the last round even if the clock has jumped back. And by a random step: the next session
        # is then numbered one after its last, and must not get the same number.
        after = max(session_id, self._last_round_id) + 1 + secrets.randbits(20)
        round_id = self._last_round_id = max(time_ordered_id(began_ns), after)
        self.channel.tell(ReconciliationBegan(self._account_id, round_id, self._run_id, began_ns))
        return round_id

    def _end(
        self,
        session_id: int,
        round_id: int,
        result: str,
        detail: str,
        lost: tuple[LostSubject, ...] = (),
        gaps: tuple[int, ...] | None = None,
    ) -> None:
        now_ns = self._clock.wall_ns()
        self.channel.tell(
            ReconciliationEnded(self._account_id, round_id, session_id, now_ns, result, detail, lost, gaps)
        )

    def _try_again(self, entry: Covered, why: str) -> None:
        wait_s = self._backoff.next_s()
        self._due = _Due(self._clock.monotonic_s() + wait_s, entry, compares=False)
        log.warning("%s: %s. Trying again in %.0f s.", self.account.name, why, wait_s)

    def _compare_later(self, entry: Covered) -> None:
        every_s = self._limits.reconcile_every_s
        if every_s:
            self._due = _Due(self._clock.monotonic_s() + every_s, entry, compares=True)


def _restored(to: Round, known: KnownOrders, lost: Sequence[LostSubject]) -> str:
    """What a round restored and what not, for the gap's row."""
    lost_names = {one.name for one in lost}
    now = " and ".join(subject for subject in ("balances", "positions") if subject not in lost_names)
    restored = f"{now} as of now, " if now else ""
    restored += f"{len(to.orders)} orders, {to.executions} executions"
    if known.since_ns is None:
        return f"a snapshot: {restored}"
    return f"restored: {restored}; not restored: balances, positions and order states in between"
