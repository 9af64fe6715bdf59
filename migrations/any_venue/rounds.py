"""Why the exchange was asked, and what backfills have completed."""

import sqlalchemy as sa
from alembic import op

from .tables import ints, table, texts


def create() -> None:
    """Add the column and create the table."""
    op.add_column("reconciliations", sa.Column("purpose", sa.Text()))
    table(
        "backfilled",
        *ints("account_id", "reconciliation_id"),
        *texts("subject", "history", null=False),
        *ints("since_ms", "until_ms", null=True),
        *ints("completed_ns"),
        sa.PrimaryKeyConstraint("account_id", "reconciliation_id", "subject", name="pk_backfilled"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="fk_backfilled_accounts"),
    )
