"""Complete lists of balances and positions (`listings`), and what they no longer have (`current_states.is_gone`).

Lists follow from the frames, so typed rows are made again; `recorder db upgrade` does it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0006"
down_revision = "0005"

INT64 = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
#: On PostgreSQL, years with a partition of their own; all other rows go to `..._other`.
YEARS = range(2019, 2041)

#: Views of the latest states.
VIEWS = ("positions", "balances")


def upgrade() -> None:
    _create_listings()
    definitions = _drop_views()
    _replace_states()
    for view, definition in definitions.items():
        op.execute(f"CREATE VIEW {view} AS\n{definition} AND s.is_gone = 0")
    # Rows that point to latest states lack the lists; they only save reading.
    for table in ("snapshot_rows", "snapshots"):
        op.execute(f"DELETE FROM {table}")
    op.execute("INSERT INTO rebuild_needed SELECT '0006' WHERE EXISTS (SELECT 1 FROM frames)")


def _create_listings() -> None:
    op.create_table(
        "listings",
        *_ints("account_id", "session_id", "seq", "item", "received_ns"),
        *_ints("event_ms", null=True),
        *_ints("is_snapshot"),
        *_texts("kind", "topic"),
        sa.PrimaryKeyConstraint("account_id", "session_id", "seq", "item", name="pk_listings"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (session_id)",
    )
    if op.get_bind().dialect.name == "sqlite":
        return
    for year in YEARS:
        bounds = f"FOR VALUES FROM ({_first_id(year)}) TO ({_first_id(year + 1)})"
        op.execute(f"CREATE TABLE listings_{year} PARTITION OF listings {bounds}")
    op.execute("CREATE TABLE listings_other PARTITION OF listings DEFAULT")


def _first_id(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000 << 20


def _drop_views() -> dict[str, str]:
    """Drop the views that read `current_states`. Returns what each of them selects; it ends with a condition."""
    connection = op.get_bind()
    definitions = {}
    for view in VIEWS:
        if connection.dialect.name == "sqlite":
            made = connection.exec_driver_sql(f"SELECT sql FROM sqlite_master WHERE name = '{view}'").scalar_one()
            definitions[view] = made.partition(" AS\n")[2]
        else:
            made = connection.exec_driver_sql(f"SELECT pg_get_viewdef('{view}'::regclass)").scalar_one()
            definitions[view] = made.rstrip().removesuffix(";")
        op.execute(f"DROP VIEW {view}")
    return definitions


def _replace_states() -> None:
    """The table anew, with one column more at its end. Nothing was left out by a list so far as anybody knew."""
    op.execute("CREATE TABLE former_states AS SELECT * FROM current_states")
    op.drop_table("current_states")
    op.create_table(
        "current_states",
        *_ints("account_id"),
        *_texts("kind", "thing"),
        *_ints("counts_ns", "received_ns", "session_id", "seq", "item", "is_gone"),
        sa.PrimaryKeyConstraint("account_id", "kind", "thing", name="pk_current_states"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO current_states SELECT s.*, 0 FROM former_states s")
    op.drop_table("former_states")


def _ints(*names: str, null: bool = False) -> Sequence[sa.Column[int]]:
    return [sa.Column(name, INT64, nullable=null) for name in names]


def _texts(*names: str) -> Sequence[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
