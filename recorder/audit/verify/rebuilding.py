"""Rebuild what is derived from frames: typed rows, and the topic, status and error of each frame.

Only what a verification reports is rewritten, so an interrupted rebuild continues when it is started again.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, func, select, update

from recorder.audit.reading import RECEIVED_NS, SEQ, Row, is_emptied
from recorder.audit.verify.findings import DERIVED, Finding, Progress
from recorder.audit.verify.typed_rows import derive
from recorder.audit.verify.verification import Verification, Wanted
from recorder.model import account_labels
from recorder.store import stale
from recorder.store.dialects import insert_rows, share_account
from recorder.store.engine import explained, open_engine
from recorder.store.redactions import sealed_redactions_in
from recorder.store.schema import TYPED, accounts, frames, rebuild_needed, spans
from recorder.store.snapshots import forget
from recorder.venues import venue_named
from recorder.venues.base import Venue

#: Frames in one transaction: a recorder that is writing waits no longer than for one of its own batches.
FRAMES_PER_TRANSACTION = 5_000
#: Frames whose payloads are in memory at a time.
FRAMES_AT_A_TIME = 250
#: How long a transaction waits for its turn beside a recorder that writes without a pause, seconds.
TURN_S = 30.0


class Rebuilt(NamedTuple):
    """What was rebuilt."""

    #: Frames with missing, changed or additional derived rows.
    frames: int = 0
    #: Rows written.
    rows: int = 0
    #: Frames with another topic, status or error than before.
    read_anew: int = 0
    #: Findings that a rebuild cannot repair.
    left: int = 0

    def __add__(self, other: "Rebuilt") -> "Rebuilt":  # type: ignore[override]
        """The sum of both."""
        return Rebuilt(*map(sum, zip(self, other, strict=True)))


class _RebuiltSession(NamedTuple):
    account_id: int
    session_id: int
    venue: Venue


def damage(url: str, progress: Progress = lambda done, of: None) -> list[Finding]:
    """Findings in frames and seals. If there are any, the typed rows may be the last evidence: do not rebuild."""
    return [found for found in Verification(url, Wanted(quick=True), progress) if found.kind not in DERIVED]


def rebuild(
    url: str, account_id: int | None = None, progress: Progress = lambda done, of: None
) -> Generator[Rebuilt, None, None]:
    """Rebuild what does not follow from its frame. Call `damage` first: frames and seals must be intact.

    Args:
        url: of the database.
        account_id: only this account, by its key; None: all.
        progress: receives how many frames have been verified, and of how many.

    Yields:
        After each transaction, what it rebuilt.

    Raises:
        DatabaseError: the record cannot be read or written.
    """
    engine = open_engine(url, turn_s=TURN_S)
    try:
        with explained(url), engine.connect() as connection:
            query = select(accounts.c.account_id, accounts.c.name, accounts.c.venue)
            known = [(row.account_id, row.name, row.venue) for row in connection.execute(query)]
        names = account_labels(known)
        named = {names[key]: (key, venue_named(venue)) for key, _, venue in known}
        for session, seqs in _by_session(Verification(url, Wanted(account_id, projections=False), progress), named):
            if session is None:
                yield Rebuilt(left=1)
                continue
            with explained(url):
                yield _rebuild(engine, session, seqs)
    finally:
        engine.dispose()


def rebuild_after_upgrade(url: str, progress: Progress = lambda done, of: None) -> int:
    """Make all typed rows, of a record whose upgrade replaced their tables. It can be repeated if it is interrupted.

    Args:
        url: of the database, which nothing else writes to.
        progress: receives how many frames have been decoded, and of how many.

    Returns:
        How many typed rows there are now.

    Raises:
        DatabaseError: the record cannot be read or written.
    """
    engine = open_engine(url)
    f, s = frames.c, spans.c
    try:
        with explained(url), engine.connect() as connection:
            total = connection.scalar(select(func.sum(s.last_seq - s.first_seq + 1))) or 0
            query = select(accounts.c.account_id, accounts.c.venue)
            venues = {row.account_id: row.venue for row in connection.execute(query)}
            sessions = connection.execute(
                select(f.account_id, f.session_id, func.max(f.seq)).group_by(f.account_id, f.session_id)
            ).all()
        rows = done = 0
        progress(0, int(total))
        for account_id, session_id, last_seq in sessions:
            session = _RebuiltSession(account_id, session_id, venue_named(venues[account_id]))
            for first in range(0, last_seq + 1, FRAMES_PER_TRANSACTION):
                seqs = range(first, min(first + FRAMES_PER_TRANSACTION, last_seq + 1))
                with explained(url):
                    rows += _rebuild(engine, session, seqs).rows
                done += len(seqs)
                progress(done, int(total))
        with explained(url), engine.begin() as connection:
            connection.execute(delete(rebuild_needed))
        return rows
    finally:
        engine.dispose()


def _by_session(
    findings: Verification, named: Mapping[str, tuple[int, Venue]]
) -> Iterator[tuple[_RebuiltSession | None, Sequence[int]]]:
    """Group findings into frames of one session; None for a finding about anything but derived rows."""
    session: _RebuiltSession | None = None
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


def _session_of(finding: Finding, named: Mapping[str, tuple[int, Venue]]) -> _RebuiltSession | None:
    of_frames = finding.kind in DERIVED and finding.table in {"frames", *(table.name for table in TYPED.values())}
    its = named.get(finding.account or "")
    if not of_frames or finding.session_id is None or finding.seq is None or its is None:
        return None
    account_id, venue = its
    return _RebuiltSession(account_id, finding.session_id, venue)


def _rebuild(engine: Engine, session: _RebuiltSession, seqs: Sequence[int]) -> Rebuilt:
    done = Rebuilt()
    with engine.begin() as connection:
        share_account(connection, session.account_id)
        for start in range(0, len(seqs), FRAMES_AT_A_TIME):
            done += _rebuild_some(connection, session, seqs[start : start + FRAMES_AT_A_TIME])
    return done


def _rebuild_some(connection: Connection, session: _RebuiltSession, seqs: Sequence[int]) -> Rebuilt:
    f = frames.c
    key = f.account_id == session.account_id, f.session_id == session.session_id
    found = [tuple(row) for row in connection.execute(select(frames).where(*key, _among(frames, seqs)).order_by(f.seq))]
    erased = _erased(connection, found)
    if erased:
        # Their rows are the last evidence of their content.
        found = [row for row in found if row[SEQ] not in erased]
        seqs = [seq for seq in seqs if seq not in erased]
    derived = derive(session.venue, found)
    for frame, decoded in derived.misread:
        reading = dict(zip(("topic", "status", "error"), decoded[:3], strict=True))
        connection.execute(update(frames).where(*key, f.seq == frame[2]).values(reading))
    received = [row[RECEIVED_NS] for row in found]
    touched = session.account_id, session.session_id, (min(seqs, default=0), max(seqs, default=-1))
    stale.forget(connection, *touched)
    for record, table in TYPED.items():
        mine = table.c.account_id == session.account_id, table.c.session_id == session.session_id
        these = *mine, _among(table, seqs)
        received.append(connection.scalar(select(func.min(table.c.received_ns)).where(*these)))
        connection.execute(delete(table).where(*these))
        insert_rows(connection, table, derived.rows[record])
    stale.mark(connection, *touched)
    # Later snapshots point to rows that may have been replaced.
    known = [one for one in received if one is not None]
    if known:
        forget(connection, session.account_id, min(known))
    return Rebuilt(len(seqs), sum(map(len, derived.rows.values())), len(derived.misread), len(erased))


def _among(table: Table, seqs: Sequence[int]) -> ColumnElement[bool]:
    """The rows of these frames. A range is much faster than a list, and after an upgrade all of them are ranges."""
    if seqs and seqs[-1] - seqs[0] == len(seqs) - 1:
        return table.c.seq.between(seqs[0], seqs[-1])
    return table.c.seq.in_(seqs)


def _erased(connection: Connection, found: Sequence[Row]) -> set[int]:
    """The frames without payload for which there is no sealed redaction."""
    emptied = [row for row in found if is_emptied(row)]
    if not emptied:
        return set()
    redactions = sealed_redactions_in(connection)
    return {row[SEQ] for row in emptied if not redactions.covers(*row[:3])}
