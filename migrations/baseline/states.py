"""The views for people: latest states and histories, with plain numbers and readable times.

Exact digits live in the tables. A view converts them to the engine's own numbers, so that `WHERE price > 9000 ORDER BY
price` works in the `sqlite3` shell too, where the tables store decimals as text.

Two recorders of one account each store all they received, and a reader sees each push once: the views `..._once` are
the typed tables without the second sightings. Equal updates from different recorders are the same push if they were
received within `APART_NS` of each other; an update that one recorder received several times counts that many times.
Where only one recorder wrote, the views are the tables themselves.
"""

from alembic import op

from .spelling import number, numbers, utc

#: Table → the columns by which two updates are equal. `ts` is the time of the push: it may differ by connection.
SAID = {
    "account_updates": ("currency", "available", "frozen", "position_margin", "updated_at", "extra"),
    "order_updates": (
        "order_id",
        "quantity",
        "direction",
        "features",
        "price",
        "fill_price",
        "unfilled_quantity",
        "symbol",
        "margin_currency",
        "fee",
        "order_type",
        "status",
        "trigger_direction",
        "trigger_on",
        "trailing_base_price",
        "trailing_distance",
        "created_at",
        "extra",
    ),
    "position_updates": (
        "symbol",
        "quantity",
        "direction",
        "leverage",
        "risk_level",
        "margin",
        "taker_fee_rate",
        "realized_pnl",
        "entry_price",
        "liquidation_price",
        "bankruptcy_price",
        "minimum_maintenance_margin_rate",
        "updated_at",
        "extra",
    ),
}
ONCE = tuple(f"{table}_once" for table in SAID)
VIEWS = ("orders", "order_history", "positions", "balances", "trade_history")

#: Two clocks that the exchange accepts differ by at most 60 s, and a recorder that cannot write reads up to 60 s late.
APART_NS = 120 * 10**9

RECEIPT = "received_ns, session_id, seq, item"
#: A REST answer counts from the time of the request: a push received before the answer arrived is newer.
COUNTS_NS = "coalesce(r.began_ns, u.received_ns)"
NEWEST_FIRST = f"{COUNTS_NS} DESC, u.received_ns DESC, u.session_id DESC, u.seq DESC, u.item DESC"


def _times(rows: str = "u") -> str:
    received_ms = f"{rows}.received_ns / 1000000"
    return f"a.name AS account, {utc(f'{rows}.ts')} AS time_utc, {utc(received_ms)} AS received_utc"


def _once(table: str) -> str:
    said = SAID[table]
    columns = ", ".join(("account_id, session_id, seq, item, received_ns, ts", *said))
    same = ", ".join(("account_id", *said))
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
            OVER (PARTITION BY {", ".join(f"u.{name}" for name in ("account_id", *said))}
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


KEY = "u.ts, u.received_ns, u.account_id, u.session_id, u.seq, u.item"


def _all(table: str) -> str:
    return f"FROM {table} u JOIN accounts a ON a.account_id = u.account_id"


def _latest(table: str, thing: str) -> str:
    aged = f"row_number() OVER (PARTITION BY u.account_id, u.{thing} ORDER BY {NEWEST_FIRST}) AS age"
    return f"""FROM (SELECT u.*, {aged} FROM {table} u LEFT JOIN reconciliations r
    ON r.account_id = u.account_id AND r.reconciliation_id = u.session_id) u
  JOIN accounts a ON a.account_id = u.account_id
WHERE u.age = 1"""


def _orders(source: str) -> str:
    return f"""SELECT {_times()},
  u.order_id, u.symbol, u.direction, u.order_type, u.status,
  {numbers("quantity", "price", "fill_price", "unfilled_quantity", "fee")},
  u.margin_currency, u.features,
  {numbers("trigger_on", "trailing_base_price", "trailing_distance")},
  {utc("u.created_at")} AS created_utc, {KEY}
{source}"""


def _positions() -> str:
    return f"""SELECT {_times()},
  u.symbol, u.direction,
  {numbers("quantity", "leverage", "entry_price", "margin", "realized_pnl", "liquidation_price", "bankruptcy_price")},
  u.risk_level, {KEY}
{_latest("position_updates_once", "symbol")}"""


def _balances() -> str:
    parts = ("available", "frozen", "position_margin")
    total = " + ".join(number(f"coalesce(u.{part}, '0')") for part in parts)
    return f"""SELECT {_times()},
  u.currency, {total} AS total, {numbers(*parts)}, {KEY}
{_latest("account_updates_once", "currency")}"""


def _trade_history() -> str:
    # Executions that the exchange reported for an order: each answer is complete, so the newest one counts; an
    # execution without a quantity does not. The rest is derived: one row for each update in which an order filled
    # further, or its fee changed. An update with a smaller filled quantity than an earlier one is late (from a second
    # recorder, or a delayed snapshot) and is skipped. The price of the first row is the order's average so far; a later
    # price is what moved the average from the one to the other, an estimate. Updates with the same id and another
    # `created_at` are of another order. `recorder fills` computes the same exactly.
    filled = f"{number('quantity')} - {number('unfilled_quantity')}"
    of_order = f"PARTITION BY account_id, order_id, created ORDER BY {RECEIPT}"
    return f"""WITH matched AS (
  SELECT account_id, session_id, seq, item, received_ns, order_id, created_at,
    {number("quantity")} AS quantity, {number("price")} AS price, {number("fee")} AS fee
  FROM (SELECT *, dense_rank() OVER (PARTITION BY account_id, order_id
      ORDER BY received_ns DESC, session_id DESC, seq DESC) AS age FROM fills) aged
  WHERE age = 1 AND quantity IS NOT NULL
), total AS (
  SELECT account_id, order_id, sum(quantity) AS filled, coalesce(sum(fee), 0) AS fee,
    CASE WHEN count(*) = count(price) THEN sum(quantity * price) / nullif(sum(quantity), 0) END AS average
  FROM matched GROUP BY account_id, order_id
), reused AS (
  SELECT account_id, order_id, min(created_at) AS first_created FROM order_updates GROUP BY account_id, order_id
  HAVING min(created_at) < max(created_at)
), told AS (
  SELECT o.account_id, o.session_id, o.seq, o.item, o.received_ns, o.ts, o.order_id,
    CASE WHEN first_created IS NOT NULL THEN coalesce(o.created_at, first_created) END AS created,
    symbol, direction, order_type, margin_currency,
    {filled} AS filled, {number("fill_price")} AS average, {number("o.fee")} AS fee,
    total.filled AS filled_at_least, total.average AS average_matched, total.fee AS fee_matched
  FROM order_updates_once o LEFT JOIN reused ON reused.account_id = o.account_id AND reused.order_id = o.order_id
    LEFT JOIN total ON total.account_id = o.account_id AND total.order_id = o.order_id
      AND coalesce(o.created_at = first_created, true)
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
SELECT {_times("t")}, t.* FROM trades t JOIN accounts a ON a.account_id = t.account_id"""


def create() -> None:
    """Create the views."""
    selects = {
        **{view: _once(table) for view, table in zip(ONCE, SAID, strict=True)},
        "orders": _orders(_latest("order_updates_once", "order_id")),
        "order_history": _orders(_all("order_updates_once")),
        "positions": _positions(),
        "balances": _balances(),
        "trade_history": _trade_history(),
    }
    for name in (*ONCE, *VIEWS):
        op.execute(f"CREATE VIEW {name} AS\n{selects[name]}")
