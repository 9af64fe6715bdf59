"""A record with everything in it that a record can hold, of any length, as a recorder would have written it.

Of one recorder, in order: a run with two accounts, rounds of REST questions, a contradiction and a clean end; a run
that crashed; a long one after it; a redaction; and a last one that holds a checkpoint over all before it.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, insert, select

from recorder.audit.evidence.checkpoint import checkpoint_of, sign_checkpoint
from recorder.audit.evidence.keys import SigningKey, new_key
from recorder.live.channel import Recorded
from recorder.model import CONTROL, PUSH, REST, SENT, SNAPSHOT, Frame, account_id
from recorder.simulator.exchange import Exchange
from recorder.store import seals
from recorder.store.entries import (
    AccountAdded,
    CheckpointMade,
    Covered,
    DiscrepancyFound,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    RunEnded,
    RunStarted,
    SessionEnded,
    SessionOpened,
)
from recorder.store.journal import Batch, FrameRange
from recorder.store.merkle import root_of
from recorder.store.opening import open_run
from recorder.store.redactions import redact
from recorder.store.schema import batches, event_log, runs, spans
from recorder.store.schema import frames as frames_table
from recorder.store.schema import seals as seals_table
from recorder.venues.reading import read_answer, read_frame
from tests.made import NOON_NS, quick_engine
from tests.samples import FMEX, sample

#: Accounts, under the keys that follow from their names.
MAIN, OTHER = account_id("fmex", "main"), account_id("fmex", "other")
S = 1_000_000_000
TOPICS = ("account", "order.btcusd_p", "position.btcusd_p")
#: Sessions; a round's is its own number.
FIRST, BESIDE, ROUND, COMPARED, CRASHED, LONG, LAST = (number << 40 for number in range(1, 8))
#: Runs: one a life of the recorder; the redaction's is made by it.
RUN_1, RUN_2, RUN_3, RUN_5 = FIRST - 1, CRASHED - 1, LONG - 1, 1 << 61
#: Frames that were redacted, of session `FIRST`.
REDACTED = FrameRange(MAIN, FIRST, 50, 59)
NAMES = {MAIN: "main", OTHER: "other"}


class Chronicle(NamedTuple):
    """What was written."""

    url: str
    recorder_id: int
    #: The checkpoint in it, and the key that signed it.
    note: str
    key: SigningKey
    #: How many seals there are in all.
    seals: int


class _Writer:
    """Writes one run's batches."""

    def __init__(self, engine: Engine, url: str, run_id: int, at_s: int, accounts: Sequence[int]) -> None:
        self._engine = engine
        self._at_ns = NOON_NS + at_s * S
        started = RunStarted(run_id, 0, self._at_ns, "host", 1, "v")
        wanted = [AccountAdded(account, "fmex", NAMES[account], self._at_ns) for account in accounts]
        with engine.begin() as connection:
            self.run, self._seal, _ = open_run(connection, url, started, wanted)
        self._batch = 0

    def tick_ns(self) -> int:
        """The clock goes on by a millisecond."""
        self._at_ns += 1_000_000
        return self._at_ns

    def write(self, frames: Sequence[Recorded], *entries: LogEntry) -> None:
        """A batch."""
        self._batch += 1
        batch = Batch(self.run.recorder_id, self.run.run_id, self._batch, self._seal)
        batch.entries += entries
        for one in frames:
            batch.add(*one)
        with self._engine.begin() as connection:
            batch.write(connection, self.tick_ns())
        self._seal = batch.seal


