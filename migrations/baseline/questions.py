"""The views that answer a trader's questions with short queries: docs/queries.md has examples.

`executions` is `trade_history` with columns to group by; `order_lives` has one row an order; `position_history` and
`balance_history` have every state, with the change from the one before; `round_trips` one row for each way from no
position to no position; `timeline` everything that happened, in the order in which it became known.

A state from a REST answer counts from the time of the request (`counts_ns`), as in `positions`. `at_ms` and `at_utc`
are the exchange's time, and the time of receipt only where the exchange gives none.
"""

from alembic import op

from .spelling import is_sqlite, number, numbers, utc

VIEWS = ("executions", "order_lives", "position_history", "balance_history", "round_trips", "timeline")

#: Bits of an order's `features`: post-only; fill-or-kill and immediate-or-cancel together.
POST_ONLY, AT_ONCE = 2, 9
FINAL = "'FULLY_FILLED', 'PARTIAL_CANCELLED', 'FULLY_CANCELLED', 'STOP_FAILED', 'STOP_CANCELLED'"

KEY = "u.ts, u.received_ns, u.counts_ns, u.account_id, u.session_id, u.seq, u.item"
ROUND = "r.account_id = u.account_id AND r.reconciliation_id = u.session_id"
IN_ORDER = "coalesce(r.began_ns, u.received_ns), u.received_ns, u.session_id, u.seq, u.item"
#: The order of fills, and of what is merged with them.
HAPPENED = "at_ms, received_ns, session_id, seq, item"


def _times() -> str:
    at, received = utc("u.at_ms"), utc("u.received_ns / 1000000")
    return f"a.name AS account, {at} AS at_utc, {received} AS received_utc, substr({at}, 1, 10) AS day"


def _updated_at(extra: str) -> str:
    # A push has its own time (`ts`). A REST answer has the order's last change instead, a field that pushes lack.
    if is_sqlite():
        return f"CASE WHEN json_valid({extra}) THEN CAST(json_extract({extra}, '$.updated_at') AS INTEGER) END"
    return f"""CAST(substring({extra} FROM '"updated_at":([0-9]{{1,16}})') AS BIGINT)"""


def _executions() -> str:
    # Only REST says whether an execution was maker or taker. For the others the order's kind decides where it allows
    # only one of the two; otherwise the column is 'unknown', never a guess from the fee.
    return f"""SELECT t.account, {utc("t.at_ms")} AS at_utc, substr({utc("t.at_ms")}, 1, 10) AS day,
  substr({utc("t.at_ms")}, 1, 7) AS month, t.order_id, t.symbol, t.direction, t.order_type,
  CASE WHEN t.taker = 0 THEN 'maker' WHEN t.taker = 1 THEN 'taker'
    WHEN a.venue <> 'fmex' THEN 'unknown'
    WHEN (t.features & {POST_ONLY}) <> 0 THEN 'maker'
    WHEN (t.features & {AT_ONCE}) <> 0 OR t.order_type = 'MARKET' THEN 'taker'
    ELSE 'unknown' END AS liquidity,
  t.quantity, t.price, t.price_is_estimate, t.fee, t.fee_currency, t.origin, t.received_utc,
  t.at_ms, t.received_ns, t.account_id, t.session_id, t.seq, t.item
FROM (SELECT h.*, f.taker, o.features, coalesce(h.ts, {_updated_at("o.extra")}, h.received_ns / 1000000) AS at_ms
  FROM trade_history h
    LEFT JOIN fills f ON h.origin = 'venue' AND f.account_id = h.account_id AND f.session_id = h.session_id
      AND f.seq = h.seq AND f.item = h.item
    LEFT JOIN order_updates o ON h.origin = 'derived' AND o.account_id = h.account_id AND o.session_id = h.session_id
      AND o.seq = h.seq AND o.item = h.item) t
  JOIN accounts a ON a.account_id = t.account_id"""


