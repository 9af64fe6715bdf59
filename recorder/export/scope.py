"""What of a record is to be exported, and the refusal of what is not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from recorder.clock import utc_text
from recorder.errors import ConfigurationError, ExportError
from recorder.read.record import ALL, Filter
from recorder.read.records import AccountStatus, Status
from recorder.read.scope import account_is, find_account, listed, require_order, require_symbol
from recorder.store.schema import accounts, sessions


class Scope(NamedTuple):
    """What of a record is to be exported."""

    wanted: Filter = ALL
    #: Of `frames`, only these topics; none: all.
    topics: tuple[str, ...] = ()

    def includes(self, account: AccountStatus) -> bool:
        """Whether an account is exported."""
        return self.wanted.account in {None, account.account, f"{account.venue}/{account.account}"}

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Scope()


class Account(NamedTuple):
    """An account of the record."""

    account_id: int
    venue: str
    name: str
    created_ns: int


def accounts_of(connection: Connection, scope: Scope) -> list[Account]:
    """The accounts that are to be exported.

    Raises:
        ExportError: there is none of this name.
    """
    query = select(*(accounts.c[name] for name in Account._fields))
    there = [Account(*row) for row in connection.execute(query.order_by(accounts.c.name, accounts.c.account_id))]
    if not there:
        raise ExportError("Nothing is recorded here yet; `recorder run` records.")
    if scope.wanted.account is None:
        return there
    with _as_export_error():
        found_id = find_account(connection, scope.wanted.account).account_id
    return [one for one in there if one.account_id == found_id]


def require_there(connection: Connection, scope: Scope, found: list[Account]) -> None:
    """Refuse topics and contracts that the record has nothing of.

    Raises:
        ExportError: it names those there are.
    """
    query = select(sessions.c.topics).distinct()
    keys = [one.account_id for one in found]
    told = connection.scalars(query.where(sessions.c.account_id.in_(keys)))
    topics = {topic for line in told for topic in line.split()}
    for topic in scope.topics:
        if topic not in topics:
            raise ExportError(f"There is no topic {topic!r} in this record; {listed(topic, topics)}.")
    if scope.wanted.symbol is not None:
        with _as_export_error():
            require_symbol(connection, scope.wanted.symbol, scope.wanted.account)


@contextmanager
def _as_export_error() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ExportError(str(error)) from None


def require_in_range(connection: Connection, scope: Scope, status: Status) -> None:
    """Refuse a time that the record has nothing of at all.

    Raises:
        ExportError: it says from when to when the record lasts.
    """
    since_ns, until_ns = scope.wanted.since_ns, scope.wanted.until_ns
    with _as_export_error():
        require_order(since_ns, until_ns)
    theirs = [one for one in status.accounts if scope.includes(one)]
    first_ns, last_ns = _first_ns(connection, scope), _last_ns(theirs)
    if first_ns is None or last_ns is None:
        return  # nothing received yet: no time is outside
    if (since_ns is not None and since_ns > last_ns) or (until_ns is not None and until_ns <= first_ns):
        raise ExportError(
            f"The record lasts from {utc_text(first_ns)} to {utc_text(last_ns)} UTC, and nothing of it lies in the "
            "time asked for; give another --since or --until."
        )


def _first_ns(connection: Connection, scope: Scope) -> int | None:
    query: Any = select(func.min(sessions.c.opened_ns))
    if scope.wanted.account is not None:
        name = account_is(scope.wanted.account)
        query = query.join(accounts, accounts.c.account_id == sessions.c.account_id).where(name)
    first_ns: int | None = connection.scalar(query)
    return first_ns


def _last_ns(theirs: list[AccountStatus]) -> int | None:
    return max((one.last_frame_ns for one in theirs if one.last_frame_ns is not None), default=None)
