"""States of a position by the time at which they came to be, found without reading the others.

A state is dated by the venue, or else by its receipt. Of states of one millisecond the later one is the one that was
requested or pushed later.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import cache
from heapq import heappop, heappush
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, literal_column, select

from recorder.clock import NS_PER_MS
from recorder.read.scope import LabelledAccount
from recorder.read.sums import FIRST_MS, Calendar, Realized, RealizedKey, growth
from recorder.read.trips import Report, part_of
from recorder.store.gaps import PARTIAL, RECONCILED
from recorder.store.journal import FrameRange
from recorder.store.schema import POSITION_MS, position_updates, reconciliations
from recorder.store.state_index import counts_ns

_p, _r = position_updates.c, reconciliations.c
_AT_MS: ColumnElement[int] = literal_column(POSITION_MS)
_COUNTS_NS = counts_ns(_p)
_ORDER = (_AT_MS, _COUNTS_NS, _p.received_ns, _p.session_id, _p.seq, _p.item)
_OF_ROUND = and_(_r.account_id == _p.account_id, _r.reconciliation_id == _p.session_id)


#: After everything that was ever received, ns.
_NEVER_NS = 2**63 - 1
#: How long after a change it is pushed, ms. A state that is pushed later is an older one, sent again.
PUSHED_MS = 1_000


class PositionKey(NamedTuple):
    """What identifies a position of an account, in the order of `model.Thing`."""

    symbol: str
    market: str | None
    position_side: str | None
    position_id: str | None


def within(table: Any) -> list[ColumnElement[bool]]:
    """Conditions for the rows of one range of frames, whose fields are the parameters."""
    return [
        table.c.account_id == bindparam("account_id"),
        table.c.session_id == bindparam("session_id"),
        table.c.seq.between(bindparam("first_seq"), bindparam("last_seq")),
    ]


def reported_within(connection: Connection, frames: FrameRange) -> Iterator[Any]:
    """The positions that the venue reported in some frames: market, symbol, position side, first and last time, ms.

    That of a `Report` may be later by `PUSHED_MS`.
    """
    return iter(connection.execute(_reported_within(), frames._asdict()))


@cache
def _reported_within() -> Select[Any]:
    of = (func.coalesce(_p.market, ""), _p.symbol, func.coalesce(_p.position_side, ""))
    names = ("market", "symbol", "position_side")
    columns = [column.label(name) for name, column in zip(names, of, strict=True)]
    times = func.min(_AT_MS).label("since_ms"), func.max(_AT_MS).label("until_ms")
    return select(*columns, *times).where(*within(position_updates), _p.quantity.is_not(None)).group_by(*of)


def reports(
    connection: Connection, account_id: int, key: Mapping[str, str | None], from_ms: int, until_ns: int
) -> Generator[Report]:
    """The quantities of a position that the venue reported from an instant on, in order. To be closed.

    A push comes after the fills that it includes, while the time of the change may be earlier than theirs.
    """
    query = _of(tuple((name, value is None) for name, value in key.items()), "quantity")
    query = query.where(bindparam("from_ms") <= _AT_MS).order_by(*_ORDER)
    values = {"account_id": account_id, "from_ms": max(from_ms - PUSHED_MS, FIRST_MS), "until_ns": until_ns}
    waiting: list[tuple[int, int, Report]] = []
    with connection.execute(query, values | _given(key), execution_options={"yield_per": 500}) as rows:
        for number, row in enumerate(rows):
            while waiting and waiting[0][0] < row.at_ms:
                yield heappop(waiting)[-1]
            pushed = row.event_ms is not None and 0 <= row.event_ms - row.at_ms <= PUSHED_MS
            report = Report(row.event_ms if pushed else row.at_ms, row.quantity, part_of(row))
            if report.at_ms >= from_ms:
                heappush(waiting, (report.at_ms, number, report))
    while waiting:
        yield heappop(waiting)[-1]


def realized(
    connection: Connection,
    account: LabelledAccount,
    keys: Iterable[PositionKey],
    calendar: Calendar,
    since_ms: int,
    until_ms: int,
    until_ns: int,
) -> tuple[dict[RealizedKey, Realized], dict[tuple[str, str], int]]:
    """How the venue's own figures of realized PnL grew, by periods.

    What a figure was before its first known state is unknown, unless an earlier REST answer listed all positions
    without it: then it was nothing.

    Args:
        connection: to the record.
        account: whose positions.
        keys: which positions.
        calendar: its periods.
        since_ms: growth from this instant on, ms since 1970.
        until_ms: and before this one.
        until_ns: only of states received before this instant, ns since 1970.

    Returns:
        The sums; and of each market and symbol, since when its figure is known, ms since 1970.
    """
    found: dict[RealizedKey, Realized] = {}
    begins: dict[tuple[str, str], int] = {}

    def add(at_ms: int, key: PositionKey, more: Realized) -> None:
        of = calendar.period(at_ms), account.label, key.market or None, key.symbol
        found[of] = found.get(of, Realized()).with_other(more)

    for key, start in figure_starts(connection, account.account_id, keys, until_ns):
        look = _Figure(connection, account.account_id, key, until_ns)
        was_nothing = start.known_ms is None
        before = Realized().total if was_nothing else start.value
        if start.known_ms is not None:
            of = key.market or "", key.symbol
            begins[of] = max(begins.get(of, start.known_ms), start.known_ms)
        earlier = look.last_before(since_ms)
        before = before if earlier is None else earlier.realized_pnl
        at_ms = since_ms
        while (state := look.first_from(at_ms)) is not None and state.at_ms < until_ms:
            at_ms = min(calendar.end_ms(state.at_ms), until_ms)
            last = look.last_before(at_ms)
            add(state.at_ms, key, Realized(growth(last.realized_pnl, before)))
            before = last.realized_pnl
        for one in look.answers():
            if since_ms <= one.at_ms < until_ms:
                earlier = look.before(one)
                if earlier is not None or was_nothing:
                    value = Realized().total if earlier is None else earlier.realized_pnl
                    add(one.at_ms, key, Realized(over_gaps=growth(one.realized_pnl, value)))
    return found, begins


class FigureStart(NamedTuple):
    """The first known state of a position's realized PnL."""

    at_ms: int
    value: Any
    #: Until when fills are not in its growth, ms since 1970; None: it was nothing before.
    known_ms: int | None


