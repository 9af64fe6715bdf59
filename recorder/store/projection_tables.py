"""The tables of the projections: what follows from typed rows, kept current by `recorder.read.projector`.

They are not moved with a record, because they can be computed from it at any time.
"""

from sqlalchemy import Index, PrimaryKeyConstraint, literal_column

from recorder.store.columns import decimals, ints, table, texts

#: The last batch of each run that is projected.
projected = table("projected", *ints("run_id", "batch"), PrimaryKeyConstraint("run_id"))

#: Orders to be projected again, because rows of theirs were deleted or replaced. `order_id` is empty for fills without
#: an order, which go by `trade_id`; it is empty otherwise.
stale = table(
    "stale",
    *ints("account_id"),
    *texts("order_id", "trade_id", null=False),
    PrimaryKeyConstraint("account_id", "order_id", "trade_id"),
)

#: One row for each order: which row of `order_updates` holds its latest state, and its life. `market` and `symbol`
#: are empty if the venue sends none. From `client_order_id` on: what older rows have and that row leaves out.
order_states = table(
    "order_states",
    *ints("account_id"),
    *texts("order_id", "market", "symbol", null=False),
    *ints("session_id", "seq", "item", "counts_ns", "received_ns", "is_open", "first_ns", "updates"),
    *ints("created_ms", null=True),
    *ints("fills"),
    *ints("first_fill_ms", "last_fill_ms", "ended_ms", null=True),
    *texts("client_order_id", "side", "position_side", "order_type", "time_in_force"),
    *ints("post_only", "reduce_only", null=True),
    *decimals("price", "trigger_price", "quantity", "quote_quantity", "filled_quantity", "average_price"),
    *texts("status", "venue_status", "reason"),
    *decimals("fee"),
    *texts("fee_currency"),
    *ints("updated_ms", null=True),
    PrimaryKeyConstraint("account_id", "order_id", "market", "symbol"),
)

Index("ix_order_states_received_ns", order_states.c.account_id, order_states.c.received_ns)
#: Open orders are few, and are searched for among all.
_IS_OPEN = order_states.c.is_open == literal_column("1")
Index(
    "ix_order_states_open",
    *(order_states.c[name] for name in ("account_id", "received_ns")),
    sqlite_where=_IS_OPEN,
)

#: Each fill once: as the venue reported it, or as order updates show it. The key is that of the row it comes from.
trades = table(
    "trades",
    *ints("account_id", "session_id", "seq", "item", "received_ns", "at_ms"),
    *ints("event_ms", "executed_ms", null=True),
    *texts("trade_id", "order_id", "client_order_id", "market", "symbol", "side", "position_side", "order_type"),
    *decimals("price", "quantity", "fee"),
    *texts("fee_currency"),
    *texts("liquidity", null=False),
    *decimals("realized_pnl"),
    *texts("kind"),
    *ints("price_is_estimate"),
    *texts("origin", null=False),
    PrimaryKeyConstraint("account_id", "session_id", "seq", "item"),
)

Index("ix_trades_at_ms", trades.c.account_id, trades.c.at_ms)
Index("ix_trades_received_ns", trades.c.account_id, trades.c.received_ns)
Index("ix_trades_order_id", trades.c.account_id, trades.c.order_id, trades.c.trade_id)

#: The row of a typed table (`kind`) that holds the latest state of each balance and position, and the newest of each
#: complete list. `thing` is the key of `model.Thing`, or kind and topic of the list, as a JSON array. `is_gone` is 1 if
#: the balance or position was not zero and a newer complete list does not have it.
current_states = table(
    "current_states",
    *ints("account_id"),
    *texts("kind", "thing", null=False),
    *ints("counts_ns", "received_ns", "session_id", "seq", "item", "is_gone"),
    PrimaryKeyConstraint("account_id", "kind", "thing"),
)

#: What a unit of quantity is worth: by the newest row of `instruments`, whose key this is; or else by the venue's
#: documentation, and then the key is -1. `market` is empty if the venue sends none.
contracts = table(
    "contracts",
    *ints("account_id"),
    *texts("market", "symbol", null=False),
    *texts("kind", "base", "quote", "settle"),
    *decimals("contract_size"),
    *ints("received_ns", "session_id", "seq", "item"),
    PrimaryKeyConstraint("account_id", "market", "symbol"),
)

#: Sums of fills and of funding by stretches of time that begin with the epoch: quarters of an hour, and days of UTC.
period_sums = table(
    "period_sums",
    *ints("account_id", "lasts_ms", "begins_ms"),
    *texts("market", "symbol", "currency", null=False),
    *ints("trades", "fills", "fees_unknown", "pnls"),
    *decimals("quantity", "maker_quantity", "taker_quantity", "paid", "rebates", "realized_pnl"),
    *ints("payments", "amounts_unknown"),
    *decimals("funding_received", "funding_paid"),
    PrimaryKeyConstraint("account_id", "lasts_ms", "begins_ms", "market", "symbol", "currency"),
)

#: Times on which the sums depend, by what they are of (`kind`). `ledger`: the first and the last time in the ledger of
#: a wallet and currency; a payment in between that it does not list does not count. `figure`: the first state of a
#: position's realized PnL, and until when fills are not in it. `thing` is a JSON array.
sum_bounds = table(
    "sum_bounds",
    *ints("account_id"),
    *texts("kind", "thing", null=False),
    *ints("begins_ms", "ends_ms"),
    PrimaryKeyConstraint("account_id", "kind", "thing"),
)

#: Profit in each day of UTC. `market`, `symbol` and `currency` are empty if the venue names none.
daily_pnl = table(
    "daily_pnl",
    *ints("account_id", "begins_ms"),
    *texts("market", "symbol", "currency", null=False),
    *decimals("realized_pnl", "over_gaps", "fee", "funding", "net_pnl"),
    *ints("fills"),
    *decimals("quantity"),
    PrimaryKeyConstraint("account_id", "begins_ms", "market", "symbol", "currency"),
)

#: Round trips. `market` and `position_side` are empty if the venue sends none.
trips = table(
    "trips",
    *ints("account_id"),
    *texts("market", "symbol", "position_side", null=False),
    *ints("trip"),
    *texts("direction", null=False),
    *ints("opened_ms", "closed_ms", null=True),
    *decimals("entry_quantity", "entry_price", "exit_quantity", "exit_price", "pnl_before_fees", "fee"),
    *texts("fee_currency"),
    *decimals("pnl"),
    *texts("currency"),
    *ints("adds_up", null=True),
    PrimaryKeyConstraint("account_id", "market", "symbol", "position_side", "trip"),
)

#: Where the computation of round trips can be resumed: its state, as JSON, before an instant.
trip_marks = table(
    "trip_marks",
    *ints("account_id"),
    *texts("market", "symbol", "position_side", null=False),
    *ints("before_ms"),
    *texts("state", null=False),
    PrimaryKeyConstraint("account_id", "market", "symbol", "position_side", "before_ms"),
)

#: Quarters of an hour whose sums and trips no longer follow, because fills or positions in them were deleted.
stale_quarters = table(
    "stale_quarters",
    *ints("account_id"),
    *texts("market", "symbol", "position_side", null=False),
    *ints("begins_ms"),
    PrimaryKeyConstraint("account_id", "market", "symbol", "position_side", "begins_ms"),
)

PROJECTIONS = (
    projected,
    stale,
    order_states,
    trades,
    current_states,
    contracts,
    period_sums,
    sum_bounds,
    daily_pnl,
    trips,
    trip_marks,
    stale_quarters,
)
