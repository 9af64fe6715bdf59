"""Statistics for SQLite's planner, which without any expects an account to have ten rows.

It would then read all rows of an account to find those of one order. `ANALYZE` replaces these figures by real ones.
"""

from alembic import op

from .spelling import is_sqlite

#: Table, index (the table's own name: its key), rows, and rows with the same first, first two, ... columns.
FIGURES = (
    ("order_updates", "order_updates", "10000000 10000000 10000 1 1"),
    ("order_updates", "ix_order_updates_order_id", "10000000 10000000 4"),
    ("position_updates", "position_updates", "3000000 3000000 3000 1 1"),
    ("position_updates", "ix_position_updates_at_ms", "3000000 3000000 1000000 1000000 1000000 2"),
    ("fills", "fills", "1000000 1000000 1000 2 1"),
    ("fills", "ix_fills_order_id", "1000000 1000000 2 1"),
    ("transactions", "transactions", "1000000 1000000 1000 10 1"),
    ("transactions", "ix_transactions_type", "1000000 1000000 100000 2"),
    ("transactions", "ix_transactions_ledger", "1000000 1000000 500000 100000 2"),
    ("order_states", "order_states", "3000000 3000000 1 1 1"),
    ("order_states", "ix_order_states_received_ns", "3000000 3000000 1"),
    ("order_states", "ix_order_states_open", "100 100 1"),
    ("trades", "trades", "1000000 1000000 1000 1 1"),
    ("trades", "ix_trades_at_ms", "1000000 1000000 2"),
    ("trades", "ix_trades_received_ns", "1000000 1000000 2"),
    ("trades", "ix_trades_order_id", "1000000 1000000 2 1"),
)


def create() -> None:
    """Write the statistics; SQLite reads them when a database is opened."""
    if is_sqlite():
        op.execute("ANALYZE sqlite_schema")
        for table, index, figures in FIGURES:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{figures}')")
        op.execute("ANALYZE sqlite_schema")