def figure_starts(
    connection: Connection, account_id: int, keys: Iterable[PositionKey], until_ns: int
) -> Iterator[tuple[PositionKey, FigureStart]]:
    """The first known states of some positions, by states received before an instant, ns since 1970."""
    listed_ns = connection.scalar(_listed(), {"account_id": account_id})
    for key in keys:
        first = _Figure(connection, account_id, key, until_ns).first_from(FIRST_MS)
        if first is None:
            continue
        # Not when it came to be: fills in between would be in it.
        known_ms = first.counts_ns // NS_PER_MS if first.event_ms is None else first.event_ms
        was_nothing = listed_ns is not None and listed_ns < first.received_ns
        yield key, FigureStart(first.at_ms, first.realized_pnl, None if was_nothing else known_ms)


def figures_within(connection: Connection, frames: FrameRange) -> Iterator[tuple[PositionKey, int]]:
    """The positions whose realized PnL the venue reported in some frames, and when, ms since 1970."""
    for at_ms, *key in connection.execute(_figures_within(), frames._asdict()):
        yield PositionKey(*key), at_ms


@cache
def _figures_within() -> Select[Any]:
    key = (_p[name] for name in PositionKey._fields)
    return select(_AT_MS, *key).where(*within(position_updates), _p.realized_pnl.is_not(None))


def next_figure_ms(connection: Connection, account_id: int, key: PositionKey, from_ms: int) -> int | None:
    """When the first known state of a position's realized PnL from an instant on came to be; both ms since 1970."""
    found = _Figure(connection, account_id, key, _NEVER_NS).first_from(from_ms)
    return None if found is None else found.at_ms


