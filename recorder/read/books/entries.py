"""What a venue's ledger and its fills say about balances, streamed in the order in which it happened.

Transactions of one millisecond are put in the order in which each one's balance after it is the next one's before it.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, case, func, select

from recorder.clock import NS_PER_MS
from recorder.model import Instrument
from recorder.read import current
from recorder.read.books.differences import APART_NS, UpdateKey
from recorder.read.books.sums import Entry, State
from recorder.read.contracts import latest_contracts
from recorder.read.records import Fill, Filter
from recorder.read.scope import LabelledAccount
from recorder.read.transactions import Transaction
from recorder.store.event_log import FAILED, INTERRUPTED
from recorder.store.schema import ONCE, account_updates, frames, reconciliations, transactions
from recorder.venues.accounting import EXACT, Accounting, Execution, Ledger, Move

_ZERO = Decimal(0)
#: Rows fetched at a time.
_ROWS_PER_FETCH = 1_000

#: Type of a transaction → the sums of the books that it belongs to; any other is `other`.
KINDS = {
    "trade": "trades",
    "liquidation": "trades",
    "settlement": "trades",
    "fee": "fees",
    "funding": "funding",
    "transfer": "transfers",
    "deposit": "transfers",
    "withdrawal": "transfers",
}


class Trade(NamedTuple):
    """A transaction with a trade id, or a fill that has to be one of the ledger."""

    at_ms: int
    market: str | None
    symbol: str | None
    trade_id: str
    is_fill: bool
    #: None: what the trade does to balances is not documented.
    moves: tuple[Move, ...] | None
    #: The type of the transaction, or `trade`.
    type: str
    key: UpdateKey
    subject: str
    transaction_id: str | None


#: In the order in which they are processed, if they have the same time.
Event = Entry | Trade | State


class Asked(NamedTuple):
    """The times for which a ledger was asked."""

    ledger: Ledger
    #: Wallet and list (`Ledger.list_of`) → the times of the first and the last transaction, ms since 1970.
    times: dict[tuple[str | None, str | None], tuple[int, int]]

    def within(self, wallet: str | None, currency: str | None) -> tuple[int, int] | None:
        """The times of the first and the last transaction of a balance, ms since 1970; None: nothing was asked."""
        return self.times.get(self.list_of(wallet, currency))

    def list_of(self, wallet: str | None, currency: str | None) -> tuple[str | None, str | None]:
        """The key in `times` of the list that a balance's transactions are in."""
        return wallet, self.ledger.list_of(currency or "")


def events(
    connection: Connection, account: LabelledAccount, accounting: Accounting, ledger: Ledger, asked: Asked
) -> Iterator[Event]:
    """Stream everything that changes an account's balances, and the balances, by the venue's clock.

    Args:
        connection: to the record.
        account: the one whose entries are read.
        accounting: of its venue.
        ledger: the same venue's.
        asked: as `asked_within` says. Later transactions of a ledger that has everything are left out: an answer
            that is not followed to its end has the newest, and what is between is missing.
    """
    with ExitStack() as stack:
        rows = stack.enter_context(_streamed(connection, _transactions(account.account_id)))
        every = (Transaction(account.label, *row) for row in rows)
        listed = (one for one in every if ledger.keeps(one.wallet))
        if ledger.has_trades:
            listed = (one for one in listed if _is_no_later(one, asked))
        movements = _of_transactions(listed, ledger)
        of = f"{account.venue}/{account.name}"
        executed: Iterator[Event] = iter(())
        if ledger.names_trades or not ledger.has_trades:
            fills = current.fills(connection, Filter(of), order=current.AS_THEY_HAPPENED)
            executed = _of_fills(fills, _contracts(connection, account), accounting, ledger)
        states = stack.enter_context(_streamed(connection, _states(account.account_id, ledger)))
        # A liquidation is several fills and transactions of one millisecond, and balances may be told between them.
        moved = heapq.merge(movements, executed, key=attrgetter("at_ms", "key"))
        yield from heapq.merge(moved, _of_states(states, ledger), key=attrgetter("at_ms"))


def _is_no_later(one: Transaction, asked: Asked) -> bool:
    """Whether a transaction is no later than the last one that its list was asked for."""
    within = asked.within(one.wallet, one.currency)
    return within is not None and one.at_ms <= within[1]


