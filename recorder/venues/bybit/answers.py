"""Decodes the answers of Bybit's REST interface. Source: API v5, the page of each path.

Every answer has the shape `{"retCode": 0, "retMsg": "OK", "result": {...}, "retExtInfo": {}, "time": ...}`. An error is
a `retCode` other than 0, usually with HTTP status 200.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from msgspec import Raw

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Decoded, RefusedCommand, Update, unknown_order
from recorder.venues.bybit import ledger
from recorder.venues.bybit.fields import integer, opening, read_list, text
from recorder.venues.bybit.instruments import instrument
from recorder.venues.bybit.rows import EXECUTION, ORDER, POSITION, WALLET, read_row
from recorder.venues.reading import printable
from recorder.venues.values import read_fields, refuse_duplicates

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
#: Before these names: what lay before the account was upgraded to a unified one.
PRE_UPGRADE = "/v5/pre-upgrade"

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


_ReadRow = Callable[[Raw, _Page], Iterable[Update]]


def _row(kind: str) -> _ReadRow:
    def read(raw: Raw, page: _Page) -> list[Update]:
        return read_row(kind, raw, page.category, page.event_ms, page.around, is_snapshot=page.is_snapshot)

    return read


def _transaction(raw: Raw, page: _Page) -> Iterable[Update]:
    return ledger.transactions(raw, page.event_ms, page.around)


def _fund_transaction(raw: Raw, page: _Page) -> Iterable[Update]:
    return (ledger.fund_transaction(raw, page.event_ms, page.around),)


def _fund_balance(raw: Raw, page: _Page) -> Iterable[Update]:
    return (ledger.fund_balance(raw, page.account_type, page.event_ms, page.around),)


def _instrument(raw: Raw, page: _Page) -> Iterable[Update]:
    return (instrument(raw, page.category, page.event_ms, page.around),)


def _nothing(_raw: Raw, _page: _Page) -> Iterable[Update]:
    return ()


#: How the rows of an answer become records. What the ledger says again (deposits, transfers, settlements, interest,
#: closed PnL) has none, or it would count twice; it is in the venue's views only.
_ROWS: dict[str, _ReadRow] = {
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
        _nothing,
    ),
    f"{PRE_UPGRADE}/order/history": _row(ORDER),
    f"{PRE_UPGRADE}/execution/list": _row(EXECUTION),
    f"{PRE_UPGRADE}/account/transaction-log": _transaction,
    f"{PRE_UPGRADE}/position/closed-pnl": _nothing,
    f"{PRE_UPGRADE}/asset/delivery-record": _nothing,
    f"{PRE_UPGRADE}/asset/settlement-record": _nothing,
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
    refuse_duplicates(payload)
    fields = read_fields(payload)
    code = integer("retCode", fields["retCode"]) if "retCode" in fields else None
    if code is None:
        raise Undecodable("retCode: missing")
    if code != 0:
        return _refusal(target, code, fields)
    read = _ROWS.get(path)
    if read is None:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    result = _members(fields, "result")
    asked = dict(parse_qsl(query))
    category = text("category", result["category"]) if "category" in result else None
    around = {name: str(raw, "utf-8") for name, raw in fields.items() if name not in _ENVELOPE}
    if read is not _nothing:
        around |= {name: str(raw, "utf-8") for name, raw in result.items() if name not in _RESULT}
    page = _Page(
        integer("time", fields["time"]) if "time" in fields else None,
        category or asked.get("category"),
        (text("accountType", result["accountType"]) if "accountType" in result else None) or asked.get("accountType"),
        around,
        # The closed orders that `openOnly=1` asks for are past states.
        int(path in _SNAPSHOTS and asked.get("openOnly") != "1"),
    )
    listed = next((result[name] for name in ("list", "rows", "balance") if name in result), None)
    rows = [] if listed is None or opening(listed) != "[" else read_list(listed)
    updates = tuple(update for raw in rows for update in read(raw, page))
    if path == ORDER_HISTORY and not rows and {"category", "symbol", "orderId"} <= asked.keys():
        # Nobody asks so but for an order that is not open: the exchange no longer knows it.
        updates = (unknown_order(asked["orderId"], asked["symbol"], asked["category"], page.event_ms),)
    cursor = text("nextPageCursor", result["nextPageCursor"]) if "nextPageCursor" in result else None
    # The last page is empty, or has no cursor; some lists give a cursor with their last row.
    next_page = cursor if rows and cursor else None
    return Decoded(target, DECODED, updates=updates, next_page=next_page, secrets=_key_of(path, result))


def _members(fields: Mapping[str, Raw], name: str) -> dict[str, Raw]:
    raw = fields.get(name)
    return {} if raw is None or opening(raw) != "{" else read_fields(raw)


def _refusal(target: str, code: int, fields: Mapping[str, Raw]) -> Decoded:
    message = (text("retMsg", fields["retMsg"]) if "retMsg" in fields else None) or ""
    found = _SIGNED_TEXT.search(message) if code == WRONG_SIGNATURE else None
    secrets = (found[1],) if found and found[1] else ()
    for secret in secrets:
        message = message.replace(secret, "***")
    return Decoded(target, CONTROL, control=RefusedCommand(None, code, printable(message)), secrets=secrets)


def _key_of(path: str, result: Mapping[str, Raw]) -> tuple[str, ...]:
    """The API key, where an answer about the key has it in it."""
    key = text("apiKey", result["apiKey"]) if path == KEY_PERMISSIONS and "apiKey" in result else None
    return (key,) if key else ()