def _order_lives() -> str:
    # A final status from REST has no time: for a filled order, its last fill is used instead.
    of_order = "PARTITION BY u.account_id, u.order_id"
    ended = "CASE WHEN o.status = 'FULLY_FILLED' THEN coalesce(o.final_ms, f.last_ms) ELSE o.final_ms END"
    newest_first = ", ".join(f"{part} DESC" for part in IN_ORDER.replace("began_ns, u", "began_ns,u").split(", "))
    return f"""WITH told AS (
  SELECT u.*, row_number() OVER ({of_order} ORDER BY {newest_first}) AS age,
    count(*) OVER ({of_order}) AS updates, min(u.received_ns) OVER ({of_order}) AS first_ns,
    min(CASE WHEN u.status IN ({FINAL}) THEN u.ts END) OVER ({of_order}) AS final_ms
  FROM order_updates_once u LEFT JOIN reconciliations r ON {ROUND}
), filled AS (
  SELECT account_id, order_id, count(*) AS fills, min(at_ms) AS first_ms, max(at_ms) AS last_ms
  FROM executions WHERE quantity > 0 GROUP BY account_id, order_id
), u AS (
  SELECT o.*, coalesce(f.fills, 0) AS fills, f.first_ms AS first_fill_ms, {ended} AS ended_ms
  FROM told o LEFT JOIN filled f ON f.account_id = o.account_id AND f.order_id = o.order_id WHERE o.age = 1
)
SELECT a.name AS account, u.order_id, u.symbol, u.direction, u.order_type, u.status,
  {numbers("quantity", "price")}, {number("u.quantity")} - {number("u.unfilled_quantity")} AS filled,
  {number("u.fill_price")} AS average_price, {number("u.fee")} AS fee, u.margin_currency AS fee_currency,
  {utc("u.created_at")} AS created_utc, {utc("u.first_ns / 1000000")} AS first_seen_utc,
  {utc("u.first_fill_ms")} AS first_fill_utc, {utc("u.ended_ms")} AS ended_utc,
  u.first_fill_ms - u.created_at AS to_first_fill_ms, u.ended_ms - u.created_at AS lived_ms, u.fills, u.updates,
  u.features, u.created_at, u.first_fill_ms, u.ended_ms, u.account_id
FROM u JOIN accounts a ON a.account_id = u.account_id"""


def _position_history() -> str:
    # Changes are between states in the exchange's order: a REST answer may describe a later moment than pushes received
    # after it. The first state counts as a change only if an earlier REST answer showed that there was no position.
    at_ms = "coalesce(u.updated_at, u.ts, u.received_ns / 1000000)"
    before = "r.account_id = u.account_id AND r.result IN ('reconciled', 'partial') AND r.ended_ns < u.received_ns"
    change = f"""CASE WHEN u.nth > 1 THEN {number("u.realized_pnl")} - {number("u.pnl_before")}
    WHEN EXISTS (SELECT 1 FROM reconciliations r WHERE {before}) THEN {number("u.realized_pnl")} END"""
    return f"""SELECT {_times()},
  u.symbol, u.direction,
  {numbers("quantity", "leverage", "entry_price", "margin", "realized_pnl")}, {change} AS realized_pnl_change,
  {numbers("liquidation_price", "bankruptcy_price")}, u.risk_level, u.told_by, u.at_ms, {KEY}
FROM (SELECT u.*, coalesce(r.began_ns, u.received_ns) AS counts_ns,
    {at_ms} AS at_ms, CASE WHEN r.began_ns IS NULL THEN 'push' ELSE 'rest' END AS told_by,
    lag(u.realized_pnl) OVER w AS pnl_before, row_number() OVER w AS nth
  FROM position_updates_once u LEFT JOIN reconciliations r ON {ROUND}
  WINDOW w AS (PARTITION BY u.account_id, u.symbol, u.realized_pnl IS NULL ORDER BY {at_ms}, {IN_ORDER})) u
  JOIN accounts a ON a.account_id = u.account_id"""


def _balance_history() -> str:
    parts = ("available", "frozen", "position_margin")
    total = " + ".join(number(f"coalesce(u.{part}, '0')") for part in parts)
    # A balance of a few coins is a float with some 14 decimals: a change beyond those is rounding.
    change = "u.total - u.total_before"
    change = f"round({change}, 14)" if is_sqlite() else change
    return f"""SELECT {_times()},
  u.currency, u.total, {change} AS total_change, {numbers(*parts)}, u.told_by, u.at_ms, {KEY}
FROM (SELECT t.*, lag(t.total) OVER (PARTITION BY t.account_id, t.currency
      ORDER BY t.counts_ns, t.received_ns, t.session_id, t.seq, t.item) AS total_before
  FROM (SELECT u.*, {total} AS total, coalesce(r.began_ns, u.received_ns) AS counts_ns,
      coalesce(u.updated_at, u.ts, u.received_ns / 1000000) AS at_ms,
      CASE WHEN r.began_ns IS NULL THEN 'push' ELSE 'rest' END AS told_by
    FROM account_updates_once u LEFT JOIN reconciliations r ON {ROUND}) t) u
  JOIN accounts a ON a.account_id = u.account_id"""


def _flat(expression: str) -> str:
    # A sum of floats is rarely exactly 0.
    return f"round({expression}, 9)" if is_sqlite() else expression


