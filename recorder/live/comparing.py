"""Comparing: whether what the exchange tells over REST is what its pushes had left us with.

An answer and the pushes race, so a value counts as a contradiction only where no push showed it from some seconds
before the asking until some seconds after. And REST may lag: only what contradicts when asked once more is a finding.
"""

import logging
from collections.abc import Callable

from sqlalchemy import Engine

from recorder.clock import Clock
from recorder.live.asking import Asker
from recorder.live.settings import Account, Limits
from recorder.model import SNAPSHOT, State, thing_of
from recorder.read.state.current import CurrentState, has_ended, is_heard, newest_seq
from recorder.store.entries import Covered
from recorder.venues.base import Answer, Contradiction, Passed, Seen

log = logging.getLogger(__name__)

#: How often it is looked whether the pushes before an answer have all come, seconds.
HEARD_CHECK_S = 0.2


class Dropped(Exception):
    """The comparison says nothing: pushes could have been missed meanwhile."""


class Comparing:
    """Compares one account, in one session that is covered.

    Args:
        account: whose.
        covered: the session.
        engine: that can only read the record.
        asker: asks.
        clock: measures waits.
        limits: of waits.
        beat_soon: lets a heartbeat be sent.
    """

    def __init__(
        self,
        account: Account,
        covered: Covered,
        engine: Engine,
        asker: Asker,
        clock: Clock,
        limits: Limits,
        beat_soon: Callable[[int], None],
    ) -> None:
        self._account = account
        self._session_id = covered.session_id
        self._topics = frozenset(covered.topics).difference(covered.refused)
        self._engine = engine
        self._asker = asker
        self._clock = clock
        self._limits = limits
        self._beat_soon = beat_soon

    def ended(self) -> bool:
        """Whether the session is over: there is nothing to compare with any more."""
        with self._engine.connect() as connection:
            return has_ended(connection, self._account.account_id, self._session_id)

    def contradictions(self, held: CurrentState, round_id: int) -> tuple[Contradiction, ...]:
        """What contradicts, asked twice. It is taken for held from then on, so that it is found once.

        Raises:
            Dropped: pushes could have been missed meanwhile.
            VenueError, Undecodable, Stopping, ChannelClosed: as `Asker.answers`.
            sqlalchemy.exc.DatabaseError: the record cannot be read now.
        """
        # What REST tells may be some seconds old: the states that count are those from here on.
        with self._engine.connect() as connection:
            held.advance(connection)
        self._asker.sleep(self._limits.reconcile_settle_s)
        answers, first = self._compare(held, round_id, 0)
        if not first:
            return ()
        log.info("%s: %d values are not as they were pushed; asking once more", self._account.name, len(first))
        suspected = {(one.thing, one.field) for one in first}
        again, second = self._compare(held, round_id, len(answers))
        found = tuple(one for one in second if (one.thing, one.field) in suspected)
        told = {thing_of(state): state for answer in again for state in answer.updates if isinstance(state, State)}
        for thing in {one.thing for one in found}:
            held.keep(thing, Seen(round_id, told[thing]) if thing in told else None)
        return found

    def ask(self, round_id: int, seq: int = 0) -> list[Answer]:
        """A snapshot; raises as `Asker.answers`."""
        questions = self._account.venue.snapshot()
        return list(self._asker.answers(self._account, round_id, questions, seq=seq, source=SNAPSHOT))

    def _compare(self, held: CurrentState, round_id: int, seq: int) -> tuple[list[Answer], tuple[Contradiction, ...]]:
        answers = self.ask(round_id, seq)
        passed = self._wait_passed(held)
        return answers, self._account.venue.contradictions(answers, self._topics, passed)

    def _wait_passed(self, held: CurrentState) -> Passed:
        """The states passed through until a while after now, once all that was pushed until then is in the record."""
        settle_s = self._limits.reconcile_settle_s
        give_up_s = self._clock.monotonic_s() + settle_s + self._limits.silent_s
        mine = self._account.account_id, self._session_id
        with self._engine.connect() as connection:
            seq = newest_seq(connection, *mine)
        self._asker.sleep(settle_s)
        # Sent only now: its answer stands behind all that was pushed in the time to settle, however late we read it.
        settled_ns = self._clock.wall_ns()
        self._beat_soon(self._account.account_id)
        while True:
            with self._engine.connect() as connection:
                if is_heard(connection, *mine, seq, settled_ns):
                    return held.passed(connection)
                if has_ended(connection, *mine):
                    raise Dropped("the session ended meanwhile")
            if self._clock.monotonic_s() > give_up_s:
                raise Dropped("no heartbeat was answered meanwhile")
            self._asker.sleep(HEARD_CHECK_S)
