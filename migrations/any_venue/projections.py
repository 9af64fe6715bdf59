"""The tables that are kept current behind the writer: latest states, fills, and what a contract is worth."""

import sqlalchemy as sa
from alembic import op

from .tables import decimals, ints, table, texts


def create() -> None:
    """Create the tables and their indexes."""
    table("projected", *ints("run_id", "batch"), sa.PrimaryKeyConstraint("run_id", name="pk_projected"))
    table(
        "stale",
        *ints("account_id"),
        *texts("order_id", "trade_id", null=False),
        sa.PrimaryKeyConstraint("account_id", "order_id", "trade_id", name="pk_stale"),
    )
    table(
        "order_states",
        *ints("account_id"),
        *texts("order_id", "market", "symbol", null=False),
        *ints("session_id", "seq", "item", "counts_ns", "received_ns", "is_open", "first_ns", "updates"),
        *ints("created_ms", null=True),
        *ints("fills"),
        *ints("first_fill_ms", "last_fill_ms", "ended_ms", null=True),
        *texts("client_order_id", "side", "position_side", "order_type", "time_in_force"),
        *ints("post_only", "reduce_only", null=True),
        *decimals("price", "trigger_price", "quantity", "quote_quantity", "filled_quantity", "average_price"),
        *texts("status", "venue_status", "reason"),
        *decimals("fee"),
        *texts("fee_currency"),
        *ints("updated_ms", null=True),
        sa.PrimaryKeyConstraint("account_id", "order_id", "market", "symbol", name="pk_order_states"),
    )
    op.create_index("ix_order_states_received_ns", "order_states", ["account_id", "received_ns"])
    is_open = sa.text("is_open = 1")
    op.create_index(
        "ix_order_states_open",
        "order_states",
        ["account_id", "received_ns"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    table(
        "trades",
        *ints("account_id", "session_id", "seq", "item", "received_ns", "at_ms"),
        *ints("event_ms", "executed_ms", null=True),
        *texts("trade_id", "order_id", "client_order_id", "market", "symbol", "side", "position_side", "order_type"),
        *decimals("price", "quantity", "fee"),
        *texts("fee_currency"),
        *texts("liquidity", null=False),
        *decimals("realized_pnl"),
        *texts("kind"),
        *ints("price_is_estimate"),
        *texts("origin", null=False),
        sa.PrimaryKeyConstraint("account_id", "session_id", "seq", "item", name="pk_trades"),
    )
    op.create_index("ix_trades_at_ms", "trades", ["account_id", "at_ms"])
    op.create_index("ix_trades_received_ns", "trades", ["account_id", "received_ns"])
    op.create_index("ix_trades_order_id", "trades", ["account_id", "order_id", "trade_id"])
    table(
        "current_states",
        *ints("account_id"),
        *texts("kind", "thing", null=False),
        *ints("counts_ns", "received_ns", "session_id", "seq", "item"),
        sa.PrimaryKeyConstraint("account_id", "kind", "thing", name="pk_current_states"),
    )
    table(
        "contracts",
        *ints("account_id"),
        *texts("market", "symbol", null=False),
        *texts("kind", "base", "quote", "settle"),
        *decimals("contract_size"),
        *ints("received_ns", "session_id", "seq", "item"),
        sa.PrimaryKeyConstraint("account_id", "market", "symbol", name="pk_contracts"),
    )
    _create_sums_and_trips()


def _create_sums_and_trips() -> None:
    table(
        "fill_sums",
        *ints("account_id", "lasts_ms", "begins_ms"),
        *texts("market", "symbol", "fee_currency", null=False),
        *ints("trades", "fills", "fees_unknown", "pnls"),
        *decimals("quantity", "maker_quantity", "taker_quantity", "paid", "rebates", "realized_pnl"),
        sa.PrimaryKeyConstraint(
            "account_id", "lasts_ms", "begins_ms", "market", "symbol", "fee_currency", name="pk_fill_sums"
        ),
    )
    table(
        "trips",
        *ints("account_id"),
        *texts("market", "symbol", "position_side", null=False),
        *ints("trip"),
        *texts("direction", null=False),
        *ints("opened_ms", "closed_ms", null=True),
        *decimals("entry_quantity", "entry_price", "exit_quantity", "exit_price", "pnl_before_fees", "fee", "pnl"),
        *texts("currency"),
        *ints("adds_up"),
        sa.PrimaryKeyConstraint("account_id", "market", "symbol", "position_side", "trip", name="pk_trips"),
    )
    table(
        "trip_marks",
        *ints("account_id"),
        *texts("market", "symbol", "position_side", null=False),
        *ints("before_ms"),
        *texts("state", null=False),
        sa.PrimaryKeyConstraint("account_id", "market", "symbol", "position_side", "before_ms", name="pk_trip_marks"),
    )
    table(
        "stale_quarters",
        *ints("account_id"),
        *texts("market", "symbol", "position_side", null=False),
        *ints("begins_ms"),
        sa.PrimaryKeyConstraint(
            "account_id", "market", "symbol", "position_side", "begins_ms", name="pk_stale_quarters"
        ),
    )
