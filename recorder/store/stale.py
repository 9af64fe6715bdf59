"""Orders whose projected rows no longer follow from the typed rows, because some of these are deleted or replaced.

Whoever deletes typed rows calls `forget` before, in the same transaction. The projector then computes these orders
anew (`recorder.read.projector`); until then, readers do.
"""

from sqlalchemy import Connection, delete, literal, select

from recorder.store.dialects import insert_new
from recorder.store.projection_tables import contracts, current_states, order_states, projected, stale, trades
from recorder.store.schema import fills, order_updates


def forget(connection: Connection, account_id: int, session_id: int, seqs: tuple[int, int]) -> None:
    """Delete what was projected from some frames, and note which orders they say something about.

    Args:
        connection: inside the transaction that deletes or replaces their typed rows.
        account_id: the account of the frames.
        session_id: their session.
        seqs: the first and the last.
    """
    mark(connection, account_id, session_id, seqs)
    for table in (order_states, trades, current_states, contracts):
        these = table.c.account_id == account_id, table.c.session_id == session_id, table.c.seq.between(*seqs)
        connection.execute(delete(table).where(*these))


def mark(connection: Connection, account_id: int, session_id: int, seqs: tuple[int, int]) -> None:
    """Note which orders some frames say something about. The arguments are those of `forget`."""
    if connection.scalar(select(projected.c.run_id).limit(1)) is None:
        return  # nothing is projected: everything will be
    # Without an order: the account's balances, positions and contracts.
    found = {("", "")}
    for table in (order_updates, fills):
        these = table.c.account_id == account_id, table.c.session_id == session_id, table.c.seq.between(*seqs)
        trade_id = table.c.trade_id if table is fills else literal("")
        for order_id, trade in connection.execute(select(table.c.order_id, trade_id).where(*these).distinct()):
            found.add((order_id, "") if order_id else ("", trade or ""))
    rows = [{"account_id": account_id, "order_id": order_id, "trade_id": trade} for order_id, trade in sorted(found)]
    connection.execute(insert_new(connection, stale), rows)
