"""Decodes the answers of Binance's REST interface. Source: developers.binance.com, the page of each path.

Lists are bare, oldest first, at most 1,000 rows. The next page begins with the time of the last row, which is told
again: rows of one time may be on both pages, or fill more than a page. An error is an object with `code` and `msg`,
with an HTTP status of 400 or above.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Decoded, OrderUpdate, RefusedCommand, Update, unknown_order
from recorder.venues.binance import ledger, objects, states
from recorder.venues.binance.objects import Around
from recorder.venues.binance.words import ALGO as ALGO_PREFIX
from recorder.venues.binance.words import COIN_M
from recorder.venues.fields import Fields, as_object, names, read_json, text, unknown, whole
from recorder.venues.fields import objects as rows_of
from recorder.venues.reading import printable

TIME = "/fapi/v1/time"
INSTRUMENTS = "/fapi/v1/exchangeInfo"
LISTEN_KEY = "/fapi/v1/listenKey"
BALANCES = "/fapi/v3/balance"
POSITIONS = "/fapi/v3/positionRisk"
#: Lists positions that are flat, too.
POSITIONS_OF = "/fapi/v2/positionRisk"
OPEN_ORDERS = "/fapi/v1/openOrders"
OPEN_ALGOS = "/fapi/v1/openAlgoOrders"
ORDER = "/fapi/v1/order"
ALGO = "/fapi/v1/algoOrder"
ORDERS = "/fapi/v1/allOrders"
ALGOS = "/fapi/v1/allAlgoOrders"
FILLS = "/fapi/v1/userTrades"
INCOME = "/fapi/v1/income"
#: On the host of the spot exchange: what a key may do.
RIGHTS = "/sapi/v1/account/apiRestrictions"

#: The error code of an order that does not exist, or no longer.
NO_SUCH_ORDER = -2013

#: Rows of a page at most.
PAGE_ROWS = 1000

_PATH = re.compile(r"/([fd])api/v\d/(.+)")
_VERSION = re.compile(r"/fapi/v\d/")
_INFO = names("timezone serverTime futuresType rateLimits exchangeFilters assets symbols")

_Read = Callable[[Fields, Around], Sequence[Update]]


def path_of(path: str, product: str) -> str:
    """A path of USD-M, as the product has it: COIN-M has everything in version 1."""
    return _VERSION.sub("/dapi/v1/", path) if product == COIN_M else path


def _order(is_snapshot: int) -> _Read:
    return lambda row, around: [objects.order_update(row, around, is_snapshot=is_snapshot)]


def _algo(is_snapshot: int) -> _Read:
    return lambda row, around: [objects.algo(row, around, is_snapshot=is_snapshot)]


def _fill(row: Fields, around: Around) -> Sequence[Update]:
    return [objects.fill_update(row, around)]


def _position(row: Fields, around: Around) -> Sequence[Update]:
    return [states.position_update(row, around)]


def _balance(row: Fields, around: Around) -> Sequence[Update]:
    return [states.balance_update(row, around)]


def _income(row: Fields, around: Around) -> Sequence[Update]:
    return [ledger.income(row, around)]


def _nothing(_row: Fields, _around: Around) -> Sequence[Update]:
    return ()


def _instruments(answer: Fields, around: Around) -> Sequence[Update]:
    around = {**around, **unknown(answer, _INFO)}
    return [states.instrument(row, around) for row in rows_of(answer, "symbols")]


#: End of a path → how each object of its answer becomes records. What other lists say again has none; it is in the
#: venue's views only.
_ROWS: dict[str, _Read] = {
    "balance": _balance,
    "positionRisk": _position,
    "openOrders": _order(1),
    "openAlgoOrders": _algo(1),
    "order": _order(1),
    "algoOrder": _algo(1),
    "allOrders": _order(0),
    "allAlgoOrders": _algo(0),
    "userTrades": _fill,
    "income": _income,
    "exchangeInfo": _instruments,
    **dict.fromkeys(("time", "account", "orderAmendment", "forceOrders", "positionMargin/history"), _nothing),
    **dict.fromkeys(("positionSide/dual", "multiAssetsMargin", "symbolConfig", "accountConfig"), _nothing),
}
#: The parameter that asks for fills from an id on; the page after it begins behind the last id.
FROM_ID = "fromId"
#: End of a path → the field with the time by which its next page is asked for.
_PAGE_KEYS = {"allOrders": "time", "allAlgoOrders": "createTime", "userTrades": "time", "income": "time"}


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: path and query of the request; its method may stand before it.
        payload: the body.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not as the exchange's page says.
    """
    path, _, query = target.removeprefix("GET ").partition("?")
    answer = read_json(payload)
    if type(answer) is dict and "code" in answer and "msg" in answer:
        code, words = whole(answer, "code"), printable(text(answer, "msg") or "")
        return Decoded(target, CONTROL, None, (), RefusedCommand(None, code, words))
    found = _PATH.fullmatch(path)
    read = _ROWS.get(found[2]) if found else None
    if found is None or read is None:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    rows = [as_object(one, "answer") for one in (answer if type(answer) is list else [answer])]
    updates = tuple(update for row in rows for update in read(row, {}))
    return Decoded(target, DECODED, None, updates, None, _next_page(found[2], query, rows))


def ended_order(_status: int, target: str, payload: bytes) -> OrderUpdate | None:
    """The order of a request for one order, if the exchange does not have it any more.

    It keeps orders without a fill for three days after their end, others for 90 days. A request that names the id
    before the symbol is about an order that may be too new.
    """
    path, _, query = target.removeprefix("GET ").partition("?")
    found, asked = _PATH.fullmatch(path), dict(parse_qsl(query))
    if found is None or whole(as_object(read_json(payload), "answer"), "code") != NO_SUCH_ORDER:
        return None
    if found[2] == "algoOrder":
        return unknown_order(ALGO_PREFIX + asked["algoId"])
    if found[2] == "order" and query.startswith("symbol="):
        return unknown_order(asked["orderId"], asked["symbol"])
    return None


def _next_page(name: str, query: str, rows: list[dict[str, Any]]) -> str | None:
    """The time of the last row of a full page, empty if they are not in order; None if there is no next page.

    Of fills that are asked for by their ids, what follows the last id.
    """
    asked = dict(parse_qsl(query))
    key = "id" if FROM_ID in asked else _PAGE_KEYS.get(name)
    limit = asked.get("limit", "")
    if key is None or not limit.isdigit() or not 0 < int(limit) <= len(rows):
        return None
    places = [whole(row, key) or 0 for row in rows]
    return str(places[-1] + (key == "id")) if places == sorted(places) and places[-1] > 0 else ""
