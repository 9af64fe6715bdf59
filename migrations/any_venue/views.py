"""The views of latest states, fills, the lives of orders and round trips, with plain numbers and readable times.

They read the projections, so all but `round_trips` cost the same on a record of any length. The projections follow the
writer: what was received in the last second may be missing.
"""

from alembic import op

from .history import AT_MS, KEY
from .spelling import is_sqlite, number, numbers, utc

#: The order of fills, and of what is merged with them.
HAPPENED = "at_ms, received_ns, session_id, seq, item"
SAME_ROW = "u.account_id = s.account_id AND u.session_id = s.session_id AND u.seq = s.seq AND u.item = s.item"


def create() -> None:
    """Create the views."""
    for name, select in (
        ("orders", _orders()),
        ("positions", _positions()),
        ("balances", _balances()),
        ("trade_history", _fills("")),
        ("executions", _fills(f"substr({utc('t.at_ms')}, 1, 10) AS day, substr({utc('t.at_ms')}, 1, 7) AS month, ")),
        ("order_lives", _order_lives()),
        ("round_trips", _round_trips()),
    ):
        op.execute(f"CREATE VIEW {name} AS\n{select}")


def _times() -> str:
    at, received = utc(AT_MS), utc("u.received_ns / 1000000")
    return f"a.name AS account, {at} AS at_utc, {received} AS received_utc, substr({at}, 1, 10) AS day"


def _orders() -> str:
    numeric = numbers("quantity", "quote_quantity", "filled_quantity", "price", "average_price", "trigger_price", "fee")
    return f"""SELECT {_times()},
  u.market, u.symbol, u.order_id, u.client_order_id, u.side, u.position_side, u.order_type, u.time_in_force,
  u.post_only, u.reduce_only, u.status, u.venue_status, s.is_open, u.reason, {numeric}, u.fee_currency,
  {utc("u.created_ms")} AS created_utc, {AT_MS} AS at_ms, {KEY}
FROM order_states s JOIN order_updates u ON {SAME_ROW} JOIN accounts a ON a.account_id = s.account_id"""


def _current(table: str) -> str:
    return f"""FROM current_states s JOIN {table} u ON {SAME_ROW} JOIN accounts a ON a.account_id = s.account_id
WHERE s.kind = '{table}'"""


def _positions() -> str:
    numeric = ("quantity", "entry_price", "mark_price", "liquidation_price", "leverage", "margin", "unrealized_pnl")
    return f"""SELECT {_times()},
  u.market, u.symbol, u.position_side, u.position_id, u.margin_mode, {numbers(*numeric, "realized_pnl")},
  {AT_MS} AS at_ms, {KEY}
{_current("position_updates")}"""


def _balances() -> str:
    numeric = numbers("balance", "available", "locked", "position_margin", "equity", "unrealized_pnl")
    return f"""SELECT {_times()},
  u.wallet, u.currency, {numeric}, {AT_MS} AS at_ms, {KEY}
{_current("account_updates")}"""


def _fills(periods: str) -> str:
    decimals = ", ".join(f"{number(f't.{name}')} AS {name}" for name in ("quantity", "price"))
    return f"""SELECT a.name AS account, {utc("t.at_ms")} AS at_utc,
  {utc("t.received_ns / 1000000")} AS received_utc, {periods}t.market, t.symbol, t.order_id, t.trade_id,
  t.client_order_id, t.side, t.position_side, t.order_type, {decimals}, t.price_is_estimate,
  {number("t.fee")} AS fee, t.fee_currency, t.liquidity, t.kind, {number("t.realized_pnl")} AS realized_pnl, t.origin,
  t.at_ms, t.event_ms, t.received_ns, t.account_id, t.session_id, t.seq, t.item
FROM trades t JOIN accounts a ON a.account_id = t.account_id"""


