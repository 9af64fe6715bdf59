"""What the streams of an account share: the keys of their sessions, and what is doubted when the key is refused."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from recorder.live.proof import Place, Proof
from recorder.live.settings import Account
from recorder.model import time_ordered_id
from recorder.store.engine import explained
from recorder.store.entries import SessionEnded
from recorder.store.last_session import last_session
from recorder.store.opening import newest_session

#: What the user is told when an end is recorded that comes earlier.
MAY_BE_REVOKED = "the key may have been revoked while it was connected: the gap begins at the last push before"


class Ended(NamedTuple):
    """A covered session that has ended."""

    #: What it proved.
    proof: Proof
    #: How many heartbeats were answered.
    answered: int
    #: Its end, as it was recorded.
    entry: SessionEnded


class AccountSessions:
    """The sessions of an account, over all its streams. From any thread.

    - Keys of sessions are ordered by time, even if the clock jumps back.
    - If the exchange refuses the key, the last covered session of each stream is doubted, once: the key may have been
      revoked while it went on. That may have been in an earlier run. A session that is covered now is not meant, nor
      any before it: the login was accepted since.

    Args:
        after: the account's newest session so far; later keys are greater.
        recorded: stream → finds its last covered session of earlier runs.
    """

    def __init__(self, after: int = 0, recorded: Mapping[str, Callable[[], Ended | None]] | None = None) -> None:
        self._newest = after
        self._last = dict(recorded or {})
        self._lock = Lock()

    def next_id(self, opened_ns: int) -> int:
        """The next key."""
        with self._lock:
            self._newest = max(time_ordered_id(opened_ns), self._newest + 1)
            return self._newest

    def covered(self, stream: str) -> None:
        """Note that a session of a stream is covered."""
        with self._lock:
            self._last.pop(stream, None)

    def ended(self, stream: str, ended: Ended) -> None:
        """Note that the covered session of a stream has ended."""
        with self._lock:
            self._last[stream] = lambda: ended

    def refused(self) -> list[SessionEnded]:
        """Note that the exchange refuses the key. Returns the ends to record: those that now come earlier."""
        with self._lock:
            found = [find() for find in self._last.values()]
            self._last.clear()
        ends = [one.proof.refused_since(one.entry, one.answered) for one in found if one is not None]
        return [end for end in ends if end is not None]


def of_record(connection: Connection, recorder_id: int, account_id: int, stream: str) -> Ended | None:
    """The last covered session of a stream, from what a record has of it; None if none was covered."""
    last = last_session(connection, recorder_id, account_id, stream)
    if last is None:
        return None
    proof = Proof(last.covered[0], fails_silently=False)
    proof.pushed(*last.pushed)
    if last.agreed is not None:
        proof.agreed(Place(*last.agreed))
    return Ended(proof, 0, last.ended)


def sessions_of(accounts: Sequence[Account], engine: Engine, url: str, recorder_id: int) -> dict[int, AccountSessions]:
    """The sessions of each account that is to be recorded. What the record has of them is read when it is needed.

    Args:
        accounts: the accounts.
        engine: of the record.
        url: of the record, for messages.
        recorder_id: the recorder.
    """

    def find(account_id: int, stream: str) -> Ended | None:
        with explained(url), engine.connect() as connection:
            return of_record(connection, recorder_id, account_id, stream)

    with explained(url), engine.connect() as connection:
        newest = {one.account_id: newest_session(connection, one.account_id) for one in accounts}
    return {
        one.account_id: AccountSessions(
            newest[one.account_id], {stream.name: partial(find, one.account_id, stream.name) for stream in one.streams}
        )
        for one in accounts
    }
