"""Rows that belong to no batch: frames outside every span, and typed rows without a frame."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from recorder.audit.findings import FRAME_INSERTED, ROW_INSERTED, Finding
from recorder.audit.kept import FRAME_COLUMNS, digest_of, split
from recorder.audit.plan import End
from recorder.audit.reading import Reader
from recorder.store.schema import TYPED, frames

#: Account, session.
_Session = tuple[int, int]


def strays(
    reader: Reader, ends: Mapping[_Session, End], names: Mapping[int, str], account_id: int | None = None
) -> Iterator[Finding]:
    """Every row that no batch holds.

    Args:
        reader: of the record.
        ends: account and session → where its spans end, of every session that has any.
        names: of accounts.
        account_id: only this account's; None: all.
    """
    for table in (frames, *TYPED.values()):
        for account, session_id, least, most in _sessions(reader, table.name):
            end = ends.get((account, session_id))
            if account_id not in {None, account} or (end is not None and least >= 0 and most <= end.last_seq):
                continue
            name = names.get(account, str(account))
            for seq in _outside(reader, table.name, (account, session_id), end):
                told = Finding(FRAME_INSERTED, "frames", "no batch holds it", seq=seq, last_seq=seq)
                if table is not frames:
                    told = Finding(ROW_INSERTED, table.name, "there is no frame of its own", seq=seq, last_seq=seq)
                yield told._replace(account=name, session_id=session_id)


def _sessions(reader: Reader, table: str) -> Iterator[tuple[int, int, int, int]]:
    """The sessions of which a table has rows, with the least and the greatest of their numbers."""
    if not reader.exact:
        # A server reads its indexes from one end to the other sooner than it answers a question for each session.
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


def _outside(reader: Reader, table: str, session: _Session, end: End | None) -> Iterator[int]:
    """The numbers of a session's rows that its batches do not reach."""
    mine = f"t.account_id = {session[0]:d} AND t.session_id = {session[1]:d}"
    beyond = mine if end is None else f"{mine} AND (t.seq < 0 OR t.seq > {end.last_seq:d})"
    if table == frames.name:
        yield from _inserted(reader, f"SELECT {FRAME_COLUMNS} FROM frames t WHERE {beyond} ORDER BY t.seq", end)
        return
    same = "f.account_id = t.account_id AND f.session_id = t.session_id AND f.seq = t.seq"
    orphans = f"SELECT t.seq FROM {table} t WHERE {beyond} AND NOT EXISTS (SELECT 1 FROM frames f WHERE {same})"
    for rows in reader.stream(f"{orphans} ORDER BY t.seq"):
        yield from (seq for seq, _ in groupby(row[0] for row in rows))


def _inserted(reader: Reader, statement: str, end: End | None) -> Iterator[int]:
    sealed: set[bytes] | None = None
    for rows in reader.stream(statement):
        for row in rows:
            if end is None:
                yield row[2]
                continue
            if sealed is None:
                of_batch = f"WHERE run_id = {end.run_id:d} AND batch = {end.batch:d}"
                sealed = set(split(bytes(reader.one(f"SELECT digests FROM seals {of_batch}") or b"")))
            # Where a span was cut short, the frame is right, and the span is told of with its batch.
            if digest_of(end.run_id, row) not in sealed:
                yield row[2]
