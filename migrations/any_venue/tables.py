"""The typed tables of revision 0002.

On PostgreSQL they have a partition a year, as in revision 0001: `session_id` is a time.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

from .spelling import is_sqlite

INT64 = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
#: TEXT on SQLite, whose NUMERIC would turn the digits into a float.
DECIMAL = sa.Numeric().with_variant(sa.Text(), "sqlite")
#: Years with a partition of their own; all other rows go to `..._other`.
YEARS = range(2019, 2041)

#: In the order in which they can be dropped.
OLD_VIEWS = (
    "timeline",
    "round_trips",
    "balance_history",
    "position_history",
    "order_lives",
    "executions",
    "trade_history",
    "balances",
    "positions",
    "order_history",
    "orders",
    "position_updates_once",
    "order_updates_once",
    "account_updates_once",
)
OLD_TABLES = ("account_updates", "order_updates", "position_updates", "heartbeats", "fills")
#: Rows that point to old typed rows; they only save reading.
POINTERS = ("snapshot_rows", "snapshots")


def drop_old() -> None:
    """Drop the typed tables of revision 0001, and every view."""
    for view in OLD_VIEWS:
        op.execute(f"DROP VIEW {view}")
    for table in OLD_TABLES:
        op.drop_table(table)
    for table in POINTERS:
        op.execute(f"DELETE FROM {table}")


def table(name: str, *parts: sa.schema.SchemaItem, **options: Any) -> None:
    """Create a table."""
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=False, **options)


def growing_table(name: str, *parts: sa.schema.SchemaItem) -> None:
    """Create a table that grows with the record; it has `session_id`."""
    table(name, *parts, postgresql_partition_by="RANGE (session_id)")
    if is_sqlite():
        return
    for year in YEARS:
        bounds = f"FOR VALUES FROM ({_first_id(year)}) TO ({_first_id(year + 1)})"
        op.execute(f"CREATE TABLE {name}_{year} PARTITION OF {name} {bounds}")
    op.execute(f"CREATE TABLE {name}_other PARTITION OF {name} DEFAULT")


def _first_id(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000 << 20


def ints(*names: str, null: bool = False) -> list[sa.Column[int]]:
    """Columns of 64-bit integers."""
    return [sa.Column(name, INT64, nullable=null) for name in names]


def texts(*names: str, null: bool = True) -> list[sa.Column[str]]:
    """Columns of text."""
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def decimals(*names: str) -> list[sa.Column[object]]:
    """Columns of exact decimals."""
    return [sa.Column(name, DECIMAL, nullable=True) for name in names]


def _typed(name: str, *columns: sa.schema.SchemaItem) -> None:
    growing_table(
        name,
        *ints("account_id", "session_id", "seq", "item", "received_ns"),
        *ints("event_ms", null=True),
        *ints("is_snapshot"),
        *columns,
        sa.PrimaryKeyConstraint("account_id", "session_id", "seq", "item", name=f"pk_{name}"),
    )


def create() -> None:
    """Create the typed tables and their indexes."""
    _typed(
        "order_updates",
        *ints("is_partial"),
        *texts("market", "symbol"),
        *texts("order_id", null=False),
        *texts("client_order_id", "side", "position_side", "order_type", "time_in_force"),
        *ints("post_only", "reduce_only", null=True),
        *decimals("price", "trigger_price", "quantity", "quote_quantity", "filled_quantity", "average_price"),
        *texts("status", "venue_status", "reason"),
        *decimals("fee"),
        *texts("fee_currency"),
        *ints("created_ms", "updated_ms", null=True),
        *texts("extra"),
    )
    op.create_index("ix_order_updates_order_id", "order_updates", ["account_id", "order_id"])
    _typed(
        "fills",
        *texts("trade_id", "order_id", "client_order_id", "market", "symbol", "side", "position_side"),
        *decimals("price", "quantity", "fee"),
        *texts("fee_currency", "liquidity"),
        *decimals("realized_pnl"),
        *texts("kind"),
        *ints("executed_ms", null=True),
        *texts("extra"),
    )
    op.create_index("ix_fills_order_id", "fills", ["account_id", "order_id", "trade_id"])
    _typed(
        "position_updates",
        *ints("is_partial"),
        *texts("market"),
        *texts("symbol", null=False),
        *texts("position_side", "position_id", "margin_mode"),
        *decimals("quantity", "entry_price", "mark_price", "liquidation_price", "leverage", "margin"),
        *decimals("unrealized_pnl", "realized_pnl"),
        *ints("updated_ms", null=True),
        *texts("extra"),
    )
    at_ms = sa.text("coalesce(updated_ms, event_ms, received_ns / 1000000)")
    of = ["account_id", "symbol", "market", "position_side"]
    op.create_index("ix_position_updates_at_ms", "position_updates", [*of, at_ms])
    _typed(
        "account_updates",
        *ints("is_partial"),
        *texts("wallet"),
        *texts("currency", null=False),
        *decimals("balance", "available", "locked", "position_margin", "equity", "unrealized_pnl"),
        *ints("updated_ms", null=True),
        *texts("extra"),
    )
    _typed(
        "transactions",
        *texts("transaction_id"),
        *texts("type", null=False),
        *texts("venue_type", "wallet", "currency"),
        *decimals("amount", "fee", "balance_after"),
        *texts("market", "symbol", "order_id", "trade_id"),
        *ints("occurred_ms", null=True),
        *texts("extra"),
    )
    op.create_index("ix_transactions_type", "transactions", ["account_id", "type", "occurred_ms"])
    op.create_index(
        "ix_transactions_ledger",
        "transactions",
        ["account_id", sa.text("coalesce(wallet, '')"), "currency", "occurred_ms"],
        sqlite_where=sa.text("balance_after IS NOT NULL"),
    )
    _typed(
        "instruments",
        *texts("market"),
        *texts("symbol", null=False),
        *texts("kind", "base", "quote", "settle"),
        *decimals("contract_size", "price_tick", "quantity_step"),
        *texts("extra"),
    )
    _typed("heartbeats", *ints("gap_ms", null=True))
    table("rebuild_needed", *texts("reason", null=False), sa.PrimaryKeyConstraint("reason", name="pk_rebuild_needed"))
    op.execute("INSERT INTO rebuild_needed SELECT 'schema 0002' WHERE EXISTS (SELECT 1 FROM frames)")
