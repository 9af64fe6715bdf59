"""The views of transactions: each money movement once, however often it was pushed and listed.

A movement is identified by what the venue's ledger says of it. One without an id is identified by its contents alone:
then equal rows of one frame are different movements, and a frame that repeats them adds none.

A venue may also push a movement that its ledger lists later, without the ledger's id and without the balance after it.
Such a row counts until the ledger covers its time: otherwise funding would count twice.
"""

from alembic import op

from .spelling import numbers, utc

CONTENT = (
    "transaction_id, type, venue_type, wallet, currency, amount, fee, balance_after, market, symbol, order_id, "
    "trade_id, occurred_ms, extra"
)
IDENTITY = (
    "account_id, wallet, currency, type, venue_type, transaction_id, trade_id, market, symbol, occurred_ms, amount"
)
AT_MS = "coalesce(u.occurred_ms, u.event_ms, u.received_ns / 1000000)"


def create() -> None:
    """Create the views."""
    op.execute(f"CREATE VIEW transactions_once AS\n{_once()}")
    op.execute(f"CREATE VIEW transaction_history AS\n{_history()}")


def _once() -> str:
    nth = f"row_number() OVER (PARTITION BY {IDENTITY}, session_id, seq ORDER BY item)"
    first = f"row_number() OVER (PARTITION BY {IDENTITY}, nth ORDER BY received_ns, session_id, seq, item)"
    ledger = (
        "SELECT 1 FROM transactions l WHERE l.account_id = n.account_id AND l.currency = n.currency "
        "AND coalesce(l.wallet, '') = coalesce(n.wallet, '') AND l.balance_after IS NOT NULL AND l.occurred_ms"
    )
    return f"""SELECT n.account_id, n.session_id, n.seq, n.item, n.received_ns, n.event_ms, n.is_snapshot,
  {", ".join(f"n.{name}" for name in CONTENT.split(", "))}
FROM (
  SELECT c.*, {first} AS sighting FROM (
    SELECT t.*, CASE WHEN transaction_id IS NULL THEN {nth} ELSE 1 END AS nth FROM transactions t
  ) c
) n
WHERE n.sighting = 1 AND (n.transaction_id IS NOT NULL OR n.balance_after IS NOT NULL
  OR NOT EXISTS ({ledger} <= n.occurred_ms) OR NOT EXISTS ({ledger} >= n.occurred_ms))"""


def _history() -> str:
    at = utc(AT_MS)
    return f"""SELECT a.name AS account, {at} AS at_utc, {utc("u.received_ns / 1000000")} AS received_utc,
  substr({at}, 1, 10) AS day, u.type, u.venue_type, u.wallet, u.currency, {numbers("amount", "fee", "balance_after")},
  u.market, u.symbol, u.transaction_id, u.order_id, u.trade_id, {AT_MS} AS at_ms, u.event_ms, u.received_ns,
  u.account_id, u.session_id, u.seq, u.item
FROM transactions_once u JOIN accounts a ON a.account_id = u.account_id"""
