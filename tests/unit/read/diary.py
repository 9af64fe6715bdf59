"""A record with connections, gaps and rounds of questions, whose times a test sets: in seconds after noon."""

from collections.abc import Sequence
from itertools import count

from recorder.live.channel import Recorded
from recorder.model import REST, Frame
from recorder.store.entries import (
    Covered,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    SessionEnded,
    SessionOpened,
)
from recorder.venues.reading import read_answer
from tests.made import ACCOUNT, NOON_NS, ORDER, RUN, received, sent
from tests.samples import FMEX, sample
from tests.unit.read.desk import Desk

S = 1_000_000_000
TOPICS = ("account", "order.btcusd_p", "position.btcusd_p")
COVERED = b'{"type":"topics","topics":["account","order.btcusd_p","position.btcusd_p"]}'

#: A frame: when it came, and what it says; an order of its own where that is None.
Came = tuple[int, bytes | None]


class Diary:
    """Writes into a desk's record."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._keys = count(100)

    def session(
        self,
        opened_s: int,
        came: Sequence[Came],
        ended_s: int | None = None,
        *,
        account_id: int = ACCOUNT,
        answered: bool = True,
    ) -> int:
        """A connection: it is covered with its first frame, an acknowledgement; returns its key.

        Args:
            opened_s: when.
            came: the frames after that.
            ended_s: when it was lost; None: it goes on.
            account_id: whose.
            answered: whether a ping of ours is among the frames, at the end.
        """
        session_id = next(self._keys)
        opened_ns = NOON_NS + opened_s * S
        opened = SessionOpened(account_id, session_id, RUN, "wss://x", TOPICS, opened_ns)
        covered = Covered(account_id, session_id, 0, opened_ns, TOPICS, {})
        key = {"account_id": account_id, "session_id": session_id}
        recorded = [received(0, COVERED, at_ns=opened_ns, **key)]
        for seq, (at_s, payload) in enumerate(came, 1):
            told = ORDER % (session_id * 1000 + seq, 10) if payload is None else payload
            recorded.append(received(seq, told, at_ns=NOON_NS + at_s * S, **key))
        last = recorded[-1].frame
        entries: list[LogEntry] = [opened, covered]
        if ended_s is not None:
            ended = NOON_NS + ended_s * S
            entries.append(SessionEnded(account_id, session_id, ended, "lost", "", True, last.seq, last.received_ns))
        if answered:
            recorded.append(sent(last.seq + 1, at_ns=last.received_ns, **key))
        self.desk.write(*recorded, entries=entries)
        return session_id

    def round(self, began_s: int, ended_s: int, *, source: str = REST, account_id: int = ACCOUNT) -> int:
        """A round of REST questions with two answers; returns its key."""
        round_id = next(self._keys)
        began_ns, ended_ns = NOON_NS + began_s * S, NOON_NS + ended_s * S
        answers = [
            _answer(account_id, round_id, seq, began_ns + seq, source, target, sample(name))
            for seq, (target, name) in enumerate(
                [("/v3/contracts/accounts", "rest-accounts"), ("/v3/contracts/orders/open", "rest-open-orders")]
            )
        ]
        entries: list[LogEntry] = [
            ReconciliationBegan(account_id, round_id, RUN, began_ns),
            ReconciliationEnded(account_id, round_id, round_id - 1, ended_ns, "failed", ""),
        ]
        self.desk.write(*answers, entries=entries)
        return round_id


def _answer(account_id: int, round_id: int, seq: int, at_ns: int, source: str, target: str, payload: bytes) -> Recorded:
    decoded = read_answer(FMEX, target, payload)
    frame = Frame(account_id, round_id, seq, at_ns, source, target, decoded.status, decoded.error, payload)
    return Recorded(frame, decoded.updates if source == REST else ())