def asked_within(connection: Connection, account_id: int, ledger: Ledger) -> Asked:
    """The times of the first and the last transaction in the venue's ledger, as far as it was asked for.

    What is pushed outside the ledger does not count, and neither does what a round had that was not completed. A round
    asks for one list after another, each up to its own present: what happened after the round began (less `APART_NS`,
    because the exchange's clock is another one) may be in one list and be missing in another.
    """
    t, r = transactions.c, reconciliations.c
    settled = r.result.is_not(None) & r.result.not_in((FAILED, INTERRUPTED))
    whole_ms = (r.began_ns - APART_NS) // NS_PER_MS
    last_ms = case((t.occurred_ms > whole_ms, whole_ms), else_=t.occurred_ms)
    of_round = (r.account_id == t.account_id) & (r.reconciliation_id == t.session_id)
    query = select(t.wallet, t.currency, func.min(t.occurred_ms), func.max(last_ms))
    query = query.join_from(transactions, reconciliations, of_round, isouter=True)
    query = query.where(t.account_id == account_id, t.occurred_ms.is_not(None), t.transaction_id.is_not(None))
    query = query.where(r.reconciliation_id.is_(None) | settled).group_by(t.wallet, t.currency)
    asked = Asked(ledger, {})
    for wallet, name, first_ms, until_ms in connection.execute(query):
        before = asked.within(wallet, name) or (first_ms, until_ms)
        asked.times[asked.list_of(wallet, name)] = min(before[0], first_ms), max(before[1], until_ms)
    return asked


def _streamed(connection: Connection, query: Select[Any]) -> Any:
    return connection.execute(query.execution_options(yield_per=_ROWS_PER_FETCH))


