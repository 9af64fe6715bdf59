"""Decodes the answers of OKX's REST interface. Source: okx.com/docs-v5, the page of each path.

Every answer has the shape `{"code":"0","msg":"","data":[...]}`. An error is a `code` other than `"0"`, which may come
with HTTP status 200. Lists are newest first; the next page is what is older than the last row.
"""

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Decoded, OrderUpdate, RefusedCommand, Update, unknown_order
from recorder.venues.fields import Fields, as_object, names, objects, read_json, required, text, unknown, whole
from recorder.venues.okx import ledger
from recorder.venues.okx import objects as records
from recorder.venues.okx.decode import balances
from recorder.venues.okx.objects import Around
from recorder.venues.reading import printable

TIME = "/api/v5/public/time"
INSTRUMENTS = "/api/v5/public/instruments"
CONFIG = "/api/v5/account/config"
BALANCE = "/api/v5/account/balance"
POSITIONS = "/api/v5/account/positions"
BILLS = "/api/v5/account/bills"
BILLS_ARCHIVE = "/api/v5/account/bills-archive"
OPEN_ORDERS = "/api/v5/trade/orders-pending"
ORDERS = "/api/v5/trade/orders-history"
ORDERS_ARCHIVE = "/api/v5/trade/orders-history-archive"
ORDER = "/api/v5/trade/order"
FILLS = "/api/v5/trade/fills"
FILLS_ARCHIVE = "/api/v5/trade/fills-history"
OPEN_ALGOS = "/api/v5/trade/orders-algo-pending"
ALGOS = "/api/v5/trade/orders-algo-history"
FUND_BALANCES = "/api/v5/asset/balances"
FUND_BILLS = "/api/v5/asset/bills"
DEPOSITS = "/api/v5/asset/deposit-history"
WITHDRAWALS = "/api/v5/asset/withdrawal-history"

#: The error code of an order that does not exist.
NO_SUCH_ORDER = "51603"

#: Rows of a page at most.
PAGE_ROWS = 100

_ENVELOPE = names("code msg data inTime outTime")

_Read = Callable[[Fields, Around], Sequence[Update]]


def _order(is_snapshot: int) -> _Read:
    return lambda row, around: [records.order_update(row, around, is_push=False, is_snapshot=is_snapshot)]


def _algo(is_snapshot: int) -> _Read:
    return lambda row, around: [records.algo_update(row, around, is_push=False, is_snapshot=is_snapshot)]


def _fill(row: Fields, around: Around) -> Sequence[Update]:
    return [records.fill_update(row, around)]


def _position(row: Fields, around: Around) -> Sequence[Update]:
    return [records.position_update(row, around, is_snapshot=1)]


def _balances(row: Fields, around: Around) -> Sequence[Update]:
    return balances(row, around, 1, is_push=False)


def _bill(row: Fields, around: Around) -> Sequence[Update]:
    return [ledger.bill(row, around)]


def _fund_bill(row: Fields, around: Around) -> Sequence[Update]:
    return [ledger.fund_bill(row, around)]


def _deposit(row: Fields, around: Around) -> Sequence[Update]:
    return ledger.deposit(row, around)


def _withdrawal(row: Fields, around: Around) -> Sequence[Update]:
    return ledger.withdrawal(row, around)


def _fund_balance(row: Fields, around: Around) -> Sequence[Update]:
    return [records.fund_balance(row, around)]


def _instrument(row: Fields, around: Around) -> Sequence[Update]:
    return [records.instrument(row, around)]


def _nothing(_row: Fields, _around: Around) -> Sequence[Update]:
    return ()


#: How the rows of an answer become records. What the bills say again (interest, closed positions) has none, or it would
#: count twice.
_ROWS: dict[str, _Read] = {
    OPEN_ORDERS: _order(1),
    ORDERS: _order(0),
    ORDERS_ARCHIVE: _order(0),
    ORDER: _order(1),
    FILLS: _fill,
    FILLS_ARCHIVE: _fill,
    OPEN_ALGOS: _algo(1),
    ALGOS: _algo(0),
    POSITIONS: _position,
    BALANCE: _balances,
    BILLS: _bill,
    BILLS_ARCHIVE: _bill,
    FUND_BALANCES: _fund_balance,
    FUND_BILLS: _fund_bill,
    DEPOSITS: _deposit,
    WITHDRAWALS: _withdrawal,
    INSTRUMENTS: _instrument,
    "/api/v5/account/instruments": _instrument,
    **dict.fromkeys(
        (
            TIME,
            CONFIG,
            "/api/v5/account/positions-history",
            "/api/v5/account/interest-accrued",
            "/api/v5/account/subtypes",
            "/api/v5/sprd/orders-pending",
            "/api/v5/sprd/orders-history",
            "/api/v5/sprd/trades",
            "/api/v5/system/status",
        ),
        _nothing,
    ),
}
#: The field of the last row by which the next page is asked for: an id, or a time (`_BY_TIME`).
_PAGE_KEYS = {
    OPEN_ORDERS: "ordId",
    ORDERS: "ordId",
    ORDERS_ARCHIVE: "ordId",
    FILLS: "billId",
    FILLS_ARCHIVE: "billId",
    OPEN_ALGOS: "algoId",
    ALGOS: "algoId",
    BILLS: "billId",
    BILLS_ARCHIVE: "billId",
    DEPOSITS: "ts",
    WITHDRAWALS: "ts",
}
#: Lists whose next page is what is older than a time: there may be more rows of the last row's own millisecond.
_BY_TIME = frozenset([DEPOSITS, WITHDRAWALS])


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
    code = required(text(answer, "code"), "code")
    if code != "0":
        number = int(code) if code.isascii() and code.isdigit() and len(code) < 10 else None
        return Decoded(target, CONTROL, None, (), RefusedCommand(None, number, printable(text(answer, "msg") or "")))
    read = _ROWS.get(path)
    if read is None:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    rows, around = objects(answer, "data"), unknown(answer, _ENVELOPE)
    updates = tuple(update for row in rows for update in read(row, around))
    return Decoded(target, DECODED, None, updates, None, _next_page(path, query, rows))


def ended_order(_status: int, target: str, payload: bytes) -> OrderUpdate | None:
    """The order of a request for one order, if the exchange does not have it any more.

    It keeps orders without a fill for two hours after their end, others for three months.
    """
    path, _, query = target.removeprefix("GET ").partition("?")
    if path != ORDER or text(as_object(read_json(payload), "answer"), "code") != NO_SUCH_ORDER:
        return None
    asked = dict(parse_qsl(query))
    return unknown_order(asked["ordId"], asked["instId"])


def _next_page(path: str, query: str, rows: list[Fields]) -> str | None:
    """The id of the last row of a full page, or the millisecond after it; None if there is no next page."""
    key = _PAGE_KEYS.get(path)
    limit = dict(parse_qsl(query)).get("limit", "")
    if key is None or not rows or len(rows) < (int(limit) if limit.isdigit() else PAGE_ROWS):
        return None
    if path in _BY_TIME and (last_ms := whole(rows[-1], key)) is not None:
        return str(last_ms + 1)
    return text(rows[-1], key) or ""
