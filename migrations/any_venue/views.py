"""The views of latest states, fills, the lives of orders and round trips, with plain numbers and readable times.

They read the projections, so they cost the same on a record of any length. The projections follow the writer: what was
received in the last second may be missing.
"""

from alembic import op

from .history import AT_MS, KEY
from .spelling import number, numbers, utc

#: What the latest row of an order leaves out is in `order_states`, if an older row says it.
KNOWN_TEXTS = ("client_order_id", "side", "position_side", "order_type", "time_in_force", "post_only", "reduce_only")

#: The latest row of an order may leave out its symbol too.
SYMBOL = "coalesce(u.symbol, nullif(s.symbol, '')) AS symbol"

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
    numeric = ("quantity", "quote_quantity", "filled_quantity", "price", "average_price", "trigger_price", "fee")
    words = ("status", "venue_status")
    return f"""SELECT {_times()},
  u.market, {SYMBOL}, u.order_id, {_known(*KNOWN_TEXTS, *words)}, s.is_open, {_known("reason")},
  {_known_numbers(*numeric)}, {_known("fee_currency")}, {utc("s.created_ms")} AS created_utc, {AT_MS} AS at_ms, {KEY}
FROM order_states s JOIN order_updates u ON {SAME_ROW} JOIN accounts a ON a.account_id = s.account_id"""


def _known(*columns: str) -> str:
    """Columns of an order that is `u` in its latest row and `s` in `order_states`, under their names."""
    return ", ".join(f"coalesce(u.{column}, s.{column}) AS {column}" for column in columns)


def _known_numbers(*columns: str) -> str:
    return ", ".join(f"{number(f'coalesce(u.{column}, s.{column})')} AS {column}" for column in columns)


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
    numeric = _known_numbers("quantity", "price", "filled_quantity", "average_price", "fee")
    return f"""SELECT a.name AS account, s.order_id, u.market, {SYMBOL},
  {_known("side", "position_side", "order_type", "status")}, {numeric}, {_known("fee_currency")},
  {utc("s.created_ms")} AS created_utc, {utc("s.first_ns / 1000000")} AS first_seen_utc,
  {utc("s.first_fill_ms")} AS first_fill_utc, {utc("s.ended_ms")} AS ended_utc,
  s.first_fill_ms - s.created_ms AS to_first_fill_ms, s.ended_ms - s.created_ms AS lived_ms, s.fills, s.updates,
  {_known("time_in_force", "post_only")}, s.is_open, s.created_ms, s.first_fill_ms, s.last_fill_ms, s.ended_ms,
  s.account_id
FROM order_states s JOIN order_updates u ON {SAME_ROW} JOIN accounts a ON a.account_id = s.account_id"""


def _round_trips() -> str:
    decimals = ("entry_quantity", "entry_price", "exit_quantity", "exit_price", "pnl_before_fees", "fee", "pnl")
    return f"""SELECT a.name AS account, nullif(u.market, '') AS market, u.symbol,
  nullif(u.position_side, '') AS position_side, u.direction, {utc("u.opened_ms")} AS opened_utc,
  {utc("u.closed_ms")} AS closed_utc, substr({utc("u.closed_ms")}, 1, 10) AS day, {numbers(*decimals)}, u.currency,
  u.adds_up, u.trip, u.opened_ms, u.closed_ms, u.account_id
FROM trips u JOIN accounts a ON a.account_id = u.account_id"""
