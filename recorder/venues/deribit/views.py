"""The views of Deribit's channels and answers. Source: docs.deribit.com, the page of each channel and method."""

from recorder.venues.channel_view import View, answers
from recorder.venues.deribit import answers as paths
from recorder.venues.deribit.ledger import ENTRY
from recorder.venues.deribit.objects import INSTRUMENT, ORDER, PORTFOLIO, POSITION, TRADE, TRIGGER
from recorder.venues.fields import names

VENUE = "deribit"

#: Fields that are whole numbers, and those that are true or false. All others are as sent.
_WHOLE = names("""
  creation_timestamp last_update_timestamp timestamp expiration_timestamp trade_seq tick_direction user_id
  instrument_id user_seq""")
_FLAGS = names("""
  post_only reject_post_only reduce_only triggered is_liquidation is_rebalance replaced auto_replaced mmp
  mmp_cancelled quote block_trade risk_reducing is_secondary_oto is_primary_otoco api web mobile self_trade
  portfolio_margining_enabled cross_collateral_enabled is_active profit_as_cashflow""")
_AROUND = "usIn usOut usDiff testnet:flag"


def _typed(fields: str) -> str:
    """Fields with the types that are not text."""
    return " ".join(
        f"{name}:int" if name in _WHOLE else f"{name}:flag" if name in _FLAGS else name for name in fields.split()
    )


def _channel(prefix: str) -> str:
    return f"f.source = 'push' AND substr(f.topic, 1, {len(prefix)}) = '{prefix}'"


def _pushed(name: str, prefix: str, fields: str, place: str = "", *, is_list: bool = False) -> View:
    at = ".".join(filter(None, ("params.data", place)))
    return View(
        f"deribit_{name}",
        VENUE,
        _channel(prefix),
        _typed(fields),
        at=at,
        frame_fields="channel=params.channel",
        is_list=is_list,
    )


def _answered(name: str, fields: str, place: str, *of: str) -> View:
    """A list of an answer; the whole result, be it a list or one object, if it has no such list."""
    at, or_at = (f"result.{place}", "result") if place else ("result", "")
    return View(
        f"deribit_rest_{name}",
        VENUE,
        answers(*of),
        _typed(fields),
        at=at,
        frame_fields=_AROUND,
        is_list=True,
        or_at=or_at,
    )


VIEWS = (
    _pushed("changes_orders", "user.changes.", ORDER, "orders", is_list=True),
    _pushed("changes_trades", "user.changes.", TRADE, "trades", is_list=True),
    _pushed("changes_positions", "user.changes.", POSITION, "positions", is_list=True),
    _pushed("portfolio", "user.portfolio.", PORTFOLIO),
    _pushed("orders", "user.orders.", ORDER, is_list=True),
    _pushed("trades", "user.trades.", TRADE, is_list=True),
    _answered("summaries", PORTFOLIO, "summaries", paths.BALANCES, paths.BALANCE),
    _answered("positions", POSITION, "", paths.POSITIONS, paths.POSITION),
    _answered("open_orders", ORDER, "", paths.OPEN_ORDERS, paths.ORDER),
    _answered("order_history", ORDER, "orders", paths.ORDERS),
    _answered("trigger_order_history", TRIGGER, "entries", paths.TRIGGERS),
    _answered("user_trades", TRADE, "trades", paths.FILLS),
    _answered("transaction_log", ENTRY, "logs", paths.LOG),
    _answered("instruments", INSTRUMENT, "", paths.INSTRUMENT, paths.INSTRUMENTS),
)
