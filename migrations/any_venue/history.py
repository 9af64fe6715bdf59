"""The views of every state of everything, with plain numbers and readable times.

Exact digits are in the tables. A view converts them to the engine's own numbers, so that `WHERE price > 9000 ORDER BY
price` works in the `sqlite3` shell too, where the tables store decimals as text.

Two recorders of one account each store all they received, and a reader sees each push once: the views `..._once` are
the typed tables without the second sightings. Equal updates from different recorders are the same push if they were
received within `APART_NS` of each other; an update that one recorder received several times counts that many times.
Where only one recorder wrote, the views are the tables themselves.

A state from a REST answer counts from the time of the request (`counts_ns`): a push received before the answer arrived
is newer. `at_ms` and `at_utc` are the venue's time, and the time of receipt only where the venue gives none.
"""

from alembic import op

from .spelling import is_sqlite, number, numbers, utc

#: Table → the columns by which two updates are equal. The time of the push may differ by connection.
CONTENT = {
    "order_updates": (
        "is_partial",
        "market",
        "symbol",
        "order_id",
        "client_order_id",
        "side",
        "position_side",
        "order_type",
        "time_in_force",
        "post_only",
        "reduce_only",
        "price",
        "trigger_price",
        "quantity",
        "quote_quantity",
        "filled_quantity",
        "average_price",
        "status",
        "venue_status",
        "reason",
        "fee",
        "fee_currency",
        "created_ms",
        "updated_ms",
        "extra",
    ),
    "position_updates": (
        "is_partial",
        "market",
        "symbol",
        "position_side",
        "position_id",
        "margin_mode",
        "quantity",
        "entry_price",
        "mark_price",
        "liquidation_price",
        "leverage",
        "margin",
        "unrealized_pnl",
        "realized_pnl",
        "updated_ms",
        "extra",
    ),
    "account_updates": (
        "is_partial",
        "wallet",
        "currency",
        "balance",
        "available",
        "locked",
        "position_margin",
        "equity",
        "unrealized_pnl",
        "updated_ms",
        "extra",
    ),
}

#: Two clocks that a venue accepts differ by at most 60 s, and a recorder that cannot write reads up to 60 s late.
APART_NS = 120 * 10**9

RECEIPT = "received_ns, session_id, seq, item"
#: When a state counts from: an answer from its request, an answer of a backfill from the venue's time of the state.
OF_STATE = "coalesce(u.updated_ms, u.event_ms, 0)"
COUNTS_NS = f"""CASE WHEN r.purpose = 'backfill' AND {OF_STATE} BETWEEN 0 AND r.began_ns / 1000000
    THEN {OF_STATE} * 1000000 ELSE coalesce(r.began_ns, u.received_ns) END"""
SOURCE = "CASE WHEN r.began_ns IS NULL THEN 'push' ELSE 'rest' END"
AT_MS = "coalesce(u.updated_ms, u.event_ms, u.received_ns / 1000000)"
IN_ORDER = f"{COUNTS_NS}, u.received_ns, u.session_id, u.seq, u.item"
ROUND = "reconciliations r ON r.account_id = u.account_id AND r.reconciliation_id = u.session_id"
KEY = "u.event_ms, u.received_ns, u.account_id, u.session_id, u.seq, u.item"


def create() -> None:
    """Create the views."""
    for table, content in CONTENT.items():
        op.execute(f"CREATE VIEW {table}_once AS\n{_once(table, content)}")
    for name, select in (
        ("order_history", _order_history()),
        ("position_history", _position_history()),
        ("balance_history", _balance_history()),
        ("timeline", _timeline()),
    ):
        op.execute(f"CREATE VIEW {name} AS\n{select}")


