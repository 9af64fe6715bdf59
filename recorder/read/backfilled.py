"""Since when a record has history from before it began, what of it was asked for, and until when the ledger was."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select

from recorder.clock import NS_PER_MS
from recorder.read.sums import DAY_MS
from recorder.store.event_log import ANSWERED, INCOMPLETE, INTERRUPTED, REGULAR
from recorder.store.schema import backfilled, reconciliations, sessions, transactions

#: Regular questions overlap by this much: rows may appear late at the venue, and the clocks may differ.
OVERLAP_MS = 300_000
#: How far back each venue asks at first, at least; or to the beginning of the record, where it began later.
FIRST_MS = 7 * DAY_MS


def record_begins_ns(connection: Connection, account_id: int) -> int | None:
    """When the first session of an account was covered, ns since 1970; None: none was."""
    query = select(func.min(sessions.c.covered_ns)).where(sessions.c.account_id == account_id)
    begins_ns: int | None = connection.scalar(query)
    return begins_ns


def completed_subjects(connection: Connection, account_id: int) -> frozenset[str]:
    """The subjects of backfills that are complete."""
    return frozenset(connection.scalars(select(backfilled.c.subject).where(backfilled.c.account_id == account_id)))


def history_since(connection: Connection, account_id: int) -> dict[str, int]:
    """Kind of history, such as `fills` → since when a backfill completed all of it, milliseconds since 1970.

    Only what is complete up to the record's beginning counts: a period that is missing ends it.
    """
    begins_ns = record_begins_ns(connection, account_id)
    b = backfilled.c
    query = select(b.history, b.since_ms, b.until_ms).where(b.account_id == account_id, b.history != "")
    query = query.where(b.since_ms.is_not(None), b.until_ms.is_not(None)).order_by(b.until_ms.desc())
    periods: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for history, since_ms, until_ms in connection.execute(query):
        periods[history].append((since_ms, until_ms))
    if begins_ns is None:
        return {}
    begins_ms = begins_ns // NS_PER_MS
    found = {history: _back(its, begins_ms) for history, its in sorted(periods.items())}
    return {history: since_ms for history, since_ms in found.items() if since_ms < begins_ms}


def _back(periods: list[tuple[int, int]], from_ms: int) -> int:
    """Go back from an instant through periods that leave nothing out, the latest first."""
    at_ms = from_ms
    for since_ms, until_ms in periods:
        if until_ms < at_ms:
            return at_ms
        at_ms = min(at_ms, since_ms)
    return at_ms


def last_asked_ns(connection: Connection, account_id: int, now_ns: int) -> int | None:
    """When an exchange may have been asked last about an account, ns since 1970; None: it never was.

    Args:
        connection: of the record.
        account_id: of the account.
        now_ns: it counts where the last round was interrupted: its last answers may be lost.
    """
    r = reconciliations.c
    query = select(r.ended_ns, r.result).where(r.account_id == account_id).order_by(r.reconciliation_id.desc())
    last = connection.execute(query.limit(1)).first()
    if last is None:
        return None
    return now_ns if last.ended_ns is None or last.result == INTERRUPTED else int(last.ended_ns)


def transactions_since_ms(connection: Connection, account_id: int, now_ms: int) -> int | None:
    """From when on to ask a venue for transactions, milliseconds since 1970; None: as far back as it does at first.

    Only rounds that were answered completely count: everything before their newest transaction was asked for, but
    nothing after their beginning, because a round asks for one list after another. And nothing older than a day before
    the last of them, because whatever was before it was in its answers.

    While the exchange refuses a list, the others go on. Once it answers again, the next round asks for everything since
    the last one that was complete.

    Args:
        connection: to the record.
        account_id: the account.
        now_ms: milliseconds since 1970.
    """
    r, t = reconciliations.c, transactions.c
    rounds = _ended_rounds(account_id)
    last = _last_complete(connection.execute(rounds))
    if last is None:
        begins_ns = record_begins_ns(connection, account_id)
        begins_ms = now_ms if begins_ns is None else begins_ns // NS_PER_MS
        return begins_ms - OVERLAP_MS if begins_ms < now_ms - FIRST_MS else None
    of_round = (t.account_id == account_id) & (t.session_id == r.reconciliation_id)
    until = rounds.where(r.reconciliation_id <= last.reconciliation_id)
    newest = connection.execute(until.where(exists().where(of_round)).limit(1)).first()
    known_ms = 0
    if newest is not None:
        listed = t.account_id == account_id, t.session_id == newest.reconciliation_id
        occurred_ms: int = connection.scalar(select(func.max(t.occurred_ms)).where(*listed)) or 0
        known_ms = min(occurred_ms, newest.began_ns // NS_PER_MS)
    answered_ms: int = last.began_ns // NS_PER_MS
    return max(known_ms, answered_ms - DAY_MS) - OVERLAP_MS


def asked_since_ms(connection: Connection, account_id: int, now_ms: int) -> int:
    """A little before the last regular round that was complete began, or else the record, milliseconds since 1970.

    What was pushed before that was asked for as well, by venues that ask regularly for it.

    Args:
        connection: to the record.
        account_id: the account.
        now_ms: milliseconds since 1970.
    """
    last = _last_complete(connection.execute(_ended_rounds(account_id)))
    begins_ns = record_begins_ns(connection, account_id) if last is None else last.began_ns
    return (now_ms if begins_ns is None else begins_ns // NS_PER_MS) - OVERLAP_MS


def _ended_rounds(account_id: int) -> Select[Any]:
    """The regular rounds that came to an end, the newest first."""
    r = reconciliations.c
    mine = r.account_id == account_id, r.purpose == REGULAR, r.result.in_((ANSWERED, INCOMPLETE))
    return select(r.reconciliation_id, r.began_ns, r.result).where(*mine).order_by(r.reconciliation_id.desc())


def _last_complete(rounds: Iterable[Any]) -> Any:
    """The round after which to go on, of those that came to an end, the newest first; None: there is none.

    That is the newest one if a list is still refused. Otherwise it is one that was complete, as was the one before.
    """
    newer = None
    for one in rounds:
        if newer is None and one.result == INCOMPLETE:
            return one
        if newer is not None and newer.result == one.result == ANSWERED:
            return newer
        newer = one
    return newer if newer is not None and newer.result == ANSWERED else None
