"""FMex's REST requests for reconciling, and how their answers are classified and decoded.

Source: `fmex/protocol.md`, "REST, for reconciling".
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.model import (
    DECODED,
    MAKER,
    TAKER,
    AccountUpdate,
    Decoded,
    FillUpdate,
    OrderUpdate,
    PositionUpdate,
    Update,
    unknown_order,
)
from recorder.venues import values
from recorder.venues.fmex import objects, sign
from recorder.venues.rest import Credentials, RestRequest, Verdict, verdict_of

#: Rate limit of a user: requests, and the seconds in which they may be sent.
REQUESTS_MAX = 100
REQUESTS_WINDOW_S = 10.0

CLOSED_ORDERS_PER_PAGE_MAX = 100

SERVER_TIME = "/v2/public/server-time"
ACCOUNTS = "/v3/contracts/accounts"
POSITIONS = "/v3/broker/auth/contracts/positions"
ORDERS = "/v3/contracts/orders"
OPEN_ORDERS = f"{ORDERS}/open"
CLOSED_ORDERS = f"{ORDERS}/closed"

_ONE_ORDER = re.compile(rf"{ORDERS}/(\d{{1,19}})(/matches)?")

#: What HTTP statuses mean; any other one is transient.
_STATUSES = {
    400: Verdict.GONE,
    401: Verdict.REFUSED,
    403: Verdict.REFUSED,
    404: Verdict.GONE,
    405: Verdict.GONE,
    406: Verdict.GONE,
    410: Verdict.GONE,
    418: Verdict.WAIT,
    429: Verdict.WAIT,
    503: Verdict.WAIT,
}


class _Envelope(msgspec.Struct):
    status: int | str | None = None
    data: Raw = values.MISSING


_read_envelope = msgspec.json.Decoder(_Envelope).decode


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer to any request.

    It may put an error's status into an answer with HTTP status 200.
    """
    return verdict_of(status, body, _said, _STATUSES)


def _said(status: int, body: bytes) -> Verdict | None:
    envelope = _read_envelope(body)
    if status != 200:
        if envelope.status is None:
            raise Undecodable("it has no status")
        return None
    if envelope.data is not values.MISSING or envelope.status in {None, 0, "ok"}:
        return Verdict.ANSWER
    return _STATUSES.get(envelope.status) if isinstance(envelope.status, int) else None


class ClosedOrders(NamedTuple):
    """A page of closed orders, newest first."""

    orders: tuple[OrderUpdate, ...]
    has_more: bool
    next_offset_id: str | None


def _get(
    url: str, path: str, query: Mapping[str, str | int], credentials: Credentials | None, now_ms: int
) -> RestRequest:
    pairs = urlencode(sorted(query.items()))
    address = f"{url}{path}?{pairs}" if pairs else f"{url}{path}"
    headers: dict[str, str] = {}
    if credentials is not None:
        headers = sign.credentials(credentials["key"], credentials["secret"], "GET", address, now_ms)
    return RestRequest("GET", address, headers)


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned."""
    return _get(url, SERVER_TIME, {}, None, 0)


def accounts(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
    """Balances by currency."""
    return _get(url, ACCOUNTS, {}, credentials, now_ms)


def positions(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
    """Every position."""
    return _get(url, POSITIONS, {}, credentials, now_ms)


def open_orders(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
    """The orders that are open now."""
    return _get(url, OPEN_ORDERS, {}, credentials, now_ms)


def order(url: str, credentials: Credentials, now_ms: int, order_id: str) -> RestRequest:
    """One order."""
    return _get(url, f"{ORDERS}/{order_id}", {}, credentials, now_ms)


def matches(url: str, credentials: Credentials, now_ms: int, order_id: str) -> RestRequest:
    """The executions of one order."""
    return _get(url, f"{ORDERS}/{order_id}/matches", {}, credentials, now_ms)


def closed_orders(
    url: str, credentials: Credentials, now_ms: int, month: str, symbol: str, offset_id: str | None = None
) -> RestRequest:
    """A page of the orders closed in a month (`YYYYMM`), newest first.

    Raises:
        ValueError: the month is not of that form.
    """
    if not re.fullmatch(r"\d{4}(0[1-9]|1[0-2])", month):
        raise ValueError(f"{month!r} is not a month; write YYYYMM")
    query: dict[str, str | int] = {"range": month, "symbol": symbol, "limit": CLOSED_ORDERS_PER_PAGE_MAX}
    if offset_id is not None:
        query["offsetId"] = offset_id
    return _get(url, CLOSED_ORDERS, query, credentials, now_ms)


class _ServerTime(msgspec.Struct):
    data: values.Int64


class _Accounts(msgspec.Struct):
    data: dict[str, tuple[Raw, Raw, Raw]]


class _One(msgspec.Struct):
    data: Raw


class _Page(msgspec.Struct, rename="camel"):
    results: list[Raw]
    has_more: bool = False
    next_offset_id: str | values.Int64 | None = None


class _Results(msgspec.Struct):
    data: _Page


class _RestPosition(objects.PositionObject):
    # A struct's own `rename` would leave inherited fields alone.
    risk_level: values.Int64 | None = msgspec.field(default=None, name="riskLevel")


class _RestOrder(objects.OrderObject):
    #: When it last changed; a push has the time of the push instead.
    updated_at: values.Int64 | None = None


class _RestMatch(msgspec.Struct):
    taker: bool | None = None
    price: Raw = values.MISSING
    quantity: Raw = values.MISSING
    fee: Raw = values.MISSING
    created_at: values.Int64 | None = None


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: path and query of the request.
        payload: the body.

    Raises:
        Undecodable: it is not as the exchange's page describes.
    """
    path = target.partition("?")[0]
    one_order = _ONE_ORDER.fullmatch(path)
    updates: tuple[Update, ...]
    next_page = None
    if path == ACCOUNTS:
        updates = read_accounts(payload)
    elif path == POSITIONS:
        updates = read_positions(payload)
    elif path == OPEN_ORDERS:
        updates = read_open_orders(payload)
    elif path == CLOSED_ORDERS:
        page = read_closed_orders(payload)
        updates = page.orders
        next_page = (page.next_offset_id or "") if page.has_more else None
    elif one_order is None:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    elif one_order[2] is None:
        updates = (read_order(payload),)
    else:
        updates = read_matches(payload, one_order[1])
    return Decoded(target, DECODED, updates=updates, next_page=next_page)


