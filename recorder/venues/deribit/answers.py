"""Decodes the answers of Deribit's methods over HTTP. Source: docs.deribit.com, the page of each method.

Every answer is a JSON-RPC object with `result` or `error`. A list either says where its next page begins
(`continuation`), or whether there is more (`has_more`): then it continues at the time of its last row, which is
answered again.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Decoded, OrderUpdate, Update, unknown_order
from recorder.venues.deribit import ledger
from recorder.venues.deribit import objects as records
from recorder.venues.deribit.decode import US_PER_MS, refusal
from recorder.venues.deribit.objects import Around
from recorder.venues.fields import (
    Fields,
    as_object,
    identifier,
    names,
    objects,
    read_json,
    unknown,
    whole,
)

API = "/api/v2/"
TIME = f"{API}public/get_time"
AUTH = f"{API}public/auth"
INSTRUMENT = f"{API}public/get_instrument"
INSTRUMENTS = f"{API}public/get_instruments"
BALANCES = f"{API}private/get_account_summaries"
BALANCE = f"{API}private/get_account_summary"
POSITIONS = f"{API}private/get_positions"
POSITION = f"{API}private/get_position"
OPEN_ORDERS = f"{API}private/get_open_orders"
ORDER = f"{API}private/get_order_state"
ORDERS = f"{API}private/get_order_history_by_currency"
TRIGGERS = f"{API}private/get_trigger_order_history"
FILLS = f"{API}private/get_user_trades_by_currency_and_time"
LOG = f"{API}private/get_transaction_log"
SETTLEMENTS = f"{API}private/get_settlement_history_by_currency"

#: The error code of an order that is not known.
NO_SUCH_ORDER = 10004

_ENVELOPE = names("jsonrpc id result error usIn usOut usDiff testnet")
_LIST = names("continuation has_more orders trades entries logs")

_Read = Callable[[Fields, Around], Sequence[Update]]


def _order(is_snapshot: int) -> _Read:
    return lambda row, around: [records.order_update(row, around, is_push=False, is_snapshot=is_snapshot)]


def _fill(row: Fields, around: Around) -> Sequence[Update]:
    found = records.fill_update(row, around, is_push=False)
    return [] if found is None else [found]


def _position(row: Fields, around: Around) -> Sequence[Update]:
    return [records.position_update(row, around, is_snapshot=1)]


def _balance(row: Fields, around: Around) -> Sequence[Update]:
    return [records.account_update(row, around, is_snapshot=1)]


def _instrument(row: Fields, around: Around) -> Sequence[Update]:
    return [records.instrument(row, around)]


def _trigger(row: Fields, around: Around) -> Sequence[Update]:
    return [records.trigger_update(row, around)]


def _nothing(_row: Fields, _around: Around) -> Sequence[Update]:
    return ()


#: Path → where its rows are in the result, and how they become records. Empty: the result is the row, or the list.
#: What the transaction log says again (settlements, transfers, deposits, withdrawals) makes none, or it would count
#: twice.
_ROWS: dict[str, tuple[str, _Read]] = {
    BALANCES: ("summaries", _balance),
    BALANCE: ("", _balance),
    POSITIONS: ("", _position),
    POSITION: ("", _position),
    OPEN_ORDERS: ("", _order(1)),
    f"{OPEN_ORDERS}_by_currency": ("", _order(1)),
    f"{OPEN_ORDERS}_by_instrument": ("", _order(1)),
    ORDER: ("", _order(1)),
    ORDERS: ("orders", _order(0)),
    f"{API}private/get_order_history_by_instrument": ("orders", _order(0)),
    TRIGGERS: ("entries", _trigger),
    FILLS: ("trades", _fill),
    f"{API}private/get_user_trades_by_currency": ("trades", _fill),
    f"{API}private/get_user_trades_by_instrument": ("trades", _fill),
    f"{API}private/get_user_trades_by_instrument_and_time": ("trades", _fill),
    f"{API}private/get_user_trades_by_order": ("", _fill),
    LOG: ("logs", ledger.entries),
    INSTRUMENT: ("", _instrument),
    INSTRUMENTS: ("", _instrument),
}
_SILENT = frozenset(
    [
        TIME,
        f"{API}public/test",
        SETTLEMENTS,
        f"{API}private/get_settlement_history_by_instrument",
        f"{API}private/get_transfers",
        f"{API}private/get_deposits",
        f"{API}private/get_withdrawals",
    ]
)


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: path and query of the request; its method may stand before it.
        payload: the body.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not as the exchange's page says.
    """
    path = target.removeprefix("GET ").partition("?")[0]
    answer = as_object(read_json(payload), "answer")
    if "error" in answer:
        return Decoded(target, CONTROL, None, (), refusal(answer["error"], None))
    if path in _SILENT:
        return Decoded(target, DECODED)
    found = _ROWS.get(path)
    if found is None:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    if "result" not in answer:
        raise Undecodable("result: missing")
    place, read = found
    result = answer["result"]
    # The summaries stand beside what the account is called, which is of no row.
    listing = result if isinstance(result, dict) and place and path != BALANCES else {}
    around = {**unknown(answer, _ENVELOPE), **unknown(listing, _LIST, "result.")}
    rows = _rows(result, place)
    at_us = whole(answer, "usOut")
    at_ms = None if at_us is None else at_us // US_PER_MS
    updates = tuple(update._replace(event_ms=at_ms) for row in rows for update in read(row, around))
    return Decoded(target, DECODED, None, updates, None, _next_page(listing, rows))


def ended_order(_status: int, target: str, payload: bytes) -> OrderUpdate | None:
    """The order of a request for one order, if the exchange does not have it any more.

    It keeps those without a fill for a short time after their end, as its recent history does.
    """
    path, _, query = target.removeprefix("GET ").partition("?")
    error = as_object(as_object(read_json(payload), "answer").get("error"), "error")
    if path != ORDER or whole(error, "code") != NO_SUCH_ORDER:
        return None
    return unknown_order(dict(parse_qsl(query))["order_id"])


def _rows(result: Any, place: str) -> list[Fields]:
    """The rows of a result: a list of them, at its place or alone, or a single one."""
    if isinstance(result, list):
        return [as_object(row, "result") for row in result]
    told = as_object(result, "result")
    return objects(told, place) if place else [told]


def _next_page(listing: Fields, rows: list[Fields]) -> str | None:
    """The continuation, or the time of the last row if there is more; None: this is the last page."""
    if listing.get("has_more") is True:
        at_ms = whole(rows[-1], "timestamp") if rows else None
        return "" if at_ms is None else str(at_ms)
    return identifier(listing, "continuation") or None
