"""A record, opened for reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal_column, select

from recorder.clock import NS_PER_MS
from recorder.model import MAKER, TAKER, UNDECODED, UNKNOWN
from recorder.read import fills as derive
from recorder.read.coverage import coverage, whole_gaps
from recorder.read.questions import Answers
from recorder.read.records import (
    ALL,
    AccountStatus,
    Balance,
    Discrepancy,
    Fill,
    Filter,
    Gap,
    Order,
    Position,
    Round,
    Run,
    Status,
)
from recorder.read.sides import sides_of
from recorder.store import migrate
from recorder.store.engine import explained, open_engine, place, size_bytes
from recorder.store.schema import (
    ONCE,
    account_updates,
    accounts,
    batches,
    discrepancies,
    fills,
    frames,
    order_updates,
    position_updates,
    reconciliations,
    runs,
    sessions,
)
from recorder.venues import VENUES
from recorder.venues.base import Venue

__all__ = ["ALL", "Filter", "Record"]

T = TypeVar("T", bound=tuple[Any, ...])

#: Rows are fetched so many at a time: memory does not grow with the record.
ROWS_PER_FETCH = 1_000


class _Matched(NamedTuple):
    """A row of `fills`, with what its order says of it."""

    account: str
    received_ns: int
    created_at: int | None
    order_id: int
    symbol: str | None
    direction: str | None
    order_type: str | None
    margin_currency: str | None
    quantity: Decimal
    price: Decimal | None
    fee: Decimal | None
    session_id: int
    seq: int
    item: int
    taker: int | None


class Record(Answers):
    """A record. Each read sees one consistent state of the database, also while a recorder writes to it.

    Args:
        url: of the database.

    Raises:
        DatabaseError: there is none, or it is not at this program's schema.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = open_engine(url, read_only=True)
        with explained(url):
            migrate.require_current(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The latest state of each order, oldest change first."""
        return self._latest(Order, ONCE[order_updates], wanted, "order_id")

    def order_history(self, wanted: Filter = ALL) -> Iterator[Order]:
        """Every update of every order, in the order of receipt."""
        yield from self._rows(Order, _history(Order, ONCE[order_updates], wanted))

    def position_history(self, wanted: Filter = ALL, *, as_it_happened: bool = False) -> Iterator[Position]:
        """Every state of every position, in the order of receipt.

        Args:
            wanted: which.
            as_it_happened: in the order in which they came to be, by the exchange's clock: an answer may be of a moment
                after pushes that come after it.
        """
        table = ONCE[position_updates]
        query = _history(Position, table, wanted)
        if as_it_happened:
            asked = _wanted(
                select(*_columns(Position, table)).join_from(table, reconciliations, _of_answer(table), isouter=True),
                table,
                wanted,
            )
            at_ms = func.coalesce(table.c.updated_at, table.c.ts, table.c.received_ns // NS_PER_MS)
            query = asked.order_by(at_ms, _counts_ns(table), *_receipt(table))
        yield from self._rows(Position, query)

    def balance_history(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """Every balance, in the order of receipt."""
        yield from self._rows(Balance, _history(Balance, ONCE[account_updates], wanted._replace(symbol=None)))

    def rounds(self, wanted: Filter = ALL) -> list[Round]:
        """The rounds of questions to the exchange, oldest first."""
        r = reconciliations
        query = select(*_columns(Round, r)).join(accounts, accounts.c.account_id == r.c.account_id)
        if wanted.account is not None:
            query = query.where(accounts.c.name == wanted.account)
        return list(self._rows(Round, query.order_by(r.c.began_ns, r.c.reconciliation_id)))

    def fills(self, wanted: Filter = ALL) -> Iterator[Fill]:
        """Trade history: each fill once, as the exchange told it or the order updates show it, as received."""
        # The steps within the wanted time are differences to what was before it.
        before = wanted._replace(since_ns=None)
        since_ns = wanted.since_ns or 0
        venues = self._venues()

        def liquidity(order: Order) -> str:
            venue = venues.get(order.account)
            return UNKNOWN if venue is None else venue.liquidity(order.features, order.order_type)

        for fill in derive.fills(self.order_history(before), self._matched(before, venues), liquidity):
            if fill.received_ns >= since_ns:
                yield fill

    def _venues(self) -> dict[str, Venue]:
        """Account → its venue, as far as this program knows it."""
        with self._reading() as connection:
            found = connection.execute(select(accounts.c.name, accounts.c.venue)).all()
        return {name: VENUES[venue] for name, venue in found if venue in VENUES}

    def _matched(self, wanted: Filter, venues: dict[str, Venue]) -> Iterator[Fill]:
        """The newest executions that the exchange told of each order."""
        f, o = fills, order_updates
        newest_first = f.c.received_ns.desc(), f.c.session_id.desc(), f.c.seq.desc()
        age = func.dense_rank().over(partition_by=(f.c.account_id, f.c.order_id), order_by=newest_first).label("age")
        told = select(f, age)
        if wanted.until_ns is not None:
            told = told.where(f.c.received_ns < wanted.until_ns)
        newest = told.subquery()
        names = ("symbol", "direction", "order_type", "margin_currency")
        most = [func.max(o.c[name]).label(name) for name in names]
        order = select(o.c.account_id, o.c.order_id, *most).group_by(o.c.account_id, o.c.order_id).subquery()
        columns = [newest.c[name] for name in ("received_ns", "created_at", "order_id")]
        of_order = [order.c[name] for name in names]
        rest = [newest.c[name] for name in ("quantity", "price", "fee", "session_id", "seq", "item", "taker")]
        query = (
            select(accounts.c.name, *columns, *of_order, *rest)
            .join_from(newest, accounts, accounts.c.account_id == newest.c.account_id)
            .outerjoin(order, (order.c.account_id == newest.c.account_id) & (order.c.order_id == newest.c.order_id))
            .where(newest.c.age == 1)
            .order_by(newest.c.received_ns, newest.c.session_id, newest.c.seq, newest.c.item)
        )
        if wanted.account is not None:
            query = query.where(accounts.c.name == wanted.account)
        if wanted.symbol is not None:
            query = query.where(func.lower(order.c.symbol) == wanted.symbol.lower())
        for row in self._rows(_Matched, query):
            venue = venues.get(row.account)
            by_order = UNKNOWN if venue is None else venue.liquidity(None, row.order_type)
            yield Fill(
                row.account,
                row.received_ns,
                row.created_at,
                row.order_id,
                row.symbol,
                row.direction,
                row.order_type,
                row.quantity,
                row.price,
                row.fee,
                row.margin_currency,
                False,
                derive.VENUE,
                row.session_id,
                row.seq,
                row.item,
                by_order if row.taker is None else (TAKER if row.taker else MAKER),
                row.received_ns // NS_PER_MS if row.created_at is None else row.created_at,
            )

    def positions(self, wanted: Filter = ALL) -> Iterator[Position]:
        """The latest state of each position."""
        return self._latest(Position, ONCE[position_updates], wanted, "symbol")

    def balances(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """The latest balance of each currency."""
        return self._latest(Balance, ONCE[account_updates], wanted._replace(symbol=None), "currency")

    def gaps(self, wanted: Filter = ALL) -> Iterator[Gap]:
        """The stretches in which pushes may have been missed, oldest first; of several recorders, by all of them."""
        query = select(accounts.c.account_id, accounts.c.name).order_by(accounts.c.name)
        if wanted.account is not None:
            query = query.where(accounts.c.name == wanted.account)
        with self._reading() as connection:
            sides = {name: sides_of(connection, key, name) for key, name in connection.execute(query).all()}
        found = [gap for name, its_sides in sides.items() if its_sides for gap in whole_gaps(name, its_sides)]
        yield from sorted((gap for gap in found if _touches(gap, wanted)), key=lambda gap: gap.begins_ns or 0)

    def discrepancies(self, wanted: Filter = ALL) -> Iterator[Discrepancy]:
        """Where two sources contradict each other outside any known gap, oldest first.

        A symbol leaves out the positions in others; what orders and balances are about has no symbol here.
        """
        d = discrepancies
        query = select(*_columns(Discrepancy, d)).join(accounts, accounts.c.account_id == d.c.account_id)
        if wanted.account is not None:
            query = query.where(accounts.c.name == wanted.account)
        if wanted.symbol is not None:
            subject = func.lower(d.c.subject)
            query = query.where(subject.not_like("position %") | (subject == f"position {wanted.symbol.lower()}"))
        if wanted.since_ns is not None:
            query = query.where(d.c.found_ns >= wanted.since_ns)
        if wanted.until_ns is not None:
            query = query.where(d.c.found_ns < wanted.until_ns)
        key = d.c.session_id, d.c.seq, d.c.subject, d.c.field, d.c.other_session_id
        yield from self._rows(Discrepancy, query.order_by(d.c.found_ns, *key))

    def status(self) -> Status:
        """The record at a glance."""
        with self._reading() as connection:
            run = connection.execute(select(*_columns(Run, runs)).order_by(runs.c.run_id.desc()).limit(1)).first()
            found = connection.execute(select(accounts).order_by(accounts.c.name)).all()
            told = tuple(self._account_status(connection, row.account_id, row.name, row.venue) for row in found)
            written = connection.scalar(select(func.coalesce(func.sum(batches.c.frames), 0))) or 0
            size = size_bytes(connection, self._url)
        return Status(place(self._url), size, written, None if run is None else Run(*run), told)

    def _account_status(self, connection: Connection, account_id: int, name: str, venue: str) -> AccountStatus:
        mine = sessions.c.account_id == account_id
        count = connection.scalar(select(func.count()).select_from(sessions).where(mine)) or 0
        latest = connection.execute(
            select(sessions).where(mine).order_by(sessions.c.session_id.desc()).limit(1)
        ).first()
        state = "none yet" if latest is None else latest.end_reason or "connected"
        sides = sides_of(connection, account_id, name)
        last_ns = max((side.last_ns for side in sides.values() if side.last_ns is not None), default=None)
        # Written out, not bound: only then is the planner sure that the partial index holds all of them.
        bad = frames.c.account_id == account_id, frames.c.status == literal_column(f"'{UNDECODED}'")
        undecoded = connection.scalar(select(func.count()).select_from(frames).where(*bad)) or 0
        own_gaps = whole_gaps(name, sides) if sides else []
        covered = coverage(name, own_gaps, last_ns)
        told = select(func.count()).select_from(discrepancies).where(discrepancies.c.account_id == account_id)
        found = connection.scalar(told) or 0
        return AccountStatus(name, venue, len(sides), count, state, last_ns, undecoded, covered, found)

    def _latest(self, record: type[T], table: Table, wanted: Filter, thing: str) -> Iterator[T]:
        newest_first = [column.desc() for column in (_counts_ns(table), *_receipt(table))]
        age = (
            func.row_number()
            .over(partition_by=(table.c.account_id, table.c[thing]), order_by=newest_first)
            .label("age")
        )
        query = select(*_columns(record, table), age).join_from(table, reconciliations, _of_answer(table), isouter=True)
        aged = _wanted(query, table, wanted).subquery()
        latest = select(*[aged.c[name] for name in record._fields]).where(aged.c.age == 1)  # type: ignore[attr-defined]
        yield from self._rows(record, latest.order_by(aged.c.received_ns, aged.c.session_id, aged.c.seq, aged.c.item))

    def _rows(self, record: type[T], query: Select[Any]) -> Iterator[T]:
        with self._reading() as connection:
            streamed = connection.execution_options(yield_per=ROWS_PER_FETCH)
            with streamed.execute(query) as rows:
                for row in rows:
                    yield record(*row)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with explained(self._url), self._engine.connect() as connection:
            yield connection


def _receipt(table: Table) -> tuple[ColumnElement[Any], ...]:
    return table.c.received_ns, table.c.session_id, table.c.seq, table.c.item


def _of_answer(table: Table) -> ColumnElement[bool]:
    r = reconciliations.c
    return (r.account_id == table.c.account_id) & (r.reconciliation_id == table.c.session_id)


def _counts_ns(table: Table) -> ColumnElement[Any]:
    # A REST answer counts from when it was asked for: what was pushed while it was on its way is the newer word.
    return func.coalesce(reconciliations.c.began_ns, table.c.received_ns)


def _columns(record: type[T], table: Table) -> list[ColumnElement[Any]]:
    """The columns that make a record: its own fields, with the account's name for its key."""
    names: tuple[str, ...] = record._fields  # type: ignore[attr-defined]
    return [accounts.c.name.label("account") if name == "account" else table.c[name] for name in names]


def _wanted(query: Select[Any], table: Table, wanted: Filter) -> Select[Any]:
    query = query.join(accounts, accounts.c.account_id == table.c.account_id)
    if wanted.account is not None:
        query = query.where(accounts.c.name == wanted.account)
    if wanted.symbol is not None:
        query = query.where(func.lower(table.c.symbol) == wanted.symbol.lower())
    if wanted.since_ns is not None:
        query = query.where(table.c.received_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        query = query.where(table.c.received_ns < wanted.until_ns)
    return query


def _history(record: type[T], table: Table, wanted: Filter) -> Select[Any]:
    return _wanted(select(*_columns(record, table)), table, wanted).order_by(*_receipt(table))


def _touches(gap: Gap, wanted: Filter) -> bool:
    """Whether a gap lies in the wanted time, at least in part, and may hide something of the wanted contract."""
    if wanted.symbol is not None and gap.topic is not None and not gap.topic.endswith(f".{wanted.symbol.lower()}"):
        return False
    if wanted.since_ns is not None and gap.ends_ns is not None and gap.ends_ns < wanted.since_ns:
        return False
    return wanted.until_ns is None or gap.begins_ns is None or gap.begins_ns < wanted.until_ns
