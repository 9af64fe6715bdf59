"""The views of Kraken's channels and REST answers. Source: docs.kraken.com, the page of each channel and path."""

from recorder.venues.channel_view import ANSWERS, View, answers
from recorder.venues.kraken import answers as paths
from recorder.venues.kraken.decode import BALANCES, EXECUTIONS
from recorder.venues.kraken.derivatives import LEDGERS, MARGIN, OPEN_POSITION, POSITIONS, topic
from recorder.venues.kraken.ledger import ENTRY, PUSHED
from recorder.venues.kraken.objects import BALANCE, BALANCE_EX, DESCR, EXECUTION, ORDER, PAIR, TRADE

VENUE = "kraken"

#: Whole numbers, and truth values. All other values are texts, with the digits as sent.
_WHOLE = frozenset(
    [
        *("order_userref", "trade_id", "userref", "pair_decimals", "cost_decimals", "lot_decimals", "lot_multiplier"),
        *("margin_call", "margin_stop", "long_position_limit", "short_position_limit", "unixtime"),
    ]
)
_FLAGS = frozenset(["post_only", "reduce_only", "margin", "no_mpp", "liquidated", "amended", "margin_borrow", "maker"])
POSITION = """
  ordertxid posstatus pair time type ordertype cost fee vol vol_closed margin value net terms rollovertm misc oflags"""
_CODES = "errors=error"


def _typed(fields: str, *texts: str) -> str:
    """Fields with the types that are not text.

    Args:
        fields: their names.
        texts: those that are text here, although they are numbers elsewhere.
    """
    return " ".join(
        name if name in texts else f"{name}:int" if name in _WHOLE else f"{name}:flag" if name in _FLAGS else name
        for name in fields.split()
    )


_FRAME = "frame_type=type sequence:int"


def _pushes(*topics: str) -> str:
    """Which frames are pushes of topics."""
    any_of = ", ".join(f"'{one}'" for one in topics)
    return f"f.source = 'push' AND f.topic IN ({any_of})"


def _pushed(channel: str, fields: str) -> View:
    """A view of a channel, which may be of derivatives, too."""
    frames = _pushes(channel, topic(channel))
    return View(f"kraken_{channel}", VENUE, frames, fields, at="data", frame_fields=_FRAME, is_list=True)


def _positions(name: str, kind: str) -> View:
    """A view of the positions of a kind."""
    around = f"{_FRAME} time=data.time"
    return View(name, VENUE, _pushes(POSITIONS), OPEN_POSITION, at=f"data.{kind}", frame_fields=around, is_list=True)


def _answered(name: str, fields: str, place: str, member: str, path: str) -> View:
    """A view of the answers to requests of a path, with any parameters."""
    target = f"POST {path}"
    frames = f"{ANSWERS} AND (f.topic = '{target}' OR substr(f.topic, 1, {len(target) + 1}) = '{target} ')"
    return View(f"kraken_rest_{name}", VENUE, frames, fields, at=place, frame_fields=_CODES, member=member)


_DESCR = " ".join(f"descr_{name}=descr.{name}" for name in DESCR.split())
_ORDER = f"{_typed(ORDER.replace(' descr ', ' '), 'margin')} {_DESCR}"

VIEWS = (
    _pushed(EXECUTIONS, _typed(EXECUTION)),
    _pushed(BALANCES, f"{BALANCE} {' '.join(name for name in PUSHED.split() if name not in BALANCE.split())}"),
    _positions("kraken_positions", "futures"),
    _positions("kraken_option_positions", "options"),
    View("kraken_margin", VENUE, _pushes(MARGIN), f"{_FRAME} data"),
    # Under the names of the same entries in `balances`.
    View("kraken_ledgers", VENUE, _pushes(LEDGERS), PUSHED, at="data", frame_fields=_FRAME, is_list=True),
    _answered("open_orders", _ORDER, "result.open", "txid", paths.OPEN_ORDERS),
    _answered("closed_orders", _ORDER, "result.closed", "txid", paths.ORDERS),
    _answered("query_orders", _ORDER, "result", "txid", paths.ORDER),
    _answered("trades", _typed(TRADE, "margin"), "result.trades", "txid", paths.TRADES),
    _answered("ledgers", ENTRY, "result.ledger", "ledger_id", paths.LEDGER),
    _answered("balances", BALANCE_EX, "result", "asset", paths.BALANCES),
    _answered("positions", POSITION, "result", "txid", paths.POSITIONS),
    View(
        "kraken_rest_pairs",
        VENUE,
        answers(paths.PAIRS),
        _typed(PAIR),
        at="result",
        frame_fields=_CODES,
        member="pair",
    ),
    View("kraken_rest_time", VENUE, answers(paths.TIME), _typed("unixtime rfc1123"), at="result", frame_fields=_CODES),
)