def _round_trips() -> str:
    # Fills in the order in which they happened, and their running sum. The position before the first fill is each
    # position that the exchange reported, less the fills up to it. These may differ, because a fill can be pushed
    # before its position, or never: the most frequent one counts, and `adds_up` says whether a trip agrees at its end.
    # Averages are weighted by value, as for an inverse contract.
    mine, none, zero = "PARTITION BY account_id, symbol", number("NULL"), number("0")
    of = "ORDER BY counts_ns DESC, received_ns DESC, session_id DESC, seq DESC, item DESC"
    worth = "sum({0}) / nullif(sum({0} / nullif(price, 0)), 0)"
    whole = "count({0}) = count(CASE WHEN {0} > 0 THEN nullif(price, 0) END)"
    in_order = ", ".join(f"h.{name}" for name in HAPPENED.split(", "))
    held_after = f"coalesce(s.start, 0) + sum(h.change) OVER (PARTITION BY h.account_id, h.symbol ORDER BY {in_order})"
    return f"""WITH moves AS (
  SELECT account_id, symbol, at_ms, received_ns, session_id, seq, item, direction, quantity, price, fee, fee_currency,
    CASE direction WHEN 'LONG' THEN quantity ELSE -quantity END AS change
  FROM executions WHERE quantity > 0 AND symbol IS NOT NULL AND direction IN ('LONG', 'SHORT')
), held_then AS (
  SELECT account_id, symbol, at_ms, held FROM (
    SELECT p.*, row_number() OVER (PARTITION BY account_id, symbol, at_ms {of}) AS age FROM (
      SELECT account_id, symbol, coalesce(ts, counts_ns / 1000000) AS at_ms, counts_ns, received_ns, session_id, seq,
        item, CASE direction WHEN 'SHORT' THEN -quantity ELSE quantity END AS held
      FROM position_history WHERE quantity IS NOT NULL) p) aged
  WHERE age = 1
), points AS (
  SELECT account_id, symbol, at_ms, 0 AS is_fill, 0 AS received_ns, 0 AS session_id, 0 AS seq, 0 AS item,
    NULL AS direction, {none} AS quantity, {none} AS price, {none} AS fee, NULL AS fee_currency, {zero} AS change, held
  FROM held_then
  UNION ALL
  SELECT account_id, symbol, at_ms, 1, received_ns, session_id, seq, item, direction, quantity, price, fee,
    fee_currency, change, {none} FROM moves
), summed AS (
  SELECT p.*, {_flat(f"held - sum(change) OVER ({mine} ORDER BY at_ms)")} AS start,
    count(held) OVER ({mine} ORDER BY at_ms, is_fill, received_ns, session_id, seq, item) AS told FROM points p
), starts AS (
  SELECT account_id, symbol, start FROM (
    SELECT account_id, symbol, start, row_number() OVER ({mine} ORDER BY count(*) DESC, min(at_ms)) AS place
    FROM summed WHERE is_fill = 0 GROUP BY account_id, symbol, start) placed
  WHERE place = 1
), here AS (
  SELECT s.*, max(start) OVER (PARTITION BY account_id, symbol, told) AS start_here FROM summed s
), walked AS (
  SELECT h.*, CASE WHEN h.start_here = s.start THEN 1 ELSE 0 END AS adds_up, {_flat(held_after)} AS held_after
  FROM here h LEFT JOIN starts s ON s.account_id = h.account_id AND s.symbol = h.symbol WHERE h.is_fill = 1
), stepped AS (
  SELECT w.*, {_flat("held_after - change")} AS held_before FROM walked w
), split AS (
  SELECT s.*, CASE WHEN held_before * change >= 0 THEN {zero} WHEN abs(held_before) < quantity THEN abs(held_before)
    ELSE quantity END AS exits FROM stepped s
), begun AS (
  SELECT s.*, CASE WHEN quantity > exits AND (held_before = 0 OR exits > 0) THEN 1 ELSE 0 END AS begins FROM split s
), numbered AS (
  SELECT b.*, sum(begins) OVER ({mine} ORDER BY {HAPPENED}) AS trip FROM begun b
), parts AS (
  SELECT account_id, symbol, trip - begins AS trip,
    CASE direction WHEN 'LONG' THEN 'SHORT' ELSE 'LONG' END AS direction, at_ms, {none} AS entered,
    exits AS left_, price, fee * exits / quantity AS fee, fee_currency, adds_up,
    CASE WHEN abs(held_before) = exits THEN at_ms END AS closed_ms
  FROM numbered WHERE exits > 0
  UNION ALL
  SELECT account_id, symbol, trip, direction, at_ms, quantity - exits, {none}, price, fee - fee * exits / quantity,
    fee_currency, adds_up, NULL
  FROM numbered WHERE quantity > exits
), trips AS (
  SELECT account_id, symbol, trip, min(direction) AS direction,
    CASE WHEN trip > 0 THEN min(at_ms) END AS opened_ms, max(closed_ms) AS closed_ms,
    sum(entered) AS entry_quantity, sum(left_) AS exit_quantity,
    CASE WHEN trip > 0 AND {whole.format("entered")} THEN {worth.format("entered")} END AS entry_price,
    CASE WHEN {whole.format("left_")} THEN {worth.format("left_")} END AS exit_price,
    CASE WHEN count(*) = count(nullif(price, 0)) THEN sum(entered / nullif(price, 0)) END AS entry_worth,
    sum(left_ / nullif(price, 0)) AS exit_worth,
    CASE WHEN count(*) = count(fee) THEN sum(fee) END AS fee, max(fee_currency) AS fee_currency,
    min(CASE WHEN at_ms = last_ms THEN adds_up END) AS adds_up
  FROM (SELECT p.*, max(at_ms) OVER (PARTITION BY account_id, symbol, trip) AS last_ms FROM parts p) p
  GROUP BY account_id, symbol, trip
), u AS (
  SELECT t.*, CASE WHEN closed_ms IS NULL OR trip = 0 THEN NULL WHEN direction = 'LONG' THEN entry_worth - exit_worth
    ELSE exit_worth - entry_worth END AS pnl_before_fees FROM trips t
)
SELECT a.name AS account, u.symbol, u.direction, {utc("u.opened_ms")} AS opened_utc,
  {utc("u.closed_ms")} AS closed_utc, substr({utc("u.closed_ms")}, 1, 10) AS day,
  u.entry_quantity, round(u.entry_price, 10) AS entry_price, u.exit_quantity, round(u.exit_price, 10) AS exit_price,
  round(u.pnl_before_fees, 18) AS pnl_before_fees, round(u.fee, 18) AS fee,
  round(u.pnl_before_fees - u.fee, 18) AS pnl, u.fee_currency AS currency, u.adds_up,
  u.trip, u.opened_ms, u.closed_ms, u.account_id
FROM u JOIN accounts a ON a.account_id = u.account_id"""


