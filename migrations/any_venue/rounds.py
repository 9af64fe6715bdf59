"""Why the exchange was asked, and what backfills have completed."""

import sqlalchemy as sa
from alembic import op

from .tables import ints, table, texts

COLUMNS = "account_id, reconciliation_id, run_id, began_ns, ended_ns, result, detail"


def _key(name: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.{column}"], name=f"fk_{name}_{other}")


def create() -> None:
    """Make `reconciliations` again with the column `purpose`, NULL in every row, and create `backfilled`."""
    op.execute("CREATE TEMPORARY TABLE old_reconciliations AS SELECT * FROM reconciliations")
    op.drop_table("reconciliations")
    table(
        "reconciliations",
        *ints("account_id", "reconciliation_id", "run_id", "began_ns"),
        *ints("ended_ns", null=True),
        *texts("result", "detail", "purpose"),
        sa.PrimaryKeyConstraint("account_id", "reconciliation_id", name="pk_reconciliations"),
        _key("reconciliations", "account_id", "accounts"),
        _key("reconciliations", "run_id", "runs"),
    )
    op.execute(f"INSERT INTO reconciliations ({COLUMNS}) SELECT {COLUMNS} FROM old_reconciliations")
    op.execute("DROP TABLE old_reconciliations")
    table(
        "backfilled",
        *ints("account_id", "reconciliation_id"),
        *texts("subject", "history", null=False),
        *ints("since_ms", "until_ms", null=True),
        *ints("completed_ns"),
        sa.PrimaryKeyConstraint("account_id", "reconciliation_id", "subject", name="pk_backfilled"),
        _key("backfilled", "account_id", "accounts"),
    )
