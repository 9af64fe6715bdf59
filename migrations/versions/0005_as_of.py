"""What was known when: frames by their time of receipt, and snapshots of where the latest states stand.

`receipts` follows from the frames, and is filled here for what a database holds already. Snapshots are made by the
recorder as it goes on, those of old history too; without them an answer is the same, and takes longer.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0005"
down_revision = "0004"

INT64 = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")

#: So long a stretch of the clock has a row of its own, ns: `recorder.store.receipts` says why.
STRETCH_NS = 10 * 10**9

#: Frame by frame once, in the order of the key.
FILL = f"""INSERT INTO receipts (account_id, session_id, first_seq, last_seq, first_ns, last_ns)
SELECT s.account_id, s.session_id, min(f.seq), max(f.seq), min(f.received_ns), max(f.received_ns)
FROM spans s JOIN frames f ON f.account_id = s.account_id AND f.session_id = s.session_id
  AND f.seq BETWEEN s.first_seq AND s.last_seq
GROUP BY s.account_id, s.session_id, s.run_id, s.batch, f.received_ns / {STRETCH_NS}"""


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _ints(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, INT64, nullable=False) for name in names]


def upgrade() -> None:
    _table(
        "receipts",
        *_ints("account_id", "session_id", "first_seq", "last_seq", "first_ns", "last_ns"),
        sa.PrimaryKeyConstraint("account_id", "session_id", "first_seq", name="pk_receipts"),
    )
    op.execute(FILL)
    op.create_index("ix_receipts_first_ns", "receipts", ["account_id", "first_ns"])
    _table(
        "snapshots",
        *_ints("account_id", "at_ns"),
        sa.PrimaryKeyConstraint("account_id", "at_ns", name="pk_snapshots"),
    )
    _table(
        "snapshot_rows",
        *_ints("account_id", "at_ns"),
        sa.Column("kind", sa.Text(), nullable=False),
        *_ints("session_id", "seq", "item"),
        sa.PrimaryKeyConstraint("account_id", "at_ns", "kind", "session_id", "seq", "item", name="pk_snapshot_rows"),
    )


def downgrade() -> None:
    for name in ("snapshot_rows", "snapshots", "receipts"):
        op.drop_table(name)
