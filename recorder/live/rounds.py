"""Begins and ends an account's rounds of REST requests in the event log."""

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection

from recorder.clock import Clock
from recorder.live.channel import Channel
from recorder.live.rest_client import RestRound
from recorder.model import time_ordered_id
from recorder.read.before_gap import EndedGap, is_answered
from recorder.store.entries import Agreed, LostSubject, ReconciliationBegan, ReconciliationEnded


class Rounds:
    """The rounds of one account in a run.

    Args:
        account_id: of the account.
        run_id: the run.
        channel: to the writer.
        clock: stamps the entries.
    """

    def __init__(self, account_id: int, run_id: int, channel: Channel, clock: Clock) -> None:
        self._account_id = account_id
        self._run_id = run_id
        self._channel = channel
        self._clock = clock
        self._last_id = 0

    def begin(self, session_id: int, purpose: str) -> int:
        """Begin a round. Returns its key.

        Args:
            session_id: the covered session after which it is asked.
            purpose: `reconcile`, `compare`, `restore`, `regular`, `instruments` or `backfill`.
        """
        began_ns = self._clock.wall_ns()
        # Above the session and the last round even if the clock has jumped back. The random step keeps the number free
        # that the next session would then get: the one after its predecessor's.
        after = max(session_id, self._last_id) + 1 + secrets.randbits(20)
        round_id = self._last_id = max(time_ordered_id(began_ns), after)
        self._channel.put_entry(ReconciliationBegan(self._account_id, round_id, self._run_id, began_ns, purpose))
        return round_id

    def end(
        self,
        session_id: int,
        round_id: int,
        result: str,
        detail: str,
        lost: tuple[LostSubject, ...] = (),
        gaps: tuple[int, ...] | None = None,
        agreed: tuple[Agreed, ...] = (),
    ) -> None:
        """End a round; see `ReconciliationEnded`."""
        now_ns = self._clock.wall_ns()
        self._channel.put_entry(
            ReconciliationEnded(self._account_id, round_id, session_id, now_ns, result, detail, lost, gaps, agreed)
        )


def restored(to: RestRound, since_ns: int | None, lost: Sequence[LostSubject]) -> str:
    """What a round restored and what it did not, for the row in `gaps`."""
    lost_names = [one.name for one in lost]
    now = " and ".join(what for what in ("balances", "positions") if not any(what in name for name in lost_names))
    text = f"{now} as of now, " if now else ""
    text += f"{len(to.orders)} orders, {to.executions} executions"
    if since_ns is None:
        return f"a snapshot: {text}"
    return f"restored: {text}; not restored: balances, positions and order states in between"


def still_lost(
    connection: Connection, account_id: int, lost: Sequence[LostSubject], retried: Sequence[EndedGap]
) -> tuple[LostSubject, ...]:
    """What earlier rounds about the same gaps lacked, too: an exchange only forgets more with time.

    Args:
        connection: to the record.
        account_id: of the account.
        lost: what this round lacks.
        retried: the gaps that it is about.
    """
    earlier = [gap.reconciliation_id for gap in retried if gap.reconciliation_id is not None]
    # What the venue has forgotten had no request: the earlier round says so in its resolution.
    forgotten = [gap.resolution or "" for gap in retried if gap.reconciliation_id is not None]
    unsettled = len(forgotten) < len(retried)
    return tuple(
        one
        for one in lost
        if (not one.target and (unsettled or any(f"({one.reason})" in text for text in forgotten)))
        or (one.target and not is_answered(connection, account_id, earlier, one.target))
    )
