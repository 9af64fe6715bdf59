"""The views of Binance's events and REST answers. Source: developers.binance.com, the page of each event and path.

Names of fields differ only in upper and lower case in many events, and SQL does not tell them apart: the second one of
such a pair ends with `_` (`S_` is `S`, and `s` is `s`). Fields of the frame around an object begin with `frame_`.
"""

from recorder.venues.binance import answers as paths
from recorder.venues.binance.ledger import INCOME
from recorder.venues.binance.objects import ALGO, ORDER, REST_ALGO, REST_FILL, REST_ORDER
from recorder.venues.binance.states import BALANCE, INSTRUMENT, POSITION, REST_BALANCE, REST_POSITION
from recorder.venues.binance.words import COIN_M
from recorder.venues.channel_view import View, answers
from recorder.venues.fields import names

VENUE = "binance"

#: Fields of pushes that are no texts, wherever they stand.
_INTS, _FLAGS = names("i t T E aid tt gtd si ut l"), names("m R cp pP ia j")
#: The same of answers.
_REST_INTS = names(
    """
    orderId algoId id time updateTime createTime triggerTime goodTillDate deliveryDate onboardDate pricePrecision
    quantityPrecision baseAssetPrecision quotePrecision equalQtyPrecision maxMoveOrderLimit tranId serverTime settlePlan
    """
)
_REST_FLAGS = names("reduceOnly closePosition priceProtect buyer maker isolated marginAvailable isAutoAddMargin")
_FRAME = "frame_e=e frame_E_=E:int frame_T=T:int"


def _named(fields: str, ints: frozenset[str], flags: frozenset[str], place: str = "") -> str:
    """Fields with their types, and with names that SQL can tell apart."""
    seen: set[str] = set()
    named = []
    for name in fields.split():
        column = f"{name}_" if name.lower() in seen else name
        seen.add(column.lower())
        kind = ":int" if name in ints else ":flag" if name in flags else ""
        is_same = column == name and not place
        named.append(f"{column}{kind}" if is_same else f"{column}={place}{name}{kind}")
    return " ".join(named)


def _pushed(
    event: str, fields: str, at: str = "", *, part: str = "", ints: frozenset[str] = _INTS, around: str = ""
) -> View:
    """A view of an event: of the object in a field of it, of the list there, or of the event itself."""
    frames = f"f.source = 'push' AND f.topic = '{event}'"
    frame = f"{_FRAME} frame_i=i {around}" if at else ""
    name = f"{VENUE}_{event.lower()}{part}"
    return View(name, VENUE, frames, _named(fields, ints, _FLAGS), at=at, frame_fields=frame, is_list=bool(part))


def _answered(name: str, fields: str, *of: str, at: str = "") -> View:
    """A view of lists; a single object counts as a list of one."""
    every = (*of, *(paths.path_of(path, COIN_M) for path in of))
    typed = _named(fields, _REST_INTS, _REST_FLAGS)
    return View(f"{VENUE}_rest_{name}", VENUE, answers(*dict.fromkeys(every)), typed, at=at, is_list=True)


#: Of an order, these are numbers; `l` is a quantity there.
_ORDER_INTS = _INTS - {"l"} | {"ss", "st"}
_STRATEGY = "si st ss s ut c r up uq uf mp"

VIEWS = (
    _pushed("ORDER_TRADE_UPDATE", ORDER, "o", ints=_ORDER_INTS - {"st"}),
    _pushed("TRADE_LITE", "e E T s q p m c S L l t i", ints=_ORDER_INTS),
    _pushed("ACCOUNT_UPDATE", BALANCE, "a.B", part="_balances", around="m=a.m S=a.S"),
    _pushed("ACCOUNT_UPDATE", POSITION, "a.P", part="_positions", around="m=a.m change_S=a.S"),
    _pushed("ALGO_UPDATE", ALGO, "o"),
    _pushed("ACCOUNT_CONFIG_UPDATE", "e E T ac ai"),
    _pushed("MARGIN_CALL", "s ps pa mt iw mp up mm", "p", part="_positions", around="cw"),
    _pushed("STRATEGY_UPDATE", _STRATEGY, "su"),
    _pushed("GRID_UPDATE", _STRATEGY, "gu"),
    _pushed("CONDITIONAL_ORDER_TRIGGER_REJECT", "s i r", "or"),
    _answered("orders", REST_ORDER, paths.ORDERS, paths.OPEN_ORDERS, paths.ORDER),
    _answered("algo_orders", REST_ALGO, paths.ALGOS, paths.OPEN_ALGOS, paths.ALGO),
    _answered("trades", REST_FILL, paths.FILLS),
    _answered("income", INCOME, paths.INCOME),
    _answered("positions", REST_POSITION, paths.POSITIONS, paths.POSITIONS_OF),
    _answered("balances", REST_BALANCE, paths.BALANCES),
    _answered("instruments", INSTRUMENT, paths.INSTRUMENTS, at="symbols"),
    _answered("time", "serverTime", paths.TIME),
)
