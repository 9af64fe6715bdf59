"""The reconciler of one account: after a gap it asks over REST what happened; regularly it asks for what is never
pushed, and compares REST with the pushes.

It only reads the record: answers go through the channel to the writer as frames, like pushes. The venue decides what is
asked, and in which order (`Venue.questions`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError as DriverError

from recorder.clock import Clock
from recorder.errors import VenueError
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, ChannelClosed
from recorder.live.collector import Collector
from recorder.live.comparison import Dropped, Missing, RefusedKey, SnapshotComparison, report, snapshot_questions
from recorder.live.history import Backfill, HistoryRounds, known_to, subjects_of
from recorder.live.http import HttpClient
from recorder.live.rest_client import RestClient, RestRound, Stopping
from recorder.live.rounds import Rounds, restored, still_lost
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.live.watermark import Mark
from recorder.model import SNAPSHOT
from recorder.read.before_gap import EndedGap, KnownOrders, ended_gaps, known_orders, newest_covered
from recorder.read.known_state import CurrentState
from recorder.store.entries import Covered
from recorder.store.event_log import COMPARE, COMPARED, FAILED, RECONCILE
from recorder.store.gaps import OPEN, PARTIAL, RECONCILED, UNRECOVERABLE, lost_text
from recorder.venues.comparable import Contradiction
from recorder.venues.rest import Purpose

log = logging.getLogger(__name__)

#: Waits before a failed round is repeated grow from the first to the last, seconds; new coverage ends the wait.
RETRY_FIRST_S = 30.0
RETRY_LAST_S = 1800.0


class Retry(NamedTuple):
    """Reconcile once, by hand: open gaps and unrecoverable ones."""

    #: Only this gap; None: all of them.
    gap_id: int | None = None


class _Task(Enum):
    #: Reconcile the gaps before a session.
    RECONCILE = auto()
    #: The same; if there is none, compare its pushes with a snapshot.
    COMPARE = auto()
    #: Ask for what is never pushed.
    REGULAR = auto()


class _Due(NamedTuple):
    """Something to do, and when, on the monotonic clock."""

    at_s: float
    covered: Covered
    task: _Task


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
        by_hand: reconcile once, or backfill, and end.

    Attributes:
        account: the account.
        channel: to the writer.
        discrepancies: the number found so far.
        retried: the gaps reconciled by hand.
        history: asks for what is not pushed.
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
        by_hand: Retry | Backfill | None = None,
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
        self._by_hand = by_hand
        #: None ends the thread.
        self._covered: SimpleQueue[tuple[Covered, Sequence[Covered]] | None] = SimpleQueue()
        #: The newest coverage of each stream.
        self._streams: Sequence[Covered] = ()
        self._due: _Due | None = None
        self._regular: _Due | None = None
        self._rounds = Rounds(account.account_id, run_id, channel, clock)
        #: The latest state according to the pushes, once there is a snapshot to start from.
        self._held: CurrentState | None = None
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)
        key = RefusedKey(account, clock, self._sessions)
        self._rest = RestClient(account, client, channel, clock, limits, self._unsettle, key.refused)
        self._missing = Missing(clock.wall_ns())
        self._comparison = SnapshotComparison(account, engine, self._rest, clock, limits, self._missing)
        self.history = HistoryRounds(account, recorder_id, engine, self._rest, self._rounds, channel, clock)
        self._regular_backoff = Backoff(RETRY_FIRST_S, RETRY_LAST_S)

    def covered(self, entry: Covered, streams: Sequence[Covered] = ()) -> None:
        """Reconcile the gaps before a session, whose coverage is durable now. From any thread.

        Args:
            entry: its coverage.
            streams: that of every stream, `entry` among them; empty: there is one.
        """
        self._covered.put((entry, streams or (entry,)))

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
            if isinstance(self._by_hand, Backfill):
                self._backfill(self._by_hand)
                return
            if self._by_hand is not None:
                self._retry_once(self._by_hand)
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
            first = min(
                (due for due in (self._due, self._regular) if due is not None), key=lambda due: due.at_s, default=None
            )
            try:
                covered = self._covered.get(timeout=None if first is None else max(first.at_s - now_s, 0.0))
            except Empty:
                assert first is not None
                if first is self._due:
                    self._due = None
                else:
                    self._regular = None
                return first
            self._rest.check_stop()
            # The round after the newest coverage settles all gaps before it.
            assert covered is not None
            entry, self._streams = covered
            self._due = _Due(now_s, entry, _Task.RECONCILE)

    def _do(self, due: _Due) -> None:
        entry = due.covered
        if due.task is _Task.REGULAR:
            self._ask_regularly(entry)
            return
        try:
            with self._engine.connect() as connection:
                gaps = ended_gaps(connection, self._recorder_id, self._account_id, entry.session_id)
                known = known_orders(connection, gaps, self._held) if gaps else None
        except DriverError as error:
            # It may be locked; recording does not depend on this.
            self._try_again(entry, f"the record cannot be read: {error.orig}")
            return
        if known is not None:
            held, now_ns = self._new_state(entry), self._clock.wall_ns()
            result, detail = self._reconcile(entry.session_id, self._missing.added_to(known), held)
            # A gap that cannot be settled now does not keep transactions waiting.
            if self._limits.transactions_every_s > 0 and (result != FAILED or self._regular is None):
                self._regular = _Due(self._clock.monotonic_s(), entry, _Task.REGULAR)
            if result == FAILED:
                self._try_again(entry, f"not reconciled, the gap stays open ({detail})")
                return
            self._backoff.reset()
            self._missing.restored(now_ns)
            self._held = None if result == UNRECOVERABLE else held
        elif due.task is _Task.COMPARE:
            if not self._compare(entry):
                return
            self._restore(entry)
        elif self._held is not None:
            # A connection was replaced without a gap.
            self._held.follow(entry.session_id, {one.session_id: one.seq for one in self._streams})
        self._compare_later(entry)

    def _restore(self, entry: Covered) -> None:
        """Ask for what the pushes lack according to the comparisons."""
        if not self._missing or any(one.is_over for one in self._sessions()):
            return  # nothing is missing; or the round about the gap that begins asks for it
        try:
            problem = self.history.restore(entry.session_id, self._missing, self._held)
        except DriverError as error:
            problem = f"the record cannot be read: {error.orig}"
        if problem:
            log.warning("%s: not restored; asked for again after the next comparison: %s", self.account.name, problem)

    def _ask_regularly(self, entry: Covered) -> None:
        """Ask for what is never pushed; what cannot be answered now is asked again soon."""
        try:
            held = () if self._held is None else self._held.traded()
            problem = self.history.ask_regularly(entry.session_id, held)
        except DriverError as error:
            problem = f"the record cannot be read: {error.orig}"
        wait_s = self._limits.transactions_every_s
        if problem:
            wait_s = min(self._regular_backoff.next_s(), wait_s)
            log.warning("%s: not answered: %s. Trying again in %.0f s.", self.account.name, problem, wait_s)
        else:
            self._regular_backoff.reset()
        self._regular = _Due(self._clock.monotonic_s() + wait_s, entry, _Task.REGULAR)

    def _backfill(self, backfill: Backfill) -> None:
        with self._engine.connect() as connection:
            session_id = newest_covered(connection, self._recorder_id, self._account_id)
        self.history.backfill(session_id, backfill)

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
        to = RestRound(self._rounds.begin(session_id, RECONCILE))
        if known.since_ns is not None:
            # Answers count from the beginning of the round.
            self._rest.settle()
        questions = venue.questions(Purpose.RECONCILE, known_to(self.account, known, self._clock))
        failed = to.failed
        try:
            for answer in self._rest.answers(questions, to):
                held.take(to.round_id, answer.updates)
        except VenueError as error:
            failed = [str(error)]
        lost = tuple(to.lost)
        if retried is not None:
            with self._engine.connect() as connection:
                lost = still_lost(connection, self._account_id, lost, retried)
        result, detail = RECONCILED, restored(to, known.since_ns, lost)
        if failed:
            result, detail, lost = FAILED, "; ".join(failed), ()
        elif lost:
            complete = subjects_of(snapshot_questions(self.account, self._clock))
            result = UNRECOVERABLE if complete.intersection(one.name for one in lost) else PARTIAL
        self._rounds.end(session_id, to.round_id, result, detail, lost, None if retried is None else self.retried)
        if result != FAILED:
            level = logging.INFO if result == RECONCILED else logging.ERROR
            log.log(level, "%s: %s: %s", name, result, detail + lost_text(lost))
        elif retried is not None:
            log.error("%s: not reconciled: %s", name, detail)
        return result, detail

    def _compare(self, entry: Covered) -> bool:
        """Compare the pushes with a snapshot. Returns whether to do so again in this session."""
        wanted = {one.session_id for one in self._streams}
        sessions = [one for one in self._sessions() if one.session_id in wanted and not one.is_over]
        if len(sessions) < len(self._streams):
            return False
        now_ns = self._clock.wall_ns()
        # The answers are evidence only: no typed rows follow from them.
        to = RestRound(self._rounds.begin(entry.session_id, COMPARE), SNAPSHOT)
        found: tuple[Contradiction, ...] = ()
        is_compared = self._held is not None and self._held.session_id == entry.session_id
        try:
            if self._held is None or not is_compared:
                self._held = self._snapshot(entry, to)
                result, detail = COMPARED, "a snapshot to start from"
            else:
                topics = frozenset(topic for one in self._streams for topic in one.topics if topic not in one.refused)
                found = self._comparison.contradictions(sessions, topics, self._held, to)
                result, detail = COMPARED, f"{len(found)} values differ from the pushes" if found else "the same"
        except (VenueError, Dropped) as error:
            result, detail = FAILED, str(error)
        except DriverError as error:
            result, detail = FAILED, f"the record cannot be read: {error.orig}"
        if result == COMPARED and (to.failed or to.lost):
            missing = [*to.failed, *(one.name for one in to.lost)]
            result, detail = FAILED, f"{detail}; not answered: {', '.join(missing)}"
        for one in report(self.account, entry.session_id, to.round_id, found, self._clock.wall_ns()):
            self.channel.put_entry(one)
        self.discrepancies += len(found)
        if result == COMPARED and is_compared and not found:
            self._missing.agreed(now_ns)
        self._rounds.end(entry.session_id, to.round_id, result, detail, agreed=to.agreed)
        if result == FAILED:
            log.warning("%s: not compared with the exchange this time: %s", self.account.name, detail)
        return True

    def _snapshot(self, entry: Covered, to: RestRound) -> CurrentState | None:
        """A snapshot to start from; None if it is incomplete."""
        held = self._new_state(entry)
        for answer in self._rest.answers(snapshot_questions(self.account, self._clock), to):
            held.take(to.round_id, answer.updates)
        return None if to.failed or to.lost else held

    def _new_state(self, entry: Covered) -> CurrentState:
        streams = {one.session_id: one.seq for one in self._streams}
        return CurrentState(self._account_id, entry.session_id, entry.seq, streams)

    def _sessions(self) -> list[Session]:
        return [session for one in self._collectors if (session := one.session) is not None]

    def _unsettle(self) -> None:
        for session in self._sessions():
            session.repeated.repetitions.unsettle()

    def _try_again(self, entry: Covered, why: str) -> None:
        wait_s = self._backoff.next_s()
        self._due = _Due(self._clock.monotonic_s() + wait_s, entry, _Task.RECONCILE)
        log.warning("%s: %s. Trying again in %.0f s.", self.account.name, why, wait_s)

    def _compare_later(self, entry: Covered) -> None:
        if every_s := self._limits.reconcile_every_s:
            self._due = _Due(self._clock.monotonic_s() + every_s, entry, _Task.COMPARE)
