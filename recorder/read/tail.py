"""What is not projected yet, for readers, who are never behind the record."""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, select

from recorder.read.contracts import Symbol, described_in
from recorder.read.current_states import NOW_NS, states_in, stored_lists, stored_states
from recorder.read.payments import touched_payments
from recorder.read.projected_rows import stored_trades
from recorder.read.projected_trips import TouchedTrips, add_contracts, add_reports, add_stale
from recorder.read.projections import ACCOUNT, OrderKey, are_several, project
from recorder.read.projector import unprojected_frames, unprojected_orders
from recorder.read.records import Fill
from recorder.read.scope import LabelledAccount
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import stale
from recorder.store.schema import listings
from recorder.store.state_index import StateRow, ThingKey, latest, present


class Tail(NamedTuple):
    """What is not projected yet of an account."""

    frames: list[FrameRange]
    #: The orders whose stored rows do not count; these rows of `trades`, and the fills that count instead.
    orders: set[OrderKey]
    stored: list[Any]
    fills: list[Fill]
    #: The contracts whose stored trips do not count, and why.
    trips: TouchedTrips
    described: set[Symbol]
    #: The quarters of an hour whose stored sums do not have the right funding; None: none has.
    payments_in: set[int] | None


def tail_of(connection: Connection, account: LabelledAccount) -> Tail:
    """What is not projected yet of an account."""
    mine = [one for one in unprojected_frames(connection) if one.account_id == account.account_id]
    orders = unprojected_orders(connection)[account.account_id]
    stored: list[Any] = []
    fills: list[Fill] = []
    for keys, found in project(connection, account, orders):
        stored += stored_trades(connection, account.account_id, keys)
        fills += [fill for _, fill in found.trades]
    trips = TouchedTrips()
    trips.add_fills([*stored, *fills])
    described = {symbol for one in mine for symbol in described_in(connection, one)}
    add_contracts(connection, account, trips, described)
    add_reports(connection, trips, mine)
    add_stale(connection, account.account_id, trips)
    is_stale = ACCOUNT in orders
    payments_in = None if is_stale else touched_payments(connection, account.account_id, mine).quarters
    return Tail(mine, orders, stored, fills, trips, described, payments_in)


def states_now(
    connection: Connection, account_id: int, table: Table, *, with_gone: bool = False
) -> dict[ThingKey, StateRow]:
    """The latest state of each balance or position, projected or not.

    Args:
        connection: to the record.
        account_id: of the account.
        table: of the states.
        with_gone: also those that a newer complete list does not have.
    """
    frames = [one for one in unprojected_frames(connection) if one.account_id == account_id]
    newer = states_in(connection, table, frames)
    is_stale = connection.scalar(select(stale.c.account_id).where(stale.c.account_id == account_id).limit(1))
    if is_stale is not None or states_in(connection, listings, frames) or (newer and are_several(connection)):
        return (latest if with_gone else present)(connection, account_id, table, NOW_NS)
    found = stored_states(connection, account_id, table)
    lists = stored_lists(connection, account_id) if newer else None
    for text, row in newer.items():
        thing = tuple(msgspec.json.decode(text))
        if thing not in found or row.key() > found[thing][0].key():
            found[thing] = row, lists is not None and lists.is_gone(table, thing, row)
    return {thing: row for thing, (row, is_gone) in found.items() if with_gone or not is_gone}
