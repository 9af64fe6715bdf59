"""Taking payloads away on purpose: for retention, or because somebody may demand it. Digests and seals stay.

It is a run of its own in the event log: who did it, when and why is sealed like everything else, and travels to every
database that this one is moved into.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select

import recorder
from recorder.clock import Clock
from recorder.errors import DatabaseBusy
from recorder.model import REDACTED, time_ordered_id
from recorder.store import sqlite
from recorder.store.engine import place
from recorder.store.entries import FramesRedacted, RunEnded, RunStarted
from recorder.store.journal import OPENING, Batch
from recorder.store.opening import open_run
from recorder.store.schema import frames

#: A transaction empties at most so many frames: nobody is kept waiting for longer than that takes.
FRAMES_MAX = 20_000


class Stretch(NamedTuple):
    """Frames of one session that follow each other."""

    account_id: int
    session_id: int
    first_seq: int
    last_seq: int

    @property
    def frames(self) -> int:
        """How many they are."""
        return self.last_seq - self.first_seq + 1


def stretches(
    connection: Connection,
    account_id: int,
    session_id: int | None = None,
    seqs: tuple[int, int] | None = None,
    before_ns: int | None = None,
) -> Iterator[Stretch]:
    """The frames of an account that have a payload still, as far as they are meant.

    Args:
        connection: to the record.
        account_id: whose.
        session_id: only of this session.
        seqs: only from this number to that.
        before_ns: only what was received before, nanoseconds since 1970.
    """
    f = frames.c
    query = select(f.session_id, f.seq).where(f.account_id == account_id, f.status != REDACTED)
    if session_id is not None:
        query = query.where(f.session_id == session_id)
    if seqs is not None:
        query = query.where(f.seq.between(*seqs))
    if before_ns is not None:
        query = query.where(f.received_ns < before_ns)
    begun: Stretch | None = None
    for session, seq in connection.execute(query.order_by(f.session_id, f.seq).execution_options(yield_per=10_000)):
        if begun is not None and (session, seq) == (begun.session_id, begun.last_seq + 1) and begun.frames < FRAMES_MAX:
            begun = begun._replace(last_seq=seq)
            continue
        if begun is not None:
            yield begun
        begun = Stretch(account_id, session, seq, seq)
    if begun is not None:
        yield begun


def redact(
    engine: Engine, url: str, chosen: Sequence[Stretch], who: str, why: str, clock: Clock | None = None
) -> Iterator[int]:
    """Empty frames, remove what followed from them, and note it. Only the sole writer may do it.

    Then `sweep`: the bytes are in the file still.

    Args:
        engine: of the file.
        url: of the file.
        chosen: which frames.
        who: does it; for the event log.
        why: as well.
        clock: dates it.

    Yields:
        After each transaction, how many frames it emptied.
    """
    clock = clock or Clock()
    now_ns = clock.wall_ns()
    started = RunStarted(time_ordered_id(now_ns), 0, now_ns, platform.node(), os.getpid(), recorder.__version__)
    with closing(engine.connect()) as connection:
        with connection.begin():
            run, seal, _ = open_run(connection, url, started, ())
        for number, together in enumerate(_transactions(chosen), OPENING + 1):
            batch = Batch(run.recorder_id, run.run_id, number, seal)
            batch.entries += [FramesRedacted(*stretch, now_ns, who, why) for stretch in together]
            if together[-1] == chosen[-1]:
                batch.entries.append(RunEnded(run.run_id, clock.wall_ns(), "redacted"))
            with connection.begin():
                batch.write(connection, clock.wall_ns())
            seal = batch.seal
            yield sum(stretch.frames for stretch in together)


def sweep(engine: Engine, url: str) -> None:
    """Write the file anew, because SQLite leaves pieces of what was deleted in its pages, and empty its log.

    The bytes are then in no file of the record's; what a disk keeps beneath its files is another matter.

    Raises:
        DatabaseBusy: somebody reads the file as it was.
    """
    with closing(engine.connect()) as connection:
        sqlite.outside_transaction(connection, "VACUUM")
        (still_read,) = sqlite.outside_transaction(connection, "PRAGMA wal_checkpoint(TRUNCATE)")[0][:1]
        if still_read:
            raise DatabaseBusy(
                f"The payloads are taken away, but another program reads {place(url)} and its log still holds them: "
                "close it there, then type the same command again."
            )


def _transactions(chosen: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    together: list[Stretch] = []
    for stretch in chosen:
        if together and sum(one.frames for one in together) + stretch.frames > FRAMES_MAX:
            yield together
            together = []
        together.append(stretch)
    if together:
        yield together
