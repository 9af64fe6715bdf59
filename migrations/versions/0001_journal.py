"""The journal and the typed tables.

A revision is never edited once released. It names its own types: the declared schema, which moves on, is not imported.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0001"
down_revision = None

INT64 = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
#: Exact digits: SQLite's NUMERIC would turn them into floats.
DECIMAL = sa.Numeric().with_variant(sa.Text(), "sqlite")


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _ints(*names: str, null: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, INT64, nullable=null) for name in names]


def _texts(*names: str, null: bool = True) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def _decimals(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, DECIMAL, nullable=True) for name in names]


def _of_account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=f"fk_{table}_accounts")


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=f"fk_{table}_runs")


def _typed(name: str, *columns: sa.schema.SchemaItem) -> None:
    _table(
        name,
        *_ints("account_id", "session_id", "seq", "item", "received_ns"),
        *columns,
        sa.PrimaryKeyConstraint("account_id", "session_id", "seq", "item", name=f"pk_{name}"),
    )


def upgrade() -> None:
    _table(
        "accounts",
        *_ints("account_id"),
        *_texts("venue", "name", null=False),
        *_ints("created_ns"),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
    )
    _table(
        "runs",
        *_ints("run_id", "started_ns"),
        *_texts("host", null=False),
        *_ints("pid"),
        *_texts("version", null=False),
        *_ints("ended_ns", null=True),
        *_texts("end_reason"),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    _table(
        "sessions",
        *_ints("account_id", "session_id", "run_id"),
        *_texts("url", "topics", null=False),
        *_ints("opened_ns"),
        *_ints("covered_ns", "ended_ns", null=True),
        *_texts("end_reason", "end_detail"),
        sa.PrimaryKeyConstraint("account_id", "session_id", name="pk_sessions"),
        _of_account("sessions"),
        _of_run("sessions"),
    )
    _table(
        "frames",
        *_ints("account_id", "session_id", "seq", "received_ns"),
        *_texts("source", null=False),
        *_texts("topic"),
        *_texts("status", null=False),
        *_texts("error"),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "session_id", "seq", name="pk_frames"),
    )
    undecoded = sa.text("status = 'undecoded'")
    op.create_index(
        "ix_frames_undecoded",
        "frames",
        ["account_id", "status"],
        sqlite_where=undecoded,
        postgresql_where=undecoded,
    )
    _typed_tables()
    _table(
        "gaps",
        *_ints("account_id", "gap_id"),
        *_texts("topic"),
        *_ints("begins_ns", "begin_session_id", "begin_seq", "ends_ns", "end_session_id", "end_seq", null=True),
        *_texts("reason", null=False),
        *_texts("detail"),
        *_texts("state", null=False),
        sa.PrimaryKeyConstraint("account_id", "gap_id", name="pk_gaps"),
        _of_account("gaps"),
        *_ints("reconciliation_id", null=True),
        *_texts("resolution"),
        sa.CheckConstraint("state IN ('open', 'reconciled', 'unrecoverable')", name=op.f("ck_gaps_state")),
    )
    _table(
        "reconciliations",
        *_ints("account_id", "reconciliation_id", "run_id", "began_ns"),
        *_ints("ended_ns", null=True),
        *_texts("result", "detail"),
        sa.PrimaryKeyConstraint("account_id", "reconciliation_id", name="pk_reconciliations"),
        _of_account("reconciliations"),
        _of_run("reconciliations"),
    )
    _table(
        "batches",
        *_ints("run_id", "batch", "frames", "written_ns"),
        sa.PrimaryKeyConstraint("run_id", "batch", name="pk_batches"),
        _of_run("batches"),
    )


def _typed_tables() -> None:
    _typed(
        "account_updates",
        *_ints("ts", null=True),
        *_texts("currency", null=False),
        *_decimals("available", "frozen", "position_margin"),
        *_ints("updated_at", null=True),
        *_texts("extra"),
    )
    _typed(
        "order_updates",
        *_ints("ts", null=True),
        *_ints("order_id"),
        *_decimals("quantity"),
        *_texts("direction"),
        *_ints("features", null=True),
        *_decimals("price", "fill_price", "unfilled_quantity"),
        *_texts("symbol", "margin_currency"),
        *_decimals("fee"),
        *_texts("order_type", "status", "trigger_direction"),
        *_decimals("trigger_on", "trailing_base_price", "trailing_distance"),
        *_ints("created_at", null=True),
        *_texts("extra"),
    )
    _typed(
        "position_updates",
        *_ints("ts", null=True),
        *_texts("symbol", null=False),
        *_decimals("quantity"),
        *_texts("direction"),
        *_decimals("leverage"),
        *_ints("risk_level", null=True),
        *_decimals("margin", "taker_fee_rate", "realized_pnl", "entry_price", "liquidation_price"),
        *_decimals("bankruptcy_price", "minimum_maintenance_margin_rate"),
        *_ints("updated_at", null=True),
        *_texts("extra"),
    )
    _typed("heartbeats", *_ints("ts", "gap_ms", null=True))
    _typed(
        "fills",
        *_ints("order_id"),
        *_ints("taker", null=True),
        *_decimals("price", "quantity", "fee"),
        *_ints("created_at", null=True),
    )


def downgrade() -> None:
    for name in (
        "batches",
        "reconciliations",
        "gaps",
        "fills",
        "heartbeats",
        "position_updates",
        "order_updates",
        "account_updates",
    ):
        op.drop_table(name)
    for name in ("frames", "sessions", "runs", "accounts"):
        op.drop_table(name)