def _once(table: str, content: tuple[str, ...]) -> str:
    columns = ", ".join(("account_id, session_id, seq, item, received_ns, event_ms, is_snapshot", *content))
    same = ", ".join(("account_id", *content))
    # Evaluated once a statement, before anything is sorted.
    several = "(SELECT count(*) FROM recorders) > 1"
    return f"""SELECT {columns} FROM {table} WHERE NOT {several}
UNION ALL
SELECT {columns} FROM (
  SELECT *, row_number() OVER (PARTITION BY {same}, burst, repeat_no ORDER BY {RECEIPT}) AS sighting FROM (
    SELECT *, row_number() OVER (PARTITION BY {same}, burst, recorder_id ORDER BY {RECEIPT}) AS repeat_no FROM (
      SELECT *, sum(CASE WHEN received_ns - before_ns <= {APART_NS} THEN 0 ELSE 1 END)
          OVER (PARTITION BY {same} ORDER BY {RECEIPT}) AS burst FROM (
        SELECT u.*, r.recorder_id, lag(received_ns)
            OVER (PARTITION BY {", ".join(f"u.{name}" for name in ("account_id", *content))}
              ORDER BY {", ".join(f"u.{name}" for name in RECEIPT.split(", "))}) AS before_ns
        FROM {table} u JOIN (
          SELECT account_id, session_id, run_id FROM sessions
          UNION ALL
          SELECT account_id, reconciliation_id, run_id FROM reconciliations
        ) s ON s.account_id = u.account_id AND s.session_id = u.session_id JOIN runs r ON r.run_id = s.run_id
        WHERE {several}
      ) near
    ) bursts
  ) repeats
) sightings WHERE sighting = 1"""


def _times(at_ms: str) -> str:
    at, received = utc(at_ms), utc("u.received_ns / 1000000")
    return f"a.name AS account, {at} AS at_utc, {received} AS received_utc, substr({at}, 1, 10) AS day"


def _order_history() -> str:
    numeric = numbers("quantity", "quote_quantity", "filled_quantity", "price", "average_price", "trigger_price", "fee")
    return f"""SELECT {_times(AT_MS)},
  u.market, u.symbol, u.order_id, u.client_order_id, u.side, u.position_side, u.order_type, u.time_in_force,
  u.post_only, u.reduce_only, u.status, u.venue_status, u.reason, {numeric}, u.fee_currency,
  {utc("u.created_ms")} AS created_utc, u.is_snapshot, u.is_partial, {AT_MS} AS at_ms, {KEY}
FROM order_updates_once u JOIN accounts a ON a.account_id = u.account_id"""


def _position_history() -> str:
    # Changes are between states in the venue's order: a REST answer may describe a later moment than pushes received
    # after it. The first state counts as a change only if an earlier REST answer showed that there was no position.
    before = "r.account_id = u.account_id AND r.result IN ('reconciled', 'partial') AND r.ended_ns < u.received_ns"
    change = f"""CASE WHEN u.nth > 1 THEN {number("u.realized_pnl")} - {number("u.pnl_before")}
    WHEN EXISTS (SELECT 1 FROM reconciliations r WHERE {before}) THEN {number("u.realized_pnl")} END"""
    series = "PARTITION BY u.account_id, u.market, u.symbol, u.position_side, u.position_id, u.realized_pnl IS NULL"
    return f"""SELECT {_times("u.at_ms")},
  u.market, u.symbol, u.position_side, u.position_id, u.margin_mode,
  {numbers("quantity", "entry_price", "mark_price", "liquidation_price", "leverage", "margin", "unrealized_pnl")},
  {number("u.realized_pnl")} AS realized_pnl, {change} AS realized_pnl_change, u.source, u.is_snapshot, u.is_partial,
  u.at_ms, u.counts_ns, {KEY}
FROM (SELECT u.*, {COUNTS_NS} AS counts_ns, {AT_MS} AS at_ms, {SOURCE} AS source,
    lag(u.realized_pnl) OVER w AS pnl_before, row_number() OVER w AS nth
  FROM position_updates_once u LEFT JOIN {ROUND}
  WINDOW w AS ({series} ORDER BY {AT_MS}, {IN_ORDER})) u
  JOIN accounts a ON a.account_id = u.account_id"""


