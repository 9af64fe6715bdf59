"""Orders and quarters of an hour whose projections no longer follow, because typed rows are deleted or replaced.

Whoever deletes typed rows calls `forget` before, in the same transaction. The projector then computes these anew
(`recorder.read.projector`); until then, readers do.
"""

from typing import Any

from sqlalchemy import Connection, Table, delete, literal, literal_column, select

from recorder.store.dialects import insert_new
from recorder.store.projection_tables import (
    contracts,
    current_states,
    order_states,
    projected,
    stale,
    stale_quarters,
    trades,
)
from recorder.store.schema import POSITION_MS, fills, order_updates, position_updates

#: The shortest stretch of time that has sums of its own.
QUARTER_MS = 15 * 60 * 1000


def forget(connection: Connection, account_id: int, session_id: int, seqs: tuple[int, int]) -> None:
    """Delete what was projected from some frames, and note which orders they say something about.

    Args:
        connection: inside the transaction that deletes or replaces their typed rows.
        account_id: the account of the frames.
        session_id: their session.
        seqs: the first and the last.
    """
    mark(connection, account_id, session_id, seqs)
    _mark_quarters(connection, trades, trades.c.at_ms, (account_id, session_id, seqs))
    for table in (order_states, trades, current_states, contracts):
        these = table.c.account_id == account_id, table.c.session_id == session_id, table.c.seq.between(*seqs)
        connection.execute(delete(table).where(*these))


def mark(connection: Connection, account_id: int, session_id: int, seqs: tuple[int, int]) -> None:
    """Note which orders some frames say something about. The arguments are those of `forget`."""
    if connection.scalar(select(projected.c.run_id).limit(1)) is None:
        return  # nothing is projected: everything will be
    # Without an order: the account's balances, positions, contracts and funding.
    found = {("", "")}
    for table in (order_updates, fills):
        these = table.c.account_id == account_id, table.c.session_id == session_id, table.c.seq.between(*seqs)
        trade_id = table.c.trade_id if table is fills else literal("")
        for order_id, trade in connection.execute(select(table.c.order_id, trade_id).where(*these).distinct()):
            found.add((order_id, "") if order_id else ("", trade or ""))
    rows = [{"account_id": account_id, "order_id": order_id, "trade_id": trade} for order_id, trade in sorted(found)]
    connection.execute(insert_new(connection, stale), rows)
    _mark_quarters(connection, position_updates, literal_column(POSITION_MS), (account_id, session_id, seqs))


def _mark_quarters(connection: Connection, table: Table, at_ms: Any, of: tuple[int, int, tuple[int, int]]) -> None:
    """Note the quarters of an hour in which some rows are, because sums and round trips depend on them."""
    account_id, session_id, seqs = of
    t = table.c
    rows = select(t.market, t.symbol, t.position_side, at_ms).distinct()
    rows = rows.where(t.account_id == account_id, t.session_id == session_id, t.seq.between(*seqs))
    found = {
        (market or "", symbol or "", side or "", ms - ms % QUARTER_MS)
        for market, symbol, side, ms in connection.execute(rows)
    }
    if found:
        keys = ("market", "symbol", "position_side", "begins_ms")
        values = [{"account_id": account_id, **dict(zip(keys, one, strict=True))} for one in sorted(found)]
        connection.execute(insert_new(connection, stale_quarters), values)
