"""The reconciler of one account: after a gap it asks over REST what happened, and regularly it compares REST with the
pushes.

It only reads the record: answers go through the channel to the writer as frames, like pushes. The venue decides what is
asked, and in which order (`Venue.questions`).
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError as DriverError

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import VenueError
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, ChannelClosed
from recorder.live.collector import Collector
from recorder.live.comparison import Dropped, SnapshotComparison, snapshot_questions
from recorder.live.http import HttpClient
from recorder.live.rest_client import RestClient, RestRound, Stopping
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.live.watermark import Mark
from recorder.model import SNAPSHOT, time_ordered_id
from recorder.read.known_state import (
    CurrentState,
    EndedGap,
    KnownOrders,
    ended_gaps,
    known_orders,
    newest_covered,
    told_in,
)
from recorder.store.entries import Covered, DiscrepancyFound, LostSubject, ReconciliationBegan, ReconciliationEnded
from recorder.store.event_log import COMPARED, FAILED
from recorder.store.gaps import OPEN, PARTIAL, RECONCILED, UNRECOVERABLE, lost_text
from recorder.venues.comparable import Contradiction
from recorder.venues.rest import Known, Purpose, Question

log = logging.getLogger(__name__)

#: Waits before a failed round is repeated grow from the first to the last, seconds; new coverage ends the wait.
RETRY_FIRST_S = 30.0
RETRY_LAST_S = 1800.0
#: Discrepancies of one round that are logged; the table has all of them.
FINDINGS_SHOWN_MAX = 10


class Retry(NamedTuple):
    """Reconcile once, by hand: open gaps and unrecoverable ones."""

    #: Only this gap; None: all of them.
    gap_id: int | None = None


class _Due(NamedTuple):
    """The next thing to do, and when, on the monotonic clock."""

    at_s: float
    #: The covered session: the gaps before it are reconciled, or its pushes compared.
    covered: Covered
    #: Whether to compare if there is no open gap.
    compares: bool


class Reconciler(Thread):
    """Reconciles gaps whenever a session is covered, and compares regularly.

    Args:
        account: the account.
        recorder_id: the recorder whose gaps are reconciled.
        run_id: the run, for the event log.
        engine: a read-only engine of the record.
        channel: to the writer.
        client: sends the requests.
        clock: stamps answers, measures waits.
        limits: of waits.
        on_end: called when the thread ends, in this thread.
        collectors: receive the account's pushes, one for each stream; none if there is nothing to compare with.
        retry: reconcile once, by hand, and end.

    Attributes:
        account: the account.
        channel: to the writer.
        discrepancies: the number found so far.
        retried: the gaps reconciled by hand.
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
        collectors: Sequence[Collector] = (),
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
        self._collectors = collectors
        self._retry = retry
        #: None ends the thread.
        self._covered: SimpleQueue[Covered | None] = SimpleQueue()
        self._due: _Due | None = None
        self._last_round_id = 0
        #: The latest state according to the pushes, once there is a snapshot to start from.
        self._held: CurrentState | None = None
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        self._rest = RestClient(account, client, channel, clock, limits)
        self._comparison = SnapshotComparison(account, engine, self._rest, clock, limits)

    def covered(self, entry: Covered) -> None:
        """Reconcile the gaps before a session, whose coverage is durable now. From any thread."""
        self._covered.put(entry)

    def durable(self, sessions: Mapping[tuple[int, int], Mark]) -> None:
        """Note the last durable push of each session, after each commit. From any thread."""
        self._comparison.durable(sessions)

    def stop(self) -> None:
        """Abandon the current round and end. Then `join`. From any thread."""
        self._rest.stop()
        self._comparison.durable({})
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
            pass  # a writer that has ended reports the reason itself
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self.is_done = True
            self._on_end()

    def _next(self) -> _Due:
        """Wait for the next thing to do: the gaps before new coverage, or what is due by then."""
        while True:
            now_s = self._clock.monotonic_s()
            try:
                entry = self._covered.get(timeout=None if self._due is None else max(self._due.at_s - now_s, 0.0))
            except Empty:
                assert self._due is not None
                due, self._due = self._due, None
                return due
            self._rest.check_stop()
            # The round after the newest coverage settles all gaps before it.
            assert entry is not None
            self._due = _Due(now_s, entry, compares=False)

    def _do(self, due: _Due) -> None:
        entry = due.covered
        try:
            with self._engine.connect() as connection:
                gaps = ended_gaps(connection, self._recorder_id, self._account_id, entry.session_id)
                known = known_orders(connection, gaps, self._held) if gaps else None
        except DriverError as error:
            # It may be locked; recording does not depend on this.
            self._try_again(entry, f"the record cannot be read: {error.orig}")
            return
        if known is not None:
            held = CurrentState(self._account_id, entry.session_id, entry.seq)
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
            known = known_orders(connection, gaps)
        self.retried = tuple(gap.gap_id for gap in gaps)
        log.info("%s: %d gaps to reconcile", self.account.name, len(gaps))
        self._reconcile(session_id, known, CurrentState(self._account_id, session_id, -1), gaps)

    def _reconcile(
        self, session_id: int, known: KnownOrders, held: CurrentState, retried: Sequence[EndedGap] | None = None
    ) -> tuple[str, str]:
        """Ask the exchange about gaps.

        Args:
            session_id: the covered session after the gaps.
            known: what the record knew when the oldest gap began.
            held: takes the state in the answers.
            retried: the gaps, if they are reconciled by hand; None: all open ones.

        Returns:
            The result of the round, and its detail.
        """
        venue, name = self.account.venue, self.account.name
        log.info("%s: asking the exchange what happened in the gap", name)
        to = RestRound(self._begin(session_id))
        questions = venue.questions(
            Purpose.RECONCILE,
            Known(
                self.account.symbols,
                known.unfinished,
                known.newest_order_id,
                None if known.since_ns is None else known.since_ns // NS_PER_MS,
                self._clock.wall_ms(),
                None if known.until_ns is None else known.until_ns // NS_PER_MS,
            ),
        )
        failed: list[str] = to.failed
        try:
            for answer in self._rest.answers(questions, to):
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
        """The subjects of a complete snapshot."""
        questions = snapshot_questions(self.account, self._clock)
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
        """What earlier rounds about the same gaps lacked, too: an exchange only forgets more with time."""
        earlier = [gap.reconciliation_id for gap in retried if gap.reconciliation_id is not None]
        with self._engine.connect() as connection:
            return tuple(one for one in lost if not told_in(connection, self._account_id, earlier, one.target))

    def _compare(self, entry: Covered) -> bool:
        """Compare the pushes with a snapshot. Returns whether to do so again in this session."""
        session = self._session(entry.session_id)
        if session is None:
            return False
        # The answers are evidence only: no typed rows follow from them.
        to = RestRound(self._begin(entry.session_id), SNAPSHOT)
        found: tuple[Contradiction, ...] = ()
        try:
            if self._held is None or self._held.session_id != entry.session_id:
                self._held = self._snapshot(entry, to)
                result, detail = COMPARED, "a snapshot to start from"
            else:
                topics = frozenset(entry.topics).difference(entry.refused)
                found = self._comparison.contradictions(session, topics, self._held, to)
                result, detail = COMPARED, f"{len(found)} values differ from the pushes" if found else "the same"
        except (VenueError, Dropped) as error:
            result, detail = FAILED, str(error)
        except DriverError as error:
            result, detail = FAILED, f"the record cannot be read: {error.orig}"
        if result == COMPARED and (to.failed or to.lost):
            missing = [*to.failed, *(one.name for one in to.lost)]
            result, detail = FAILED, f"{detail}; not answered: {', '.join(missing)}"
        self._report(entry, to.round_id, found)
        self._end(entry.session_id, to.round_id, result, detail)
        if result == FAILED:
            log.warning("%s: not compared with the exchange this time: %s", self.account.name, detail)
        return True

    def _snapshot(self, entry: Covered, to: RestRound) -> CurrentState | None:
        """A snapshot to start from; None if it is incomplete."""
        held = CurrentState(self._account_id, entry.session_id, entry.seq)
        for answer in self._rest.answers(snapshot_questions(self.account, self._clock), to):
            held.take(to.round_id, answer.updates)
        return None if to.failed or to.lost else held

    def _session(self, session_id: int) -> Session | None:
        """The session; None if it has ended."""
        sessions = [collector.session for collector in self._collectors]
        return next((one for one in sessions if one and one.session_id == session_id and not one.is_over), None)

    def _report(self, covered: Covered, round_id: int, found: tuple[Contradiction, ...]) -> None:
        name, now_ns = self.account.name, self._clock.wall_ns()
        for number, one in enumerate(found):
            held_session_id = covered.session_id if one.held_session_id is None else one.held_session_id
            what = one.subject, one.field, one.told, one.held
            self.channel.put_entry(
                DiscrepancyFound(self._account_id, round_id, one.seq, *what, held_session_id, now_ns)
            )
            self.discrepancies += 1
            if number < FINDINGS_SHOWN_MAX:
                log.error("%s: discrepancy: %s, %s: REST says %s, the pushes say %s", name, *what)
        if len(found) > FINDINGS_SHOWN_MAX:
            log.error("%s: %d more discrepancies: see `recorder discrepancies`", name, len(found) - FINDINGS_SHOWN_MAX)

    def _begin(self, session_id: int) -> int:
        began_ns = self._clock.wall_ns()
        # Above the session and the last round even if the clock has jumped back. The random step keeps the number free
        # that the next session would then get: the one after its predecessor's.
        after = max(session_id, self._last_round_id) + 1 + secrets.randbits(20)
        round_id = self._last_round_id = max(time_ordered_id(began_ns), after)
        self.channel.put_entry(ReconciliationBegan(self._account_id, round_id, self._run_id, began_ns))
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
        self.channel.put_entry(
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


def _restored(to: RestRound, known: KnownOrders, lost: Sequence[LostSubject]) -> str:
    """What a round restored and what it did not, for the row in `gaps`."""
    lost_names = {one.name for one in lost}
    now = " and ".join(subject for subject in ("balances", "positions") if subject not in lost_names)
    restored = f"{now} as of now, " if now else ""
    restored += f"{len(to.orders)} orders, {to.executions} executions"
    if known.since_ns is None:
        return f"a snapshot: {restored}"
    return f"restored: {restored}; not restored: balances, positions and order states in between"
