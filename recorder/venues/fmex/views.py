"""The views of FMex's channels and REST answers."""

from recorder.venues.channel_view import ANSWERS, View, answers

_ORDERS, _MATCHES = "/v3/contracts/orders/", "/matches"
_ABOUT_ORDERS = f"{ANSWERS} AND substr(f.topic, 1, {len(_ORDERS)}) = '{_ORDERS}'"
_ORDER = """
  id:int quantity direction features:int price fill_price unfilled_quantity symbol margin_currency fee type status
  trigger_direction trigger_on trailing_base_price trailing_distance created_at:int"""
_ONLY_IN_ANSWERS = (
    " sequenceId:int maker_fee_rate taker_fee_rate updated_at:int frozen_margin frozen_quantity hidden:flag"
)
_POSITION = """
  symbol quantity direction leverage {risk_level}:int margin taker_fee_rate realized_pnl entry_price liquidation_price
  bankruptcy_price minimum_maintenance_margin_rate updated_at:int"""

#: Pushes: the page "ws Push portal". `topic` is a push's `type`, or an answer's request; the `status` of an
#: answer to a question about orders is left out, because an order has a field of that name.
VIEWS = (
    View("fmex_order", "fmex", "f.source = 'push'", _ORDER, at="order", frame_fields="ts:int"),
    View(
        "fmex_account",
        "fmex",
        "f.source = 'push'",
        "currency available frozen position updated_at:int",
        at="account",
        frame_fields="type ts:int",
    ),
    View(
        "fmex_position",
        "fmex",
        "f.source = 'push'",
        _POSITION.format(risk_level="risk_level"),
        at="position",
        frame_fields="type ts:int",
    ),
    View("fmex_ping", "fmex", "f.source = 'push' AND f.topic = 'ping'", "id type ts:int gap:int"),
    View(
        "fmex_rest_orders",
        "fmex",
        f"{_ABOUT_ORDERS} AND replace(f.topic, '{_MATCHES}', '') = f.topic",
        _ORDER + _ONLY_IN_ANSWERS,
        at="data.results",
        or_at="data",
        is_list=True,
        frame_fields="range=data.range hasMore=data.hasMore:flag nextOffsetId=data.nextOffsetId",
    ),
    View(
        "fmex_rest_matches",
        "fmex",
        f"{_ABOUT_ORDERS} AND replace(f.topic, '{_MATCHES}', '') <> f.topic",
        "taker:flag price quantity fee created_at:int",
        at="data.results",
        is_list=True,
        computed={"order_id": f"replace(replace(f.topic, '{_ORDERS}', ''), '{_MATCHES}', '')"},
        frame_fields="status",
    ),
    View(
        "fmex_rest_accounts",
        "fmex",
        answers("/v3/contracts/accounts"),
        "available=0 frozen=1 position=2",
        at="data",
        member="currency",
        frame_fields="status",
    ),
    View(
        "fmex_rest_positions",
        "fmex",
        answers("/v3/broker/auth/contracts/positions"),
        _POSITION.format(risk_level="riskLevel") + " max_quantity closed:flag",
        at="data.results",
        is_list=True,
        frame_fields="status",
    ),
)
