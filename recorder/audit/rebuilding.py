"""Making again what follows from frames: typed rows, and what was read in each. Never the frames themselves.

What does not follow, `verify` finds; only that is touched. So nothing is written where all is right, and a rebuilding
that is broken off has done a part, and goes on where it was when it is begun again.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, func, select, update

from recorder.audit.findings import DERIVED, Finding
from recorder.audit.frames import is_emptied
from recorder.audit.reading import Row
from recorder.audit.typed import what_follows
from recorder.audit.verify import Progress, Verification, Wanted
from recorder.store.dialects import insert_rows, share_account
from recorder.store.engine import explained, open_engine
from recorder.store.redacted import sealed_redactions_in
from recorder.store.schema import TYPED, accounts, frames
from recorder.store.snapshots import forget
from recorder.venues import venue_named
from recorder.venues.base import Venue

#: Of so many frames in one transaction: a recorder that writes waits no longer than for a batch of its own.
FRAMES_PER_TRANSACTION = 5_000
#: And of so many at a time: their payloads are in memory.
FRAMES_AT_A_TIME = 250
_SEQ, _RECEIVED = 2, 3


class Rebuilt(NamedTuple):
    """What was made again."""

    #: Frames from which something followed that was not there, or that something was said to follow from.
    frames: int = 0
    #: Rows written.
    rows: int = 0
    #: Frames in which something else is read now.
    read_anew: int = 0
    #: Findings that are not about what follows from frames.
    left: int = 0

    def and_also(self, other: "Rebuilt") -> "Rebuilt":
        """Both together."""
        return Rebuilt(*map(sum, zip(self, other, strict=True)))


class _Session(NamedTuple):
    account_id: int
    session_id: int
    venue: Venue


def damage(url: str, progress: Progress = lambda done, of: None) -> list[Finding]:
    """What of the journal is not as it was sealed. Where there is any, what stands in the typed rows is evidence."""
    return [found for found in Verification(url, Wanted(quick=True), progress) if found.kind not in DERIVED]


def rebuild(
    url: str, account_id: int | None = None, progress: Progress = lambda done, of: None
) -> Generator[Rebuilt, None, None]:
    """Make again what does not follow from its frame. The journal must be sound: see `damage`.

    Args:
        url: of the database.
        account_id: only this account's, by its key; None: all.
        progress: is told how many frames have been looked at, and of how many.

    Yields:
        After each transaction, what was made again in it.

    Raises:
        DatabaseError: the record cannot be read or written.
    """
    engine = open_engine(url)
    try:
        with explained(url), engine.connect() as connection:
            known = connection.execute(select(accounts.c.name, accounts.c.account_id, accounts.c.venue)).all()
        named = {name: (key, venue_named(venue)) for name, key, venue in known}
        for session, seqs in _together(Verification(url, Wanted(account_id), progress), named):
            if session is None:
                yield Rebuilt(left=1)
                continue
            with explained(url):
                yield _remake(engine, session, seqs)
    finally:
        engine.dispose()


def _together(
    findings: Verification, named: Mapping[str, tuple[int, Venue]]
) -> Iterator[tuple[_Session | None, Sequence[int]]]:
    """The frames that findings are about, some of one session at a time; None for a finding about something else."""
    session: _Session | None = None
    seqs: set[int] = set()
    for finding in findings:
        mine = _session_of(finding, named)
        if session is not None and (mine != session or len(seqs) >= FRAMES_PER_TRANSACTION):
            yield session, sorted(seqs)
            seqs = set()
        session = mine
        if mine is None:
            yield None, ()
        else:
            assert finding.seq is not None
            last_seq = finding.seq if finding.last_seq is None else finding.last_seq
            seqs.update(range(finding.seq, last_seq + 1))
    if session is not None:
        yield session, sorted(seqs)


def _session_of(finding: Finding, named: Mapping[str, tuple[int, Venue]]) -> _Session | None:
    of_frames = finding.kind in DERIVED and finding.table in {"frames", *(table.name for table in TYPED.values())}
    its = named.get(finding.account or "")
    if not of_frames or finding.session_id is None or finding.seq is None or its is None:
        return None
    account_id, venue = its
    return _Session(account_id, finding.session_id, venue)


def _remake(engine: Engine, session: _Session, seqs: Sequence[int]) -> Rebuilt:
    done = Rebuilt()
    with engine.begin() as connection:
        share_account(connection, session.account_id)
        for start in range(0, len(seqs), FRAMES_AT_A_TIME):
            done = done.and_also(_remake_some(connection, session, seqs[start : start + FRAMES_AT_A_TIME]))
    return done


def _remake_some(connection: Connection, session: _Session, seqs: Sequence[int]) -> Rebuilt:
    f = frames.c
    key = f.account_id == session.account_id, f.session_id == session.session_id
    found = [tuple(row) for row in connection.execute(select(frames).where(*key, f.seq.in_(seqs)).order_by(f.seq))]
    erased = _erased(connection, found)
    if erased:
        # Its rows are the last evidence of what it said.
        found = [row for row in found if row[_SEQ] not in erased]
        seqs = [seq for seq in seqs if seq not in erased]
    followed = what_follows(session.venue, found)
    for frame, decoded in followed.misread:
        reading = dict(zip(("topic", "status", "error"), decoded[:3], strict=True))
        connection.execute(update(frames).where(*key, f.seq == frame[2]).values(reading))
    received = [row[_RECEIVED] for row in found]
    for record, table in TYPED.items():
        mine = table.c.account_id == session.account_id, table.c.session_id == session.session_id
        these = *mine, table.c.seq.in_(seqs)
        received.append(connection.scalar(select(func.min(table.c.received_ns)).where(*these)))
        connection.execute(delete(table).where(*these))
        insert_rows(connection, table, followed.rows[record])
    # A snapshot of that time points to rows that may be others now.
    known = [one for one in received if one is not None]
    if known:
        forget(connection, session.account_id, min(known))
    return Rebuilt(len(seqs), sum(map(len, followed.rows.values())), len(followed.misread), len(erased))


def _erased(connection: Connection, found: Sequence[Row]) -> set[int]:
    """The frames without their payload that no sealed entry says were redacted."""
    emptied = [row for row in found if is_emptied(row)]
    if not emptied:
        return set()
    redactions = sealed_redactions_in(connection)
    return {row[_SEQ] for row in emptied if not redactions.covers(*row[:3])}