def _balance_history() -> str:
    # On SQLite a number is a float with some 15 digits: a change beyond 14 decimals is rounding.
    change = f"{number('u.balance')} - {number('u.balance_before')}"
    change = f"round({change}, 14)" if is_sqlite() else change
    return f"""SELECT {_times("u.at_ms")},
  u.wallet, u.currency, {number("u.balance")} AS balance, {change} AS balance_change,
  {numbers("available", "locked", "position_margin", "equity", "unrealized_pnl")}, u.source,
  u.is_snapshot, u.is_partial, u.at_ms, u.counts_ns, {KEY}
FROM (SELECT u.*, {COUNTS_NS} AS counts_ns, {AT_MS} AS at_ms, {SOURCE} AS source, lag(u.balance) OVER (
      PARTITION BY u.account_id, u.wallet, u.currency, u.balance IS NULL ORDER BY {IN_ORDER}) AS balance_before
  FROM account_updates_once u LEFT JOIN {ROUND}) u
  JOIN accounts a ON a.account_id = u.account_id"""


def _text(column: str) -> str:
    return f"CAST({column} AS TEXT)"


def _timeline() -> str:
    frame = "received_ns, session_id, seq, item"
    none = number("NULL")
    parts = [
        f"SELECT account_id, {frame}, '{kind}', {subject}, {event}, {values} FROM {source}"
        for source, kind, subject, event, values in (
            (
                "order_updates_once",
                "order",
                "order_id",
                "coalesce(status, venue_status)",
                f"side, {number('filled_quantity')}, {number('average_price')}, {number('fee')}",
            ),
            (
                "fills",
                "fill",
                "coalesce(order_id, trade_id)",
                "coalesce(liquidity, 'unknown')",
                f"side, {number('quantity')}, {number('price')}, {number('fee')}",
            ),
            ("position_history", "position", "symbol", "source", "position_side, quantity, entry_price, realized_pnl"),
            ("balance_history", "balance", "currency", "source", f"NULL, {none}, {none}, balance"),
            (
                "transactions",
                "transaction",
                "coalesce(transaction_id, currency)",
                "type",
                f"NULL, {none}, {none}, {number('amount')}",
            ),
        )
    ]
    columns = "account_id, received_ns, session_id, seq, item, kind, subject, event, side, quantity, price, amount"
    return f"""WITH u ({columns}) AS (
  {" UNION ALL ".join([*parts, *_event_log()])}
)
SELECT a.name AS account, {utc("u.received_ns / 1000000")} AS received_utc, u.kind, u.subject, u.event, u.side,
  u.quantity, u.price, u.amount, u.received_ns, u.account_id, u.session_id, u.seq, u.item
FROM u JOIN accounts a ON a.account_id = u.account_id"""


def _event_log() -> list[str]:
    # An event sorts before the first frame of its session, or after the last one.
    none, last = number("NULL"), 10**9
    session, gap, asked = _text("session_id"), _text("gap_id"), _text("reconciliation_id")
    rows = (
        ("sessions", "session", session, "'opened'", "opened_ns", "session_id, -1, 0"),
        ("sessions", "session", session, "'covered'", "covered_ns", f"session_id, 0, {last}"),
        ("sessions", "session", session, "'ended: ' || coalesce(end_reason, '')", "ended_ns", f"session_id, {last}, 0"),
        ("gaps", "gap", gap, "'begins: ' || reason", "begins_ns", f"begin_session_id, begin_seq, {last}"),
        ("gaps", "gap", gap, "'ends: ' || state", "ends_ns", f"end_session_id, end_seq, {last}"),
        ("reconciliations", "reconciliation", asked, "'began'", "began_ns", "reconciliation_id, -1, 0"),
        (
            "reconciliations",
            "reconciliation",
            asked,
            "'ended: ' || coalesce(result, '')",
            "ended_ns",
            f"reconciliation_id, {last}, 0",
        ),
        ("discrepancies", "discrepancy", "subject", "field", "found_ns", f"session_id, seq, {last}"),
    )
    return [
        f"SELECT account_id, {ns}, {place}, '{kind}', {subject}, {event}, NULL, {none}, {none}, {none} "
        f"FROM {source} WHERE {ns} IS NOT NULL"
        for source, kind, subject, event, ns, place in rows
    ]