class _Session:
    """Makes one session's frames."""

    def __init__(self, writer: _Writer, account_id: int, session_id: int) -> None:
        self._writer = writer
        self.key = account_id, session_id
        self.opened = SessionOpened(*self.key, writer.run.run_id, "wss://x", TOPICS, writer.tick_ns())
        self.frames = 0
        self.last_ns = 0

    def push(self, payload: bytes) -> Recorded:
        """A frame that was received."""
        decoded = read_frame(FMEX, payload)
        frame = self._frame(PUSH, decoded.topic, decoded.status, decoded.error, payload)
        return frame._replace(updates=decoded.rows)

    def command(self) -> Recorded:
        """A frame that was sent."""
        return self._frame(SENT, None, CONTROL, None, b'{"cmd":"ping","args":[1]}')

    def answer(self, target: str, name: str, source: str = REST) -> Recorded:
        """An answer to a question."""
        payload = sample(name)
        decoded = read_answer(FMEX, target, payload)
        updates = decoded.rows if source == REST else ()
        return self._frame(source, target, decoded.status, decoded.error, payload)._replace(updates=updates)

    def beginning(self) -> list[Recorded]:
        """Hello, a command, and the answer that covers everything."""
        return [self.push(sample("hello")), self.command(), self.push(sample("topics"))]

    def covered(self) -> Covered:
        """The entry that says so."""
        return Covered(*self.key, self.frames - 1, self.last_ns, TOPICS, {})

    def ended(self, reason: str = "stopped") -> SessionEnded:
        """It is over."""
        ended_ns = self._writer.tick_ns()
        return SessionEnded(*self.key, ended_ns, reason, "", True, self.frames - 1, self.last_ns)

    def _frame(self, source: str, topic: str | None, status: str, error: str | None, payload: bytes) -> Recorded:
        self.last_ns = self._writer.tick_ns()
        seq, self.frames = self.frames, self.frames + 1
        return Recorded(Frame(*self.key, seq, self.last_ns, source, topic, status, error, payload), ())


