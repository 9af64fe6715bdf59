"""Payments of funding, each once, and which of them something that is received may change.

A payment that was pushed without the ledger's id counts until the ledger covers its time (`transactions_once`). So the
first and the last time in each ledger are a projection of their own (`sum_bounds`): where they move, payments in
between may no longer count.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, Table, bindparam, delete, func, literal, or_, select

from recorder.clock import NS_PER_MS
from recorder.read.order_lives import Row
from recorder.read.position_times import within
from recorder.read.sums import END_MS, FIRST_MS, begin_of
from recorder.store.dialects import replace_rows
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import sum_bounds
from recorder.store.schema import ONCE, transactions
from recorder.store.stale import QUARTER_MS

#: The type of transactions that are payments of funding.
FUNDING = "funding"
#: The kind of `sum_bounds` that are of a ledger.
LEDGER = "ledger"


class Payment(NamedTuple):
    """A payment of funding."""

    #: By the venue, or else the time of receipt, ms since 1970.
    at_ms: int
    market: str | None
    symbol: str | None
    currency: str | None
    #: Above zero if it was received.
    amount: Decimal | None


def payments(
    connection: Connection,
    account_id: int,
    since_ms: int = FIRST_MS,
    until_ms: int = END_MS,
    until_ns: int | None = None,
) -> Iterator[Payment]:
    """The payments of an account, each once.

    Args:
        connection: to the record.
        account_id: of the account.
        since_ms: that happened at or after, ms since 1970.
        until_ms: and before.
        until_ns: only what was received before this instant, ns since 1970; None: everything.
    """
    query = payments_between(account_id, since_ms, min(until_ms, END_MS), until_ns)
    with connection.execute(query, execution_options={"yield_per": 500}) as rows:
        for row in rows:
            yield Payment(*row)


def payments_between(account_id: int, since_ms: int, until_ms: int, until_ns: int | None) -> Select[Any]:
    """The query behind `payments`."""
    once = ONCE[transactions].c
    at_ms = _at_ms(ONCE[transactions])
    query = select(at_ms.label("at_ms"), once.market, once.symbol, once.currency, once.amount)
    query = query.where(once.account_id == account_id, once.type == FUNDING, at_ms >= since_ms, at_ms < until_ms)
    # A column that a movement is identified by, so the engine reads the rows of that time only.
    query = query.where(or_(once.occurred_ms.is_(None), once.occurred_ms.between(since_ms, until_ms - 1)))
    return query if until_ns is None else query.where(once.received_ns < until_ns)


def _at_ms(table: Table) -> Any:
    return func.coalesce(table.c.occurred_ms, table.c.event_ms, table.c.received_ns // NS_PER_MS)


class TouchedPayments(NamedTuple):
    """What some frames may change about the payments of an account."""

    #: The quarters of an hour with payments that may count otherwise than before: when they begin, ms since 1970.
    quarters: set[int]
    #: New rows of `sum_bounds`.
    ledgers: list[Row]


def touched_payments(connection: Connection, account_id: int, ranges: Iterable[FrameRange]) -> TouchedPayments:
    """What some frames of an account may change."""
    quarters: set[int] = set()
    ledgers: dict[tuple[str, str], tuple[int, int]] = {}
    is_undated = False
    for one in ranges:
        for kind, wallet, currency, occurred_ms, is_listed in connection.execute(_received(), one._asdict()):
            if kind == FUNDING and occurred_ms is None:
                is_undated = True
            elif kind == FUNDING:
                quarters.add(begin_of(occurred_ms, QUARTER_MS))
            if is_listed and occurred_ms is not None and currency is not None:
                first_ms, last_ms = ledgers.get((wallet, currency), (occurred_ms, occurred_ms))
                ledgers[wallet, currency] = min(first_ms, occurred_ms), max(last_ms, occurred_ms)
    if is_undated:
        # Which sighting of a payment counts, and so its time, may be another one than before.
        found = connection.scalars(_undated(), {"account_id": account_id})
        quarters.update(begin_of(at_ms, QUARTER_MS) for at_ms in found)
    moved = []
    known = _known(connection, account_id) if ledgers else {}
    for (wallet, currency), (first_ms, last_ms) in ledgers.items():
        old = known.get((wallet, currency))
        new = (first_ms, last_ms) if old is None else (min(first_ms, old[0]), max(last_ms, old[1]))
        if new == old:
            continue
        moved.append((account_id, LEDGER, _thing(wallet, currency), *new))
        for since_ms, until_ms in [new] if old is None else [(new[0], old[0]), (old[1], new[1])]:
            values = {"account_id": account_id, "wallet": wallet, "currency": currency}
            found = connection.scalars(_unlisted(), values | {"since_ms": since_ms, "until_ms": until_ms})
            quarters.update(begin_of(at_ms, QUARTER_MS) for at_ms in found)
    return TouchedPayments(quarters, moved)


def _known(connection: Connection, account_id: int) -> dict[tuple[str, str], tuple[int, int]]:
    c = sum_bounds.c
    stored = connection.execute(select(sum_bounds).where(c.account_id == account_id, c.kind == LEDGER))
    return {tuple(msgspec.json.decode(row.thing)): (row.begins_ms, row.ends_ms) for row in stored}


def _thing(*of: str) -> str:
    return msgspec.json.encode(of).decode()


def ledgers(connection: Connection, account_id: int) -> list[Row]:
    """The rows of `sum_bounds` that an account should have of its ledgers."""
    found = connection.execute(_ledgers(), {"account_id": account_id})
    return [(account_id, LEDGER, _thing(wallet, currency), *times) for wallet, currency, *times in found]


def replace_ledgers(connection: Connection, account_id: int) -> None:
    """Let the times of an account's ledgers follow from all of its transactions."""
    c = sum_bounds.c
    connection.execute(delete(sum_bounds).where(c.account_id == account_id, c.kind == LEDGER))
    replace_rows(connection, sum_bounds, ledgers(connection, account_id))


@cache
def _received() -> Select[Any]:
    t = transactions.c
    listed = t.balance_after.is_not(None)
    columns = t.type, func.coalesce(t.wallet, ""), t.currency, t.occurred_ms, listed
    return select(*columns).where(*within(transactions), (t.type == FUNDING) | listed)


@cache
def _undated() -> Select[Any]:
    t = transactions.c
    these = t.account_id == bindparam("account_id"), t.type == literal(FUNDING), t.occurred_ms.is_(None)
    return select(_at_ms(transactions)).where(*these).distinct()


@cache
def _unlisted() -> Select[Any]:
    t = transactions.c
    of = t.account_id == bindparam("account_id"), t.type == literal(FUNDING)
    ledger = func.coalesce(t.wallet, "") == bindparam("wallet"), t.currency == bindparam("currency")
    time = t.occurred_ms.between(bindparam("since_ms"), bindparam("until_ms"))
    return select(t.occurred_ms).where(*of, *ledger, time, t.transaction_id.is_(None), t.balance_after.is_(None))


@cache
def _ledgers() -> Select[Any]:
    t = transactions.c
    of = func.coalesce(t.wallet, ""), t.currency
    these = t.currency.is_not(None), t.occurred_ms.is_not(None), t.balance_after.is_not(None)
    times = func.min(t.occurred_ms), func.max(t.occurred_ms)
    return select(*of, *times).where(t.account_id == bindparam("account_id"), *these).group_by(*of)
