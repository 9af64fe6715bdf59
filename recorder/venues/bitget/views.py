"""The views of Bitget's topics and REST answers. Source: bitget.com/docs/uta, the page of each topic and path."""

from recorder.venues.bitget import answers as paths
from recorder.venues.bitget.ledger import FUNDING_RECORD, RECORD
from recorder.venues.bitget.objects import (
    ACCOUNT,
    COIN,
    FILL,
    FUNDING_COIN,
    INSTRUMENT,
    ORDER,
    POSITION,
    REST_ACCOUNT,
    REST_COIN,
    REST_FILL,
    REST_ORDER,
    REST_POSITION,
    STRATEGY,
)
from recorder.venues.channel_view import View, answers

VENUE = "bitget"

#: Fields that are whole numbers: times in milliseconds, and a number of requests. All other values are texts, as sent.
_NUMBERS = frozenset(["createdTime", "updatedTime", "execTime", "ts", "launchTime", "requestId", "serverTime"])

_AROUND_PUSH = "push_action=action push_ts=ts:int"
_AROUND_ANSWER = "answer_code=code answer_msg=msg answer_requestTime=requestTime:int"


def _typed(fields: str) -> str:
    """Fields with the types that are not text."""
    return " ".join(f"{name}:int" if name in _NUMBERS else name for name in fields.split())


def _pushed(topic: str, fields: str) -> View:
    frames = f"f.source = 'push' AND f.topic = '{topic}'"
    name = f"bitget_{topic.replace('-', '_')}"
    return View(name, VENUE, frames, _typed(fields), at="data", frame_fields=_AROUND_PUSH, is_list=True)


def _answered(name: str, fields: str, *of: str, at: str = "data.list", is_list: bool = True) -> View:
    frames = answers(*of)
    return View(
        f"bitget_rest_{name}", VENUE, frames, _typed(fields), at=at, frame_fields=_AROUND_ANSWER, is_list=is_list
    )


def _sums(fields: str, place: str) -> str:
    return " ".join(f"account_{name}={place}.{name}" for name in fields.split())


VIEWS = (
    _pushed("order", ORDER),
    _pushed("fill", FILL),
    _pushed("fast-fill", FILL),
    _pushed("strategy-order", STRATEGY),
    _pushed("position", POSITION),
    _pushed("adl-notification", "symbol side status price amount ts"),
    View(
        "bitget_account",
        VENUE,
        "f.source = 'push' AND f.topic = 'account'",
        _typed(COIN),
        at="data.0.coin",
        frame_fields=f"{_sums(ACCOUNT, 'data.0')} {_AROUND_PUSH}",
        is_list=True,
    ),
    _answered("orders", REST_ORDER, paths.OPEN_ORDERS, paths.ORDERS),
    _answered("order_info", REST_ORDER, paths.ORDER, at="data", is_list=False),
    _answered("fills", REST_FILL, paths.FILLS),
    _answered("open_strategy_orders", STRATEGY, paths.OPEN_STRATEGIES, at="data"),
    _answered("strategy_orders", STRATEGY, paths.STRATEGIES),
    _answered("positions", REST_POSITION, paths.POSITIONS),
    _answered("records", RECORD, paths.RECORDS),
    _answered("funding_records", FUNDING_RECORD, paths.FUNDING_RECORDS),
    View(
        "bitget_rest_assets",
        VENUE,
        answers(paths.ASSETS),
        _typed(REST_COIN),
        at="data.assets",
        frame_fields=f"{_sums(REST_ACCOUNT, 'data')} {_AROUND_ANSWER}",
        is_list=True,
    ),
    _answered("funding_assets", FUNDING_COIN, paths.FUNDING_ASSETS, at="data"),
    _answered("instruments", INSTRUMENT, paths.INSTRUMENTS, at="data"),
    _answered("time", "serverTime", paths.TIME, at="data", is_list=False),
    _answered("info", "userId parentId permType permissions ips", paths.INFO, at="data", is_list=False),
    _answered(
        "settings", "uid accountMode assetMode accountLevel holdMode stpMode", paths.SETTINGS, at="data", is_list=False
    ),
)
