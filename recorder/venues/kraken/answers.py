"""Decodes the answers of Kraken's REST interface. Source: docs.kraken.com, "Spot REST", the page of each path.

Every answer has the shape `{"error":[],"result":...}`. An error is a text in the list, and comes with HTTP status 200;
one that begins with W is a warning. Lists are objects whose names are ids; their pages continue at an offset.
"""

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Decoded, OrderUpdate, RefusedCommand, Update, unknown_order
from recorder.venues.fields import Fields, as_object, inner, listed, names, read_json, text, unknown, whole
from recorder.venues.kraken import ledger
from recorder.venues.kraken import objects as records
from recorder.venues.kraken.objects import Around
from recorder.venues.reading import printable

TIME = "/0/public/Time"
PAIRS = "/0/public/AssetPairs"
KEY = "/0/private/GetApiKeyInfo"
TOKEN = "/0/private/GetWebSocketsToken"
BALANCES = "/0/private/BalanceEx"
POSITIONS = "/0/private/OpenPositions"
OPEN_ORDERS = "/0/private/OpenOrders"
ORDERS = "/0/private/ClosedOrders"
ORDER = "/0/private/QueryOrders"
TRADES = "/0/private/TradesHistory"
LEDGER = "/0/private/Ledgers"

#: The error of an order that does not exist.
NO_SUCH_ORDER = "EOrder:Unknown order"

#: Rows of a page at most.
PAGE_ROWS = 50

_ENVELOPE = names("error result")

#: Makes the records of a row from its name and itself.
_Read = Callable[[str, Fields, Around], Sequence[Update]]


def _order(is_snapshot: int) -> _Read:
    return lambda name, row, around: [records.answered_order(name, row, around, is_snapshot=is_snapshot)]


def _trade(name: str, row: Fields, around: Around) -> Sequence[Update]:
    return [records.answered_fill(name, row, around)]


def _entry(name: str, row: Fields, around: Around) -> Sequence[Update]:
    return [] if ledger.is_of_position(row) else [ledger.entry(name, row, around)]


def _balance(name: str, row: Fields, around: Around) -> Sequence[Update]:
    return [records.answered_balance(name, row, around)]


def _pair(name: str, row: Fields, around: Around) -> Sequence[Update]:
    return [records.instrument(name, row, around)]


def _nothing(_name: str, _row: Fields, _around: Around) -> Sequence[Update]:
    return ()


#: Where the rows of an answer are within its result, and how they become records. Positions on margin make none: the
#: list leaves out those that were closed, and no frame says that one was. Their trades and payments are told anyway.
_ROWS: dict[str, tuple[str, _Read]] = {
    OPEN_ORDERS: ("open", _order(1)),
    ORDERS: ("closed", _order(0)),
    ORDER: ("", _order(1)),
    TRADES: ("trades", _trade),
    "/0/private/QueryTrades": ("", _trade),
    LEDGER: ("ledger", _entry),
    "/0/private/QueryLedgers": ("", _entry),
    BALANCES: ("", _balance),
    POSITIONS: ("", _nothing),
    PAIRS: ("", _pair),
}
#: Answers without rows.
_PLAIN = frozenset([TIME, KEY, "/0/private/Balance", "/0/private/TradeBalance"])
_PAGED = frozenset([ORDERS, TRADES, LEDGER])


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: path and query of the request, or method, path and body.
        payload: the body.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not as the exchange's page says.
    """
    path, asked = _request(target)
    answer = as_object(read_json(payload), "answer")
    errors = [str(one) for one in listed(answer, "error")]
    if any(not one.startswith("W") for one in errors) or (errors and "result" not in answer):
        return Decoded(target, CONTROL, None, (), RefusedCommand(None, None, printable(", ".join(errors))))
    if path == TOKEN:
        token = text(inner(answer, "result"), "token")
        return Decoded(target, DECODED, secrets=(token,) if token else ())
    if path in _PLAIN:
        as_object(answer.get("result"), "result")
        return Decoded(target, DECODED)
    if path not in _ROWS:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    place, read = _ROWS[path]
    result, around = as_object(answer.get("result"), "result"), unknown(answer, _ENVELOPE)
    rows = as_object(result.get(place), place) if place else result
    updates = [update for name, row in rows.items() for update in read(name, as_object(row, name[:60]), around)]
    next_page = _next_page(asked, len(rows), whole(result, "count")) if path in _PAGED else None
    return Decoded(target, DECODED, None, tuple(updates), None, next_page)


def ended_order(_status: int, target: str, payload: bytes) -> OrderUpdate | None:
    """The order of a request for one order, if the exchange does not have it."""
    path, asked = _request(target)
    if path != ORDER or NO_SUCH_ORDER not in listed(as_object(read_json(payload), "answer"), "error"):
        return None
    return unknown_order(dict(parse_qsl(asked))["txid"])


def _request(target: str) -> tuple[str, str]:
    """Path and parameters of a request."""
    method, _, rest = target.partition(" ")
    if method != "POST":
        path, _, asked = target.removeprefix("GET ").partition("?")
        return path, asked
    path, _, asked = rest.partition(" ")
    return path, asked


def _next_page(asked: str, rows: int, count: int | None) -> str | None:
    """The offset of the next page; None if there is none, empty if the rest does not come."""
    begun = dict(parse_qsl(asked)).get("ofs", "")
    seen = rows + (int(begun) if begun.isascii() and begun.isdigit() else 0)
    if count is None:
        return None if rows < PAGE_ROWS else str(seen)
    if seen >= count:
        return None
    return str(seen) if rows else ""
