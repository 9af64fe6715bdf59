"""What every part of the report reads with: one state of the record, the period, and a word of progress."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Select

from recorder.read.coverage.gaps import RecorderCoverage
from recorder.read.record import Filter, Record
from recorder.report.facts import Period

T = TypeVar("T")

#: Rows are fetched so many at a time, and told of as often.
ROWS_PER_FETCH = 5_000
#: A table of the page has so many rows at most; those left out are counted.
ROWS_SHOWN_MAX = 200

#: Told what is being read, and how many rows of it were.
Progress = Callable[[str, int], None]


class Account(NamedTuple):
    """An account that the report is of."""

    account_id: int
    name: str
    venue: str
    #: Recorder → what it says of it.
    sides: Mapping[int, RecorderCoverage]


class Reading(NamedTuple):
    """One state of a record, opened for one report."""

    record: Record
    connection: Connection
    period: Period
    #: By name.
    accounts: tuple[Account, ...]
    #: Recorder → the host it first ran on.
    hosts: Mapping[int, str]
    told: Progress

    @property
    def names(self) -> dict[int, str]:
        """Key → name."""
        return {account.account_id: account.name for account in self.accounts}

    def of(self, account: Account) -> Filter:
        """What of the record is an account's, in the period."""
        return Filter(account.name, None, self.period.since_ns, self.period.until_ns)

    def these(self, account_id: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a row is of one of the accounts."""
        return account_id.in_(self.names)

    def received(self, received_ns: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a row was received in the period."""
        return (received_ns >= self.period.since_ns) & (received_ns < self.period.until_ns)

    def rows(self, what: str, query: Select[Any]) -> Iterator[Any]:
        """Stream the rows of a query; memory does not grow with them."""
        options = {"yield_per": ROWS_PER_FETCH}
        with self.connection.execute(query, execution_options=options) as rows:
            yield from self.counted(what, rows)

    def counted(self, what: str, rows: Iterable[T]) -> Iterator[T]:
        """Tell of progress while rows go by."""
        self.told(what, 0)
        for number, row in enumerate(rows, 1):
            yield row
            if number % ROWS_PER_FETCH == 0:
                self.told(what, number)
