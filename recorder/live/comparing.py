"""Comparing: whether REST tells the same state as the pushes.

An answer and the pushes race, so a mismatch is reported only if no push within ±`reconcile_settle_s` of the request
carried that value. And REST may lag: only what still mismatches when asked a second time is reported.
"""

import logging
from collections.abc import Callable
from threading import Event
from typing import Protocol

from sqlalchemy import Engine

from recorder.clock import Clock
from recorder.live.asking import Asker, Round
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.model import SNAPSHOT, State, thing_of
from recorder.read.state.current import CurrentState
from recorder.venues.base import Answer, Contradiction, Passed, Seen

log = logging.getLogger(__name__)


class Pushes(Protocol):
    """Where an account's pushes come in."""

    #: The connection, while there is one.
    session: Session | None


class Dropped(Exception):
    """The comparison has no result: pushes could have been missed meanwhile."""


class Comparison:
    """Compares one account with the pushes of one covered session.

    Args:
        account: which account.
        session: the session.
        topics: what it is pushed.
        engine: that can only read the record.
        asker: asks.
        clock: measures waits.
        limits: of waits.
        committed: set after each commit, and when the run ends.
        durable_seq: the last frame of the session that is known durable; -1: none.
    """

    def __init__(
        self,
        account: Account,
        session: Session,
        topics: frozenset[str],
        engine: Engine,
        asker: Asker,
        clock: Clock,
        limits: Limits,
        committed: Event,
        durable_seq: Callable[[int], int],
    ) -> None:
        self._account = account
        self._session = session
        self._topics = topics
        self._engine = engine
        self._asker = asker
        self._clock = clock
        self._limits = limits
        self._committed = committed
        self._durable_seq = durable_seq

    def contradictions(self, held: CurrentState, to: Round) -> tuple[Contradiction, ...]:
        """What mismatches both times it is asked for. It counts as held from then on, so that it is reported once.

        Raises:
            Dropped: pushes could have been missed meanwhile.
            VenueError, Stopping, ChannelClosed: as `Asker.answers`.
            sqlalchemy.exc.DatabaseError: the record cannot be read now.
        """
        # REST may be some seconds behind: the states that count are those from here on.
        with self._engine.connect() as connection:
            held.advance(connection)
        self._asker.sleep(self._limits.reconcile_settle_s)
        _, first = self._compare(held, to)
        if not first:
            return ()
        log.info("%s: %d values differ from the pushes; asking once more", self._account.name, len(first))
        suspected = {(one.thing, one.field) for one in first}
        again, second = self._compare(held, to)
        found = tuple(one for one in second if (one.thing, one.field) in suspected)
        told = {thing_of(state): state for answer in again for state in answer.updates if isinstance(state, State)}
        for thing in {one.thing for one in found}:
            held.keep(thing, Seen(to.round_id, told[thing]) if thing in told else None)
        return found

    def _compare(self, held: CurrentState, to: Round) -> tuple[list[Answer], tuple[Contradiction, ...]]:
        answers = list(self._asker.answers(self._account.venue.snapshot(), to))
        passed = self._wait_passed(held)
        return answers, self._account.venue.contradictions(answers, self._topics, passed)

    def _wait_passed(self, held: CurrentState) -> Passed:
        """The states passed through until a while after now, once all that was pushed until then is in the record."""
        settle_s = self._limits.reconcile_settle_s
        self._asker.sleep(settle_s)
        # Sent only now: its answer stands behind all that was pushed in the time to settle, however late we read it.
        number = self._session.beat_soon()
        give_up_s = self._clock.monotonic_s() + self._limits.silent_s
        while True:
            self._committed.clear()
            self._asker.check_stop()
            answered = self._session.answered
            if answered.number >= number and self._durable_seq(self._session.session_id) >= answered.seq:
                with self._engine.connect() as connection:
                    return held.passed(connection)
            if self._session.is_over:
                raise Dropped("the session ended meanwhile")
            left_s = give_up_s - self._clock.monotonic_s()
            if left_s <= 0:
                raise Dropped("no heartbeat was answered meanwhile")
            self._committed.wait(left_s)


def snapshot_round(round_id: int) -> Round:
    """A round whose answers are evidence only: no typed rows follow from them."""
    return Round(round_id, SNAPSHOT)
