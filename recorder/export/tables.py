"""The tables that can be exported, and how their rows are read.

Rows of the tables that grow with the record are read in the order of their keys, session by session, so none is sorted
or held in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, exists, func, literal_column, or_, select

from recorder.clock import NS_PER_MS
from recorder.errors import ExportError
from recorder.export.columns import (
    ACCOUNT_PARTS,
    ExportColumn,
    Kind,
    Part,
    Row,
    columns_of_record,
    columns_of_table,
    instant_text,
    instant_us,
)
from recorder.export.scope import ExportedAccount, Scope
from recorder.model import PUSHES
from recorder.read.record import Filter, Record
from recorder.read.records import Balance, Discrepancy, Fill, Gap, Order, Position
from recorder.store import schema
from recorder.store.redactions import sealed_redactions_in
from recorder.store.schema import frames, reconciliations, sessions

#: Rows fetched at a time; frames are fewer because one may have megabytes.
FETCH_ROWS, FETCH_FRAMES = 2_000, 32

FRAMES = "frames"


class ExportSource(NamedTuple):
    """Where rows come from: one state of a record."""

    record: Record
    connection: Connection
    accounts: Sequence[ExportedAccount]
    scope: Scope

    def only(self, account: ExportedAccount) -> "ExportSource":
        """The same, of one account."""
        wanted = self.scope.wanted._replace(account=account.label)
        return self._replace(accounts=[account], scope=self.scope._replace(wanted=wanted))

    @property
    def names(self) -> dict[int, tuple[str, str]]:
        """Account key → its venue and name."""
        return {one.account_id: (one.venue, one.name) for one in self.accounts}


class ExportTable(NamedTuple):
    """A table of an export."""

    name: str
    #: A row for each ...
    each: str
    columns: tuple[ExportColumn, ...]
    rows: Callable[[ExportSource], Iterable[Row]]
    #: Whether it grows with the record. In Parquet, it then has a folder for each account and UTC day of receipt.
    by_day: bool = False

    def at(self, name: str) -> int | None:
        """The index of a column's value in a row."""
        return next((column.at for column in self.columns if column.name == name), None)


def _journal(name: str, table: Table, each: str) -> ExportTable:
    """A table of frames or of what frames say."""

    def rows(source: ExportSource) -> Iterator[Row]:
        for account in source.accounts:
            yield from _journal_rows(source.connection, table, account, source.scope)

    run: tuple[Part, ...] = (("run_id", Kind.INTEGER, True),) if table is frames else ()
    return ExportTable(name, each, columns_of_table(table, *ACCOUNT_PARTS, *run), rows, by_day=True)


def _journal_rows(connection: Connection, table: Table, account: ExportedAccount, scope: Scope) -> Iterator[Row]:
    conditions = _conditions(table, scope)
    for session_id in _session_ids(connection, table, account.account_id):
        query = _verbatim(table).where(table.c.account_id == account.account_id, table.c.session_id == session_id)
        query = query.where(*conditions).order_by(*list(table.primary_key)[1:])
        fetch = FETCH_FRAMES if table is frames else FETCH_ROWS
        run = (_run_of(connection, account, session_id),) if table is frames else ()
        with connection.execute(query, execution_options={"yield_per": fetch}) as found:
            for row in found:
                yield (account.venue, account.name, *run, *row)


def _verbatim(table: Table) -> Select[Any]:
    """All columns, as literals: otherwise each number would become a `Decimal` and lose the form it was sent in."""
    columns: list[ColumnElement[Any]] = [literal_column(column.name) for column in table.c]
    return select(*columns).select_from(table)


def _session_ids(connection: Connection, table: Table, account_id: int) -> Iterator[int]:
    """The sessions that a table has rows of: one index look-up for each."""
    session_id: int | None = -1
    while True:
        later: Select[Any] = select(func.min(table.c.session_id))
        later = later.where(table.c.account_id == account_id, table.c.session_id > session_id)
        session_id = connection.scalar(later)
        if session_id is None:
            return
        yield session_id


