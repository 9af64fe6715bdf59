"""What the event log says of the period: who recorded, sessions, rounds of questions, what was taken away."""

from typing import Any

from msgspec.structs import astuple
from sqlalchemy import Select, func, literal_column, select

from recorder.model import UNDECODED
from recorder.read.scope import account_label
from recorder.report.facts import Listed, Redacted, Rounds, Session, Undecoded, Writer
from recorder.report.reading import ROWS_SHOWN_MAX, Reading
from recorder.store.gaps import CRASHED
from recorder.store.redacted import sealed_redactions_in
from recorder.store.schema import accounts, frames, reconciliations, recorders, runs, sessions

#: A session that has not ended; or that a crash left, and no later run has seen yet.
GOES_ON = "not ended"
#: Undecoded frames are shown at most so many.
UNDECODED_SHOWN_MAX = 50


def writers(reading: Reading) -> list[Writer]:
    """The recorders that wrote in the period."""
    r, period = runs.c, reading.period
    during = r.started_ns < period.until_ns, func.coalesce(r.ended_ns, period.until_ns) >= period.since_ns
    query = select(r.recorder_id, r.host, r.version, r.end_reason).where(*during).order_by(r.recorder_id, r.run_id)
    found: dict[int, Writer] = {}
    for recorder_id, host, version, end_reason in reading.rows("runs", query):
        before = found.get(recorder_id) or Writer(recorder_id, (), (), 0, 0)
        found[recorder_id] = Writer(
            recorder_id,
            tuple(dict.fromkeys((*before.hosts, host))),
            tuple(dict.fromkeys((*before.versions, version))),
            before.runs + 1,
            before.crashed + (end_reason == CRASHED),
        )
    return list(found.values())


def session_list(reading: Reading) -> Listed[Session]:
    """The sessions of the period, oldest first; of very many the last."""
    s, f = sessions.c, frames.c
    # Its last number is a look-up in the key; counting would read all of it.
    last = select(f.seq).where(f.account_id == s.account_id, f.session_id == s.session_id)
    last_seq = last.order_by(f.seq.desc()).limit(1).scalar_subquery()
    query = (
        _of_sessions(
            reading,
            account_label(reading.connection),
            recorders.c.host,
            s.opened_ns,
            s.covered_ns,
            s.ended_ns,
            func.coalesce(last_seq + 1, 0),
            s.end_reason,
            s.end_detail,
        )
        .order_by(s.opened_ns.desc(), s.session_id.desc())
        .limit(ROWS_SHOWN_MAX)
    )
    rows = [Session(*row) for row in reading.connection.execute(query)]
    return Listed(rows[::-1], reading.connection.scalar(_of_sessions(reading, func.count())) or 0)


def endings(reading: Reading) -> dict[str, int]:
    """Why the sessions of the period ended → how many did."""
    reason = func.coalesce(sessions.c.end_reason, GOES_ON)
    query = _of_sessions(reading, reason, func.count()).group_by(reason)
    return {str(row[0]): int(row[1]) for row in sorted(reading.connection.execute(query))}


def _of_sessions(reading: Reading, *columns: Any) -> Select[Any]:
    s, period = sessions.c, reading.period
    return (
        select(*columns)
        .select_from(sessions)
        .join(accounts, accounts.c.account_id == s.account_id)
        .join(runs, runs.c.run_id == s.run_id)
        .join(recorders, recorders.c.recorder_id == runs.c.recorder_id)
        .where(reading.these(s.account_id), s.opened_ns < period.until_ns)
        .where(func.coalesce(s.ended_ns, period.until_ns) >= period.since_ns)
    )


def rounds(reading: Reading) -> list[Rounds]:
    """Rounds of questions that began in the period."""
    r = reconciliations.c
    result = func.coalesce(r.result, GOES_ON)
    query = select(r.account_id, result, func.count()).where(reading.these(r.account_id), reading.received(r.began_ns))
    found: dict[str, dict[str, int]] = {name: {} for name in reading.names.values()}
    for account_id, told, count in reading.connection.execute(query.group_by(r.account_id, result)):
        found[reading.names[account_id]][told] = count
    return [Rounds(name, dict(sorted(results.items()))) for name, results in found.items()]


def undecoded(reading: Reading) -> Listed[Undecoded]:
    """The frames of the period that could not be read; of very many the last."""
    f = frames.c
    # Written out, not bound: only then is the planner sure that the partial index holds all of them.
    bad = f.status == literal_column(f"'{UNDECODED}'")
    where = bad, reading.these(f.account_id), reading.received(f.received_ns)
    columns = account_label(reading.connection), f.received_ns, f.session_id, f.seq, f.topic, f.error
    query = select(*columns).join(accounts, accounts.c.account_id == f.account_id).where(*where)
    latest = query.order_by(f.received_ns.desc(), f.session_id.desc(), f.seq.desc()).limit(UNDECODED_SHOWN_MAX)
    rows = [Undecoded(*row) for row in reading.connection.execute(latest)]
    return Listed(rows[::-1], reading.connection.scalar(select(func.count()).select_from(frames).where(*where)) or 0)


def redacted(reading: Reading) -> Listed[Redacted]:
    """All redactions of these accounts, as far as sealed entries prove them."""
    rows = [
        Redacted(reading.names[one.account_id], *astuple(one)[1:])
        for one in sealed_redactions_in(reading.connection).entries
        if one.account_id in reading.names
    ]
    rows.sort(key=lambda one: (one.redacted_ns, one.session_id, one.first_seq))
    return Listed(rows[-ROWS_SHOWN_MAX:], len(rows))
