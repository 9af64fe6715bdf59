"""What part of a record to export, which gaps it has, and errors for what the record does not contain."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from recorder.clock import utc_text
from recorder.errors import ConfigurationError, ExportError
from recorder.read.coverage import NOT_KNOWN
from recorder.read.record import ALL, Filter, Record
from recorder.read.records import AccountStatus, Gap, Status
from recorder.read.scope import account_labels, find_account, listed, require_order, require_symbol
from recorder.store.schema import accounts, sessions
from recorder.venues import find_venue
from recorder.venues.base import Venue


class Scope(NamedTuple):
    """What part of a record to export."""

    wanted: Filter = ALL
    #: Of `frames`, only these topics; empty: all.
    topics: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Scope()


class ExportedAccount(NamedTuple):
    """An account of the record, and its status."""

    account_id: int
    venue: str
    name: str
    created_ns: int
    status: AccountStatus

    @property
    def label(self) -> str:
        """Its name in reads: `venue/name` if several accounts have that name."""
        return self.status.account


def accounts_of(connection: Connection, scope: Scope, status: Status) -> list[ExportedAccount]:
    """The accounts to export, by name, then by venue.

    Raises:
        ExportError: there is no such account, or several have that name.
    """
    by_label = {one.account: one for one in status.accounts}
    labels = account_labels(connection)
    rows = {row.account_id: row for row in connection.execute(select(accounts))}
    found = [ExportedAccount._make((*rows[key], by_label[label])) for key, label in labels.items()]
    if not found:
        raise ExportError("The record holds no account yet; start `recorder run` first.")
    if scope.wanted.account is None:
        return found
    with _as_export_error():
        chosen_id = find_account(connection, scope.wanted.account).account_id
    return [one for one in found if one.account_id == chosen_id]


def require_there(connection: Connection, scope: Scope, found: Sequence[ExportedAccount]) -> None:
    """Refuse topics and symbols that the record does not have.

    Raises:
        ExportError: it names those there are.
    """
    lines = connection.scalars(select(sessions.c.topics).where(_of(found)).distinct())
    topics = {topic for line in lines for topic in line.split()}
    for topic in scope.topics:
        if topic not in topics:
            raise ExportError(f"There is no topic {topic!r} in this record; {listed(topic, topics)}.")
    if scope.wanted.symbol is not None:
        with _as_export_error():
            require_symbol(connection, scope.wanted.symbol, scope.wanted.account)


def require_in_range(connection: Connection, scope: Scope, found: Sequence[ExportedAccount]) -> None:
    """Refuse a period in which nothing was recorded.

    Raises:
        ExportError: it says from when to when the record lasts.
    """
    since_ns, until_ns = scope.wanted.since_ns, scope.wanted.until_ns
    with _as_export_error():
        require_order(since_ns, until_ns)
    first_ns = connection.scalar(select(func.min(sessions.c.opened_ns)).where(_of(found)))
    last_ns = max((one.status.last_frame_ns for one in found if one.status.last_frame_ns is not None), default=None)
    if first_ns is None or last_ns is None:
        return  # nothing was received yet, so no time is outside
    if (since_ns is not None and since_ns > last_ns) or (until_ns is not None and until_ns <= first_ns):
        raise ExportError(
            f"The record lasts from {utc_text(first_ns)} to {utc_text(last_ns)} UTC and has nothing in the requested "
            "period; choose --since and --until within it."
        )


def _of(found: Sequence[ExportedAccount]) -> ColumnElement[bool]:
    return sessions.c.account_id.in_([one.account_id for one in found])


@contextmanager
def _as_export_error() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ExportError(str(error)) from None


def gaps_in(record: Record, scope: Scope, accounts: Sequence[ExportedAccount]) -> list[Gap]:
    """The gaps in the exported period, whatever their state, oldest first.

    A period without a beginning begins when all topics were first acknowledged; one without an end ends with the last
    frame. So the record's own beginning and end are no gaps.
    """
    found = [gap for account in accounts for gap in _gaps_of(record, scope, account)]
    return sorted(found, key=lambda gap: gap.begins_ns or 0)


def _gaps_of(record: Record, scope: Scope, account: ExportedAccount) -> Iterator[Gap]:
    wanted, status = scope.wanted._replace(account=account.label, symbol=None), account.status
    begins_ns = status.coverage.begins_ns if wanted.since_ns is None else wanted.since_ns
    ends_ns = status.last_frame_ns if wanted.until_ns is None else wanted.until_ns
    known_until_ns, venue = -1, find_venue(account.venue)
    for gap in record.gaps(wanted):
        if _concerns(gap.topic, scope, venue) and _overlaps(gap, begins_ns, ends_ns):
            yield gap
        if gap.topic is None:
            known_until_ns = 2**63 if gap.ends_ns is None else max(known_until_ns, gap.ends_ns)
    last_ns = status.last_frame_ns
    if ends_ns is not None and last_ns is not None and max(last_ns, known_until_ns) < ends_ns:
        # It is connected: what it will receive until then is not known yet.
        yield Gap(account.label, last_ns, None, None, NOT_KNOWN, None, "open", 0)


def _concerns(topic: str | None, scope: Scope, venue: Venue | None) -> bool:
    """Whether pushes of a topic may be part of the export; None: of all topics."""
    if topic is None:
        return True
    if scope.topics and topic not in scope.topics:
        return False
    symbol = None if venue is None else venue.symbol_of(topic)
    return symbol is None or scope.wanted.symbol is None or symbol.lower() == scope.wanted.symbol.lower()


def _overlaps(gap: Gap, begins_ns: int | None, ends_ns: int | None) -> bool:
    """Whether more than an edge of a gap lies in a period."""
    if ends_ns is not None and gap.begins_ns is not None and gap.begins_ns >= ends_ns:
        return False
    return gap.ends_ns is None or begins_ns is None or gap.ends_ns > begins_ns