def _text(column: str) -> str:
    return f"CAST({column} AS TEXT)"


def _timeline() -> str:
    frame = "received_ns, session_id, seq, item"
    filled = f"{number('quantity')} - {number('unfilled_quantity')}"
    none = number("NULL")
    parts = [
        f"SELECT account_id, {frame}, '{kind}', {subject}, {event}, {numbers} FROM {source}"
        for source, kind, subject, event, numbers in (
            (
                "order_updates_once",
                "order",
                _text("order_id"),
                "status",
                f"direction, {filled}, {number('fill_price')}, {number('fee')}",
            ),
            (
                "fills",
                "execution",
                _text("order_id"),
                "CASE taker WHEN 0 THEN 'maker' WHEN 1 THEN 'taker' ELSE 'unknown' END",
                f"NULL, {number('quantity')}, {number('price')}, {number('fee')}",
            ),
            ("position_history", "position", "symbol", "told_by", "direction, quantity, entry_price, realized_pnl"),
            ("balance_history", "balance", "currency", "told_by", f"NULL, {none}, {none}, total"),
        )
    ]
    columns = "account_id, received_ns, session_id, seq, item, kind, subject, event, direction, quantity, price, amount"
    return f"""WITH u ({columns}) AS (
  {" UNION ALL ".join([*parts, *_event_log()])}
)
SELECT a.name AS account, {utc("u.received_ns / 1000000")} AS received_utc, u.kind, u.subject, u.event, u.direction,
  u.quantity, u.price, u.amount, u.received_ns, u.account_id, u.session_id, u.seq, u.item
FROM u JOIN accounts a ON a.account_id = u.account_id"""


def _event_log() -> list[str]:
    # An event sorts before the first frame of its session, or after the last one.
    none, last = number("NULL"), 10**9
    session, gap, asked = _text("session_id"), _text("gap_id"), _text("reconciliation_id")
    told = (
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
        for source, kind, subject, event, ns, place in told
    ]


def create() -> None:
    """Create the views."""
    selects = (_executions, _order_lives, _position_history, _balance_history, _round_trips, _timeline)
    for name, select in zip(VIEWS, selects, strict=True):
        op.execute(f"CREATE VIEW {name} AS\n{select()}")