def _run_of(connection: Connection, account: ExportedAccount, session_id: int) -> int | None:
    """The run of a session or of a reconciliation."""
    for table, key in ((sessions, sessions.c.session_id), (reconciliations, reconciliations.c.reconciliation_id)):
        mine = table.c.account_id == account.account_id, key == session_id
        run_id: int | None = connection.scalar(select(table.c.run_id).where(*mine))
        if run_id is not None:
            return run_id
    return None


def _conditions(table: Table, scope: Scope) -> list[ColumnElement[bool]]:
    wanted = scope.wanted
    found: list[ColumnElement[bool]] = []
    if wanted.since_ns is not None:
        found.append(table.c.received_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        found.append(table.c.received_ns < wanted.until_ns)
    if table is frames and scope.topics:
        found += [table.c.source.in_(sorted(PUSHES)), table.c.topic.in_(scope.topics)]
    if wanted.symbol is not None and table is frames:
        # Pushes about other symbols only are left out. What names no symbol stays: balances, commands, answers.
        own, another = _says(wanted.symbol, is_it=True), _says(wanted.symbol, is_it=False)
        found.append(or_(table.c.source.not_in(sorted(PUSHES)), own, ~another))
    elif wanted.symbol is not None and "symbol" in table.c:
        found.append(func.lower(table.c.symbol) == wanted.symbol.lower())
    return found


def _says(symbol: str, *, is_it: bool) -> ColumnElement[bool]:
    """Whether a frame contains an update about a symbol, or about another one."""
    found: list[ColumnElement[bool]] = []
    for table in schema.TYPED.values():
        if "symbol" not in table.c:
            continue
        its = func.lower(table.c.symbol)
        same = [table.c[name] == frames.c[name] for name in ("account_id", "session_id", "seq")]
        found.append(exists().where(and_(*same, its == symbol.lower() if is_it else its != symbol.lower())))
    return or_(*found)


def _read(
    name: str, each: str, record: Any, read: Callable[[Record, Filter], Iterable[Row]], *, by_day: bool = False
) -> ExportTable:
    """A table that holds what a read of the record gives."""

    def rows(source: ExportSource) -> Iterator[Row]:
        names = {account.label: (account.venue, account.name) for account in source.accounts}
        for account, *rest in read(source.record, source.scope.wanted):
            yield (*names[account], *rest)

    return ExportTable(name, each, columns_of_record(record), rows, by_day)


def _log(table: Table, each: str) -> ExportTable:
    """A table of what the recorder itself did."""
    has_account = "account_id" in table.c

    def rows(source: ExportSource) -> Iterator[Row]:
        names = source.names
        for row in _all(source.connection, table):
            if not has_account:
                yield tuple(row)
            elif row.account_id in names:
                yield (*names[row.account_id], *row)

    return ExportTable(table.name, each, columns_of_table(table, *(ACCOUNT_PARTS if has_account else ())), rows)


def _all(connection: Connection, table: Table) -> Iterator[Any]:
    query = _verbatim(table).order_by(*table.primary_key).execution_options(yield_per=FETCH_ROWS)
    with connection.execute(query) as found:
        yield from found


class _AboutAccount(msgspec.Struct):
    account_id: int | None = None


_about = msgspec.json.Decoder(_AboutAccount).decode


def _entries(source: ExportSource) -> Iterator[Row]:
    """The event log without entries about other accounts."""
    wanted = {None, *source.names}
    for row in _all(source.connection, schema.event_log):
        if _about(row.body).account_id in wanted:
            yield tuple(row)


def _redactions(source: ExportSource) -> Iterator[Row]:
    names = source.names
    found = sealed_redactions_in(source.connection).entries
    for one in sorted(found, key=attrgetter("account_id", "session_id", "first_seq")):
        if one.account_id in names:
            yield (*names[one.account_id], *msgspec.structs.astuple(one))


def _dated_fills(record: Record, wanted: Filter) -> Iterator[Row]:
    """The trade history with the UTC day and month of each fill, as in the view `executions`."""
    for fill in record.fills(wanted):
        at_us = instant_us(fill.at_ms, NS_PER_MS)
        yield (*fill, *((None, None) if at_us is None else (instant_text(at_us)[:10], instant_text(at_us)[:7])))


_FILLS = _read("fills", "fill, once: trade history", Fill, _dated_fills, by_day=True)

#: Every table of an export, by name; frames and what they say first.
TABLES: dict[str, ExportTable] = {
    table.name: table
    for table in (
        _journal(FRAMES, frames, "frame received and command sent, byte for byte"),
        _journal("account_updates", schema.account_updates, "balance in a push, as each recorder saw it"),
        _journal("order_updates", schema.order_updates, "order in a push, as each recorder saw it"),
        _journal("position_updates", schema.position_updates, "position in a push, as each recorder saw it"),
        _journal("heartbeats", schema.heartbeats, "measurement of the venue's clock"),
        _journal("listings", schema.listings, "complete list of balances or positions"),
        _journal("venue_fills", schema.fills, "execution, each time that the venue reported it"),
        _journal("transactions", schema.transactions, "money movement, each time that the venue reported it"),
        _journal("instruments", schema.instruments, "symbol, each time that the venue described it"),
        _FILLS._replace(columns=columns_of_record(Fill, ("day", Kind.TEXT, True), ("month", Kind.TEXT, True))),
        _read("order_history", "update of an order, once", Order, Record.order_history, by_day=True),
        _read("position_history", "state of a position, once", Position, Record.position_history, by_day=True),
        _read("balance_history", "balance, once", Balance, Record.balance_history, by_day=True),
        _read("orders", "order: its latest state", Order, Record.orders),
        _read("positions", "position: its latest state", Position, Record.positions),
        _read("balances", "currency: its latest balance", Balance, Record.balances),
        _read("gaps", "period in which pushes may have been missed", Gap, Record.gaps),
        _read("discrepancies", "contradiction outside any gap", Discrepancy, Record.discrepancies),
        ExportTable(
            "accounts",
            "account",
            columns_of_table(schema.accounts),
            lambda source: (account[: len(schema.accounts.c)] for account in source.accounts),
        ),
        _log(schema.recorders, "recorder that wrote here"),
        _log(schema.runs, "life of a recorder process"),
        _log(schema.sessions, "connection"),
        _log(schema.reconciliations, "reconciliation over REST"),
        ExportTable("event_log", "entry of the event log", columns_of_table(schema.event_log), _entries),
        _log(schema.checkpoints, "signed tree of seals"),
        ExportTable(
            "redactions",
            "range of frames whose payload was redacted, as sealed entries prove",
            columns_of_table(schema.redactions, *ACCOUNT_PARTS),
            _redactions,
        ),
    )
}


def tables_named(names: Iterable[str]) -> list[ExportTable]:
    """The tables of these names; without a name, all.

    Raises:
        ExportError: there is no such table.
    """
    found = list(dict.fromkeys(names)) or list(TABLES)
    for name in found:
        if name not in TABLES:
            raise ExportError(f"There is no table {name!r} to export; there are: {', '.join(TABLES)}.")
    return [TABLES[name] for name in found]


def columns_named(table: ExportTable, names: Sequence[str]) -> tuple[ExportColumn, ...]:
    """Some columns of a table, in the order of their names here; without a name, all.

    Raises:
        ExportError: the table has no such column.
    """
    there = {column.name: column for column in table.columns}
    for name in names:
        if name not in there:
            raise ExportError(f"{table.name} has no column {name!r}; it has: {', '.join(there)}.")
    return tuple(there[name] for name in dict.fromkeys(names)) or table.columns