def _order_lives() -> str:
    return f"""SELECT a.name AS account, s.order_id, u.market, u.symbol, u.side, u.position_side, u.order_type,
  u.status,   {numbers("quantity", "price", "filled_quantity", "average_price", "fee")}, u.fee_currency,
  {utc("s.created_ms")} AS created_utc, {utc("s.first_ns / 1000000")} AS first_seen_utc,
  {utc("s.first_fill_ms")} AS first_fill_utc, {utc("s.ended_ms")} AS ended_utc,
  s.first_fill_ms - s.created_ms AS to_first_fill_ms, s.ended_ms - s.created_ms AS lived_ms, s.fills, s.updates,
  u.time_in_force, u.post_only, s.is_open, s.created_ms, s.first_fill_ms, s.last_fill_ms, s.ended_ms, s.account_id
FROM order_states s JOIN order_updates u ON {SAME_ROW} JOIN accounts a ON a.account_id = s.account_id"""


def _flat(expression: str) -> str:
    # A sum of floats is rarely exactly 0.
    return f"round({expression}, 9)" if is_sqlite() else expression


def _round_trips() -> str:
    # Fills in the order in which they happened, and their running sum. The position before the first fill is each
    # position that the venue reported, less the fills up to it. These may differ, because a fill can be pushed before
    # its position, or never: the most frequent one counts, and `adds_up` says whether a trip agrees at its end.
    # `worth` is in the quote currency, or in the base currency for an inverse contract, whose quantity is in the quote
    # currency.
    key = "account_id, market, symbol, position_side"
    mine, none, zero = f"PARTITION BY {key}", number("NULL"), number("0")
    of = "ORDER BY counts_ns DESC, received_ns DESC, session_id DESC, seq DESC, item DESC"
    worth = "CASE WHEN inverse = 1 THEN {0} / nullif(price, 0) ELSE {0} * price END"
    average = (
        f"CASE WHEN inverse = 1 THEN sum({{0}}) / nullif(sum({worth}), 0) ELSE sum({worth}) / nullif(sum({{0}}), 0) END"
    )
    priced = "CASE WHEN {0} > 0 THEN CASE WHEN inverse = 1 THEN nullif(price, 0) ELSE price END END"
    whole = f"count({{0}}) = count({priced})"
    in_order = ", ".join(f"h.{name}" for name in HAPPENED.split(", "))
    of_move = ", ".join(f"h.{name}" for name in key.split(", "))
    same = " AND ".join(f"coalesce(h.{name}, '') = coalesce(s.{name}, '')" for name in key.split(", ")[1:])
    held_after = f"coalesce(s.start, 0) + sum(h.change) OVER (PARTITION BY {of_move} ORDER BY {in_order})"
    return f"""WITH moves AS (
  SELECT {key}, at_ms, received_ns, session_id, seq, item,
    CASE side WHEN 'buy' THEN 'long' ELSE 'short' END AS direction,
    {number("quantity")} AS quantity, {number("price")} AS price, {number("fee")} AS fee, fee_currency,
    {number("quantity")} * CASE side WHEN 'buy' THEN 1 ELSE -1 END AS change
  FROM trades WHERE {number("quantity")} > 0 AND symbol IS NOT NULL AND side IN ('buy', 'sell')
), held_then AS (
  SELECT {key}, at_ms, held FROM (
    SELECT p.*, row_number() OVER (PARTITION BY {key}, at_ms {of}) AS age FROM (
      SELECT {key}, coalesce(event_ms, counts_ns / 1000000) AS at_ms, counts_ns, received_ns, session_id, seq, item,
        quantity AS held
      FROM position_history WHERE quantity IS NOT NULL) p) aged
  WHERE age = 1
), points AS (
  SELECT {key}, at_ms, 0 AS is_fill, 0 AS received_ns, 0 AS session_id, 0 AS seq, 0 AS item,
    NULL AS direction, {none} AS quantity, {none} AS price, {none} AS fee, NULL AS fee_currency, {zero} AS change, held
  FROM held_then
  UNION ALL
  SELECT {key}, at_ms, 1, received_ns, session_id, seq, item, direction, quantity, price, fee,
    fee_currency, change, {none} FROM moves
), summed AS (
  SELECT p.*, {_flat(f"held - sum(change) OVER ({mine} ORDER BY at_ms)")} AS start,
    count(held) OVER ({mine} ORDER BY at_ms, is_fill, received_ns, session_id, seq, item) AS told FROM points p
), starts AS (
  SELECT {key}, start FROM (
    SELECT {key}, start, row_number() OVER ({mine} ORDER BY count(*) DESC, min(at_ms)) AS place
    FROM summed WHERE is_fill = 0 GROUP BY {key}, start) placed
  WHERE place = 1
), here AS (
  SELECT s.*, max(start) OVER (PARTITION BY {key}, told) AS start_here FROM summed s
), walked AS (
  SELECT h.*, CASE WHEN h.start_here = s.start THEN 1 ELSE 0 END AS adds_up, {_flat(held_after)} AS held_after
  FROM here h LEFT JOIN starts s ON s.account_id = h.account_id AND {same} WHERE h.is_fill = 1
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
  SELECT {key}, trip - begins AS trip,
    CASE direction WHEN 'long' THEN 'short' ELSE 'long' END AS direction, at_ms, {none} AS entered,
    exits AS left_, price, fee * exits / quantity AS fee, fee_currency, adds_up,
    CASE WHEN abs(held_before) = exits THEN at_ms END AS closed_ms
  FROM numbered WHERE exits > 0
  UNION ALL
  SELECT {key}, trip, direction, at_ms, quantity - exits, {none}, price, fee - fee * exits / quantity,
    fee_currency, adds_up, NULL
  FROM numbered WHERE quantity > exits
), valued AS (
  SELECT p.*, max(at_ms) OVER (PARTITION BY {", ".join(f"p.{name}" for name in key.split(", "))}, trip) AS last_ms,
    CASE c.kind WHEN 'inverse' THEN 1 ELSE 0 END AS inverse, coalesce({number("c.contract_size")}, 1) AS size
  FROM parts p LEFT JOIN contracts c
    ON c.account_id = p.account_id AND c.market = coalesce(p.market, '') AND c.symbol = p.symbol
), trips AS (
  SELECT {key}, trip, inverse, size, min(direction) AS direction,
    CASE WHEN trip > 0 THEN min(at_ms) END AS opened_ms, max(closed_ms) AS closed_ms,
    sum(entered) AS entry_quantity, sum(left_) AS exit_quantity,
    CASE WHEN trip > 0 AND {whole.format("entered")} THEN {average.format("entered")} END AS entry_price,
    CASE WHEN {whole.format("left_")} THEN {average.format("left_")} END AS exit_price,
    CASE WHEN {whole.format("entered")} AND {whole.format("left_")}
      THEN sum({worth.format("entered")}) END AS entry_worth,
    sum({worth.format("left_")}) AS exit_worth,
    CASE WHEN count(*) = count(fee) THEN sum(fee) END AS fee, max(fee_currency) AS fee_currency,
    min(CASE WHEN at_ms = last_ms THEN adds_up END) AS adds_up
  FROM valued GROUP BY {key}, trip, inverse, size
), u AS (
  SELECT t.*, CASE WHEN closed_ms IS NULL OR trip = 0 THEN NULL
    WHEN (direction = 'long') = (inverse = 0) THEN (exit_worth - entry_worth) * size
    ELSE (entry_worth - exit_worth) * size END AS pnl_before_fees FROM trips t
)
SELECT a.name AS account, u.market, u.symbol, u.position_side, u.direction, {utc("u.opened_ms")} AS opened_utc,
  {utc("u.closed_ms")} AS closed_utc, substr({utc("u.closed_ms")}, 1, 10) AS day,
  u.entry_quantity, round(u.entry_price, 10) AS entry_price, u.exit_quantity, round(u.exit_price, 10) AS exit_price,
  round(u.pnl_before_fees, 18) AS pnl_before_fees, round(u.fee, 18) AS fee,
  round(u.pnl_before_fees - u.fee, 18) AS pnl, u.fee_currency AS currency, u.adds_up,
  u.trip, u.opened_ms, u.closed_ms, u.account_id
FROM u JOIN accounts a ON a.account_id = u.account_id"""
