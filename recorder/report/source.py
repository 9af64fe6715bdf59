"""What all parts of the report read from: one state of the record, the period, and its accounts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Select

from recorder.read.coverage import RecorderCoverage
from recorder.read.record import Filter, Record

T = TypeVar("T")

#: Rows fetched at a time.
ROWS_PER_FETCH = 500
#: Rows between two reports of progress.
ROWS_PER_REPORT = 5_000
#: Rows shown of a table at most; the page says how many were left out.
ROWS_SHOWN_MAX = 200

#: Receives what is being read, and how many rows of it were read so far.
Progress = Callable[[str, int], None]


class Period(NamedTuple):
    """The period of the report, nanoseconds since 1970."""

    since_ns: int
    #: Exclusive.
    until_ns: int
    #: Whether the user gave the beginning; if not, it is that of the record.
    since_asked: bool
    until_asked: bool


class Listed(NamedTuple, Generic[T]):
    """The rows of a table that are shown, and how many there are."""

    rows: Sequence[T]
    total: int

    @property
    def left_out(self) -> int:
        """How many are not shown."""
        return self.total - len(self.rows)


class ReportedAccount(NamedTuple):
    """An account in the report."""

    account_id: int
    #: `venue/name` if several accounts of the record have that name.
    name: str
    venue: str
    #: Recorder → its coverage of the account.
    sides: Mapping[int, RecorderCoverage]

    @property
    def last_frame_ns(self) -> int | None:
        """When its last frame was received, nanoseconds since 1970."""
        return max((side.last_ns for side in self.sides.values() if side.last_ns is not None), default=None)


class ReportSource(NamedTuple):
    """One state of a record, opened for one report."""

    record: Record
    connection: Connection
    period: Period
    #: By name.
    accounts: tuple[ReportedAccount, ...]
    #: Recorder → the host it first ran on.
    hosts: Mapping[int, str]
    progress: Progress

    @property
    def names(self) -> dict[int, str]:
        """Account key → name."""
        return {account.account_id: account.name for account in self.accounts}

    def of(self, account: ReportedAccount) -> Filter:
        """The filter for an account and the period."""
        return Filter(account.name, None, self.period.since_ns, self.period.until_ns)

    def is_reported(self, account_id: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition that a row is about one of the accounts."""
        return account_id.in_(self.names)

    def is_received(self, received_ns: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition that a row was received in the period."""
        return (received_ns >= self.period.since_ns) & (received_ns < self.period.until_ns)

    def rows(self, what: str, query: Select[Any]) -> Iterator[Any]:
        """Stream the rows of a query; memory does not grow with their number."""
        options = {"yield_per": ROWS_PER_FETCH}
        with self.connection.execute(query, execution_options=options) as rows:
            yield from self.counted(what, rows)

    def counted(self, what: str, rows: Iterable[T]) -> Iterator[T]:
        """Pass rows on, and report progress."""
        self.progress(what, 0)
        for number, row in enumerate(rows, 1):
            yield row
            if number % ROWS_PER_REPORT == 0:
                self.progress(what, number)
