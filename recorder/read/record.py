"""A record, opened for reading."""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, func, literal_column, select, union_all

from recorder.clock import datetime_ns
from recorder.model import PUSH, REPEATED, UNDECODED
from recorder.read import queries
from recorder.read.backfilled import history_since
from recorder.read.books.books import NamedTransfers, Watch, keep_books, wallets_without_books
from recorder.read.coverage import (
    InstantCoverage,
    coverage,
    coverage_by_recorder,
    instant_coverage,
    latest_frame_ns,
    whole_gaps,
)
from recorder.read.reads import NS_MAX, NS_MIN, RecordReads
from recorder.read.records import ALL, AccountStatus, Book, Discrepancy, Filter, RecorderRun, Status
from recorder.read.replay.events import Event
from recorder.read.replay.frames import FrameReader
from recorder.read.replay.plan import ReplayRequest, plan_replay
from recorder.read.replay.replaying import replay
from recorder.read.scope import LabelledAccount, account_is, labelled_accounts
from recorder.read.transactions import Transaction
from recorder.store import migrate
from recorder.store.engine import explained, open_engine, place, size_bytes
from recorder.store.schema import accounts, discrepancies, frames, reconciliations, runs, sessions

__all__ = ["ALL", "AsOf", "Filter", "Record"]