class _Figure:
    """The realized PnL of one position, as the venue reported it."""

    def __init__(self, connection: Connection, account_id: int, key: PositionKey, until_ns: int) -> None:
        self._connection = connection
        self._names = tuple((name, value is None) for name, value in key._asdict().items())
        self._query = _of(self._names, "realized_pnl")
        self._values = {"account_id": account_id, "until_ns": until_ns, **_given(key._asdict())}

    def first_from(self, at_ms: int) -> Any:
        """The first state from an instant on."""
        return self._next(at_ms, is_before=False)

    def last_before(self, at_ms: int) -> Any:
        """The last state before an instant."""
        return self._next(at_ms, is_before=True)

    def _next(self, at_ms: int, *, is_before: bool) -> Any:
        query = _next(self._names, "realized_pnl", is_before=is_before)
        return self._connection.execute(query, self._values | {"at_ms": at_ms}).first()

    def answers(self) -> list[Any]:
        """The states that were requested over REST."""
        # From the rounds, which are few.
        asked = select(_r.reconciliation_id).where(_r.account_id == bindparam("account_id"))
        ids = self._connection.scalars(asked, {"account_id": self._values["account_id"]}).all()
        found: list[Any] = []
        for start in range(0, len(ids), 500):
            query = self._query.where(_p.session_id.in_(bindparam("ids", expanding=True)))
            found += self._connection.execute(query, self._values | {"ids": ids[start : start + 500]})
        return found

    def before(self, one: Any) -> Any:
        """The state before another one."""
        states = self._query.where(bindparam("at_ms") == _AT_MS).order_by(*_ORDER)
        earlier = None
        for state in self._connection.execute(states, self._values | {"at_ms": one.at_ms}):
            if state == one:
                return earlier or self.last_before(one.at_ms)
            earlier = state
        return earlier


@cache
def _next(names: tuple[tuple[str, bool], ...], what: str, *, is_before: bool) -> Select[Any]:
    """The state next to an instant; the parameters are those of `_of`, and the instant."""

    def direction(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column.desc() if is_before else column.asc()

    # In the order of the index, from which PostgreSQL otherwise does not take the first row: it does not know that a
    # column that must be NULL has one value.
    in_order = [direction(one) for one in (_p.market, _p.position_side, _AT_MS)]
    near = bindparam("at_ms") > _AT_MS if is_before else bindparam("at_ms") <= _AT_MS
    these = _p.account_id == bindparam("account_id"), _p[what].is_not(None), _p.received_ns < bindparam("until_ns")
    nearest = select(_AT_MS).select_from(position_updates).where(*these, *_is(names), near)
    at_ms = nearest.order_by(*in_order).limit(1).correlate(None).scalar_subquery()
    return _of(names, what).where(at_ms == _AT_MS).order_by(*map(direction, _ORDER)).limit(1)


def _is(names: tuple[tuple[str, bool], ...]) -> list[ColumnElement[bool]]:
    return [_p[name].is_(None) if is_null else _p[name] == bindparam(f"of_{name}") for name, is_null in names]


@cache
def _of(names: tuple[tuple[str, bool], ...], what: str) -> Select[Any]:
    """The states of a position that have some field; `names` are the columns of its key, and which are NULL."""
    columns = _AT_MS.label("at_ms"), _COUNTS_NS.label("counts_ns"), _p.received_ns, _p.event_ms
    which = _p.position_id, _p.margin_mode
    place = _p.session_id, _p.seq, _p.item
    these = _p.account_id == bindparam("account_id"), _p[what].is_not(None), _p.received_ns < bindparam("until_ns")
    joined = position_updates.outerjoin(reconciliations, _OF_ROUND)
    return select(*columns, *place, *which, _p[what]).select_from(joined).where(*these, *_is(names))


def _given(key: Mapping[str, str | None]) -> dict[str, str]:
    return {f"of_{name}": value for name, value in key.items() if value is not None}


@cache
def _listed() -> Select[Any]:
    """When REST had first listed all positions of an account, ns since 1970."""
    return select(func.min(_r.ended_ns)).where(
        _r.account_id == bindparam("account_id"), _r.result.in_((RECONCILED, PARTIAL))
    )
