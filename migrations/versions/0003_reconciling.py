"""Reconciling: fills as the exchange matched them, rounds of REST questions, and what became of each gap.

`trade_history` takes the exchange's own fills where there are any, and derives only what goes beyond them.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import sqlite

revision = "0003"
down_revision = "0002"

INT64 = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
DECIMAL = sa.Numeric().with_variant(sa.Text(), "sqlite")

RECEIPT = "received_ns, session_id, seq, item"


def _number(expression: str) -> str:
    return f"CAST({expression} AS REAL)" if op.get_bind().dialect.name == "sqlite" else expression


def _utc(ms: str) -> str:
    if op.get_bind().dialect.name == "sqlite":
        return f"strftime('%Y-%m-%d %H:%M:%f', {ms} / 1000.0, 'unixepoch')"
    return f"to_char(to_timestamp({ms} / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')"


def _trade_history() -> str:
    # Derived: a row for each step in which an order filled further, or its fee changed; see revision 0002. Each answer
    # about an order's executions is complete, so the newest one counts, and derived steps begin where it ends.
    filled = f"{_number('quantity')} - {_number('unfilled_quantity')}"
    of_order = f"PARTITION BY account_id, order_id ORDER BY {RECEIPT}"
    times = f"{_utc('t.ts')} AS time_utc, {_utc('t.received_ns / 1000000')} AS received_utc"
    return f"""WITH matched AS (
  SELECT account_id, session_id, seq, item, received_ns, order_id, created_at,
    {_number("quantity")} AS quantity, {_number("price")} AS price, {_number("fee")} AS fee
  FROM (SELECT *, dense_rank() OVER (PARTITION BY account_id, order_id
      ORDER BY received_ns DESC, session_id DESC, seq DESC) AS age FROM fills) aged
  WHERE age = 1
), total AS (
  SELECT account_id, order_id, sum(quantity) AS filled, sum(quantity * price) / sum(quantity) AS average,
    sum(fee) AS fee
  FROM matched GROUP BY account_id, order_id
), told AS (
  SELECT o.account_id, o.session_id, o.seq, o.item, o.received_ns, o.ts, o.order_id, symbol, direction, order_type,
    margin_currency, {filled} AS filled, {_number("fill_price")} AS average, {_number("o.fee")} AS fee,
    total.filled AS filled_at_least, total.average AS average_matched, total.fee AS fee_matched
  FROM order_updates o LEFT JOIN total ON total.account_id = o.account_id AND total.order_id = o.order_id
  WHERE o.quantity IS NOT NULL AND o.unfilled_quantity IS NOT NULL
), news AS (
  SELECT * FROM (SELECT *, max(filled) OVER ({of_order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS most_before
    FROM told) aged
  WHERE filled > 0 AND filled >= coalesce(most_before, 0) AND filled >= coalesce(filled_at_least, 0)
), steps AS (
  SELECT *, coalesce(lag(filled) OVER w, filled_at_least) AS filled_before,
    coalesce(lag(average) OVER w, average_matched) AS average_before,
    coalesce(lag(fee) OVER w, fee_matched) AS fee_before
  FROM news WINDOW w AS ({of_order})
), orders_seen AS (
  SELECT account_id, order_id, max(symbol) AS symbol, max(direction) AS direction, max(order_type) AS order_type,
    max(margin_currency) AS margin_currency
  FROM order_updates GROUP BY account_id, order_id
), trades AS (
  SELECT order_id, symbol, direction, order_type, filled - coalesce(filled_before, 0) AS quantity,
    CASE WHEN filled_before IS NULL THEN average
      WHEN filled > filled_before THEN (filled * average - filled_before * average_before) / (filled - filled_before)
    END AS price,
    CASE WHEN filled_before IS NULL THEN fee ELSE fee - fee_before END AS fee, margin_currency AS fee_currency,
    CASE WHEN filled_before IS NULL THEN 0 ELSE 1 END AS price_is_estimate, 'derived' AS origin,
    ts, received_ns, account_id, session_id, seq, item
  FROM steps WHERE filled_before IS NULL OR filled > filled_before
    OR abs(fee - fee_before) > 1e-12 * (abs(fee) + abs(fee_before))
  UNION ALL
  SELECT m.order_id, s.symbol, s.direction, s.order_type, m.quantity, m.price, m.fee, s.margin_currency, 0, 'venue',
    m.created_at, m.received_ns, m.account_id, m.session_id, m.seq, m.item
  FROM matched m LEFT JOIN orders_seen s ON s.account_id = m.account_id AND s.order_id = m.order_id
)
SELECT a.name AS account, {times}, t.* FROM trades t JOIN accounts a ON a.account_id = t.account_id"""


def upgrade() -> None:
    op.create_table(
        "fills",
        *[
            sa.Column(name, INT64, nullable=False)
            for name in ("account_id", "session_id", "seq", "item", "received_ns")
        ],
        sa.Column("order_id", INT64, nullable=False),
        sa.Column("taker", INT64, nullable=True),
        *[sa.Column(name, DECIMAL, nullable=True) for name in ("price", "quantity", "fee")],
        sa.Column("created_at", INT64, nullable=True),
        sa.PrimaryKeyConstraint("account_id", "session_id", "seq", "item", name="pk_fills"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reconciliations",
        *[sa.Column(name, INT64, nullable=False) for name in ("account_id", "reconciliation_id", "run_id", "began_ns")],
        sa.Column("ended_ns", INT64, nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "reconciliation_id", name="pk_reconciliations"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="fk_reconciliations_accounts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_reconciliations_runs"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.add_column("gaps", sa.Column("reconciliation_id", INT64, nullable=True))
    op.add_column("gaps", sa.Column("resolution", sa.Text(), nullable=True))
    op.execute("DROP VIEW trade_history")
    op.execute(f"CREATE VIEW trade_history AS\n{_trade_history()}")


def downgrade() -> None:
    op.execute("DROP VIEW trade_history")
    op.drop_column("gaps", "resolution")
    op.drop_column("gaps", "reconciliation_id")
    op.drop_table("reconciliations")
    op.drop_table("fills")
    # The view as the revision before made it: a released revision does not change.
    before = context.script.get_revision(down_revision).module
    op.execute(f"CREATE VIEW trade_history AS\n{before._trade_history()}")
