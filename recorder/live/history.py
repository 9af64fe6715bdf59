"""Asks for what is never pushed or easily missed, regularly, and for what happened before the record began."""

import logging
from collections.abc import Callable, Collection
from typing import NamedTuple

from sqlalchemy import Engine

from recorder.clock import NS_PER_MS, NS_PER_S, Clock
from recorder.errors import VenueError
from recorder.live.channel import Channel
from recorder.live.comparison import Missing
from recorder.live.rest_client import RestClient, RestRound
from recorder.live.rounds import Rounds
from recorder.live.settings import Account
from recorder.read.backfilled import (
    asked_since_ms,
    completed_subjects,
    last_asked_ns,
    record_begins_ns,
    transactions_since_ms,
)
from recorder.read.before_gap import KnownOrders, Period, known_before
from recorder.read.contracts import traded_instruments
from recorder.read.known_state import CurrentState
from recorder.store.entries import SubjectCompleted
from recorder.store.event_log import ANSWERED, FAILED, INCOMPLETE, INSTRUMENTS, REGULAR, RESTORE
from recorder.store.gaps import lost_text
from recorder.store.state_index import BACKFILL
from recorder.venues.rest import Completed, Forgotten, Known, Purpose, Question, Questions, Traded

log = logging.getLogger(__name__)

#: What symbols mean is asked for this often, seconds.
INSTRUMENTS_EVERY_S = 86_400.0


class Backfill(NamedTuple):
    """Ask once for history from before the record."""

    #: How far back, milliseconds since 1970; None: as far as the venue remembers.
    since_ms: int | None = None


class Asked(NamedTuple):
    """The progress of a backfill."""

    #: What is being asked for, and its place among all that is asked for, from 1.
    subject: str = ""
    number: int = 0
    #: How many were known before the first answer. Periods that turn out to be long are asked for in parts.
    of: int = 0
    began_s: float = 0.0


