"""The tree over a recorder's seals, read from a record some seals at a time.

A run need not read all of it again: an entry `CheckpointMade` holds the roots of the tree's full subtrees. They are
only trusted if this key has signed the root over them.
"""

import base64
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from recorder.audit.evidence.checkpoint import Checkpoint, read_checkpoint
from recorder.audit.evidence.keys import VerifierKey, decode_base64
from recorder.clock import utc_text
from recorder.errors import DatabaseError, NotProven
from recorder.store import entries
from recorder.store.entries import CheckpointMade
from recorder.store.merkle import Frontier
from recorder.store.schema import checkpoints, event_log, runs, seals
from recorder.store.seals import BEGINNING

#: Seals read at a time.
CHUNK = 1_000


class SealPlace(NamedTuple):
    """The batch of a seal in the tree."""

    run_id: int
    batch: int


_BEFORE_ALL = SealPlace(0, -1)


class Tree:
    """The tree of one recorder, as far as it has been read.

    Args:
        recorder_id: of the recorder.
        key: the tree must match the checkpoints that this key has signed.

    Attributes:
        frontier: the tree.
        place: of the last seal in it.
        last: the last seal that was read.
    """

    def __init__(self, recorder_id: int, key: VerifierKey) -> None:
        self.recorder_id = recorder_id
        self.frontier = Frontier()
        self.place = _BEFORE_ALL
        self.last = BEGINNING
        self._key = key
        #: Size → root, and when it was signed.
        self._signed: dict[int, tuple[bytes, int]] = {}

    def begin(self, connection: Connection, *, anew: bool = False) -> None:
        """Begin at the newest checkpoint if it can be trusted, otherwise at the first seal.

        Args:
            connection: to the record.
            anew: begin at the first seal in any case.
        """
        if not anew and self._resume(connection):
            return
        mine = select(checkpoints).where(checkpoints.c.recorder_id == self.recorder_id)
        for row in connection.execute(mine):
            signed = self._read(row.note)
            if signed is not None:
                self._signed[signed.size] = signed.root, row.made_ns

    def read(self, connection: Connection, upto: SealPlace | None = None) -> int:
        """Read some more seals.

        Args:
            connection: to the record.
            upto: the last one to read.

        Returns:
            How many were read; 0 at the end.

        Raises:
            NotProven: the tree does not match a checkpoint that the key has signed.
            DatabaseError: a seal is missing.
        """
        found = self._next(connection, upto)
        for seal in found:
            self.frontier.add(seal)
            if self.frontier.size in self._signed:
                self._require_signed(*self._signed[self.frontier.size])
        if found:
            self.last = found[-1]
        return len(found)

    def _next(self, connection: Connection, upto: SealPlace | None) -> list[bytes]:
        """The next seals, of one run; moves `place` to the last of them."""
        run_id, batch = self.place
        while True:
            query = select(seals.c.batch, seals.c.seal).where(seals.c.run_id == run_id, seals.c.batch > batch)
            if upto is not None and upto.run_id == run_id:
                query = query.where(seals.c.batch <= upto.batch)
            rows = connection.execute(query.order_by(seals.c.batch).limit(CHUNK)).all()
            if rows:
                self._require_no_hole(run_id, batch, [row[0] for row in rows])
                self.place = SealPlace(run_id, rows[-1][0])
                return [bytes(row[1]) for row in rows]
            later = select(func.min(runs.c.run_id)).where(
                runs.c.recorder_id == self.recorder_id, runs.c.run_id > run_id
            )
            if upto is not None:
                later = later.where(runs.c.run_id <= upto.run_id)
            found = connection.scalar(later)
            if found is None:
                return []
            run_id, batch = found, -1

    @staticmethod
    def _require_no_hole(run_id: int, before: int, batches: list[int]) -> None:
        # They are in order and unique.
        if batches[-1] != before + len(batches):
            missing = next(number for number, batch in enumerate(batches, before + 1) if batch != number)
            raise DatabaseError(f"Run {run_id} lacks the seal of batch {missing}: type `recorder verify`.")

    def _resume(self, connection: Connection) -> bool:
        made = newest_checkpoint(connection, self.recorder_id)
        signed = None if made is None else self._read(made.note)
        if made is None or signed is None:
            return False
        frontier = Frontier.restored(signed.size, decode_base64(made.subtrees) or b"")
        place = place_of(connection, self.recorder_id, signed.size)
        if frontier is None or frontier.root() != signed.root or place is None:
            return False
        self.frontier, self.place = frontier, place
        return True

    def _read(self, note: str) -> Checkpoint | None:
        """The checkpoint in a note, if the key has signed it and it is of this tree."""
        try:
            signed = read_checkpoint(note, self._key)
        except NotProven:
            return None
        return signed if signed.recorder_id == self.recorder_id else None

    def _require_signed(self, root: bytes, made_ns: int) -> None:
        if self.frontier.root() != root:
            raise NotProven(
                f"The first {self.frontier.size:,} seals of recorder {self.recorder_id} are not those that were signed "
                f"at {utc_text(made_ns)}: the record was changed; `recorder verify` says where."
            )


def subtrees_text(frontier: Frontier) -> str:
    """The roots of a tree's full subtrees, as a `CheckpointMade` holds them."""
    return base64.b64encode(frontier.subtrees).decode()


def sizes(connection: Connection) -> dict[int, int]:
    """Recorder → how many seals the record holds, without recorders that have none."""
    found: dict[int, int] = {}
    for recorder_id, _, count in _runs(connection):
        found[recorder_id] = found.get(recorder_id, 0) + count
    return {recorder_id: size for recorder_id, size in found.items() if size}


def place_of(connection: Connection, recorder_id: int, size: int) -> SealPlace | None:
    """The place of the last seal of a recorder's tree of a size; None if there are fewer seals."""
    for whose, run_id, count in _runs(connection):
        if whose == recorder_id:
            if 0 < size <= count:
                return SealPlace(run_id, size - 1)
            size -= count
    return None


def _runs(connection: Connection) -> list[tuple[int, int, int]]:
    """Recorder, run and number of seals of each run, oldest first; one index look-up for each."""
    last = select(func.max(seals.c.batch)).where(seals.c.run_id == runs.c.run_id).scalar_subquery()
    each = select(runs.c.recorder_id, runs.c.run_id, last).order_by(runs.c.run_id)
    # Batches are numbered without gaps.
    return [(row[0], row[1], 0 if row[2] is None else row[2] + 1) for row in connection.execute(each)]


def newest_checkpoint(connection: Connection, recorder_id: int) -> CheckpointMade | None:
    """The newest checkpoint that a recorder has noted in its event log."""
    query = select(func.max(checkpoints.c.size)).where(checkpoints.c.recorder_id == recorder_id)
    if connection.scalar(query) is None:
        return None
    of_recorder = select(runs.c.run_id).where(runs.c.recorder_id == recorder_id)
    for run_id in connection.scalars(of_recorder.order_by(runs.c.run_id.desc())).all():
        told = select(event_log.c.body).where(event_log.c.run_id == run_id)
        made = told.where(event_log.c.body.startswith('{"kind":"CheckpointMade"'))
        key = event_log.c.batch.desc(), event_log.c.item.desc()
        body = connection.scalar(made.order_by(*key).limit(1))
        if body is not None:
            return _read_entry(body)
    return None


def _read_entry(body: str) -> CheckpointMade | None:
    try:
        entry = entries.decode(body)
    except msgspec.MsgspecError:
        return None  # it was changed
    return entry if isinstance(entry, CheckpointMade) else None