def write_chronicle(url: str, frames: int, per_batch: int) -> Chronicle:
    """Write it into a new file with the current schema.

    Args:
        url: of the file.
        frames: about how many.
        per_batch: so many frames are written together, at most.
    """
    engine = quick_engine(url)
    pushes = (payload for _, payload in Exchange(1))
    key = new_key("test/key")
    recorder_id = _first_run(engine, url, pushes, frames * 4 // 10, per_batch)
    _one_session(engine, url, RUN_2, 100_000, CRASHED, pushes, frames * 3 // 10, per_batch, crashes=True)
    _one_session(engine, url, RUN_3, 200_000, LONG, pushes, frames * 3 // 10, per_batch)
    list(redact(engine, url, [REDACTED], "who", "why"))
    last = _Writer(engine, url, RUN_5, 400_000, [MAIN])
    note = _checkpoint(engine, recorder_id, key)
    size = int(note.split("\n")[1])
    last.write([], CheckpointMade(recorder_id, size, last.tick_ns(), note, None))
    session = _Session(last, MAIN, LAST)
    last.write([*session.beginning(), *map(session.push, islice(pushes, 20))], session.opened, session.covered())
    last.write([], session.ended(), RunEnded(last.run.run_id, last.tick_ns(), "stopped"))
    engine.dispose()
    return Chronicle(url, recorder_id, note, key, size + 3)


def _first_run(engine: Engine, url: str, pushes: Iterator[bytes], frames: int, per_batch: int) -> int:
    writer = _Writer(engine, url, RUN_1, 0, [MAIN, OTHER])
    main, other = _Session(writer, MAIN, FIRST), _Session(writer, OTHER, BESIDE)
    writer.write([*main.beginning(), *other.beginning()], main.opened, other.opened, main.covered(), other.covered())
    asked = _Session(writer, MAIN, ROUND)
    answers = [
        asked.answer("/v3/contracts/accounts", "rest-accounts"),
        asked.answer("/v3/broker/auth/contracts/positions", "rest-positions"),
        asked.answer("/v3/contracts/orders/open", "rest-open-orders"),
        asked.answer("/v3/contracts/orders/849758102002/matches", "rest-matches"),
    ]
    began = ReconciliationBegan(MAIN, ROUND, writer.run.run_id, writer.tick_ns())
    ended = ReconciliationEnded(MAIN, ROUND, FIRST, writer.tick_ns(), "reconciled", "a snapshot")
    writer.write(answers, began, ended)
    written = 0
    while written < frames:
        some = list(islice(pushes, per_batch))
        share = per_batch // 4
        batch = [*map(main.push, some[share:]), *map(other.push, some[:share])]
        if not written:
            batch += [main.push(b"no json"), main.push(sample("ping")), other.command()]
        writer.write(batch)
        written += len(batch)
    compared = _Session(writer, MAIN, COMPARED)
    seen = compared.answer("/v3/contracts/accounts", "rest-accounts", SNAPSHOT)
    found = DiscrepancyFound(MAIN, COMPARED, 0, "balance BTC", "available", "1", "2", FIRST, writer.tick_ns())
    began = ReconciliationBegan(MAIN, COMPARED, writer.run.run_id, writer.tick_ns())
    ended = ReconciliationEnded(MAIN, COMPARED, FIRST, writer.tick_ns(), "compared", "1 values")
    writer.write([seen], began, found, ended)
    over = RunEnded(writer.run.run_id, writer.tick_ns(), "stopped")
    writer.write([], main.ended(), other.ended(), over)
    return writer.run.recorder_id


def _one_session(
    engine: Engine,
    url: str,
    run_id: int,
    at_s: int,
    session_id: int,
    pushes: Iterator[bytes],
    frames: int,
    per_batch: int,
    *,
    crashes: bool = False,
) -> None:
    writer = _Writer(engine, url, run_id, at_s, [MAIN])
    session = _Session(writer, MAIN, session_id)
    writer.write(session.beginning(), session.opened, session.covered())
    for _ in range(0, frames, per_batch):
        writer.write(list(map(session.push, islice(pushes, per_batch))))
    if not crashes:
        writer.write([], session.ended("lost"), RunEnded(writer.run.run_id, writer.tick_ns(), "stopped"))


def _checkpoint(engine: Engine, recorder_id: int, key: SigningKey) -> str:
    """A checkpoint over all seals that there are."""
    mine = select(seals_table.c.seal).join(runs, runs.c.run_id == seals_table.c.run_id)
    mine = mine.where(runs.c.recorder_id == recorder_id).order_by(seals_table.c.run_id, seals_table.c.batch)
    with engine.connect() as connection:
        leaves = list(map(bytes, connection.scalars(mine)))
    return sign_checkpoint(checkpoint_of(recorder_id, len(leaves), root_of(leaves)), key)


def seal_anew(connection: Connection) -> None:
    """Make every seal anew, over what is there: as who owns the database can, guards or not."""
    connection.execute(delete(seals_table))
    before = seals.BEGINNING
    for run_id, batch, written_ns in connection.execute(
        select(batches.c.run_id, batches.c.batch, batches.c.written_ns).order_by(batches.c.run_id, batches.c.batch)
    ).all():
        mine = spans.c.run_id == run_id, spans.c.batch == batch
        made: list[Any] = []
        for span in connection.execute(select(spans).where(*mine).order_by(spans.c.account_id, spans.c.session_id)):
            in_span = frames_table.c.seq.between(span.first_seq, span.last_seq)
            session = frames_table.c.account_id == span.account_id, frames_table.c.session_id == span.session_id
            made += connection.execute(select(frames_table).where(*session, in_span).order_by(frames_table.c.seq)).all()
        digests = seals.frame_digests(run_id, made)
        told = event_log.c.run_id == run_id, event_log.c.batch == batch
        bodies = connection.scalars(select(event_log.c.body).where(*told).order_by(event_log.c.item)).all()
        roots = seals.frames_root(digests), seals.entries_root([body.encode() for body in bodies])
        before = seals.seal_of(run_id, batch, written_ns, len(made), len(bodies), *roots, before)
        row = dict(zip(seals_table.c.keys(), (run_id, batch, before, *roots, digests), strict=True))
        connection.execute(insert(seals_table).values(row))
