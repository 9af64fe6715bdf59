"""Finding rows outside every batch: frames that no batch holds, and typed rows without a frame."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from recorder.audit.reading import RecordReader
from recorder.audit.verify.findings import FRAME_INSERTED, ROW_INSERTED, Finding, frame_finding
from recorder.store.schema import TYPED, frames

#: Account and session.
_Session = tuple[int, int]


def unbatched_rows(
    reader: RecordReader, last_seqs: Mapping[_Session, int], names: Mapping[int, str], account_id: int | None = None
) -> Iterator[Finding]:
    """Find every row that no batch accounts for.

    Args:
        reader: of the record.
        last_seqs: session → the last frame that a batch holds, of every session with batches.
        names: account key → name.
        account_id: only this account; None: all.
    """
    for table in (frames, *TYPED.values()):
        for account, session_id, least, most in _sessions(reader, table.name):
            last = last_seqs.get((account, session_id), -1)
            if account_id not in {None, account} or (least >= 0 and most <= last):
                continue
            for seq in _outside(reader, table.name, (account, session_id), last):
                if table is frames:
                    finding = frame_finding(FRAME_INSERTED, "frames", "no batch holds it", seq)
                else:
                    finding = frame_finding(ROW_INSERTED, table.name, "its frame does not exist", seq)
                yield finding._replace(account=names.get(account, str(account)), session_id=session_id)


def _sessions(reader: RecordReader, table: str) -> Iterator[tuple[int, int, int, int]]:
    """The sessions that a table has rows of, with the least and the greatest of their numbers."""
    if not reader.exact:
        # A server scans an index faster than it answers one query per session.
        each = f"SELECT account_id, session_id, min(seq), max(seq) FROM {table} GROUP BY 1, 2 ORDER BY 1, 2"
        for rows in reader.stream(each, 1_000):
            yield from rows
        return
    beyond = ""
    first = f"SELECT account_id, session_id, seq FROM {table} {{}} ORDER BY account_id, session_id, seq LIMIT 1"
    while found := reader.rows(first.format(beyond)):
        ((account_id, session_id, least),) = found
        mine = f"account_id = {account_id:d} AND session_id = {session_id:d}"
        yield account_id, session_id, least, reader.one(f"SELECT max(seq) FROM {table} WHERE {mine}")
        beyond = f"WHERE (account_id, session_id) > ({account_id:d}, {session_id:d})"


def _outside(reader: RecordReader, table: str, session: _Session, last: int) -> Iterator[int]:
    """The numbers of a session's rows outside its batches."""
    mine = f"t.account_id = {session[0]:d} AND t.session_id = {session[1]:d} AND (t.seq < 0 OR t.seq > {last:d})"
    if table != frames.name:
        same = "f.account_id = t.account_id AND f.session_id = t.session_id AND f.seq = t.seq"
        mine += f" AND NOT EXISTS (SELECT 1 FROM frames f WHERE {same})"
    for rows in reader.stream(f"SELECT t.seq FROM {table} t WHERE {mine} ORDER BY t.seq"):
        yield from (seq for seq, _ in groupby(row[0] for row in rows))
