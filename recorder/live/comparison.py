"""Compares what REST says with the pushes: the state that it reports, and whether it takes the key.

An answer and the pushes race, so a mismatch is reported only if no push within ±`reconcile_settle_s` of the request
carried that value. And REST may lag: a mismatch is reported only if it is still there in a second snapshot.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from threading import Event

from sqlalchemy import Engine

from recorder.clock import Clock
from recorder.live.proof import KEY_REFUSED
from recorder.live.rest_client import RestClient, RestRound
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.live.watermark import Mark
from recorder.model import OrderUpdate, State, Thing, thing_of
from recorder.read.before_gap import KnownOrders, is_conditional
from recorder.read.known_state import CurrentState
from recorder.store.entries import Agreed, DiscrepancyFound
from recorder.venues.comparable import Contradiction, Passed, Seen, contradictions
from recorder.venues.rest import Answer, Known, OrderKey, Purpose, Questions

log = logging.getLogger(__name__)


#: Discrepancies of one round that are logged; the table has all of them.
FINDINGS_SHOWN_MAX = 10
#: If REST refuses the key, a push within this time shows that the key is valid, seconds.
PUSHED_WITHIN_S = 10.0
#: After the sessions of an account have ended because REST refused the key, they do not end so again for this long,
#: seconds: if a login was accepted meanwhile, something else than the key is wrong.
NOT_AGAIN_S = 86_400.0


class Dropped(Exception):
    """The comparison has no result: pushes may have been missed meanwhile."""


def snapshot_questions(account: Account, clock: Clock) -> Questions:
    """The questions for the complete current state of an account."""
    known = Known(account.symbols, {}, None, None, clock.wall_ms(), environment=account.environment)
    return account.venue.questions(Purpose.SNAPSHOT, known)


def report(
    account: Account, session_id: int, round_id: int, found: Sequence[Contradiction], now_ns: int
) -> list[DiscrepancyFound]:
    """Log the mismatches of a comparison, and return their entries for the event log.

    Args:
        account: the account.
        session_id: the session during which REST was asked, for a value that no frame showed.
        round_id: the round of requests.
        found: the mismatches.
        now_ns: nanoseconds since 1970.
    """
    entries = []
    for number, one in enumerate(found):
        held_session_id = session_id if one.held_session_id is None else one.held_session_id
        what = one.subject, one.field, one.told, one.held
        entries.append(DiscrepancyFound(account.account_id, round_id, one.seq, *what, held_session_id, now_ns))
        if number < FINDINGS_SHOWN_MAX:
            log.error("%s: discrepancy: %s, %s: REST says %s, the pushes say %s", account.name, *what)
    if len(found) > FINDINGS_SHOWN_MAX:
        more = len(found) - FINDINGS_SHOWN_MAX
        log.error("%s: %d more discrepancies: see `recorder discrepancies`", account.name, more)
    return entries


class Missing:
    """What pushes lack according to comparisons, until the exchange has been asked for it.

    Args:
        since_ns: when everything began to be pushed, nanoseconds since 1970.

    Attributes:
        since_ns: when REST last agreed with the pushes, nanoseconds since 1970.
    """

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        #: Orders → what the pushes said of them, if anything; None: nothing is missing.
        self._orders: dict[OrderKey, OrderUpdate | None] | None = None

    def __bool__(self) -> bool:
        return self._orders is not None

    def agreed(self, at_ns: int) -> None:
        """Note that a comparison that began then found no mismatch."""
        if self._orders is None:
            self.since_ns = at_ns

    def found(self, states: Mapping[Thing, State | None]) -> None:
        """Note what the pushes said of the things that mismatch."""
        orders = {
            OrderKey(thing.key[1], thing.key[2], thing.name): state if isinstance(state, OrderUpdate) else None
            for thing, state in states.items()
            if thing.kind is OrderUpdate
        }
        self._orders = (self._orders or {}) | orders

    def restored(self, at_ns: int) -> None:
        """Note that the exchange was asked then for everything since."""
        self._orders, self.since_ns = None, at_ns

    def added_to(self, known: KnownOrders) -> KnownOrders:
        """Add what is missing to what was known when a gap began."""
        if self._orders is None or known.since_ns is None:
            return known
        return known._replace(
            unfinished=dict.fromkeys(self._orders, Decimal(0)) | known.unfinished,
            conditional=known.conditional | {key for key, one in self._orders.items() if one and is_conditional(one)},
            since_ns=min(known.since_ns, self.since_ns),
        )


class SnapshotComparison:
    """Compares snapshots of one account with its pushes.

    Args:
        account: the account.
        engine: a read-only engine of the record.
        rest: asks for snapshots.
        clock: measures waits.
        limits: of waits.
        missing: takes what is found.
    """

    def __init__(
        self, account: Account, engine: Engine, rest: RestClient, clock: Clock, limits: Limits, missing: Missing
    ) -> None:
        self._account = account
        self._engine = engine
        self._rest = rest
        self._clock = clock
        self._limits = limits
        self._missing = missing
        self._committed = Event()
        self._durable: Mapping[tuple[int, int], Mark] = {}

    def durable(self, sessions: Mapping[tuple[int, int], Mark]) -> None:
        """Note the last durable push of each session; also called when the run ends. From any thread."""
        self._durable = sessions
        self._committed.set()

    def contradictions(
        self, sessions: Sequence[Session], topics: frozenset[str], held: CurrentState, to: RestRound
    ) -> tuple[Contradiction, ...]:
        """The mismatches found in both snapshots. They are added to `held`, so that each is reported once.

        They end the sessions if only pushes prove coverage (`Venue.fails_silently`): some are missing. A snapshot
        without mismatches is a proof, too.

        Args:
            sessions: the covered sessions whose pushes are compared, one of each stream.
            topics: their covered topics; nothing else is compared.
            held: the latest state according to the pushes.
            to: takes the answers.

        Raises:
            Dropped: pushes may have been missed meanwhile.
            VenueError, Stopping, ChannelClosed: as `RestClient.answers`.
            sqlalchemy.exc.DatabaseError: the record cannot be read now.
        """
        places = [session.place() for session in sessions]
        # REST may be some seconds behind: the states that count are those from here on.
        with self._engine.connect() as connection:
            held.advance(connection)
        self._rest.settle()
        _, first = self._compare(sessions, topics, held, to)
        if not first:
            if not (to.failed or to.lost):
                for session, place in zip(sessions, places, strict=True):
                    session.proof.agreed(place)
                    to.agreed += (Agreed(session.session_id, place.seq, place.at_ns),)
            return ()
        log.info("%s: %d values differ from the pushes; asking once more", self._account.name, len(first))
        suspected = {(one.thing, one.field) for one in first}
        again, second = self._compare(sessions, topics, held, to)
        found = tuple(one for one in second if (one.thing, one.field) in suspected)
        states = {thing_of(state): state for answer in again for state in answer.updates if isinstance(state, State)}
        things = {one.thing for one in found}
        if things:
            self._missing.found({thing: held.state_of(thing) for thing in things})
        for thing in things:
            held.keep(thing, Seen(to.round_id, states[thing]) if thing in states else None)
        if found and self._account.venue.fails_silently:
            for session in sessions:
                session.refute(f"{found[0].subject}: REST says {found[0].told}, and no push did")
        return found

    def _compare(
        self, sessions: Sequence[Session], topics: frozenset[str], held: CurrentState, to: RestRound
    ) -> tuple[list[Answer], tuple[Contradiction, ...]]:
        asked_ms, comparable = self._clock.wall_ms(), self._account.venue.comparable
        answers = list(self._rest.answers(snapshot_questions(self._account, self._clock), to))
        passed = self._wait_passed(sessions, held)
        return answers, contradictions(comparable, answers, topics, passed, to.unanswered, asked_ms)

    def _wait_passed(self, sessions: Sequence[Session], held: CurrentState) -> Passed:
        """Wait until all pushes of the time to settle are in the record; return the states seen until then."""
        self._rest.settle()
        # The answer to a heartbeat sent now comes after all pushes of that time.
        numbers = [session.beat_soon(self._committed.set) for session in sessions]
        for session, number in zip(sessions, numbers, strict=True):
            self._wait_answered(session, number)
        with self._engine.connect() as connection:
            return held.passed(connection)

    def _wait_answered(self, session: Session, number: int) -> None:
        """Wait until the answer to a heartbeat is durable."""
        key = self._account.account_id, session.session_id
        give_up_s = self._clock.monotonic_s() + self._limits.silent_s
        answer_seq: int | None = None
        while True:
            self._committed.clear()
            self._rest.check_stop()
            answered, mark = session.answered, self._durable.get(key)
            if answer_seq is None and answered.number >= number:
                # Kept: if commits take longer than a heartbeat interval, the newest answer is never durable.
                answer_seq = answered.seq
            if answer_seq is not None and (answer_seq < 0 or (mark is not None and mark.seq >= answer_seq)):
                return  # a connection on which nothing was received yet has nothing to wait for
            if session.is_over:
                raise Dropped("the session ended meanwhile")
            left_s = give_up_s - self._clock.monotonic_s()
            if left_s <= 0:
                raise Dropped("no heartbeat was answered meanwhile")
            self._committed.wait(left_s)


class RefusedKey:
    """What it says about the pushes of an account that REST refuses the key.

    Some exchanges may leave the sockets of a revoked key open, answer their pings, and push nothing more. Pushes show
    that the key is valid. If none comes, the sessions end, a gap begins where a push or a comparison last proved
    something, and only a login tells more. If it is accepted, the key lacks a right over REST or this machine's clock
    is off, and an account that was only quiet must not lose its sessions again and again.

    Args:
        account: the account.
        clock: measures waits.
        sessions: returns the account's running sessions, one of each stream.
    """

    def __init__(self, account: Account, clock: Clock, sessions: Callable[[], Sequence[Session]]) -> None:
        self._account = account
        self._clock = clock
        self._sessions = sessions
        #: The sessions that were ended last, and when.
        self._ended: list[Session] = []
        self._ended_s = -math.inf

    def refused(self, sleep: Callable[[float], None]) -> str:
        """End the sessions, unless a push or an earlier login shows that the key is valid.

        Args:
            sleep: waits so many seconds.

        Returns:
            What is known now, in a sentence; empty: nothing more.

        Raises:
            Stopping: the run ends.
        """
        sessions = [one for one in self._sessions() if one.covered and one not in self._ended]
        if not sessions:
            return ""
        asked_s = self._clock.monotonic_s()
        if asked_s < self._ended_s + NOT_AGAIN_S:
            return "Since an earlier refusal, a login was accepted: the key is valid, but may lack a right."
        for session in sessions:
            # At once: if the run is stopped meanwhile, too, nothing that came since proves anything.
            session.proof.doubted()
        sleep(PUSHED_WITHIN_S)
        if any(one.last_push_s > asked_s for one in sessions):
            for session in sessions:
                session.proof.trusted()
            return "Pushes still come: the key is valid, but may lack a right."
        self._ended, self._ended_s = sessions, self._clock.monotonic_s()
        why = f"REST refuses the key, and nothing was pushed for {PUSHED_WITHIN_S:g} s"
        log.error("%s: %s: pushes may be missing since the last one; logging in again", self._account.name, why)
        for session in sessions:
            session.refute(why, KEY_REFUSED)
        return "Nothing is pushed either: a gap begins."
