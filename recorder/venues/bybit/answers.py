"""Decodes the answers of Bybit's REST interface. Source: API v5, the page of each path.

Every answer has the shape `{"retCode": 0, "retMsg": "OK", "result": {...}, "retExtInfo": {}, "time": ...}`. An error is
a `retCode` other than 0, usually with HTTP status 200.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Decoded, RefusedCommand, Transaction, Update, unknown_order
from recorder.venues.bybit import ledger
from recorder.venues.bybit.fields import integer, text
from recorder.venues.bybit.instruments import instrument
from recorder.venues.bybit.rows import EXECUTION, ORDER, POSITION, WALLET, read_row
from recorder.venues.bybit.words import OLD_CONTRACTS, OLD_USDC
from recorder.venues.fields import Fields, as_object, read_json, unknown
from recorder.venues.reading import printable

TIME = "/v5/market/time"
ACCOUNT = "/v5/account/info"
OPEN_ORDERS = "/v5/order/realtime"
ORDER_HISTORY = "/v5/order/history"
EXECUTIONS = "/v5/execution/list"
POSITIONS = "/v5/position/list"
BALANCES = "/v5/account/wallet-balance"
TRANSACTION_LOG = "/v5/account/transaction-log"
INSTRUMENTS = "/v5/market/instruments-info"
FUND_BALANCES = "/v5/asset/transfer/query-account-coins-balance"
FUND_LOG = "/v5/asset/fundinghistory"
KEY_PERMISSIONS = "/v5/user/query-api"
#: Before these names: what was before the account was upgraded to a unified one.
PRE_UPGRADE = "/v5/pre-upgrade"
OLD_ORDERS = f"{PRE_UPGRADE}/order/history"
OLD_EXECUTIONS = f"{PRE_UPGRADE}/execution/list"
OLD_LOG = f"{PRE_UPGRADE}/account/transaction-log"

#: The code of a wrong signature; its message quotes the text that should have been signed, which has the key in it.
WRONG_SIGNATURE = 10004
_SIGNED_TEXT = re.compile(r"origin_string\[([^\]]*)")

_ENVELOPE = frozenset(["retCode", "retMsg", "result", "retExtInfo", "time"])
_RESULT = frozenset(["list", "rows", "balance", "category", "nextPageCursor", "accountType", "memberId"])


class _Page(NamedTuple):
    """What an answer says around its rows."""

    event_ms: int | None
    #: Of the request, or of the answer.
    category: str | None
    account_type: str | None
    #: Undocumented fields around the rows.
    around: Mapping[str, str]
    #: 1 if the rows are a full state.
    is_snapshot: int


_ReadRow = Callable[[Fields, _Page], Iterable[Update]]


def _row(kind: str) -> _ReadRow:
    def read(row: Fields, page: _Page) -> list[Update]:
        return read_row(kind, row, page.category, page.event_ms, page.around, is_snapshot=page.is_snapshot)

    return read


def _transaction(row: Fields, page: _Page) -> Iterable[Update]:
    return ledger.transactions(row, page.event_ms, page.around)


def _old_execution(row: Fields, page: _Page) -> Iterable[Update]:
    for one in _row(EXECUTION)(row, page):
        if isinstance(one, Transaction):
            yield one._replace(wallet=OLD_USDC if one.currency == "USDC" else OLD_CONTRACTS)
        else:
            yield one


def _old_transaction(row: Fields, page: _Page) -> Iterable[Update]:
    return ledger.transactions(row, page.event_ms, page.around, OLD_USDC)


def _fund_transaction(row: Fields, page: _Page) -> Iterable[Update]:
    return (ledger.fund_transaction(row, page.event_ms, page.around),)


def _fund_balance(row: Fields, page: _Page) -> Iterable[Update]:
    return (ledger.fund_balance(row, page.account_type, page.event_ms, page.around),)


def _instrument(row: Fields, page: _Page) -> Iterable[Update]:
    return (instrument(row, page.category, page.event_ms, page.around),)


#: How the rows of an answer become records; None: they do not. What the ledger says again (deposits, transfers,
#: settlements, interest, closed PnL) would count twice: it is in the venue's views only.
_ROWS: dict[str, _ReadRow | None] = {
    OPEN_ORDERS: _row(ORDER),
    ORDER_HISTORY: _row(ORDER),
    EXECUTIONS: _row(EXECUTION),
    POSITIONS: _row(POSITION),
    BALANCES: _row(WALLET),
    TRANSACTION_LOG: _transaction,
    INSTRUMENTS: _instrument,
    FUND_BALANCES: _fund_balance,
    FUND_LOG: _fund_transaction,
    **dict.fromkeys(
        (
            TIME,
            KEY_PERMISSIONS,
            ACCOUNT,
            "/v5/account/borrow-history",
            "/v5/position/closed-pnl",
            "/v5/asset/settlement-record",
            "/v5/asset/delivery-record",
            "/v5/asset/transfer/query-inter-transfer-list",
            "/v5/asset/transfer/query-universal-transfer-list",
            "/v5/asset/deposit/query-record",
            "/v5/asset/deposit/query-internal-record",
            "/v5/asset/withdraw/query-record",
            "/v5/system/status",
        ),
        None,
    ),
    OLD_ORDERS: _row(ORDER),
    OLD_EXECUTIONS: _old_execution,
    OLD_LOG: _old_transaction,
    f"{PRE_UPGRADE}/position/closed-pnl": None,
    f"{PRE_UPGRADE}/asset/delivery-record": None,
    f"{PRE_UPGRADE}/asset/settlement-record": None,
}
#: Answers that are a full state of something.
_SNAPSHOTS = frozenset([OPEN_ORDERS, POSITIONS, BALANCES, FUND_BALANCES])


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: path and query of the request; its method may stand before it.
        payload: the body.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not as the exchange's page says.
    """
    path, _, query = target.removeprefix("GET ").partition("?")
    fields = as_object(read_json(payload), "answer")
    code = integer(fields, "retCode")
    if code is None:
        raise Undecodable("retCode: missing")
    if code != 0:
        return _refusal(target, code, fields)
    if path not in _ROWS:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    read, result = _ROWS[path], fields.get("result")
    if type(result) is not dict:
        result = {}
    asked = dict(parse_qsl(query))
    around = unknown(fields, _ENVELOPE)
    if read is not None:
        around |= unknown(result, _RESULT)
    page = _Page(
        integer(fields, "time"),
        text(result, "category") or asked.get("category"),
        text(result, "accountType") or asked.get("accountType"),
        around,
        # The closed orders that `openOnly=1` asks for are past states.
        int(path in _SNAPSHOTS and asked.get("openOnly") != "1"),
    )
    listed = next((result[name] for name in ("list", "rows", "balance") if name in result), None)
    rows = listed if type(listed) is list else []
    updates: tuple[Update, ...] = ()
    if read is not None:
        updates = tuple(update for row in rows for update in read(as_object(row, "row"), page))
    if path == ORDER_HISTORY and not rows and {"category", "symbol", "orderId"} <= asked.keys():
        # Nobody asks so but for an order that is not open: the exchange no longer knows it.
        updates = (unknown_order(asked["orderId"], asked["symbol"], asked["category"], page.event_ms),)
    cursor = text(result, "nextPageCursor")
    # The last page is empty, or has no cursor; some lists give a cursor with their last row.
    next_page = cursor if rows and cursor else None
    return Decoded(target, DECODED, updates=updates, next_page=next_page, secrets=_key_of(path, result))


def _refusal(target: str, code: int, fields: Fields) -> Decoded:
    message = text(fields, "retMsg") or ""
    found = _SIGNED_TEXT.search(message) if code == WRONG_SIGNATURE else None
    secrets = (found[1],) if found and found[1] else ()
    for secret in secrets:
        message = message.replace(secret, "***")
    return Decoded(target, CONTROL, control=RefusedCommand(None, code, printable(message)), secrets=secrets)


def _key_of(path: str, result: Fields) -> tuple[str, ...]:
    """The API key, where an answer about the key has it in it."""
    key = text(result, "apiKey") if path == KEY_PERMISSIONS else None
    return (key,) if key else ()
