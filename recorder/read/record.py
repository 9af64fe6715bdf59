"""A record, opened for reading."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import Connection, Select, Table, func, literal_column, select

from recorder.clock import NS_PER_MS, datetime_ns
from recorder.model import MAKER, PUSH, TAKER, UNDECODED, UNKNOWN
from recorder.read import queries
from recorder.read.answers import Answers
from recorder.read.books.reading import Watch, keep_books
from recorder.read.books.transfers import NamedTransfers
from recorder.read.coverage.gaps import coverage, whole_gaps
from recorder.read.coverage.recorders import coverage_by_recorder
from recorder.read.queries import Closed
from recorder.read.records import (
    ALL,
    AccountStatus,
    Balance,
    Book,
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
from recorder.read.replay.events import Event
from recorder.read.replay.frames import FrameReader
from recorder.read.replay.replaying import replay
from recorder.read.replay.request import ReplayRequest, plan_replay
from recorder.read.scope import account_is, account_labels, recorded_accounts
from recorder.read.state.as_of import AsOf
from recorder.read.trading import fills as derive
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
from recorder.venues import find_venue
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
        self._shared: Connection | None = None
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

    @property
    def url(self) -> str:
        """The address it was opened by; it may hold a password."""
        return self._url

    @contextmanager
    def at_one_moment(self) -> Iterator[Connection]:
        """Inside, all reads see one and the same state of the database. For one thread alone.

        Gives the connection they share, for questions that no read answers.
        """
        with self.reading() as connection:
            before, self._shared = self._shared, connection
            try:
                yield connection
            finally:
                self._shared = before

    def as_of(self, t: int | datetime) -> AsOf:
        """The same reads, of what was known at an instant, by receipt.

        Args:
            t: the instant, as nanoseconds since 1970 or with its time zone. What was received in it was known.

        Raises:
            ValueError: it lacks its time zone.
        """
        return AsOf(self, self.reading, t if isinstance(t, int) else datetime_ns(t))

    def orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The latest state of each order, oldest change first."""
        return self._latest(Order, order_updates, wanted, "order_id")

    def open_orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The orders that can still change, oldest change first."""
        latest_ns = 2**63 - 2 if wanted.until_ns is None else wanted.until_ns - 1
        return self.as_of(latest_ns).open_orders(wanted)

    def closed_orders(self, closed: Closed, wanted: Filter = ALL) -> Iterator[Order]:
        """The latest state of each order that has come to its end, the newest order first.

        Args:
            closed: made when, and before which.
            wanted: of which account, contract and time of receipt.
        """
        return self._rows(Order, partial(queries.closed_orders, closed, wanted))

    def order_history(self, wanted: Filter = ALL) -> Iterator[Order]:
        """Every update of every order, in the order of receipt."""
        yield from self._rows(Order, partial(queries.history, Order, order_updates, wanted))

    def position_history(self, wanted: Filter = ALL, *, as_it_happened: bool = False) -> Iterator[Position]:
        """Every state of every position, in the order of receipt.

        Args:
            wanted: which.
            as_it_happened: in the order in which they came to be, by the exchange's clock: an answer may be of a moment
                after pushes that come after it.
        """
        in_order = partial(queries.history, Position, position_updates)
        yield from self._rows(
            Position, partial(queries.positions_as_they_happened if as_it_happened else in_order, wanted)
        )

    def balance_history(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """Every balance, in the order of receipt."""
        yield from self._rows(Balance, partial(queries.history, Balance, account_updates, wanted._replace(symbol=None)))

    def rounds(self, wanted: Filter = ALL) -> list[Round]:
        """The rounds of questions to the exchange, oldest first."""
        return list(self._rows(Round, partial(queries.rounds, wanted)))

    def fills(self, wanted: Filter = ALL) -> Iterator[Fill]:
        """Trade history: each fill once, as the exchange told it or the order updates show it, as received."""
        # The steps within the wanted time are differences to what was before it.
        before = wanted._replace(since_ns=None)
        venues = self.venues()
        told = derive.fills(self.order_history(before), self._matched(before, venues), _liquidity(venues))
        yield from (fill for fill in told if fill.received_ns >= (wanted.since_ns or 0))

    def fills_by_order(self, wanted: Filter = ALL) -> Iterator[Fill]:
        """The same fills, one order after the other: memory does not grow with the orders."""
        before, venues = wanted._replace(since_ns=None), self.venues()
        updates = self._rows(Order, partial(queries.filled_orders, before))
        told = derive.fills_by_order(updates, self._matched(before, venues), _liquidity(venues))
        yield from (fill for fill in told if fill.received_ns >= (wanted.since_ns or 0))

    def venues(self) -> dict[str, Venue]:
        """Account → its venue, as far as this program knows it."""
        with self.reading() as connection:
            labels = account_labels(connection)
            found = recorded_accounts(connection)
        return {labels[one.account_id]: venue for one in found if (venue := find_venue(one.venue))}

    def _matched(self, wanted: Filter, venues: dict[str, Venue]) -> Iterator[Fill]:
        """The newest executions that the exchange told of each order."""
        for row in self._rows(_Matched, partial(queries.matched, wanted)):
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
        return self._latest(Position, position_updates, wanted, "symbol")

    def balances(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """The latest balance of each currency."""
        return self._latest(Balance, account_updates, wanted._replace(symbol=None), "currency")

    def gaps(self, wanted: Filter = ALL) -> Iterator[Gap]:
        """The stretches in which pushes may have been missed, oldest first; of several recorders, by all of them."""
        query = select(accounts.c.account_id)
        if wanted.account is not None:
            query = query.where(account_is(wanted.account))
        with self.reading() as connection:
            keys = set(connection.scalars(query))
            labels = account_labels(connection)
            sides = {name: coverage_by_recorder(connection, key, name) for key, name in labels.items() if key in keys}
        found = [gap for name, its_sides in sides.items() if its_sides for gap in whole_gaps(name, its_sides)]
        yield from sorted((gap for gap in found if queries.touches(gap, wanted)), key=lambda gap: gap.begins_ns or 0)

    def books(
        self, wanted: Filter = ALL, named: NamedTransfers | None = None, watch: Watch | None = None
    ) -> Iterator[Book]:
        """The books of each currency over each stretch of full coverage: what it changed by, and what explains that.

        Args:
            wanted: an account and a time, within which stretches are reckoned; a symbol does not count, for all
                positions share a balance.
            named: transfers that are known. Those that explain a change are taken out of it.
            watch: told now and then how much is done, from 0 to 1.
        """
        with self.reading() as connection:
            yield from keep_books(
                connection, wanted.account, wanted.since_ns, wanted.until_ns, named or NamedTransfers(), watch
            )

    def discrepancies(self, wanted: Filter = ALL) -> Iterator[Discrepancy]:
        """Where two sources contradict each other outside any known gap, oldest first.

        A symbol leaves out the positions in others; what orders and balances are about has no symbol here.
        """
        d = discrepancies
        with self.reading() as connection:
            columns = queries.columns_of(Discrepancy, d, connection)
        query = select(*columns).join(accounts, accounts.c.account_id == d.c.account_id)
        if wanted.account is not None:
            query = query.where(account_is(wanted.account))
        if wanted.symbol is not None:
            subject = func.lower(d.c.subject)
            query = query.where(subject.not_like("position %") | (subject == f"position {wanted.symbol.lower()}"))
        if wanted.since_ns is not None:
            query = query.where(d.c.found_ns >= wanted.since_ns)
        if wanted.until_ns is not None:
            query = query.where(d.c.found_ns < wanted.until_ns)
        key = d.c.session_id, d.c.seq, d.c.subject, d.c.field, d.c.other_session_id
        yield from self._rows(Discrepancy, lambda _: query.order_by(d.c.found_ns, *key))

    def replay(
        self,
        since_ns: int | None = None,
        until_ns: int | None = None,
        accounts: Collection[str] | None = None,
        topics: Collection[str] | None = None,
        *,
        sources: Collection[str] = (PUSH,),
        after: tuple[int, int] | None = None,
        all_sightings: bool = False,
        require_complete: bool = False,
    ) -> Iterator[Event]:
        """The record again: its frames in its order, and sessions and gaps among them, in their places.

        Args:
            since_ns: received at or after, nanoseconds since 1970. Connections and gaps that go on there come first.
            until_ns: received before.
            accounts: by name; None: all.
            topics: of pushes; None: all. A frame that could not be decoded may be of any.
            sources: of frames: `push`, `rest`, `sent`, `snapshot`.
            after: session and number of a frame: go on after it, with what the same replay gave there.
            all_sightings: also what several recorders saw of one push.
            require_complete: refuse a stretch with gaps.

        Raises:
            ConfigurationError: an account, a topic, a source or a time that the record does not have.
            Incomplete: it has gaps, and none are wanted.
        """
        names = None if accounts is None else tuple(accounts)
        wanted = None if topics is None else tuple(topics)
        asked = ReplayRequest(since_ns, until_ns, names, wanted, tuple(sources), after, all_sightings, require_complete)
        with self.reading() as connection:
            script = plan_replay(connection, asked)
        return replay(FrameReader(self._engine, self._url), script)

    def topics(self) -> dict[str, tuple[str, ...]]:
        """Account → what of it has been subscribed to, in the order of the first subscription."""
        s = sessions.c
        query = select(s.account_id, s.topics).group_by(s.account_id, s.topics).order_by(func.min(s.session_id))
        with self.reading() as connection:
            labels = account_labels(connection)
            found: dict[str, dict[str, None]] = {label: {} for label in labels.values()}
            for account_id, topics in connection.execute(query):
                found[labels[account_id]].update(dict.fromkeys(topics.split()))
        return {name: tuple(topics) for name, topics in found.items()}

    def status(self) -> Status:
        """The record at a glance."""
        with self.reading() as connection:
            last = select(*queries.columns_of(Run, runs, connection)).order_by(runs.c.run_id.desc()).limit(1)
            run = connection.execute(last).first()
            labels = account_labels(connection)
            found = recorded_accounts(connection)
            told = tuple(
                self._account_status(connection, one.account_id, labels[one.account_id], one.venue) for one in found
            )
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
        sides = coverage_by_recorder(connection, account_id, name)
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
        yield from self._rows(record, partial(queries.latest, record, table, thing, wanted))

    def _rows(self, record: type[T], question: Callable[[Connection], Select[Any]]) -> Iterator[T]:
        # Of the statement, not of the connection, which may serve other questions too.
        streamed = {"yield_per": ROWS_PER_FETCH}
        with self.reading() as connection, connection.execute(question(connection), execution_options=streamed) as rows:
            for row in rows:
                yield record(*row)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that only reads."""
        if self._shared is not None:
            yield self._shared
            return
        with explained(self._url), self._engine.connect() as connection:
            yield connection


def _liquidity(venues: dict[str, Venue]) -> Callable[[Order], str]:
    def told(order: Order) -> str:
        venue = venues.get(order.account)
        return UNKNOWN if venue is None else venue.liquidity(order.features, order.order_type)

    return told
