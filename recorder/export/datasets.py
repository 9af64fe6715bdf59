"""What can be exported: the journal as it is, what readers make of it, and the event log."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, literal_column, select

from recorder.clock import NS_PER_MS
from recorder.errors import ExportError
from recorder.export import journal
from recorder.export.columns import (
    Column,
    Kind,
    Part,
    Row,
    columns_of_record,
    columns_of_table,
    instant_text,
    instants_us,
)
from recorder.export.scope import Account, Scope
from recorder.read.record import Filter, Record
from recorder.read.records import Balance, Discrepancy, Fill, Gap, Order, Position
from recorder.store import schema
from recorder.store.redacted import sealed_redactions_in

#: The account's name, and of a frame its run, before what a table itself has.
ACCOUNT = "account"
_ACCOUNT: Part = (ACCOUNT, Kind.TEXT, False)
_RUN: Part = ("run_id", Kind.INTEGER, True)


class Source(NamedTuple):
    """What is read from: a record at one moment."""

    record: Record
    connection: Connection
    accounts: Sequence[Account]
    scope: Scope


class Dataset(NamedTuple):
    """A table of an export."""

    name: str
    #: A row for each ...
    each: str
    columns: tuple[Column, ...]
    #: The rows of some accounts; where it is `by_day`, of one name.
    rows: Callable[[Source], Iterable[Row]]
    #: Whether it grows with the record, and so lies in a folder for each account and day (UTC) of receipt.
    by_day: bool = False

    def at(self, name: str) -> int | None:
        """Where a column stands in a row."""
        return next((column.at for column in self.columns if column.name == name), None)


def _journal(name: str, table: Table, each: str) -> Dataset:
    def rows(source: Source) -> Iterator[Row]:
        for account in source.accounts:
            yield from journal.rows(source.connection, table, account, source.scope)

    before = (_ACCOUNT, _RUN) if table is schema.frames else (_ACCOUNT,)
    columns = columns_of_table(table, *before)
    return Dataset(name, each, columns, rows, by_day=True)


def _read(
    name: str, each: str, record: Any, read: Callable[[Record, Filter], Iterable[Row]], *, by_day: bool = False
) -> Dataset:
    def rows(source: Source) -> Iterable[Row]:
        return read(source.record, source.scope.wanted)

    return Dataset(name, each, columns_of_record(record), rows, by_day)


def _event_log(table: Table, each: str) -> Dataset:
    def rows(source: Source) -> Iterator[Row]:
        yield from map(tuple, _all(source.connection, table))

    return Dataset(table.name, each, columns_of_table(table), rows)


def _event_log_of_accounts(table: Table, each: str) -> Dataset:
    def rows(source: Source) -> Iterator[Row]:
        names = {account.account_id: account.name for account in source.accounts}
        for row in _all(source.connection, table):
            if row.account_id in names:
                yield (names[row.account_id], *row)

    return Dataset(table.name, each, columns_of_table(table, _ACCOUNT), rows)


def _entries(source: Source) -> Iterator[Row]:
    """What the event log was told, but of accounts that are not asked for."""
    wanted = {None, *(account.account_id for account in source.accounts)}
    for row in _all(source.connection, schema.event_log):
        if _about(row.body).account_id in wanted:
            yield tuple(row)


def _redactions(source: Source) -> Iterator[Row]:
    names = {account.account_id: account.name for account in source.accounts}
    found = sealed_redactions_in(source.connection).entries
    for one in sorted(found, key=attrgetter("account_id", "session_id", "first_seq")):
        if one.account_id in names:
            yield (names[one.account_id], *msgspec.structs.astuple(one))


class _About(msgspec.Struct):
    account_id: int | None = None


_about = msgspec.json.Decoder(_About).decode


def _all(connection: Connection, table: Table) -> Iterator[Any]:
    columns: list[ColumnElement[Any]] = [literal_column(column.name) for column in table.c]
    query = select(*columns).select_from(table).order_by(*table.primary_key)
    with connection.execute(query.execution_options(yield_per=journal.FETCH_ROWS)) as found:
        yield from found


def _fills(source: Source) -> Iterator[Row]:
    """Trade history, with what one groups by: day and month (UTC) of the fill, as in the view `executions`."""
    for fill in source.record.fills(source.scope.wanted):
        (at_us,) = instants_us([fill.at_ms], NS_PER_MS)
        at = (None, None) if at_us is None else (instant_text(at_us)[:10], instant_text(at_us)[:7])
        yield (*fill, *at)


_FILLS = Dataset(
    "fills",
    "fill, once: trade history",
    (
        *columns_of_record(Fill),
        Column("day", Kind.TEXT, len(Fill._fields), True),
        Column("month", Kind.TEXT, len(Fill._fields) + 1, True),
    ),
    _fills,
    by_day=True,
)

#: Every table of an export, by name; the journal first.
DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        _journal("frames", schema.frames, "frame received and command sent, byte for byte"),
        _journal("account_updates", schema.account_updates, "balance in a push, as each recorder saw it"),
        _journal("order_updates", schema.order_updates, "order in a push, as each recorder saw it"),
        _journal("position_updates", schema.position_updates, "position in a push, as each recorder saw it"),
        _journal("heartbeats", schema.heartbeats, "measurement of the exchange's clock"),
        _journal("rest_fills", schema.fills, "execution, each time that the exchange told it over REST"),
        _FILLS,
        _read("order_history", "update of an order, once", Order, Record.order_history, by_day=True),
        _read("position_history", "state of a position, once", Position, Record.position_history, by_day=True),
        _read("balance_history", "balance, once", Balance, Record.balance_history, by_day=True),
        _read("orders", "order: its latest state", Order, Record.orders),
        _read("positions", "position: its latest state", Position, Record.positions),
        _read("balances", "currency: its latest balance", Balance, Record.balances),
        _read("gaps", "stretch in which pushes may have been missed", Gap, Record.gaps),
        _read("discrepancies", "contradiction outside any gap", Discrepancy, Record.discrepancies),
        Dataset("accounts", "account", columns_of_record(Account), lambda source: source.accounts),
        _event_log(schema.recorders, "recorder that wrote here"),
        _event_log(schema.runs, "life of a recorder process"),
        _event_log_of_accounts(schema.sessions, "connection"),
        _event_log_of_accounts(schema.reconciliations, "round of REST questions"),
        Dataset("event_log", "thing that the event log was told", columns_of_table(schema.event_log), _entries),
        _event_log(schema.checkpoints, "signed tree of seals"),
        Dataset(
            "redactions",
            "stretch of frames whose payload was redacted, as sealed entries prove",
            columns_of_table(schema.redactions, _ACCOUNT),
            _redactions,
        ),
    )
}


def named(names: Iterable[str]) -> list[Dataset]:
    """The tables of these names; without a name, all.

    Raises:
        ExportError: there is none of a name.
    """
    found = list(dict.fromkeys(names)) or list(DATASETS)
    for name in found:
        if name not in DATASETS:
            raise ExportError(f"There is no table {name!r} to export; there are: {', '.join(DATASETS)}.")
    return [DATASETS[name] for name in found]


def columns_named(dataset: Dataset, names: Sequence[str]) -> tuple[Column, ...]:
    """Some columns of a table, as ordered; without a name, all.

    Raises:
        ExportError: it has no column of a name.
    """
    there = {column.name: column for column in dataset.columns}
    for name in names:
        if name not in there:
            raise ExportError(f"{dataset.name} has no column {name!r}; it has: {', '.join(there)}.")
    return tuple(there[name] for name in dict.fromkeys(names)) or dataset.columns
