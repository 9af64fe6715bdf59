"""A record, opened for reading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import Connection, Select, Table, func, literal_column, select

from recorder.clock import datetime_ns
from recorder.model import UNDECODED
from recorder.read import fills as derive
from recorder.read.as_of import AsOf
from recorder.read.coverage import coverage, whole_gaps
from recorder.read.records import AccountStatus, Balance, Discrepancy, Fill, Gap, Order, Position, Run, Status
from recorder.read.selects import ALL, Filter, columns_of, history, latest, matched, touches
from recorder.read.sides import sides_of
from recorder.store import migrate
from recorder.store.engine import explained, open_engine, place, size_bytes
from recorder.store.schema import (
    account_updates,
    accounts,
    batches,
    discrepancies,
    frames,
    order_updates,
    position_updates,
    runs,
    sessions,
)

__all__ = ["ALL", "ROWS_PER_FETCH", "Filter", "Record"]

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


class Record:
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

    def as_of(self, t: int | datetime) -> AsOf:
        """The same reads, of what was known at an instant, by receipt.

        Args:
            t: the instant, as nanoseconds since 1970 or with its time zone. What was received in it was known.

        Raises:
            ValueError: it lacks its time zone.
        """
        return AsOf(self, self._reading, t if isinstance(t, int) else datetime_ns(t))

    def orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The latest state of each order, oldest change first."""
        return self._latest(Order, order_updates, wanted, "order_id")

    def open_orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The orders that can still change, oldest change first."""
        latest_ns = 2**63 - 2 if wanted.until_ns is None else wanted.until_ns - 1
        return self.as_of(latest_ns).open_orders(wanted)

    def order_history(self, wanted: Filter = ALL) -> Iterator[Order]:
        """Every update of every order, in the order of receipt."""
        yield from self._rows(Order, partial(history, wanted))

    def fills(self, wanted: Filter = ALL) -> Iterator[Fill]:
        """Trade history: each fill once, as the exchange told it or the order updates show it, as received."""
        # The steps within the wanted time are differences to what was before it.
        before = wanted._replace(since_ns=None)
        since_ns = wanted.since_ns or 0
        for fill in derive.fills(self.order_history(before), self._matched(before)):
            if fill.received_ns >= since_ns:
                yield fill

    def _matched(self, wanted: Filter) -> Iterator[Fill]:
        """The newest executions that the exchange told of each order."""
        for row in self._rows(_Matched, partial(matched, wanted)):
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
            )

    def positions(self, wanted: Filter = ALL) -> Iterator[Position]:
        """The latest state of each position."""
        return self._latest(Position, position_updates, wanted, "symbol")

    def balances(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """The latest balance of each currency."""
        return self._latest(Balance, account_updates, wanted._replace(symbol=None), "currency")

    def gaps(self, wanted: Filter = ALL) -> Iterator[Gap]:
        """The stretches in which pushes may have been missed, oldest first; of several recorders, by all of them."""
        query = select(accounts.c.account_id, accounts.c.name).order_by(accounts.c.name)
        if wanted.account is not None:
            query = query.where(accounts.c.name == wanted.account)
        with self._reading() as connection:
            sides = {name: sides_of(connection, key, name) for key, name in connection.execute(query).all()}
        found = [gap for name, its_sides in sides.items() if its_sides for gap in whole_gaps(name, its_sides)]
        yield from sorted((gap for gap in found if touches(gap, wanted)), key=lambda gap: gap.begins_ns or 0)

    def discrepancies(self, wanted: Filter = ALL) -> Iterator[Discrepancy]:
        """Where two sources contradict each other outside any known gap, oldest first.

        A symbol leaves out the positions in others; what orders and balances are about has no symbol here.
        """
        d = discrepancies
        query = select(*columns_of(Discrepancy, d)).join(accounts, accounts.c.account_id == d.c.account_id)
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
        yield from self._rows(Discrepancy, lambda _: query.order_by(d.c.found_ns, *key))

    def status(self) -> Status:
        """The record at a glance."""
        with self._reading() as connection:
            run = connection.execute(select(*columns_of(Run, runs)).order_by(runs.c.run_id.desc()).limit(1)).first()
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
        yield from self._rows(record, partial(latest, record, table, thing, wanted))

    def _rows(self, record: type[T], question: Callable[[Connection], Select[Any]]) -> Iterator[T]:
        with self._reading() as connection:
            query = question(connection)
            streamed = connection.execution_options(yield_per=ROWS_PER_FETCH)
            with streamed.execute(query) as rows:
                for row in rows:
                    yield record(*row)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with explained(self._url), self._engine.connect() as connection:
            yield connection
