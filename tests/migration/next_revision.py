"""A made-up next revision: a column on `frames`, one on a typed table, and a value in every row there is."""

import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "HEAD"  # the fixture `next_migrations` names it


def upgrade() -> None:
    op.add_column("frames", sa.Column("stream", sa.Text(), nullable=True))
    op.add_column("order_updates", sa.Column("parent_order_id", sa.Text(), nullable=True))
    op.execute("UPDATE order_updates SET parent_order_id = upper(side)")
    op.execute("CREATE VIEW parents AS SELECT order_id, parent_order_id FROM order_updates")
