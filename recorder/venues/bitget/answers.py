"""Decodes the answers of Bitget's REST interface (v3). Source: bitget.com/docs/uta, the page of each path.

Every answer has the shape `{"code":"00000","msg":"success","requestTime":1695809161807,"data":..}`. An error is another
`code`, which may come with HTTP status 200. Lists are newest first, under `data.list`; the next page is asked for with
`data.cursor`, until it or the list is empty.
"""

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, AccountUpdate, Decoded, OrderUpdate, RefusedCommand, Update, unknown_order
from recorder.venues.bitget import ledger
from recorder.venues.bitget import objects as records
from recorder.venues.bitget.decode import balances, number_of
from recorder.venues.bitget.objects import Around
from recorder.venues.bitget.words import FUNDING, UNIFIED
from recorder.venues.fields import (
    Fields,
    as_object,
    identifier,
    listed,
    names,
    objects,
    read_json,
    required,
    text,
    unknown,
    whole,
)
from recorder.venues.reading import printable

TIME = "/api/v2/public/time"
INSTRUMENTS = "/api/v3/market/instruments"
INFO = "/api/v3/account/info"
SETTINGS = "/api/v3/account/settings"
ASSETS = "/api/v3/account/assets"
FUNDING_ASSETS = "/api/v3/account/funding-assets"
POSITIONS = "/api/v3/position/current-position"
POSITION_HISTORY = "/api/v3/position/history-position"
OPEN_ORDERS = "/api/v3/trade/unfilled-orders"
ORDERS = "/api/v3/trade/history-orders"
ORDER = "/api/v3/trade/order-info"
FILLS = "/api/v3/trade/fills"
OPEN_STRATEGIES = "/api/v3/trade/unfilled-strategy-orders"
STRATEGIES = "/api/v3/trade/history-strategy-orders"
RECORDS = "/api/v3/account/financial-records"
FUNDING_RECORDS = "/api/v3/account/funding-financial-records"

#: Rows of a page at most.
PAGE_ROWS = 100
#: The code of an answer that is no error, and those of an order that does not exist.
SUCCESS = "00000"
NO_SUCH_ORDER = frozenset(["25204", "40109", "43001"])

_ENVELOPE = names("code msg message requestTime data")

#: Path of a list of balances → their wallet.
_WALLETS = {ASSETS: UNIFIED, FUNDING_ASSETS: FUNDING}

_Read = Callable[[Fields, Around, int | None], Sequence[Update]]


def _order(is_snapshot: int) -> _Read:
    return lambda row, around, at_ms: [records.order_update(row, around, at_ms, is_snapshot=is_snapshot)]


def _strategy(is_snapshot: int) -> _Read:
    return lambda row, around, at_ms: [records.strategy_update(row, around, at_ms, is_snapshot=is_snapshot)]


def _fill(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.fill_update(row, around, event_ms)]


def _position(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.position_update(row, around, event_ms, is_snapshot=1)]


def _balances(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return balances(row, "assets", around, event_ms, is_snapshot=1)


def _funding_balance(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.funding_balance(row, around, event_ms)]


def _record(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [ledger.record(row, around, event_ms)]


def _funding_record(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [ledger.funding_record(row, around, event_ms)]


def _instrument(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.instrument(row, around, event_ms)]


def _nothing(_row: Fields, _around: Around, _event_ms: int | None) -> Sequence[Update]:
    return ()


#: How the rows of an answer become records. Closed positions have none: fills and records tell the same.
_ROWS: dict[str, _Read] = {
    ASSETS: _balances,
    FUNDING_ASSETS: _funding_balance,
    POSITIONS: _position,
    OPEN_ORDERS: _order(1),
    ORDERS: _order(0),
    ORDER: _order(1),
    FILLS: _fill,
    OPEN_STRATEGIES: _strategy(1),
    STRATEGIES: _strategy(0),
    RECORDS: _record,
    FUNDING_RECORDS: _funding_record,
    INSTRUMENTS: _instrument,
    **dict.fromkeys((TIME, "/api/v3/public/time", INFO, SETTINGS, POSITION_HISTORY), _nothing),
}


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: path and query of the request; its method may stand before it.
        payload: the body.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not as the exchange's page says.
    """
    path, _, query = target.removeprefix("GET ").partition("?")
    answer = as_object(read_json(payload), "answer")
    code = required(identifier(answer, "code"), "code")
    if code != SUCCESS:
        message = text(answer, "msg") or text(answer, "message") or ""
        return Decoded(target, CONTROL, None, (), RefusedCommand(None, number_of(code), printable(message)))
    read = _ROWS.get(path)
    if read is None:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    rows, cursor = _rows(path, answer)
    around, event_ms = unknown(answer, _ENVELOPE), whole(answer, "requestTime")
    updates = [update for row in rows for update in read(row, around, event_ms)]
    updates += _absent(path, dict(parse_qsl(query)), updates, event_ms)
    return Decoded(target, DECODED, None, tuple(updates), None, cursor if rows and cursor else None)


def ended_order(_status: int, target: str, payload: bytes) -> OrderUpdate | None:
    """The order of a request for one order, if the exchange does not have it any more."""
    path, _, query = target.removeprefix("GET ").partition("?")
    if path != ORDER or identifier(as_object(read_json(payload), "answer"), "code") not in NO_SUCH_ORDER:
        return None
    return unknown_order(dict(parse_qsl(query))["orderId"])


def _rows(path: str, answer: Fields) -> tuple[list[Fields], str | None]:
    """The rows of an answer, and where the next page begins. An empty list may be null."""
    data = answer.get("data")
    if type(data) is list:
        return objects(answer, "data"), None
    if path in {ASSETS, ORDER, INFO, SETTINGS} or path.endswith("/time"):
        return [as_object(data, "data")], None
    if data is None and path in {OPEN_STRATEGIES, FUNDING_ASSETS, INSTRUMENTS}:
        return [], None
    page = as_object(data, "data")
    if page.get("list", ...) is None:
        return [], None
    return [as_object(row, "list") for row in listed(page, "list")], identifier(page, "cursor")


def _absent(path: str, asked: dict[str, str], told: Sequence[Update], event_ms: int | None) -> list[Update]:
    """What was asked for by its name, if the answer does not have it: lists leave out what is zero."""
    category, symbol, coin = asked.get("category"), asked.get("symbol"), asked.get("coin")
    if path == POSITIONS and category and symbol and not told:
        return [records.flat_position(category, symbol, asked.get("posSide"), event_ms)]
    if path in _WALLETS and coin and coin not in {one.currency for one in told if isinstance(one, AccountUpdate)}:
        return [records.no_balance(_WALLETS[path], coin, event_ms)]
    return []