def at_ms_of(table: Table, name: str) -> Any:
    """When a row's change happened, ms since 1970: by the venue, or else the time of receipt."""
    return func.coalesce(table.c[name], table.c.event_ms, table.c.received_ns // NS_PER_MS).label("at_ms")


def _transactions(account_id: int) -> Select[Any]:
    t = ONCE[transactions]
    at_ms = at_ms_of(t, "occurred_ms")
    columns = [at_ms if name == "at_ms" else t.c[name] for name in Transaction._fields if name != "account"]
    query = select(*columns).where(t.c.account_id == account_id)
    return query.order_by(at_ms, t.c.received_ns, t.c.session_id, t.c.seq, t.c.item)


def _states(account_id: int, ledger: Ledger) -> Select[Any]:
    u = ONCE[account_updates]
    at_ms = at_ms_of(u, "updated_ms")
    key = u.c.received_ns, u.c.session_id, u.c.seq, u.c.item
    query = select(at_ms, u.c.wallet, u.c.currency, u.c.balance, *key).where(u.c.account_id == account_id)
    if ledger.reads_frames:
        same = (u.c.account_id == frames.c.account_id) & (u.c.session_id == frames.c.session_id)
        query = query.add_columns(frames.c.payload).join(frames, same & (u.c.seq == frames.c.seq))
    return query.order_by(at_ms, *key)


def _contracts(connection: Connection, account: LabelledAccount) -> Mapping[tuple[str, str], Instrument]:
    """Market and symbol → what it means. The market is empty if the venue sends none.

    Not from the projection, which may be behind a writer: without what a symbol means, a fill would explain nothing.
    """
    return {
        (market, symbol): Instrument(None, 0, market, symbol, kind, base, quote, settle, None, None, None, None)
        for _, market, symbol, kind, base, quote, settle, *_ in latest_contracts(connection, account)
    }


def _of_states(rows: Iterable[Any], ledger: Ledger) -> Iterator[State]:
    for at_ms, wallet, currency, balance, *rest in rows:
        owned = ledger.owned(wallet, balance, rest[4] if ledger.reads_frames else b"")
        if owned is not None and ledger.keeps(wallet):
            yield State(at_ms, wallet, currency, owned, UpdateKey(*rest[:4]))


def execution_of(fill: Fill, symbol: str) -> Execution:
    """A fill, as a venue's ledger takes it."""
    fee = fill.fee or _ZERO
    of = fill.market, symbol, fill.side, fill.price, fill.quantity
    return Execution(*of, fee, fill.fee_currency, fill.realized_pnl)


def _of_fills(
    fills: Iterable[Fill], known: Mapping[tuple[str, str], Instrument], accounting: Accounting, ledger: Ledger
) -> Iterator[Event]:
    for fill in fills if ledger.has_trades else _as_executed(fills):
        if fill.symbol is None:
            continue
        execution = execution_of(fill, fill.symbol)
        contract = known.get((fill.market or "", fill.symbol)) or accounting.instrument(fill.symbol, fill.market)
        moves = ledger.moves(execution, contract)
        key = UpdateKey(fill.received_ns, fill.session_id, fill.seq, fill.item)
        subject = f"fill {fill.trade_id or ''} of order {fill.order_id}".replace("  ", " ")
        if not ledger.has_trades:
            for move in moves or ():
                yield Entry(fill.at_ms, *move, "trades", None, key, subject, None, fill.trade_id)
        elif fill.trade_id is not None:
            of = fill.at_ms, fill.market, fill.symbol, fill.trade_id
            yield Trade(*of, True, moves, "trade", key, subject, None)


def _as_executed(fills: Iterable[Fill]) -> Iterator[Fill]:
    """Fills of one millisecond by their ids, where some were pushed and others asked for: their receipt says nothing.

    Balances are told between the fills of an order, and belong between them in the books.
    """
    for _, together in groupby(fills, key=attrgetter("at_ms")):
        several = list(together)
        if len({one.session_id for one in several}) > 1:
            several.sort(key=lambda one: (one.symbol or "", len(one.trade_id or ""), one.trade_id or ""))
        yield from several


def _of_transactions(rows: Iterable[Transaction], ledger: Ledger) -> Iterator[Event]:
    last: dict[tuple[str | None, str], Decimal] = {}
    for _, together in groupby(rows, key=attrgetter("at_ms")):
        by_balance: defaultdict[tuple[str | None, str], list[Transaction]] = defaultdict(list)
        for row in together:
            if row.currency is not None and row.amount is not None:
                by_balance[row.wallet, row.currency].append(row)
        for of, several in by_balance.items():
            for row in chained(several, last.get(of)):
                if row.balance_after is not None:
                    last[of] = row.balance_after
                yield from _of_transaction(row, ledger)


def _of_transaction(row: Transaction, ledger: Ledger) -> Iterator[Event]:
    amount, fee = row.amount or _ZERO, row.fee or _ZERO
    key = UpdateKey(row.received_ns, row.session_id, row.seq, row.item)
    subject = f"transaction {row.transaction_id or ''} ({row.venue_type or row.type})".replace("  ", " ")
    move = Move(row.wallet, str(row.currency), amount, fee)
    kind = KINDS.get(row.type, "other")
    yield Entry(row.at_ms, *move, kind, row.balance_after, key, subject, row.transaction_id, row.trade_id)
    if row.trade_id is not None and row.type != "funding":
        of = row.at_ms, row.market, row.symbol, row.trade_id
        moves = (move,) if (row.venue_type or "").startswith(ledger.trade_types) else None
        yield Trade(*of, False, moves, row.type, key, subject, row.transaction_id)


def chained(rows: Sequence[Transaction], before: Decimal | None) -> list[Transaction]:
    """Transactions of one balance and millisecond, in the order of their balances, as far as these are a chain.

    Args:
        rows: one without a balance after it belongs before the next one with its id.
        before: the balance before all of them, if it is known.
    """
    if len(rows) < 2:
        return list(rows)
    parts: defaultdict[str | None, list[Transaction]] = defaultdict(list)
    links: list[tuple[Decimal, Decimal, list[Transaction]]] = []
    for row in rows:
        if row.balance_after is None:
            parts[row.transaction_id].append(row)
            continue
        link = [*parts.pop(row.transaction_id, ()), row]
        begins = row.balance_after
        for one in link:
            begins = EXACT.subtract(begins, one.amount or _ZERO)
        links.append((begins, row.balance_after, link))
    rest = [row for several in parts.values() for row in several]
    return [row for link in _path(links, before) for row in link] + rest


def _path(
    links: Sequence[tuple[Decimal, Decimal, list[Transaction]]], before: Decimal | None
) -> list[list[Transaction]]:
    """The links in an order in which each begins where the one before it ends, as far as there is one."""
    leaving: defaultdict[Decimal, list[tuple[Decimal, list[Transaction]]]] = defaultdict(list)
    ends = {end for _, end, _ in links}
    for begin, end, link in reversed(links):
        leaving[begin].append((end, link))
    starts = [begin for begin, _, _ in links if begin not in ends]
    start = before if before in leaving else next(iter([*starts, *leaving]), None)
    # A path over all links (Hierholzer's algorithm).
    walk: list[tuple[Decimal, list[Transaction] | None]] = [(Decimal(start or 0), None)]
    path: list[list[Transaction]] = []
    while walk:
        at, taken_link = walk[-1]
        if leaving.get(at):
            walk.append(leaving[at].pop())
            continue
        walk.pop()
        if taken_link is not None:
            path.append(taken_link)
    path.reverse()
    if path and len(path) < len(links):
        # A chain is broken where a row is wrong or missing: the rest is a chain of its own.
        taken = {id(one) for one in path}
        path += _path([link for link in links if id(link[2]) not in taken], None)
    return path
