"""The seals of a record, and what was signed of them. Counted, not checked: `recorder verify` checks."""

import re
from typing import Any

from sqlalchemy import Connection, Select, func, select

from recorder.report.facts import Checkpoint, Sealed
from recorder.store.schema import batches, checkpoints, recorders, runs, seals

#: The name in a signed note's last line (c2sp.org/signed-note).
_SIGNER = re.compile(r"^\N{EM DASH} (\S+) \S+$", re.MULTILINE)


def sealed(connection: Connection) -> list[Sealed]:
    """Of each recorder, all of its record: a chain is a chain from its beginning."""
    found = connection.execute(select(recorders).order_by(recorders.c.created_ns, recorders.c.recorder_id)).all()
    return [_of(connection, one.recorder_id, one.host) for one in found]


def _of(connection: Connection, recorder_id: int, host: str) -> Sealed:
    count, frames, unsealed = connection.execute(_counts(recorder_id)).one()
    first, last = (connection.execute(_end(recorder_id, last=last)).first() for last in (False, True))
    checkpoint = connection.execute(_checkpoint(recorder_id)).first()
    return Sealed(
        recorder_id,
        host,
        count,
        int(frames),
        unsealed,
        None if first is None else first.written_ns,
        None if last is None else last.written_ns,
        b"" if first is None else bytes(first.seal),
        b"" if last is None else bytes(last.seal),
        None if checkpoint is None else _told(checkpoint),
        count - unsealed - (0 if checkpoint is None else checkpoint.size),
    )


def _told(row: Any) -> Checkpoint:
    found = _SIGNER.search(row.note)
    return Checkpoint(row.size, row.made_ns, found[1] if found else "", bool(row.has_token))


def _counts(recorder_id: int) -> Select[Any]:
    b = batches.c
    same = (seals.c.run_id == b.run_id) & (seals.c.batch == b.batch)
    query = select(func.count(), func.coalesce(func.sum(b.frames), 0), func.count() - func.count(seals.c.batch))
    joined = query.select_from(batches).join(runs, runs.c.run_id == b.run_id).outerjoin(seals, same)
    return joined.where(runs.c.recorder_id == recorder_id)


def _end(recorder_id: int, *, last: bool) -> Select[Any]:
    s, b = seals.c, batches.c
    same = (b.run_id == s.run_id) & (b.batch == s.batch)
    query = select(s.seal, b.written_ns).join(batches, same).join(runs, runs.c.run_id == s.run_id)
    order = (s.run_id.desc(), s.batch.desc()) if last else (s.run_id, s.batch)
    return query.where(runs.c.recorder_id == recorder_id).order_by(*order).limit(1)


def _checkpoint(recorder_id: int) -> Select[Any]:
    c = checkpoints.c
    query = select(c.size, c.made_ns, c.note, c.token.is_not(None).label("has_token")).where(
        c.recorder_id == recorder_id
    )
    return query.order_by(c.size.desc()).limit(1)