def ended_order(status: int, target: str, _payload: bytes) -> OrderUpdate | None:
    """The order of a request for one order that the exchange answered with 404: it no longer has the order."""
    one_order = _ONE_ORDER.fullmatch(target.partition("?")[0])
    if status != 404 or one_order is None or one_order[2]:
        return None
    return unknown_order(one_order[1])


def read_server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970."""
    return _read(answer, _ServerTime).data


def read_accounts(answer: bytes) -> tuple[AccountUpdate, ...]:
    """The balance of each currency: available, frozen by orders, position margin."""
    balances = _read(answer, _Accounts).data
    for currency in balances:
        values.refuse_nul("currency", currency)
    return tuple(
        objects.account_update(None, objects.AccountObject(currency, free, frozen, held), is_snapshot=1)
        for currency, (free, frozen, held) in balances.items()
    )


def read_positions(answer: bytes) -> tuple[PositionUpdate, ...]:
    """Every position; fields that pushes do not have (`closed`, `max_quantity`) are in `extra`."""
    return tuple(
        objects.position_update(None, _item(raw, _RestPosition), _extra(raw, _RestPosition), is_snapshot=1)
        for raw in _read(answer, _Results).data.results
    )


def read_open_orders(answer: bytes) -> tuple[OrderUpdate, ...]:
    """The open orders; fields that pushes do not have (`updated_at`, `frozen_margin`, ...) are in `extra`."""
    return tuple(_order(raw) for raw in _read(answer, _Results).data.results)


def read_order(answer: bytes) -> OrderUpdate:
    """One order."""
    return _order(_read(answer, _One).data)


def read_closed_orders(answer: bytes) -> ClosedOrders:
    """A page of closed orders, and where the next one starts."""
    page = _read(answer, _Results).data
    offset = None if page.next_offset_id is None else str(page.next_offset_id)
    return ClosedOrders(tuple(_order(raw, is_snapshot=0) for raw in page.results), page.has_more, offset)


def read_matches(answer: bytes, order_id: str) -> tuple[FillUpdate, ...]:
    """The executions of one order. The exchange gives them no id, and says neither symbol nor side."""
    matches = (_item(raw, _RestMatch) for raw in _read(answer, _Results).data.results)
    return tuple(
        FillUpdate(
            order_id=order_id,
            price=values.digits(one.price),
            quantity=values.digits(one.quantity),
            fee=values.digits(one.fee),
            liquidity=None if one.taker is None else TAKER if one.taker else MAKER,
            executed_ms=one.created_at,
        )
        for one in matches
    )


def _order(raw: Raw, *, is_snapshot: int = 1) -> OrderUpdate:
    item = _item(raw, _RestOrder)
    return objects.order_update(None, item, _extra(raw, _RestOrder), item.updated_at, is_snapshot=is_snapshot)


def _extra(raw: Raw, struct: type[msgspec.Struct]) -> str | None:
    return values.extra_text(values.unknown_fields(values.read_fields(raw), struct))


def _item(raw: Raw, struct: type[_Struct]) -> _Struct:
    item = _read(raw, struct)
    values.check_values(item)
    return item


def _read(answer: bytes | Raw, struct: type[_Struct]) -> _Struct:
    try:
        read = msgspec.json.decode(answer, type=struct)
        if isinstance(answer, bytes):  # a `Raw` is a part of an answer that has been checked as a whole
            values.refuse_duplicates(answer)
        return read
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"the exchange's answer is not the one its page describes: {error}") from error
