"""Sessions and gaps say of which of the account's streams they are. Until revision 0002 each account had one."""

import sqlalchemy as sa
from alembic import op

from .tables import ints, table, texts


def _key(name: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.{column}"], name=f"fk_{name}_{other}")


def create() -> None:
    """Make both tables again with the column `stream`, empty in every row."""
    for name in ("sessions", "gaps"):
        op.execute(f"CREATE TEMPORARY TABLE old_{name} AS SELECT * FROM {name}")
        op.drop_table(name)
    _create_sessions()
    _create_gaps()
    for name in ("sessions", "gaps"):
        columns = [column["name"] for column in sa.inspect(op.get_bind()).get_columns(name)]
        old = ", ".join("''" if column == "stream" else column for column in columns)
        op.execute(f"INSERT INTO {name} ({', '.join(columns)}) SELECT {old} FROM old_{name}")
        op.execute(f"DROP TABLE old_{name}")


def _create_sessions() -> None:
    table(
        "sessions",
        *ints("account_id", "session_id", "run_id"),
        *texts("stream", "url", "topics", null=False),
        *ints("opened_ns"),
        *ints("covered_ns", "ended_ns", null=True),
        *texts("end_reason", "end_detail"),
        sa.PrimaryKeyConstraint("account_id", "session_id", name="pk_sessions"),
        _key("sessions", "account_id", "accounts"),
        _key("sessions", "run_id", "runs"),
    )


def _create_gaps() -> None:
    table(
        "gaps",
        *ints("account_id", "recorder_id", "gap_id"),
        *texts("stream", null=False),
        *texts("topic"),
        *ints("begins_ns", "begin_session_id", "begin_seq", "ends_ns", "end_session_id", "end_seq", null=True),
        *texts("reason", null=False),
        *texts("detail"),
        *texts("state", null=False),
        sa.PrimaryKeyConstraint("account_id", "recorder_id", "gap_id", name="pk_gaps"),
        _key("gaps", "account_id", "accounts"),
        _key("gaps", "recorder_id", "recorders"),
        *ints("reconciliation_id", null=True),
        *texts("resolution"),
        sa.CheckConstraint("state IN ('open', 'reconciled', 'unrecoverable')", name=op.f("ck_gaps_state")),
    )
