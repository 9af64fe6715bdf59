"""What a simulated account is pushed, and recorders that write the parts of it that they heard."""

import shutil
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Frame
from recorder.simulator.exchange import Exchange
from recorder.store.entries import (
    AccountAdded,
    Covered,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    RunEnded,
    RunStarted,
    SessionEnded,
    SessionOpened,
)
from recorder.store.journal import Batch
from recorder.store.opening import open_run
from recorder.venues.reading import read_answer, read_frame
from tests.made import ACCOUNT, NOON_NS, quick_engine, snapshot_of
from tests.samples import FMEX

MS = 1_000_000
BATCH = 1_000

#: Does something to the exchange before a push is made.
Deed = Callable[[Exchange], object]


class Story:
    """Everything that one account is pushed, and what REST would have told before some of it.

    Args:
        seed: of what the account does.
        pushes: how many.
        symbols: in which it trades.
        step_ns: between two pushes.
        pauses: number of a push → how long nothing is pushed before it, besides.
        deeds: number of a push → what is done before it is made.
        asked: numbers of pushes before which REST is asked.
    """

    def __init__(
        self,
        seed: int,
        pushes: int,
        symbols: tuple[str, ...] = ("btcusd_p",),
        *,
        step_ns: int = MS,
        pauses: Mapping[int, int] | None = None,
        deeds: Mapping[int, Deed] | None = None,
        asked: Collection[int] = (0,),
    ) -> None:
        self.topics = ("account", *(f"{kind}.{symbol}" for symbol in symbols for kind in ("order", "position")))
        self._step_ns = step_ns
        self._pauses = sorted((pauses or {}).items())
        self.payloads: list[bytes] = []
        self.answers: dict[int, list[tuple[str, bytes]]] = {}
        exchange = Exchange(seed, symbols)
        for number in range(pushes):
            if deeds and number in deeds:
                deeds[number](exchange)
            if number in asked:
                self.answers[number] = snapshot_of(exchange.view())
            self.payloads.append(next(exchange)[1])

    def at_ns(self, number: int) -> int:
        """When a push is received, by a clock that is right."""
        return NOON_NS + number * self._step_ns + sum(pause for first, pause in self._pauses if first <= number)

    def before(self, number: int) -> int:
        """A moment before it."""
        return self.at_ns(number) - self._step_ns // 2

    def number_at(self, at_ns: int) -> int:
        """The last push that was received by then; -1: none."""
        return bisect_right(range(len(self.payloads)), at_ns, key=self.at_ns) - 1


class Heard(NamedTuple):
    """A session: from one push to another, which it does not hear."""

    first: int
    last: int
    #: The push before which REST has answered; None: it has not.
    asked: int | None = None
    #: How it ended; None: it goes on.
    end: str | None = "lost"
    #: So long after its last push a heartbeat is answered.
    quiet_ns: int = 0


class Scribe:
    """One recorder, with a file of its own.

    Args:
        path: its file, not there yet.
        template: a file with the current schema.
        number: which recorder; its keys differ by it.
        late_ns: how far its clock is ahead.
    """

    def __init__(self, path: Path, template: Path, number: int = 1, late_ns: int = 0) -> None:
        shutil.copy(template, path)
        self.url = f"sqlite:///{path}"
        self.engine = quick_engine(self.url)
        self._number = number
        self._late_ns = late_ns
        self._runs = 0

    def write(self, story: Story, *heard: Heard, account_id: int = ACCOUNT, name: str = "main") -> None:
        """Record: a run for each session."""
        for session in heard:
            self._write(story, session, account_id, name)

    def _write(self, story: Story, heard: Heard, account_id: int, name: str) -> None:
        self._runs += 1
        began_ns = story.before(heard.first) + self._late_ns
        run_id = session_id = (began_ns // MS << 16) + (self._runs << 6) + self._number
        started = RunStarted(run_id, 0, began_ns, "host", 1, "v")
        with self.engine.begin() as connection:
            run, seal, _ = open_run(connection, self.url, started, [AccountAdded(account_id, "fmex", name, began_ns)])
        topics = story.topics
        acknowledged = b'{"type":"topics","topics":[%s]}' % ",".join(f'"{topic}"' for topic in topics).encode()
        recorded = [_push(account_id, session_id, 0, began_ns, acknowledged)]
        entries: list[LogEntry] = [
            SessionOpened(account_id, session_id, run_id, "wss://x", topics, began_ns),
            Covered(account_id, session_id, 0, began_ns, topics, {}),
        ]
        for number in range(heard.first, heard.last):
            at_ns = story.at_ns(number) + self._late_ns
            if number == heard.asked:
                round_id = session_id + (1 << 5)
                recorded += _answers(account_id, round_id, at_ns - 2, story.answers[number])
                entries += [
                    ReconciliationBegan(account_id, round_id, run_id, at_ns - 3),
                    ReconciliationEnded(account_id, round_id, session_id, at_ns - 1, "reconciled", ""),
                ]
            seq = number - heard.first + 1
            recorded.append(_push(account_id, session_id, seq, at_ns, story.payloads[number]))
        if heard.quiet_ns:
            at_ns = recorded[-1].frame.received_ns + heard.quiet_ns
            recorded.append(_push(account_id, session_id, len(recorded), at_ns, b'{"type":"ping","ts":1,"gap":1}'))
        last = recorded[-1].frame
        if heard.end is not None:
            over = SessionEnded(
                account_id, session_id, last.received_ns, heard.end, "", True, last.seq, last.received_ns
            )
            entries += [over, RunEnded(run_id, last.received_ns, "stopped")]
        with self.engine.begin() as connection:
            for number, first in enumerate(range(0, len(recorded), BATCH), 1):
                batch = Batch(run.recorder_id, run_id, number, seal)
                batch.entries += entries[:2] if number == 1 else []
                batch.entries += entries[2:] if first + BATCH >= len(recorded) else []
                for one in recorded[first : first + BATCH]:
                    batch.add(*one)
                batch.write(connection, began_ns + number)
                seal = batch.seal


def _push(account_id: int, session_id: int, seq: int, at_ns: int, payload: bytes) -> Recorded:
    decoded = read_frame(FMEX, payload)
    state = decoded.topic, decoded.status, decoded.error
    return Recorded(Frame(account_id, session_id, seq, at_ns, PUSH, *state, payload), decoded.rows)


def _answers(account_id: int, round_id: int, at_ns: int, answers: list[tuple[str, bytes]]) -> list[Recorded]:
    recorded = []
    for seq, (target, payload) in enumerate(answers):
        decoded = read_answer(FMEX, target, payload)
        state = decoded.topic, decoded.status, decoded.error
        recorded.append(Recorded(Frame(account_id, round_id, seq, at_ns, REST, *state, payload), decoded.rows))
    return recorded
