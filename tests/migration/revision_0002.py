"""A made-up next revision: a column on `frames`, one on a typed table, and a value in every row there is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("frames", sa.Column("stream", sa.Text(), nullable=True))
    op.add_column("order_updates", sa.Column("position_side", sa.Text(), nullable=True))
    op.execute("UPDATE order_updates SET position_side = lower(direction)")
    op.execute("CREATE VIEW position_sides AS SELECT order_id, position_side FROM order_updates")
