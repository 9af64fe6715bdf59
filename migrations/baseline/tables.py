"""The tables of revision 0001.

On PostgreSQL the tables that grow have a partition a year: `session_id` is a time (milliseconds since 1970, shifted
left by 20 bits), so `ALTER TABLE frames DETACH PARTITION frames_2020` detaches a year of history at once.
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


def _table(name: str, *parts: sa.schema.SchemaItem, **options: Any) -> None:
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=name == "frames", **options)


def _growing_table(name: str, *parts: sa.schema.SchemaItem) -> None:
    _table(name, *parts, postgresql_partition_by="RANGE (session_id)")
    if is_sqlite():
        return
    for year in YEARS:
        bounds = f"FOR VALUES FROM ({_first_id(year)}) TO ({_first_id(year + 1)})"
        op.execute(f"CREATE TABLE {name}_{year} PARTITION OF {name} {bounds}")
    op.execute(f"CREATE TABLE {name}_other PARTITION OF {name} DEFAULT")


def _first_id(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000 << 20


def _ints(*names: str, null: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, INT64, nullable=null) for name in names]


def _texts(*names: str, null: bool = True) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def _decimals(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, DECIMAL, nullable=True) for name in names]


def _blobs(*names: str) -> list[sa.Column[bytes]]:
    return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]


def _of_account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=f"fk_{table}_accounts")


def _of_recorder(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"], name=f"fk_{table}_recorders")


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=f"fk_{table}_runs")


def _typed(name: str, *columns: sa.schema.SchemaItem) -> None:
    _growing_table(
        name,
        *_ints("account_id", "session_id", "seq", "item", "received_ns"),
        *columns,
        sa.PrimaryKeyConstraint("account_id", "session_id", "seq", "item", name=f"pk_{name}"),
    )


def create() -> None:
    """Create the tables and their indexes."""
    _recorders_and_sessions()
    _journal()
    _evidence()
    _typed_tables()
    _findings()
    _state_index()


def _recorders_and_sessions() -> None:
    _table(
        "accounts",
        *_ints("account_id"),
        *_texts("venue", "name", null=False),
        *_ints("created_ns"),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
    )
    _table(
        "recorders",
        *_ints("recorder_id", "created_ns"),
        *_texts("host", null=False),
        sa.PrimaryKeyConstraint("recorder_id", name="pk_recorders"),
    )
    # The credentials of an account, as fingerprints.
    _table(
        "credentials",
        *_ints("account_id"),
        *_texts("fingerprint", null=False),
        *_ints("added_ns", "accepted"),
        sa.PrimaryKeyConstraint("account_id", "fingerprint", name="pk_credentials"),
    )
    _table(
        "retirements",
        *_ints("recorder_id", "retired_ns"),
        *_texts("who", "why", null=False),
        sa.PrimaryKeyConstraint("recorder_id", "retired_ns", name="pk_retirements"),
    )
    _table(
        "identity",
        *_ints("recorder_id"),
        *_texts("host", "path", "device", null=False),
        *_texts("inode"),
        *_ints("copy_of", null=True),
        *_texts("copy_of_host", "copy_of_path"),
        *_ints("adopted_ns", null=True),
        sa.PrimaryKeyConstraint("recorder_id", name="pk_identity"),
    )
    _table(
        "runs",
        *_ints("run_id", "recorder_id", "started_ns"),
        *_texts("host", null=False),
        *_ints("pid"),
        *_texts("version", null=False),
        *_ints("ended_ns", null=True),
        *_texts("end_reason"),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
        _of_recorder("runs"),
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


def _journal() -> None:
    _growing_table(
        "frames",
        *_ints("account_id", "session_id", "seq", "received_ns"),
        *_texts("source", null=False),
        *_texts("topic"),
        *_texts("status", null=False),
        *_texts("error"),
        *_blobs("payload"),
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
    _table(
        "batches",
        *_ints("run_id", "batch", "frames", "written_ns"),
        sa.PrimaryKeyConstraint("run_id", "batch", name="pk_batches"),
        _of_run("batches"),
    )
    _table(
        "spans",
        *_ints("run_id", "batch", "account_id", "session_id", "first_seq", "last_seq"),
        sa.PrimaryKeyConstraint("run_id", "batch", "account_id", "session_id", name="pk_spans"),
    )
    _table(
        "event_log",
        *_ints("run_id", "batch", "item"),
        *_texts("body", null=False),
        sa.PrimaryKeyConstraint("run_id", "batch", "item", name="pk_event_log"),
    )


def _evidence() -> None:
    _table(
        "seals",
        *_ints("run_id", "batch"),
        *_blobs("seal", "frames_root", "entries_root", "digests"),
        sa.PrimaryKeyConstraint("run_id", "batch", name="pk_seals"),
        _of_run("seals"),
    )
    if not is_sqlite():
        # Digests cannot be compressed: PostgreSQL need not try.
        op.execute("ALTER TABLE seals ALTER COLUMN digests SET STORAGE EXTERNAL")
    _table(
        "checkpoints",
        *_ints("recorder_id", "size", "made_ns"),
        *_texts("note", null=False),
        *_texts("token"),
        sa.PrimaryKeyConstraint("recorder_id", "size", name="pk_checkpoints"),
        _of_recorder("checkpoints"),
    )
    _table(
        "redactions",
        *_ints("account_id", "session_id", "first_seq", "last_seq", "redacted_ns"),
        *_texts("who", "why", null=False),
        sa.PrimaryKeyConstraint("account_id", "session_id", "first_seq", name="pk_redactions"),
        _of_account("redactions"),
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


def _findings() -> None:
    _table(
        "gaps",
        *_ints("account_id", "recorder_id", "gap_id"),
        *_texts("topic"),
        *_ints("begins_ns", "begin_session_id", "begin_seq", "ends_ns", "end_session_id", "end_seq", null=True),
        *_texts("reason", null=False),
        *_texts("detail"),
        *_texts("state", null=False),
        sa.PrimaryKeyConstraint("account_id", "recorder_id", "gap_id", name="pk_gaps"),
        _of_account("gaps"),
        _of_recorder("gaps"),
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
        "discrepancies",
        *_ints("account_id", "session_id", "seq"),
        *_texts("subject", "field", null=False),
        *_texts("told", "held"),
        *_ints("other_session_id", "found_ns"),
        sa.PrimaryKeyConstraint(
            "account_id", "session_id", "seq", "subject", "field", "other_session_id", name="pk_discrepancies"
        ),
        _of_account("discrepancies"),
    )
    _table(
        "comparisons",
        *_ints("account_id", "session_id", "other_session_id", "same", "unseen"),
        sa.PrimaryKeyConstraint("account_id", "session_id", "other_session_id", name="pk_comparisons"),
        _of_account("comparisons"),
    )


def _state_index() -> None:
    _table(
        "receipts",
        *_ints("account_id", "session_id", "first_seq", "last_seq", "first_ns", "last_ns"),
        sa.PrimaryKeyConstraint("account_id", "session_id", "first_seq", name="pk_receipts"),
    )
    op.create_index("ix_receipts_first_ns", "receipts", ["account_id", "first_ns"])
    _table(
        "snapshots",
        *_ints("account_id", "at_ns"),
        sa.PrimaryKeyConstraint("account_id", "at_ns", name="pk_snapshots"),
    )
    _table(
        "snapshot_rows",
        *_ints("account_id", "at_ns"),
        *_texts("kind", null=False),
        *_ints("session_id", "seq", "item"),
        sa.PrimaryKeyConstraint("account_id", "at_ns", "kind", "session_id", "seq", "item", name="pk_snapshot_rows"),
    )