class Record(RecordReads):
    """A record. Each read sees one consistent state of the database, also while a recorder writes to it.

    Args:
        url: of the database.

    Raises:
        DatabaseError: there is none, or it does not have this program's schema.
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
        """Close the connections to the database."""
        self._engine.dispose()

    @property
    def url(self) -> str:
        """The address it was opened by, which may contain a password."""
        return self._url

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only connection."""
        if self._shared is not None:
            yield self._shared
            return
        with explained(self._url), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def at_one_moment(self) -> Iterator[Connection]:
        """A context in which all reads see the same state of the database. For one thread only.

        Gives the connection that they share, for queries of your own.
        """
        with self.reading() as connection:
            before, self._shared = self._shared, connection
            try:
                yield connection
            finally:
                self._shared = before

    def as_of(self, t: int | datetime) -> "AsOf":
        """The same reads, as known at an instant, by receipt.

        Args:
            t: the instant, as nanoseconds since 1970 or with its time zone. What was received in it was known.

        Raises:
            ValueError: it lacks a time zone.
        """
        return AsOf(self, t if isinstance(t, int) else datetime_ns(t))

    def books(
        self, wanted: Filter = ALL, named: NamedTransfers | None = None, watch: Watch | None = None
    ) -> Iterator[Book]:
        """The books of each currency over each interval of full coverage: its changes, and what explains them.

        Args:
            wanted: an account and a time, to which intervals are cut; a symbol is ignored, because all positions share
                a balance.
            named: known transfers. Those that explain a change are taken out of it.
            watch: called now and then with the progress, from 0 to 1.
        """
        with self.reading() as connection:
            yield from keep_books(connection, wanted, named or NamedTransfers(), watch)

    def wallets_without_books(self, wanted: Filter = ALL) -> list[tuple[str, str]]:
        """The wallets that `books` leaves out because their venue documents too little: account and wallet of each."""
        with self.reading() as connection:
            return list(wallets_without_books(connection, wanted.account))

    def transactions(self, wanted: Filter = ALL, newest: int | None = None) -> Iterator[Transaction]:
        """Each transaction of the venue's ledger once, in the order of receipt.

        Args:
            wanted: which.
            newest: only so many, the last ones; None: all.
        """
        rows = self._rows(Transaction, lambda connection: queries.money_movements(wanted, newest, connection))
        yield from rows if newest is None else reversed(list(rows))

    def discrepancies(self, wanted: Filter = ALL) -> Iterator[Discrepancy]:
        """Where two sources contradict each other outside any known gap, oldest first.

        A symbol leaves out the positions in other contracts; discrepancies of orders and balances have no symbol.
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
        sources: Collection[str] = (PUSH, REPEATED),
        after: tuple[int, int] | None = None,
        all_sightings: bool = False,
        require_complete: bool = False,
    ) -> Iterator[Event]:
        """The recorded frames in the order of the record, with sessions and gaps as events among them.

        Args:
            since_ns: received at or after, nanoseconds since 1970. Sessions and gaps that are going on then come first.
            until_ns: received before.
            accounts: by name; None: all.
            topics: of pushes; None: all. Frames that could not be decoded are always included.
            sources: of frames: `push`, `repeated` (pushes of a state that has not changed), `rest`, `sent`, `snapshot`.
            after: session and number of a frame: continue after it with what the same replay gave there.
            all_sightings: include a push once for each recorder that received it.
            require_complete: refuse a period with gaps.

        Raises:
            ConfigurationError: the record does not have an account, topic, source or time.
            Incomplete: it has gaps, and the replay must be complete.
        """
        names = None if accounts is None else tuple(accounts)
        wanted = None if topics is None else tuple(topics)
        request = ReplayRequest(
            since_ns, until_ns, names, wanted, tuple(sources), after, all_sightings, require_complete
        )
        with self.reading() as connection:
            plan = plan_replay(connection, request)
        return replay(FrameReader(self._engine, self._url), plan)

    def topics(self) -> dict[str, tuple[str, ...]]:
        """Account → the topics subscribed to, in the order of the first subscription."""
        s = sessions.c
        query = select(s.account_id, s.topics).group_by(s.account_id, s.topics).order_by(func.min(s.session_id))
        with self.reading() as connection:
            labels = {one.account_id: one.label for one in labelled_accounts(connection)}
            found: dict[str, dict[str, None]] = {label: {} for label in labels.values()}
            for account_id, topics in connection.execute(query):
                found[labels[account_id]].update(dict.fromkeys(topics.split()))
        return {name: tuple(topics) for name, topics in found.items()}

    def status(self) -> Status:
        """The record at a glance."""
        with self.reading() as connection:
            last = select(*queries.columns_of(RecorderRun, runs, connection)).order_by(runs.c.run_id.desc()).limit(1)
            run = connection.execute(last).first()
            found = tuple(_account_status(connection, one) for one in labelled_accounts(connection))
            written = _count_frames(connection)
            size = size_bytes(connection, self._url)
        return Status(place(self._url), size, written, None if run is None else RecorderRun(*run), found)


class AsOf(RecordReads):
    """A record as it was known at an instant, by receipt; `Record.as_of` makes it. The venue's clock is not used.

    Everything that any recorder had received by then was known, and nothing that came later, whenever it says that it
    happened: what a REST answer reports of a gap is known from the receipt of the answer.
    """

    at_ns: int

    def __init__(self, record: Record, at_ns: int) -> None:
        # What a database can compare.
        self.at_ns = min(max(at_ns, NS_MIN), NS_MAX)
        self._asked_ns = at_ns
        self._record = record

    def reading(self) -> AbstractContextManager[Connection]:
        """A read-only connection."""
        return self._record.reading()

    def coverage(self, wanted: Filter = ALL) -> list[InstantCoverage]:
        """Whether each account covered the instant, as is known now, including what became of a gap."""
        with self.reading() as connection:
            found = [
                instant_coverage(one.label, coverage_by_recorder(connection, one.account_id, one.label), self.at_ns)
                for one in labelled_accounts(connection, wanted.account)
            ]
        return [one._replace(at_ns=self._asked_ns) for one in found]


def _count_frames(connection: Connection) -> int:
    """How many frames there are: each session and each round numbers its own from 0."""
    f, ids = (
        frames.c,
        union_all(
            select(sessions.c.account_id, sessions.c.session_id),
            select(reconciliations.c.account_id, reconciliations.c.reconciliation_id),
        ).subquery("ids"),
    )
    mine = f.account_id == ids.c.account_id, f.session_id == ids.c.session_id
    last = select(func.max(f.seq)).where(*mine).correlate(ids).scalar_subquery()
    return connection.scalar(select(func.sum(func.coalesce(last + 1, 0))).select_from(ids)) or 0


def _account_status(connection: Connection, account: LabelledAccount) -> AccountStatus:
    mine = sessions.c.account_id == account.account_id
    count = connection.scalar(select(func.count()).select_from(sessions).where(mine)) or 0
    latest = connection.execute(select(sessions).where(mine).order_by(sessions.c.session_id.desc()).limit(1)).first()
    state = "none yet" if latest is None else latest.end_reason or "connected"
    by_recorder = coverage_by_recorder(connection, account.account_id, account.label)
    last_ns = latest_frame_ns(by_recorder)
    # A literal, not a parameter: only then does the planner use the partial index.
    bad = frames.c.account_id == account.account_id, frames.c.status == literal_column(f"'{UNDECODED}'")
    undecoded = connection.scalar(select(func.count()).select_from(frames).where(*bad)) or 0
    covered = coverage(account.label, whole_gaps(account.label, by_recorder), last_ns)
    of_account = discrepancies.c.account_id == account.account_id
    found = connection.scalar(select(func.count()).select_from(discrepancies).where(of_account)) or 0
    return AccountStatus(
        account.label,
        account.venue,
        len(by_recorder),
        count,
        state,
        last_ns,
        undecoded,
        covered,
        found,
        history_since(connection, account.account_id),
        queries.reused_order_ids(connection, account.account_id),
    )
