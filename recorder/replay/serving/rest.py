"""What REST reports of a recorded account at a point in time: what had been received by then."""

import logging
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, column, select, values

from recorder.clock import NS_PER_MS
from recorder.model import DECODED, UNKNOWN, FillUpdate
from recorder.read.fills import VENUE
from recorder.read.queries import Closed
from recorder.read.record import Record
from recorder.read.records import Fill, Filter, Order
from recorder.read.scope import find_account
from recorder.store.columns import Int64
from recorder.store.schema import frames, transactions
from recorder.venues.stand_in import StandIn
from recorder.venues.view import NEVER_MS, Entry, Execution, SentState, Span

log = logging.getLogger("recorder.replay")

#: First frames of an account that are searched for its key, where keys are public: among them is a subscription.
FRAMES_WITH_KEY = 100

#: Frames read in one statement, for which a connection is opened: a page of a history has at most some hundred.
FRAMES_MAX = 200


class RecordedAccount:
    """Implements `recorder.venues.view.AccountView`. Queries the record on each call.

    Args:
        record: the record.
        account: name of the account.
        topics: the topics that were subscribed to.
        at_ns: the point in time, nanoseconds since 1970.
    """

    def __init__(self, record: Record, account: str, topics: tuple[str, ...], at_ns: int) -> None:
        self.topics = topics
        self._as_of = record.as_of(at_ns)
        # Clamped to 64 bits, so that it can be converted to a date.
        self.now_ms = self._as_of.at_ns // NS_PER_MS
        self._mine = Filter(account=account)

    def balances(self) -> Iterator[SentState]:
        """The balance of each currency."""
        return self._sent(list(self._as_of.balances(self._mine)))

    def positions(self) -> Iterator[SentState]:
        """The positions known by then."""
        return self._sent(list(self._as_of.positions(self._mine)))

    def open_orders(self) -> Iterator[SentState]:
        """The open orders, newest first."""
        orders = list(self._as_of.open_orders(self._mine))
        orders.sort(key=_created, reverse=True)
        return self._sent(orders)

    def closed_orders(self, span: Span) -> Iterator[Entry]:
        """The orders that can no longer change. Searches the whole record."""
        bounds = (0, NEVER_MS) if span.by_end else (span.since_ms, span.until_ms)
        closed = Closed(*bounds, span.beyond)
        found = list(self._as_of.closed_orders(closed, self._mine._replace(symbol=span.symbol)))
        if span.oldest_first:
            found.reverse()
        if span.by_end:
            found = [one for one in found if span.since_ms <= (one.updated_ms or 0) < span.until_ms]
            found.sort(key=lambda one: one.updated_ms or 0, reverse=not span.oldest_first)
        for order, state in self._with_frames([one for one in found if span.market in {None, one.market}]):
            at_ms = order.updated_ms if span.by_end else order.created_ms or order.updated_ms
            yield Entry(order.order_id, at_ms or 0, partial(_same, state))

    def order(self, order_id: str) -> SentState | None:
        """One order."""
        return next(self._sent(list(self._as_of.orders(self._mine._replace(order_id=order_id)))), None)

    def executions(self, order_id: str) -> Iterator[Execution]:
        """The executions that the venue reported, and those derived from order updates besides."""
        return map(_execution, self._as_of.fills(self._mine._replace(order_id=order_id)))

    def fills(self, span: Span) -> Iterator[Entry]:
        """The executions that the venue reported."""
        wanted = self._mine._replace(symbol=span.symbol, order_id=span.order_id)
        found = [
            (one.at_ms, one)
            for one in self._as_of.fills(wanted)
            if one.origin == VENUE and span.market in {None, one.market} and span.currency in {None, one.fee_currency}
        ]
        return self._entries(found, span)

    def transactions(self, span: Span) -> Iterator[Entry]:
        """The entries of the venue's ledger, each once."""
        t = transactions.c
        given = (
            (t.market, span.market),
            (t.symbol, span.symbol),
            (t.order_id, span.order_id),
            (t.currency, span.currency),
        )
        with self._as_of.reading() as connection:
            account_id = find_account(connection, str(self._mine.account)).account_id
            query = select(transactions).where(t.account_id == account_id, t.received_ns <= self._as_of.at_ns)
            query = query.where(*[column_ == value for column_, value in given if value is not None])
            rows = connection.execute(query.order_by(t.received_ns, t.session_id, t.seq, t.item)).all()
        first: dict[object, tuple[int, Any]] = {}
        for row in rows:
            entry = row.wallet, row.currency, row.type, row.venue_type, row.transaction_id, row.trade_id
            contents = () if row.transaction_id else (row.symbol, row.occurred_ms, row.amount)
            first.setdefault((*entry, *contents), (row.occurred_ms or row.received_ns // NS_PER_MS, row))
        return self._entries(list(first.values()), span)

    def snapshot(self, _topic: str, *, is_first: bool) -> Iterator[bytes]:
        """None: the record's own full states are pushed when they were received."""
        return iter(())

    def _entries(self, found: list[tuple[int, Any]], span: Span) -> Iterator[Entry]:
        """The entries of a span: each with its time, from rows that name their frame."""
        mine = [(at_ms, row) for at_ms, row in found if span.since_ms <= at_ms < span.until_ms]
        mine.sort(key=lambda one: (one[0], one[1].session_id, one[1].seq, one[1].item), reverse=not span.oldest_first)
        if span.beyond is not None:
            names = [_name(row) for _, row in mine]
            mine = mine[names.index(span.beyond) + 1 :] if span.beyond in names else []
        times = {_name(row): at_ms for at_ms, row in mine}
        for row, state in self._with_frames([row for _, row in mine]):
            yield Entry(_name(row), times[_name(row)], partial(_same, state))

    def _sent(self, states: Sequence[Any]) -> Iterator[SentState]:
        """The states as the venue sent them. One whose frame was redacted in the meantime is left out."""
        return (state for _, state in self._with_frames(states))

    def _with_frames(self, states: Sequence[Any]) -> Iterator[tuple[Any, SentState]]:
        """Each state and what the venue sent, except where the frame was redacted."""
        for start in range(0, len(states), FRAMES_MAX):
            some = states[start : start + FRAMES_MAX]
            with self._as_of.reading() as connection:
                account_id = find_account(connection, str(self._mine.account)).account_id
                rows = _frames(connection, account_id, {(one.session_id, one.seq) for one in some})
            found = {(row.session_id, row.seq): row for row in rows}
            for one in some:
                row = found.get((one.session_id, one.seq))
                if row is not None:
                    yield one, SentState(row.topic or "", row.payload, one.item)


def _same(state: SentState) -> SentState:
    """A recorded entry is rendered already."""
    return state


def instrument_answers(record: Record, accounts: Sequence[str], until_ns: int | None) -> list[SentState]:
    """The recorded answers that say last what each symbol means, the oldest first."""
    found: list[SentState] = []
    for account in accounts:
        latest = list(record.instruments(Filter(account=account, until_ns=until_ns)))
        places = list(dict.fromkeys((one.session_id, one.seq) for one in latest))
        for start in range(0, len(places), FRAMES_MAX):
            some = places[start : start + FRAMES_MAX]
            with record.reading() as connection:
                rows = _frames(connection, find_account(connection, account).account_id, set(some))
            payloads = {(row.session_id, row.seq): row for row in rows if row.payload is not None}
            found += [SentState(payloads[one].topic, payloads[one].payload) for one in some if one in payloads]
        if not latest:
            log.warning(
                "%s: the record has no list of instruments, so a client that asks for markets finds none; give it the "
                "exchange's own",
                account,
            )
    return found


def accounts_by_key(record: Record, accounts: Sequence[str], stand_in: StandIn) -> dict[str, str]:
    """API key → account: the account's name and, where the venue's keys are public, the key that its frames contain."""
    found = {account: account for account in accounts}
    f = frames.c
    with record.reading() as connection:
        for account in accounts:
            mine = f.account_id == find_account(connection, account).account_id
            query = select(f.payload).where(mine, f.payload.is_not(None)).order_by(f.session_id, f.seq)
            keys = [stand_in.key_in(bytes(payload)) for payload in connection.scalars(query.limit(FRAMES_WITH_KEY))]
            found |= {key: account for key in keys if key is not None}
    return found


def _frames(connection: Connection, account_id: int, keys: Collection[tuple[int, int]]) -> Sequence[Any]:
    f, key = frames.c, (column("session_id", Int64), column("seq", Int64))
    wanted = values(*key, name="wanted").data(sorted(keys)).cte("wanted")
    same = and_(
        f.account_id == account_id, f.session_id == wanted.c.session_id, f.seq == wanted.c.seq, f.status == DECODED
    )
    # An outer join, so that every planner begins with the keys instead of walking through the whole table.
    query = select(f.session_id, f.seq, f.topic, f.payload).select_from(wanted.outerjoin(frames, same))
    return connection.execute(query).all()


def _name(row: Any) -> str:
    """What tells an entry of a history from all others."""
    return f"{row.session_id}-{row.seq}-{row.item}"


def _created(order: Order) -> tuple[int, int, str]:
    """The place of an order in the sequence of their creation. Ids that count up are compared as numbers."""
    return order.created_ms or 0, len(order.order_id), order.order_id


def _execution(fill: Fill) -> Execution:
    known = {name: str(value) if isinstance(value, Decimal) else value for name, value in fill._asdict().items()}
    known["executed_ms"] = fill.at_ms
    if fill.liquidity == UNKNOWN:
        known["liquidity"] = None
    fields = (known.get(name) for name in FillUpdate._fields)
    return Execution(FillUpdate._make(fields)._replace(is_snapshot=0), fill.price_is_estimate)
