"""What the symbols of an account mean: the projection `contracts`, by which quantities are converted into money."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, func, select

from recorder.read.projected_rows import store, table_differences
from recorder.read.scope import LabelledAccount
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import contracts, current_states, order_states
from recorder.store.schema import instruments, order_updates, position_updates
from recorder.venues import find_venue
from recorder.venues.rest import Traded


def within(table: Table) -> list[ColumnElement[bool]]:
    """Conditions for the rows of one range of frames, whose fields are the parameters."""
    return [
        table.c.account_id == bindparam("account_id"),
        table.c.session_id == bindparam("session_id"),
        table.c.seq.between(bindparam("first_seq"), bindparam("last_seq")),
    ]


def project_contracts(connection: Connection, account: LabelledAccount, ranges: Sequence[FrameRange]) -> None:
    """Add the contracts that are new, and those that the venue described."""
    symbols: set[tuple[str, str]] = set()
    described = False
    for one in ranges:
        for table in (order_updates, position_updates):
            symbols |= {(market, symbol) for market, symbol in connection.execute(_symbols(table), one._asdict())}
        described = described or connection.execute(_any_instrument(), one._asdict()).first() is not None
    c = contracts.c
    mine = select(c.market, c.symbol).where(c.account_id == account.account_id)
    known = {(market, symbol) for market, symbol in connection.execute(mine)}
    if described or not symbols <= known:
        replace_contracts(connection, account, symbols | known)


@cache
def _symbols(table: Table) -> Select[Any]:
    market = func.coalesce(table.c.market, "")
    return select(market, table.c.symbol).distinct().where(*within(table), table.c.symbol.is_not(None))


@cache
def _any_instrument() -> Select[Any]:
    return select(instruments.c.symbol).where(*within(instruments)).limit(1)


def traded_instruments(connection: Connection, account_id: int) -> dict[Traded, bool]:
    """What an account's orders and positions are of → whether an answer of the venue describes it."""
    c = contracts.c
    query = select(c.market, c.symbol, c.session_id >= 0).where(c.account_id == account_id)
    return {Traded(market or None, symbol): told for market, symbol, told in connection.execute(query)}


def latest_contracts(connection: Connection, account: LabelledAccount) -> list[tuple[Any, ...]]:
    """The rows of `contracts` that an account should have."""
    symbols = _known_symbols(connection, account.account_id)
    return [(account.account_id, *of, *row) for of, row in _contracts(connection, account, symbols).items()]


def replace_contracts(
    connection: Connection, account: LabelledAccount, symbols: Collection[tuple[str, str]] | None = None
) -> None:
    """Let the contracts of an account follow from all of its rows; by default, of all symbols that it knows."""
    c = contracts.c
    mine = c.account_id == account.account_id
    if symbols is None:
        symbols = _known_symbols(connection, account.account_id)
    rows = [(account.account_id, *of, *row) for of, row in _contracts(connection, account, symbols).items()]
    store(connection, table_differences(contracts, connection.execute(select(contracts).where(mine)), rows))


def _known_symbols(connection: Connection, account_id: int) -> set[tuple[str, str]]:
    o, c = order_states.c, current_states.c
    of_orders = select(o.market, o.symbol).distinct().where(o.account_id == account_id, o.symbol != "")
    things = select(c.thing).where(c.account_id == account_id, c.kind == position_updates.name)
    positions = (msgspec.json.decode(thing) for thing in connection.scalars(things))
    return {(market, symbol) for market, symbol in connection.execute(of_orders)} | {
        (market or "", symbol) for symbol, market, *_ in positions
    }


def _contracts(
    connection: Connection, account: LabelledAccount, symbols: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], tuple[Any, ...]]:
    """What each symbol means: by the venue's newest answer, or else by its documentation."""
    venue = find_venue(account.venue)
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    if venue is not None:
        for of in symbols:
            told = venue.accounting.instrument(of[1])
            size = None if told.contract_size is None else Decimal(told.contract_size)
            found[of] = told.kind, told.base, told.quote, told.settle, size, -1, -1, -1, -1
    i = instruments.c
    market = func.coalesce(i.market, "")
    receipt = i.received_ns, i.session_id, i.seq, i.item
    age = func.row_number().over(partition_by=(market, i.symbol), order_by=[part.desc() for part in receipt])
    columns = [market.label("market"), i.symbol, i.kind, i.base, i.quote, i.settle, i.contract_size, *receipt]
    aged = select(*columns, age.label("age")).where(i.account_id == account.account_id).subquery()
    for row in connection.execute(select(*list(aged.c)[:-1]).where(aged.c.age == 1)):
        found[row.market, row.symbol] = tuple(row[2:])
    return found
