"""What the symbols of an account mean: the projection `contracts`, by which quantities are converted into money."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Table, func, select

from recorder import model
from recorder.read.position_times import within
from recorder.read.projected_rows import store, table_differences
from recorder.read.queries import latest_instruments
from recorder.read.records import Filter, Instrument
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.read.trips import Terms, TermsOf, terms
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import contracts, current_states, order_states
from recorder.store.schema import instruments, order_updates, position_updates
from recorder.venues import find_venue
from recorder.venues.rest import Traded

#: Account, market and symbol → what it means.
InstrumentOf = Callable[[str, str | None, str], model.Instrument]

#: Market and symbol; the market is empty if the venue sends none.
Symbol = tuple[str, str]


def project_contracts(connection: Connection, account: LabelledAccount, ranges: Sequence[FrameRange]) -> set[Symbol]:
    """Add the contracts that are new, and those that the venue described.

    Returns:
        Those that changed.
    """
    symbols: set[tuple[str, str]] = set()
    described = False
    for one in ranges:
        for table in (order_updates, position_updates):
            symbols |= {(market, symbol) for market, symbol in connection.execute(_symbols(table), one._asdict())}
        described = described or bool(described_in(connection, one))
    c = contracts.c
    mine = select(c.market, c.symbol).where(c.account_id == account.account_id)
    known = {(market, symbol) for market, symbol in connection.execute(mine)}
    if described or not symbols <= known:
        return replace_contracts(connection, account, symbols | known)
    return set()


@cache
def _symbols(table: Table) -> Select[Any]:
    market = func.coalesce(table.c.market, "")
    return select(market, table.c.symbol).distinct().where(*within(table), table.c.symbol.is_not(None))


def described_in(connection: Connection, frames: FrameRange) -> set[Symbol]:
    """The contracts that the venue described in some frames."""
    return {(market, symbol) for market, symbol in connection.execute(_symbols(instruments), frames._asdict())}


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
) -> set[Symbol]:
    """Let the contracts of an account follow from all of its rows; by default, of all symbols that it knows.

    Returns:
        Those that changed.
    """
    c = contracts.c
    mine = c.account_id == account.account_id
    if symbols is None:
        symbols = _known_symbols(connection, account.account_id)
    rows = [(account.account_id, *of, *row) for of, row in _contracts(connection, account, symbols).items()]
    found = table_differences(contracts, connection.execute(select(contracts).where(mine)), rows)
    store(connection, found)
    key = slice(1, len(contracts.primary_key))
    return {row[key] for one in found if (row := one.wanted or one.stored) is not None}


def _known_symbols(connection: Connection, account_id: int) -> set[tuple[str, str]]:
    o, c = order_states.c, current_states.c
    of_orders = select(o.market, o.symbol).distinct().where(o.account_id == account_id, o.symbol != "")
    things = select(c.thing).where(c.account_id == account_id, c.kind == position_updates.name)
    positions = (msgspec.json.decode(thing) for thing in connection.scalars(things))
    return {(market, symbol) for market, symbol in connection.execute(of_orders)} | {
        (market or "", symbol) for symbol, market, *_ in positions
    }


def _contracts(
    connection: Connection, account: LabelledAccount, symbols: Iterable[Symbol]
) -> Mapping[Symbol, tuple[Any, ...]]:
    """What each symbol means: by the venue's newest answer, or else by its documentation."""
    found: dict[Symbol, tuple[Any, ...]] = {}
    for of in symbols:
        told = _documented(account, *of)
        if told is not None:
            size = None if told.contract_size is None else Decimal(told.contract_size)
            found[of] = told.kind, told.base, told.quote, told.settle, size, -1, -1, -1, -1
    for one in described(connection, Filter(account=f"{account.venue}/{account.name}")):
        place = one.received_ns, one.session_id, one.seq, one.item
        found[one.market or "", one.symbol] = one.kind, one.base, one.quote, one.settle, one.contract_size, *place
    return found


def described(connection: Connection, wanted: Filter) -> Iterator[Instrument]:
    """What the venue said last of each symbol, oldest first."""
    return (Instrument(*row) for row in connection.execute(latest_instruments(wanted, connection)))


def _documented(account: LabelledAccount, market: str | None, symbol: str) -> model.Instrument | None:
    venue = find_venue(account.venue)
    return None if venue is None else venue.accounting.instrument(symbol, market or None)


def stored_terms(connection: Connection, account: LabelledAccount, market: str, symbol: str) -> Terms:
    """The terms of a contract, by the projection, or else as the venue documents it."""
    c = contracts.c
    of = c.account_id == account.account_id, c.market == market, c.symbol == symbol
    one: Any = connection.execute(select(c.kind, c.quote, c.settle, c.contract_size).where(*of)).first() or _documented(
        account, market, symbol
    )
    return Terms() if one is None else terms(one)


def settle_currencies(connection: Connection, account: LabelledAccount, symbols: Set[Symbol]) -> dict[Symbol, str]:
    """In which currency contracts gain and lose, where known: by the projection, or as the venue documents it."""
    c = contracts.c
    stored = select(c.market, c.symbol, c.settle).where(c.account_id == account.account_id)
    found = {(market, symbol): settle for market, symbol, settle in connection.execute(stored)}
    for of in symbols - found.keys():
        one = _documented(account, *of)
        found[of] = None if one is None else one.settle
    return {of: settle for of, settle in found.items() if settle}


def instruments_by(connection: Connection, wanted: Filter) -> InstrumentOf:
    """What symbols mean: as the venue sent it last, or else as it documents it."""
    accounts = {one.label: one for one in labelled_accounts(connection)}
    sent = {(one.account, one.market, one.symbol): one for one in described(connection, wanted)}

    def instrument_of(account: str, market: str | None, symbol: str) -> model.Instrument:
        one = sent.get((account, market, symbol))
        if one is None:
            documented = _documented(accounts[account], market, symbol)
            return model.Instrument(None, 0, market, symbol) if documented is None else documented
        numbers = (one.contract_size, one.price_tick, one.quantity_step)
        digits = (None if number is None else str(number) for number in numbers)
        return model.Instrument(None, 0, market, symbol, one.kind, one.base, one.quote, one.settle, *digits)

    return instrument_of


def terms_by(connection: Connection, wanted: Filter) -> TermsOf:
    """The terms of contracts: as the venue sent them last, or else as it documents them."""
    instrument_of = instruments_by(connection, wanted)

    def terms_of(account: str, market: str | None, symbol: str) -> Terms:
        return terms(instrument_of(account, market, symbol))

    return terms_of
