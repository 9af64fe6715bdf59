"""A story of one account, told to recorders: each writes the sessions in which it listened into a file of its own."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Engine, select

from recorder.live.channel import Recorded
from recorder.model import PUSH, Frame
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
from recorder.store.projection_tables import PROJECTIONS
from recorder.store.schema import identity, metadata, snapshot_rows, snapshots
from recorder.venues.reading import read_frame
from tests.made import ACCOUNT, NOON_NS, quick_engine
from tests.samples import FMEX

S = 1_000_000_000
TOPICS = ("account", "order.a", "position.a")
COVERED = b'{"type":"topics","topics":["account","order.a","position.a"]}'


class Told(NamedTuple):
    """A push of the exchange: when, in seconds after noon, and what it says."""

    at_s: int
    unfilled: int

    def payload(self, stamp: int = 0) -> bytes:
        """The frame; its time of push may differ from connection to connection."""
        order = f'"id":1,"symbol":"A","quantity":10,"unfilled_quantity":{self.unfilled},"fill_price":9,"fee":0'
        return f'{{"type":"order.a","ts":{self.at_s * 1000 + stamp},"order":{{{order}}}}}'.encode()


class Push(Protocol):
    """A push of the exchange."""

    @property
    def at_s(self) -> int:
        """When, in seconds after noon."""
        ...

    def payload(self, stamp: int = 0) -> bytes:
        """The frame."""
        ...


class Heard(NamedTuple):
    """A session of a recorder: it hears what is told from one second to another."""

    from_s: int
    until_s: int
    #: How the session ends; `crashed` is closed by the recorder's next run.
    end: str = "lost"


class Teller:
    """One recorder of the story.

    Args:
        path: its file, not there yet.
        template: a file with the current schema.
        number: which recorder; its keys, its clock's lag and its stamps differ by it.

    Attributes:
        credential: the fingerprint that its next runs record with, if they note one.
    """

    credential: str | None = None

    def __init__(self, path: Path, template: Path, number: int) -> None:
        shutil.copy(template, path)
        self.url = f"sqlite:///{path}"
        self.engine = quick_engine(self.url)
        self._number = number
        self._runs = 0

    def write(self, told: Sequence[Push], heard: Sequence[Heard], missed: frozenset[int] = frozenset()) -> None:
        """Record: a run for each session, a batch for each of its frames.

        Args:
            told: what the exchange pushes, in order.
            heard: the sessions, one after the other.
            missed: of `told`, what this recorder is not pushed although it listens.
        """
        for session in heard:
            self._one_run(told, session, missed)

    def _one_run(self, told: Sequence[Push], heard: Heard, missed: frozenset[int]) -> None:
        self._runs += 1
        run_id = session_id = (heard.from_s << 40) + (self._runs << 8) + self._number
        began_ns = self._at(heard.from_s)
        started = RunStarted(run_id, 0, began_ns, "host", 1, "v")
        with self.engine.begin() as connection:
            added = AccountAdded(ACCOUNT, "fmex", "main", began_ns)
            keys = {} if self.credential is None else {ACCOUNT: self.credential}
            run, seal, _ = open_run(connection, self.url, started, [added], keys)
        frames = [self._frame(session_id, 0, began_ns, COVERED)]
        for number, push in enumerate(told):
            if heard.from_s <= push.at_s < heard.until_s and number not in missed:
                frames.append(self._frame(session_id, len(frames), self._at(push.at_s), push.payload(self._number)))
        last = frames[-1].frame
        entries: list[list[LogEntry]] = [[] for _ in frames]
        entries[0] = [
            SessionOpened(ACCOUNT, session_id, run_id, "wss://x", TOPICS, began_ns),
            Covered(ACCOUNT, session_id, 0, began_ns, TOPICS, {}),
            ReconciliationBegan(ACCOUNT, session_id + 128, run_id, began_ns),
            ReconciliationEnded(ACCOUNT, session_id + 128, session_id, began_ns, "reconciled", "a snapshot"),
        ]
        if heard.end != "crashed":
            ended_ns = self._at(heard.until_s)
            over = SessionEnded(ACCOUNT, session_id, ended_ns, heard.end, "", True, last.seq, last.received_ns)
            entries.append([over, RunEnded(run_id, ended_ns, "stopped")])
        with self.engine.begin() as connection:  # one for all: a disk flush each would take most of the tests' time
            for number, told_entries in enumerate(entries, 1):
                batch = Batch(run.recorder_id, run_id, number, seal)
                batch.entries += told_entries
                if number <= len(frames):
                    batch.add(*frames[number - 1])
                batch.write(connection, began_ns + number)
                seal = batch.seal

    def _at(self, at_s: int) -> int:
        return NOON_NS + at_s * S + self._number * 7_000_000

    def _frame(self, session_id: int, seq: int, received_ns: int, payload: bytes) -> Recorded:
        decoded = read_frame(FMEX, payload)
        state = decoded.topic, decoded.status, decoded.error
        return Recorded(Frame(ACCOUNT, session_id, seq, received_ns, PUSH, *state, payload), decoded.rows)


def contents(engine: Engine) -> dict[str, list[Any]]:
    """Every row of every table that travels, in the order of its key."""
    with engine.connect() as connection:
        return {
            table.name: list(connection.execute(select(table).order_by(*table.primary_key)))
            for table in metadata.sorted_tables
            if table not in (identity, snapshots, snapshot_rows, *PROJECTIONS)
        }
