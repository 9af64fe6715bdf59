"""Orders that had ended and were open again by a list without times have ended.

They are projected again: `stale` says so, and `recorder db upgrade` and the next run do it. Snapshots of the state
index only save reading.
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute(
        "INSERT INTO stale SELECT DISTINCT s.account_id, s.order_id, '' FROM order_states s WHERE s.is_open = 1 "
        "AND EXISTS (SELECT 1 FROM order_updates u WHERE u.account_id = s.account_id AND u.order_id = s.order_id "
        "AND u.status IN ('filled', 'canceled', 'rejected', 'expired')) AND NOT EXISTS (SELECT 1 FROM stale o "
        "WHERE o.account_id = s.account_id AND o.order_id = s.order_id AND o.trade_id = '')"
    )
    for table in ("snapshot_rows", "snapshots"):
        op.execute(f"DELETE FROM {table}")