class HistoryRounds:
    """Rounds of one account that settle no gap.

    Args:
        account: the account.
        recorder_id: whose record begins.
        engine: a read-only engine of the record.
        rest: asks.
        rounds: begins and ends them.
        channel: to the writer.
        clock: stamps and measures.

    Attributes:
        asked: the progress of a backfill.
        incomplete: why a backfill is not complete; empty: it is.
    """

    def __init__(
        self,
        account: Account,
        recorder_id: int,
        engine: Engine,
        rest: RestClient,
        rounds: Rounds,
        channel: Channel,
        clock: Clock,
    ) -> None:
        self.asked = Asked()
        self.incomplete = ""
        self._account = account
        self._recorder_id = recorder_id
        self._engine = engine
        self._rest = rest
        self._rounds = rounds
        self._channel = channel
        self._clock = clock
        #: When instruments were last asked for, on the monotonic clock, and which of them were not described before.
        self._instruments_s: float | None = None
        self._undescribed: frozenset[Traded] = frozenset()

    def ask_regularly(self, session_id: int, traded: Collection[Traded] = ()) -> str:
        """Ask for transactions, for what the venue is known not to push always, and now and then what symbols mean.

        If the venue has no question about it, nothing happens.

        Args:
            session_id: the covered session.
            traded: what the account trades, besides what the projections of the record know already.

        Returns:
            Why it is not complete; empty: it is.
        """
        of = session_id, frozenset(traded)
        problems = self._ask_transactions(*of), self._ask_instruments(*of)
        return "; ".join(filter(None, problems))

    def _ask_transactions(self, session_id: int, traded: frozenset[Traded]) -> str:
        """Ask for transactions, from where the record has all of them on."""
        of = self._account.account_id, self._clock.wall_ms()
        with self._engine.connect() as connection:
            since_ms = transactions_since_ms(connection, *of)
            asked_ms = asked_since_ms(connection, *of)
            instruments = traded.union(traded_instruments(connection, self._account.account_id))
        known = self._known(since_ms=since_ms, asked_ms=asked_ms, instruments=instruments)
        return self._ask_for(Purpose.REGULAR, known, session_id, REGULAR)

    def _ask_instruments(self, session_id: int, traded: frozenset[Traded]) -> str:
        """Ask what symbols mean: the first time, once a day, and when one is new."""
        with self._engine.connect() as connection:
            recorded = traded_instruments(connection, self._account.account_id)
        undescribed = frozenset(one for one in traded.union(recorded) if not recorded.get(one))
        now_s = self._clock.monotonic_s()
        is_due = self._instruments_s is None or now_s >= self._instruments_s + INSTRUMENTS_EVERY_S
        if not is_due and undescribed <= self._undescribed:
            return ""
        known = self._known(instruments=traded.union(recorded))
        problem = self._ask_for(Purpose.INSTRUMENTS, known, session_id, INSTRUMENTS)
        if not problem:
            # Some are never described, such as delisted ones: they are asked for with all others.
            self._instruments_s, self._undescribed = now_s, undescribed
        return problem

    def restore(self, session_id: int, missing: Missing, held: CurrentState | None) -> str:
        """Ask for what pushes did not say, though the account was covered.

        Args:
            session_id: the covered session.
            missing: what they lack; it is noted if the exchange was asked for everything.
            held: the state of the session, if it is at hand.

        Returns:
            Why it is not complete; empty: it is.

        Raises:
            sqlalchemy.exc.DatabaseError: the record cannot be read now.
        """
        now_ns = self._clock.wall_ns()
        period = Period(self._account.account_id, self._recorder_id, session_id, missing.since_ns, now_ns)
        with self._engine.connect() as connection:
            known = missing.added_to(known_before(connection, period, held))
        log.info("%s: asking the exchange for what the pushes lack", self._account.name)
        problem = self._ask_for(Purpose.RECONCILE, known_to(self._account, known, self._clock), session_id, RESTORE)
        if not problem:
            missing.restored(now_ns)
        return problem

    def backfill(self, session_id: int, backfill: Backfill) -> None:
        """Ask for what happened before the record began, except what earlier rounds completed.

        Args:
            session_id: the newest covered session; 0: there is none, and the record has not begun.
            backfill: how far back.
        """
        with self._engine.connect() as connection:
            begins_ns = record_begins_ns(connection, self._account.account_id)
            done = completed_subjects(connection, self._account.account_id)
            traded = frozenset(traded_instruments(connection, self._account.account_id))
            now_ns = self._clock.wall_ns()
            asked_ns = last_asked_ns(connection, self._account.account_id, now_ns)
        if begins_ns is None:
            self.incomplete = "its record has not begun: start recorder run first"
            return
        known = self._known(since_ms=backfill.since_ms, until_ms=begins_ns // NS_PER_MS, done=done, instruments=traded)
        ask = self._account.venue.questions
        subjects = subjects_of(ask(Purpose.BACKFILL, known))
        if not subjects:
            log.info("%s: nothing is left to ask for", self._account.name)
            return
        if asked_ns is not None:
            # Whoever interrupts a backfill often and goes on must not ask more often than the exchange allows.
            self._rest.asked_before(max(now_ns - asked_ns, 0) / NS_PER_S)
        self.asked = Asked(of=len(subjects), began_s=self._clock.monotonic_s())
        self.incomplete = self._ask(self._counted(ask(Purpose.BACKFILL, known)), session_id, BACKFILL)

    def _known(self, **known: object) -> Known:
        account = self._account
        empty = Known(account.symbols, {}, None, None, self._clock.wall_ms(), environment=account.environment)
        return empty._replace(**known)  # type: ignore[arg-type]

    def _ask_for(self, purpose: Purpose, known: Known, session_id: int, name: str) -> str:
        """A round of its own, unless the venue has no question."""
        ask = self._account.venue.questions
        if next(ask(purpose, known), None) is None:
            return ""
        return self._ask(ask(purpose, known), session_id, name)

    def _ask(self, questions: Questions, session_id: int, purpose: str) -> str:
        round_id = self._rounds.begin(session_id, purpose)
        to = RestRound(round_id, on_completed=self._completed_in(round_id), is_counted=False)
        rows = 0
        if purpose in {REGULAR, RESTORE}:
            # There may be states in the answers, which count from the beginning of the round.
            self._rest.settle()
        try:
            for answer in self._rest.answers(questions, to):
                rows += len(answer.updates)
            problem = "; ".join(to.failed)
        except VenueError as error:
            problem = str(error)
        lost = () if problem else tuple(to.lost)
        result, detail = ANSWERED, f"{rows:,} rows in {to.frames:,} answers"
        if problem:
            result, detail = FAILED, problem
        elif any(one.target for one in lost):
            result = INCOMPLETE
        self._rounds.end(session_id, round_id, result, detail, lost)
        log.info("%s: %s: %s", self._account.name, purpose, detail + lost_text(lost))
        return problem

    def _completed_in(self, round_id: int) -> Callable[[Completed], None]:
        def put(one: Completed) -> None:
            of = self._account.account_id, round_id, one.subject, one.history
            self._channel.put_entry(SubjectCompleted(*of, one.since_ms, one.until_ms, self._clock.wall_ns()))

        return put

    def _counted(self, questions: Questions) -> Questions:
        """The same questions, with their progress in `asked`."""
        answer = None
        while True:
            try:
                step = questions.send(answer)
            except StopIteration:
                return None
            if isinstance(step, Question) and step.subject != self.asked.subject:
                asked = self.asked
                self.asked = asked._replace(subject=step.subject, number=asked.number + 1)
            if isinstance(step, Forgotten):
                # At once: a round that is interrupted later does not come to a summary, and is not asked this again.
                log.warning("%s: the exchange no longer has %s: %s", self._account.name, step.subject, step.reason)
            answer = yield step


def known_to(account: Account, known: KnownOrders, clock: Clock) -> Known:
    """What the record knew, as the venue's questions about a gap take it."""
    return Known(
        account.symbols,
        known.unfinished,
        known.newest_order_id,
        None if known.since_ns is None else known.since_ns // NS_PER_MS,
        clock.wall_ms(),
        None if known.until_ns is None else known.until_ns // NS_PER_MS,
        last_fill_ms=known.last_fill_ms,
        positions=known.positions,
        instruments=known.instruments,
        balances=known.balances,
        environment=account.environment,
        streams=known.streams,
        conditional=known.conditional,
    )


def subjects_of(questions: Questions) -> set[str]:
    """The subjects of the questions that a venue asks if none of them is answered."""
    subjects: set[str] = set()
    try:
        step = next(questions)
        while True:
            if isinstance(step, Question):
                subjects.add(step.subject)
            step = questions.send(None)
    except StopIteration:
        return subjects
